package PVE::Tools;

# Stand-in for the parts of PVE::Tools that the plugin uses. Not PVE's code; see ../../README.md.

use strict;
use warnings;

# Writes a file in one step: a temporary one beside it, then a rename.
sub file_set_contents {
    my ($file, $data, $mode) = @_;
    my $temporary = "$file.tmp.$$";
    unlink($temporary);
    sysopen(my $handle, $temporary, Fcntl::O_WRONLY() | Fcntl::O_CREAT() | Fcntl::O_EXCL(), $mode // 0644)
        or die "unable to open file '$temporary' - $!\n";
    print {$handle} $data or die "unable to write '$temporary' - $!\n";
    close($handle) or die "closing file '$temporary' failed - $!\n";
    rename($temporary, $file) or die "unable to rename '$temporary' - $!\n";
    return;
}

sub split_list {
    my ($text) = @_;
    return grep { length } split(/[\s,;]+/, $text // '');
}

require Fcntl;

1;
