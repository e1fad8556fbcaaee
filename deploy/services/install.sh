#!/usr/bin/env bash
# Puts the real servers of the tests on a Debian machine: Mosquitto, Chromium and a CJK font as packages, InfluxDB built once.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

missing=()
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing+=(mosquitto)
command -v chromium >/dev/null || missing+=(chromium)
[ -n "$(find /usr/share/fonts -iname '*cjk*' -print -quit 2>/dev/null)" ] || missing+=(fonts-noto-cjk)
if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] || { echo "as root: apt-get install ${missing[*]}" >&2; exit 2; }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ -z "${VITALGATE_INFLUX_URL:-}" ]; then
    "$here/influxd.sh"
fi
