# Builds of tests/run.sh and the tests in them. Sourced, not run. Needs engine.sh.
#
#     build_in DIR COMPILER OPTIONS...          a Meson build, warnings as errors, made when a step first wants it
#     targets DIR TARGET...                     only these of its programs
#     build_ahead DIR...                        builds in the background what later steps want
#     tested DIR NAME COMMAND...                a counting step that uses the build
#     meson_tests DIR [PREFIX [SUITES [WRAPPER...]]]   all tests that the build registers, a step each, but those whose name
#                                               the pattern in $but matches
#     fuzzers DIR SECONDS                       every fuzz target of the build, as long
declare -A build_state build_options build_targets

build_in() { # remembers how; the first step that needs it builds
    local dir=$1
    shift
    build_options[$dir]="$*"
    build_state[$dir]=new
}

targets() {
    local dir=$1
    shift
    build_targets[$dir]="$*"
}

configure_and_build() { # DIR TARGETS JOBS COMPILER OPTIONS...
    local dir=$1 targets=$2 jobs=$3 cc=$4
    shift 4
    local cxx=${cc/gcc/g++}
    cxx=${cxx/clang/clang++}
    local options=(-Dwerror=true -Dbuildtype=debugoptimized -Dtests=auto -Dtools=auto -Db_sanitize=none -Dc_args= "$@")
    if [ -f "$dir/build.ninja" ]; then
        meson setup --reconfigure "$dir" "${options[@]}" || return 1
    else
        CC=$cc CXX=$cxx meson setup "$dir" "${options[@]}" || return 1
    fi
    # shellcheck disable=SC2086
    ninja -C "$dir" -j "$jobs" $targets
}
export -f configure_and_build

make_build() { # step|queue DIR JOBS
    local how=$1 dir=$2 jobs=$3 keep=$only
    only=
    # shellcheck disable=SC2086
    $how "build: $dir (${build_options[$dir]})" plain bash -c 'configure_and_build "$@"' build "$dir" "${build_targets[$dir]:-}" \
        "$jobs" ${build_options[$dir]}
    local status=$?
    only=$keep
    return $status
}

# With no choice of steps every build is a step of its own; one of several processes then leaves room for the steps beside it.
build_ahead() {
    local dir
    for dir in "$@"; do
        if [ "${build_state[$dir]}" = new ] && { [ -z "$only" ] || wanted "build: $dir"; }; then
            build_state[$dir]=running
            make_build queue "$dir" $((($(nproc) + 1) / 2))
            ! $list || build_state[$dir]=done
        fi
    done
}

ended() { # a build of build_ahead, among the steps that end
    [[ $1 == "build: "* ]] || return 0
    local dir=${1#build: }
    dir=${dir%% *}
    [ "$2" = ok ] && build_state[$dir]=done || build_state[$dir]=failed
}

ensure() { # the build, once; false when it failed
    local dir=$1
    if [ "${build_state[$dir]}" = new ]; then
        build_state[$dir]=failed
        make_build step "$dir" "$(nproc)" && build_state[$dir]=done
        ! $list || build_state[$dir]=done
    fi
    while [ "${build_state[$dir]}" = running ]; do collect; done
    [ "${build_state[$dir]}" = "done" ]
}

tested() {
    local dir=$1 name=$2
    shift 2
    wanted "$name" || return 0
    if ensure "$dir"; then
        queue "$name" counts "$@"
    else
        broken "$name" "the build in $dir failed"
    fi
    return 0
}

meson_tests() {
    local dir=$1 prefix=${2:-} suites=${3:-} name suite command entry hit listed found=false
    shift $(($# < 3 ? $# : 3))
    $list && { echo "${prefix:-$dir}: the tests that meson.build registers"; return 0; }
    # what a build registers is known only once it is made: with --only, the main build or the prefix that was named
    [ -z "$prefix" ] || [ -z "$only" ] || [[ $only == "$prefix"* ]] || return 0
    ensure "$dir" || { broken "${prefix:-$dir}: its tests" "the build in $dir failed"; return 0; }
    listed=$(python3 "$here/list_tests.py" "$dir") ||
        { broken "${prefix:-$dir}: its tests" "what the build registers cannot be read"; return 0; }
    while IFS=$'\t' read -r name suite command; do
        hit=false
        [ -z "$suites" ] && hit=true
        for entry in ${suites//,/ }; do [[ ",$suite," == *",$entry,"* ]] && hit=true; done
        [ -n "${but:-}" ] && [[ $name =~ $but ]] && hit=false
        if $hit; then
            found=true
            queue "${prefix:+$prefix: }$name" counts "$@" bash -c "$command"
        fi
    done <<<"$listed"
    $found || broken "${prefix:-$dir}: its tests" "the build registers none${suites:+ of $suites}"
}

fuzzers() {
    local dir=$1 seconds=$2 target name corpus found=false
    $list && { echo "fuzz: the targets in tests/fuzz"; return 0; }
    [ -z "$only" ] || [[ $only == fuzz* ]] || return 0
    ensure "$dir" || { broken "fuzz" "the build in $dir failed"; return 0; }
    for target in "$dir"/tests/fuzz/fuzz_* "$dir"/tests/fuzz_*; do
        [ -f "$target" ] && [ -x "$target" ] || continue
        found=true
        name=$(basename "$target")
        corpus=$(mktemp -d)
        step "fuzz: $name" plain "$target" -max_total_time="$seconds" -print_final_stats=1 "$corpus" "$here/fuzz/corpus/${name#fuzz_}"
        rm -rf "$corpus"
    done
    $found || broken "fuzz" "there is no target in $dir"
}
