package PVE::Storage::Plugin;

# Stand-in for PVE::Storage::Plugin and PVE::SectionConfig: registration, the merge of all properties with its two fatal
# errors, parsing and writing of storage.cfg, and the base methods that the plugin does not replace. It behaves as
# PVE's does where the plugin can notice; it is not PVE's code (see ../../../README.md).

use strict;
use warnings;

use PVE::Tools;

our @SHARED_STORAGE = ('nfs', 'rbd');

my $data = {};

sub reset_all {
    $data = {
        plugins => {},
        plugindata => {},
        options => {},
        propertyList => { map { $_ => { type => 'string', optional => 1 } } qw(type storage nodes content disable shared format port) },
    };
    return;
}
reset_all();

sub private { return $data }

sub register {
    my ($class) = @_;
    my $type = $class->type();
    die "duplicate plugin registration (type = $type)" if $data->{plugins}->{$type};
    $data->{plugindata}->{$type} = $class->plugindata();
    $data->{plugins}->{$type} = $class;
    return;
}

sub lookup {
    my ($class, $type) = @_;
    return $data->{plugins}->{$type} // die "unknown section type '$type'\n";
}

# merges the properties in the given order of types; PVE's order is that of a hash
sub init {
    my ($class, @order) = @_;
    @order = sort keys %{ $data->{plugins} } if !@order;
    for my $type (@order) {
        my $properties = $data->{plugins}->{$type}->properties();
        for my $name (keys %$properties) {
            die "duplicate property '$name'" if $data->{propertyList}->{$name};
            $data->{propertyList}->{$name} = { %{ $properties->{$name} }, optional => 1 };
        }
    }
    for my $type (@order) {
        my $options = $data->{plugins}->{$type}->options();
        for my $name (keys %$options) {
            die "undefined property '$name'" if !$data->{propertyList}->{$name};
        }
        $data->{options}->{$type} = $options;
    }
    return;
}

sub decode_value {
    my ($class, $type, $key, $value) = @_;
    return { map { $_ => 1 } PVE::Tools::split_list($value) } if $key eq 'content' || $key eq 'nodes';
    return $value;
}

sub check_config {
    my ($class, $storeid, $config, $create, $skip_schema) = @_;
    my $type = $class->type();
    my $options = $data->{options}->{$type};
    my $section = { type => $type };
    for my $key (keys %$config) {
        die "unexpected property '$key'\n" if !$options->{$key};
        die "can't change value of fixed parameter '$key'\n" if !$create && $options->{$key}->{fixed};
        $section->{$key} = $class->decode_value($type, $key, $class->check_value($key, $config->{$key}, $skip_schema));
    }
    return $section;
}

# what PVE lets pass as the value of a property, from a command line and from storage.cfg alike
sub check_value {
    my ($class, $key, $value, $skip_schema) = @_;
    my $schema = $data->{propertyList}->{$key} or die "unknown property type\n";
    my $type = $schema->{type};
    $value = 1 if $type eq 'boolean' && !defined($value);
    die "got undefined value\n" if !defined($value);
    die "property contains a line feed\n" if $value =~ /[\r\n]/;
    if (!$skip_schema) {
        my $form = { boolean => qr/[01]/, integer => qr/[+-]?[0-9]+/, number => qr/[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)/ }->{$type};
        die "type check ('$type') failed - got '$value'\n" if $form && $value !~ /^$form\z/;
        die "value does not match the regex pattern\n" if defined($schema->{pattern}) && $value !~ /^$schema->{pattern}\z/;
        die "value must have a maximum value of $schema->{maximum}\n" if defined($schema->{maximum}) && $value > $schema->{maximum};
        die "value must have a minimum value of $schema->{minimum}\n" if defined($schema->{minimum}) && $value < $schema->{minimum};
        die "value '$value' does not have a value in the enumeration\n" if $schema->{enum} && !grep { $_ eq $value } @{ $schema->{enum} };
    }
    return $type =~ /^(?:boolean|integer|number)\z/ ? $value + 0 : $value;
}

# storage.cfg as PVE reads it, with the sections of registered types only
sub parse_config {
    my ($class, $file, $raw) = @_;
    my $ids = {};
    for my $block (split(/\n\s*\n/, $raw)) {
        my ($head, @lines) = grep { !/^\s*(?:#|\z)/ } split(/\n/, $block);
        next if !defined($head) || $head !~ /^(\S+):\s*(\S+)\s*\z/;
        my ($type, $storeid, $settings) = (lc($1), $2, {});
        my $plugin = $data->{plugins}->{$type} or next;
        # a property that cannot be read is passed over with a warning, the rest of the section counts
        for my $line (@lines) {
            next if $line !~ /^\s+(\S+)(?:\s+(.*?))?\s*\z/;
            my ($key, $value) = ($1, $2);
            $value = undef if defined($value) && $value eq '';
            my $read = eval {
                die "unexpected property '$key'\n" if !$data->{options}->{$type}->{$key};
                die "duplicate attribute\n" if defined($settings->{$key});
                $settings->{$key} = $class->check_value($key, $value);
                1;
            };
            warn "file $file (section '$storeid') - unable to parse value of '$key': $@" if !$read;
        }
        my $section = $plugin->check_config($storeid, $settings, 1, 1);
        $section->{content} //= $data->{plugindata}->{$type}->{content}->[1];
        $section->{shared} = 1 if grep { $_ eq $type } @SHARED_STORAGE;
        $ids->{$storeid} = $section;
    }
    return { ids => $ids };
}

sub write_config {
    my ($class, $file, $config) = @_;
    my $text = '';
    for my $storeid (sort keys %{ $config->{ids} }) {
        my $section = $config->{ids}->{$storeid};
        $text .= "$section->{type}: $storeid\n";
        for my $key (sort grep { $_ ne 'type' } keys %$section) {
            my $value = $section->{$key};
            $value = join(',', sort keys %$value) if ref($value);
            $text .= "\t$key $value\n";
        }
        $text .= "\n";
    }
    return $text;
}

sub qemu_blockdev_options {
    my ($class, $scfg, $storeid, $volname, $machine_version, $options) = @_;
    my ($path) = $class->path($scfg, $volname, $storeid, $options->{'snapshot-name'});
    return { driver => 'host_device', filename => $path };
}

# runs the code at once: the callers of this stand-in want to see what happens without PVE's lock
sub cluster_lock_storage {
    my ($class, $storeid, $shared, $timeout, $code, @params) = @_;
    return $code->(@params);
}

sub on_update_hook_full {
    my ($class, $storeid, $scfg, $update, $delete, $sensitive) = @_;
    return $class->on_update_hook($storeid, $update, %$sensitive);
}

1;
