#!/bin/sh
# Starts the server, as the primary or as a replica of it.
set -eu
. "$(dirname "$0")/primary.sh"
found=$(primary)
set -- "$CONFIG" --port "$PORT" --requirepass "$PASSWORD" --masterauth "$PASSWORD" \
    --replica-announce-ip "$ME" --replica-announce-port "$PORT"
if [ "$found" != "$ME" ]; then
    set -- "$@" --replicaof "$found" "$PORT"
fi
exec "$(program server)" "$@"
