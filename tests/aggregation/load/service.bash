# Starts and ends what is measured, and the source systems that it calls. Sourced; needs the settings of bench.

number=0 folder="" systems="" rows="" url="" asked="" since="" ready_ms=""
schedule=/GetAggregatedSubjectOfCareSchedule/service/v1

# value NAME LINE: the value of NAME in a line of name=value pairs.
value() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" <<<"$2"; }

# calculate EXPRESSION
calculate() { awk "BEGIN { print $1 }"; }

processor_of() { awk '{ sub(/.*\) /, ""); print ($12 + $13) / 100 }' "/proc/$1/stat" 2>/dev/null || echo 0; }

# memory_of NAME PID: VmHWM is the peak, VmRSS what is held now. In MB.
memory_of() { awk -v name="$1:" '$1 == name { print int($2 / 1024) }' "/proc/$2/status" 2>/dev/null || echo 0; }

# await LINE FILE: waits until a program has printed a line that begins like this.
await() {
    for _ in $(seq 2400); do
        if grep -q "^$1" "$2" 2>/dev/null; then return; fi
        sleep 0.05
    done
    tail -n 5 "$2" "${2%.out}.err" >&2
    return 1
}

# play [FLAG...]: starts the source systems and their index in a new folder. Sets systems to their URL, and rows to what
# each gives.
play() {
    number=$((number + 1)) folder=$work/$number
    mkdir "$folder"
    load_in_background producers --tak "$folder/tak.json" --port "$port" "$@"
    producers=$!
    await READY "$folder/producers.out"
    systems=$(value url "$(<"$folder/producers.out")") rows=$(value rows "$(<"$folder/producers.out")")
}

load_in_background() { "$target/release/tributary-aggregation-load" "$@" >"$folder/$1.out" 2>"$folder/$1.err" & }

# end_of PID
end_of() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

stop_all() {
    [[ -z $engine || $engine == "$peer_pid" ]] || end_of "$engine"
    end_of "$producers"
    engine="" producers=""
    # State and log of a run may be large.
    rm -rf "$folder"
}

# configure INDEX [LINES OF THE CONFIGURATION]: INDEX is own or tributary. With `[aggregation.vp]` among the lines, they
# say where calls go.
configure() {
    {
        printf '[aggregation.tak]\nfile = "tak.json"\n[aggregation.ei]\n'
        if [[ $1 == own ]]; then
            printf 'hsa_id = "SE-BENCH-EI"\n'
        else
            printf 'mode = "external"\nurl = "%s"\nlogical_address = "SE-BENCH-EI"\n' "$systems"
        fi
        [[ ${2:-} == *aggregation.vp* ]] || printf '[aggregation.vp]\nurl = "%s"\n' "$systems"
        printf '%b' "${2:-}"
    } >"$folder/agp.toml"
}

# serve: starts the program with the configuration of the folder. Sets url, asked, since and ready_ms.
serve() {
    local flags=(--log embedded)
    [[ -z $kafka ]] || flags=(--log kafka --kafka "$TRIBUTARY_KAFKA" --registry "$TRIBUTARY_REGISTRY"
        --namespace "bench-$$-$number")
    since=$(date +%s%3N)
    "$program" run --flow aggregation --http 127.0.0.1:0 --config "$folder/agp.toml" --state "$folder/state" \
        "${flags[@]}" >"$folder/program.out" 2>"$folder/program.err" &
    engine=$!
    await 'ready: ' "$folder/program.err"
    url=$(sed -n 's/^ready: //p' "$folder/program.err") ready_ms=$(($(date +%s%3N) - since))
    asked=$url$schedule
}

# known COUNT: waits until the own index has so many engagements.
known() {
    for _ in $(seq 6000); do
        if [[ $(curl -s "$url/api/aggregation/index") == *"\"engagements\":$1,"* ]]; then return; fi
        sleep 0.05
    done
    return 1
}

# start ENGINE ADDRESSES [LINES OF THE CONFIGURATION]: sets engine to its process, and asked to where it is asked.
start() {
    case $1 in
    tributary | own)
        configure "$1" "${3:-}"
        serve
        if [[ $1 == own ]]; then
            load file --count $((100 * $2)) --of-patient "$2" --addresses "$2" "$folder/engagements"
            "$program" aggregation index import "$folder/engagements" --server "$url" >/dev/null
            known $((100 * $2))
        fi ;;
    floor)
        load_in_background floor --producers "$systems" --addresses "$2"
        engine=$!
        await READY "$folder/floor.out"
        asked=$(value url "$(<"$folder/floor.out")") ;;
    peer)
        if [[ -n $peer ]]; then
            engine=$peer_pid asked=$peer
            return
        fi
        # It cannot take a free port by itself.
        local own=$((20000 + RANDOM % 10000))
        # shellcheck disable=SC2086  # flags
        java $java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$camel/target/classes:$camel/target/lib/*" \
            tributary.peer.Aggregator --port "$own" --producers "$systems" --tak "$folder/tak.json" \
            --timeout-ms "${peer_timeout:-28000}" >"$folder/peer.out" 2>"$folder/peer.err" &
        engine=$!
        await READY "$folder/peer.out"
        asked=$(value url "$(<"$folder/peer.out")") ;;
    esac
}

# ask ENGINE ADDRESSES [FLAG...]: prints what the load program has measured. An answer that is wrong ends the run.
ask() {
    local flags=()
    [[ $1 != floor ]] || flags=(--without-records)
    load ask --url "$asked" --addresses "$2" --rows "$rows" "${flags[@]}" "${@:3}"
}
