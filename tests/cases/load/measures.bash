# The measures, one function each. Sourced; each prints lines and leaves no process behind.

# throughput_of CLIENTS COMMANDS: all commands are in the topics before the start, and 1,000 cases came before them.
# Prints one line, and leaves the namespace as it is.
throughput_of() {
    local clients=$1 commands=$2 watched broker
    fresh "$clients"
    # shellcheck disable=SC2046  # flags
    start $(on_kafka)
    registered $((1 + 2 * clients))
    load produce --namespace "$namespace" --kind create --cases 1000 >/dev/null
    watched=$(load watch --namespace "$namespace" --since "$since")
    stop
    load produce --namespace "$namespace" --kind create --from 1000 --cases "$commands" >/dev/null
    broker=$(processor_of "${TRIBUTARY_KAFKA_PID:-0}")
    # shellcheck disable=SC2046  # flags
    start $(on_kafka)
    watched=$(load watch --namespace "$namespace" --since "$since" --starts "$(value ends "$watched")")
    [[ $(value keys "$watched") == $((commands * clients)) ]] || printf 'NOT COMPLETE: %s\n' "$watched"
    print_pass tributary "$clients" "$commands" "$watched" "$service" "$broker"
    stop
}

# print_pass ENGINE CLIENTS COMMANDS WATCHED PID BROKER-BEFORE
print_pass() {
    local seconds own broker
    seconds=$(value seconds "$4") own=$(processor_of "$5")
    broker=$(calculate "$(processor_of "${TRIBUTARY_KAFKA_PID:-0}") - $6")
    printf '%-10s clients=%s commands=%s seconds=%s commands_per_s=%.0f notifications_per_s=%.0f ' "$1" "$2" "$3" \
        "$seconds" "$(calculate "$3 / $seconds")" "$(calculate "$2 * $3 / $seconds")"
    printf 'processor_s=%s broker_s=%s us_per_notification=%.1f peak_mb=%s\n' "$own" "$broker" \
        "$(calculate "($own + $broker) * 1000000 / ($2 * $3)")" "$(peak_of "$5")"
}

# floor_of CLIENTS COMMANDS: the same records and bytes as the run before it.
floor_of() {
    local watched broker floor
    load sizes --namespace "$namespace" >"$work/sizes"
    namespace+=-floor
    broker=$(processor_of "${TRIBUTARY_KAFKA_PID:-0}")
    load floor --namespace "$namespace" --sizes "$work/sizes" --partitions "$partitions" --create-only
    load produce --namespace "$namespace" --kind create --cases "$2" >/dev/null
    "$target/release/tributary-cases-load" floor --namespace "$namespace" --sizes "$work/sizes" \
        --partitions "$partitions" >"$work/floor" 2>"$work/floor.err" &
    floor=$! others+=" $!"
    for _ in $(seq 200); do grep -q '^START ' "$work/floor" && break; sleep 0.05; done
    watched=$(load watch --namespace "$namespace" --prefix 0 --since "$(awk '/^START/ { print $2 }' "$work/floor")")
    print_pass floor "$1" "$2" "$watched" "$floor" "$broker"
    kill -9 "$floor"
    wait "$floor" 2>/dev/null || true
}

wanted() { [[ -z $only || $only == "$1" ]]; }

measure_throughput() {
    printf '\nthroughput: 20 clients that see everything\n'
    throughput_of 20 5000 >/dev/null
    for _ in $(seq "$runs"); do
        if wanted tributary || wanted floor; then throughput_of 20 20000; fi
        if wanted floor; then floor_of 20 20000; fi
        if wanted outbox; then "$root/tests/peers/outbox" --clients 20 --seconds 15 | sed 's/^/outbox     /'; fi
    done
}

measure_clients() {
    local clients
    printf '\nclients: processor time of one more\n'
    for clients in 1 5 20 100; do
        throughput_of "$clients" $((clients < 20 ? 20000 : 400000 / clients))
        if wanted floor; then floor_of "$clients" $((clients < 20 ? 20000 : 400000 / clients)); fi
    done
}

measure_latency() {
    printf '\nlatency: 500 commands a second over HTTP, 20 clients, from accepted\n'
    fresh 20
    # shellcheck disable=SC2046  # flags
    start $(on_kafka)
    registered 41
    for run in $(seq "$runs"); do
        load latency --namespace "$namespace" --server "$url" --origin "$TRIBUTARY_TOKEN" \
            --client invented-secret-of-journal-1 --rate 500 --seconds 20 --from $((run * 100000))
    done
    stop
}

measure_http() {
    local log
    printf '\nhttp: commands over HTTP, tokens checked, one client\n'
    for log in embedded kafka; do
        fresh 1
        # shellcheck disable=SC2046  # flags
        if [[ $log == kafka ]]; then start $(on_kafka); else start --log embedded; fi
        registered 3
        for run in $(seq "$runs"); do
            for kind in accepted refused; do
                printf '%-9s %s ' "$log" "$kind"
                KIND=$kind RUN=$run wrk -t 1 -c 64 -d 15s --latency -s "$root/tests/cases/load/command.lua" "$url" |
                    awk '/50%/ { p50 = $2 } /99%/ { p99 = $2 } /Requests\/sec/ { rate = $2 } /Non-2xx/ { bad = $NF }
                        END { printf "requests_per_s=%s p50=%s p99=%s not_2xx=%s\n", rate, p50, p99, bad + 0 }'
            done
        done
        stop
    done
}

# on_rabbitmq CLIENTS: a fresh folder whose clients are on RabbitMQ.
on_rabbitmq() {
    printf 'tributary-password\n' >"$work/password"
    fresh "$1" "[cases.rabbitmq]\nurl = \"$TRIBUTARY_RABBITMQ\"\nuser = \"tributary\"
password = { file = \"../password\" }\nretry = [\"1s\", \"5s\"]\n" 'channel = "rabbitmq"\n'
}

# deliveries FIELD: its sum over all clients.
deliveries() {
    curl -s -H 'Authorization: Bearer invented-secret-of-operator' "$url/api/admin/cases/deliveries" |
        { grep -o "\"$1\":[0-9]*" || true; } | awk -F : '{ sum += $2 } END { print sum + 0 }'
}

# waiting: notifications that no client has received yet.
waiting() { deliveries waiting; }

# delivered: waits until nothing waits.
delivered() { while (($(waiting) > 0)); do sleep 0.1; done; }

measure_rabbitmq() {
    local began seconds cpu
    printf '\nrabbitmq: 20 queues\n'
    for _ in $(seq "$runs"); do
        on_rabbitmq 20
        # shellcheck disable=SC2046  # flags
        start $(on_kafka)
        registered 41
        load produce --namespace "$namespace" --kind create --cases 100 >/dev/null
        while (($(deliveries acknowledged) < 2000)); do sleep 0.1; done
        cpu=$(processor_of "$service") began=$(date +%s%3N)
        load produce --namespace "$namespace" --kind create --from 100 --cases 10000 >/dev/null
        # Positions of a queue begin with 1.
        while (($(deliveries acknowledged) < 202000)); do sleep 0.1; done
        seconds=$(calculate "($(date +%s%3N) - $began) / 1000")
        printf 'tributary  seconds=%s messages_per_s=%.0f processor_s=%s\n' "$seconds" \
            "$(calculate "200000 / $seconds")" "$(calculate "$(processor_of "$service") - $cpu")"
        stop
        printf 'floor      %s\n' "$(load publish --messages 10000 --bytes 640)"
    done
}

# at_rate PHASE SECONDS: commands over HTTP, 100 a second.
at_rate() {
    local answers
    answers=$(load latency --server "$url" --origin "$TRIBUTARY_TOKEN" --client invented-secret-of-journal-1 \
        --rate 100 --from $((RANDOM * 1000000)) --seconds "$2" --kafka "" | cut -d ' ' -f 1-5)
    printf '%-10s %s memory_mb=%s waiting=%s\n' "$1" "$answers" \
        "$(awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$service/status")" "$(waiting)"
}

measure_outage() {
    local began sender control=("$root/tests/services/rabbitmqctl" --dir "$TRIBUTARY_SERVICES_DIR")
    printf '\noutage: RabbitMQ is away for a minute, 100 commands a second, 20 queues\n'
    on_rabbitmq 20
    # shellcheck disable=SC2046  # flags
    start $(on_kafka)
    registered 41
    at_rate before $((60 * minutes))
    "${control[@]}" stop_app >/dev/null
    at_rate away 60
    "${control[@]}" start_app >/dev/null
    began=$(date +%s%3N)
    at_rate after $((60 * minutes)) &
    sender=$!
    # What is under way at this rate is not a backlog.
    while (($(waiting) > 1000)); do sleep 0.1; done
    printf 'caught up  %s s after the broker is back\n' "$(calculate "($(date +%s%3N) - $began) / 1000")"
    wait "$sender"
    delivered
    stop
}

measure_million() {
    local watched
    printf '\nmillion: cases, one client\n'
    fresh 1 '' 'channel = "api"\n'
    # shellcheck disable=SC2046  # flags
    start $(on_kafka)
    registered 3
    for part in 0 1 2 3 4 5 6 7 8 9; do
        load produce --namespace "$namespace" --kind create --from $((part * 100000)) --cases 100000 >/dev/null
    done
    watched=$(load watch --namespace "$namespace" --since "$since")
    printf 'loaded     %s processor_s=%s peak_mb=%s\n' "${watched% ends=*}" "$(processor_of "$service")" \
        "$(peak_of "$service")"
    stop
    for run in $(seq "$runs"); do
        # shellcheck disable=SC2046  # flags
        start $(on_kafka)
        printf 'start      ready_ms=%s ' "$ready_ms"
        curl -s -o /dev/null -H 'Authorization: Bearer invented-secret-of-journal-1' \
            "$url/api/Cases/0ca5e000-0000-4000-8000-000000000001"
        printf 'first_answer_ms=%s peak_mb=%s\n' "$(($(date +%s%3N) - since))" "$(peak_of "$service")"
        printf 'range      '
        # A thousand cases, each a second after the other.
        load queries --server "$url" --token invented-secret-of-journal-1 --times 100 \
            "/api/Cases?updatedFrom=2026-01-0$((run + 1))T12:00:00Z&updatedTo=2026-01-0$((run + 1))T12:16:40Z"
        stop
    done
}
