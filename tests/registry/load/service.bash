# Starts and ends the register and the program. Sourced; needs the settings of bench.

number=0 folder="" register="" url="" since="" ready_ms=""

# value NAME LINE: the value of NAME in a line of name=value pairs.
value() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" <<<"$2"; }

# calculate EXPRESSION
calculate() { awk "BEGIN { print $1 }"; }

processor_of() { awk '{ sub(/.*\) /, ""); print ($12 + $13) / 100 }' "/proc/$1/stat" 2>/dev/null || echo 0; }

# memory_of NAME PID: VmHWM is the peak, VmRSS what is held now. In MB.
memory_of() { awk -v name="$1:" '$1 == name { print int($2 / 1024) }' "/proc/$2/status" 2>/dev/null || echo 0; }

# await LINE FILE: waits until a program has printed a line that begins like this.
await() {
    for _ in $(seq 6000); do
        if grep -q "^$1" "$2" 2>/dev/null; then return; fi
        sleep 0.02
    done
    tail -n 5 "$2" "${2%.out}.err" >&2
    return 1
}

# play [FLAG...]: starts the register in a new folder. Sets register to its URL.
play() {
    number=$((number + 1)) folder=$work/$number
    mkdir "$folder"
    "$target/release/tributary-registry-load" register "$@" >"$folder/register.out" 2>"$folder/register.err" &
    registry=$!
    await READY "$folder/register.out"
    register=$(value url "$(<"$folder/register.out")")
}

# configure CALLS: with so many calls in flight.
configure() {
    printf 'k1 %s\n' "$(head -c 32 /dev/urandom | base64)" >"$folder/keys.txt"
    head -c 32 /dev/urandom | base64 >"$folder/lookup.key"
    {
        printf '[registry]\nencryption_keys = { file = "keys.txt" }\nlookup_key = { file = "lookup.key" }\n'
        printf 'calls = { max_in_flight = %s }\n[registry.trembita]\nurl = "%s"\n' "$1" "$register"
        printf '[registry.job.unzr.service]\nmember_code = "00000001"\n'
    } >"$folder/registry.toml"
}

# serve: starts the program with the configuration of the folder. Sets url, since and ready_ms.
serve() {
    local flags=(--log embedded)
    [[ -z $kafka ]] || flags=(--log kafka --kafka "$TRIBUTARY_KAFKA" --registry "$TRIBUTARY_REGISTRY"
        --namespace "bench-$$-$number")
    # A line of the last start is not taken for one of this start.
    : >"$folder/program.err"
    since=$(date +%s%3N)
    "$program" run --flow registry --http 127.0.0.1:0 --config "$folder/registry.toml" --state "$folder/state" \
        "${flags[@]}" >"$folder/program.out" 2>"$folder/program.err" &
    service=$!
    await 'ready: ' "$folder/program.err"
    ready_ms=$(($(date +%s%3N) - since))
    url=$(sed -n 's/^ready: //p' "$folder/program.err")
}

# end_of PID
end_of() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

stop_all() {
    [[ -z $service ]] || end_of "$service"
    end_of "$registry"
    service="" registry=""
    # State and log of a run may be large.
    rm -rf "$folder"
}
