use strict;
use warnings;

use File::Temp ();
use Scalar::Util qw(tainted);
use Test::More;

use PVE::Storage;
use PVE::Storage::Custom::TrueNASPlugin;

# Nobody listens: all of this works with the daemon down (law 7).
my ($dir) = File::Temp::tempdir(CLEANUP => 1) =~ /^(.+)\z/s;
$ENV{PVE_TRUENAS_SOCKET} = "$dir/none.sock";
local $PVE::Storage::Custom::TrueNASPlugin::DIRECT = "$dir/direct";

my $plugin = 'PVE::Storage::Custom::TrueNASPlugin';
$PVE::Storage::Custom::TrueNASPlugin::RESTART_GRACE = 0.3;
my $kernel = { type => 'truenasplugin' };
my $qemu = { type => 'truenasplugin', 'truenas-initiator' => 'qemu' };

is_deeply([$plugin->path($kernel, 'vm-100-disk-0', 'tn')], ['/dev/pve-truenas/tn/vm-100-disk-0', 100, 'images'], 'path in list context');
is(scalar($plugin->path($kernel, 'vm-100-disk-0', 'tn')), '/dev/pve-truenas/tn/vm-100-disk-0', 'F-310: path is pure');
is(scalar($plugin->path($kernel, 'vm-100-disk-0', 'tn', 's1')), '/dev/pve-truenas/tn/vm-100-disk-0@s1', 'F-316: path of a snapshot');
is(scalar($plugin->path($kernel, 'base-100-disk-0/vm-101-disk-0', 'tn')), '/dev/pve-truenas/tn/vm-101-disk-0', 'path of a linked clone');
is(scalar($plugin->path($kernel, 'vol-vm-100-disk-0-lun4', 'tn')), '/dev/pve-truenas/tn/vm-100-disk-0', 'F-103: the LUN in an old id is not believed');
is(scalar($plugin->filesystem_path($kernel, 'vm-100-disk-0', undef, 'tn')), '/dev/pve-truenas/tn/vm-100-disk-0', 'filesystem_path');

my $started = time();
is(scalar($plugin->path($qemu, 'vm-100-disk-0', 'tn')), '/dev/pve-truenas/tn/vm-100-disk-0', 'QEMU initiator, no daemon, no link: the device path');
mkdir("$dir/direct");
mkdir("$dir/direct/tn");
my $url = 'iscsi://192.0.2.7:3260/iqn.2005-10.org.freenas.ctl:proxmox/17';
symlink($url, "$dir/direct/tn/vm-100-disk-0") or die $!;
is(scalar($plugin->path($qemu, 'vm-100-disk-0', 'tn')), $url, 'with the link that the daemon left: its URL');
ok(!tainted(scalar($plugin->path($qemu, 'vm-100-disk-0', 'tn'))), 'untainted');
is_deeply(
    $plugin->qemu_blockdev_options($qemu, 'tn', 'vm-100-disk-0', 'pc-q35-10.0', {}),
    { driver => 'iscsi', transport => 'tcp', portal => '192.0.2.7:3260', target => 'iqn.2005-10.org.freenas.ctl:proxmox', lun => 17 },
    'qemu_blockdev_options as PVE has them for iSCSI',
);
for my $bad ('iscsi://h/t/1 x', "iscsi://h/t/1\n", 'iscsi://h/t/-1', '/etc/passwd', '/dev/../etc/passwd', 'http://h/t/1', 'iscsi://u:p@h/t/1') {
    unlink("$dir/direct/tn/vm-100-disk-1");
    symlink($bad, "$dir/direct/tn/vm-100-disk-1") or die $!;
    is(scalar($plugin->path($qemu, 'vm-100-disk-1', 'tn')), '/dev/pve-truenas/tn/vm-100-disk-1', "a link to '$bad' is not followed");
}
symlink('iscsi://[2001:db8::7]:3260/iqn.2005-10.org.freenas.ctl:proxmox/0', "$dir/direct/tn/vm-100-disk-2") or die $!;
my $blockdev = $plugin->qemu_blockdev_options($qemu, 'tn', 'vm-100-disk-2', 'pc-q35-10.0', {});
is_deeply([@$blockdev{qw(portal lun)}], ['[2001:db8::7]:3260', 0], 'F-010: IPv6 portals in brackets');
is($plugin->qemu_blockdev_options($kernel, 'tn', 'vm-100-disk-0', 'pc', {})->{driver}, 'host_device', 'kernel initiator: the base class decides');
cmp_ok(time() - $started, '<', 20, 'none of it waited for the daemon');

is($plugin->map_volume('tn', $kernel, 'vm-100-disk-0'), '/dev/pve-truenas/tn/vm-100-disk-0', 'map_volume');
is($plugin->map_volume('tn', $kernel, 'vm-100-disk-0', 's1'), '/dev/pve-truenas/tn/vm-100-disk-0@s1', 'map_volume of a snapshot');
is($plugin->unmap_volume('tn', $kernel, 'vm-100-disk-0'), 1, 'unmap_volume takes nothing down');

# [feature, current, base, snapshot]
for my $row (['snapshot', 1, undef, undef], ['copy', 1, 1, undef], ['sparseinit', 1, undef, undef], ['clone'], ['template'], ['rename'], ['replicate'], ['nonsense']) {
    my ($feature, @expected) = @$row;
    my @got = (
        scalar($plugin->volume_has_feature($kernel, $feature, 'tn', 'vm-100-disk-0')),
        scalar($plugin->volume_has_feature($kernel, $feature, 'tn', 'base-100-disk-0')),
        scalar($plugin->volume_has_feature($kernel, $feature, 'tn', 'vm-100-disk-0', 's1')),
    );
    is_deeply(\@got, [@expected[0 .. 2]], "F-365: feature $feature of current, base, snapshot");
}
is($plugin->volume_qemu_snapshot_method('tn', $kernel, 'vm-100-disk-0'), 'storage', 'snapshots are made by the storage');
is($plugin->volume_snapshot_needs_fsfreeze(), 1, 'F-366: containers are frozen around a snapshot');
is($plugin->storage_can_replicate($kernel, 'tn', 'raw'), 0, 'no replication');
is_deeply($plugin->get_formats($kernel, 'tn'), { default => 'raw', valid => { raw => 1 } }, 'formats');
is($plugin->deactivate_storage('tn', $kernel, {}), 1, 'deactivate_storage');

for my $case (
    ['clone_image', $kernel, 'tn', 'base-100-disk-0', 101],
    ['create_base', 'tn', $kernel, 'vm-100-disk-0'],
    ['rename_volume', $kernel, 'tn', 'vm-100-disk-0', 101],
    ['activate_volume', 'tn', $kernel, 'vm-100-disk-0', 's1', {}],
    ['volume_resize', $kernel, 'tn', 'vm-100-disk-0', 1 << 30, 0, 's1'], # F-363
) {
    my ($method, @arguments) = @$case;
    is(eval { $plugin->$method(@arguments); 1 }, undef, "$method is refused");
    like($@, qr/\Astorage 'tn': .* is not offered by this storage\n.*\(NOT_SUPPORTED\)\n\z/s, 'and says so');
}
is($plugin->deactivate_volume('tn', $kernel, 'vm-100-disk-0', 's1', {}), 1, 'deactivating a snapshot: it was never active');
for my $size (undef, '', 0, -1, 'x', 1.5, '1e9', 2**53, 2**63) {
    is(eval { $plugin->volume_resize($kernel, 'tn', 'vm-100-disk-0', $size, 0); 1 }, undef, 'resize refused: ' . ($size // 'undef'));
    like($@, qr/\Ainvalid size '/, 'before any call');
}

# ---- the daemon is down, and says so

is_deeply([$plugin->status('tn', $kernel, {})], [], 'status is empty');
my @warned;
{
    local $SIG{__WARN__} = sub { push @warned, $_[0] };
    is($plugin->check_connection('tn', $kernel), 0, 'check_connection is false');
    is($plugin->check_connection('tn', $kernel), 0, 'and again');
}
is(scalar(@warned), 1, 'the reason is said once a minute');
like($warned[0], qr/\Astorage 'tn': .* is not running on this node; start it: systemctl start pve-truenasd \(DAEMON_NOT_RUNNING\)\n\z/, 'in one line');

for my $case (
    ['list_images', 'tn', $kernel],
    ['alloc_image', 'tn', $kernel, 100, 'raw', undef, 1024],
    ['free_image', 'tn', $kernel, 'vm-100-disk-0'],
    ['activate_storage', 'tn', $kernel, {}],
    ['activate_volume', 'tn', $kernel, 'vm-100-disk-0', undef, {}],
    ['volume_size_info', $kernel, 'tn', 'vm-100-disk-0', 5],
    ['volume_snapshot', $kernel, 'tn', 'vm-100-disk-0', 's1'],
    ['volume_rollback_is_possible', $kernel, 'tn', 'vm-100-disk-0', 's1'],
) {
    my ($method, @arguments) = @$case;
    is(eval { $plugin->$method(@arguments); 1 }, undef, "F-013: $method dies, 'cannot ask' is not 'empty'");
    like($@, qr/systemctl start pve-truenasd\n.*\n\(DAEMON_NOT_RUNNING\)\n\z/s, 'naming the command that starts the daemon');
}
is_deeply($plugin->list_images('tn', $kernel, undef, ['other:vm-100-disk-0']), [], 'asked for volumes of another storage only: none');

done_testing();
