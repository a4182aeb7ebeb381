#!/usr/bin/env bash
# kernels.sh BUILD: every kernel in every variant through glslangValidator and spirv-val, and through clang's OpenCL C 1.2
# front end with warnings as errors.
set -u
build=${1:?the build folder}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
passed=0 failed=0 skipped=0

check() { # LANGUAGE FILE COMMAND...
    local language=$1 file=$2
    shift 2
    if "$@" >"$folder/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        if [ $failed -le 5 ]; then
            echo "FAILED $language: $(basename "$file")"
            head -n 15 "$folder/output"
        fi
    fi
}

glsl() { # subgroups came with Vulkan 1.1
    local target=vulkan1.0
    grep -q '^#define LANES' "$1" && target=vulkan1.1
    glslangValidator --target-env $target -S comp -o "$folder/module.spv" "$1" && spirv-val --target-env $target "$folder/module.spv"
}

"$build/tests/dump_sources" "$folder" || { echo "FAILED dump_sources"; failed=1; }
if command -v glslangValidator >/dev/null && command -v spirv-val >/dev/null; then
    for file in "$folder"/*.comp; do check GLSL "$file" glsl "$file"; done
else
    echo "SKIPPED GLSL: glslangValidator or spirv-val is not installed"
    skipped=$((skipped + 1))
fi
if command -v clang >/dev/null; then
    for file in "$folder"/*.cl; do
        check "OpenCL C" "$file" clang -x cl -cl-std=CL1.2 -Wall -Wextra -Werror -Wno-unused-parameter -fsyntax-only "$file"
    done
else
    echo "SKIPPED OpenCL C: clang is not installed"
    skipped=$((skipped + 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
