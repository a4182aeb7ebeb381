#!/usr/bin/env bash
# Everything that must stay true: installs what the tests need, builds in several ways, runs all tests, counts.
#
#     tests/run.sh [--full] [--shared DIR] [--only TEXT] [--list] [--no-install]
#
#     --full        everything, for as long as it takes: many more random problems, every configuration, fuzzing
#     --shared DIR  the folder with conformance/, mobile-compilers/ and workloads/; else UPCONV_SHARED, else ../shared
#                   where it is; without it those steps are skipped by name
#     --only TEXT   only steps whose name contains TEXT (builds are made when a step wants them)
#     --list        the names of the steps
#     --no-install  install nothing
#
# A line per step, then what was skipped and why, then one line `N passed, N failed, N skipped` over all steps.
# On Debian or Ubuntu, as root or with sudo, it needs nothing before it. Exit code 0: nothing failed.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
root=$PWD
here=$root/tests
full=false shared=${UPCONV_SHARED:-} only= list=false install=true
while [ $# -gt 0 ]; do
    case $1 in
    --full) full=true ;;
    --shared) shared=${2:?--shared needs a folder}; shift ;;
    --only) only=${2:?--only needs a text}; shift ;;
    --list) list=true install=false ;;
    --no-install) install=false ;;
    -h | --help) sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "run.sh: unknown option $1; see tests/run.sh --help" >&2; exit 2 ;;
    esac
    shift
done
[ -n "$shared" ] || { [ -d "$root/../shared" ] && shared=$(cd "$root/../shared" && pwd); }
[ -z "$shared" ] || [ -d "$shared" ] || { echo "run.sh: there is no folder $shared" >&2; exit 2; }
unset UPCONV_BACKEND UPCONV_DEVICE UPCONV_LOG UPCONV_SOLVER UPCONV_SHADERS
export UPCONV_SHIPPED=0 # plans are what they are wherever records have been measured

$install || export UPCONV_NO_INSTALL=1
# shellcheck source=tools/packages.sh
. "$root/tools/packages.sh"
# shellcheck source=tests/engine.sh
. "$here/engine.sh"
# shellcheck source=tests/builds.sh
. "$here/builds.sh"

if $install; then
    # shellcheck disable=SC2086
    need $UPCONV_BUILD_PACKAGES $UPCONV_DRIVER_PACKAGES g++ libc6-dev libcmocka-dev glslang-tools spirv-tools \
        ocl-icd-opencl-dev imagemagick binutils clang ||
        { echo "run.sh: cannot build and test without these packages (--no-install: try all the same)" >&2; exit 2; }
    # without these only their own steps are skipped; all now, for the steps run side by side, and the package system does not
    version=$(clang -dumpversion 2>/dev/null | cut -d. -f1)
    optional=(vulkan-validationlayers oclgrind libclblast-dev libdnnl-dev libopenblas0 gcc-aarch64-linux-gnu g++-aarch64-linux-gnu
        gcc-arm-linux-gnueabihf g++-arm-linux-gnueabihf qemu-user-static ${version:+libclang-rt-$version-dev})
    need "${optional[@]}" || for package in "${optional[@]}"; do need "$package" || true; done
fi
logs=$root/build-logs
mkdir -p "$logs"
# What drivers keep on disk begins empty, as on a fresh machine, and lasts for this run: steps then share compiled programs.
rm -rf "$logs/drivers"
mkdir -p "$logs/drivers/pocl" "$logs/drivers/mesa"
export POCL_CACHE_DIR=$logs/drivers/pocl MESA_SHADER_CACHE_DIR=$logs/drivers/mesa
count=100 limited=20 configs=2 variety=few tries=1 every="7 4"
$full && count=20000 limited=2000 configs=0 variety=any tries=0 every=

backends=(cpu vulkan opencl)
solvers_of() {
    case $1 in
    cpu) echo "reference phase direct" ;;
    opencl) echo "phase direct gemm wide splitk" ;;
    *) echo "phase direct lanes splitk" ;;
    esac
}
unpool_solvers() { [ "$1" = cpu ] || echo "unpool owners"; }
ops="resize zeros shuffle" # of one oracle: tests/oracle_sample.c
# PoCL's compiler takes a third of the time without its optimiser; a third of a run is that compiler's
unoptimised=(env POCL_EXTRA_BUILD_FLAGS=-cl-opt-disable)
limits=(f16=0 binding=4096 binding=1024,groups=3 groups=3,macs=5000 size=32,shared=4096)

# ---- the builds: the main one has everything on
build_in build gcc -Dauto_features=enabled
build_in build-clang clang -Dauto_features=enabled
build_in build-minimal gcc -Dauto_features=disabled
build_in build-release gcc -Dauto_features=enabled -Dbuildtype=release
build_in build-cpu clang -Dauto_features=disabled -Dtests=enabled
# sanitized code is slow to compile: optimised little, and what only other builds can know is no error here
build_in build-asan gcc -Dauto_features=enabled -Db_sanitize=address,undefined -Doptimization=1 -Dwerror=false
build_in build-tsan gcc -Dauto_features=enabled -Db_sanitize=thread
targets build-release tools/upconv
targets build-tsan tests/threads tests/batch tests/random tests/random_pool tests/random_quantised tests/control_sanitizers
[ -n "$only" ] || ensure build
build_ahead build build-asan build-clang build-release build-tsan build-cpu build-minimal

# ---- programs for boards, cross-compiled and run under qemu; long, so among the first
for kind in "" --static; do
    for arch in aarch64 armhf; do
        # shellcheck disable=SC2086
        if ! $full && [ "$arch$kind" = armhf--static ]; then
            skip "board: $arch, fully static" "only with --full"
            continue
        fi
        queue "board: $arch${kind:+, fully static}" counts bash "$here/boards.sh" $arch $kind
    done
done
# ---- what the main build registers, but for random problems, of which more follow
but='^random-' meson_tests build

for backend in "${backends[@]}"; do
    # OpenCL's programs take half a second each to build; it sees half as many configurations and fewer problems, of which the cut
    # ones are cut before any backend has them
    [ "$backend" = opencl ] && ! $full && configs=1 count=48 limited=12
    how=(--configs "$configs" --variety "$variety")
    # lowered limits are about what is dispatched, and the same kernels go through PoCL's optimiser without them
    cut=()
    [ "$backend" = opencl ] && ! $full && cut=("${unoptimised[@]}")
    drawn() { # NAME ARGUMENTS...
        tested build "random: $backend$1" build/tests/random --backend "$backend" "${@:2}"
    }
    drawn_cut() { # NAME PROGRAM ARGUMENTS...
        tested build "random$1" "${cut[@]}" "build/tests/$2" --backend "$backend" "${@:3}"
    }
    drawn "" --count "$count" --seed 1000 "${how[@]}" --tries $tries
    for limit in "${limits[@]}"; do
        # OpenCL C has 16-bit loads and stores everywhere
        [ "$backend" = cpu ] || [ "$backend $limit" = "opencl f16=0" ] && continue
        drawn_cut ": $backend $limit" random --count "$limited" --seed 500000 "${how[@]}" --tries $tries --limits "$limit"
    done
    for op in conv gradfilter gradbias; do
        drawn " $op" --op $op --count $((count / 16)) --seed 3000 "${how[@]}" --tries $tries
        [ "$backend" = cpu ] || drawn_cut ": $backend $op, limits" random --op $op --count $((limited / 4)) --seed 600000 "${how[@]}" \
            --tries $tries --limits binding=1024,groups=3,macs=5000
    done
    tested build "random pooling: $backend" build/tests/random_pool --backend "$backend" --count $((count / 3)) --seed 2000
    quantised=$((count / 5))
    [ "$backend" = cpu ] && quantised=$((count * 4))
    tested build "random quantised: $backend" build/tests/random_quantised --backend "$backend" --count $quantised --seed 3000
    [ "$backend" = vulkan ] && tested build "random quantised: vulkan, products of four bytes" build/tests/random_quantised \
        --backend vulkan --dot 1 --count $((count / 8)) --seed 4000
    for limit in binding=8192 binding=2048,groups=3 groups=3,macs=5000 size=32; do
        [ "$backend" = cpu ] || drawn_cut " quantised: $backend $limit" random_quantised --count $((limited / 3)) --seed 710000 \
            --limits "$limit"
    done
    for limit in "${limits[@]}"; do
        [ "$backend" = cpu ] || [ "$backend $limit" = "opencl f16=0" ] && continue
        drawn_cut " pooling: $backend $limit" random_pool --count $((limited / 2)) --seed 700000 --limits "$limit"
    done
    for op in $ops; do
        drawn " $op" --op $op --count $((count / 8)) --seed 2000 "${how[@]}"
        [ "$backend" = cpu ] || drawn_cut ": $backend $op, limits" random --op $op --count $((limited / 2)) --seed 510000 "${how[@]}" \
            --limits binding=4096,groups=9,macs=50000
        [ "$backend" = vulkan ] && drawn " $op, f16=0" --op $op --count $((limited / 2)) --seed 520000 "${how[@]}" --limits f16=0
    done
    # random problems are small, and seldom have lines as long as these
    [ "$backend" = opencl ] && wanted "lines that are kept: opencl" && ensure build && queue "lines that are kept: opencl" plain \
        build/tools/upconv bench --backend opencl --check --runs 1 --seconds 0 --problems "$here/data/lines.txt"
    # the vectors of other processors than this one
    for floats in 8 $($full && echo 4 || :); do
        [ "$backend" = opencl ] || continue
        for op in shuffle resize gradfilter; do
            drawn_cut ": vectors of $floats, $op" random --op $op --vectors "$floats" --count $((limited / 3)) --seed 530000 --variety any
        done
        drawn_cut ": vectors of $floats, resizing in lines" random --vectors "$floats" --count 2 --solver sample --seed 540000 \
            --problem "resize:ic5ih3oh7_iw33ow70+linear+align_corners+nc4hw4"
        drawn_cut " pooling: vectors of $floats" random_pool --vectors "$floats" --count $((limited / 2)) --seed 720000
        drawn_cut " quantised: vectors of $floats" random_quantised --vectors "$floats" --count $((limited / 2)) --seed 730000
    done
    drawn ", sums in f16" --count 20 --seed 240000 --sums f16 --tries 1
    # these take few problems, so that others come in place of most
    for solver in rows winograd; do
        [ "$backend" = cpu ] || drawn " $solver" --count $($full && echo 15 || echo 8) --seed 250000 --solver $solver --variety $variety
    done
    # of many solvers, and every problem is tried with one or two
    for solver in "conv strided" "gradfilter panels" "gradfilter runs" "gradfilter combs" "gradfilter squares"; do
        [ "$backend" = cpu ] && continue
        $full || [[ "$solver" =~ runs|combs|squares ]] || continue
        [[ "$backend ${solver#* }" =~ ^(vulkan runs|vulkan combs|opencl squares)$ ]] && continue
        drawn_cut ": $backend ${solver#* }" random --op "${solver% *}" --solver "${solver#* }" --count $($full && echo 12 || echo 4) \
            --seed 260000 --variety $variety
        $full && drawn " ${solver#* }, limits" --op "${solver% *}" --solver "${solver#* }" --count 6 --seed 265000 --variety $variety \
            --limits binding=20000,groups=60,macs=300000
    done
done

if $full; then
    tested build "quantised extremes: opencl" build/tests/extremes opencl
    # on devices without products of four bytes plain C stands in for them
    mkdir -p "$logs/products4" && cat "$here/data/products4.cl" "$root/shaders/shell.cl" >"$logs/products4/shell.cl"
    tested build "random quantised: opencl, products of four bytes" env UPCONV_SHADERS="$logs/products4" build/tests/random_quantised \
        --backend opencl --dot 2 --count 100 --seed 4000
    tested build "products of four bytes: opencl" build/tests/dots opencl "$root/shaders" "$here/data/products4.cl"
fi

# ---- the tuner: killed over and over, and with kernels that always fail
if $full; then
    tested build "tune: a hundred kills" python3 "$here/tool_tune_kill.py" build/tools/upconv --kills 100
    for backend in vulkan opencl; do
        tested build "tune: faults $backend" python3 "$here/tool_tune_faults.py" build/tools/upconv --backend "$backend" \
            --shaders "$root/shaders" --full
    done
fi

# ---- the shared corpora
for backend in "${backends[@]}"; do
    for solver in $(solvers_of "$backend"); do
        name="conformance: $backend $solver"
        if [ -z "$shared" ] || [ ! -d "$shared/conformance" ]; then
            skip "$name" "no conformance folder (--shared)"
        elif [ "$solver" = gemm ] && ! python3 -c 'import ctypes; ctypes.CDLL("libclblast.so.1")' 2>/dev/null; then
            skip "$name" "CLBlast is not installed"
        else
            tested build "$name" build/tests/conformance --corpus "$shared/conformance" --backend "$backend" --solver "$solver"
        fi
    done
    for solver in $(unpool_solvers "$backend"); do
        for kind in "" "--type f16 --layout nhwc --gaps" "--layout nc4hw4"; do
            name="conformance: $backend $solver${kind:+ $kind}"
            if [ -z "$shared" ] || [ ! -d "$shared/conformance" ]; then
                skip "$name" "no conformance folder (--shared)"
            else
                # shellcheck disable=SC2086
                tested build "$name" build/tests/conformance --corpus "$shared/conformance" --backend "$backend" \
                    --solver "$solver" --match npool $kind
            fi
        done
    done
    # the case whose channels come in fours
    for form in 1 2 3; do
        name="conformance: $backend phase_q dot=$form"
        [ "$backend" = vulkan ] || continue
        if [ -z "$shared" ] || [ ! -d "$shared/conformance" ]; then
            skip "$name" "no conformance folder (--shared)"
        else
            tested build "$name" env UPCONV_SOLVER="phase_q:dot=$form" build/tests/conformance --corpus "$shared/conformance" \
                --backend "$backend" --layout nhwc --match reverse_transpose_conv_1
        fi
    done
    # what the planner takes by itself, solvers among it that take some problems only and cannot be asked for all
    name="conformance: $backend by choice"
    if [ -z "$shared" ] || [ ! -d "$shared/conformance" ]; then
        skip "$name" "no conformance folder (--shared)"
    else
        tested build "$name" build/tests/conformance --corpus "$shared/conformance" --backend "$backend"
    fi
    # the same cases in other types and layouts, and with gaps; the solver that has most kernels of its own for them
    for kind in "--type f16 --layout nchw" "--type f16 --layout nc4hw4 --gaps" "--type f16 --layout nhwc" "--layout nhwc --gaps" \
        "--layout nc4hw4"; do
        name="conformance: $backend phase $kind"
        # OpenCL's programs take a second each to build
        slow=()
        [ "$backend" = opencl ] && ! $full && slow=("${unoptimised[@]}")
        if [ -z "$shared" ] || [ ! -d "$shared/conformance" ]; then
            skip "$name" "no conformance folder (--shared)"
        else
            # shellcheck disable=SC2086
            tested build "$name" "${slow[@]}" build/tests/conformance --corpus "$shared/conformance" --backend "$backend" \
                --solver phase $kind
        fi
    done
done

# ---- kernels in both languages, and on the compilers of mobile GPUs
# shellcheck disable=SC2086
tested build "kernels: GLSL and OpenCL C" bash "$here/kernels.sh" build $every
if [ -z "$shared" ] || [ ! -x "$shared/mobile-compilers/run" ]; then
    skip "kernels: mobile compilers" "no mobile-compilers folder (--shared)"
else
    part=0
    gpus=$("$shared/mobile-compilers/run" list) && [ -n "$gpus" ] || broken "kernels: mobile compilers" "they cannot be listed"
    for gpu in $gpus; do
        mobile=(--run "$shared/mobile-compilers/run" --gpu "$gpu" --program build/tests/mobile_check)
        layers=(--problems "$shared/workloads/layers.txt")
        tested build "mobile: $gpu sees a spill" python3 "$here/mobile.py" "${mobile[@]}" --control
        # every operation on each; of the layers a quarter, others on the next in the list, which mostly is its sister
        # shellcheck disable=SC2046
        tested build "mobile: $gpu" python3 "$here/mobile.py" "${mobile[@]}" "${layers[@]}" \
            $($full && echo --large || echo --part $part)
        part=$((part + 1))
        tested build "mobile goals: $gpu" python3 "$here/mobile_goals.py" "${mobile[@]}" "${layers[@]}" \
            --docs "$here/../docs/performance.md"
        # one of each family, or a sister with the same compiler
        if ! $full && [[ $gpu =~ ^(mali-g310|v3d-4.2)$ ]]; then
            skip "mobile tune: $gpu" "only with --full"
            continue
        fi
        # shellcheck disable=SC2046
        tested build "mobile tune: $gpu" python3 "$here/mobile_tune.py" "${mobile[@]}" --tool build/tools/upconv \
            $($full && echo --full)
    done
fi

# ---- Vulkan under the validation layers, with synchronisation checks
if ! bash "$here/validation.sh" --present; then
    skip "validation layers" "VK_LAYER_KHRONOS_validation is not installed"
else
    tested build "validation: the layers see a hazard" bash "$here/validation.sh" --expect-messages build/tests/control_vulkan
    # problems from above, whose programs the driver has kept: here it is the calls that are looked at
    layers=(bash "$here/validation.sh")
    few=(--backend vulkan --variety $variety --configs $configs)
    tested build "validation: random" "${layers[@]}" build/tests/random "${few[@]}" --count 60 --seed 1000 --tries 1
    tested build "validation: random, limits" "${layers[@]}" build/tests/random "${few[@]}" --count 20 --seed 500000 --tries 1 \
        --limits binding=2048,groups=3,macs=20000
    tested build "validation: random pooling" "${layers[@]}" build/tests/random_pool --backend vulkan --count 20 --seed 2000
    tested build "validation: random pooling, limits" "${layers[@]}" build/tests/random_pool --backend vulkan --count 10 \
        --seed 700000 --limits binding=2048,groups=3,macs=20000
    for op in $ops conv gradfilter gradbias; do
        tested build "validation: random $op" "${layers[@]}" build/tests/random "${few[@]}" --count 8 --op $op --tries 1 \
            --seed $([[ " $ops " == *" $op "* ]] && echo 510000 || echo 600000) --limits binding=4096
    done
    tested build "validation: random quantised" "${layers[@]}" build/tests/random_quantised --backend vulkan --count 10 --seed 3000
    tested build "validation: random quantised, limits" "${layers[@]}" build/tests/random_quantised --backend vulkan --count 6 \
        --seed 710000 --limits binding=2048,groups=3
    meson_tests build validation vulkan bash "$here/validation.sh"
fi

# ---- other compilers and options
meson_tests build-clang clang unit
meson_tests build-cpu cpu-only
tested build-cpu "cpu-only: random" build-cpu/tests/random --backend cpu --count 100 --seed 3000

# ---- sanitizers
sanitized=(env "ASAN_OPTIONS=abort_on_error=0:detect_leaks=1" "UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1"
    "LSAN_OPTIONS=suppressions=$here/suppressions/lsan.txt:print_suppressions=0" OCL_ICD_DEEPBIND=0)
for fault in "bounds heap-buffer-overflow" "overflow signed integer overflow" "leak detected memory leaks"; do
    tested build-asan "asan: it sees a fault, ${fault%% *}" bash "$here/sees.sh" "${fault#* }" "${sanitized[@]}" \
        build-asan/tests/control_sanitizers ${fault%% *}
done
meson_tests build-asan asan unit,device "${sanitized[@]}"
threads=(env OCL_ICD_DEEPBIND=0
    "TSAN_OPTIONS=halt_on_error=0:exitcode=66:suppressions=$here/suppressions/tsan.txt:ignore_noninstrumented_modules=1")
tested build-tsan "tsan: it sees a fault" bash "$here/sees.sh" "data race" "${threads[@]}" build-tsan/tests/control_sanitizers race
for backend in "${backends[@]}"; do
    for program in threads batch; do
        tested build-tsan "tsan: $program $backend" "${threads[@]}" "build-tsan/tests/$program" "$backend"
    done
done
# what solvers share out among the CPU backend's threads, of every operation
for op in $ops conv gradfilter gradbias; do
    tested build-tsan "tsan: random cpu $op" "${threads[@]}" build-tsan/tests/random --backend cpu --op $op --count 6 --seed 6000
done
tested build-tsan "tsan: random cpu" "${threads[@]}" build-tsan/tests/random --backend cpu --count 10 --seed 6000
tested build-tsan "tsan: random pooling cpu" "${threads[@]}" build-tsan/tests/random_pool --backend cpu --count 12 --seed 6000
tested build-tsan "tsan: random quantised cpu" "${threads[@]}" build-tsan/tests/random_quantised --backend cpu --count 12 --seed 6000

# ---- OpenCL kernels in an interpreter that sees races, bad addresses and uninitialised values
if ! bash "$here/oclgrind.sh" --present; then
    skip "oclgrind" "oclgrind is not installed"
else
    # a second for some thousand multiplications, so problems are small. The limits make dispatches that accumulate
    number=10 size=600
    $full && number=60 size=2000
    tested build "oclgrind: it sees faults" bash "$here/oclgrind.sh" --expect-messages build/tests/control_opencl
    for half in 0 1; do # side by side
        tested build "oclgrind: random, half $half" bash "$here/oclgrind.sh" build/tests/random --backend opencl \
            --count $((number / 2)) --seed $((40 + half * number / 2)) --size $size
    done
    tested build "oclgrind: random quantised" bash "$here/oclgrind.sh" build/tests/random_quantised --backend opencl --count $((number / 2)) \
        --seed 2 --size 200
    tested build "oclgrind: random pooling" bash "$here/oclgrind.sh" build/tests/random_pool --backend opencl --count $((number / 2)) \
        --seed 50 --size $size
    tested build "oclgrind: random pooling, limits" bash "$here/oclgrind.sh" build/tests/random_pool --backend opencl \
        --count $((number / 2)) --seed 80 --size 300 --limits binding=1024,groups=3,macs=1000
    wanted "oclgrind: lines that are kept" && ensure build && queue "oclgrind: lines that are kept" plain \
        bash "$here/oclgrind.sh" build/tools/upconv bench --backend opencl --check --runs 1 --seconds 0 --problems "$here/data/lines.txt"
    for op in $ops conv gradfilter gradbias; do
        # convolutions have the kernels of the transposed ones
        tested build "oclgrind: random $op" bash "$here/oclgrind.sh" build/tests/random --backend opencl --count $((number / 2)) \
            --seed 70 --size $size --op $op --limits binding=4096 --tries $([ $op = conv ] && ! $full && echo 1 || echo 0)
    done
    # lines of processors, whose vectors are woven
    for solver in "conv strided" "conv rows" "gradfilter runs" "shuffle shuffle"; do
        tested build "oclgrind: random $solver" bash "$here/oclgrind.sh" --woven build/tests/random --backend opencl \
            --count $((number / 2)) --seed 900 --size 900 --op "${solver% *}" --solver "${solver#* }"
    done
    tested build "oclgrind: random pooling, lines" bash "$here/oclgrind.sh" --woven build/tests/random_pool --backend opencl \
        --count $((number * 2)) --seed 1500 --size 600
    for solver in phase direct; do
        tested build "oclgrind: random, limits $solver" bash "$here/oclgrind.sh" build/tests/random --backend opencl \
            --count $((number * 3 / 2)) --seed 90 --size 500 --limits binding=1024,groups=3,macs=1000 --solver $solver
    done
fi

# ---- the program for aarch64 on drivers of that architecture
if $full; then
    drain # the board's own step may still be building it
    queue "board: aarch64, drivers" counts bash "$here/board_drivers.sh"
else
    skip "board: aarch64, drivers" "only with --full"
fi

# ---- fuzzing: the committed corpora are replayed by the sanitizer build's tests; here new inputs are looked for
if $full; then
    build_in build-fuzz clang -Dauto_features=disabled -Dtests=enabled -Db_sanitize=address,undefined -Db_lundef=false \
        -Dc_args=-fsanitize=fuzzer-no-link
    fuzzers build-fuzz 60
    tested build-asan "asan: random opencl" "${sanitized[@]}" build-asan/tests/random --backend opencl --count 500 --seed 60000
    tested build-asan "asan: random vulkan" "${sanitized[@]}" build-asan/tests/random --backend vulkan --count 500 --seed 60000
else
    skip "fuzzing" "only with --full"
fi
$list || closing
