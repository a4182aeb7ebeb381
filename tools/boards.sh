#!/usr/bin/env bash
# One `upconv` for a board, in one file: builds it with Debian's cross toolchain and tries it under qemu.
#
#     tools/boards.sh [--static] [--no-install] [--jobs N] ARCH...
#
#     ARCH          aarch64, armhf, or x86_64
#     --static      needs nothing at all, not even a C library, but loads no drivers either: CPU only
#     --no-install  install nothing
#
# The result is build-boards/upconv-ARCH or build-boards/upconv-ARCH-static. The first kind needs the board's C library (the
# script says from which version on) and opens libvulkan and libOpenCL where it finds them; everything else is in it.
# On Debian, as root or with sudo for the toolchain; libraries for the board are unpacked into build-boards/ only.
# Exit code 0: all were built and run; 3: something that it needs is not there.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
out=$root/build-boards
fully_static=false jobs=$(nproc) archs=()
while [ $# -gt 0 ]; do
    case $1 in
    --static) fully_static=true ;;
    --no-install) export UPCONV_NO_INSTALL=1 ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift ;;
    -h | --help) sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    x86_64 | aarch64 | armhf) archs+=("$1") ;;
    *) echo "boards.sh: there is no '$1'; see tools/boards.sh --help" >&2; exit 2 ;;
    esac
    shift
done
[ ${#archs[@]} -gt 0 ] || { echo "boards.sh: for which ARCH? see tools/boards.sh --help" >&2; exit 2; }
# shellcheck source=tools/packages.sh
. "$root/tools/packages.sh"
# shellcheck source=tools/foreign_apt.sh
. "$root/tools/foreign_apt.sh"

missing() {
    echo "boards.sh: $*" >&2
    exit 3
}

# Several of these may run side by side; what they share is fetched by one at a time.
lock() {
    exec 9>"$out/lock"
    ! command -v flock >/dev/null || flock 9
}
unlock() { exec 9>&-; }

declare -A triplets=([x86_64]=x86_64-linux-gnu [aarch64]=aarch64-linux-gnu [armhf]=arm-linux-gnueabihf)
declare -A debian=([x86_64]=amd64 [aarch64]=arm64 [armhf]=armhf)

# The libraries that are linked in, and the headers, as Debian has them for the board; and the source of cJSON, of which
# Debian has no static library.
fetch() {
    local sysroot=$1 packages="libpng-dev zlib1g-dev glslang-dev spirv-tools libvulkan-dev opencl-c-headers" here
    [ -f "$sysroot/complete" ] && return
    command -v apt-get >/dev/null || missing "this is no Debian; docs/tuning.md says what else it takes"
    rm -rf "$sysroot"
    mkdir -p "$sysroot/packages" "$out/cjson/cjson"
    here=$PWD
    cd "$sysroot/packages"
    foreign_apt apt-get -qq update || echo "boards.sh: some indexes could not be read; going on" >&2
    # shellcheck disable=SC2086
    foreign_apt apt-get -qq download $packages &&
        foreign_apt apt-get -qq source --download-only cjson ||
        missing "the packages $packages of $debian_arch, or the source of cjson, could not be fetched"
    for package in *.deb; do dpkg-deb -x "$package" "$sysroot"; done
    if [ ! -f "$out/cjson/complete" ]; then # else a build for another board may be reading it
        tar -xf cjson_*.orig.tar.* --strip-components=1 -C "$out/cjson/cjson" --wildcards '*/cJSON.c' '*/cJSON.h' '*/LICENSE'
        touch "$out/cjson/complete"
    fi
    cd "$here"
    rm -rf "$sysroot/packages"
    touch "$sysroot/complete"
}

# The C library of Debian 11, against which the program is linked so that it starts on boards that have nothing newer; in the
# folder $libc. 1: it cannot be had.
fetch_libc() {
    local suite=bullseye link to
    [ -f "$libc/complete" ] && return
    rm -rf "$libc"
    mkdir -p "$libc/packages"
    (cd "$libc/packages" && foreign_apt apt-get -qq update &&
        foreign_apt apt-get -qq download libc6 libc6-dev libcrypt-dev linux-libc-dev libgcc-10-dev) || return 1
    for package in "$libc"/packages/*.deb; do dpkg-deb -x "$package" "$libc" || return 1; done
    rm -rf "$libc/packages"
    find "$libc" -type l | while read -r link; do # absolute ones would lead out of the folder
        to=$(readlink "$link")
        [ "${to#/}" = "$to" ] || ln -sfn "$libc$to" "$link"
    done
    "$target-gcc" --sysroot="$libc" -isystem "$libc/usr/include/$target" -isystem "$libc/usr/include" -O2 -c \
        "$root/tools/cross/older_libc.c" -o "$libc/older_libc.o" || return 1
    touch "$libc/complete"
}

# What the cross file cannot know.
machine_file() {
    local compile="'-isystem$sysroot/usr/include'" link="'-L$sysroot/usr/lib/$target'" under=$libc/usr/lib
    if [ -f "$libc/complete" ] && ! $fully_static; then
        compile="'--sysroot=$libc', '-isystem$libc/usr/include/$target', '-isystem$libc/usr/include', $compile"
        link="'--sysroot=$libc', '-static-libgcc', '-B$under/$target', '-L$under/gcc/$target/10', '-L$under/$target',
            '-L$libc/lib/$target', '-Wl,-rpath-link,$libc/lib/$target', '$libc/older_libc.o', $link"
    fi
    printf '%s\n' "[properties]" "pkg_config_libdir = '$sysroot/usr/lib/$target/pkgconfig:$sysroot/usr/share/pkgconfig'" \
        "sys_root = '$sysroot'" "library_dirs = ['$sysroot/usr/lib/$target']" \
        "[built-in options]" "c_args = [$compile]" "c_link_args = [$link]"
}

# What the program needs of the board.
needs() {
    local libraries version
    libraries=$("$target-readelf" -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ')
    [ -n "$libraries" ] || { echo "nothing"; return; }
    version=$("$target-readelf" -V "$1" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
    echo "$libraries(${version/_/ } or later)"
}

build() {
    local arch=$1 kind=true suffix='' target sysroot libc debian_arch cross=()
    target=${triplets[$arch]} debian_arch=${debian[$arch]}
    $fully_static && kind=static suffix=-static
    sysroot=$out/sysroot-$arch libc=$out/libc-$arch
    local tools="meson ninja-build pkg-config python3 binutils"
    [ "$arch" = x86_64 ] || tools+=" gcc-$target g++-$target qemu-user-static"
    lock
    # shellcheck disable=SC2086
    need $tools || missing "$arch needs these packages"
    fetch "$sysroot"
    $fully_static || fetch_libc ||
        echo "boards.sh: Debian 11's C library cannot be had; the program will need one as new as the toolchain's" >&2
    unlock
    machine_file >"$out/$arch$suffix.ini"
    if [ "$arch" = x86_64 ]; then
        cross=(--native-file "$out/$arch$suffix.ini")
    else
        cross=(--cross-file "$root/tools/cross/$target.ini" --cross-file "$out/$arch$suffix.ini")
    fi
    local options=(-Dportable_tool="$kind" -Dcjson_source=build-boards/cjson -Dbuildtype=release -Dauto_features=disabled
        -Dtools=enabled)
    $fully_static || options+=(-Dvulkan=enabled -Dglslang=enabled -Dopencl=enabled -Dclblast=enabled)
    local dir=$out/$arch$suffix
    if [ -f "$dir/build.ninja" ]; then
        meson setup --reconfigure "$dir" "${options[@]}" >"$dir.log" 2>&1
    else
        meson setup "$dir" "${cross[@]}" "${options[@]}" >"$dir.log" 2>&1
    fi || { tail -5 "$dir.log" >&2; return 1; }
    ninja -C "$dir" -j "$jobs" tools/upconv >>"$dir.log" 2>&1 || { tail -20 "$dir.log" >&2; return 1; }
    local program=$out/upconv-$arch$suffix
    "$target-strip" -o "$program" "$dir/tools/upconv"
    echo "$program: $(stat -c %s "$program") bytes; needs $(needs "$program")"
}

# Runs it here, where this processor or qemu can.
try() {
    local arch=$1 suffix='' target run=()
    target=${triplets[$arch]}
    $fully_static && suffix=-static
    case $arch in
    aarch64) run=(qemu-aarch64-static -L "/usr/$target") ;;
    armhf) run=(qemu-arm-static -L "/usr/$target") ;;
    esac
    "${run[@]}" "$out/upconv-$arch$suffix" info | head -4
    "${run[@]}" "$out/upconv-$arch$suffix" bench ic8oc8_ih9kh4sh2ph1 --backend cpu --check --runs 2 --seconds 0.01
}

mkdir -p "$out"
for arch in "${archs[@]}"; do
    build "$arch"
    try "$arch"
done
