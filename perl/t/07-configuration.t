use strict;
use warnings;

use File::Temp ();
use Test::More;

use FakeDaemon;
use PVE::Storage;
use PVE::Storage::Custom::TrueNASPlugin;

# What PVE's processes do with settings that are wrong: refused when they are set, with all faults and nothing changed; and
# one storage inactive, with the reason, when somebody wrote them into storage.cfg.

my $plugin = 'PVE::Storage::Custom::TrueNASPlugin';
my ($dir) = File::Temp::tempdir(CLEANUP => 1) =~ /^(.+)\z/s;
$PVE::Storage::Custom::TrueNASPlugin::SECRETS = "$dir/storage";
$PVE::Storage::Custom::TrueNASPlugin::RESTART_GRACE = 0.2;
$plugin->register();
PVE::Storage::Plugin->init();

my @warned;
$SIG{__WARN__} = sub { push @warned, $_[0] };

sub content {
    my ($name) = @_;
    open(my $handle, '<', "$dir/storage/$name") or return;
    local $/ = undef;
    return <$handle>;
}

my $text = "storage 'tn' cannot be used with these settings:\n"
    . "  api_retry_max: '11' is not a whole number from 0 to 10; set api_retry_max to a whole number from 0 to 10\n"
    . "  dataset: 'tank/pr\x{f6}': character U+00F6 at position 8 is not allowed; set dataset to a dataset\n"
    . "  warning: api_insecure: accepts any certificate; remove api_insecure";
my $refused = [error => { message => $text, data => { code => 'CONFIG_INVALID', hints => ['pve-truenas config check'], state => 'nothing was changed' } }];
my $accepted = [result => { warnings => [], reachable => JSON::PP::true() }];
my $daemon;

sub daemon {
    my (%answers) = @_;
    $daemon->stop() if $daemon;
    $daemon = FakeDaemon->start(sub { return @{ $answers{ $_[0] } // $accepted } });
    $ENV{PVE_TRUENAS_SOCKET} = $daemon->path();
    return;
}

sub section { return { type => 'truenasplugin', api_host => 'nas.example', dataset => 'tank/p', @_ } }

# ---- pvesm add, pvesm set

daemon('storage.validate' => $refused);
is(eval { $plugin->on_add_hook('tn', section(), api_key => '1-k'); 1 }, undef, 'an add with wrong settings is refused');
my @lines = split(/\n/, $@);
is($lines[0], "storage 'tn' cannot be used with these settings:", 'the block begins with the storage');
is(scalar(grep { /^  (?:warning: )?[a-z_]+: .+; .+/ } @lines), 3, 'has a line for each fault with setting, message and cure');
like($@, qr/^  dataset: 'tank\/pr\?': character U\+00F6 at position 8/m, 'in ASCII, PVE prints bytes');
like($@, qr/^State: nothing was changed\n\(CONFIG_INVALID\)\n\z/m, 'and ends with state and code');
ok(!-e "$dir/storage/tn.api_key", 'no secret is left');

daemon();
$plugin->on_add_hook('tn', section(), api_key => '1-first', chap_password => 'first-secret');
daemon('storage.validate' => $refused);
my $current = section(api_retry_max => 3, chap_user => 'pve', tn_chap_password => 'stood-in-cfg');
my $before = { %$current };
is(eval { $plugin->on_update_hook_full('tn', $current, { api_retry_max => 11 }, [], { api_key => '1-new', chap_password => undef }); 1 }, undef, 'a set is refused');
is_deeply($current, $before, 'the section is as before');
is(content('tn.api_key'), "1-first\n", 'the new key is taken back');
is(content('tn.chap_password'), "first-secret\n", 'the removed secret is there again');

# the daemon judges what will stand in storage.cfg
daemon();
$plugin->on_update_hook_full('tn', $current, { api_timeout => 5 }, ['api_retry_max', 'chap_user'], { chap_password => undef });
my ($call) = grep { $_->{method} eq 'storage.validate' } $daemon->calls();
is_deeply(
    $call->{params}->{storage}->{config},
    { type => 'truenasplugin', api_host => 'nas.example', dataset => 'tank/p', api_timeout => '5' },
    'a set that deletes is judged by its result',
);
is_deeply($call->{params}->{removed}, ['chap_password'], 'also a secret that stood in storage.cfg');
ok(!exists($current->{tn_chap_password}), 'whose line PVE will not write again');
$daemon->forget_calls();
$plugin->on_update_hook_full('tn', section(), {}, ['prefer_ipv4'], {});
is(scalar(@{ [$daemon->calls()] }), 1, 'a set that only deletes is judged, too');
ok(!exists(($daemon->calls())[0]->{params}->{removed}), 'without secrets nothing is said of them');

# the text is the daemon's: long, with odd characters, with lines
daemon('storage.validate' => [error => { message => "a\x{2019}b\r\n    c\x{1b}[2Jd\n\n" . join('', map { "  x$_\n" } 1 .. 100), data => { code => 'CONFIG_INVALID' } }]);
eval { $plugin->on_add_hook('long', section(), api_key => '1-k') };
like($@, qr/\Aa'b\n    c\?\[2Jd\n  x1\n/, 'lines and indentation stay, control characters do not');
like($@, qr/\n  \.\.\.\n\(CONFIG_INVALID\)\n\z/, 'and there is an end to it');
cmp_ok(scalar(split(/\n/, $@)), '<', 70, 'after some lines');

# ---- storage.cfg, edited by hand

my $file = <<'CFG';
truenasplugin: tn
	api_host nas.example
	dataset tank/p
	api_retry_max 11
	tn_compression lzma
	api_timeout soon
	tn_sparse perhaps
	target_iqn a b

dir: local
	path /var/lib/vz
CFG
@warned = ();
my $cfg = PVE::Storage::Plugin->parse_config('storage.cfg', $file);
my $scfg = $cfg->{ids}->{tn};
is_deeply(
    [map { $scfg->{$_} } qw(api_retry_max tn_compression api_timeout target_iqn)],
    ['11', 'lzma', 'soon', 'a b'], 'what is wrong comes as far as the daemon',
);
is_deeply([grep { !/tn_sparse/ } @warned], [], 'PVE passes over nothing of it');
ok(!exists($scfg->{tn_sparse}), 'but a wrong boolean, which the daemon finds in the file');
my $again = PVE::Storage::Plugin->parse_config('storage.cfg', PVE::Storage::Plugin->write_config('storage.cfg', $cfg));
is($again->{ids}->{tn}->{api_retry_max}, '11', 'and PVE does not remove the line when it writes the file for another reason');

daemon(map { $_ => $refused } qw(storage.check storage.activate storage.status));
@warned = ();
is($plugin->check_connection('tn', $scfg), 0, 'the storage is not online');
is(scalar(@warned), 1, 'one line in the log');
like($warned[0], qr/\Astorage 'tn' cannot be used with these settings: api_retry_max: '11' is not [^|]* \| dataset: [^|]* \| warning: .*\(CONFIG_INVALID\)\n\z/, 'with all reasons');
unlike($warned[0], qr/storage 'tn'.*storage 'tn'/, 'the storage named once');
is($plugin->check_connection('tn', $scfg), 0, 'asked again it is still not online');
is(scalar(@warned), 1, 'but the log is not filled');
is_deeply([$plugin->status('tn', $scfg, {})], [], 'status is inactive, without dying');
is(eval { $plugin->activate_storage('tn', $scfg, {}); 1 }, undef, 'nor can it be activated');
like($@, qr/^  api_retry_max: .*\n  dataset: /m, 'for all its faults');
is(eval { PVE::Storage::activate_storage($cfg, 'tn'); 1 }, undef, 'PVE goes on to say');
is($@, "storage 'tn' is not online\n", 'what it says of every such storage');

# and nothing else on the node
daemon('storage.status' => [result => { active => JSON::PP::true(), total => 10, available => 4, used => 6 }]);
is($plugin->check_connection('other', section()), 1, 'another storage of the type is online');
is_deeply([$plugin->status('other', section(), {})], [10, 4, 6, 1], 'and active');
is($cfg->{ids}->{tn}->{type}, 'truenasplugin', 'the wrong section is still a section: PVE lists all storages');

done_testing();
