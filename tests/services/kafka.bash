# Apache Kafka in KRaft mode, one process as broker and controller. Sourced by processes.bash.

kafka_fetch() { install_once "kafka-$KAFKA_VERSION-log4j-$LOG4J_VERSION" kafka_fill; }

kafka_fill() {
    maven -f "$SERVICES_DIR/kafka.pom.xml" "$MAVEN_DEPENDENCY_PLUGIN:copy-dependencies" \
        "-Dkafka.version=$KAFKA_VERSION" "-Dscala.version=$KAFKA_SCALA_VERSION" "-Dlog4j.version=$LOG4J_VERSION" \
        "-DoutputDirectory=$1"
}

kafka_java() {
    exec java "-Dlog4j2.configurationFile=$SERVICES_DIR/kafka.log4j2.properties" \
        -cp "$(cache_dir)/kafka-$KAFKA_VERSION-log4j-$LOG4J_VERSION/*" "$@"
}

# A fixed cluster id (sixteen bytes in base64) saves a JVM start that would generate one.
kafka_configure() {
    local home=$1 broker controller proxied target
    read -r broker controller proxied target < <(free_ports 4)
    printf '%s %s %s %s\n' "$broker" "$controller" "$proxied" "$target" >"$home/ports"
    sed -e "s|@BROKER@|$broker|g" -e "s|@CONTROLLER@|$controller|g" -e "s|@PROXIED@|$proxied|g" -e "s|@TARGET@|$target|g" \
        -e "s|@DATA@|$home/data|g" "$SERVICES_DIR/kafka.properties" >"$home/server.properties"
    (kafka_java -Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC kafka.tools.StorageTool format \
        -t dHJpYnV0YXJ5LXRlc3RzLQ -c "$home/server.properties") >"$home/format.log" 2>&1 ||
        { cat "$home/format.log" >&2; return 1; }
}

kafka_spawn() {
    # shellcheck disable=SC2086  # several options may be given
    spawn "$1/pid" "$2" kafka_java -Xms256m -Xmx1g ${TRIBUTARY_KAFKA_JAVA_OPTIONS:-} kafka.Kafka "$1/server.properties"
}

kafka_ready() { grep -q 'Kafka Server started' "$2"; }

kafka_env() {
    local broker proxied target
    read -r broker _ proxied target <"$1/ports"
    printf 'TRIBUTARY_KAFKA=127.0.0.1:%s\nTRIBUTARY_KAFKA_PID=%s\n' "$broker" "$(<"$1/pid")"
    printf 'TRIBUTARY_KAFKA_PROXIED=127.0.0.1:%s\nTRIBUTARY_KAFKA_PROXY_TARGET=127.0.0.1:%s\n' "$proxied" "$target"
}
