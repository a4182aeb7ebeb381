#!/usr/bin/env bash
# oclgrind.sh PROGRAM...: runs it with oclgrind as the only OpenCL implementation, watching for data races, uninitialised
# values, addresses out of bounds and wrong API calls; any message of it fails. oclgrind.sh --expect-messages PROGRAM...:
# fails unless it names the faults of control_opencl.c and no others. oclgrind.sh --present: whether it is there.
# oclgrind.sh --woven PROGRAM...: for kernels that put vectors together of others' elements, (float8)(a.even, b.odd): oclgrind 21.10's check of
# uninitialised values crashes at those, so it is off.
set -u
icd=$(ls /usr/lib/oclgrind/liboclgrind-rt-icd.so /usr/lib/*/oclgrind/liboclgrind-rt-icd.so \
    /usr/local/lib/oclgrind/liboclgrind-rt-icd.so 2>/dev/null | head -n 1)
[ "${1:-}" = --present ] && { [ -n "$icd" ]; exit; }
[ -n "$icd" ] || { echo "SKIPPED oclgrind is not installed"; exit 77; }
expect=false
[ "${1:-}" = --expect-messages ] && { expect=true; shift; }
uninitialized=1
[ "${1:-}" = --woven ] && { uninitialized=0; shift; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/vendors"
echo "$icd" >"$folder/vendors/oclgrind.icd"
# its notes on what has been written outlive a buffer: see oclgrind_slots.c. The loader must not look past what is preloaded
core=$(ldd "$icd" | awk '/liboclgrind/ { print $3; exit }')
if ! cc -shared -fPIC -Wl,-z,defs -o "$folder/slots.so" "$(dirname "$0")/oclgrind_slots.c" "$core" -ldl; then
    echo "FAILED oclgrind_slots.c does not fit this oclgrind"
    exit 1
fi
# its log goes to a file: standard error also carries the library's own lines. Without optimisation: oclgrind 21.10 stops at
# LLVM's "freeze", which optimised divisions have
OCL_ICD_VENDORS=$folder/vendors OCL_ICD_DEEPBIND=0 LD_PRELOAD=$folder/slots.so OCLGRIND_ICD=1 \
    OCLGRIND_BUILD_OPTIONS=-cl-opt-disable \
    OCLGRIND_DATA_RACES=1 OCLGRIND_UNINITIALIZED=$uninitialized OCLGRIND_CHECK_API=1 \
    OCLGRIND_MAX_ERRORS=40 OCLGRIND_LOG=$folder/messages "$@"
status=$?
if $expect; then
    # in each of the two second buffers exactly one value is nobody's, and copied to 35 * 4 = 0x8c
    unwritten=$(grep -A1 'Uninitialized value written' "$folder/messages" | grep -B1 'Kernel: copy' | grep -c '8c$')
    copied=$(grep -c 'Kernel: copy' "$folder/messages")
    if grep -q 'Invalid read' "$folder/messages" && grep -q 'data race' "$folder/messages" &&
        [ "$unwritten,$copied" = 2,2 ]; then
        echo "1 passed, 0 failed, 0 skipped"
        exit 0
    fi
    cat "$folder/messages"
    echo "oclgrind did not name the faults of a faulty program and those alone: exit code $status," \
        "$unwritten of 2 values that nobody wrote, $copied messages on them"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
if [ -s "$folder/messages" ]; then
    head -c 6000 "$folder/messages"
    echo
    echo "oclgrind complained"
    exit 1
fi
exit $status
