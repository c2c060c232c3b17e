# Tells who the primary is: the one that the other Sentinels name; where none answers, the one that this node's
# own Sentinel knew last; at the very first start, the first node. Read by the other scripts, which take from
# their environment:
# NODES: all hosts; ME: this one's; NAME, PORT, SENTINEL_PORT; PASSWORD, also as REDISCLI_AUTH; DATA, a folder.
program() { command -v "valkey-$1" || command -v "redis-$1"; }

cli() { timeout 2 "$(program cli)" "$@" 2>/dev/null; }

primary() {
    for node in $NODES; do
        [ "$node" = "$ME" ] && continue
        found=$(cli -h "$node" -p "$SENTINEL_PORT" sentinel get-master-addr-by-name "$NAME" | head -n 1)
        case $found in "" | *" "*) ;; *) echo "$found" && return ;; esac
    done
    if [ -s "$DATA/sentinel.conf" ]; then
        awk -v name="$NAME" '$1 == "sentinel" && $2 == "monitor" && $3 == name { print $4 }' "$DATA/sentinel.conf"
    else
        echo "${NODES%% *}"
    fi
}
