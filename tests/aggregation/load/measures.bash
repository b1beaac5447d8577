# The measures, one function each. Sourced; each prints lines and leaves no process behind.

# warm ENGINE ADDRESSES: as many questions as possible, for some time. Java needs longer until its code is compiled.
warm() { ask "$1" "$2" --at-once 16 --warm-up 0 --seconds "$([[ $1 == peer ]] && echo 30 || echo 5)" >/dev/null; }

measure_throughput() {
    local run name found cpu systems_cpu
    printf '\nthroughput: 10 source systems at each question, 2 kB each, 16 questions at once\n'
    for run in $(seq "$runs"); do
        for name in tributary floor peer own; do
            wanted "$name" || continue
            play
            start "$name" 10
            warm "$name" 10
            cpu=$(processor_of "$engine") systems_cpu=$(processor_of "$producers")
            found=$(ask "$name" 10 --at-once 16 --warm-up 0 --seconds "$seconds")
            cpu=$(calculate "$(processor_of "$engine") - $cpu")
            systems_cpu=$(calculate "$(processor_of "$producers") - $systems_cpu")
            printf '%-10s %s processor_s=%s systems_s=%s us_per_question=%.0f peak_mb=%s %s\n' "$name" "$found" "$cpu" \
                "$systems_cpu" "$(calculate "$cpu * 1000000 / $(value questions "$found")")" \
                "$(memory_of VmHWM "$engine")" "$(curl -s "$systems")" | tee -a "$work/throughput"
            stop_all
        done
    done
    ratios throughput per_s
}

# ratios FILE NAME: the medians of a value, and each of them in relation to the others.
ratios() {
    awk -v name="$2" '
        {
            for (i = 2; i <= NF; i++) if (split($i, pair, "=") == 2 && pair[1] == name) seen[$1, ++count[$1]] = pair[2] + 0
        }
        END {
            for (one in count) {
                # Sorted by insertion: there are few.
                for (i = 2; i <= count[one]; i++) for (j = i; j > 1 && seen[one, j] < seen[one, j - 1]; j--) {
                    kept = seen[one, j]; seen[one, j] = seen[one, j - 1]; seen[one, j - 1] = kept
                }
                half = count[one] / 2
                middle[one] = half == int(half) ? (seen[one, half] + seen[one, half + 1]) / 2 : seen[one, int(half) + 1]
                printf "median %s of %s: %.2f\n", name, one, middle[one]
            }
            for (one in middle) for (other in middle) {
                if (one ~ /^(tributary|own)$/ && other ~ /^(floor|peer)$/ && middle[other] > 0)
                    printf "%s to %s: %.2f\n", one, other, middle[one] / middle[other]
            }
        }' "$work/$1" | sort
}

measure_latency() {
    local run name count found cpu flags
    for count in 10 20; do
        printf '\nlatency: 50 questions a second, %s source systems, the slowest takes 100 ms\n' "$count"
        for run in $(seq "$runs"); do
            for name in tributary floor peer own; do
                wanted "$name" || continue
                play --addresses "$count" --delay-ms 100
                start "$name" "$count"
                warm "$name" "$count"
                # A peer that does not keep up at this rate ends in time-outs: they are counted.
                flags=()
                [[ $name != peer ]] || flags=(--may-fail)
                cpu=$(processor_of "$engine")
                found=$(ask "$name" "$count" --rate 50 --warm-up 2 --seconds "$seconds" "${flags[@]}")
                printf '%-10s %s processor_s=%s\n' "$name" "$found" \
                    "$(calculate "$(processor_of "$engine") - $cpu")" | tee -a "$work/latency-$count"
                stop_all
            done
        done
        ratios "latency-$count" added_p50_ms
        ratios "latency-$count" added_p99_ms
    done
}

# What 100 questions at once need beside memory: time on two cores.
patience='[aggregation]\nservice_timeout_ms = 90000\naggregate_timeout_ms = 95000\naggregated_service_timeout_ms = 100000\n'
patience+='[http]\ndeadline = "2m"\n'

measure_memory() {
    local run name merged found idle lines
    for merged in 1 10; do
        printf '\nmemory: 100 questions at once, %s MB in each answer, %s in flight at each address\n' "$merged" "$in_flight"
        for run in $(seq "$runs"); do
            for name in tributary peer; do
                wanted "$name" || continue
                play --bytes $((merged * 100000)) --delay-ms 500
                lines="$patience[aggregation.vp]\nurl = \"$systems\"\nin_flight_per_address = $in_flight\n"
                peer_timeout=95000 start "$name" 10 "$lines"
                idle=$(memory_of VmRSS "$engine")
                # Beyond the memory for answers calls fail: they are counted.
                found=$(ask "$name" 10 --at-once 100 --questions 300 --may-fail)
                printf '%-10s %s held_mb=%s idle_mb=%s peak_mb=%s\n' "$name" "$found" \
                    "$(calculate "int(100 * $(value mean_bytes "$found") / 1048576)")" "$idle" \
                    "$(memory_of VmHWM "$engine")" | tee -a "$work/memory-$merged"
                stop_all
            done
        done
        ratios "memory-$merged" peak_mb
    done
}

measure_connections() {
    local way name found flags lines
    printf '\nconnections: 1,000 questions, 50 at once, 10 source systems, at most 20 in flight at each\n'
    for way in one-url url-each; do
        for name in tributary peer; do
            # The peer calls one URL.
            wanted "$name" && [[ $name/$way != peer/url-each ]] || continue
            flags=() lines=""
            [[ $way == one-url ]] || flags=(--port-each) lines='[aggregation.vp]\n'
            play --delay-ms 20 "${flags[@]}"
            start "$name" 10 "$lines"
            found=$(ask "$name" 10 --at-once 50 --questions 1000)
            printf '%-10s %-8s %s %s\n' "$name" "$way" "$(curl -s "$systems")" "${found%% refused*}"
            stop_all
        done
    done
}

# finds FLAG...: asks the index that is measured for 50 engagements of a patient.
finds() { load find --url "$url/skltp-ei/find-content-service/v1" --patients $((engagements / 50)) "$@"; }

# updates FLAG...: adds engagements to it.
updates() { load update --url "$url/skltp-ei/update-service/v1" "$@"; }

# bytes_each EMPTY: what an engagement takes, by what the process holds now and what it held when it was empty.
bytes_each() { calculate "int(($(memory_of VmRSS "$engine") - $1) * 1048576 / $engagements)"; }

measure_index() {
    local run empty began
    printf '\nindex: %s engagements, 50 of each patient\n' "$engagements"
    play
    configure own
    serve
    empty=$(memory_of VmRSS "$engine")
    began=$(date +%s%3N)
    printf 'update of 1,000  %s' "$(updates --each 1000 --at-once 8 --updates $((engagements / 1000)))"
    known "$engagements"
    printf ' all_visible_s=%s processor_s=%s rss_mb=%s peak_mb=%s\n' "$(calculate "($(date +%s%3N) - $began) / 1000")" \
        "$(processor_of "$engine")" "$(memory_of VmRSS "$engine")" "$(memory_of VmHWM "$engine")"
    for run in $(seq "$runs"); do
        printf 'FindContent      %s\n' "$(finds --rate 200)"
    done
    for run in $(seq "$runs"); do
        kill "$engine"
        wait "$engine" || true
        serve
        until finds --questions 1 --warm-up 0 >/dev/null 2>&1; do sleep 0.02; done
        printf 'restart          ready_ms=%s first_answer_ms=%s' "$ready_ms" $(($(date +%s%3N) - since))
        printf ' rss_mb=%s empty_mb=%s bytes_per_engagement=%s\n' "$(memory_of VmRSS "$engine")" "$empty" \
            "$(bytes_each "$empty")"
    done
    for run in $(seq "$runs"); do
        # Each is of another patient, as those of many systems are.
        printf 'update of 1      %s\n' "$(updates --each 1 --of-patient 1 --at-once 40 --updates 20000 \
            --from $((10000000 * run)))"
    done
    printf 'FindContent      %s (after the updates of 1)\n' "$(finds --rate 200)"
    stop_all
}
