use strict;
use warnings;

use File::Temp ();
use Test::More;

use FakeDaemon;
use PVE::Storage;
use PVE::Storage::Custom::TrueNASPlugin;

my $plugin = 'PVE::Storage::Custom::TrueNASPlugin';
my ($dir) = File::Temp::tempdir(CLEANUP => 1) =~ /^(.+)\z/s;
$PVE::Storage::Custom::TrueNASPlugin::SECRETS = "$dir/storage";
$PVE::Storage::Custom::TrueNASPlugin::RESTART_GRACE = 0.2;
$plugin->register();
PVE::Storage::Plugin->init();

sub content {
    my ($name) = @_;
    open(my $handle, '<', "$dir/storage/$name") or return;
    local $/ = undef;
    return <$handle>;
}

sub files {
    opendir(my $handle, "$dir/storage") or return [];
    return [sort grep { !/^\.\.?\z/ } readdir($handle)];
}

my @warned;
$SIG{__WARN__} = sub { push @warned, $_[0] };
my $daemon;

sub daemon {
    my ($answer) = @_;
    $daemon->stop() if $daemon;
    $daemon = FakeDaemon->start(sub { return $_[0] eq 'storage.validate' ? @$answer : (result => {}) });
    $ENV{PVE_TRUENAS_SOCKET} = $daemon->path();
    return;
}
my $accepts = [result => { warnings => [] }];
my $refuses = [error => { message => 'the API key is wrong', data => { code => 'AUTH_FAILED', hints => ['a', 'b'] } }];

# ---- add

my $section = sub { return { type => 'truenasplugin', api_host => 'nas.example', dataset => 'tank/p', @_ } };
daemon($accepts);
my $scfg = $section->();
is($plugin->on_add_hook('tn', $scfg, api_key => '1-first', chap_password => 'with a blank'), undef, 'on_add_hook');
is(content('tn.api_key'), "1-first\n", 'F-362: the key has its own file');
is(content('tn.chap_password'), "with a blank\n", 'and the CHAP secret too');
is((stat("$dir/storage/tn.api_key"))[2] & 0777, 0600, 'readable by root alone');
my ($call) = $daemon->calls();
is($call->{params}->{action}, 'add', 'the daemon checks the section');
unlike(join(' ', map { JSON::PP->new->encode($_) } $daemon->calls()), qr/1-first|blank/, 'law 10: no secret on the socket');

daemon($refuses);
is(eval { $plugin->on_add_hook('bad', $section->(), api_key => '1-wrong'); 1 }, undef, 'a refused add dies');
is($@, "the API key is wrong\nWhat to check:\n  - a\n  - b\n(AUTH_FAILED)\n", 'with all reasons');
is_deeply(files(), ['tn.api_key', 'tn.chap_password'], 'and leaves no file');
is(eval { $plugin->on_add_hook('tn', $section->(), tn_api_key => '1-wrong'); 1 }, undef, 'refused where a file was already');
is(content('tn.api_key'), "1-first\n", 'the old content is back');
$daemon->stop();
is(eval { $plugin->on_add_hook('bad', $section->(), api_key => '1-x'); 1 }, undef, 'without a daemon nothing is added');
like($@, qr/systemctl start pve-truenasd/, 'the command is named');
is_deeply(files(), ['tn.api_key', 'tn.chap_password'], 'and nothing is left');

daemon($accepts);
is(eval { $plugin->on_add_hook('x2', $section->(), api_key => '1-a', tn_api_key => '1-b'); 1 }, undef, 'two names, two values');
like($@, qr/two different values/, 'refused');
$plugin->on_add_hook('x2', $section->(), api_key => '1-a', tn_api_key => '1-a');
is(content('x2.api_key'), "1-a\n", 'two names, one value');
for my $bad ('', ' ', "a\nb", "a\0b", "1-k\n", 'x' x 1001, "\x{e9}", ' 1-k') {
    is(eval { $plugin->on_add_hook('x3', $section->(), api_key => $bad); 1 }, undef, 'a key that is none is refused');
    like($@, qr/\Aapi_key: must be one line/, 'without showing it');
}
is_deeply([grep { /^x3/ } @{ files() }], [], 'nothing of it was kept');
is(eval { $plugin->on_add_hook('../evil', $section->(), api_key => '1-k'); 1 }, undef, 'a hostile storage id');
ok(!-e "$dir/evil.api_key", 'writes nothing elsewhere');

# storage API 10 leaves the secrets in the section that is going to be written
my $old = $section->(api_key => '1-old-api', tn_chap_password => 'old-chap');
$plugin->on_add_hook('old', $old);
is(content('old.api_key'), "1-old-api\n", 'storage API 10: taken out of the section');
is(content('old.chap_password'), "old-chap\n", 'under each name');
is_deeply([grep { /key|password/ } keys %$old], [], 'so that storage.cfg has none');
is_deeply(\@warned, [], 'no warning so far');

daemon([result => { warnings => [{ setting => 'debug', severity => 'warning', message => 'has no effect', cure => 'remove it' }, 'odd'] }]);
$plugin->on_add_hook('warn', $section->(), api_key => '1-k');
is_deeply(\@warned, ["storage 'warn': debug: has no effect; remove it\n"], "the daemon's warnings are shown");
@warned = ();

# ---- update

daemon($accepts);
my $current = $section->();
$plugin->on_update_hook_full('tn', $current, {}, undef, { api_key => '1-second' });
is(content('tn.api_key'), "1-second\n", 'F-703: the key is rotated');
is(content('tn.chap_password'), "with a blank\n", 'the other secret stays');
is(($daemon->calls())[0]->{params}->{action}, 'update', 'checked before');
$daemon->forget_calls();

$plugin->on_update_hook_full('tn', $current, { disable => 1, nodes => { pve1 => 1 } }, [], {});
is_deeply([$daemon->calls()], [], 'PVE\'s own settings need no array: a storage that is gone can be disabled');
$plugin->on_update_hook_full('tn', $section->(prefer_ipv4 => 1), { api_host => 'other.example' }, ['prefer_ipv4'], {});
my $sent = ($daemon->calls())[0]->{params}->{storage}->{config};
is_deeply([@$sent{qw(api_host prefer_ipv4 dataset)}], ['other.example', undef, 'tank/p'], 'the daemon sees the section as it will be');

$plugin->on_update_hook_full('tn', $current, {}, ['chap_password'], { chap_password => undef });
is_deeply([grep { /^tn\./ } @{ files() }], ['tn.api_key'], 'a deleted secret loses its file');

my $inline = $section->(tn_api_key => '1-inline');
$plugin->on_update_hook_full('tn', $inline, {}, [], { api_key => '1-third' });
ok(!exists($inline->{tn_api_key}), 'a key that stood in storage.cfg is taken out of it');
is(content('tn.api_key'), "1-third\n", 'when it gets its file');

daemon($refuses);
is(eval { $plugin->on_update_hook_full('tn', $current, {}, [], { api_key => '1-wrong', chap_password => 'new-secret' }); 1 }, undef, 'a refused update dies');
is(content('tn.api_key'), "1-third\n", 'the key is as before');
ok(!defined(content('tn.chap_password')), 'what was not there is not there again');
is(eval { $plugin->on_update_hook_full('tn', $inline = $section->(api_key => '1-inline'), {}, [], { api_key => '1-wrong' }); 1 }, undef, 'refused with a key in storage.cfg');
is($inline->{api_key}, '1-inline', 'which stays where it is');
{
    local $SIG{ALRM} = sub { die "got timeout\n" };
    daemon([silence => 1]);
    Time::HiRes::alarm(1);
    eval { $plugin->on_update_hook_full('tn', $current, {}, [], { api_key => '1-wrong' }) };
    my $thrown = $@;
    Time::HiRes::alarm(0);
    is($thrown, "got timeout\n", 'a lock that times out');
    is(content('tn.api_key'), "1-third\n", 'restores the old key as well');
}

# storage API before 13: no present section, no list of deletions
daemon($accepts);
@warned = ();
$PVE::Storage::config = { ids => { tn => $section->(), leg => $section->(api_key => '1-in-cfg') } };
$plugin->on_update_hook('tn', { api_host => 'third.example' }, api_key => '1-fourth');
is(content('tn.api_key'), "1-fourth\n", 'on_update_hook: key');
$sent = ($daemon->calls())[0]->{params}->{storage}->{config};
is_deeply([@$sent{qw(api_host dataset)}], ['third.example', 'tank/p'], 'and section');
is_deeply(\@warned, [], 'no warning');

# ---- a key in storage.cfg works and is warned about, once

$plugin->on_update_hook('leg', { api_host => 'x.example' });
$plugin->activate_storage('leg', $PVE::Storage::config->{ids}->{leg}, {}) for 1 .. 3;
is(scalar(@warned), 1, 'one warning in a process');
like($warned[0], qr/\Astorage 'leg': api_key stands in \/etc\/pve\/storage\.cfg, .*pvesm set leg --api_key/, 'with the cure');
unlike($warned[0], qr/1-in-cfg/, 'and without the key');

# ---- delete

$daemon->forget_calls();
is($plugin->on_delete_hook('tn', $section->()), undef, 'on_delete_hook');
is_deeply([grep { /^tn\./ } @{ files() }], [], 'the files are gone');
is_deeply([map { $_->{method} } $daemon->calls()], ['storage.forget'], 'and the daemon forgets');
ok(defined(content('old.api_key')), 'those of other storages stay');
$daemon->stop();
is($plugin->on_delete_hook('old', $section->()), undef, 'a storage can be removed without a daemon');
is_deeply([grep { /^old\./ } @{ files() }], [], 'with its files');
is($plugin->on_delete_hook('old', $section->()), undef, 'twice');

done_testing();
