# What is tried in each tree, for test/install/one.
MODULE=/usr/share/perl5/PVE/Storage/Custom/TrueNASPlugin.pm
custom=${MODULE%/*}
loads='use PVE::Storage; PVE::Storage::Plugin->lookup("truenasplugin") eq "PVE::Storage::Custom::TrueNASPlugin" or die "another class\n"'
apt() { inside apt-get -y -q "$@"; }
has() { grep -qE -- "$1" || { echo "no /$1/"; return 1; }; }
answers() { inside pve-truenas status --json | has '"storages"'; }
mine() { inside sh -c "test -e $MODULE && cmp -s $MODULE /exchange/own.pm"; }

distribution_node() {
    inside node --version | has '^v(1[89]|[2-9][0-9])\.' && inside dpkg -S /usr/bin/node | has '^nodejs:'
}
step "the distribution's Node.js is used" distribution_node

# ---- without PVE, then gone without a trace
files >"$place/before"
gone() { files | diff "$place/before" - | sed -n 's/^[<>]/&/p' >"$place/left"; [ ! -s "$place/left" ] || { cat "$place/left"; return 1; }; }
step 'installs where there is no PVE yet' apt install /exchange/debs/old.deb
step 'the command line runs' inside pve-truenas --version
step 'the daemon answers through the socket that systemd holds' answers
step 'purge takes it away' apt purge pve-truenas
step 'and leaves no file' gone

# ---- on a node
step 'PVE is installed' inside dpkg -i /exchange/debs/libpve-storage-perl.deb /exchange/debs/pve-manager.deb
inside systemd-run --quiet --unit=100.scope --scope -- sleep 7200 </dev/null >/dev/null 2>&1 &
guest_runs() { inside systemctl is-active 100.scope | has '^active'; }
step 'a guest runs' within 30 guest_runs
guest() { inside sh -c 'cat /sys/fs/cgroup/system.slice/100.scope/cgroup.procs'; }
guest_pid=$(guest)

files >"$place/before"
before=$(bystanders)
printf '# by hand\npackage PVE::Storage::Custom::TrueNASPlugin;\n' >"$place/exchange/own.pm"
inside cp /exchange/own.pm "$MODULE"
step 'installs over a module that was put there by hand' apt install /exchange/debs/old.deb
step 'which is kept aside' inside cmp /exchange/own.pm "$MODULE.kept-by-pve-truenas"
step 'PVE loads our module' inside perl -T -e "$loads"
reloaded() { inside cat /var/log/stand-in-pvedaemon /var/log/stand-in-pveproxy /var/log/stand-in-pvestatd | has reload; }
step "PVE's services were reloaded by its trigger" reloaded
undisturbed() { same services "$before" "$(bystanders)" && same guest "$guest_pid" "$(guest)"; }
step 'none of them restarted, no guest touched' undisturbed
step 'the daemon answers' answers

private() { inside stat -c %a:%U /run/pve-truenas/daemon.sock | has '^600:root$'; }
step 'only root may connect' private
sandbox() { # what iscsiadm, multipath and nvme need is writable in the daemon's namespace; what nobody needs there is not
    local pid script
    pid=$(property pve-truenasd MainPID)
    script='for d in /etc/iscsi /run/lock /run/pve-truenas /var/lib/pve-truenas /dev /etc/multipath /var/lib/iscsi; do
        [ ! -d $d ] || { touch $d/.probe && rm $d/.probe; } || { echo "$d"; exit 1; }; done
        for d in /usr /etc /root /boot; do ! touch $d/.probe 2>/dev/null || { echo "$d is writable"; exit 1; }; done'
    inside nsenter --target "$pid" --mount --root sh -c "$script"
}
step 'its sandbox lets iscsiadm, multipath and nvme write, and no more' sandbox
capabilities() { # SYS_ADMIN (21), SYS_RAWIO (17), NET_ADMIN (12), SYS_MODULE (16); not SYS_TIME (25), SYS_BOOT (22), SYS_CHROOT (18)
    local set
    set=$((16#$(inside sed -n 's/^CapBnd:\t//p' "/proc/$(property pve-truenasd MainPID)/status")))
    for bit in 21 17 12 16; do ((set >> bit & 1)) || { echo "capability $bit is missing"; return 1; }; done
    for bit in 25 22 18; do ((set >> bit & 1)) && { echo "capability $bit is held"; return 1; }; done
    return 0
}
step 'and holds their capabilities, and not those of others' capabilities
exposure() { # the whole of systemd's own judgement, 0 to 10
    inside systemd-analyze security --no-pager pve-truenasd.service | tail -1
    inside systemd-analyze security --no-pager --threshold=60 pve-truenasd.service >/dev/null
}
step "systemd's own judgement of it is no worse than medium" exposure
verified() { local said; said=$(inside systemd-analyze verify --man=no pve-truenasd.service pve-truenasd.socket 2>&1 | grep pve-truenasd | grep -vE "Restart(Steps|MaxDelaySec)'"); [ -z "$said" ] || { echo "$said"; return 1; }; }
step 'systemd finds nothing wrong with the units' verified

daemon_pid() { property pve-truenasd MainPID; }
another() { local now; now=$(daemon_pid); [ "$now" != 0 ] && [ "$now" != "$1" ]; }
killed() { local old; old=$(daemon_pid); inside kill -KILL "$old"; answers && another "$old"; }
step 'a call right after the daemon was killed is answered by the next' killed
reload() { local old; old=$(daemon_pid); inside systemctl reload pve-truenasd && same 'main process' "$old" "$(daemon_pid)" && answers; }
step 'a reload keeps the process' reload
hangs() { # F-041
    local old
    inside sh -c 'mkdir -p /run/systemd/system/pve-truenasd.service.d && printf "[Service]\nWatchdogSec=3\n" >/run/systemd/system/pve-truenasd.service.d/test.conf'
    inside systemctl daemon-reload && inside systemctl restart pve-truenasd || return 1
    old=$(daemon_pid)
    inside kill -STOP "$old"
    within 60 another "$old" || return 1
    inside rm -r /run/systemd/system/pve-truenasd.service.d && inside systemctl daemon-reload && inside systemctl restart pve-truenasd
    answers
}
step 'a daemon that hangs is replaced by the watchdog (F-041)' hangs

# ---- a storage on a simulated TrueNAS, and upgrades while PVE works
inside systemd-run --quiet --unit=sim --property=StandardOutput=file:/exchange/sim.json pve-truenas-sim --ready-json --no-delays --state /exchange/sim --listen 127.0.0.1:0
sim_ready() { grep -q '}$' "$place/exchange/sim.json" 2>/dev/null; }
step 'the simulator of the package runs' within 60 sim_ready
field() { sed -n "s/.*\"$1\":\"\\{0,1\\}\\([^\",]*\\).*/\\1/p" "$place/exchange/sim.json"; }
printf 'truenasplugin: nas\n\tapi_host 127.0.0.1\n\tapi_port %s\n\tfingerprint %s\n\tdataset %s\n\ttarget_iqn %s\n\tdiscovery_portal %s\n\ttruenas-initiator qemu\n\tcontent images\n' \
    "$(field port)" "$(field fingerprint)" "$(field dataset)" "$(field targetIqn)" "$(field portal)" >"$place/exchange/storage.cfg"
field apiKey >"$place/exchange/key"
inside sh -c 'umask 077; cp /exchange/storage.cfg /etc/pve/storage.cfg; cp /exchange/key /etc/pve/priv/storage/nas.api_key'
online() { inside pvesm status nas 2>&1 | has '^nas.active'; }
step 'the storage comes online' within 100 online
step 'PVE allocates a disk' inside pvesm alloc nas 100 '' 1048576
fault() { inside pve-truenas-sim fault "$@" --control /exchange/sim/control.sock; }
during() { # during FIRST: PVE lists, and allocates one disk after the other for guests FIRST and on, until the upgrade is done
    local vmid=$1
    until [ -e "$place/upgraded" ]; do
        inside pvesm alloc nas "$vmid" '' 4096 || echo "FAILED alloc $vmid"
        inside pvesm list nas | grep -q vm-100-disk-0 || echo 'FAILED list'
        vmid=$((vmid + 1))
    done
}
HELD=40000 # ms, less than the budget of an allocation (50 s) and more than apt takes until it restarts the daemon
upgraded() {
    local old socket busy=() installing
    old=$(daemon_pid) socket=$(property pve-truenasd.socket InvocationID)
    # Two allocations wait in TrueNAS until the old daemon says that it stops: the restart meets them in the midst of it.
    fault reset-calls >/dev/null && fault add '{"fault":"latency","method":"pool.dataset.create","ms":'"$HELD"'}' >/dev/null || return 1
    during 200 >"$place/busy1" 2>&1 & busy+=($!)
    during 300 >"$place/busy2" 2>&1 & busy+=($!)
    asked() { fault calls | grep -q '^pool.dataset.create: 2$'; }
    stopping() { inside journalctl --quiet -u pve-truenasd "_PID=$old" | grep -E '\Wstopping\W.*calls'; }
    within 100 asked || { touch "$place/upgraded"; cat "$place"/busy?; return 1; }
    apt install /exchange/debs/new.deb & installing=$!
    within 100 stopping >/dev/null
    fault clear >/dev/null && fault clock-advance "$HELD" >/dev/null
    wait "$installing" || { touch "$place/upgraded"; return 1; }
    touch "$place/upgraded"
    wait "${busy[@]}"
    if grep -h -B2 FAILED "$place"/busy?; then return 1; fi
    stopping | has 'calls\W+2\b' || { echo 'the two calls were not under way'; return 1; }
    another "$old" || { echo 'the daemon was not restarted'; return 1; }
    same socket "$socket" "$(property pve-truenasd.socket InvocationID)"
}
step 'an upgrade fails no operation that is under way and none that comes meanwhile' upgraded
all() { diff <(sed -n 's/^\(nas:vm-[23][0-9]*-disk-[0-9]*\)$/\1/p' "$place"/busy? | sort) <(inside pvesm list nas | awk '/vm-[23]/ { print $1 }' | sort); }
step 'every disk that PVE was told of is there, once, and no other' all
step 'again nothing was restarted, no guest touched' undisturbed

# ---- nodes of different versions
newer_module() {
    local said
    inside sh -c "sed 's/^\\(our\\|my\\) \\\$PROTOCOL = [0-9]*/\\1 \\\$PROTOCOL = 99/' $MODULE >/exchange/newer.pm && mkdir -p /exchange/newer/PVE/Storage/Custom && cp /exchange/newer.pm /exchange/newer/PVE/Storage/Custom/TrueNASPlugin.pm"
    said=$(inside perl -I/exchange/newer /usr/libexec/stand-in/t/bin/pvesm-lite --storage-cfg /etc/pve/storage.cfg list nas 2>&1) && { echo "was served: $said"; return 1; }
    echo "$said" | has 'protocol version 99 is not served'
}
step 'a module of a later protocol is refused by this daemon, with both versions named' newer_module
older_module() { inside dpkg-deb --fsys-tarfile /exchange/debs/old.deb | inside tar -xO ".$MODULE" >"$place/exchange/newer/PVE/Storage/Custom/TrueNASPlugin.pm"
    inside perl -I/exchange/newer /usr/libexec/stand-in/t/bin/pvesm-lite --storage-cfg /etc/pve/storage.cfg list nas | has vm-100-disk-0; }
step 'the module of the version before is served by this daemon' older_module
downgraded() { apt install --allow-downgrades /exchange/debs/old.deb && inside perl -T -e "$loads" && inside pvesm list nas | has vm-100-disk-0 && apt install /exchange/debs/new.deb; }
step 'and so it is the other way round' downgraded

# ---- PVE in which our module does not load: another plugin has the type
sed 's/otherplugin/truenasplugin/' "$here/stand-in/OtherPlugin.pm" >"$place/exchange/OtherPlugin.pm"
refused() {
    local status=0
    inside cp /exchange/OtherPlugin.pm "$custom/OtherPlugin.pm"
    apt install --reinstall /exchange/debs/new.deb >"$place/refused" 2>&1 || status=$?
    [ "$status" != 0 ] || { echo 'the installation did not fail'; return 1; }
    has 'the module was taken away again' <"$place/refused" && has 'belongs to PVE::Storage::Custom::OtherPlugin' <"$place/refused" || { tail -20 "$place/refused"; return 1; }
    inside perl -T -e 'use PVE::Storage; print "loads\n"' | has '^loads$'
}
step 'where PVE cannot load with the module it is taken away again, with the reason' refused
cured() { inside rm "$custom/OtherPlugin.pm" && inside dpkg --configure pve-truenas && inside perl -T -e "$loads" && inside pvesm list nas | has vm-100-disk-0; }
step 'and comes back after the cure' cured

# ---- shutdown and boot
ordered() {
    shut_down
    has '"storages"' <"$place/upper/var/log/daemon-at-guests-stop" || { echo 'the daemon was gone before the guests'; return 1; }
    boot || return 1
    has '"storages"' <"$place/upper/var/log/daemon-at-guests-start" || { echo 'the daemon came after the guests'; return 1; }
}
rm -f "$place/upper/var/log/daemon-at-guests-start"
step 'at a shutdown it ends after the guests, at boot it is there before them' ordered

# ---- removal
before=$(bystanders) guest_pid=none
guest() { echo none; }
inside sha256sum /etc/pve/storage.cfg /etc/pve/priv/storage/nas.api_key >"$place/kept"
removed() {
    apt remove pve-truenas >"$place/removed" 2>&1 || { cat "$place/removed"; return 1; }
    has 'still has storages of type truenasplugin' <"$place/removed"
}
step 'removal warns of the storages that are left' removed
step 'puts back what was there by hand' mine
kept() { inside sha256sum --check --quiet - <"$place/kept" && inside test -d /var/lib/pve-truenas; }
step 'keeps configuration, keys and state' kept
still_there() { grep -q 'vm-100-disk-0' "$place/exchange/sim/zfs.json"; }
step 'and the disks' still_there
ended() { [ "$(inside systemctl is-active pve-truenasd.service pve-truenasd.socket | sort -u)" = inactive ] && inside test ! -e /run/pve-truenas/daemon.sock; }
step 'the service has ended' ended
step 'nothing was restarted' undisturbed
step 'purge takes the rest' apt purge pve-truenas
inside rm -f "$MODULE" /etc/pve/storage.cfg /etc/pve/storage.cfg.lock /etc/pve/priv/storage/nas.api_key
step 'and leaves no file' gone

# ---- in the place of another package
inside dpkg -i /exchange/debs/truenas-proxmox-plugin.deb >/dev/null 2>&1
replaced() {
    apt install /exchange/debs/new.deb || return 1
    inside dpkg-query -W -f '${db:Status-Abbrev}' truenas-proxmox-plugin 2>/dev/null | grep -q '^.i' && { echo 'still installed'; return 1; }
    inside perl -T -e "$loads"
}
step 'takes the place of the package of the Perl plugin' replaced
