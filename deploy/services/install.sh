#!/usr/bin/env bash
# Puts the real servers of the tests on a Debian machine: Mosquitto, Chromium and a CJK font as packages, InfluxDB built once,
# and what the Bluetooth machine is made of: QEMU, BlueZ, a kernel in the cache folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

missing=()
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing+=(mosquitto)
command -v chromium >/dev/null || missing+=(chromium)
[ -n "$(find /usr/share/fonts -iname '*cjk*' -print -quit 2>/dev/null)" ] || missing+=(fonts-noto-cjk)
if [ "$(uname -m)" = x86_64 ]; then
    path=$PATH:/usr/sbin:/sbin:/usr/libexec/bluetooth
    for need in qemu-system-x86_64:qemu-system-x86 bluetoothd:bluez dbus-daemon:dbus modprobe:kmod \
        cpio:cpio xz:xz-utils; do
        PATH=$path command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
    done
    # The other busybox needs libraries, and there are none before the root is mounted.
    dpkg-query -W busybox-static >/dev/null 2>&1 || missing+=(busybox-static)
fi
if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] || { echo "as root: apt-get install ${missing[*]}" >&2; exit 2; }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ "$(uname -m)" = x86_64 ]; then
    # Its test says so loudly where this fails; all other servers are there without it.
    "$here/../../tests/bluez_vm/kernel.sh" >/dev/null || echo "no kernel for the Bluetooth machine" >&2
fi
if [ -z "${VITALGATE_INFLUX_URL:-}" ]; then
    "$here/influxd.sh"
fi
