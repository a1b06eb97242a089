use strict;
use warnings;

use JSON::PP ();
use Socket qw(PF_UNIX SOCK_STREAM pack_sockaddr_un);
use Test::More;
use Time::HiRes qw(sleep time);

use FakeDaemon;
use PVE::Storage;
use PVE::Storage::Custom::TrueNASPlugin;

my $plugin = 'PVE::Storage::Custom::TrueNASPlugin';
my $scfg = { type => 'truenasplugin', api_host => 'nas.example', dataset => 'tank/p', content => { images => 1 }, nodes => { pve1 => 1 },
    shared => 1, api_key => '1-inline-secret', tn_chap_password => 'inline-secret-2' };
my $volume = 'vm-100-disk-0';
# Bounds are wide: these tests also run on machines that are busy with others. What must not hang has its own short deadline.
$PVE::Storage::Custom::TrueNASPlugin::RESTART_GRACE = 30;
my $patient = 40;

sub with_daemon {
    my ($code, $test, %options) = @_;
    my $daemon = FakeDaemon->start($code, %options);
    local $ENV{PVE_TRUENAS_SOCKET} = $daemon->path();
    $test->($daemon);
    $daemon->stop();
    return;
}

sub size { return scalar($plugin->volume_size_info($scfg, 'tn', $volume, $_[0])) }

sub fails {
    my ($code, $pattern, $name) = @_;
    my $started = time();
    is(eval { $code->(); 1 }, undef, $name);
    like($@, $pattern, "$name: what it says");
    return time() - $started;
}

my $fine = sub { return (result => { size => 1024, used => 0 }) };

with_daemon($fine, sub {
    my ($daemon) = @_;
    is(size($patient), 1024, 'a call and its answer');
    my ($call) = $daemon->calls();
    is($call->{jsonrpc}, '2.0', 'JSON-RPC 2.0');
    is($call->{method}, 'volume.size', 'method');
    is($call->{params}->{protocol}, 1, 'F-008: the protocol version goes along');
    my $deadline = $call->{params}->{deadline_ms};
    ok($deadline > 30_000 && $deadline <= 36_000, "F-049: the daemon's deadline lies inside that of PVE ($deadline ms of 40 s)");
    ok(length($call->{params}->{caller}), 'who calls');
    is($call->{params}->{volume}, $volume, 'volume');
    is_deeply(
        $call->{params}->{storage},
        { id => 'tn', config => { type => 'truenasplugin', api_host => 'nas.example', dataset => 'tank/p', content => { images => 1 },
            nodes => { pve1 => 1 }, shared => '1' } },
        'F-054: the section goes along without its secrets',
    );
    unlike(JSON::PP->new->encode($call), qr/secret/, 'no secret anywhere in the request');

    # fork safety: a worker and its parent call at the same time
    my @children = map {
        my $pid = fork() // die $!;
        if (!$pid) {
            my $ok = eval { size($patient) == 1024 && size($patient) == 1024 };
            require POSIX;
            POSIX::_exit($ok ? 0 : 1);
        }
        $pid;
    } 1 .. 5;
    is(size($patient), 1024, 'F-007: the parent calls while its children do');
    is_deeply([map { waitpid($_, 0); $? } @children], [0, 0, 0, 0, 0], 'and so do the children');
});

# ---- answers that are none

for my $case (
    ['garbage', "\x00\xff garbage }{\n"],
    ['an HTTP answer', "HTTP/1.1 400 Bad Request\n"],
    ['an empty line', "\n"],
    ['no object', "[1,2]\n"],
    ['a number', "17\n"],
    ['null', "null\n"],
    ['no result', qq({"jsonrpc":"2.0","id":1}\n)],
    ['a result that is no object', qq({"jsonrpc":"2.0","id":1,"result":[1]}\n)],
    ['the answer to another call', qq({"jsonrpc":"2.0","id":2,"result":{"size":1024,"used":0}}\n)],
    ['an answer without id', qq({"jsonrpc":"2.0","id":null,"result":{"size":1024,"used":0}}\n)],
    ['an id that is an object', qq({"jsonrpc":"2.0","id":{"a":1},"result":{"size":1024,"used":0}}\n)],
    ['a size that is no number', qq({"jsonrpc":"2.0","id":1,"result":{"size":"big","used":0}}\n)],
    ['a negative size', qq({"jsonrpc":"2.0","id":1,"result":{"size":-1,"used":0}}\n)],
    ['a fraction', qq({"jsonrpc":"2.0","id":1,"result":{"size":1.5,"used":0}}\n)],
    ['size 0', qq({"jsonrpc":"2.0","id":1,"result":{"size":0,"used":0}}\n)],
    ['no size', qq({"jsonrpc":"2.0","id":1,"result":{}}\n)],
) {
    my ($name, $bytes) = @$case;
    with_daemon(sub { return (raw => $bytes) }, sub {
        my ($daemon) = @_;
        fails(sub { size($patient) }, qr/\Avolume\.size: the daemon pve-truenasd gave an answer that is not understood\n.*\(DAEMON_ANSWER\)\n\z/s, $name);
        is(scalar(@{ [$daemon->calls()] }), 1, "$name: asked once");
    });
}

with_daemon(sub { return (raw => qq({"jsonrpc":"2.0","id":1,"result":{"size":9007199254740993,"used":9223372036854775807}}\n)) }, sub {
    is_deeply([($plugin->volume_size_info($scfg, 'tn', $volume, 5))[0, 2]], ['9007199254740993', '9223372036854775807'], 'sizes over 2^53 stay exact');
});

{
    local $PVE::Storage::Custom::TrueNASPlugin::MAX_ANSWER = 1 << 20;
    with_daemon(sub { return (stream => 'x' x 65536, times => 200) }, sub {
        fails(sub { $plugin->volume_snapshot($scfg, 'tn', $volume, 's1') }, qr/endless answer.*DAEMON_ANSWER/s, 'an answer without end');
    });
}
with_daemon(sub { return (result => { volumes => [map { +{ volname => "vm-100-disk-$_", size => 1024, used => 512, vmid => 100 } } 1 .. 2000] }) }, sub {
    is(scalar(@{ $plugin->list_images('tn', $scfg) }), 2000, 'an answer of many packets');
});

# ---- connections that break

for my $case (['closed at once', close => 1], ['half a line', raw => '{"jsonrpc":"2.0","id":1,"res'], ['all but the newline', raw => '{"jsonrpc":"2.0","id":1,"result":{}}']) {
    my ($name, @how) = @$case;
    with_daemon(sub { return @how }, sub {
        my ($daemon) = @_;
        my $took = fails(sub { $plugin->alloc_image('tn', $scfg, 100, 'raw', undef, 1024) },
            qr/closed the connection before its answer was complete\n.*^State: not known: .*\(DAEMON_BROKEN\)\n\z/ms, "F-056: $name, a change");
        is(scalar(@{ [$daemon->calls()] }), 1, 'law 2: a change is not sent twice');
        cmp_ok($took, '<', 15, 'no wait');
    });
    with_daemon(sub { return $_[2] < 3 ? @how : $fine->() }, sub {
        my ($daemon) = @_;
        is(size($patient), 1024, "F-051: $name, a read is asked again");
        is(scalar(@{ [$daemon->calls()] }), 3, 'until it is answered');
    });
}
with_daemon(sub { return $_[2] < 3 ? (error => { code => -32013, message => 'stopping', data => { code => 'SHUTTING_DOWN' } }) : (result => {}) }, sub {
    my ($daemon) = @_;
    is($plugin->volume_snapshot($scfg, 'tn', $volume, 's1'), 1, 'F-051: refused by a daemon that stops, done by the next one');
    is(scalar(@{ [$daemon->calls()] }), 3, 'at the third try');
});

{
    my $daemon = FakeDaemon->start(undef);
    local $ENV{PVE_TRUENAS_SOCKET} = $daemon->path();
    my $pid = fork() // die $!;
    if (!$pid) { # the daemon comes back after a second
        sleep(0.5);
        eval { $daemon->{owner} = $$; $daemon->_listen(8); alarm(20); my $client = $daemon->{listener}->accept(); my $n = 0; $daemon->_serve($client, sub { return (result => { volname => 'vm-100-disk-0' }) }, \$n) };
        require POSIX;
        POSIX::_exit(0);
    }
    close($daemon->{listener});
    unlink($daemon->path());
    is(eval { $plugin->alloc_image('tn', $scfg, 100, 'raw', undef, 1024) } // $@, 'vm-100-disk-0', 'F-051: what could not be sent is sent when the daemon is back');
    waitpid($pid, 0);
}

# ---- a daemon that is mute

with_daemon(sub { return (silence => 1) }, sub {
    my $took = fails(sub { size(1) }, qr/gave no answer in time.*\(DAEMON_TIMEOUT\)\n\z/s, 'F-041: never an answer');
    ok($took > 0.8 && $took < 15, "ends at its deadline ($took s)");
    unlike($@, qr/^State:/m, 'a read leaves no doubt behind');
    my $started = time();
    {
        local $0 = 'pvestatd';
        is_deeply([$plugin->status('tn', $scfg, {})], [], 'status gives up quietly');
    }
    cmp_ok(time() - $started, '<', 15, 'and soon in pvestatd: other storages wait for it');
    is(scalar($plugin->path({ %$scfg, 'truenas-initiator' => 'qemu' }, $volume, 'tn')), "/dev/pve-truenas/tn/$volume", 'F-310: path never dies');
    $started = time();
    $plugin->path({ %$scfg, 'truenas-initiator' => 'qemu' }, "vm-100-disk-$_", 'tn') for 1 .. 20;
    cmp_ok(time() - $started, '<', 15, 'nor do the paths of twenty disks wait one after the other');
});

{
    my $daemon = FakeDaemon->start(undef, backlog => 1);
    local $ENV{PVE_TRUENAS_SOCKET} = $daemon->path();
    my @waiting = map { my $s; socket($s, PF_UNIX, SOCK_STREAM, 0) or die $!; $s->blocking(0); connect($s, pack_sockaddr_un($daemon->path())); $s } 1 .. 8;
    my $took = fails(sub { size(1) }, qr/accepted no connection in time.*\(DAEMON_TIMEOUT\)/s, 'F-046: the backlog is full');
    cmp_ok($took, '<', 15, "the connect is bounded ($took s)");
    $daemon->stop();
}

with_daemon(sub { return (silence => 1) }, sub {
    # PVE's lock kills its code by SIGALRM whose handler dies
    local $SIG{ALRM} = sub { die "got timeout\n" };
    my $descriptors = sub { opendir(my $dir, '/proc/self/fd') or die $!; return scalar(grep { /^\d/ } readdir($dir)) };
    my $before = $descriptors->();
    for my $call (
        sub { $plugin->alloc_image('tn', $scfg, 100, 'raw', undef, 1024) },
        sub { $plugin->status('tn', $scfg, {}) },
        sub { $plugin->check_connection('tn', $scfg) },
    ) {
        Time::HiRes::alarm(0.4);
        eval { $call->() };
        my $thrown = $@;
        Time::HiRes::alarm(0);
        is($thrown, "got timeout\n", 'what PVE throws in a signal handler passes through, before any deadline of ours');
    }
    is($descriptors->(), $before, 'and the socket is closed');
    my $interrupted = 0;
    local $SIG{USR1} = sub { $interrupted++ };
    my $parent = $$;
    my $pid = fork() // die $!;
    if (!$pid) {
        for (1 .. 5) { sleep(0.1); kill('USR1', $parent) }
        require POSIX;
        POSIX::_exit(0);
    }
    my $took = fails(sub { size(1) }, qr/gave no answer in time/, 'EINTR: a signal that is only noted does not end the wait');
    waitpid($pid, 0);
    cmp_ok($took, '>', 0.8, 'the deadline does');
    cmp_ok($interrupted, '>', 0, 'signals came');
});

with_daemon($fine, sub {
    local $SIG{PIPE} = sub { die "SIGPIPE\n" };
    is(size($patient), 1024, 'PVE\'s SIGPIPE handler is not touched');
});

# ---- errors of the daemon

my $error = { code => -32012, message => "no space for 'vm-100-disk-0' on \x{2018}tank/p\x{2019}\x{0007}", data => { code => 'NO_SPACE', kind => 'refused',
    causes => ['the pool is full', "a quota\nis set"], hints => ['TrueNAS: Datasets'], state => 'nothing was changed' } };
with_daemon(sub { return (error => $error) }, sub {
    fails(sub { $plugin->alloc_image('tn', $scfg, 100, 'raw', undef, 1024) }, qr/NO_SPACE/, 'an error of the daemon');
    is($@, <<'TEXT', 'as a block that a user can act on, plain ASCII');
no space for 'vm-100-disk-0' on 'tank/p'?
Likely causes:
  - the pool is full
  - a quota is set
What to check:
  - TrueNAS: Datasets
State: nothing was changed
(NO_SPACE)
TEXT
});
for my $odd ({ message => '', data => 7 }, { data => { code => 'x y', causes => 'none', hints => [{}, undef, ''] } }, { message => { a => 1 }, data => { state => [] } }) {
    with_daemon(sub { return (error => $odd) }, sub {
        fails(sub { size($patient) }, qr/\Avolume\.size failed\n\(INTERNAL\)\n\z/, 'an error without its parts');
    });
}
with_daemon(sub { return (raw => qq({"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the line is too long"}}\n)) }, sub {
    fails(sub { size($patient) }, qr/\Athe line is too long\n/, 'an error without id: the daemon could not read the request');
});

# ---- the socket's place

{
    local $ENV{PVE_TRUENAS_SOCKET} = '/run/x y;z';
    local $PVE::Storage::Custom::TrueNASPlugin::SOCKET = '/nonexistent/daemon.sock';
    fails(sub { size(1) }, qr/DAEMON_NOT_RUNNING/, 'a strange PVE_TRUENAS_SOCKET is not used');
}
{
    my ($file) = File::Temp::tempdir(CLEANUP => 1) =~ /^(.+)\z/s;
    open(my $handle, '>', "$file/plain") or die $!;
    close($handle);
    local $ENV{PVE_TRUENAS_SOCKET} = "$file/plain";
    fails(sub { size(1) }, qr/is not running|cannot be called/, 'a plain file instead of a socket');
    local $ENV{PVE_TRUENAS_SOCKET} = "$file/plain/below";
    fails(sub { size(1) }, qr/cannot be called at .*: Not a directory/, 'a path that cannot be');
}

done_testing();
