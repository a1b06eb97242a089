#!/usr/bin/env bash
# Makes a clone ready: checks Node.js, installs npm packages and the Debian packages that tests and demo use.
# Does nothing, quickly, when all is there. What it cannot install it names, and goes on.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

# --- Node.js
command -v node >/dev/null || fail 'Node.js is missing. Needed: 20.19 or newer, with npm (https://nodejs.org/en/download)'
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
  fail "Node.js $(node --version) is too old. Needed: 20.19 or newer (https://nodejs.org/en/download)"
command -v npm >/dev/null || fail 'npm is missing (Debian: apt-get install npm)'

# --- npm packages; one at a time, when several makes run in this clone
mkdir -p .cache/logs
exec 9>.cache/setup.lock
flock -w 900 9 || fail 'another set-up of this clone is still running after 15 minutes'
if ! node tools/build/packages-fresh.mjs; then
  say 'installing npm packages'
  if ! npm ci --no-progress --loglevel=error >.cache/logs/npm-ci.log 2>&1 </dev/null; then
    cat .cache/logs/npm-ci.log >&2
    fail 'npm ci failed (log above). It needs the npm registry or a filled npm cache.'
  fi
  node tools/build/packages-fresh.mjs || fail 'npm ci ended well, yet node_modules does not hold what package-lock.json lists'
fi

# --- Debian packages: the program (or file) that tells whether it is there, then the package
wanted=(
  tgtd:tgt tgtadm:tgt
  iscsi-ls:libiscsi-bin iscsi-inq:libiscsi-bin iscsi-readcapacity16:libiscsi-bin
  qemu-img:qemu-utils qemu-io:qemu-utils
  debugfs:e2fsprogs mkfs.ext4:e2fsprogs
  perl:perl prove:perl
  dpkg-buildpackage:dpkg-dev make:make fakeroot:fakeroot dh:debhelper lintian:lintian scdoc:scdoc mandoc:mandoc
  mmdebstrap:mmdebstrap bash:bash zsh:zsh tmux:tmux systemd-socket-activate:systemd
)
as_root=()
# Finds a way to be root without asking, or by sudo at a terminal. Argument: what for.
find_root() {
  [ "$(id -u)" = 0 ] && return 0
  command -v sudo >/dev/null || return 1
  if sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  elif [ -t 0 ] && [ -z "${CI:-}" ]; then
    say "sudo is needed to install: $1"
    as_root=(sudo)
  else
    return 1
  fi
}
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >>.cache/logs/apt.log 2>&1
}

install_packages() {
  local missing=() pair
  for pair in "${wanted[@]}"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  compgen -G '/usr/lib/*/qemu/block-iscsi.so' >/dev/null || missing+=(qemu-block-extra)
  [ ${#missing[@]} = 0 ] && return
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

  local by_hand="apt-get install ${missing[*]}"
  if ! command -v apt-get >/dev/null; then
    say "missing: ${missing[*]} (no apt-get here; install them by hand)"
    return
  fi
  if ! find_root "${missing[*]}"; then
    say "missing: ${missing[*]}; as root: $by_hand"
    return
  fi
  # tgt's package would start its own service, open to the network. Ours is started by the simulator, on loopback only.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    "${as_root[@]}" sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy" &&
      trap '"${as_root[@]}" rm -f "$policy"' EXIT
  fi
  say "installing Debian packages: ${missing[*]}"
  compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null || apt update
  if ! apt install -y --no-install-recommends "${missing[@]}"; then
    # Lists that are too old name files that the mirror has no longer.
    { apt update && apt install -y --no-install-recommends "${missing[@]}"; } || {
      tail -n 20 .cache/logs/apt.log >&2
      say "could not install them (log above); as root: $by_hand"
    }
  fi
}

# --- promtool: this one program of Debian's `prometheus`, not the package, which brings a server that listens to the network
promtool=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/pve-truenas-downloads/promtool
unpack_promtool() {
  local part
  mkdir -p "$promtool" && part=$(mktemp -d "$promtool/fetch-XXXXXX") || return
  { (cd "$part" && apt-get -qq download prometheus) >>.cache/logs/apt.log 2>&1 </dev/null &&
    dpkg-deb --fsys-tarfile "$part"/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$part/promtool" &&
    chmod 755 "$part/promtool" && mv "$part/promtool" "$promtool/promtool"; }
  local status=$?
  rm -rf "$part"
  return $status
}
fetch_promtool() {
  if command -v promtool >/dev/null || [ -x "$promtool/promtool" ]; then return; fi
  say 'fetching promtool'
  if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    unpack_promtool && return
    find_root 'a fresh list of packages' && apt update && unpack_promtool && return
  fi
  say 'missing: promtool (Debian package prometheus); the suite `monitoring` is left out without it'
}

: >.cache/logs/apt.log
install_packages
fetch_promtool
exit 0
