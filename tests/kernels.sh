#!/usr/bin/env bash
# kernels.sh BUILD [CONFIGURATIONS [N]]: every kernel in every variant through glslangValidator and spirv-val, and through clang's
# OpenCL C 1.2 front end with warnings as errors. With numbers, what every CONFIGURATIONS-th configuration takes, and of that every
# N-th variant; a kernel of which none is left is there with its first.
set -u
build=${1:?the build folder}
every=${3:-1}
folder=$(mktemp -d)
trap 'rm -rf "$folder" "$functions"' EXIT
passed=0 failed=0 skipped=0
# Of cl_khr_integer_dot_product, which this front end does not know.
export functions=$(mktemp --suffix .h)
cat >"$functions" <<'END'
int dot_4x8packed_ss_int(uint a, uint b);
uint dot_4x8packed_uu_uint(uint a, uint b);
int dot_4x8packed_su_int(uint a, uint b);
END

# One file through its language's compiler; a failure leaves FILE.failed with what was said.
judge() { # FILE
    case $1 in
    *.comp) glslangValidator --target-env "$(target "$1")" -S comp -o "$1.spv" "$1" && spirv-val --target-env "$(target "$1")" "$1.spv" ;;
    *.cl) clang -x cl -cl-std=CL1.2 -include "$functions" -Wall -Wextra -Werror -Wno-unused-parameter -fsyntax-only "$1" ;;
    esac >"$1.said" 2>&1 || mv "$1.said" "$1.failed"
    rm -f "$1.spv" "$1.said"
}
# kernels for whole subgroups need the SPIR-V of Vulkan 1.1
target() { grep -q '^#define LANES' "$1" && echo vulkan1.1 || echo vulkan1.0; }
export -f judge target

check() { # LANGUAGE SUFFIX
    local files bad file
    files=$(find "$folder" -name "*.$2" | wc -l)
    find "$folder" -name "*.$2" -print0 | xargs -0 -P "$(nproc)" -I{} bash -c 'judge "$1"' _ {}
    bad=$(find "$folder" -name "*.$2.failed" | wc -l)
    passed=$((passed + files - bad)) failed=$((failed + bad))
    for file in $(find "$folder" -name "*.$2.failed" | sort | head -n 5); do
        echo "FAILED $1: $(basename "${file%.failed}")"
        head -n 15 "$file"
    done
}

"$build/tests/dump_sources" "$folder" "${2:-1}" || { echo "FAILED dump_sources"; failed=1; }
if [ "$every" -gt 1 ]; then
    declare -A left=()
    for file in "$folder"/*; do
        number=$(basename "$file")
        kernel=${number#*-} # with its language
        if [ -n "${left[$kernel]:-}" ] && [ $((10#${number%%-*} % every)) -ne 0 ]; then rm "$file"; else left[$kernel]=1; fi
    done
fi
# What must be refused, or the compilers' silence means nothing.
control() { # SUFFIX TEXT
    echo "$2" >"$folder/control.$1"
    judge "$folder/control.$1"
    if [ -f "$folder/control.$1.failed" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED a wrong kernel passes"; fi
    rm -f "$folder"/control.*
}
if command -v glslangValidator >/dev/null && command -v spirv-val >/dev/null; then
    control comp '#version 450
void main() { float x = missing; }'
    check GLSL comp
else
    echo "SKIPPED GLSL: glslangValidator or spirv-val is not installed"
    skipped=$((skipped + 1))
fi
if command -v clang >/dev/null; then
    control cl 'kernel void faulty(global float *x) { int unused = 1; x[0] = 0.0f; }'
    check "OpenCL C" cl
else
    echo "SKIPPED OpenCL C: clang is not installed"
    skipped=$((skipped + 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
