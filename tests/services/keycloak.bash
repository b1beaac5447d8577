# Keycloak, an OpenID Connect issuer, with the realm that deploy/cases shows as an example. Sourced by processes.bash.

KEYCLOAK_REALM=$SERVICES_DIR/../../deploy/cases/keycloak-realm.json
# Only of tests: each start makes a new database.
KEYCLOAK_ADMIN=test-admin
KEYCLOAK_PASSWORD=invented-password-of-test-admin

keycloak_home() { printf '%s\n' "$(cache_dir)/keycloak-$KEYCLOAK_VERSION"; }

keycloak_fetch() { install_once "keycloak-$KEYCLOAK_VERSION" keycloak_fill; }

# The build fits the server to its database. Done here once, it takes half a minute off each start.
keycloak_fill() {
    local output
    maven "$MAVEN_DEPENDENCY_PLUGIN:get" -Dtransitive=false "-Ddest=$1/archive.tar.gz" \
        "-Dartifact=org.keycloak:keycloak-quarkus-dist:$KEYCLOAK_VERSION:tar.gz"
    tar -xzf "$1/archive.tar.gz" -C "$1" --strip-components=1
    rm "$1/archive.tar.gz"
    output=$("$1/bin/kc.sh" build --cache=local --db=dev-file 2>&1 </dev/null) || fail "$output"
}

keycloak_configure() {
    local home=$1
    free_ports 1 >"$home/ports"
    mkdir -p "$home/data/import"
    # Keycloak wants the name of the realm in that of the file.
    cp "$KEYCLOAK_REALM" "$home/data/import/dis-realm.json"
    cp -R "$(keycloak_home)/conf" "$home/conf"
    ln -s "$(keycloak_home)"/{lib,providers,themes} "$home/"
}

# Java itself, and not kc.sh: the script takes its own folder as that of the data.
keycloak_java() {
    cd "$1" && KC_BOOTSTRAP_ADMIN_USERNAME=$KEYCLOAK_ADMIN KC_BOOTSTRAP_ADMIN_PASSWORD=$KEYCLOAK_PASSWORD \
        exec java -Xms64m -Xmx512m -XX:TieredStopAtLevel=1 --add-opens=java.base/java.util=ALL-UNNAMED \
        --add-opens=java.base/java.util.concurrent=ALL-UNNAMED --add-opens=java.base/java.security=ALL-UNNAMED \
        --add-opens=java.base/java.lang=ALL-UNNAMED "-Dkc.home.dir=$1" "-Djboss.server.config.dir=$1/conf" \
        -Djava.util.logging.manager=org.jboss.logmanager.LogManager -Dpicocli.disable.closures=true \
        -Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory \
        -cp "$(keycloak_home)/lib/quarkus-run.jar" io.quarkus.bootstrap.runner.QuarkusEntryPoint "${@:2}"
}

keycloak_spawn() {
    local home=$1 port
    port=$(<"$home/ports")
    spawn "$home/pid" "$2" keycloak_java "$home" start --optimized --cache=local --import-realm --http-enabled=true \
        --http-host=127.0.0.1 "--http-port=$port" "--hostname=http://127.0.0.1:$port"
}

keycloak_ready() {
    (http_ok "$(<"$1/ports")" /realms/dis/.well-known/openid-configuration)
}

keycloak_env() {
    printf 'TRIBUTARY_KEYCLOAK=http://127.0.0.1:%s\nTRIBUTARY_KEYCLOAK_PID=%s\n' "$(<"$1/ports")" "$(<"$1/pid")"
    printf 'TRIBUTARY_KEYCLOAK_ADMIN=%s\nTRIBUTARY_KEYCLOAK_PASSWORD=%s\n' "$KEYCLOAK_ADMIN" "$KEYCLOAK_PASSWORD"
}
