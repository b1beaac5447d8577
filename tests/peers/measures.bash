# The measures, one function each. Sourced; each adds lines to $work/NAME and leaves no engine and no topic behind.

# measure_throughput ENGINE: all inputs are in the topics before the start.
measure_throughput() {
    local engine=$1 loaded broker machine rows
    loaded=$(data load --positions "$positions")
    broker=$([[ -z $broker_pid ]] && echo 0 || processor_of "$broker_pid")
    machine=$(machine)
    start_engine "$engine"
    if [[ $engine == floor ]]; then
        caught_up
        verified="verify=- records_in=$(value records_in "$loaded") records_out=-"
    else
        complete || true
    fi
    stop_engine
    if [[ $engine == tributary ]]; then cp "$work/out" "$work/figures"; fi
    if [[ -n $show && $engine == tributary ]]; then sed '/^START/d;s/^/  /' "$work/out"; fi
    data drop
    printf '%s %s %s broker_s=%s machine0_s=%s\n' "$engine" "$verified" "$watched" \
        "$(awk -v now="$(value broker_total_s "$watched")" -v before="$broker" 'BEGIN { print now - before }')" "$machine" |
        tee -a "$work/throughput" >&2
}

# The floor writes as many records as the join did. Prints the records into the inbox per thousand inputs, and the rows
# and the state changes per thousand of those records.
shares() {
    awk '/StageStatistics/ {
        for (i = 1; i < NF; i++) { if ($i == "records_in:") records = $(i + 1) + 0; if ($i == "records_out:") out = $(i + 1) + 0 }
        if (/name: "pair"/) { pairs = records; rows = out } else inputs += records
    } END { printf "%d,%d,%d", pairs * 1000 / inputs, (rows - (pairs - inputs)) * 1000 / pairs, 950 }' "$work/figures"
}

# measure_latency ENGINE: changes at 2,000 a second, after the first load has been joined.
measure_latency() {
    local found
    data load --positions "$positions" --changes 0 >/dev/null
    start_engine "$1"
    complete
    found=$(data latency --positions "$positions" --seconds 50)
    verified=$(data verify) || true
    stop_engine
    data drop
    printf '%s commit_ms=%s %s %s\n' "$1" "$commit_ms" "$found" "$verified" | tee -a "$work/latency" >&2
}

# measure_restart ENGINE SECONDS: killed in the middle of the work, SECONDS after its start, and restarted.
measure_restart() {
    data load --positions "$positions" >/dev/null
    start_engine "$1"
    sleep "$2"
    stop_engine KILL
    start_engine "$1"
    complete || true
    stop_engine
    data drop
    printf '%s killed_after_s=%s %s %s\n' "$1" "$2" "$watched" "$verified" | tee -a "$work/restart" >&2
}

# measure_ready: restarts with a million entries of state. Ready means that changes from all partitions are visible.
measure_ready() {
    local how probe done_at
    data load --positions 150000 --changes 0 >/dev/null
    start_engine tributary --state "$work/snapshots"
    complete
    for how in snapshot changelog; do
        stop_engine
        [[ $how == snapshot ]] || rm -rf "$work/snapshots"
        data probe --of any --count 400 --at-once >"$work/probe" &
        probe=$!
        # It reads the existing output before it sends.
        sleep 10
        start_engine tributary --figures --state "$work/snapshots"
        wait "$probe"
        done_at=$(value done_at "$(<"$work/probe")")
        stop_engine
        printf 'tributary from=%s ready_s=%s %s\n' "$how" \
            "$(awk -v from="$since" -v to="$done_at" 'BEGIN { print (to - from) / 1000 }')" \
            "$(sed -n 's/.*restored_entries: \([0-9]*\), restore_time: \([^ ]*\) .*/entries=\1 restore=\2/p' "$work/out")" |
            tee -a "$work/ready" >&2
        start_engine tributary --state "$work/snapshots"
    done
    stop_engine
    data drop
}

# measure_second: a second process joins and leaves again while changes come at 2,000 a second. The longest wait of any
# change is the upper bound of the pause of any partition.
measure_second() {
    local first found latency
    data load --positions "$positions" --changes 0 >/dev/null
    start_engine tributary --instance 1
    complete
    first=$engine_pid
    data latency --positions "$positions" --seconds 45 >"$work/second-latency" &
    latency=$!
    sleep 20
    start_engine tributary --instance 2
    sleep 12
    stop_engine
    wait "$latency"
    found=$(<"$work/second-latency")
    engine_pid=$first
    verified=$(data verify) || true
    stop_engine
    data drop
    printf 'tributary %s %s\n' "$found" "$verified" | tee -a "$work/second" >&2
}

# measure_bucket: single changes of a placement, at posts with one placement and at the post with 64,000.
measure_bucket() {
    local of
    data load --positions 5000 --bucket 64000 --changes 0 >/dev/null
    start_engine tributary
    complete
    for of in single bucket single bucket; do
        printf 'tributary of=%s %s\n' "$of" "$(data probe --of "$of")" | tee -a "$work/bucket" >&2
    done
    verified=$(data verify)
    stop_engine
    data drop
}
