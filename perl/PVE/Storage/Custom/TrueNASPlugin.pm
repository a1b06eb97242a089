package PVE::Storage::Custom::TrueNASPlugin;

# Storage type `truenasplugin`: the thin side of pve-truenas inside PVE's processes. Names, paths, features and the schema
# are answered here, without any I/O; everything else is one line of JSON-RPC on the socket of the node's daemon pve-truenasd.
#
# PVE loads this file into every program that touches storage, partly under `perl -T`. So it uses core Perl and what
# libpve-storage-perl depends on, prints nothing to STDOUT, keeps no connection (workers fork), uses no alarm(), dies neither
# at load nor in check_config, and untaints by pattern all that it returns.
#
# One file, long as it is: PVE takes each file beside it for a plugin of its own.

use strict;
use warnings;

use Errno qw(EACCES EAGAIN ECONNREFUSED EINTR ENOENT EPERM);
use Socket qw(MSG_NOSIGNAL PF_UNIX SOCK_CLOEXEC SOCK_NONBLOCK SOCK_STREAM pack_sockaddr_un);
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime);

use PVE::Tools;

use base qw(PVE::Storage::Plugin);

# Every section of this type is shared; without it migration takes the disks for local ones.
push @PVE::Storage::Plugin::SHARED_STORAGE, 'truenasplugin';

# JSON comes with libpve-storage-perl and is fast; JSON::PP is core Perl
my $JSON = eval { require JSON; 1 } ? 'JSON' : do { require JSON::PP; 'JSON::PP' };

# newest storage API that this file was tried with
my $NEWEST_API = 15;
my $PROTOCOL = 1;

# Places. Variables, so that tests can move them.
our $SOCKET = '/run/pve-truenas/daemon.sock';
our $DEVICES = '/dev/pve-truenas';
our $DIRECT = '/run/pve-truenas/direct';
our $SECRETS = '/etc/pve/priv/storage';

# bytes; a longer answer is not believed
our $MAX_ANSWER = 64 * 1024 * 1024;
# s; how long a call that could not be sent is tried again: the daemon may just be restarting. Where systemd holds the socket this is not
# needed: there a call waits at the socket, up to its own budget.
our $RESTART_GRACE = 2.5;

# Budget of each method in seconds. The daemon gets it as deadline_ms and answers within it; the socket is read a little
# longer, so that the daemon's own account of a delay arrives. What PVE runs under its storage lock stays below the 60 s
# after which PVE kills it. `polled`: budget in pvestatd, which asks all storages one after the other. `quick`: do not wait
# for a restarting daemon, PVE asks again anyway. `again`: may be repeated when the connection broke before an answer came.
my $METHODS = {
    'storage.validate' => { seconds => 27, again => 1 },
    'storage.forget' => { seconds => 5, quick => 1 },
    'storage.check' => { seconds => 5, polled => 2, quick => 1 },
    'storage.activate' => { seconds => 15, polled => 2, again => 1 },
    'storage.status' => { seconds => 5, polled => 2, quick => 1 },
    'volume.list' => { seconds => 10, again => 1 },
    'volume.allocate' => { seconds => 50 },
    'volume.free' => { seconds => 45 }, # a list may have gone before it under the same lock
    'volume.size' => { seconds => 10, again => 1 },
    'volume.path' => { seconds => 5, quick => 1 },
    'volume.activate' => { seconds => 75, again => 1 },
    'volume.deactivate' => { seconds => 30, again => 1 },
    'volume.map' => { seconds => 75, again => 1 },
    'volume.resize' => { seconds => 50 },
    'snapshot.create' => { seconds => 30 },
    'snapshot.delete' => { seconds => 50 },
    'snapshot.rollback' => { seconds => 110 },
    'snapshot.rollback-check' => { seconds => 15, again => 1 },
    'snapshot.list' => { seconds => 10, again => 1 },
};

# name => [schema, marks]. From src/config/schema.ts by tools/perl-schema/generate.ts; do not edit.
my $SETTINGS = {
    # BEGIN GENERATED SCHEMA
    'api_host' => [{ type => 'string', description => 'Host name or IP address of TrueNAS. IPv6 addresses may stand in brackets.', optional => 1 }, {}],
    'tn_api_host' => [{ type => 'string', description => 'Another name of api_host.', optional => 1 }, {}],
    'api_key' => [{ type => 'string', description => 'Key of a TrueNAS user. Kept in /etc/pve/priv/storage/STORAGE.api_key; a key that stands in storage.cfg still works and is warned about.', optional => 1 }, { secret => 'api_key' }],
    'tn_api_key' => [{ type => 'string', description => 'Another name of api_key.', optional => 1 }, { secret => 'api_key' }],
    'truenas-username' => [{ type => 'string', description => 'TrueNAS user to whom the API key belongs. Unset: TrueNAS is asked with the key alone.', optional => 1 }, {}],
    'api_scheme' => [{ type => 'string', default => 'wss', description => 'wss (or https). TrueNAS revokes an API key that is sent over ws (or http), so these are refused, except for a host that is this node itself (127.0.0.0/8, ::1, localhost): the near end of a tunnel.', optional => 1 }, {}],
    'tn_api_scheme' => [{ type => 'string', default => 'wss', description => 'Another name of api_scheme.', optional => 1 }, {}],
    'api_port' => [{ type => 'string', description => 'TCP port of the API. Default: 443 for wss, 80 for ws. Value: a whole number from 1 to 65535.', optional => 1 }, {}],
    'tn_api_port' => [{ type => 'string', description => 'Another name of api_port.', optional => 1 }, {}],
    'api_insecure' => [{ type => 'boolean', default => 0, description => 'Accepts any certificate. Use `fingerprint` instead: it accepts exactly the one of your TrueNAS.', optional => 1 }, {}],
    'tn_api_insecure' => [{ type => 'boolean', default => 0, description => 'Another name of api_insecure.', optional => 1 }, {}],
    'fingerprint' => [{ type => 'string', description => 'SHA-256 fingerprint of the certificate of TrueNAS. Pins a self-signed certificate.', optional => 1 }, {}],
    'truenas-ca' => [{ type => 'string', description => 'PEM file with a certificate authority to trust besides those of the system. The same path on every node.', optional => 1 }, {}],
    'prefer_ipv4' => [{ type => 'boolean', default => 1, description => 'Tries the IPv4 addresses of `api_host` first.', optional => 1 }, {}],
    'tn_prefer_ipv4' => [{ type => 'boolean', default => 1, description => 'Another name of prefer_ipv4.', optional => 1 }, {}],
    'api_timeout' => [{ type => 'string', default => '30', description => 'Longest wait for a connection to TrueNAS and for the answer to one call. Value: a number from 1 to 300 (s).', optional => 1 }, {}],
    'tn_api_timeout' => [{ type => 'string', default => '30', description => 'Another name of api_timeout.', optional => 1 }, {}],
    'api_retry_max' => [{ type => 'string', default => '3', description => 'How often a read is repeated. A change is never sent twice. Value: a whole number from 0 to 10.', optional => 1 }, {}],
    'tn_api_retry_max' => [{ type => 'string', default => '3', description => 'Another name of api_retry_max.', optional => 1 }, {}],
    'api_retry_delay' => [{ type => 'string', default => '1', description => 'Wait before the first retry; it doubles with each further one. Fractions count. Value: a number from 0.1 to 60 (s).', optional => 1 }, {}],
    'tn_api_retry_delay' => [{ type => 'string', default => '1', description => 'Another name of api_retry_delay.', optional => 1 }, {}],
    'api_connection_max_age' => [{ type => 'string', default => '3600', description => 'Age at which the session with TrueNAS is replaced by a new one, which is logged in before the old one is let go. Value: a whole number from 1 to 2419200 (s).', optional => 1 }, {}],
    'tn_api_connection_max_age' => [{ type => 'string', default => '3600', description => 'Another name of api_connection_max_age.', optional => 1 }, {}],
    'dataset' => [{ type => 'string', description => 'Parent dataset of the volumes, for example tank/proxmox. It must exist.', optional => 1 }, { fixed => 1 }],
    'tn_dataset' => [{ type => 'string', description => 'Another name of dataset.', optional => 1 }, { fixed => 1 }],
    'zvol_blocksize' => [{ type => 'string', default => '16K', description => 'volblocksize of new volumes. A volume whose size is no multiple of it gets the largest block size that fits, so sizes stay exact.', optional => 1 }, {}],
    'tn_zvol_blocksize' => [{ type => 'string', default => '16K', description => 'Another name of zvol_blocksize.', optional => 1 }, {}],
    'tn_sparse' => [{ type => 'boolean', default => 1, description => 'Makes new volumes without a reservation.', optional => 1 }, {}],
    'truenas-space-overhead' => [{ type => 'string', default => '20', description => 'What ZFS is taken to need beyond the size of a thick volume, in per cent of it: checked before a volume is made or grown. Value: a whole number from 0 to 100 (%).', optional => 1 }, {}],
    'truenas-force-size' => [{ type => 'boolean', default => 0, description => 'Lifts the rule of TrueNAS that one volume may take at most 80 % of the available space (force_size). Thin volumes may then be larger than the pool.', optional => 1 }, {}],
    'tn_compression' => [{ type => 'string', description => 'Compression of new volumes. Unset: inherited from the dataset. Value: one of OFF, LZ4, GZIP, GZIP-1, GZIP-9, ZSTD, ZSTD-1, ZSTD-3, ZSTD-5, ZSTD-7, ZSTD-9, ZLE, LZJB.', optional => 1 }, {}],
    'transport_mode' => [{ type => 'string', default => 'iscsi', description => 'iscsi. The word nvme-tcp is known, but this transport is not offered yet: a storage that asks for it is refused. Value: one of iscsi, nvme-tcp.', optional => 1 }, { fixed => 1 }],
    'tn_transport_mode' => [{ type => 'string', default => 'iscsi', description => 'Another name of transport_mode.', optional => 1 }, { fixed => 1 }],
    'target_iqn' => [{ type => 'string', description => 'Full IQN of the target, or its short name on TrueNAS. It must exist.', optional => 1 }, { fixed => 1 }],
    'tn_target_iqn' => [{ type => 'string', description => 'Another name of target_iqn.', optional => 1 }, { fixed => 1 }],
    'discovery_portal' => [{ type => 'string', description => 'Address of the first iSCSI portal. Port 3260 when none is given.', optional => 1 }, {}],
    'tn_discovery_portal' => [{ type => 'string', description => 'Another name of discovery_portal.', optional => 1 }, {}],
    'portals' => [{ type => 'string', description => 'Further portals of the same target, divided by commas.', optional => 1 }, {}],
    'tn_portals' => [{ type => 'string', description => 'Another name of portals.', optional => 1 }, {}],
    'use_multipath' => [{ type => 'boolean', default => 0, description => 'Uses the volumes through dm-multipath. Unset is off, as the Perl plugins behaved (their schema said on).', optional => 1 }, {}],
    'tn_use_multipath' => [{ type => 'boolean', default => 0, description => 'Another name of use_multipath.', optional => 1 }, {}],
    'truenas-initiator' => [{ type => 'string', default => 'kernel', description => 'kernel: the iSCSI initiator of the node. qemu: QEMU\'s own, with no device on the node; containers and TPM state then still use the kernel\'s. Value: one of kernel, qemu.', optional => 1 }, {}],
    'chap_user' => [{ type => 'string', description => 'User of one-way CHAP. The secret is `chap_password`.', optional => 1 }, {}],
    'tn_chap_user' => [{ type => 'string', description => 'Another name of chap_user.', optional => 1 }, {}],
    'chap_password' => [{ type => 'string', description => 'Secret of one-way CHAP. Kept in /etc/pve/priv/storage/STORAGE.chap_password; one that stands in storage.cfg still works and is warned about.', optional => 1 }, { secret => 'chap_password' }],
    'tn_chap_password' => [{ type => 'string', description => 'Another name of chap_password.', optional => 1 }, { secret => 'chap_password' }],
    'truenas-lun-rest' => [{ type => 'string', default => '3600', description => 'How long the LUN number of a freed volume is not given to another one: a node may still have the old device. Value: a whole number from 0 to 604800 (s).', optional => 1 }, {}],
    'tn_device_ready_retries' => [{ type => 'string', default => '600', description => 'Longest wait for the device of a volume to appear on the node, in tenths of a second: 600 are 60 s. Value: a whole number from 0 to 1200 (100 ms).', optional => 1 }, {}],
    'content' => [{ type => 'string', default => 'images,rootdir', description => 'What the storage is for: images (VM disks), rootdir (containers), none.', optional => 1 }, {}],
    'nodes' => [{ type => 'string', description => 'Nodes that use the storage. Unset: all.', optional => 1 }, {}],
    'disable' => [{ type => 'boolean', default => 0, description => 'Takes the storage out of use.', optional => 1 }, {}],
    'shared' => [{ type => 'boolean', default => 1, description => 'Always 1: every node sees the same volumes.', optional => 1 }, {}],
    'bwlimit' => [{ type => 'string', description => 'Limits of PVE\'s own copies (clone, move, restore, ...); PVE reads and applies it.', optional => 1 }, {}],
    'api_transport' => [{ type => 'string', description => 'Old choice of REST or WebSocket.', optional => 1 }, {}],
    'tn_api_transport' => [{ type => 'string', description => 'Another name of api_transport.', optional => 1 }, {}],
    'tn_transport' => [{ type => 'string', description => 'Named in documents of the official plugin.', optional => 1 }, {}],
    'tn_api_key_file' => [{ type => 'string', description => 'Named in documents of the official plugin.', optional => 1 }, {}],
    'tn_api_budget_s' => [{ type => 'string', description => 'Longest time of one call with all its retries. Value: a number from 0 to 1000000000 (s).', optional => 1 }, {}],
    'tn_broker_timeout' => [{ type => 'string', default => '60', description => 'Longest wait of the Perl code for its node daemon. Value: a whole number from 5 to 300 (s).', optional => 1 }, {}],
    'tn_status_probe_backoff_s' => [{ type => 'string', description => 'How long a failed connection was answered from memory. Value: a whole number from 0 to 1000000000 (s).', optional => 1 }, {}],
    'storage_lock_timeout' => [{ type => 'string', default => '120', description => 'Longest wait for the cluster lock of the storage. Value: a whole number from 10 to 600 (s).', optional => 1 }, {}],
    'tn_storage_lock_timeout' => [{ type => 'string', default => '120', description => 'Another name of storage_lock_timeout.', optional => 1 }, {}],
    'tn_use_cluster_lock' => [{ type => 'boolean', default => 0, description => 'Runs one operation at a time in the whole cluster.', optional => 1 }, {}],
    'enable_bulk_operations' => [{ type => 'boolean', default => 1, description => 'Was to put several changes into one call.', optional => 1 }, {}],
    'tn_enable_bulk_operations' => [{ type => 'boolean', default => 1, description => 'Another name of enable_bulk_operations.', optional => 1 }, {}],
    'enable_live_snapshots' => [{ type => 'boolean', default => 1, description => 'Was to allow snapshots of running guests; these always work.', optional => 1 }, {}],
    'tn_enable_live_snapshots' => [{ type => 'boolean', default => 1, description => 'Another name of enable_live_snapshots.', optional => 1 }, {}],
    'snapshot_volume_chains' => [{ type => 'boolean', default => 1, description => 'Was to allow snapshots as volume chains; ZFS snapshots are used.', optional => 1 }, {}],
    'tn_snapshot_volume_chains' => [{ type => 'boolean', default => 1, description => 'Another name of snapshot_volume_chains.', optional => 1 }, {}],
    'vmstate_storage' => [{ type => 'string', default => 'local', description => 'Was to choose the place of VM state; PVE chooses it.', optional => 1 }, {}],
    'tn_vmstate_storage' => [{ type => 'string', default => 'local', description => 'Another name of vmstate_storage.', optional => 1 }, {}],
    'force_delete_on_inuse' => [{ type => 'boolean', default => 0, description => 'Logged this node out of the target when a delete was refused.', optional => 1 }, {}],
    'tn_force_delete_on_inuse' => [{ type => 'boolean', default => 0, description => 'Another name of force_delete_on_inuse.', optional => 1 }, {}],
    'logout_on_free' => [{ type => 'boolean', default => 0, description => 'Logged out of the target when its last LUN was gone.', optional => 1 }, {}],
    'tn_logout_on_free' => [{ type => 'boolean', default => 0, description => 'Another name of logout_on_free.', optional => 1 }, {}],
    'use_by_path' => [{ type => 'boolean', default => 0, description => 'Handed /dev/disk/by-path names to QEMU.', optional => 1 }, {}],
    'tn_use_by_path' => [{ type => 'boolean', default => 0, description => 'Another name of use_by_path.', optional => 1 }, {}],
    'ipv6_by_path' => [{ type => 'boolean', default => 0, description => 'Was to adapt by-path names to IPv6 portals.', optional => 1 }, {}],
    'tn_ipv6_by_path' => [{ type => 'boolean', default => 0, description => 'Another name of ipv6_by_path.', optional => 1 }, {}],
    'debug' => [{ type => 'string', default => '0', description => 'Amount of log lines of the Perl code. Value: a whole number from 0 to 2.', optional => 1 }, {}],
    'tn_debug' => [{ type => 'string', default => '0', description => 'Another name of debug.', optional => 1 }, {}],
    'subsystem_nqn' => [{ type => 'string', description => 'NQN of the subsystem on TrueNAS.', optional => 1 }, { fixed => 1 }],
    'tn_subsystem_nqn' => [{ type => 'string', description => 'Another name of subsystem_nqn.', optional => 1 }, { fixed => 1 }],
    'hostnqn' => [{ type => 'string', description => 'NQN of this host.', optional => 1 }, {}],
    'tn_hostnqn' => [{ type => 'string', description => 'Another name of hostnqn.', optional => 1 }, {}],
    'nvme_dhchap_secret' => [{ type => 'string', description => 'Key with which the host proves itself.', optional => 1 }, { secret => 'nvme_dhchap_secret' }],
    'tn_nvme_dhchap_secret' => [{ type => 'string', description => 'Another name of nvme_dhchap_secret.', optional => 1 }, { secret => 'nvme_dhchap_secret' }],
    'nvme_dhchap_ctrl_secret' => [{ type => 'string', description => 'Key with which the controller proves itself.', optional => 1 }, { secret => 'nvme_dhchap_ctrl_secret' }],
    'tn_nvme_dhchap_ctrl_secret' => [{ type => 'string', description => 'Another name of nvme_dhchap_ctrl_secret.', optional => 1 }, { secret => 'nvme_dhchap_ctrl_secret' }],
    'tn_nvme_allow_any_host' => [{ type => 'boolean', default => 1, description => 'Opens the subsystem to every host.', optional => 1 }, {}],
    'tn_nr_io_queues' => [{ type => 'string', description => 'Queues of one controller. Value: a whole number from 1 to 256.', optional => 1 }, {}],
    'tn_nvme_ctrl_loss_tmo' => [{ type => 'string', description => 'How long the kernel tries to get a controller back; -1 for ever. Value: a whole number from -1 to 3600 (s).', optional => 1 }, {}],
    'tn_nvme_reconnect_delay' => [{ type => 'string', description => 'Wait between two tries. Value: a whole number from 1 to 3600 (s).', optional => 1 }, {}],
    'tn_nvme_keep_alive_tmo' => [{ type => 'string', description => 'Interval of keep-alives. Value: a whole number from 1 to 3600 (s).', optional => 1 }, {}],
    # END GENERATED SCHEMA
};

# code => [causes, hints] of the failures that are noticed here. From src/core/error-catalogue.ts by the same generator; do not edit.
my $ADVICE = {
    # BEGIN GENERATED ADVICE
    'CONFIG_INVALID' => [['it was mistyped, or /etc/pve/storage.cfg was edited by hand', 'what it names does not exist on TrueNAS'], ['pve-truenas config check', 'pvesm set STORAGE --SETTING VALUE', '/etc/pve/storage.cfg']],
    'DAEMON_ANSWER' => [['the Perl module and the daemon are of different versions'], ['systemctl restart pve-truenasd', 'install module and daemon of one version again: /usr/share/perl5/PVE/Storage/Custom/TrueNASPlugin.pm, /usr/libexec/pve-truenas']],
    'DAEMON_BROKEN' => [['the daemon was restarted or killed while it worked', 'the command was not run as root'], ['systemctl status pve-truenasd', 'journalctl -u pve-truenasd']],
    'DAEMON_NOT_RUNNING' => [['it was stopped, or failed to start', 'it is just being restarted'], ['systemctl start pve-truenasd', 'systemctl status pve-truenasd', 'journalctl -u pve-truenasd']],
    'DAEMON_TIMEOUT' => [['the node is overloaded', 'the daemon hangs'], ['systemctl status pve-truenasd', 'journalctl -u pve-truenasd', 'systemctl restart pve-truenasd']],
    'NAME_INVALID' => [['it does not begin with the guest\'s own vm-<VMID>- or base-<VMID>-', 'it has other characters than letters, digits and . _ -'], ['pvesm list STORAGE shows names as they must be']],
    'NOT_SUPPORTED' => [['it is planned for a later version', 'the storage\'s settings exclude it'], ['use a full clone in the place of a linked one', 'pve-truenas config check: what the settings exclude']],
    'ROLLBACK_BLOCKED' => [['newer snapshots of the guest', 'periodic snapshot tasks of TrueNAS'], ['qm delsnapshot VMID SNAPSHOT: delete the newer snapshots of the guest first', 'TrueNAS: Datasets > (volume) > Manage Snapshots: delete those that PVE does not know', 'TrueNAS: Data Protection > Periodic Snapshot Tasks: exclude the dataset']],
    'SECRET_FILE' => [['the cluster has no quorum, so that /etc/pve is read-only', 'the command was not run as root'], ['pvecm status', 'ls -l /etc/pve/priv/storage', 'systemctl status pve-cluster']],
    'SIZE_INVALID' => [['it is below 512 bytes or above 8 PiB', 'it is no multiple of 512 bytes', 'TrueNAS rounded it to its block size'], ['pvesm set STORAGE --zvol_blocksize 16K', 'pvesm alloc STORAGE VMID \'\' 4G: sizes with K, M, G or T']],
    'STORAGE_UNKNOWN' => [['the name was mistyped', 'the storage is of another type', 'it was removed from storage.cfg'], ['pvesm status', '/etc/pve/storage.cfg']],
    # END GENERATED ADVICE
};

# ---- what PVE asks when it loads the plugin

sub api {
    my $offered = PVE::Storage::APIVER();
    return $offered < $NEWEST_API ? $offered : $NEWEST_API;
}

sub type { return 'truenasplugin' }

sub plugindata {
    return {
        content => [{ images => 1, rootdir => 1, none => 1 }, { images => 1, rootdir => 1 }],
        format => [{ raw => 1 }, 'raw'],
        'sensitive-properties' => { map { $_ => 1 } grep { defined(_secret_of($_)) } keys %$SETTINGS },
    };
}

# The properties that nobody else declares. Two declarations of one name kill `use PVE::Storage`, and with it every PVE
# program of the node; so does an option that nobody declares. All plugins are registered when PVE calls this, in any order.
sub properties {
    my ($class) = @_;
    my $taken = _declared_by_others($class);
    my $own = { map { $_ => { %{ $SETTINGS->{$_}->[0] } } } grep { !$taken->{$_} } keys %$SETTINGS };
    $class->_remember_declared($own);
    return $own;
}

# All are optional: a section that lacks a required option breaks the storage list of the whole node. The daemon checks
# what must be there when a storage is added or changed.
sub options {
    return { map { $_ => { optional => 1, $SETTINGS->{$_}->[1]->{fixed} ? (fixed => 1) : () } } keys %$SETTINGS };
}

{
    my $declared = {}; # names that an earlier properties() declared: seen again in PVE's merged list, they are ours
    our $asking; # another plugin may look at our properties to find out about its own

    sub _remember_declared {
        my ($class, $own) = @_;
        $declared = { map { $_ => 1 } keys %$own } if !$asking;
        return;
    }

    sub _declared_by_others {
        my ($class) = @_;
        return {} if $asking;
        local $asking = 1;
        my $data = $class->private();
        my $taken = { map { $_ => 1 } grep { !$declared->{$_} } keys %{ $data->{propertyList} // {} } };
        # pve-common from 9.2 on can hide a plugin's properties from the others (it then keeps a list of the base properties):
        # hidden ones are neither in our way nor for us to use
        my $hides = exists($data->{'base-property-list'});
        my $plugins = $data->{plugins} // {};
        for my $other (sort grep { $_ ne $class->type() } keys %$plugins) {
            my $pd = $data->{plugindata}->{$other} // {};
            my $hidden = $hides && $pd->{'isolate-properties'};
            my $shown = $pd->{'expose-properties'};
            my $names = eval { $plugins->{$other}->properties() } // {};
            for my $name (keys %$names) {
                next if $hidden && !(ref($shown) ? $shown->{$name} : $shown);
                $taken->{$name} = 1;
            }
        }
        return $taken;
    }
}

# ---- names and places: pure, they work with the daemon down

# Same rules as src/core/volume-name.ts; t/names.json is held against both.
my $NAME = qr/(vm|base)-([1-9][0-9]{2,8})-[A-Za-z0-9][A-Za-z0-9_.-]{0,79}/;
my $SNAPSHOT = qr/[A-Za-z][A-Za-z0-9_-]{1,39}|__base__|__replicate_[A-Za-z0-9_-]{1,60}/;
# a name as TrueNAS may have it: also periodic snapshots, which PVE did not make
my $ANY_SNAPSHOT = qr/[A-Za-z0-9][A-Za-z0-9_.: -]{0,254}|__[A-Za-z0-9_.:-]{1,252}/;
my $DEVICE_PATH = qr{/dev/(?!(?:.*/)?\.\.?(?:/|\z))[A-Za-z0-9_.:\@+/-]{1,500}};
my $PORTAL = qr/(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::[0-9]{1,5})?/;
my $ISCSI_URL = qr{iscsi://($PORTAL)/([A-Za-z0-9][A-Za-z0-9_.:-]{0,222})/([0-9]{1,5})};

# One part of a volume name: (name, vmid, is base) or nothing. `vol-NAME-lunN` and `vol-NAME-nsUUID` are the ids of the Perl
# plugins that this one replaces; the number in them is never believed.
sub _parse_part {
    my ($text) = @_;
    $text = $1 if $text =~ /^vol-([A-Za-z0-9:_.-]+)-lun[0-9]{1,5}\z/ || $text =~ /^vol-([A-Za-z0-9:_.-]+)-ns[a-f0-9-]{1,64}\z/;
    return if $text !~ /^($NAME)\z/;
    return ($1, int($3), $2 eq 'base' ? 1 : undef);
}

sub _printable {
    my ($text) = @_;
    $text = defined($text) ? "$text" : '(undef)';
    $text =~ s/[^\x20-\x7e]/?/g;
    return length($text) > 80 ? substr($text, 0, 77) . '...' : $text;
}

# What parse_volname returns, or nothing.
sub _parse_volname {
    my ($volname) = @_;
    return if !defined($volname) || ref($volname) || length($volname) > 300;
    my @parts = split(m{/}, $volname, -1);
    my ($name, $vmid, $is_base) = @parts ? _parse_part($parts[-1]) : ();
    return if !defined($name) || @parts > 2 || @parts == 2 && $is_base;
    return ('images', $name, $vmid, undef, undef, $is_base, 'raw') if @parts == 1;
    my ($base, $base_vmid, $base_is_base) = _parse_part($parts[0]);
    return $base_is_base ? ('images', $name, $vmid, $base, $base_vmid, undef, 'raw') : ();
}

sub parse_volname {
    my ($class, $volname) = @_;
    my @parsed = _parse_volname($volname);
    _refused('NAME_INVALID', "unable to parse volume name '" . _printable($volname) . "'") if !@parsed;
    return @parsed;
}

# The whole volume name of an answer, untainted, or undef.
sub _clean_volname {
    my ($volname) = @_;
    return _parse_volname($volname) && $volname =~ /^(.*)\z/s ? $1 : undef;
}

# The whole volume name of an argument, untainted.
sub _volname {
    my ($class, $volname) = @_;
    $class->parse_volname($volname);
    return _clean_volname($volname);
}

sub _snapname {
    my ($snapname) = @_;
    return $1 if defined($snapname) && $snapname =~ /^($SNAPSHOT)\z/;
    _refused('NAME_INVALID', "invalid snapshot name '" . _printable($snapname) . "'");
    return;
}

sub _storeid {
    my ($storeid) = @_;
    return $1 if defined($storeid) && $storeid =~ /^([a-z][a-z0-9_.-]{0,98}[a-z0-9])\z/i;
    _refused('STORAGE_UNKNOWN', "invalid storage id '" . _printable($storeid) . "'");
    return;
}

# QEMU does the iSCSI itself, no device on the node
sub _qemu_direct {
    my ($scfg) = @_;
    return ($scfg->{'truenas-initiator'} // '') =~ /^\s*qemu\s*\z/i;
}

sub path {
    my ($class, $scfg, $volname, $storeid, $snapname) = @_;
    my ($vtype, $name, $vmid) = $class->parse_volname($volname);
    my $leaf = _storeid($storeid) . '/' . $name . (defined($snapname) ? '@' . _snapname($snapname) : '');
    my $path = _qemu_direct($scfg) ? $class->_direct_path($scfg, $volname, $storeid, $snapname, $leaf) : undef;
    $path //= "$DEVICES/$leaf"; # the daemon sets this link when it activates the volume
    return wantarray ? ($path, $vmid, $vtype) : $path;
}

# PVE calls this only from base methods that are replaced here; path() is what it uses, and the storage id is needed.
sub filesystem_path {
    my ($class, $scfg, $volname, $snapname, $storeid) = @_;
    return $class->path($scfg, $volname, $storeid, $snapname);
}

# The iscsi:// URL of a volume: from the daemon, else from the link that it left, else undef. Never dies.
sub _direct_path {
    my ($class, $scfg, $volname, $storeid, $snapname, $leaf) = @_;
    my $params = { volume => $class->_volname($volname) };
    $params->{snapshot} = _snapname($snapname) if defined($snapname);
    my ($result, $failure) = _is_mute() ? () : _rpc('volume.path', $storeid, $scfg, $params);
    _is_mute(1) if $failure && $failure->{code} eq 'DAEMON_TIMEOUT';
    for my $path ($result ? $result->{path} : undef, readlink("$DIRECT/$leaf")) {
        return $1 if defined($path) && $path =~ /^($ISCSI_URL|$DEVICE_PATH)\z/;
    }
    return;
}

{
    my $mute;

    # PVE asks for the paths of all disks in a row: a daemon that let one wait is not asked again for ten seconds.
    sub _is_mute {
        my ($now) = @_;
        $mute = _now() if $now;
        return defined($mute) && _now() - $mute < 10;
    }
}

sub qemu_blockdev_options {
    my ($class, $scfg, $storeid, $volname, $machine_version, $options) = @_;
    my ($path) = $class->path($scfg, $volname, $storeid, $options->{'snapshot-name'});
    return { driver => 'iscsi', transport => 'tcp', portal => "$1", target => "$2", lun => int($3) } if $path =~ /^$ISCSI_URL\z/;
    return $class->SUPER::qemu_blockdev_options($scfg, $storeid, $volname, $machine_version, $options);
}

# A block device on this node, also where QEMU does the iSCSI itself (containers, TPM state).
sub map_volume {
    my ($class, $storeid, $scfg, $volname, $snapname, $hints) = @_;
    return scalar($class->path($scfg, $volname, $storeid, $snapname)) if !_qemu_direct($scfg);
    my $params = { volume => $class->_volname($volname) };
    $params->{snapshot} = _snapname($snapname) if defined($snapname);
    my $path = _call('volume.map', $storeid, $scfg, $params)->{path};
    return $1 if defined($path) && $path =~ /^($DEVICE_PATH)\z/;
    die _block(_misunderstood('volume.map'));
}

sub unmap_volume { return 1 }

sub get_formats { return { default => 'raw', valid => { raw => 1 } } }

sub volume_qemu_snapshot_method { return 'storage' }

# The array cannot flush a container's file system: PVE must freeze it around the snapshot.
sub volume_snapshot_needs_fsfreeze { return 1 }

sub storage_can_replicate { return 0 }

sub volume_has_feature {
    my ($class, $scfg, $feature, $storeid, $volname, $snapname, $running, $opts) = @_;
    my $features = {
        snapshot => { current => 1 },
        copy => { base => 1, current => 1 },
        sparseinit => { current => 1 },
    };
    my $is_base = ($class->parse_volname($volname))[5];
    my $key = $snapname ? 'snap' : $is_base ? 'base' : 'current';
    return $features->{$feature}->{$key} if $features->{$feature};
    return;
}

# ---- the storage

sub check_connection {
    my ($class, $storeid, $scfg) = @_;
    my ($result, $failure) = _rpc('storage.check', $storeid, $scfg, {});
    return 1 if $result && $result->{reachable};
    my $reason = _one_line($failure ? "$failure->{message} ($failure->{code})" : $result->{reason} // 'TrueNAS cannot be reached');
    $reason = "storage '$storeid': $reason" if $reason !~ /^storage '\Q$storeid\E'/;
    _complain($storeid, $reason);
    return 0;
}

sub activate_storage {
    my ($class, $storeid, $scfg, $cache) = @_;
    _warn_of_open_secrets($storeid, $scfg);
    _call('storage.activate', $storeid, $scfg, {});
    return 1;
}

# PVE never calls it. Sessions are shared with other volumes, so there is nothing to take down.
sub deactivate_storage { return 1 }

sub status {
    my ($class, $storeid, $scfg, $cache) = @_;
    my ($result) = _rpc('storage.status', $storeid, $scfg, {});
    return if !$result || !$result->{active};
    my @bytes = map { _integer($result->{$_}) } qw(total available used);
    return if grep { !defined($_) } @bytes;
    return (@bytes, 1);
}

sub list_images {
    my ($class, $storeid, $scfg, $vmid, $vollist, $cache) = @_;
    my $id = _storeid($storeid);
    my $params = {};
    my $wanted;
    if ($vollist) { # exact volume ids, of any storage; they win over the guest's number
        my @names = map { /^\Q$id\E:(.+)\z/s ? $1 : () } @$vollist;
        return [] if !@names;
        $wanted = { map { $_ => 1 } @names };
        $params->{volumes} = [map { "$_" } @names] if @names <= 500; # a request line has a limit
    } elsif (defined($vmid)) {
        $params->{vmid} = _vmid($vmid);
    }
    my $volumes = _call('volume.list', $storeid, $scfg, $params)->{volumes};
    die _block(_misunderstood('volume.list')) if ref($volumes) ne 'ARRAY';

    my $list = [];
    for my $volume (@$volumes) {
        die _block(_misunderstood('volume.list')) if ref($volume) ne 'HASH';
        my $volname = _clean_volname($volume->{volname});
        my ($size, $used) = map { _integer($volume->{$_}) } qw(size used);
        die _block(_misunderstood('volume.list')) if !defined($volname) || !defined($size);
        my $owner = ($class->parse_volname($volname))[2];
        next if $wanted ? !$wanted->{$volname} : defined($vmid) && $owner != $vmid;
        my $entry = { volid => "$id:$volname", format => 'raw', size => $size, vmid => $owner };
        $entry->{used} = $used if defined($used);
        my ($parent, $ctime) = (_parent($volume->{parent}), _integer($volume->{ctime}));
        $entry->{parent} = $parent if defined($parent);
        $entry->{ctime} = $ctime if defined($ctime);
        push @$list, $entry;
    }
    return $list;
}

# ---- volumes

# $size is in KiB. The array refuses a second volume of the same name, whoever asks.
sub alloc_image {
    my ($class, $storeid, $scfg, $vmid, $fmt, $name, $size) = @_;
    _refused('NOT_SUPPORTED', "unsupported format '" . _printable($fmt) . "', volumes are raw") if defined($fmt) && $fmt ne '' && $fmt ne 'raw';
    my $params = { vmid => _vmid($vmid) };
    if (defined($name) && $name ne '') { # `pvesm alloc` hands over ''
        my ($own, $owner, $is_base) = length($name) <= 300 ? _parse_part($name) : ();
        _refused('NAME_INVALID', "illegal name '" . _printable($name) . "' - should be 'vm-$params->{vmid}-*'")
            if !defined($own) || $own ne $name || $is_base || $owner != $params->{vmid};
        $params->{name} = $own;
    }
    my ($kib) = ($size // '') =~ /^([0-9]{1,13})\z/;
    _refused('SIZE_INVALID', "invalid size '" . _printable($size) . "' - should be a whole number of KiB from 1 to 8796093022207")
        if !defined($kib) || $kib < 1 || $kib >= 2**43;
    $params->{size} = $kib * 1024;
    my $volname = _clean_volname(_call('volume.allocate', $storeid, $scfg, $params)->{volname});
    die _block(_misunderstood('volume.allocate')) if !defined($volname);
    return $volname;
}

# Frees a volume with its snapshots; PVE deletes neither these nor the device before. Anything but undef would start a task.
sub free_image {
    my ($class, $storeid, $scfg, $volname, $is_base, $format) = @_;
    _call('volume.free', $storeid, $scfg, { volume => $class->_volname($volname) });
    return undef;
}

sub activate_volume {
    my ($class, $storeid, $scfg, $volname, $snapname, $cache, $hints) = @_;
    my $volume = $class->_volname($volname);
    _not_offered($storeid, "activating the snapshot '" . _printable($snapname) . "' of '$volume'") if defined($snapname);
    _call('volume.activate', $storeid, $scfg, { volume => $volume });
    return 1;
}

sub deactivate_volume {
    my ($class, $storeid, $scfg, $volname, $snapname, $cache) = @_;
    my $volume = $class->_volname($volname);
    return 1 if defined($snapname); # was never active
    _call('volume.deactivate', $storeid, $scfg, { volume => $volume });
    return 1;
}

sub volume_size_info {
    my ($class, $scfg, $storeid, $volname, $timeout) = @_;
    my $seconds = $timeout && $timeout =~ /^([0-9.]+)\z/ ? 0.9 * $1 : undef;
    my $result = _call('volume.size', $storeid, $scfg, { volume => $class->_volname($volname) }, $seconds);
    my ($size, $used, $ctime) = map { _integer($result->{$_}) } qw(size used ctime);
    die _block(_misunderstood('volume.size')) if !$size; # PVE takes 0 for a volume that is not there
    return wantarray ? ($size, 'raw', $used // 0, _parent($result->{parent}), $ctime) : $size;
}

# $size is in bytes.
sub volume_resize {
    my ($class, $scfg, $storeid, $volname, $size, $running, $snapname) = @_;
    _not_offered($storeid, "resizing the snapshot '" . _printable($snapname) . "'") if defined($snapname);
    my $volume = $class->_volname($volname);
    my ($bytes) = ($size // '') =~ /^([0-9]{1,16})\z/;
    _refused('SIZE_INVALID', "invalid size '" . _printable($size) . "' - should be a whole number of bytes from 1 to 9007199254740991")
        if !defined($bytes) || $bytes < 1 || $bytes >= 2**53;
    my $params = { volume => $volume, size => int($bytes), running => $running ? \1 : \0 };
    _call('volume.resize', $storeid, $scfg, $params);
    return 1;
}

sub volume_snapshot {
    my ($class, $scfg, $storeid, $volname, $snap) = @_;
    return $class->_snapshot_call('snapshot.create', $scfg, $storeid, $volname, $snap);
}

sub volume_snapshot_delete {
    my ($class, $scfg, $storeid, $volname, $snap, $running) = @_;
    return $class->_snapshot_call('snapshot.delete', $scfg, $storeid, $volname, $snap);
}

sub volume_snapshot_rollback {
    my ($class, $scfg, $storeid, $volname, $snap) = @_;
    return $class->_snapshot_call('snapshot.rollback', $scfg, $storeid, $volname, $snap);
}

sub _snapshot_call {
    my ($class, $method, $scfg, $storeid, $volname, $snap) = @_;
    _call($method, $storeid, $scfg, { volume => $class->_volname($volname), snapshot => _snapname($snap) });
    return 1;
}

# PVE heeds only a die here; $blockers is an array for its replication, else undef.
sub volume_rollback_is_possible {
    my ($class, $scfg, $storeid, $volname, $snap, $blockers) = @_;
    my ($volume, $snapshot) = ($class->_volname($volname), _snapname($snap));
    my $newer = _call('snapshot.rollback-check', $storeid, $scfg, { volume => $volume, snapshot => $snapshot })->{blockers};
    die _block(_misunderstood('snapshot.rollback-check')) if ref($newer) ne 'ARRAY';
    my @names = map { defined($_) && /^($ANY_SNAPSHOT)\z/ ? $1 : die _block(_misunderstood('snapshot.rollback-check')) } @$newer;
    return 1 if !@names;
    push @$blockers, @names if ref($blockers) eq 'ARRAY';
    _refused('ROLLBACK_BLOCKED', "cannot roll '$storeid:$volume' back to '$snapshot': newer snapshots exist: " . join(', ', @names));
    return;
}

sub volume_snapshot_info {
    my ($class, $scfg, $storeid, $volname) = @_;
    my $snapshots = _call('snapshot.list', $storeid, $scfg, { volume => $class->_volname($volname) })->{snapshots};
    die _block(_misunderstood('snapshot.list')) if ref($snapshots) ne 'ARRAY';
    my $info = {};
    for my $snapshot (@$snapshots) {
        my ($name) = ref($snapshot) eq 'HASH' ? ($snapshot->{name} // '') =~ /^($ANY_SNAPSHOT)\z/ : ();
        die _block(_misunderstood('snapshot.list')) if !defined($name);
        my ($guid) = ($snapshot->{id} // '') =~ m{^([A-Za-z0-9_.:/\@ -]{1,512})\z};
        $info->{$name} = { id => $guid, timestamp => _integer($snapshot->{ctime}) };
    }
    return $info;
}

sub clone_image {
    my ($class, $scfg, $storeid, $volname) = @_;
    return _not_offered($storeid, "a linked clone of '" . _printable($volname) . "'");
}

sub create_base {
    my ($class, $storeid, $scfg, $volname) = @_;
    return _not_offered($storeid, "a template out of '" . _printable($volname) . "'");
}

sub rename_volume {
    my ($class, $scfg, $storeid, $volname) = @_;
    return _not_offered($storeid, "renaming '" . _printable($volname) . "'");
}

sub _not_offered {
    my ($storeid, $what) = @_;
    _refused('NOT_SUPPORTED', "storage '" . _printable($storeid) . "': $what is not offered by this storage");
    return;
}

# ---- adding, changing and removing the storage; PVE holds the lock of storage.cfg

sub on_add_hook {
    my ($class, $storeid, $scfg, %sensitive) = @_;
    my $secrets = _take_secrets(\%sensitive, $scfg);
    _with_secrets($storeid, $secrets, sub { _validate($storeid, $scfg, $secrets, 'add') });
    return;
}

# storage API before 13: PVE tells neither the present section nor what is to be deleted from it
sub on_update_hook {
    my ($class, $storeid, $update, %sensitive) = @_;
    my $current = PVE::Storage::storage_config(PVE::Storage::config(), $storeid, 1) // {};
    return $class->_update($storeid, $current, $update, [], \%sensitive);
}

sub on_update_hook_full {
    my ($class, $storeid, $current, $update, $delete, $sensitive) = @_;
    return $class->_update($storeid, $current, $update, $delete // [], $sensitive // {});
}

sub _update {
    my ($class, $storeid, $current, $update, $delete, $sensitive) = @_;
    my $secrets = _take_secrets($sensitive, $update);
    my $after = { %$current, %$update };
    delete $after->{$_} for @$delete;
    # Nodes, content or a limit need no answer of the array: a storage that is gone must still be disabled.
    my $core = { map { $_ => 1 } qw(content nodes disable shared bwlimit) };
    my $ours = %$secrets || grep { !$core->{$_} } keys %$update, @$delete;
    _with_secrets($storeid, $secrets, $ours ? sub { _validate($storeid, $after, $secrets, 'update') } : sub { });
    # a secret that stood in storage.cfg now has its own file: take it out of what PVE writes (from storage API 13 on)
    delete $current->{$_} for grep { exists($secrets->{ _secret_of($_) // '' }) } keys %$current;
    _warn_of_open_secrets($storeid, $current);
    return;
}

sub on_delete_hook {
    my ($class, $storeid, $scfg) = @_;
    _rpc('storage.forget', $storeid, $scfg, {}); # when nobody listens there is nothing to forget
    my %kinds = map { _secret_of($_) // '' => 1 } keys %$SETTINGS;
    for my $file (map { _secret_file($storeid, $_) } grep { $_ ne '' } keys %kinds) {
        unlink($file) || $! == ENOENT || warn "cannot remove $file: $!\n";
    }
    return;
}

sub _validate {
    my ($storeid, $scfg, $secrets, $action) = @_;
    my $params = { action => $action };
    # a secret with a new value, or none: where it stood in storage.cfg PVE is about to remove the line
    my @removed = grep { /^(?:api_key|chap_password)\z/ } sort keys %$secrets;
    $params->{removed} = \@removed if @removed;
    my $result = _call('storage.validate', $storeid, $scfg, $params);
    for my $fault (ref($result->{warnings}) eq 'ARRAY' ? @{ $result->{warnings} } : ()) {
        next if ref($fault) ne 'HASH';
        my ($setting, $message, $cure) = map { _plain($fault->{$_}) } qw(setting message cure);
        warn "storage '" . _printable($storeid) . "': $setting: $message; $cure\n";
    }
    return;
}

# ---- secrets: /etc/pve/priv/storage/<storage>.<secret>, never in storage.cfg, never on the socket

sub _secret_of {
    my ($name) = @_;
    return $SETTINGS->{$name} ? $SETTINGS->{$name}->[1]->{secret} : undef;
}

sub _secret_file {
    my ($storeid, $secret) = @_;
    return "$SECRETS/" . _storeid($storeid) . ".$secret";
}

# secret => new value, undef to remove it. Before storage API 11 PVE leaves them in the section: take them out.
sub _take_secrets {
    my ($sensitive, $section) = @_;
    my $secrets = {};
    for my $name (sort grep { defined(_secret_of($_)) } keys %$SETTINGS) {
        my $secret = _secret_of($name);
        my @given = grep { exists($_->{$name}) } $sensitive, $section;
        next if !@given;
        my ($value) = grep { defined($_) } map { $_->{$name} } @given;
        delete $section->{$name};
        _refused('CONFIG_INVALID', "$name: two different values were given for the same setting")
            if defined($value) && defined($secrets->{$secret}) && $secrets->{$secret} ne $value;
        _refused('CONFIG_INVALID', "$name: must be one line of 1 to 1000 printable characters")
            if defined($value) && $value !~ /^(?=[\x20-\x7e]{1,1000}\z)\S(?:.*\S)?\z/;
        $secrets->{$secret} = $value // $secrets->{$secret};
    }
    return $secrets;
}

# Writes the secrets, runs $code (the daemon reads them from the files) and puts the old ones back when it dies.
sub _with_secrets {
    my ($storeid, $secrets, $code) = @_;
    my $before = {};
    my $done = eval {
        for my $secret (sort keys %$secrets) {
            my $file = _secret_file($storeid, $secret);
            $before->{$file} = _read_secret($file);
            _write_secret($file, $secrets->{$secret});
        }
        $code->();
        1;
    };
    return if $done;
    my $error = $@;
    for my $file (sort keys %$before) {
        eval { _write_secret($file, $before->{$file}); 1 } || warn "cannot restore $file: $@";
    }
    die $error;
}

sub _read_secret {
    my ($file) = @_;
    open(my $handle, '<', $file) || do {
        return undef if $! == ENOENT;
        _refused('SECRET_FILE', "cannot read $file: $!");
    };
    local $/ = undef;
    my $text = <$handle>;
    close($handle);
    return ($text // '') =~ /^([^\r\n]*)/ ? $1 : '';
}

sub _write_secret {
    my ($file, $value) = @_;
    if (defined($value)) {
        mkdir $SECRETS;
        return 1 if eval { PVE::Tools::file_set_contents($file, "$value\n", 0600); 1 };
        _refused('SECRET_FILE', "cannot write $file: " . _plain($@));
    }
    unlink($file) || $! == ENOENT || _refused('SECRET_FILE', "cannot remove $file: $!");
    return;
}

{
    my $warned = {};

    # A secret in storage.cfg works, but every user who may allocate space reads it. Said once per process and storage.
    sub _warn_of_open_secrets {
        my ($storeid, $scfg) = @_;
        return if $warned->{$storeid};
        my @open = sort grep { defined(_secret_of($_)) && defined($scfg->{$_}) } keys %$scfg;
        return if !@open;
        $warned->{$storeid} = 1;
        my $id = _printable($storeid);
        warn "storage '$id': $open[0] stands in /etc/pve/storage.cfg, readable for others; store it safely with"
            . " 'pvesm set $id --$open[0] VALUE' and remove the line from storage.cfg if it is still there\n";
        return;
    }

    my $complained = {};

    # pvestatd asks every ten seconds; say why a storage is offline once a minute.
    sub _complain {
        my ($storeid, $text) = @_;
        my $now = _now();
        return if defined($complained->{$storeid}) && $now - $complained->{$storeid} < 60;
        $complained->{$storeid} = $now;
        warn "$text\n";
        return;
    }
}

# ---- values from outside: nothing of them goes on to PVE but what matches a pattern

sub _integer {
    my ($value) = @_;
    return defined($value) && !ref($value) && "$value" =~ /^([0-9]{1,19})\z/ ? int($1) : undef;
}

sub _vmid {
    my ($vmid) = @_;
    return int($1) if defined($vmid) && $vmid =~ /^([1-9][0-9]{2,8})\z/;
    _refused('NAME_INVALID', "invalid guest number '" . _printable($vmid) . "'");
    return;
}

sub _parent {
    my ($parent) = @_;
    return defined($parent) && !ref($parent) && $parent =~ m{^([A-Za-z0-9][A-Za-z0-9_./\@:-]{0,511})\z} ? $1 : undef;
}

# text of the daemon for people: one line, ASCII (PVE prints bytes)
sub _plain {
    my ($text) = @_;
    $text = defined($text) && !ref($text) ? substr("$text", 0, 2000) : '';
    $text =~ s/[\x{2018}\x{2019}]/'/g;
    $text =~ s/[\x{201c}\x{201d}]/"/g;
    $text =~ s/[\x{2013}\x{2014}]/-/g;
    $text =~ s/\s+/ /g;
    $text =~ s/[^\x20-\x7e]/?/g;
    $text =~ s/^ | \z//g;
    return $text;
}

# the same of several lines on one, for a log: a headline and its items
sub _one_line {
    my ($head, @items) = grep { $_ ne '' } map { _plain($_) } split(/\r?\n/, defined($_[0]) && !ref($_[0]) ? "$_[0]" : '');
    return @items ? "$head " . join(' | ', @items) : $head // '';
}

# the same of several lines, which keep their indentation
sub _plain_lines {
    my ($text) = @_;
    my @lines = map { (/^( {0,8})/)[0] . _plain($_) } split(/\r?\n/, defined($text) && !ref($text) ? substr("$text", 0, 20000) : '');
    return join("\n", grep { /\S/ } @lines > 60 ? (@lines[0 .. 59], '  ...') : @lines);
}

# ---- the socket: one connection and one line of JSON-RPC 2.0 a call

sub _now { return clock_gettime(CLOCK_MONOTONIC) }

sub _json { return $JSON->new->ascii->allow_nonref }

sub _socket_path {
    return $1 if ($ENV{PVE_TRUENAS_SOCKET} // '') =~ m{^(/[A-Za-z0-9_./+-]{1,105})\z};
    return $SOCKET;
}

# The section as PVE parsed it, without secrets: these the daemon reads itself.
sub _section {
    my ($scfg) = @_;
    my $config = {};
    for my $key (grep { !defined(_secret_of($_)) } keys %$scfg) {
        my $value = $scfg->{$key};
        $config->{$key} = ref($value) eq 'HASH' ? { map { $_ => int($value->{$_} // 0) } keys %$value } : "$value"
            if defined($value) && (!ref($value) || ref($value) eq 'HASH');
    }
    return $config;
}

# Calls the daemon and returns its result, or dies with the block of text that describes the failure.
sub _call {
    my ($method, $storeid, $scfg, $params, $seconds) = @_;
    my ($result, $failure) = _rpc($method, $storeid, $scfg, $params, $seconds);
    die _block($failure) if !$result;
    return $result;
}

# The same without dying: (result) or (undef, failure). It has no eval around its waits, so that a die in PVE's signal
# handlers (ALRM of a lock, TERM of a task) passes through; the socket closes with its scope.
sub _rpc {
    my ($method, $storeid, $scfg, $params, $seconds) = @_;
    my $rule = $METHODS->{$method};
    my $polled = $0 =~ /\bpvestatd\b/;
    my $until = _now() + ($seconds // ($polled ? $rule->{polled} : undef) // $rule->{seconds});
    my $grace = $polled || $rule->{quick} || _was_absent() ? 0 : $RESTART_GRACE;
    my $patience; # begins when the daemon is first missed, which may be long after the call began
    my ($caller) = _plain($0) =~ /^(.{1,200})/;
    my %request = (%$params, protocol => $PROTOCOL, caller => $caller // 'perl');
    $request{storage} = { id => _storeid($storeid), config => _section($scfg) };
    while (1) {
        my $left = $until - _now();
        $request{deadline_ms} = $left > 0.1 ? int($left * 1000) : 100;
        my $line = _json()->encode({ jsonrpc => '2.0', id => 1, method => $method, params => \%request }) . "\n";
        my ($answer, $failure) = _exchange($line, $until, $method);
        ($answer, $failure) = _read_answer($answer, $method) if !$failure;
        _was_absent($failure && $failure->{absent} ? 1 : 0);
        return ($answer) if !$failure;
        return (undef, $failure) if !($failure->{unsent} || $failure->{broken} && $rule->{again});
        $patience //= _now() + $grace;
        return (undef, $failure) if _now() + 0.1 >= ($patience < $until ? $patience : $until);
        select(undef, undef, undef, 0.1);
    }
    return;
}

{
    my $absent;

    # Nobody listened a moment ago: the next calls of this process need not wait for a restart again.
    sub _was_absent {
        my ($now) = @_;
        $absent = $now ? _now() : undef if defined($now);
        return defined($absent) && _now() - $absent < 10;
    }
}

# Sends the line and returns the answer's line, or (undef, failure).
sub _exchange {
    my ($line, $until, $method) = @_;
    my ($socket, $failure) = _connect($until, $method);
    return (undef, $failure) if !$socket;

    my $sent = 0;
    while ($sent < length($line)) {
        my $n = send($socket, substr($line, $sent, 65536), MSG_NOSIGNAL);
        if (defined($n)) {
            $sent += $n;
        } elsif ($! == EAGAIN) {
            return (undef, _failure($method, 'took no request in time', 'DAEMON_TIMEOUT')) if !_ready($socket, 1, $until);
        } elsif ($! != EINTR) { # without its newline the request was never run
            return (undef, _failure($method, "took no request: $!", 'DAEMON_BROKEN', unsent => 1));
        }
    }

    # The daemon answers within the deadline that it was given; a moment more lets it say why it could not.
    my $last = _now();
    $last = $until + 0.3 + 0.05 * ($until - $last) if $until + 0.3 > $last;
    my ($answer, $seen) = ('', 0);
    while (1) {
        my $n = sysread($socket, $answer, 262144, length($answer));
        if (!defined($n) && $! == EAGAIN) {
            return (undef, _failure($method, 'gave no answer in time', 'DAEMON_TIMEOUT', late => 1)) if !_ready($socket, 0, $last);
        } elsif (!defined($n) && $! == EINTR) {
            next;
        } elsif (!$n) {
            my $what = 'closed the connection before its answer was complete';
            return (undef, _failure($method, $what, 'DAEMON_BROKEN', late => 1, broken => 1));
        } else {
            my $end = index($answer, "\n", $seen);
            return (substr($answer, 0, $end)) if $end >= 0;
            $seen = length($answer);
            return (undef, _failure($method, 'sent an endless answer', 'DAEMON_ANSWER', late => 1)) if $seen > $MAX_ANSWER;
        }
    }
    return;
}

# A connected socket or (undef, failure). Never blocks: with a full backlog a blocking connect() waits for ever.
sub _connect {
    my ($until, $method) = @_;
    my $path = _socket_path();
    socket(my $socket, PF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
        || return (undef, _failure($method, "cannot be called, no socket: $!", 'DAEMON_BROKEN'));
    while (!connect($socket, pack_sockaddr_un($path))) {
        my $errno = $!;
        next if $errno == EINTR;
        if ($errno == EAGAIN) {
            return (undef, _failure($method, 'accepted no connection in time', 'DAEMON_TIMEOUT')) if _now() >= $until;
            select(undef, undef, undef, 0.02);
        } elsif ($errno == ENOENT || $errno == ECONNREFUSED) {
            my $what = 'is not running on this node; start it: systemctl start pve-truenasd';
            return (undef, _failure($method, $what, 'DAEMON_NOT_RUNNING', unsent => 1, absent => 1));
        } else {
            my %advice = $errno == EACCES || $errno == EPERM ? (causes => [], hints => ['run this as root']) : ();
            return (undef, _failure($method, "cannot be called at $path: $errno", 'DAEMON_BROKEN', %advice));
        }
    }
    return ($socket);
}

# Waits until the socket can be read or written; false when the time is up.
sub _ready {
    my ($socket, $write, $until) = @_;
    while ((my $left = $until - _now()) > 0) {
        my $bits = '';
        vec($bits, fileno($socket), 1) = 1;
        my $n = $write ? select(undef, $bits, undef, $left) : select($bits, undef, undef, $left);
        return 1 if $n > 0;
        return 1 if $n < 0 && $! != EINTR; # the next read or write says what is wrong
    }
    return 0;
}

# An answer's line taken apart: (result) or (undef, failure).
sub _read_answer {
    my ($line, $method) = @_;
    my $answer = eval { _json()->utf8->decode($line) };
    die $@ if $@ && $@ !~ / line [0-9]+\.?$/; # not the decoder's: a signal handler of PVE died
    return (undef, _misunderstood($method)) if ref($answer) ne 'HASH';
    my $error = $answer->{error};
    my $id = $answer->{id};
    # an error without id: the daemon could not even read the request
    return (undef, _misunderstood($method)) if defined($id) ? ref($id) || $id ne '1' : ref($error) ne 'HASH';
    if (ref($error) eq 'HASH') {
        my $data = ref($error->{data}) eq 'HASH' ? $error->{data} : {};
        my ($code) = _plain($data->{code}) =~ /^([A-Z][A-Z0-9_]{0,63})\z/;
        my $failure = { message => _plain_lines($error->{message}) || "$method failed", code => $code // 'INTERNAL', state => _plain($data->{state}) };
        for my $list (qw(causes hints)) {
            $failure->{$list} = [grep { $_ ne '' } map { _plain($_) } ref($data->{$list}) eq 'ARRAY' ? @{ $data->{$list} } : ()];
        }
        $failure->{unsent} = 1 if $failure->{code} eq 'SHUTTING_DOWN'; # refused before anything was done
        return (undef, $failure);
    }
    return ref($answer->{result}) eq 'HASH' ? ($answer->{result}) : (undef, _misunderstood($method));
}

# ---- failures

sub _failure {
    my ($method, $what, $code, %more) = @_;
    my ($causes, $hints) = @{ $ADVICE->{$code} };
    my $failure = { causes => $causes, hints => $hints, %more, message => "$method: the daemon pve-truenasd $what", code => $code };
    $failure->{state} = 'not known: the daemon may have finished, and takes back what it did not finish'
        if $more{late} && !$METHODS->{$method}->{again} && !$METHODS->{$method}->{quick};
    return $failure;
}

sub _misunderstood {
    my ($method) = @_;
    return _failure($method, 'gave an answer that is not understood', 'DAEMON_ANSWER');
}

# Dies of a failure that is noticed before anything was asked.
sub _refused {
    my ($code, $message) = @_;
    my ($causes, $hints) = @{ $ADVICE->{$code} };
    die _block({ message => $message, code => $code, causes => $causes, hints => $hints, state => 'nothing was changed' });
}

# The text that a user sees: what was tried, why it may have failed, what to look at, what was left.
sub _block {
    my ($failure) = @_;
    my $text = "$failure->{message}\n";
    for my $part (['Likely causes:', $failure->{causes}], ['What to check:', $failure->{hints}]) {
        my ($title, $lines) = @$part;
        $text .= "$title\n" . join('', map { "  - $_\n" } @$lines) if $lines && @$lines;
    }
    $text .= "State: $failure->{state}\n" if defined($failure->{state}) && $failure->{state} ne '';
    return $text . "($failure->{code})\n";
}

1;
