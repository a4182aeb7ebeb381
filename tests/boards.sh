#!/usr/bin/env bash
# boards.sh ARCH [--static]: tools/boards.sh builds an upconv for the architecture that needs what it says and no more, and that
# program works here, under qemu where this processor is another. Skipped where toolchain or packages cannot be had.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
arch=${1:?an architecture} kind=${2:-}
program=$PWD/build-boards/upconv-$arch${kind:+-static}
passed=0 failed=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

expect() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$folder/out" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name: $*"
        tail -n 5 "$folder/out"
    fi
}

# shellcheck disable=SC2086
tools/boards.sh --jobs 1 $kind "$arch" >"$folder/build" 2>&1
status=$?
cat "$folder/build"
[ $status = 3 ] && { echo "skipped $arch: $(tail -n 1 "$folder/build")"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
[ $status = 0 ] || { echo "FAILED tools/boards.sh: exit code $status"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }

libc=build-boards/libc-$arch # an older C library than the toolchain's, where it could be had
case $arch in
aarch64) run=(qemu-aarch64-static -L "$([ -f "$libc/complete" ] && echo "$libc" || echo /usr/aarch64-linux-gnu)") ;;
armhf) run=(qemu-arm-static -L "$([ -f "$libc/complete" ] && echo "$libc" || echo /usr/arm-linux-gnueabihf)") ;;
*) run=(env) ;;
esac
upconv() { "${run[@]}" "$program" "$@"; }
says() { # PATTERN ARGUMENTS...
    local pattern=$1
    shift
    upconv "$@" | grep "$pattern"
}

needs=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^ld-linux\|^lib\(c\|m\|dl\|pthread\)\.so')
expect "it needs the C library alone" test -z "$needs"
if [ -n "$kind" ]; then
    expect "it needs nothing" test -z "$(readelf -d "$program" 2>/dev/null | grep NEEDED)"
    expect "it says that it is CPU only" says "vulkan: not in this build, which is fully static and cannot load drivers" info
else
    expect "it has Vulkan" says "^backend vulkan: [^n]" info
    expect "it has OpenCL" says "^backend opencl: [^n]" info
fi
expect "explain" says "^plan: " explain ic8oc8_ih9kh4sh2ph1 --backend cpu
for problem in ic8oc8_ih9kh4sh2ph1+relu ic3oc5_iw17kw5sw3pw1 g2ic4oc6_id3ih4iw5kd2kh3kw3sd2 ic5oc3_ih7kh3sh2dh1+f16+nhwc \
    ic6oc7_ih6kh3sh2ph1+prelu+nc4hw4+residual; do
    expect "right: $problem" upconv bench $problem --backend cpu --check --runs 1 --seconds 0
    expect "right: $problem, phase" upconv bench $problem --backend cpu --solver phase --check --runs 1 --seconds 0
done
expect "measured" upconv bench ic8oc8_ih9kh4sh2ph1 --backend cpu --effort measure --records "$folder/records" --runs 1 --seconds 0
expect "known" upconv bench ic8oc8_ih9kh4sh2ph1 --backend cpu --effort known --records "$folder/records" --runs 1 --seconds 0
expect "tuned" upconv tune ic8oc8_ih9kh4sh2ph1 --backend cpu --budget 2s --journal "$folder/journal" --records "$folder/tuned"
expect "records of tuning" upconv records prune "$folder/tuned" "$folder/records" --output "$folder/pruned"
expect "records" says "^1 records, 1 of solvers" records check "$folder/records"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
