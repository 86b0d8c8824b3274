#!/bin/sh
# Starts one nats-server of a super-cluster: a cluster in each region, joined by gateways, one JetStream over all of
# them. Writes its configuration from the environment, since names and peers differ on every machine.
#
#   REGION             this region: name of its cluster, and the tag streams are placed by   (FLY_REGION)
#   SERVER_NAME        unique, and the same after every restart: JetStream knows it by it    (FLY_MACHINE_ID)
#   PEERS              every region's gateway address: "iad=host:7222,fra=host:7222"
#                      on Fly it is made from REGIONS="iad,fra,sin" (and FLY_APP_NAME)
#   ROUTES             addresses of this region's servers: "host:6222,…"; one server: its own
#   GATEWAY_PASSWORD, ADMIN_PASSWORD   users of accounts.conf
#   PUBLISHER_PASSWORD, RPC_PASSWORD, AUTH_PASSWORD, CONTROL_PASSWORD, EVENTS_PASSWORD, OPERATOR_PASSWORD
#                      its other users; as one whose password is not set nobody can log in
#   CLUSTER_PASSWORD   what servers tell each other; the same everywhere
#   optional: DATA (/data), MAX_FILE (8GB), MAX_MEMORY (256MB), CLIENT_PORT, CLUSTER_PORT, GATEWAY_PORT, MONITOR_PORT,
#             LISTEN (address; all), ADVERTISE (host peers reach this server by), NATS_SERVER_BIN, NATS_CONF_DIR
set -eu

region=${REGION:-${FLY_REGION:?REGION is not set}}
# A letter first: the configuration would read 148e… as a number.
name="n-${SERVER_NAME:-${FLY_MACHINE_ID:-$(hostname)}}"
here=$(cd "$(dirname "$0")" && pwd)
data=${DATA:-/data}
# Fly's private network is IPv6; [::] takes both.
listen=${LISTEN:-${FLY_APP_NAME:+[::]}}
listen=${listen:-0.0.0.0}
client=${CLIENT_PORT:-4222} cluster=${CLUSTER_PORT:-6222} gateway=${GATEWAY_PORT:-7222} monitor=${MONITOR_PORT:-8222}

for role in PUBLISHER RPC AUTH CONTROL EVENTS OPERATOR; do
  eval "[ -n \"\${${role}_PASSWORD:-}\" ]" || eval "${role}_PASSWORD=$(od -An -N 24 -tx1 /dev/urandom | tr -d ' \n')"
done
for secret in GATEWAY_PASSWORD PUBLISHER_PASSWORD RPC_PASSWORD AUTH_PASSWORD CONTROL_PASSWORD EVENTS_PASSWORD \
  OPERATOR_PASSWORD ADMIN_PASSWORD CLUSTER_PASSWORD; do
  eval "value=\${$secret:-}"
  case $value in
    '') echo "$secret is not set" >&2; exit 1 ;;
    *[!A-Za-z0-9_-]*) echo "$secret: use letters, digits, _ and - (openssl rand -hex 24)" >&2; exit 1 ;;
  esac
  # In quotes, or one of digits alone would be a number.
  eval "export $secret='\"$value\"'"
done

# Fly's private DNS answers region.app.internal with the addresses of that region's machines.
if [ -n "${FLY_APP_NAME:-}" ] && [ -z "${PEERS:-}" ]; then
  for r in $(echo "${REGIONS:?REGIONS is not set, such as iad,fra,sin}" | tr ',' ' '); do
    PEERS="${PEERS:+$PEERS,}$r=$r.$FLY_APP_NAME.internal:$gateway"
  done
  ROUTES=${ROUTES:-$region.$FLY_APP_NAME.internal:$cluster}
fi
: "${PEERS:?PEERS is not set}"
# A server alone in its region must have a route nevertheless, or JetStream does not start: to itself will do.
ROUTES=${ROUTES:-127.0.0.1:$cluster}

secret=$(echo "$CLUSTER_PASSWORD" | tr -d '"')
routes=$(echo "$ROUTES" | tr ',' '\n' | sed "s|.*|    \"nats-route://server:$secret@&\"|")
gateways=$(echo "$PEERS" | tr ',' '\n' | sed "s|^\([^=]*\)=\(.*\)|    { name: \"\1\", url: \"nats://server:$secret@\2\" }|")

umask 077
mkdir -p "$data"
conf=${NATS_CONF_DIR:-$data}/nats.conf
cat >"$conf" <<CONF
server_name: "$name"
listen: "$listen:$client"
# Health and figures; like all the other ports for the private network only.
http: "$listen:$monitor"
# Asks more often than the default of 2 minutes: a link that loses everything is given up after three unanswered.
ping_interval: "5s"
# Messages are at most 1 MB; a slow gateway is dropped and catches up from the stream.
max_payload: 1MB
max_pending: 64MB
write_deadline: "10s"
# New connections while it drains go elsewhere.
lame_duck_duration: "30s"
lame_duck_grace_period: "5s"

jetstream {
  store_dir: "$data"
  # Limits of this server. What streams may hold is in the namespaces' history settings.
  max_file_store: ${MAX_FILE:-8GB}
  max_memory_store: ${MAX_MEMORY:-256MB}
}
# Placement by tag: a namespace's home.
server_tags: ["region:$region"]

cluster {
  name: "$region"
  listen: "$listen:$cluster"
  authorization { user: server, password: $CLUSTER_PASSWORD, timeout: 5 }
  routes: [
$routes
  ]
}
gateway {
  name: "$region"
  listen: "$listen:$gateway"
${ADVERTISE:+  advertise: "$ADVERTISE"}
  authorization { user: server, password: $CLUSTER_PASSWORD, timeout: 5 }
  # A region that is not in this list is turned away.
  reject_unknown_cluster: true
  gateways: [
$gateways
  ]
}
CONF
# Not by `include`: variables of an included file are taken for unknown fields.
cat "$here/accounts.conf" >>"$conf"
exec "${NATS_SERVER_BIN:-nats-server}" -c "$conf"
