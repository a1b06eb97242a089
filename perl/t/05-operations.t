use strict;
use warnings;

use Scalar::Util qw(tainted);
use Test::More;

use FakeDaemon;
use PVE::Storage;
use PVE::Storage::Custom::TrueNASPlugin;

my $plugin = 'PVE::Storage::Custom::TrueNASPlugin';
my $scfg = { type => 'truenasplugin', api_host => 'nas.example', dataset => 'tank/p' };
my $qemu = { %$scfg, 'truenas-initiator' => 'qemu' };
my $answers = {};
my $daemon;
my $patience = 40; # these tests also run on busy machines

# one daemon for each set of answers: { method => { result } }
sub answers {
    my (%new) = @_;
    $daemon->stop() if $daemon;
    $daemon = FakeDaemon->start(sub {
        my ($method) = @_;
        my $answer = $new{$method} // return (error => { message => "unexpected $method", data => { code => 'BAD_REQUEST' } });
        return $answer->{code} ? (error => { message => 'refused', data => $answer }) : (result => $answer);
    });
    $ENV{PVE_TRUENAS_SOCKET} = $daemon->path();
    return;
}

# the calls since the last look: [method, own params]
sub called {
    my @calls = map {
        my %own = %{ $_->{params} };
        delete @own{qw(protocol deadline_ms caller storage)};
        [$_->{method}, \%own];
    } $daemon->calls();
    $daemon->forget_calls();
    return \@calls;
}

sub clean {
    my ($value, $name) = @_;
    my @values = ref($value) eq 'ARRAY' ? @$value : ref($value) eq 'HASH' ? (%$value) : ($value);
    for my $one (@values) {
        next if !defined($one);
        ref($one) ? clean($one, $name) : tainted($one) ? fail("F-023: $name is tainted: $one") : ();
    }
    return $value;
}

# ---- storage

answers('storage.activate' => {}, 'storage.check' => { reachable => \1 }, 'storage.status' => { active => \1, total => 2**52 + 1, available => 2000, used => 1000, age_ms => 5 });
is($plugin->check_connection('tn', $scfg), 1, 'check_connection');
is($plugin->activate_storage('tn', $scfg, {}), 1, 'activate_storage');
is_deeply(clean([$plugin->status('tn', $scfg, {})], 'status'), [2**52 + 1, 2000, 1000, 1], 'status: total, available, used, active');
is_deeply(called(), [['storage.check', {}], ['storage.activate', {}], ['storage.status', {}]], 'one call each');

answers('storage.check' => { reachable => \0, reason => "nas.example:443\nrefused \x{2019}it\x{2019}" }, 'storage.status' => { active => \0, total => 0, available => 0, used => 0, age_ms => 0 });
{
    my @warned;
    local $SIG{__WARN__} = sub { push @warned, $_[0] };
    is($plugin->check_connection('tn', $scfg), 0, 'an unreachable array');
    is_deeply(\@warned, ["storage 'tn': nas.example:443 refused 'it'\n"], 'its reason, in one line');
}
is_deeply([$plugin->status('tn', $scfg, {})], [], 'status of an inactive storage');
for my $odd ({ active => \1 }, { active => \1, total => 'x', available => 1, used => 1 }, { active => \1, total => -1, available => 1, used => 1 }) {
    answers('storage.status' => $odd);
    is_deeply([$plugin->status('tn', $scfg, {})], [], 'status with odd numbers: inactive, not wrong');
}

# ---- alloc, free

answers('volume.allocate' => { volname => 'vm-100-disk-3' });
is(clean($plugin->alloc_image('tn', $scfg, '100', 'raw', undef, 528), 'volname'), 'vm-100-disk-3', 'alloc_image with a free name');
is_deeply(called(), [['volume.allocate', { vmid => 100, size => 540672 }]], 'F-309: KiB become bytes, exactly');
$plugin->alloc_image('tn', $scfg, 100, 'raw', '', '1048576');
is_deeply(called(), [['volume.allocate', { vmid => 100, size => 1073741824 }]], "pvesm's empty name is none");
for my $name (qw(vm-100-cloudinit vm-100-state-s1 vm-100-disk-7 vm-100-fleece-0)) {
    $plugin->alloc_image('tn', $scfg, 100, 'raw', $name, 4096);
    is_deeply(called(), [['volume.allocate', { vmid => 100, name => $name, size => 4194304 }]], "F-307: alloc_image of $name");
}
$plugin->alloc_image('tn', $scfg, 100, 'raw', undef, 8796093022207);
is_deeply(called(), [['volume.allocate', { vmid => 100, size => 9007199254739968 }]], 'the largest size');
for my $bad ({}, { volname => undef }, { volname => '../x' }, { volname => ['vm-100-disk-0'] }, { volname => "vm-100-disk-0\n" }) {
    answers('volume.allocate' => $bad);
    is(eval { $plugin->alloc_image('tn', $scfg, 100, 'raw', undef, 1024) }, undef, 'a name that is none is not handed to PVE');
    like($@, qr/not understood.*DAEMON_ANSWER/s, 'and said');
}

answers('volume.free' => {});
is_deeply([$plugin->free_image('tn', $scfg, 'vm-100-disk-0', undef, 'raw')], [undef], 'free_image returns undef: no worker');
$plugin->free_image('tn', $scfg, 'base-100-disk-0/vm-101-disk-0', undef, 'raw');
is_deeply(called(), [['volume.free', { volume => 'vm-100-disk-0' }], ['volume.free', { volume => 'base-100-disk-0/vm-101-disk-0' }]], 'the whole name goes along');
answers('volume.free' => { code => 'VOLUME_BUSY', causes => ['a guest holds it'], hints => [] });
is(eval { $plugin->free_image('tn', $scfg, 'vm-100-disk-0'); 1 }, undef, 'F-313: a refused free dies');
is($@, "refused\nLikely causes:\n  - a guest holds it\n(VOLUME_BUSY)\n", 'with its reason');

# ---- messages of several lines: what a user reads in the task log

my $space = <<'EOF';
Insufficient space on dataset 'tank/proxmox':
  Requested: 10.00 GB (with 20% ZFS overhead: 12.00 GB)
  Available: 8.50 GB
  Shortfall: 3.50 GB
  Limit: 6.80 GB (TrueNAS lets one volume take at most 80% of the available space; truenas-force-size 1 lifts this)
EOF
my $several = <<'EOF';
Pre-flight checks failed for allocating a disk of guest 100 of 10.00 GB on storage 'tn':
  - service: the iSCSI service on nas is not running (its state must be RUNNING)
  - space: Insufficient space on dataset 'tank/proxmox':
      Requested: 10.00 GB (with 20% ZFS overhead: 12.00 GB)
EOF
for my $case ([$space, 'NO_SPACE'], [$several, 'PREFLIGHT_FAILED']) {
    my ($text, $code) = @$case;
    chomp(my $message = $text);
    $daemon->stop();
    $daemon = FakeDaemon->start(sub {
        my $data = { code => $code, kind => 'refused', causes => ['the pool is full'], hints => ['TrueNAS: Datasets'], state => 'nothing was changed' };
        return (error => { code => -32012, message => $message, data => $data });
    });
    $ENV{PVE_TRUENAS_SOCKET} = $daemon->path();
    my $block = $text . "Likely causes:\n  - the pool is full\nWhat to check:\n  - TrueNAS: Datasets\nState: nothing was changed\n($code)\n";
    is(eval { $plugin->alloc_image('tn', $scfg, 100, 'raw', undef, 10485760); 1 }, undef, "$code: alloc_image dies");
    is($@, $block, 'with every line and its indentation');
    is(eval { $plugin->volume_resize($scfg, 'tn', 'vm-100-disk-0', 10737418240, 0); 1 }, undef, "$code: volume_resize dies");
    is($@, $block, 'with the same text');
    is(eval { $plugin->volume_snapshot_rollback($scfg, 'tn', 'vm-100-disk-0', 's1'); 1 }, undef, "$code: rollback dies");
    is($@, $block, 'with the same text');
    my @warned;
    local $SIG{__WARN__} = sub { push @warned, @_ };
    $plugin->check_connection("line$code", $scfg);
    is(scalar(map { /\n/g } @warned), 1, 'where PVE wants one line, it is one');
}

# ---- list

my $volumes = [
    { volname => 'vm-100-disk-0', size => 1073741824, used => 4096, vmid => 100, ctime => 1700000000 },
    { volname => 'base-100-disk-1', size => 540672, used => 0, vmid => 100 },
    { volname => 'base-100-disk-1/vm-101-disk-0', size => 540672, used => 0, vmid => 101, parent => 'base-100-disk-1@__base__' },
    { volname => 'vol-vm-100-disk-9-lun4', size => 1024, used => 0, vmid => 100 },
];
answers('volume.list' => { volumes => $volumes });
my $all = clean($plugin->list_images('tn', $scfg), 'list');
is_deeply(
    $all,
    [
        { volid => 'tn:vm-100-disk-0', format => 'raw', size => 1073741824, used => 4096, vmid => 100, ctime => 1700000000 },
        { volid => 'tn:base-100-disk-1', format => 'raw', size => 540672, used => 0, vmid => 100 },
        { volid => 'tn:base-100-disk-1/vm-101-disk-0', format => 'raw', size => 540672, used => 0, vmid => 101, parent => 'base-100-disk-1@__base__' },
        { volid => 'tn:vol-vm-100-disk-9-lun4', format => 'raw', size => 1024, used => 0, vmid => 100 },
    ],
    'F-367: list_images, clones with their base',
);
is_deeply(called(), [['volume.list', {}]], 'one call');
is_deeply([map { $_->{volid} } @{ $plugin->list_images('tn', $scfg, 101) }], ['tn:base-100-disk-1/vm-101-disk-0'], 'of one guest');
is_deeply(called(), [['volume.list', { vmid => 101 }]], 'which the daemon is told');
my $wanted = ['tn:vm-100-disk-0', 'other:vm-100-disk-0', 'tn:vm-100-disk-8'];
is_deeply([map { $_->{volid} } @{ $plugin->list_images('tn', $scfg, 101, $wanted) }], ['tn:vm-100-disk-0'], 'exact ids win over the guest');
is_deeply(called(), [['volume.list', { volumes => ['vm-100-disk-0', 'vm-100-disk-8'] }]], 'and only those of this storage');
is(scalar(@{ $plugin->list_images('tn', $scfg, undef, [map { "tn:vm-100-disk-$_" } 0 .. 4000]) }), 1, 'thousands of ids');
is_deeply(called(), [['volume.list', {}]], 'do not make an endless request');
for my $bad (undef, 'x', {}, [1], [undef], [{}], [{ volname => 'x', size => 1 }], [{ volname => 'vm-100-disk-0', size => 'x' }], [{ volname => "vm-100-disk-0\n", size => 1 }]) {
    answers('volume.list' => { volumes => $bad });
    is(eval { $plugin->list_images('tn', $scfg); 1 }, undef, 'F-368: a list that is not understood is not an empty list');
}
answers('volume.list' => { code => 'ARRAY_UNREACHABLE' });
is(eval { $plugin->list_images('tn', $scfg); 1 }, undef, 'F-013: nor is one that could not be read');

# ---- one volume

answers('volume.activate' => { path => '/dev/pve-truenas/tn/vm-100-disk-0' }, 'volume.deactivate' => {}, 'volume.resize' => { size => 2147483648 },
    'volume.size' => { size => 1073741824, used => 4096, parent => 'base-100-disk-1@__base__', ctime => 1700000000 });
is($plugin->activate_volume('tn', $scfg, 'vm-100-disk-0', undef, {}, { 'guest-is-windows' => 1 }), 1, 'activate_volume with hints');
is($plugin->deactivate_volume('tn', $scfg, 'vm-100-disk-0', undef, {}), 1, 'deactivate_volume');
is(clean(scalar($plugin->volume_size_info($scfg, 'tn', 'vm-100-disk-0', $patience)), 'size'), 1073741824, 'size in scalar context');
is_deeply(clean([$plugin->volume_size_info($scfg, 'tn', 'vm-100-disk-0', undef)], 'size'),
    [1073741824, 'raw', 4096, 'base-100-disk-1@__base__', 1700000000], 'size in list context');
is($plugin->volume_resize($scfg, 'tn', 'vm-100-disk-0', 2147483648, 1, undef), 1, 'volume_resize');
is_deeply(
    [map { [$_->[0], { %{ $_->[1] }, exists($_->[1]->{running}) ? (running => $_->[1]->{running} ? 'yes' : 'no') : () }] } @{ called() }],
    [
        ['volume.activate', { volume => 'vm-100-disk-0' }], ['volume.deactivate', { volume => 'vm-100-disk-0' }],
        ['volume.size', { volume => 'vm-100-disk-0' }], ['volume.size', { volume => 'vm-100-disk-0' }],
        ['volume.resize', { volume => 'vm-100-disk-0', size => 2147483648, running => 'yes' }],
    ],
    'their calls',
);

answers('volume.path' => { path => 'iscsi://127.0.0.1:3260/iqn.2005-10.org.freenas.ctl:proxmox/5' }, 'volume.map' => { path => '/dev/pve-truenas/tn/vm-100-disk-0' });
my $url = 'iscsi://127.0.0.1:3260/iqn.2005-10.org.freenas.ctl:proxmox/5';
is_deeply(clean([$plugin->path($qemu, 'vm-100-disk-0', 'tn')], 'path'), [$url, 100, 'images'], 'QEMU initiator: path is the URL that the daemon knows');
is($plugin->qemu_blockdev_options($qemu, 'tn', 'vm-100-disk-0', 'pc', {})->{lun}, 5, 'and so are the options for QEMU');
is(clean($plugin->map_volume('tn', $qemu, 'vm-100-disk-0', undef, {}), 'map'), '/dev/pve-truenas/tn/vm-100-disk-0', 'map_volume gives a device all the same');
called();
$plugin->path($scfg, 'vm-100-disk-0', 'tn');
$plugin->map_volume('tn', $scfg, 'vm-100-disk-0');
is_deeply(called(), [], 'kernel initiator: path and map_volume ask nobody');
for my $bad ('/etc/passwd', '/dev/../etc/passwd', '/dev/x y', '', "/dev/sda\n", '/dev/', 'iscsi://h/t/1') {
    answers('volume.map' => { path => $bad });
    is(eval { $plugin->map_volume('tn', $qemu, 'vm-100-disk-0'); 1 }, undef, "map_volume does not hand '$bad' to PVE");
}

# ---- snapshots

answers(map { $_ => {} } qw(snapshot.create snapshot.delete snapshot.rollback));
is($plugin->volume_snapshot($scfg, 'tn', 'vm-100-disk-0', 's1'), 1, 'volume_snapshot');
is($plugin->volume_snapshot_rollback($scfg, 'tn', 'vm-100-disk-0', 's1'), 1, 'volume_snapshot_rollback');
is($plugin->volume_snapshot_delete($scfg, 'tn', 'vm-100-disk-0', 's1', 1), 1, 'volume_snapshot_delete');
is_deeply(called(), [map { ["snapshot.$_", { volume => 'vm-100-disk-0', snapshot => 's1' }] } qw(create rollback delete)], 'one call each');

answers('snapshot.rollback-check' => { blockers => [] });
is($plugin->volume_rollback_is_possible($scfg, 'tn', 'vm-100-disk-0', 's1', undef), 1, 'rollback possible');
answers('snapshot.rollback-check' => { blockers => ['s2', 'auto-2026-11-23_00-00'] });
my $blockers = [];
is(eval { $plugin->volume_rollback_is_possible($scfg, 'tn', 'vm-100-disk-0', 's1', $blockers); 1 }, undef, 'F-318: rollback past newer snapshots dies');
like($@, qr/newer snapshots exist: s2, auto-2026-11-23_00-00\n.*\(ROLLBACK_BLOCKED\)\n\z/s, 'and lists them');
is_deeply(clean($blockers, 'blockers'), ['s2', 'auto-2026-11-23_00-00'], 'F-319: foreign ones too, for PVE');
is(eval { $plugin->volume_rollback_is_possible($scfg, 'tn', 'vm-100-disk-0', 's1'); 1 }, undef, 'also where PVE gives no list');
for my $bad ({}, { blockers => 's2' }, { blockers => ["s2\n"] }, { blockers => [undef] }) {
    answers('snapshot.rollback-check' => $bad);
    is(eval { $plugin->volume_rollback_is_possible($scfg, 'tn', 'vm-100-disk-0', 's1'); 1 }, undef, 'law 3: an answer that is not understood is no permission');
}
answers('snapshot.list' => { snapshots => [{ name => 's1', id => 'tank/p/vm-100-disk-0@s1', ctime => 1700000000 }, { name => '__base__', id => '7' }] });
is_deeply(
    clean($plugin->volume_snapshot_info($scfg, 'tn', 'vm-100-disk-0'), 'snapshots'),
    { s1 => { id => 'tank/p/vm-100-disk-0@s1', timestamp => 1700000000 }, __base__ => { id => '7', timestamp => undef } },
    'volume_snapshot_info',
);

# ---- names that are none never reach the daemon

answers();
for my $name ('vm-100-disk-0 ', '../x', "vm-100-disk-0\0", 'x' x 400) {
    for my $case (['free_image', 'tn', $scfg, $name], ['activate_volume', 'tn', $scfg, $name], ['deactivate_volume', 'tn', $scfg, $name], ['map_volume', 'tn', $qemu, $name],
        ['volume_size_info', $scfg, 'tn', $name, 5], ['volume_resize', $scfg, 'tn', $name, 1024], ['volume_snapshot', $scfg, 'tn', $name, 's1'], ['volume_snapshot_info', $scfg, 'tn', $name]) {
        my ($method, @arguments) = @$case;
        is(eval { $plugin->$method(@arguments); 1 }, undef, "$method refuses a hostile name");
        like($@, qr/\Aunable to parse volume name /, 'by itself');
    }
}
is_deeply(called(), [], 'no call was made');
$daemon->stop();

done_testing();
