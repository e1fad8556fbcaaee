#!/usr/bin/env bash
# Puts a Telegraf that can do one thing (MQTT with JSON to InfluxDB 2) into a cache folder and prints its path: a peer for `make bench`.
# There is no Debian or pip package of it: it is built from its Go module, once for each version.
# Needs: go >= 1.25. Eight minutes and more from empty caches, nothing when it is there. `--look` only looks: path, or exit 1.
set -euo pipefail

VERSION=v1.37.0
TAGS=custom,inputs,inputs.mqtt_consumer,outputs,outputs.influxdb_v2,parsers,parsers.json,serializers,serializers.influx
cache=${VITALGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vitalgate}
binary=$cache/telegraf-$VERSION/telegraf

say() { printf 'telegraf: %s\n' "$*" >&2; }

if [ -x "$binary" ]; then
    printf '%s\n' "$binary"
    exit 0
fi
[ "${1:-}" != --look ] || exit 1
PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || {
    say "needs go, which is not on PATH. Without Telegraf the benchmark leaves its row empty"
    exit 2
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$(dirname "$binary")"

say "building Telegraf $VERSION from its Go module (eight minutes and more)"
# `go install module@version` refuses a module with a replace line, so build inside the downloaded module,
# where its own go.sum verifies every dependency.
source=$(cd "$work" && go mod download -json "github.com/influxdata/telegraf@$VERSION" |
    sed -n 's/.*"Dir": "\(.*\)",/\1/p')
say "sources are here; compiling"
CGO_ENABLED=0 go -C "$source" build -mod=readonly -trimpath -ldflags "-s -w" -tags "$TAGS" -o "$work/telegraf" ./cmd/telegraf
mv "$work/telegraf" "$binary"
say "ready: $binary"
printf '%s\n' "$binary"
