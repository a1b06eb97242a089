use strict;
use warnings;

use JSON::PP ();
use Scalar::Util qw(tainted);
use Test::More;

use PVE::Storage;
use PVE::Storage::Custom::TrueNASPlugin;

my $plugin = 'PVE::Storage::Custom::TrueNASPlugin';
my ($here) = __FILE__ =~ m{^(.*)/};
open(my $handle, '<', ($here // '.') . '/names.json') or die "names.json: $!";
my $vectors = JSON::PP->new->utf8->decode(do { local $/ = undef; <$handle> });
my $tainted_empty = substr(join('', values %ENV), 0, 0); # under -T it taints what it is appended to

for my $case (@{ $vectors->{volumes} }) {
    my @parsed = $plugin->parse_volname($case->{volname} . $tainted_empty);
    my $base = $case->{base} // {};
    is_deeply(
        \@parsed,
        ['images', $case->{name}, $case->{vmid}, $base->{name}, $base->{vmid}, $case->{isBase} ? 1 : undef, 'raw'],
        "F-501..F-505: $case->{volname}",
    );
    ok(!(grep { tainted($_) } @parsed), 'nothing of it is tainted');
    ok(!tainted($plugin->path({}, $case->{volname} . $tainted_empty, 'tn' . $tainted_empty)), 'nor is its path');
}
for my $length (@{ $vectors->{acceptedSizes}->{names} }) {
    my $name = $vectors->{acceptedSizes}->{prefix} . $vectors->{acceptedSizes}->{fill} x $length;
    is(($plugin->parse_volname($name))[1], $name, "$length characters after the number");
}

my @refused = @{ $vectors->{refused} };
push @refused, map { $vectors->{refusedSizes}->{prefix} . $vectors->{refusedSizes}->{fill} x $_ } @{ $vectors->{refusedSizes}->{names} };
for my $name (@refused) {
    my $shown = JSON::PP->new->ascii->allow_nonref->encode(length($name) > 60 ? substr($name, 0, 60) . '...' : $name);
    is(eval { $plugin->parse_volname($name); 1 }, undef, "refused: $shown");
    like($@, qr/\Aunable to parse volume name '[\x20-\x7e]{0,80}'\n[\x20-\x7e\n]*\(NAME_INVALID\)\n\z/, 'printable, with its code');
    is(eval { $plugin->alloc_image('tn', {}, 100, 'raw', $name, 1024); 1 }, undef, 'alloc_image refuses it') if $name ne '';
    like($@, qr/\Aillegal name '[\x20-\x7e]{0,80}' - should be 'vm-100-\*'\n.*\(NAME_INVALID\)\n\z/s, 'before any call') if $name ne '';
}
for my $name (undef, [], {}) {
    is(eval { $plugin->parse_volname($name); 1 }, undef, 'refused: no text at all');
}

for my $name ('base-100-disk-0', 'vm-101-disk-0', 'base-100-disk-0/vm-100-disk-1', 'vol-vm-100-disk-0-lun1') {
    is(eval { $plugin->alloc_image('tn', {}, 100, 'raw', $name, 1024); 1 }, undef, "alloc_image of guest 100 refuses $name");
    like($@, qr/illegal name/, 'as an illegal name');
}

for my $snapshot (@{ $vectors->{snapshots}->{accepted} }) {
    is(scalar($plugin->path({}, 'vm-100-disk-0', 'tn', $snapshot)), "/dev/pve-truenas/tn/vm-100-disk-0\@$snapshot", "snapshot $snapshot");
}
for my $snapshot (@{ $vectors->{snapshots}->{refused} }) {
    my $shown = JSON::PP->new->ascii->allow_nonref->encode($snapshot);
    for my $method (qw(volume_snapshot volume_snapshot_delete volume_snapshot_rollback volume_rollback_is_possible)) {
        is(eval { $plugin->$method({}, 'tn', 'vm-100-disk-0', $snapshot); 1 }, undef, "$method refuses $shown");
        like($@, qr/\Ainvalid snapshot name '[\x20-\x7e]*'\n[\x20-\x7e\n]*\(NAME_INVALID\)\n\z/, 'before any call');
    }
}

for my $size (@{ $vectors->{sizesInKiB}->{refused} }, undef, 0, -1, 2**63, 0.5) {
    is(eval { $plugin->alloc_image('tn', {}, 100, 'raw', undef, $size); 1 }, undef, 'size refused: ' . ($size // 'undef'));
    like($@, qr/\Ainvalid size '.*^State: nothing was changed\n\(SIZE_INVALID\)\n\z/ms, 'before any call');
}
for my $vmid (undef, '', 0, 99, '0100', '1e3', -100, '100 ', "100\n", '1000000000', 'abc') {
    is(eval { $plugin->alloc_image('tn', {}, $vmid, 'raw', undef, 1024); 1 }, undef, 'guest refused: ' . ($vmid // 'undef'));
    like($@, qr/\Ainvalid guest number '/, 'before any call');
}
for my $format (qw(qcow2 vmdk subvol RAW), "raw\n") {
    is(eval { $plugin->alloc_image('tn', {}, 100, $format, undef, 1024); 1 }, undef, "format refused: $format");
}
for my $storeid (undef, '', 'a', '../x', 'a/b', 'tn ', "tn\n", '-tn', 'tn-', '1tn', 'x' x 101) {
    is(eval { $plugin->path({}, 'vm-100-disk-0', $storeid); 1 }, undef, 'storage id refused: ' . ($storeid // 'undef'));
}

done_testing();
