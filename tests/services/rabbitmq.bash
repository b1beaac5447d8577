# RabbitMQ, one node, with TLS. Sourced by processes.bash. It is unpacked from Debian's packages into the cache, so it
# needs no rights, and the package starts no service of its own.
#
# Users, in the virtual host `dis`: `tributary` may do everything; `alpha`, `beta` and `gamma` may only read the queue
# dis_notifications_NAME. The password of each is `NAME-password`.

RABBITMQ_PACKAGES="rabbitmq-server erlang-base erlang-asn1 erlang-crypto erlang-eldap erlang-ftp erlang-inets
    erlang-mnesia erlang-os-mon erlang-parsetools erlang-public-key erlang-runtime-tools erlang-snmp erlang-ssl
    erlang-syntax-tools erlang-tftp erlang-tools erlang-xmerl"

rabbitmq_fetch() { install_once "rabbitmq-$RABBITMQ_VERSION" rabbitmq_fill; }

rabbitmq_fill() {
    local erl
    # shellcheck disable=SC2086  # a list of packages
    debian_packages "$1" $RABBITMQ_PACKAGES
    # Its path is built in; from now on the variable says where it is.
    erl=$1/usr/lib/erlang/bin/erl
    sed -i 's|ROOTDIR=/usr/lib/erlang$|ROOTDIR=${ERL_ROOTDIR:-/usr/lib/erlang}|' "$erl"
    [[ -x $(printf '%s' "$1"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server) ]] ||
        fail "the packages have no rabbitmq-server"
}

rabbitmq_configure() {
    local home=$1 plain tls distribution epmd
    read -r plain tls distribution epmd < <(free_ports 4)
    printf '%s %s %s %s\n' "$plain" "$tls" "$distribution" "$epmd" >"$home/ports"
    rabbitmq_certificates "$home" >"$home/certificates.log" 2>&1 || { cat "$home/certificates.log" >&2; return 1; }
    rabbitmq_definitions >"$home/definitions.json"
    printf '[].\n' >"$home/enabled_plugins"
    sed -e "s|@PLAIN@|$plain|g" -e "s|@TLS@|$tls|g" -e "s|@HOME@|$home|g" "$SERVICES_DIR/rabbitmq.conf" \
        >"$home/rabbitmq.conf"
}

# A certification authority with a certificate of the broker, and another authority that the broker does not use.
rabbitmq_certificates() {
    local home=$1 name
    for name in ca other-ca; do
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=$name.example" \
            -keyout "$home/$name.key" -out "$home/$name.pem" || return 1
    done
    openssl req -newkey rsa:2048 -nodes -subj /CN=rabbit.example -keyout "$home/server.key" -out "$home/server.csr" &&
        openssl x509 -req -in "$home/server.csr" -CA "$home/ca.pem" -CAkey "$home/ca.key" -CAcreateserial -days 30 \
            -extfile <(printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n') -out "$home/server.pem"
}

rabbitmq_definitions() {
    local name users permissions
    users=$(rabbitmq_user tributary)
    permissions='{"user":"tributary","vhost":"dis","configure":".*","write":".*","read":".*"}'
    for name in alpha beta gamma; do
        users+=,$(rabbitmq_user "$name")
        permissions+=",{\"user\":\"$name\",\"vhost\":\"dis\",\"configure\":\"\",\"write\":\"\","
        permissions+="\"read\":\"^dis_notifications_$name\$\"}"
    done
    printf '{"vhosts":[{"name":"dis"}],"users":[%s],"permissions":[%s]}\n' "$users" "$permissions"
}

# A salt of four bytes, then the hash of salt and password.
rabbitmq_user() {
    local hash
    hash=$({ printf salt; printf 'salt%s-password' "$1" | openssl dgst -sha256 -binary; } | base64 -w 0)
    printf '{"name":"%s","password_hash":"%s","tags":"",' "$1" "$hash"
    printf '"hashing_algorithm":"rabbit_password_hashing_sha256"}'
}

# rabbitmq_environment HOME: everything in the folder, and a node name and ports that nobody else has.
rabbitmq_environment() {
    local home=$1 plain distribution epmd erlang
    # The cache depends on HOME, which changes.
    RABBITMQ_INSTALLED=$(cache_dir)/rabbitmq-$RABBITMQ_VERSION
    erlang=$RABBITMQ_INSTALLED/usr/lib/erlang
    read -r plain _ distribution epmd <"$home/ports"
    export HOME=$home RABBITMQ_NODENAME=dis$plain@localhost RABBITMQ_MNESIA_BASE=$home/data RABBITMQ_LOG_BASE=$home/log
    export RABBITMQ_CONFIG_FILE=$home/rabbitmq.conf RABBITMQ_ENABLED_PLUGINS_FILE=$home/enabled_plugins
    export RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_DIST_PORT=$distribution
    export ERL_EPMD_PORT=$epmd ERL_EPMD_ADDRESS=127.0.0.1 ERL_ROOTDIR=$erlang PATH=$erlang/bin:$PATH
    export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none \
-kernel inet_dist_use_interface {127,0,0,1}"
}

# rabbitmq_program NAME ARGS...: a program of the packages, with the environment of the node.
rabbitmq_program() {
    local name=$1
    shift
    "$RABBITMQ_INSTALLED"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/"$name" "$@"
}

# Without an epmd of its own, the node starts one as a daemon, which stays behind.
rabbitmq_node() {
    rabbitmq_environment "$1"
    epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 &
    rabbitmq_program rabbitmq-server
}

rabbitmq_spawn() { spawn "$1/pid" "$2" rabbitmq_node "$1"; }

rabbitmq_ready() { grep -qs 'completed with' "$2"; }

rabbitmq_env() {
    local plain tls
    read -r plain tls _ <"$1/ports"
    printf 'TRIBUTARY_RABBITMQ=amqp://127.0.0.1:%s/dis\n' "$plain"
    printf 'TRIBUTARY_RABBITMQ_TLS=amqps://127.0.0.1:%s/dis\nTRIBUTARY_RABBITMQ_PID=%s\n' "$tls" "$(<"$1/pid")"
}
