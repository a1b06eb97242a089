package PVE::Storage::Custom::OtherPlugin;

# Another vendor's plugin, with a property that has the name of one of ours.

use strict;
use warnings;
use parent 'PVE::Storage::Plugin';

sub api { return 11 }
sub type { return 'otherplugin' }
sub plugindata { return { content => [{ images => 1 }, { images => 1 }] } }
sub properties { return { api_host => { type => 'string', description => 'address' } } }
sub options { return { api_host => { optional => 1 } } }

1;
