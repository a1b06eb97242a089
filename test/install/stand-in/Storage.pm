package PVE::Storage;

# Stand-in for PVE::Storage in a Debian tree without PVE: finds custom plugins and takes them in, with the checks, warnings and fatal errors
# that the package can meet. Not PVE's code.

use strict;
use warnings;

use PVE::Storage::Plugin;

our $DIRECTORY = '/usr/share/perl5/PVE/Storage/Custom';
our $api_version = 15;
my $api_age = 6;

sub APIVER { return $api_version }
sub APIAGE { return $api_age }

for my $path (sort glob("$DIRECTORY/*.pm")) {
    my ($name) = $path =~ m{/([A-Za-z0-9_]+)\.pm\z} or next;
    my $class = "PVE::Storage::Custom::$name";
    my $taken = eval {
        require "PVE/Storage/Custom/$name.pm";
        die "is no storage plugin\n" if !$class->isa('PVE::Storage::Plugin') || !$class->can('api');
        my $version = $class->api();
        die "storage API $version is not in " . ($api_version - $api_age) . "..$api_version\n"
            if $version > $api_version || $version < $api_version - $api_age;
        $class->register();
        1;
    };
    warn "Error loading storage plugin \"$class\": $@" if !$taken;
}
# as with PVE: two plugins that define one property end every program
PVE::Storage::Plugin->init();

1;
