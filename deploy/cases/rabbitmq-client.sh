#!/usr/bin/env bash
# Makes the user of one client on the external broker, or sets its permissions again. Run it where rabbitmqctl reaches
# the broker. The password is read from standard input, so that it appears in no list of processes.
#
#   deploy/cases/rabbitmq-client.sh NAME < password-file        # the user of a client; NAME as in [cases.clients.NAME]
#   deploy/cases/rabbitmq-client.sh --service < password-file   # the user `tributary` of the service, once
#
# A client may configure nothing, write nothing, and read its own queue. The service declares the queue.
set -euo pipefail

vhost=${DIS_VHOST:-dis}

usage() {
    echo "usage: $0 NAME | --service   (the password on standard input)" >&2
    exit 2
}

[[ $# -eq 1 ]] || usage
case $1 in
    --service)
        user=tributary
        # Queues and exchanges of clients, and the queue of the probe. Probes may go through the default exchange.
        own='^(dis_notifications_.*|dis-healthcheck-stub)$'
        configure=$own write='^(dis_notifications_.*|dis-healthcheck-stub|amq\.default)$' read=$own
        ;;
    *)
        user=$1
        [[ $user =~ ^[A-Za-z0-9._-]{1,64}$ && $user != tributary ]] || usage
        # A dot in a name is no wildcard.
        configure='' write='' read="^dis_notifications_${user//./\\.}\$"
        ;;
esac

rabbitmqctl list_vhosts --quiet --no-table-headers | grep -qx -- "$vhost" || rabbitmqctl add_vhost "$vhost"
if rabbitmqctl list_users --quiet --no-table-headers | cut -f 1 | grep -qx -- "$user"; then
    echo "the user $user exists: its password stays, its permissions are set again" >&2
else
    rabbitmqctl add_user "$user"
fi
rabbitmqctl set_permissions -p "$vhost" "$user" "$configure" "$write" "$read"
