# The measured service: its configuration, its start and end. Sourced; needs the settings of bench.

export TRIBUTARY_TOKEN=invented-secret-of-esdh-a
number=0 folder="" namespace="" url="" since="" ready_ms=""

# value NAME LINE: the value of NAME in a line of name=value pairs.
value() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" <<<"$2"; }

# calculate EXPRESSION
calculate() { awk "BEGIN { print $1 }"; }

processor_of() { awk '{ sub(/.*\) /, ""); print ($12 + $13) / 100 }' "/proc/$1/stat" 2>/dev/null || echo 0; }

peak_of() { awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$1/status" 2>/dev/null || echo 0; }

# fresh CLIENTS [LINES OF THE CONFIGURATION, LINES OF EACH CLIENT]: a folder and a namespace of their own. Each client
# sees all cases of esdh-a.
fresh() {
    number=$((number + 1)) namespace=bench-$$-$number folder=$work/$number
    mkdir "$folder"
    {
        printf '[auth]\nmode = "tokens"\ntokens_file = "tokens.txt"\n[cases]\nordering = "%s"\n' "$ordering"
        printf 'notifications = { store = "%s" }\n' "$store"
        printf '[cases.origins.esdh-a]\nclient_id = "esdh-a"\ndetails = ["https://esdh.example"]\n'
        printf '%b' "${2:-}"
        for client in $(seq "$1"); do
            printf '[cases.clients.journal-%s]\nclient_id = "journal-%s"\n' "$client" "$client"
            printf 'sees = ["esdh-a"]\n%b' "${3:-}"
        done
    } >"$folder/dis.toml"
    {
        token "$TRIBUTARY_TOKEN" esdh-a -
        token invented-secret-of-operator operator operator
        for client in $(seq "$1"); do token "invented-secret-of-journal-$client" "journal-$client" -; done
    } >"$folder/tokens.txt"
}

# token SECRET NAME ROLES: a line of the file of tokens.
token() { printf "%s %s %s\n" "$2" "$3" "$(printf "%s" "$1" | sha256sum | cut -d " " -f 1)"; }

# on_kafka: the flags for Kafka.
on_kafka() {
    printf '%s ' --log kafka --kafka "$TRIBUTARY_KAFKA" --registry "$TRIBUTARY_REGISTRY" --namespace "$namespace" \
        --partitions "$partitions"
}

# start [FLAG...]: sets since to the time (epoch ms) of the start, and ready_ms to how long it took.
start() {
    since=$(date +%s%3N)
    "$program" run --flow cases --http 127.0.0.1:0 --config "$folder/dis.toml" --state "$folder/state" "$@" \
        >"$folder/out" 2>"$folder/err" &
    service=$!
    for _ in $(seq 1200); do grep -q '^ready: ' "$folder/err" && break; sleep 0.05; done
    url=$(sed -n 's/^ready: //p' "$folder/err")
    ready_ms=$(($(date +%s%3N) - since))
    [[ -n $url ]] || { tail -n 5 "$folder/err" >&2; return 1; }
}

stop() {
    kill "$service" 2>/dev/null || true
    wait "$service" 2>/dev/null || true
    service=""
}

# registered COUNT: waits until the registry has the origin and the clients of the file, and their grants.
registered() {
    for _ in $(seq 600); do
        entries=$(curl -s -H 'Authorization: Bearer invented-secret-of-operator' \
            "$url/api/admin/cases/audit?limit=1000" |
            { grep -o '"action"' || true; } | wc -l)
        if ((entries >= $1)); then return; fi
        sleep 0.1
    done
    return 1
}
