# The measures, one function each. Sourced; each prints lines, notes figures, and leaves no process behind.

# wanted ENGINE
wanted() { [[ -z $only || $only == "$1" ]] && [[ $1 != peer || -n $peer ]]; }

# note FIGURE ENGINE VALUE
note() { printf '%s %s %s\n' "$1" "$2" "$3" >>"$work/figures"; }

measure_jobs() {
    local pair delay calls run name found
    for pair in 50:16 0:64; do
        delay=${pair%:*} calls=${pair#*:}
        printf '\njobs: the register takes %s ms, at most %s calls in flight, %s jobs at once\n' "$delay" "$calls" \
            $((4 * calls))
        for run in $(seq "$runs"); do
            for name in tributary floor peer; do
                wanted "$name" || continue
                play --delay-ms "$delay"
                "jobs_of_$name"
                found=${found/ per_s=/ jobs_per_s=}
                note "jobs-$delay" "$name" "$(value jobs_per_s "$found")"
                print_found "$name"
                stop_all
            done
        done
    done
}

# These set `found` of the measure that calls them, and use its `calls` and `delay`.

jobs_of_tributary() {
    configure "$calls"
    serve
    found=$(load jobs --url "$url/graphql" --at-once $((4 * calls)) --seconds "$seconds")
}

jobs_of_floor() { found=$(load floor --url "$register" --in-flight "$calls" --seconds "$seconds"); }

# As many lookups as it was seen to work on in about the same time.
jobs_of_peer() { found=$(of_peer jobs --in-flight "$calls" --lookups $((seconds * (delay > 0 ? 180 : 500)))); }

# print_found ENGINE: what was found, what the program took if one runs, and what the register has seen.
print_found() {
    printf '%-10s %s ' "$1" "$found"
    [[ -z $service ]] ||
        printf 'processor_s=%s peak_mb=%s ' "$(processor_of "$service")" "$(memory_of VmHWM "$service")"
    printf 'register_s=%s %s\n' "$(processor_of "$registry")" "$(curl -s "$register")"
}

measure_rate() {
    local run name found
    printf '\nrate: 200 mutations a second, each a job; the register takes 50 ms, at most 64 calls in flight\n'
    for run in $(seq "$runs"); do
        for name in tributary peer; do
            wanted "$name" || continue
            play --delay-ms 50
            "rate_of_$name"
            note answer "$name" "$(value answer_p99_ms "$found")"
            note to-call "$name" "$(value to_call_p99_ms "$found")"
            print_found "$name"
            stop_all
        done
    done
}

rate_of_tributary() {
    configure 64
    serve
    found=$(load rate --url "$url/graphql" --arrivals "${register}arrivals" --rate 200 --seconds "$seconds")
}

rate_of_peer() { found=$(of_peer rate --in-flight 64 --rate 200 --seconds "$seconds"); }

measure_rows() {
    local run found
    wanted tributary || return 0
    printf '\nrows: %s of them, 200 queries a second, restart\n' "$rows"
    play
    configure 64
    serve
    found=$(load fill --url "$url/graphql" --rows "$rows")
    print_found fill
    for run in $(seq "$runs"); do
        found=$(queries --seconds "$seconds")
        printf 'query      %s peak_mb=%s\n' "$found" "$(memory_of VmHWM "$service")"
        note query tributary "$(value p99_ms "$found")"
    done
    note memory tributary "$(memory_of VmHWM "$service")"
    for run in $(seq "$runs"); do
        end_of "$service"
        serve
        note ready tributary "$(calculate "$ready_ms / 1000")"
        queries --rate 1 --warm-up 0 --seconds 1 >/dev/null
        printf 'restart    ready_ms=%s first_answer_ms=%s rss_mb=%s peak_mb=%s\n' "$ready_ms" \
            $(($(date +%s%3N) - since)) "$(memory_of VmRSS "$service")" "$(memory_of VmHWM "$service")"
    done
    note restarted-memory tributary "$(memory_of VmHWM "$service")"
    stop_all
}

# queries FLAG...
queries() { load query --url "$url/graphql" --rows "$rows" "$@"; }

# median FIGURE ENGINE: - if it was not measured.
median() {
    awk -v figure="$1" -v engine="$2" '$1 == figure && $2 == engine && $3 != "" { print $3 }' "$work/figures" |
        sort -n | awk '{ value[NR] = $1 } END {
            if (NR == 0) print "-"; else print (value[int((NR + 1) / 2)] + value[int(NR / 2) + 1]) / 2
        }'
}

# row TEXT FIGURE TARGET: a line of the table, if anything was measured.
row() {
    local own floor other
    own=$(median "$2" tributary) floor=$(median "$2" floor) other=$(median "$2" peer)
    [[ $own$floor$other == --- ]] || printf '%-52s %10s %12s %10s %10s\n' "$1" "$own" "$3" "$floor" "$other"
}

# ratio TEXT FIGURE ENGINE TARGET: what is reached in relation to floor or peer.
ratio() {
    local own other
    own=$(median "$2" tributary) other=$(median "$2" "$3")
    [[ $own != - && $other != - ]] || return 0
    printf '%-52s %10s %12s\n' "$1" "$(calculate "sprintf(\"%.2f\", $own / $other)")" "$4"
}

print_table() {
    touch "$work/figures"
    printf '\n%-52s %10s %12s %10s %10s\n' "medians of $runs" reached "to reach" floor peer
    row "jobs/s, register 50 ms, 16 in flight (ceiling 320)" jobs-50 -
    ratio "  to the floor" jobs-50 floor "0.95 or more"
    ratio "  to the peer" jobs-50 peer -
    row "jobs/s, register 0 ms, 64 in flight" jobs-0 -
    ratio "  to the floor" jobs-0 floor "0.4 or more"
    ratio "  to the peer" jobs-0 peer "5 or more"
    row "mutation at 200/s, p99, ms" answer "$([[ -z $kafka ]] && echo 10 || echo 50)"
    row "from its answer to the call, p99, ms" to-call 20
    row "query, audit included, p99, ms" query 5
    row "ready with $rows rows, s" ready 2
    row "peak memory with $rows rows made and asked for, MB" memory 150
    row "peak memory after a restart, MB" restarted-memory 150
    [[ ! -s $work/notes ]] || cat "$work/notes"
}
