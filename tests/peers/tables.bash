# The results as tables. Sourced; each function reads the lines that its measure wrote.

# table FORMAT HEADING PROGRAM: prints the heading, then formats the lines of standard input with an awk program, in
# which of(NAME) is the value of NAME.
table() {
    printf '\n'
    # shellcheck disable=SC2059  # the format is ours
    awk -v format="$1\n" -v heading="$2" '
        function of(name,    i, pair) { for (i = 2; i <= NF; i++) { split($i, pair, "="); if (pair[1] == name) return pair[2] } return "-" }
        BEGIN { print heading }
        '"$3"
}

table_throughput() {
    table '%-14s %9s %9s %9s %9s %9s %9s %9s %8s %9s %s' \
        'engine            inputs    wall s  inputs/s     CPU s   CPU s/M  broker s   other s  peak MB      rows output' '
        {
            inputs = of("records_in"); wall = of("wall_s"); cpu = of("cpu_s"); broker = of("broker_s")
            other = of("machine_total_s") - of("machine0_s") - cpu - broker
            printf format, $1, inputs, wall, sprintf("%d", inputs / wall), cpu, sprintf("%.1f", cpu / inputs * 1e6),
                sprintf("%.1f", broker), sprintf("%.1f", other), of("peak_mb"), of("records_out"), of("verify")
        }'
}

table_latency() {
    table '%-14s %9s %9s %9s %9s %9s %9s %9s %s' \
        'latency, ms    commit ms       p50       p90       p99     p99.9       max   samples output' '
        { printf format, $1, of("commit_ms"), of("p50_ms"), of("p90_ms"), of("p99_ms"), of("p999_ms"), of("max_ms"), of("samples"), of("verify") }'
}

table_restart() {
    table '%-14s %14s %14s %14s %s' 'kill -9          killed after s   first output s    caught up s output' '
        { printf format, $1, of("killed_after_s"), of("first_s"), of("wall_s"), of("verify") }'
}

table_ready() {
    table '%-14s %12s %12s %12s %12s' 'start to ready         from       entries    restoring      ready s' '
        { printf format, $1, of("from"), of("entries"), of("restore"), of("ready_s") }'
}

table_second() {
    table '%-14s %9s %9s %9s %20s %s' 'a second process     p50       p99       max    longest gap of rows output' '
        { printf format, $1, of("p50_ms"), of("p99_ms"), of("max_ms"), of("gap_ms"), of("verify") }'
}

table_bucket() {
    table '%-14s %12s %9s %9s' 'one change, ms   placement of      p50       p99' '
        { printf format, $1, of("of"), of("p50_ms"), of("p99_ms") }'
}
