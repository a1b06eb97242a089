package FakeDaemon;

# A daemon for the tests: a child process on a Unix socket that answers each call as its code says, and misbehaves on demand.
#
#   my $daemon = FakeDaemon->start(sub { my ($method, $params, $n) = @_; return (result => {}) });
#
# The code runs in the child and returns one of
#   (result => $hash)    (error => $hash)    an answer with the id of the call
#   (raw => $bytes)                          these bytes, then the connection is closed
#   (stream => $bytes, times => $n)          these bytes $n times
#   (silence => 1)                           nothing, until the caller goes away
#   (close => 1)                             the connection is closed at once
# $n counts the calls from 1. `calls` returns the requests received so far.

use strict;
use warnings;

use File::Temp ();
use IO::Select;
use IO::Socket::UNIX;
use JSON::PP ();
use Socket qw(SOCK_STREAM);

sub start {
    my ($class, $code, %options) = @_;
    my ($base) = (File::Temp::tempdir('truenas-XXXXXXXX', TMPDIR => 1, CLEANUP => 1)) =~ /^(.+)\z/s; # untaint
    my $self = bless { dir => $base, path => "$base/daemon.sock", log => "$base/calls", owner => $$ }, $class;
    $self->_listen($options{backlog} // 64);
    $self->_fork($code) if $code;
    return $self;
}

sub _listen {
    my ($self, $backlog) = @_;
    unlink($self->{path});
    $self->{listener} = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $self->{path}, Listen => $backlog)
        or die "cannot listen on $self->{path}: $!";
    return;
}

sub _fork {
    my ($self, $code) = @_;
    my $pid = fork() // die "cannot fork: $!";
    if ($pid) {
        $self->{pid} = $pid;
        close(delete $self->{listener});
        return;
    }
    $SIG{TERM} = 'DEFAULT';
    $SIG{PIPE} = 'IGNORE';
    alarm(600); # no test lasts that long: nothing is left behind when the test dies
    my $n = 0;
    while (my $client = $self->{listener}->accept()) {
        $self->_serve($client, $code, \$n);
        close($client);
    }
    require POSIX;
    POSIX::_exit(0);
}

sub _serve {
    my ($self, $client, $code, $n) = @_;
    my $line = <$client>;
    return if !defined($line) || $line !~ /\n\z/;
    open(my $log, '>>', $self->{log}) or die "cannot write $self->{log}: $!";
    print {$log} $line;
    close($log);
    my $request = JSON::PP->new->utf8->decode($line);
    my %answer = $code->($request->{method}, $request->{params}, ++${$n});
    return if $answer{close};
    if ($answer{silence}) { # the caller's end of file ends it
        my $select = IO::Select->new($client);
        $select->can_read(60);
        return;
    }
    if (defined($answer{stream})) {
        for (1 .. $answer{times}) {
            print {$client} $answer{stream} or return;
        }
        return;
    }
    my $bytes = $answer{raw}
        // JSON::PP->new->utf8->encode({ jsonrpc => '2.0', id => $request->{id}, %answer }) . "\n";
    print {$client} $bytes;
    return;
}

sub path { return $_[0]->{path} }

# the requests so far, oldest first
sub calls {
    my ($self) = @_;
    open(my $log, '<', $self->{log}) or return ();
    return map { JSON::PP->new->utf8->decode($_) } <$log>;
}

sub forget_calls { return unlink($_[0]->{log}) }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid};
    if ($pid) {
        kill('TERM', $pid);
        waitpid($pid, 0);
    }
    close(delete $self->{listener}) if $self->{listener};
    unlink($self->{path});
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!) = ($?, $!);
    $self->stop() if $self->{owner} == $$;
    return;
}

1;
