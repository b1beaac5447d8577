#!/usr/bin/env bash
# Permissions on Kafka for one system. KAFKA_ACLS is the command and its connection.
#
#   export KAFKA_ACLS='kafka-acls.sh --bootstrap-server kafka-1.example:9093 --command-config admin.properties'
#   deploy/cases/kafka-acls.sh client NAME PRINCIPAL   # reads dis_notifications_NAME in groups that begin with NAME
#   deploy/cases/kafka-acls.sh origin PRINCIPAL        # writes the four topics of commands
#
# PRINCIPAL is as the broker names it, such as User:archive. Give a topic of notifications to one principal only.
set -euo pipefail

usage() {
    echo "usage: $0 client NAME PRINCIPAL | origin PRINCIPAL   (KAFKA_ACLS is the command)" >&2
    exit 2
}

[[ -n ${KAFKA_ACLS:-} ]] || usage
read -ra acls <<< "$KAFKA_ACLS"

case "${1:-} $#" in
    "client 3")
        name=$2 principal=$3
        [[ $name =~ ^[A-Za-z0-9._-]{1,64}$ ]] || usage
        "${acls[@]}" --add --allow-principal "$principal" --operation Read --operation Describe \
            --topic "dis_notifications_$name"
        "${acls[@]}" --add --allow-principal "$principal" --operation Read \
            --group "$name" --resource-pattern-type prefixed
        ;;
    "origin 2")
        for command in Create Update Close Delete; do
            "${acls[@]}" --add --allow-principal "$2" --operation Write --operation Describe \
                --topic "dis-${command}CaseCommand"
        done
        ;;
    *) usage ;;
esac
