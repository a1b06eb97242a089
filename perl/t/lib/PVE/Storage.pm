package PVE::Storage;

# Stand-in for PVE::Storage: the storage API's version, the configuration, and the few lines around each call of a plugin
# that PVE itself has (check_connection and activate_storage first, the storage lock). Not PVE's code; see ../../README.md.

use strict;
use warnings;

use PVE::Storage::Plugin;

our $api_version = 15;
our $config = { ids => {} };

sub APIVER { return $api_version }

sub config { return $config }

sub storage_config {
    my ($cfg, $storeid, $noerr) = @_;
    my $section = $cfg->{ids}->{$storeid};
    die "storage '$storeid' does not exist\n" if !$section && !$noerr;
    return $section;
}

sub parse_volume_id {
    my ($volid) = @_;
    return ($1, $2) if $volid =~ /^([a-z][a-z0-9_.-]*[a-z0-9]):(.+)\z/is;
    die "unable to parse volume ID '$volid'\n";
}

sub activate_storage {
    my ($cfg, $storeid) = @_;
    my $section = storage_config($cfg, $storeid);
    my $plugin = PVE::Storage::Plugin->lookup($section->{type});
    die "storage '$storeid' is not online\n" if !$plugin->check_connection($storeid, $section);
    $plugin->activate_storage($storeid, $section, {});
    return;
}

1;
