# Apache Cassandra, one node, with users. Sourced by processes.bash.

# The superuser that a first start makes.
CASSANDRA_USER=cassandra
CASSANDRA_PASSWORD=cassandra

# What Cassandra's own options for Java 17 open of the JDK.
CASSANDRA_EXPORTS="java.base/jdk.internal.misc java.base/jdk.internal.ref java.base/sun.nio.ch
    java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry java.rmi/sun.rmi.server
    java.rmi/sun.rmi.transport java.rmi/sun.rmi.transport.tcp java.sql/java.sql java.base/java.lang.ref
    java.base/java.lang.reflect jdk.unsupported/sun.misc jdk.attach/sun.tools.attach
    jdk.compiler/com.sun.tools.javac.file
    jdk.naming.dns/com.sun.jndi.dns"
CASSANDRA_OPENS="java.base/java.lang java.base/java.lang.module java.base/java.lang.reflect java.base/java.io
    java.base/java.math java.base/java.net java.base/java.nio java.base/java.util java.base/java.util.concurrent
    java.base/java.util.concurrent.atomic java.base/jdk.internal.loader java.base/jdk.internal.math
    java.base/jdk.internal.module java.base/jdk.internal.ref java.base/jdk.internal.reflect
    java.base/jdk.internal.util.jar java.base/jdk.internal.vm java.base/sun.nio.ch
    jdk.management/com.sun.management.internal jdk.management.jfr/jdk.management.jfr"

cassandra_fetch() { install_once "cassandra-$CASSANDRA_VERSION" cassandra_fill; }

cassandra_fill() {
    maven -f "$SERVICES_DIR/cassandra.pom.xml" "$MAVEN_DEPENDENCY_PLUGIN:copy-dependencies" \
        "-Dcassandra.version=$CASSANDRA_VERSION" "-DoutputDirectory=$1"
}

cassandra_configure() {
    local home=$1 native storage
    read -r native storage < <(free_ports 2)
    printf '%s %s\n' "$native" "$storage" >"$home/ports"
    sed -e "s|@NATIVE@|$native|g" -e "s|@STORAGE@|$storage|g" -e "s|@DATA@|$home/data|g" \
        "$SERVICES_DIR/cassandra.yaml" >"$home/cassandra.yaml"
}

cassandra_java() {
    local home=$1 name options=()
    for name in $CASSANDRA_EXPORTS; do options+=(--add-exports "$name=ALL-UNNAMED"); done
    for name in $CASSANDRA_OPENS; do options+=(--add-opens "$name=ALL-UNNAMED"); done
    exec java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k -Djdk.attach.allowAttachSelf=true \
        "${options[@]}" "-Dcassandra.config=file://$home/cassandra.yaml" "-Dcassandra.storagedir=$home/data" \
        "-Dlogback.configurationFile=$SERVICES_DIR/cassandra.logback.xml" -Dcassandra.superuser_setup_delay_ms=0 \
        -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=1 \
        -Djava.net.preferIPv4Stack=true -Dcassandra-foreground=yes \
        -cp "$(cache_dir)/cassandra-$CASSANDRA_VERSION/*" org.apache.cassandra.service.CassandraDaemon
}

cassandra_spawn() { spawn "$1/pid" "$2" cassandra_java "$1"; }

# The first start makes the superuser after it listens.
cassandra_ready() {
    grep -qs 'Starting listening for CQL clients' "$2" &&
        { [[ -e $1/has_user ]] || grep -qs "Created default superuser" "$2"; } && touch "$1/has_user"
}

cassandra_env() {
    local native
    read -r native _ <"$1/ports"
    printf 'TRIBUTARY_CQL=127.0.0.1:%s\nTRIBUTARY_CASSANDRA_PID=%s\n' "$native" "$(<"$1/pid")"
    printf 'TRIBUTARY_CQL_USER=%s\nTRIBUTARY_CQL_PASSWORD=%s\n' "$CASSANDRA_USER" "$CASSANDRA_PASSWORD"
}
