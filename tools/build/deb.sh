#!/usr/bin/env bash
# make deb: packs what `make build` made into dist/pve-truenas_VERSION_all.deb. The same sources give the same bytes: all times in
# it are that of debian/changelog's last entry.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for program in dpkg-buildpackage dh scdoc; do
  command -v "$program" >/dev/null || {
    echo "deb: $program is missing: apt-get install build-essential debhelper scdoc" >&2
    exit 1
  }
done

# In a copy: dpkg-buildpackage writes beside its sources, and a build must not depend on what else lies in the clone.
work=$(mktemp -d "${TMPDIR:-/tmp}/pve-truenas-deb.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/pve-truenas"
cp -a README.md CHANGELOG.md debian dist docs monitoring perl systemd "$work/pve-truenas/"
rm -f "$work"/pve-truenas/dist/*.deb
chmod -R u=rwX,go=rX "$work/pve-truenas"
# dpkg takes later times down to that of the changelog, but leaves earlier ones: those of the clone.
date=$(dpkg-parsechangelog --file debian/changelog --show-field Timestamp)
find "$work/pve-truenas" -exec touch --no-dereference --date="@$date" {} +
# shellcheck disable=SC2012 # a package has no blanks in its name
(cd "$work/pve-truenas" && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS DEB_BUILD_OPTIONS='nocheck' dpkg-buildpackage --build=binary --no-sign --no-check-builddeps) >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
# No file of the package is a Perl program whose dependencies debhelper would find out.
grep -E '^(dpkg-[a-z]+|dh_[a-z]+): warning' "$work/log" | grep -v perl:Depends >&2 || true
mv "$work"/pve-truenas_*_all.deb dist/
sha256sum dist/pve-truenas_*_all.deb
