# The peer: Oban for Python, and a PostgreSQL for it. Sourced; needs the settings of bench.

python="" packages="" programs="" database=""

# start_peer: sets peer to yes, or to nothing after saying why it is left out.
start_peer() {
    peer=""
    if ! find_python; then
        left_out "there is no Python 3.12 or later with pip; TRIBUTARY_PYTHON may name one"
    elif ! find_postgresql; then
        left_out "there is no PostgreSQL 14 or later; TRIBUTARY_POSTGRESQL may name the folder of its programs"
    elif ! install_once "$packages" install_oban; then
        left_out "its packages cannot be installed"
    elif ! start_postgresql; then
        left_out "PostgreSQL did not start"
    else
        peer=yes
    fi
}

left_out() { printf 'the peer is left out: %s\n' "$1" | tee -a "$work/notes"; }

find_python() {
    local found version='import pip, sys; assert sys.version_info >= (3, 12); print("%s.%s" % sys.version_info[:2])'
    for python in "${TRIBUTARY_PYTHON:-}" python3.13 python3.12 python3 ~/.pyenv/versions/3.1[2-9]*/bin/python3; do
        [[ -n $python ]] || continue
        found=$("$python" -c "$version" 2>/dev/null) || continue
        packages=oban-0.7-python-$found
        return 0
    done
    return 1
}

# It ends the shell of install_once, which keeps nothing then.
install_oban() {
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$1" \
        'oban==0.7.*' 'aiohttp==3.*' >&2 || exit 1
}

find_postgresql() {
    for programs in "${TRIBUTARY_POSTGRESQL:-}" /usr/lib/postgresql/{18,17,16,15,14}/bin; do
        if [[ -x $programs/postgres && -x $programs/initdb ]]; then return 0; fi
    done
    return 1
}

# PostgreSQL refuses to run as root.
owner=$(id -un)
if [[ $(id -u) == 0 ]]; then owner=$(getent passwd postgres >/dev/null && echo postgres || echo nobody); fi
as_owner() { if [[ $(id -un) == "$owner" ]]; then "$@"; else (cd / && runuser -u "$owner" -- "$@"); fi; }

# Durable, as PostgreSQL is unless it is told otherwise.
start_postgresql() {
    local flags="-c listen_addresses= -c shared_buffers=1GB -c wal_buffers=64MB -c min_wal_size=2GB -c max_wal_size=8GB"
    database=$(mktemp -d "${TMPDIR:-/tmp}/tributary-oban.XXXXXX")
    [[ $owner == "$(id -un)" ]] || chown "$owner" "$database"
    export PGHOST=$database PGUSER=tributary
    as_owner "$programs/initdb" -D "$database/data" -A trust -U "$PGUSER" -E UTF8 --locale=C >"$work/initdb" 2>&1 &&
        as_owner "$programs/pg_ctl" -D "$database/data" -w -l "$database/log" \
            -o "$flags -c jit=off -c unix_socket_directories=$database" start >"$work/initdb" 2>&1 ||
        { cat "$work/initdb" >&2; return 1; }
}

stop_postgresql() {
    [[ -n $database ]] || return 0
    [[ ! -s $database/data/postmaster.pid ]] ||
        as_owner "$programs/pg_ctl" -D "$database/data" -m immediate stop >/dev/null || true
    rm -rf "$database"
}

# of_peer ARGUMENT...: runs a command of the peer in a database of its own.
of_peer() {
    local name=peer$number
    "$programs/psql" -X -q -d postgres -c "CREATE DATABASE $name"
    PGDATABASE=$name PYTHONPATH=$(cache_dir)/$packages "$python" -B "$here/peer/peer.py" "$1" --register "$register" \
        "${@:2}"
    "$programs/psql" -X -q -d postgres -c "DROP DATABASE $name"
}
