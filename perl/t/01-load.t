use strict;
use warnings;

use Test::More;

my @noise;
BEGIN { $SIG{__WARN__} = sub { push @noise, $_[0] } }

use PVE::Storage;
use PVE::Storage::Custom::TrueNASPlugin;

my $plugin = 'PVE::Storage::Custom::TrueNASPlugin';
is_deeply(\@noise, [], 'loading says nothing');
is($plugin->type(), 'truenasplugin', 'type');
is(scalar(grep { $_ eq 'truenasplugin' } @PVE::Storage::Plugin::SHARED_STORAGE), 1, 'the type is shared');

# F-021, F-361: a fixed api() either warns in every command or does not load at all
for my $case ([9, 9], [10, 10], [11, 11], [13, 13], [15, 15], [16, 15], [99, 15]) {
    local $PVE::Storage::api_version = $case->[0];
    is($plugin->api(), $case->[1], "F-361: api() is $case->[1] on a host with $case->[0]");
}

my $data = $plugin->plugindata();
is_deeply([sort keys %{ $data->{content}->[0] }], [qw(images none rootdir)], 'content types that may stand in a section');
is_deeply($data->{format}, [{ raw => 1 }, 'raw'], 'format');
is_deeply(
    [sort keys %{ $data->{'sensitive-properties'} }],
    [qw(api_key chap_password nvme_dhchap_ctrl_secret nvme_dhchap_secret),
        qw(tn_api_key tn_chap_password tn_nvme_dhchap_ctrl_secret tn_nvme_dhchap_secret)],
    'F-362: every secret is a sensitive property',
);

my $options = $plugin->options();
is_deeply([grep { !$options->{$_}->{optional} } sort keys %$options], [], 'every option is optional');
ok(!exists($options->{path}), 'no option `path`: PVE would take it for a file storage');
ok(!$options->{$_}->{fixed}, "F-362: $_ can be changed") for qw(api_key tn_api_key api_host tn_api_host discovery_portal fingerprint);
ok($options->{$_}, "option $_") for qw(nodes content disable shared bwlimit fingerprint);

# F-022, F-378: sections of the plugins that this one replaces keep working
my @ancestor = qw(api_host api_insecure api_key api_port api_retry_delay api_retry_max api_scheme api_transport chap_password chap_user
    dataset debug discovery_portal enable_bulk_operations enable_live_snapshots force_delete_on_inuse hostnqn ipv6_by_path
    logout_on_free nvme_dhchap_ctrl_secret nvme_dhchap_secret portals prefer_ipv4 snapshot_volume_chains subsystem_nqn target_iqn
    tn_sparse transport_mode use_by_path use_multipath vmstate_storage zvol_blocksize);
my @official = map { "tn_$_" } qw(api_host api_key api_scheme api_transport api_port api_insecure prefer_ipv4 dataset zvol_blocksize
    transport_mode target_iqn discovery_portal portals use_multipath force_delete_on_inuse logout_on_free use_by_path ipv6_by_path debug
    chap_user chap_password subsystem_nqn hostnqn nvme_dhchap_secret nvme_dhchap_ctrl_secret nvme_allow_any_host compression sparse
    enable_live_snapshots snapshot_volume_chains vmstate_storage enable_bulk_operations api_retry_max api_retry_delay
    storage_lock_timeout use_cluster_lock device_ready_retries broker_timeout nr_io_queues nvme_ctrl_loss_tmo nvme_reconnect_delay
    nvme_keep_alive_tmo api_budget_s status_probe_backoff_s api_key_file transport);
is_deeply([grep { !$options->{$_} } @ancestor], [], 'F-022: all settings of the ancestor plugin are accepted');
is_deeply([grep { !$options->{$_} } @official], [], 'F-401..F-442: all settings of the official plugin are accepted');

# ---- the merge of all plugins' properties: one name twice, or an option without a property, kills every PVE program

{
    package Fake;
    sub new_type {
        my ($class, $type, $properties, $pd) = @_;
        my $package = "Fake::$type";
        no strict 'refs';
        @{"${package}::ISA"} = ('PVE::Storage::Plugin');
        *{"${package}::type"} = sub { return $type };
        *{"${package}::plugindata"} = sub { return { content => [{ images => 1 }, { images => 1 }], %{ $pd // {} } } };
        *{"${package}::properties"} = sub { return { map { $_ => { type => 'boolean' } } @$properties } };
        *{"${package}::options"} = sub { return { map { $_ => { optional => 1 } } @$properties } };
        return $package;
    }
}

my $fakes = {
    pbs => Fake->new_type('pbs', ['fingerprint', 'username', 'datastore']),
    dir => Fake->new_type('dir', ['bwlimit', 'is_mountpoint']),
    joviandss => Fake->new_type('joviandss', ['debug', 'multipath', 'api_host']),
};

sub merged {
    my ($types, $order) = @_;
    PVE::Storage::Plugin::reset_all();
    $_->register() for map { $_ eq 'truenasplugin' ? $plugin : $fakes->{$_} } @$types;
    eval { PVE::Storage::Plugin->init(@$order); 1 } or return $@;
    return '';
}

my @all = qw(truenasplugin pbs dir joviandss);
is(merged(['truenasplugin'], ['truenasplugin']), '', 'alone: every option has a property');
for my $registered ([@all], [reverse(@all)]) {
    for my $first (@all) {
        my @order = ($first, grep { $_ ne $first } @all);
        is(merged($registered, [@order]), '', "merge with @order, registered @$registered");
        is(merged($registered, [reverse(@order)]), '', "merge with @{[reverse(@order)]}");
    }
}
my $list = PVE::Storage::Plugin->private()->{propertyList};
is($list->{debug}->{type}, 'boolean', 'a name that another plugin declares is left to it');
is($list->{api_port}->{type}, 'string', 'a name that nobody else declares has our schema');
is_deeply(
    [grep { my $schema = $list->{$_}; grep { exists($schema->{$_}) } qw(minimum maximum enum pattern format) } keys %{ $plugin->properties() }],
    [], 'no range and no list of words: PVE would pass over the line in storage.cfg and use the default, the daemon says what is wrong',
);
ok(PVE::Storage::Plugin->private()->{options}->{truenasplugin}->{debug}, 'the foreign property is still our option');
is_deeply([grep { exists($plugin->properties()->{$_}) } qw(content nodes disable shared bwlimit fingerprint debug)], [], 'none of those is ours');
ok(exists($plugin->properties()->{api_key}), 'asked again after the merge, our own names are still ours');

PVE::Storage::Plugin::reset_all();
$plugin->register();
PVE::Storage::Plugin->private()->{'base-property-list'} = {};
Fake->new_type('hidden', ['api_host', 'dataset'], { 'isolate-properties' => 1, 'expose-properties' => { dataset => 1 } })->register();
my $own = $plugin->properties();
ok($own->{api_host}, 'a property that another plugin keeps to itself is declared by us');
ok(!$own->{dataset}, 'one that it shows is not');

{
    package Fake::curious;
    our @ISA = ('PVE::Storage::Plugin');
    sub type { return 'curious' }
    sub plugindata { return {} }
    sub properties { PVE::Storage::Custom::TrueNASPlugin->properties(); return { debug => { type => 'integer' } } }
    sub options { return {} }
}
PVE::Storage::Plugin::reset_all();
$_->register() for $plugin, 'Fake::curious';
is(eval { PVE::Storage::Plugin->init(); 'merged' }, 'merged', 'a plugin that asks for our properties in its own does not recurse');

my %seen;
for my $name (sort keys %$own) {
    my $schema = $own->{$name};
    like($schema->{type}, qr/^(?:string|boolean|integer|number)\z/, "$name: type that PVE knows") if !$seen{ $schema->{type} }++;
    fail("$name: description is not plain ASCII") if ($schema->{description} // '') !~ /^[\x20-\x7e]+\z/;
}

# check_config dies at no value: it runs at every parse, and a section that fails takes the storage list down with it
PVE::Storage::Plugin::reset_all();
$plugin->register();
PVE::Storage::Plugin->init();
my $section = eval { $plugin->check_config('tn', { api_host => '!!', transport_mode => 'pigeon', api_scheme => 'ftp' }, 1, 1) };
is($section && $section->{transport_mode}, 'pigeon', 'check_config accepts what the daemon will refuse');
is_deeply(\@noise, [], 'no warning in all of this');

done_testing();
