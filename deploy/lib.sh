# Shared by the deploy scripts: sourced, never run. Sets root, bin and COVERFLEET_HOME; services are runit's, one
# supervised process each, below $COVERFLEET_HOME/service.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${COVERFLEET_BIN:-$root/build/release/bin}

die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

note() {
    echo "==> $*" >&2
}

# The fleet's folder, absolute; a clone that is not installed uses its own ./var, wherever it is called from.
if [ -z "${COVERFLEET_HOME:-}" ]; then
    COVERFLEET_HOME=$root/var
fi
case $COVERFLEET_HOME in
    /*) ;;
    *) COVERFLEET_HOME=$PWD/$COVERFLEET_HOME ;;
esac
export COVERFLEET_HOME
services=$COVERFLEET_HOME/service

need_programs() {
    local program
    for program in coverfleet coverfleet-broker coverfleet-descriptor coverfleet-indexer coverfleet-query; do
        [ -x "$bin/$program" ] || die "$bin/$program is missing: build first (./deploy/quickstart, or cmake --preset release && cmake --build --preset release)"
    done
    command -v runsv >/dev/null || die "runit is missing: ./deploy/deps installs it"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "need root for: $*"
    fi
}

config_value() {
    "$bin/coverfleet" config get "$1"
}

# service_make NAME PROGRAM [ARG...]: writes the service folder; runit starts what `run` says and keeps it running.
service_make() {
    local name=$1 program=$2
    shift 2
    local folder=$services/$name
    mkdir -p "$folder/log" "$COVERFLEET_HOME/logs/$name"
    {
        echo '#!/bin/bash'
        echo 'exec 2>&1'
        printf 'cd %q || exit 1\n' "$COVERFLEET_HOME"
        printf 'export COVERFLEET_HOME=%q\n' "$COVERFLEET_HOME"
        [ -z "${COVERFLEET_SIMD:-}" ] || printf 'export COVERFLEET_SIMD=%q\n' "$COVERFLEET_SIMD"
        printf 'exec %q' "$bin/$program"
        [ $# = 0 ] || printf ' %q' "$@"
        echo
    } >"$folder/run"
    {
        echo '#!/bin/bash'
        printf 'exec svlogd %q\n' "$COVERFLEET_HOME/logs/$name"
    } >"$folder/log/run"
    chmod +x "$folder/run" "$folder/log/run"
    # Ten files of 10 MB a service, then the oldest goes.
    printf 's10000000\nn10\n' >"$COVERFLEET_HOME/logs/$name/config"
}

service_is_running() {
    [ "$(sv status "$services/$1" 2>/dev/null | cut -d: -f1)" = run ]
}

# Processes of this home's slot that no supervisor holds: what is left when somebody killed a runsv.
service_orphans() {
    local name=$1 supervised pid parent argument
    supervised=$(sv status "$services/$name" 2>/dev/null | sed -n 's/^run: [^ ]* (pid \([0-9]*\)).*/\1/p')
    for pid in /proc/[0-9]*; do
        pid=${pid#/proc/}
        [ "$pid" != "${supervised:-none}" ] || continue
        [[ $(readlink "/proc/$pid/exe" 2>/dev/null) == */coverfleet-${name%%-*}* ]] || continue
        argument=$(tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | sed -n 2p)
        [ "${argument:-broker}" = "$name" ] || continue
        tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qxF "COVERFLEET_HOME=$COVERFLEET_HOME" || continue
        # A worker's decoding children share its name: they go with it.
        parent=$(sed -n 's/^PPid:\t//p' "/proc/$pid/status" 2>/dev/null)
        [[ $(readlink "/proc/${parent:-0}/exe" 2>/dev/null) != */coverfleet-* ]] || continue
        echo "$pid"
    done
}

end_orphans() {
    local name pid deadline
    for name; do
        for pid in $(service_orphans "$name"); do
            note "ending $name (pid $pid), whose supervisor is gone"
            kill -TERM "$pid" 2>/dev/null || true
            deadline=$((SECONDS + 20))
            while kill -0 "$pid" 2>/dev/null; do
                [ $SECONDS -lt $deadline ] || kill -KILL "$pid" 2>/dev/null || true
                sleep 0.1
            done
        done
    done
}

# Starts the supervisor of a service, or the service below a supervisor that is there already.
service_start() {
    end_orphans "$1"
    if sv status "$services/$1" >/dev/null 2>&1; then
        sv up "$services/$1" >/dev/null
    else
        setsid runsv "$services/$1" </dev/null >/dev/null 2>&1 &
    fi
}

# Drains and ends services and their supervisors; a process that does not drain in 20 s is killed, which is safe.
service_stop() {
    local name folders=()
    for name; do
        if sv status "$services/$name" >/dev/null 2>&1; then
            folders+=("$services/$name")
        fi
    done
    [ ${#folders[@]} = 0 ] || sv -w 20 force-shutdown "${folders[@]}" >/dev/null || true
    end_orphans "$@"
}

# The names of this home's services, optionally of one role only, by slot number.
service_names() {
    local folder
    for folder in "$services/${1:-}"*; do
        [ -x "$folder/run" ] && basename "$folder"
    done | sort -t- -k1,1 -k2,2n
    return 0
}

make_role() {
    local role=$1 slot
    for ((slot = 0; slot < $2; slot++)); do
        [ -x "$services/$role-$slot/run" ] || service_make "$role-$slot" "coverfleet-$role" "$role-$slot"
    done
}

# Waits until the broker counts every worker service among its registered workers.
wait_ready() {
    local want deadline=$((SECONDS + ${1:-60})) seen
    want=$(service_names | grep -vcx broker || true)
    while [ $SECONDS -lt $deadline ]; do
        seen=$("$bin/coverfleet" status --json 2>/dev/null | grep -o '"role"' | wc -l || true)
        [ "$seen" -lt "$want" ] || return 0
        sleep 0.1
    done
    return 1
}

# For a fleet that does not come up: the last error of every service that the broker does not know.
explain_missing() {
    local name known
    known=$("$bin/coverfleet" status --json 2>/dev/null || true)
    for name in $(service_names); do
        if [ "$name" = broker ]; then
            [ -z "$known" ] || continue
        elif grep -q "\"$name\"" <<<"$known"; then
            continue
        fi
        echo "$name: $(grep -vE ' (info|debug) ' "$COVERFLEET_HOME/logs/$name/current" 2>/dev/null | tail -n 1)"
    done
}
