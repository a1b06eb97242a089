# Boots the tree and runs commands in it, for test/install/one: $tree, $place, $here.
machine='' init=''

_init() { # the systemd of the tree is up
    local holder
    holder=$(cat "$place/holder" 2>/dev/null) && init=$(pgrep -P "$holder") && [ -n "$init" ] &&
        [ "$(cat "/proc/$init/comm" 2>/dev/null)" = systemd ] && inside systemctl is-system-running 2>/dev/null | grep -qE '^(running|degraded)$'
}
boot() {
    rm -f "$place/holder"
    "$here/machine" "$tree" "$place" </dev/null >"$place/console" 2>&1 &
    machine=$!
    within 120 _init || { cat "$place/console"; return 1; }
}
# inside COMMAND...: as root in the tree
inside() {
    nsenter --target "$init" --mount --uts --ipc --net --pid --cgroup --root env -i -C / PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 timeout 300 "$@"
}
# Orderly, as at a shutdown of the node; then what it wrote is in $place/upper.
shut_down() {
    inside systemctl poweroff --no-block
    wait "$machine"
    machine=''
}
power_off() {
    [ -n "$machine" ] || return 0
    kill "$machine" 2>/dev/null
    wait "$machine" 2>/dev/null
    machine=''
}
property() { # property UNIT NAME
    inside systemctl show --property "$2" --value "$1"
}
same() { # same WHAT BEFORE AFTER
    [ -n "$2" ] && [ "$2" = "$3" ] || { echo "$1: $2 before, $3 after"; return 1; }
}
# Files of the tree, without those that dpkg, apt, systemd and the stand-ins write in the course of things.
files() {
    inside find / -xdev \( -path /var/lib/dpkg -o -path /var/cache -o -path /var/log -o -path /var/lib/systemd -o -path /exchange -o -path /root -o -path /tmp -o -path /var/tmp \
        -o -path /var/lib/apt -o -path /etc/.pwd.lock \) -prune -o -print | sort
}
# What must live through anything that is done to the package.
bystanders() {
    inside systemctl show --property MainPID,ActiveState pvedaemon pvestatd pveproxy 100.scope
}
