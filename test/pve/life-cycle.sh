# One round of test/pve/run: a fresh simulator, daemon and PVE state; sourced with generation, taint, work, harness, node.
sim=("$node" "$root/dist/pve-truenas-sim.mjs")
state=$work/state
custom=$state/custom
mkdir -p "$custom" "$work/sim" "$work/journal"
cp "$root/perl/PVE/Storage/Custom/TrueNASPlugin.pm" "$custom/"
options=("-$generation" "${taint[@]}" -s "$state" -p /run/pve-truenas -p /dev/pve-truenas -p /etc/iscsi)

run() { "$harness/bin/run" "${options[@]}" -x "$@"; }
pvesm() { run pvesm "$@"; }
qm() { run qm "$@"; }
vol() { run pve-harness-perl "$harness/tests/vol" "$@"; }
fact() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p" "$work/ready.json"; }
in_etc() { (cd "$state/etc-pve" && "$@"); }

quiet() { # a command that complains of nothing
    "$@" > "$work/quiet" 2>&1 && cat "$work/quiet"
    [ $? = 0 ] && ! grep -v 'for my (\.\.\.) is experimental' "$work/quiet" | grep -iE 'warn|error|plugin'
}
# ---- the array, as the simulator tells it

array() { "${sim[@]}" fault state --control "$work/sim/control.sock" --json > "$work/array.json"; }
array_is_empty() {
    array && "$node" "$here/left-on-array.mjs" "$work/array.json"
}
start_sim() {
    "${sim[@]}" --blocks tgt --state "$work/sim" --ready-json --wire-log "$work/wire.log" > "$work/ready.json" 2> "$work/sim.err" &
    sim_pid=$!
    within 120 test -s "$work/ready.json" || { cat "$work/sim.err"; return 1; }
}
ready() { [ -S "$state/nodes/pve1/private/run/pve-truenas/daemon.sock" ]; }
start_daemon() { # inside the harness: it sees the run's /etc/pve
    "$harness/bin/run" "${options[@]}" -x "$node" "$root/dist/pve-truenasd.mjs" --state-dir "$work/journal" --node pve1 \
        > "$work/daemon.log" 2>&1 &
    daemon_pid=$!
    within 120 ready || { cat "$work/daemon.log"; return 1; }
}
stop_daemon() { stop "$daemon_pid"; daemon_pid=''; }

add() { # add ID [SETTING VALUE]...: as an administrator would
    local id=$1; shift
    pvesm add truenasplugin "$id" --api_host 127.0.0.1 --api_port "$(fact port)" --api_key "${key:-$(fact apiKey)}" \
        --fingerprint "$(fact fingerprint)" --dataset "$(fact dataset)" --target_iqn "$(fact targetIqn)" \
        --discovery_portal "$(fact portal)" --truenas-initiator qemu "$@"
}
key_is_safe() { # in its own file of mode 0600, and not in storage.cfg
    local secret=$state/etc-pve/priv/storage/tn.api_key
    [ "$(cat "$secret")" = "$(fact apiKey)" ] && [ "$(stat -c %a "$secret")" = 600 ] || { ls -l "$secret"; return 1; }
    ! in_etc grep -F "$(fact apiKey)" storage.cfg
}
not_in_cfg() { ! in_etc grep -F -- "$1" storage.cfg && ! in_etc ls priv/storage | grep -F -- "$1."; }
active() { pvesm status | grep -E '^tn +truenasplugin +active '; }
inactive() { pvesm status > "$work/status" 2>&1; grep -E '^tn +truenasplugin +inactive ' "$work/status"; }

# ---- guests

setting() { in_etc sed '/^\[/,$d' "nodes/pve1/qemu-server/$1.conf" 2> /dev/null | sed -n "s/^$2: \([^,]*\).*/\1/p"; }
scsi0() { setting 100 scsi0; }
on_tn() { # the guest's disks are listed with their sizes, and no others
    pvesm list tn --vmid 100 > "$work/list" && cat "$work/list"
    [ "$(sed 1d "$work/list" | wc -l)" = "$1" ] && grep -E "^tn:$2 +raw +images +$3 +100\$" "$work/list"
}
is_iscsi() { pvesm path "$1" | grep -E '^iscsi://127\.0\.0\.1:[0-9]+/iqn\.[^/]+/[0-9]+$'; }
is_device() { [ "$(pvesm path "$1")" = "/dev/pve-truenas/tn/${1#*:}" ]; }
gone() { [ "$(pvesm list tn | sed 1d | wc -l)" = 0 ]; }
log_is_clean() { # what PVE and the plugin wrote into syslog
    ! run grep -E ' at /usr/share/perl5/PVE/Storage/Custom/.* line [0-9]|Insecure dependency' /run/pve/syslog
}
daemon_is_clean() { ! grep -E '"?code"?:"?INTERNAL' "$work/daemon.log"; }

name=initiatorname.iscsi
mkdir -p "$state/nodes/pve1/private/etc/iscsi"
echo 'InitiatorName=iqn.1993-08.org.debian:01:pve1' > "$state/nodes/pve1/private/etc/iscsi/$name"

step 'simulator up'                            start_sim
[ -s "$work/ready.json" ] || return 0
step 'module loads: pvesm status'              quiet pvesm status
step 'module loads: qm list'                   quiet qm list
refuse 'pvesm add without a daemon'  'systemctl start pve-truenasd'  add tn
step 'nothing of it is left'                   not_in_cfg tn
step 'daemon up'                               start_daemon
[ -n "$daemon_pid" ] || return 0
key=1-wrong refuse 'pvesm add with a wrong key'  'API key'  add tn
step 'nothing of it is left'                   not_in_cfg tn
refuse 'pvesm add with a wrong dataset'  'dataset'  add tn --dataset tank/none
step 'pvesm add'                               add tn
not_in_cfg tn > /dev/null && return 0 # nothing below makes sense without it
step 'the key is not in storage.cfg'           key_is_safe
step 'pvesm status: active'                    active
step 'pvesm set: rotate the key'               pvesm set tn --api_key "$(fact apiKey)"
S=tn include 'pvesm'                           "$harness/tests/lifecycle-pvesm" "${options[@]}"

step 'pvesm alloc with a name, 528 KiB'        pvesm alloc tn 100 vm-100-efi 528
step 'pvesm list: exact size'                  on_tn 1 vm-100-efi 540672
step 'pvesm path'                              is_iscsi tn:vm-100-efi
refuse 'pvesm alloc of the same name'  'exists'  pvesm alloc tn 100 vm-100-efi 1M
for hostile in 'vm-101-disk-0' 'vm-100-a,b' 'vm-100-../x' "vm-100-$(printf 'a%.0s' {1..300})"; do
    refuse "pvesm alloc of ${hostile:0:14}"  'illegal name|unable to parse|value'  pvesm alloc tn 100 "$hostile" 1M
done
refuse 'pvesm alloc of 0 KiB'  'invalid size'  pvesm alloc tn 100 '' 0
step 'pvesm free'                              pvesm free tn:vm-100-efi

step 'qm create (disk, EFI, TPM, cloud-init)'  qm create 100 --name t --memory 64 --scsihw virtio-scsi-pci --scsi0 tn:1 \
    --bios ovmf --efidisk0 tn:1,efitype=4m --tpmstate0 tn:1,version=v2.0 --ide2 tn:cloudinit
step 'its four volumes'                        on_tn 4 vm-100-cloudinit 4194304
step 'qm config'                               qm config 100
step 'size by the storage and by QEMU'         vol size "$(scsi0)" 1073741824
step 'write A'                                 vol write "$(scsi0)" A
step 'qm snapshot s1'                          qm snapshot 100 s1
step 'write B'                                 vol write "$(scsi0)" B
step 'qm rollback s1'                          qm rollback 100 s1
step 'it holds A'                              vol check "$(scsi0)" A
step 'qm snapshot s2'                          qm snapshot 100 s2
refuse 'qm rollback past s2'  'newer snapshots|s2'  qm rollback 100 s1
step 'it still holds A'                        vol check "$(scsi0)" A
step 'qm delsnapshot s2'                       qm delsnapshot 100 s2
step 'qm listsnapshot'                         qm listsnapshot 100
step 'qm resize +1G'                           qm resize 100 scsi0 +1G
step 'size by the storage and by QEMU'         vol size "$(scsi0)" 2147483648
step 'the old content is there'                vol check "$(scsi0)" A '' 1073741824
step 'write C to the whole'                    vol write "$(scsi0)" C
step 'it holds C'                              vol check "$(scsi0)" C
step 'qm showcmd'                              qm showcmd 100
step 'qm disk rescan'                          qm disk rescan --vmid 100

step 'daemon stopped'                          stop_daemon
step 'daemon down: pvesm status goes on'       inactive
step 'daemon down: and says why'               grep -F 'systemctl start pve-truenasd' "$work/status"
step 'daemon down: pvesm path'                 pvesm path "$(scsi0)"
step 'daemon down: qm config'                  qm config 100
refuse 'daemon down: pvesm list'  'not online'  pvesm list tn
step 'daemon up again'                         start_daemon
step 'it still holds C'                        vol check "$(scsi0)" C

step 'qm destroy, with its snapshot'           qm destroy 100 --purge 1
step 'pvesm list: nothing'                     gone
step 'nothing left on the array'               array_is_empty
step 'pvesm set --disable 1'                   pvesm set tn --disable 1
step 'pvesm remove'                            pvesm remove tn
step 'nothing of it is left'                   not_in_cfg tn
step 'log clean'                               log_is_clean
step 'no internal error of the daemon'         daemon_is_clean
step 'daemon stops'                            stop_daemon
