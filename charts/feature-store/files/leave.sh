#!/bin/sh
# Before the pod ends: a primary hands over first, so that clients wait a second and not for the Sentinels.
. "$(dirname "$0")/primary.sh"
is_primary() { cli -h "$ME" -p "$PORT" role | head -n 1 | grep -q master; }
is_primary || exit 0
for node in $NODES; do  # the Sentinel of this pod ends at the same time
    [ "$node" = "$ME" ] && continue
    cli -h "$node" -p "$SENTINEL_PORT" sentinel failover "$NAME" | grep -q OK && break
done
for _ in $(seq 20); do
    is_primary || exit 0
    sleep 1
done
