#!/bin/sh
# Starts the Sentinel beside the server. Its file is written anew at each start (the password may be another one);
# its id follows from the node's name, so that the others do not take it for a further Sentinel.
set -eu
. "$(dirname "$0")/primary.sh"
found=$(primary)
id=$(printf %s "$ME" | sha1sum | cut -c 1-40)
cat > "$DATA/sentinel.new" <<EOF
port $SENTINEL_PORT
${BIND:+bind $BIND}
dir $DATA
requirepass $PASSWORD
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $ME
sentinel announce-port $SENTINEL_PORT
sentinel myid $id
sentinel sentinel-pass $PASSWORD
sentinel monitor $NAME $found $PORT $QUORUM
sentinel auth-pass $NAME $PASSWORD
sentinel down-after-milliseconds $NAME $DOWN_AFTER_MS
sentinel failover-timeout $NAME $FAILOVER_TIMEOUT_MS
sentinel parallel-syncs $NAME 1
EOF
mv "$DATA/sentinel.new" "$DATA/sentinel.conf"
exec "$(program server)" "$DATA/sentinel.conf" --sentinel
