# The download cache, and how a service's process is started, awaited and stopped. Sourced by the scripts in this
# folder. Everything specific to one service (its download, settings, readiness) is in the file named after it.
#
# Layout of the folder given with --dir:
#   env              KEY=value lines: addresses and process ids
#   owner.pid        the process that stops everything when the owner given with --owner has ended
#   <service>/pid    the service's process group; <service>/ports its ports; <service>/data its data

SERVICES_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$SERVICES_DIR/versions"

KNOWN_SERVICES="kafka registry keycloak rabbitmq cassandra"
READY_SECONDS=${TRIBUTARY_SERVICE_READY_SECONDS:-120}

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

cache_dir() { printf '%s\n' "${TRIBUTARY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tributary}"; }

# install_once NAME FILL...: makes <cache>/NAME by calling FILL with an empty folder to fill. The folder appears under
# its name only once it is complete, so a broken download is never mistaken for a whole one.
install_once() {
    local name=$1 cache target
    shift
    cache=$(cache_dir)
    target=$cache/$name
    [[ -d $target ]] && return 0
    mkdir -p "$cache"
    (
        if command -v flock >/dev/null; then flock 9; fi
        [[ -d $target ]] && exit 0
        partial=$(mktemp -d "$cache/.partial.XXXXXX")
        trap 'rm -rf "$partial"' EXIT
        say "fetching $name into $cache"
        "$@" "$partial"
        chmod 755 "$partial"
        mv "$partial" "$target"
    ) 9>"$cache/.$name.lock"
}

# maven ARGS...: runs Maven quietly; its output is shown only if it fails.
maven() {
    local output attempt
    command -v mvn >/dev/null || fail "Maven (mvn) is not installed"
    for attempt in 1 2 3; do
        output=$(mvn -q -B -ntp "$@" 2>&1 </dev/null) && return 0
        sleep "$attempt"
    done
    say "$output"
    fail "mvn $* failed three times"
}

# debian_packages FOLDER PACKAGE...: downloads packages of Debian and unpacks them into FOLDER. Nothing is installed.
debian_packages() {
    local folder=$1 package
    shift
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
        fail "$1 is fetched from Debian's packages, and there is no apt-get here"
    (mkdir "$folder/packages" && cd "$folder/packages" && debian_download "$@") || exit 1
    for package in "$folder"/packages/*.deb; do
        dpkg-deb -x "$package" "$folder" || fail "$package cannot be unpacked"
    done
    rm -r "$folder/packages"
}

# The lists of packages may be missing or old, so a second attempt reads them, into a folder of its own.
debian_download() {
    apt-get download -q "$@" >/dev/null 2>&1 && return 0
    local lists=$PWD/lists output
    mkdir -p "$lists/partial"
    local options=(-q -o "Dir::State::lists=$lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    if ! output=$(apt-get "${options[@]}" update 2>&1 && apt-get "${options[@]}" download "$@" 2>&1); then
        say "$output"
        fail "apt-get could not download $*"
    fi
    rm -r "$lists"
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_ports COUNT: COUNT different free ports in one line. They are below the range from which the system picks ports
# of outgoing connections, so that a restarted service finds its port still free.
free_ports() {
    local port attempt ports=()
    for attempt in {1..100}; do
        port=$((20000 + RANDOM % 12000))
        if port_is_free "$port" && [[ " ${ports[*]:-} " != *" $port "* ]]; then ports+=("$port"); fi
        if ((${#ports[@]} == $1)); then
            printf '%s\n' "${ports[*]}"
            return 0
        fi
    done
    fail "not $1 free ports between 20000 and 31999"
}

# http_ok PORT PATH: succeeds if a GET answers 200. Uses only bash, because a fresh machine may lack curl.
http_ok() {
    local status
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&3
    read -r -t 5 _ status _ <&3
    exec 3>&-
    [[ $status == 200 ]]
} 2>/dev/null

# spawn PIDFILE LOG COMMAND...: starts COMMAND in the background as leader of a process group of its own.
spawn() {
    local pid_file=$1 log=$2
    shift 2
    set -m
    "$@" </dev/null >"$log" 2>&1 &
    printf '%s\n' "$!" >"$pid_file"
    disown
    set +m
}

is_running() { [[ -s $1 ]] && kill -0 "$(<"$1")" 2>/dev/null; }

# end_group PIDFILE SIGNAL: signals the process group, waits until it has ended, and kills it after ten seconds.
end_group() {
    local pid_file=$1 signal=$2 pid attempt
    [[ -s $pid_file ]] || return 0
    pid=$(<"$pid_file")
    kill "-$signal" -- "-$pid" 2>/dev/null
    for attempt in {1..100}; do
        kill -0 -- "-$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL -- "-$pid" 2>/dev/null
    rm -f "$pid_file"
    return 0
}

# await_ready SERVICE HOME LOG: returns 0 once <service>_ready succeeds, 1 if the process ended or the time is up.
await_ready() {
    local service=$1 home=$2 log=$3 deadline=$((SECONDS + READY_SECONDS))
    while ((SECONDS < deadline)); do
        "${service}_ready" "$home" "$log" && return 0
        is_running "$home/pid" || return 1
        sleep 0.1
    done
    say "$service was not ready after $READY_SECONDS s"
    return 1
}

# start_service SERVICE HOME LOGS: picks ports and starts. Tries three times, because another process may take a port in
# between.
start_service() {
    local service=$1 home=$2 logs=$3 attempt
    for attempt in 1 2 3; do
        rm -rf "$home"
        mkdir -p "$home/data"
        "${service}_configure" "$home" && run_service "$service" "$home" "$logs" && return 0
        end_group "$home/pid" KILL
    done
    fail "$service did not start; its log is in $logs"
}

# run_service SERVICE HOME LOGS: starts the service configured in HOME, on the ports and data it already has.
run_service() {
    local service=$1 home=$2 logs=$3 log attempt=1
    while [[ -e $logs/$service-$attempt.log ]]; do attempt=$((attempt + 1)); done
    log=$logs/$service-$attempt.log
    "${service}_spawn" "$home" "$log"
    await_ready "$service" "$home" "$log" && return 0
    say "$service failed; the end of $log:"
    tail -n 20 "$log" >&2
    return 1
}

write_env() {
    local dir=$1 service
    {
        printf 'TRIBUTARY_SERVICES_DIR=%s\n' "$dir"
        for service in $KNOWN_SERVICES; do
            [[ -s $dir/$service/pid ]] && "${service}_env" "$dir/$service"
        done
    } >"$dir/env.new"
    mv "$dir/env.new" "$dir/env"
}

known_service() {
    [[ " $KNOWN_SERVICES " == *" $1 "* ]] || fail "unknown service '$1'; known: $KNOWN_SERVICES"
}

source "$SERVICES_DIR/kafka.bash"
source "$SERVICES_DIR/registry.bash"
source "$SERVICES_DIR/keycloak.bash"
source "$SERVICES_DIR/rabbitmq.bash"
source "$SERVICES_DIR/cassandra.bash"
