#!/usr/bin/env bash
# board_drivers.sh: the upconv that tools/boards.sh makes for aarch64, on lavapipe and PoCL of that architecture, in a folder with
# Debian's packages for it and under qemu. As root; skipped where it is not, or where the packages cannot be had.
#
# What runs in there is started by qemu itself, so nothing need be registered with the kernel. PoCL starts a linker, which the
# kernel must be able to run: that is this machine's own cross linker, with its libraries beside it.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
out=$PWD/build-boards debian_arch=arm64
# shellcheck source=tools/foreign_apt.sh
. tools/foreign_apt.sh
passed=0 failed=0 world=$out/world-aarch64

skip_all() {
    echo "skipped drivers of aarch64: $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}

expect() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$out/driver.log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name: $*"
        tail -n 5 "$out/driver.log"
    fi
}

make_world() {
    [ -f "$world/complete" ] && return
    rm -rf "$world"
    mkdir -p "$world"/{proc,sys,dev,tmp,w}
    foreign_apt apt-get -qq update
    foreign_apt apt-get -qq -y --no-install-recommends --download-only install libvulkan1 mesa-vulkan-drivers \
        ocl-icd-libopencl1 pocl-opencl-icd || return 1
    for package in "$out/apt/own/$debian_arch/archives"/*.deb; do dpkg-deb -x "$package" "$world" || return 1; done
    rm -f "$out/apt/own/$debian_arch/archives"/*.deb
    mknod -m 666 "$world/dev/null" c 1 3 && mknod -m 666 "$world/dev/urandom" c 1 9 || return 1
    local linker library
    linker=$(readlink -f "$(command -v aarch64-linux-gnu-ld)") || return 1
    rm -f "$world/usr/bin/ld"
    cp "$linker" "$world/usr/bin/ld"
    for library in $(ldd "$linker" | grep -o '/[^ ]*'); do
        mkdir -p "$world$(dirname "$library")"
        cp -L "$library" "$world$library"
    done
    # LLVM asks here which processor it compiles for
    printf '%s\t: %s\n' processor 0 Features 'fp asimd evtstrm crc32 cpuid' 'CPU implementer' 0x41 'CPU architecture' 8 \
        'CPU variant' 0x0 'CPU part' 0xd08 'CPU revision' 3 >"$world/w/cpuinfo"
    touch "$world/complete"
}

upconv() { # in a mount namespace of its own, which ends with it
    unshare -m sh -c 'world=$1; shift
        mount --rbind /proc "$world/proc" && mount --rbind /sys "$world/sys" && mount --bind "$world/w/cpuinfo" "$world/proc/cpuinfo" &&
        exec env -i PATH=/usr/sbin:/usr/bin:/bin HOME=/tmp chroot "$world" /w/qemu-aarch64-static /w/upconv "$@"' sh "$world" "$@"
}
says() { # PATTERN ARGUMENTS...
    local pattern=$1
    shift
    upconv "$@" | grep "$pattern"
}

[ "$(id -u)" = 0 ] || skip_all "this is not root"
command -v unshare >/dev/null && command -v dpkg-deb >/dev/null || skip_all "there is no unshare or no dpkg-deb"
tools/boards.sh --jobs 1 aarch64 || skip_all "tools/boards.sh aarch64 fails"
make_world || skip_all "the packages cannot be had"
cp "$(command -v qemu-aarch64-static)" "$world/w/"
cp "$out/upconv-aarch64" "$world/w/upconv"
upconv info --list || skip_all "nothing starts in there"
expect "lavapipe is there" says "llvmpipe" info --list
expect "PoCL is there" says "cortex-a72" info --list
for backend in vulkan opencl; do
    for problem in ic8oc8_ih9kh4sh2ph1+relu ic3oc5_iw17kw5sw3pw1 g2ic6oc8_ih6kh3sh2ph1+nhwc; do
        expect "$backend: $problem" upconv bench $problem --backend $backend --check --runs 1 --seconds 0
    done
done
# not on llvmpipe: on ARM its LLVM 15 ends the process over any conversion from f16 ("Cannot select: v4f32 = fp_extend")
expect "opencl: f16" upconv bench ic6oc8_ih6kh3sh2ph1+f16+nhwc --backend opencl --check --runs 1 --seconds 0
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
