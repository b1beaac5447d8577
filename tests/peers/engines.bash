# Starts and stops the measured programs. Sourced; needs the settings of position-join.

# value NAME LINE: the value of NAME in a line of name=value pairs.
value() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" <<<"$2"; }

data() { "$examples/position_join_data" --namespace "$namespace" "$@"; }

processor_of() { awk '{ sub(/.*\) /, ""); print ($12 + $13) / 100 }' "/proc/$1/stat" 2>/dev/null || echo 0; }

# The processor time of all processes on all processors.
machine() { awk '/^cpu /{ print ($2 + $3 + $4 + $7 + $8) / 100 }' /proc/stat; }

engine_command() {
    case $1 in
    tributary)
        exec "$examples/position_join" --namespace "$namespace" --commit-ms "$commit_ms" --workers "$workers" $figures "${@:2}" ;;
    floor)
        exec "$examples/position_join_floor" --namespace "$namespace" --commit-ms "$commit_ms" --per-thousand "$(shares)" ;;
    *)
        if [[ -n $peer ]]; then
            # shellcheck disable=SC2086  # a command line
            exec $peer --kafka "$TRIBUTARY_KAFKA" --namespace "$namespace" --commit-ms "$commit_ms"
        fi
        exec java -Xms3g -Xmx4g -Xmn2g -XX:+UseParallelGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
            -cp "$streams/target/classes:$streams/target/lib/*" tributary.peer.PositionJoin --kafka "$TRIBUTARY_KAFKA" \
            --namespace "$namespace" --commit-ms "$commit_ms" --threads "$threads" --state "$work/state" ;;
    esac
}

# start_engine ENGINE [OPTION...]: sets engine_pid, and since to the time (epoch ms) when it begins to work.
start_engine() {
    : >"$work/out"
    engine_command "$@" >"$work/out" 2>"$work/err" &
    engine_pid=$!
    engine_pids+=" $engine_pid"
    for _ in $(seq 300); do grep -q '^START ' "$work/out" && break; sleep 0.05; done
    since=$(awk '/^START /{ print $2; exit }' "$work/out")
    [[ -n $since ]] || { printf '%s did not start:\n' "$1" >&2; tail -n 5 "$work/err" >&2; return 1; }
}

# stop_engine [SIGNAL]
stop_engine() {
    kill "-${1:-TERM}" "$engine_pid" 2>/dev/null || true
    for _ in $(seq 300); do kill -0 "$engine_pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$engine_pid" 2>/dev/null || true
    wait "$engine_pid" 2>/dev/null || true
}

# caught_up [OPTION...]: waits until no more output arrives; sets watched. A long gap can look like the end: a caller
# that needs to be sure must verify.
caught_up() {
    watched=$(data watch --pid "$engine_pid" --since "$since" ${broker_pid:+--broker-pid "$broker_pid"} "$@")
}

# complete: waits until the output is the batch join; sets watched and verified. Fails if it is not.
complete() {
    caught_up "$@"
    if ! verified=$(data verify); then
        printf 'not complete yet, waiting on: %s\n' "$verified" >&2
        caught_up --from-start --quiet-ms 15000
        verified=$(data verify) || true
    fi
    [[ $(value verify "$verified") == ok ]] && return
    tail -n 5 "$work/err" >&2
    printf '%s\n' "$verified" >&2
    return 1
}
