#!/usr/bin/env bash
# library.sh LIBUPCONV.SO: it exports what the headers promise and nothing else, and links no GPU library.
set -u
library=${1:?the shared library}
passed=0 failed=0

expect() { # NAME OFFENDERS
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $1: $2"
    fi
}

exported=$(nm -D --defined-only "$library" | awk '{print $NF}' | sed 's/@.*//' | sort -u)
foreign=$(grep -v '^upconv_[a-z]' <<<"$exported")
if grep -q '^__asan\|^__tsan\|^__ubsan' <<<"$(nm -D "$library" | awk '{print $NF}')"; then
    foreign=$(grep -v '^__\|^_fini$\|^_init$' <<<"$foreign") # a sanitizer build adds its own
fi
[ -n "$exported" ] || { echo "FAILED $library exports nothing"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
expect "exports only upconv_*" "$foreign"
expect "links no libvulkan, libOpenCL or CLBlast" "$(readelf -d "$library" | grep NEEDED | grep -i 'vulkan\|opencl\|clblast')"
api=$(dirname "${BASH_SOURCE[0]}")/../api/upconv
promised=$(cat "$api/upconv.h" "$api/upconv_tune.h" | tr '\n' ' ' | grep -o 'UPCONV_API [^(;]*(' | grep -o 'upconv_[a-z0-9_]*($' | tr -d '(' | sort -u)
expect "every promised function is there" "$(comm -23 <(echo "$promised") <(echo "$exported"))"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
