#!/usr/bin/perl
# What systemd does for a socket-activated service, as far as a daemon can see it: holds the listening socket, hands it over, restarts the
# service, receives its notifications.
#
#   service-manager.pl SOCKET NOTIFY PROGRAM [ARGUMENT]...
#
# Standard input: lines restart (TERM, wait, start), kill (KILL, wait, start), reload (HUP), quit (TERM, wait, end). Standard output: a
# line `started PID`, `ended PID STATUS` or `notify LINE` for each event; the service's own output goes to standard error.
use strict;
use warnings;
use Fcntl qw(F_SETFD);
use IO::Select;
use IO::Socket::UNIX;
use POSIX qw(WNOHANG dup2);
use Socket qw(SOCK_DGRAM SOCK_STREAM);

my ($path, $notify_path, @argv) = @ARGV;
$| = 1;
$^F = 2; # descriptors above are closed on exec, unless dup2 made them
my $listener = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 4096) or die "$path: $!\n";
my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $notify_path) or die "$notify_path: $!\n";

my $child;

sub start {
    $child = fork() // die "fork: $!\n";
    if (!$child) {
        dup2(fileno(STDERR), 1);
        dup2(fileno($listener), 3) or die "dup2: $!\n";
        fcntl($listener, F_SETFD, 0) or die "fcntl: $!\n" if fileno($listener) == 3; # dup2 of 3 to 3 leaves it closed on exec
        $ENV{LISTEN_PID} = $$;
        $ENV{LISTEN_FDS} = 1;
        $ENV{NOTIFY_SOCKET} = $notify_path;
        open(STDIN, '<', '/dev/null');
        exec(@argv) or die "exec: $!\n";
    }
    print "started $child\n";
}

sub heard {
    my ($datagram) = @_;
    print map { "notify $_\n" } split(/\n/, $datagram);
}

sub pump { # one turn: notifications, end of the service; returns a command or undef
    my ($wait_for_input) = @_;
    my $select = IO::Select->new($notify, $wait_for_input ? \*STDIN : ());
    for my $ready ($select->can_read(0.05)) {
        if ($ready == $notify) {
            $notify->recv(my $datagram, 65536);
            heard($datagram);
        } else {
            my $command = '';
            while (sysread(STDIN, my $char, 1)) {
                last if $char eq "\n";
                $command .= $char;
            }
            return $command eq '' ? 'quit' : $command;
        }
    }
    return;
}

sub ended {
    return 0 if waitpid($child, WNOHANG) <= 0;
    print "ended $child $?\n";
    return 1;
}

sub finish {
    my ($signal) = @_;
    kill($signal, $child);
    pump(0) while !ended();
}

start();
while (1) {
    my $command = pump(1);
    start() if ended(); # it ended by itself
    next if !defined($command);
    if ($command eq 'reload') {
        kill('HUP', $child);
    } elsif ($command eq 'restart' || $command eq 'kill') {
        finish($command eq 'kill' ? 'KILL' : 'TERM');
        start();
    } else {
        finish('TERM');
        last;
    }
}
unlink($path, $notify_path);
