#!/bin/sh
# The Bluetooth machine's own process 1: a bus, the real bluetoothd, then what it was started with; its end is the machine's.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/home TMPDIR=/run LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
at() { read -r up _ </proc/uptime && echo "guest: $1 at $up s"; }
at "root is mounted"
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
[ -e /dev/vhci ] || mknod /dev/vhci c 10 137
dbus-daemon --system --fork --nopidfile
/usr/libexec/bluetooth/bluetoothd -n -d >/run/out/bluetoothd.log 2>&1 &
at "dbus-daemon and bluetoothd are started"
# Memory, since SQLite's shared memory can't be had over 9p.
mkdir -p /run/house
"$@"
status=$?
at "over, with $status,"
cp /run/house/*.log /run/house/*.json /run/house/*.jsonl /run/out/
cp -r /var/lib/bluetooth /run/out/bonds
echo "$status" >/run/out/status
dmesg >/run/out/kernel.log
sync
echo o >/proc/sysrq-trigger
sleep 60
