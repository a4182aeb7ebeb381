# Builds of tests/run.sh and the tests in them. Sourced, not run. Needs engine.sh.
#
#     build_in DIR COMPILER OPTIONS...          a Meson build, warnings as errors, made when a step first wants it
#     tested DIR NAME COMMAND...                a counting step that uses the build
#     meson_tests DIR [PREFIX [SUITES [WRAPPER...]]]   all tests that the build registers, a step each
#     fuzzers DIR SECONDS                       every fuzz target of the build, as long
declare -A build_state build_options

build_in() { # remembers how; the first step that needs it builds
    local dir=$1
    shift
    build_options[$dir]="$*"
    build_state[$dir]=new
    # with no choice of steps every build is a step of its own
    if [ -z "$only" ] || wanted "build: $dir"; then ensure "$dir"; fi
}

configure_and_build() {
    local dir=$1 cc=$2
    shift 2
    local cxx=${cc/gcc/g++}
    cxx=${cxx/clang/clang++}
    local options=(-Dwerror=true -Dbuildtype=debugoptimized -Dtests=auto -Dtools=auto -Db_sanitize=none -Dc_args= "$@")
    if [ -f "$dir/build.ninja" ]; then
        meson setup --reconfigure "$dir" "${options[@]}" || return 1
    else
        CC=$cc CXX=$cxx meson setup "$dir" "${options[@]}" || return 1
    fi
    ninja -C "$dir" -j "$(nproc)"
}
export -f configure_and_build

ensure() { # the build, once; false when it failed
    local dir=$1
    if [ "${build_state[$dir]}" = new ]; then
        build_state[$dir]=failed
        local keep=$only
        only=
        # shellcheck disable=SC2086
        step "build: $dir (${build_options[$dir]})" plain bash -c 'configure_and_build "$@"' build "$dir" \
            ${build_options[$dir]} && build_state[$dir]=done
        only=$keep
        $list && build_state[$dir]=done
    fi
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
    local dir=$1 prefix=${2:-} suites=${3:-} name suite command entry hit
    shift $(($# < 3 ? $# : 3))
    $list && { echo "${prefix:-$dir}: the tests that meson.build registers"; return 0; }
    # what a build registers is known only once it is made: with --only, the main build or the prefix that was named
    [ -z "$prefix" ] || [ -z "$only" ] || [[ $only == "$prefix"* ]] || return 0
    ensure "$dir" || { broken "${prefix:-$dir}: its tests" "the build in $dir failed"; return 0; }
    while IFS=$'\t' read -r name suite command; do
        hit=false
        [ -z "$suites" ] && hit=true
        for entry in ${suites//,/ }; do [[ ",$suite," == *",$entry,"* ]] && hit=true; done
        if $hit; then queue "${prefix:+$prefix: }$name" counts "$@" bash -c "$command"; fi
    done < <(python3 "$here/list_tests.py" "$dir")
}

fuzzers() {
    local dir=$1 seconds=$2 target name corpus
    $list && { echo "fuzz: the targets in tests/fuzz"; return 0; }
    [ -z "$only" ] || [[ $only == fuzz* ]] || return 0
    ensure "$dir" || { broken "fuzz" "the build in $dir failed"; return 0; }
    for target in "$dir"/tests/fuzz/fuzz_* "$dir"/tests/fuzz_*; do
        [ -f "$target" ] && [ -x "$target" ] || continue
        name=$(basename "$target")
        corpus=$(mktemp -d)
        step "fuzz: $name" plain "$target" -max_total_time="$seconds" -print_final_stats=1 "$corpus" "$here/fuzz/corpus/${name#fuzz_}"
        rm -rf "$corpus"
    done
}
