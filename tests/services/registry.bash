# Apicurio Registry, which speaks Confluent's protocol at /apis/ccompat/v7. Sourced by processes.bash.

registry_fetch() { install_once "apicurio-registry-$REGISTRY_VERSION" registry_fill; }

registry_fill() {
    maven "$MAVEN_DEPENDENCY_PLUGIN:get" -Dtransitive=false "-Ddest=$1/archive.tar.gz" \
        "-Dartifact=io.apicurio:apicurio-registry-app:$REGISTRY_VERSION:tar.gz:all"
    tar -xzf "$1/archive.tar.gz" -C "$1"
    rm "$1/archive.tar.gz"
}

registry_configure() {
    local home=$1 public management
    read -r public management < <(free_ports 2)
    printf '%s %s\n' "$public" "$management" >"$home/ports"
}

registry_java() { cd "$(cache_dir)/apicurio-registry-$REGISTRY_VERSION" && exec java "$@"; }

# The database is a file, so that schemas and their ids survive a restart, as in a real registry.
registry_spawn() {
    local home=$1 log=$2 public management
    read -r public management <"$home/ports"
    spawn "$home/pid" "$log" registry_java -Xmx512m -XX:TieredStopAtLevel=1 \
        -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$public" \
        -Dquarkus.management.host=127.0.0.1 "-Dquarkus.management.port=$management" \
        "-Dapicurio.datasource.url=jdbc:h2:file:$home/data/registry" \
        -jar "apicurio-registry-app-$REGISTRY_VERSION-runner.jar"
}

registry_ready() {
    local public
    read -r public _ <"$1/ports"
    (http_ok "$public" /apis/ccompat/v7/subjects)
}

registry_env() {
    local public
    read -r public _ <"$1/ports"
    printf 'TRIBUTARY_REGISTRY=http://127.0.0.1:%s/apis/ccompat/v7\nTRIBUTARY_REGISTRY_PID=%s\n' "$public" "$(<"$1/pid")"
}
