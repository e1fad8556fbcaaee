#!/usr/bin/env bash
# Puts InfluxDB 2.7's server binary into a cache folder and prints its path.
# There is no Debian or pip package of InfluxDB 2: it is built from its Go module, once for each version.
# Needs: go >= 1.21, cargo, a C compiler, pkg-config. Five minutes from empty caches, nothing when it is there.
set -euo pipefail

VERSION=v2.7.12
PKG_CONFIG_WRAPPER=v0.2.14
cache=${VITALGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vitalgate}
binary=$cache/influxd-$VERSION/influxd

say() { printf 'influxd: %s\n' "$*" >&2; }

if [ -x "$binary" ]; then
    printf '%s\n' "$binary"
    exit 0
fi
for tool in go cargo cc pkg-config; do
    command -v "$tool" >/dev/null || {
        say "needs $tool, which is not on PATH. Install it, or name a server that runs: VITALGATE_INFLUX_URL and VITALGATE_INFLUX_TOKEN_FILE"
        exit 2
    }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$(dirname "$binary")"

say "building InfluxDB $VERSION from its Go module (about five minutes)"
# Its Flux engine is a Rust library, found through a wrapper of pkg-config that must stand first on PATH.
GOBIN=$work/bin go install "github.com/influxdata/pkg-config@$PKG_CONFIG_WRAPPER"
# The Rust part denies warnings that newer compilers know; RUSTFLAGS does not reach crates built for the host.
printf '#!/bin/sh\nexec "$@" --cap-lints warn\n' >"$work/bin/rustc-lenient"
chmod +x "$work/bin/rustc-lenient"
# `go install module@version` refuses a module with a replace line, so build inside the downloaded module,
# where its own go.sum verifies every dependency.
source=$(cd "$work" && go mod download -json "github.com/influxdata/influxdb/v2@$VERSION" |
    sed -n 's/.*"Dir": "\(.*\)",/\1/p')
say "sources are here; compiling"
PATH=$work/bin:$PATH RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-stable} RUSTC_WRAPPER=$work/bin/rustc-lenient CGO_ENABLED=1 \
    go -C "$source" build -mod=readonly -trimpath -ldflags "-s -w -X main.version=$VERSION" -o "$work/influxd" ./cmd/influxd
mv "$work/influxd" "$binary"
say "ready: $binary"
printf '%s\n' "$binary"
