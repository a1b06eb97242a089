# Steps and their count, for test/pve/run.
passed=0 failed=0
output=$(mktemp)

_line() { # _line WORD NAME SECONDS [WHY]
    printf '%-5s %-58s %6s s%s\n' "$1" "$2" "$3" "${4:+  $4}"
}
_timed() {
    local from=${EPOCHREALTIME} rc=0
    "$@" > "$output" 2>&1 || rc=$?
    took=$(awk -v a="$from" -v b="${EPOCHREALTIME}" 'BEGIN { printf "%.1f", b - a }')
    return $rc
}
_passed() { passed=$((passed + 1)); _line ok "$1" "$took"; }
_failed() {
    failed=$((failed + 1))
    _line FAIL "$1" "$took" "$2"
    grep -v 'for my (\.\.\.) is experimental' "$output" | tail -15 | sed 's/^/      | /'
}
# Perl's own complaints, and PVE's about a plugin
warns() {
    grep -E ' at /usr/share/perl5/PVE/Storage/Custom/.* line [0-9]|TrueNASPlugin.*(older|newer) storage API|Error loading storage plugin|Insecure dependency' "$output"
}
# step NAME COMMAND...: passes when the command succeeds without such a complaint
step() {
    local name=$1; shift
    if ! _timed "$@"; then _failed "$name" 'exit status not 0'
    elif warns > /dev/null; then _failed "$name" 'warning'
    else _passed "$name"; fi
}
# refuse NAME REGEX COMMAND...: passes when the command fails and says so
refuse() {
    local name=$1 regex=$2; shift 2
    if _timed "$@"; then _failed "$name" 'was not refused'
    elif ! grep -qE -- "$regex" "$output"; then _failed "$name" "refused, but not with /$regex/"
    elif warns > /dev/null; then _failed "$name" 'warning'
    else _passed "$name"; fi
}
# within SECONDS COMMAND...: repeats the command until it succeeds
within() {
    local until=$((SECONDS + $1)); shift
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.2
    done
}
# adds the counts of another runner that ends with `N passed, N failed`
include() {
    local name=$1 line; shift
    _timed "$@" || :
    grep -E '^(ok|FAIL|skip) |^ +\|' "$output" | sed "s/^\(ok\|FAIL\|skip\) */&$name: /"
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$output" | tail -1)
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    else
        _failed "$name" 'ended without a count'
    fi
}
finish() {
    rm -f "$output"
    echo "$passed passed, $failed failed"
    exit $((failed > 0))
}
finish_unusable() {
    rm -f "$output"
    echo '0 passed, 1 failed'
    exit 3
}
