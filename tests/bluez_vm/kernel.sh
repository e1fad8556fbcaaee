#!/usr/bin/env bash
# Puts a kernel and a small initramfs for the Bluetooth machine into the cache folder, and prints that folder.
# The kernel is Debian's own package, only unpacked: 6.12, since on 6.1 a device that lost its bond kills bluetoothd.
# Needs: apt-get with Debian's lists, dpkg, busybox (static), kmod, cpio, xz. Twenty seconds from an empty cache, one otherwise.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
home=${VITALGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vitalgate}/bluez-vm

say() { printf 'kernel.sh: %s\n' "$*" >&2; }
for tool in apt-get dpkg busybox modprobe depmod cpio xz; do
    command -v "$tool" >/dev/null || {
        say "needs $tool, which is not on PATH (run make services)"
        exit 2
    }
done
! ldd "$(command -v busybox)" >/dev/null 2>&1 || {
    say "needs a busybox without libraries (Debian: busybox-static; run make services)"
    exit 2
}
mkdir -p "$home"
work=$(mktemp -d "$home/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The root over 9p, the radio that is a file, and all that pairing and BlueZ ask of the kernel's cryptography.
modules=(virtio_pci virtio_rng 9pnet_virtio 9p drbg hmac sha512_generic sha256_generic jitterentropy_rng ctr cmac ecb
    ecdh_generic algif_hash algif_skcipher hci_vhci uhid)

unpack_kernel() {
    local mirror codename keys options package version module name
    codename=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
    mirror=$(apt-get indextargets --format '$(CODENAME) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk -v name="$codename" '$1 == name && $2 == "Debian" { print $3; exit }')
    [ -n "$mirror" ] || { say "this machine's apt knows no Debian archive"; exit 2; }
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    mkdir -p "$work/lists/partial"
    printf 'deb [signed-by=%s] %s %s-backports main\n' "$keys" "$mirror" "$codename" >"$work/sources.list"
    # A configuration of its own: the machine's is left as it is.
    options=(-o "Dir::Etc::sourceparts=/dev/null" -o "Dir::Etc::sourcelist=$work/sources.list"
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
        -o "APT::Sandbox::User=$(id -un)" -o "Acquire::Retries=3")
    apt-get "${options[@]}" -qq update
    package=$(apt-cache "${options[@]}" depends linux-image-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
    [ -n "$package" ] || { say "$codename-backports has no kernel"; exit 2; }
    say "downloading $package (about 100 MB)"
    (cd "$work" && apt-get "${options[@]}" -qq download "$package" && dpkg -x "$package"_*.deb root)
    version=$(ls "$work/root/lib/modules")
    depmod -b "$work/root" "$version"
    mkdir "$work/kernel"
    modprobe -d "$work/root" -S "$version" --show-depends -a "${modules[@]}" |
        awk '/^insmod/ && !seen[$2]++ { print $2 }' | while read -r module; do
        name=$(basename "$module" .xz)
        case $module in *.xz) xz -dc "$module" >"$work/kernel/$name" ;; *) cp "$module" "$work/kernel/$name" ;; esac
        printf '%s\n' "$name" >>"$work/kernel/order"
    done
    cp "$work/root/boot/vmlinuz-$version" "$work/kernel/vmlinuz"
    printf '%s\n' "$version" >"$work/kernel/version"
    mv "$work/kernel" "$home/kernel" 2>/dev/null || [ -e "$home/kernel/vmlinuz" ]
}

[ -e "$home/kernel/vmlinuz" ] || unpack_kernel

mkdir -p "$work/tree/bin" "$work/tree/modules"
cp "$(command -v busybox)" "$work/tree/bin/busybox"
cp "$home"/kernel/*.ko "$home/kernel/order" "$work/tree/modules/"
install -m 755 "$here/init" "$work/tree/init"
(cd "$work/tree" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs"
mv "$work/initramfs" "$home/initramfs"
printf '%s\n' "$home"
