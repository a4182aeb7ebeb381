#!/usr/bin/env bash
# Each public header alone, as C11 and as C++11, pedantic, warnings as errors. check.sh API_FOLDER [CC [CXX]]
set -u
api=${1:?the folder that holds upconv/upconv.h}
cc=${2:-cc}
cxx=${3:-c++}
passed=0 failed=0 skipped=0

try() { # NAME COMMAND...
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name"
    fi
}

has() { printf '#include <%s>\n' "$1" | $cc -E -x c - >/dev/null 2>&1; }

for header in "$api"/upconv/*.h; do
    name=upconv/$(basename "$header")
    case $name in
    *_vulkan.h) outside=vulkan/vulkan.h ;;
    *_opencl.h) outside=CL/cl.h ;;
    *) outside=stddef.h ;;
    esac
    if ! has $outside; then
        echo "SKIPPED $name: there is no $outside here"
        skipped=$((skipped + 2))
        continue
    fi
    warn=(-I"$api" -pedantic -Wall -Wextra -Wshadow -Werror -fsyntax-only)
    source="#include <$name>
#include <$name>
int upconv_header_test(void);
int upconv_header_test(void) { return UPCONV_VERSION_MAJOR; }"
    try "$name as C11" $cc -std=c11 "${warn[@]}" -x c - <<<"$source"
    try "$name as C++11" $cxx -std=c++11 "${warn[@]}" -x c++ - <<<"$source"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
