# The steps of tests/run.sh: running one, counting what it says of itself, the closing line. Sourced, not run.
#
#     step NAME KIND COMMAND...     KIND counts: the output says how many passed; plain: the exit code is one test
#     queue NAME KIND COMMAND...    the same in the background, one for each core at a time, for drivers compile on one core, and
#                                   one more, for some wait
#     drain                         waits for all of these
#     skip NAME REASON [N]          names what is not run
#
# Each step has a log, named when it fails, and a line with the seconds that passed and those that processors worked for it.
# Set before: logs (a folder), only (a text that names must contain, or empty), list (true: only print the names). A function
# `ended NAME STATE` is told how each step of the background ended: ok or failed.
passed=0 failed=0 skipped=0
skipped_things=()
failed_steps=()
step_limit=${UPCONV_TEST_LIMIT:-900} # seconds
at_once=${UPCONV_TEST_JOBS:-$(($(nproc) + 1))}
declare -A running=() # process: name, kind, start

wanted() { [ -z "$only" ] || [[ $1 == *"$only"* ]]; }
met=false # a step whose name contains $only; not a build that it needed
meet() { [ -z "$only" ] || [[ $1 != *"$only"* ]] || met=true; }

line() { # STATE NAME COUNTS SECONDS [OF PROCESSORS]
    printf '%-5s %-44s %-42s %6s s %6s\n' "$1" "$2" "$3" "$4" "${5:-0}"
}

skip() {
    local name=$1 reason=$2 count=${3:-1}
    wanted "$name" || return 0
    $list && { echo "$name"; return 0; }
    meet "$name"
    skipped=$((skipped + count))
    skipped_things+=("$name: $reason")
    line skip "$name" "$reason" 0
}

# A step that cannot even be tried has failed.
broken() { # NAME REASON
    wanted "$1" || return 0
    meet "$1"
    failed=$((failed + 1))
    failed_steps+=("$1: $2")
    line FAIL "$1" "$2" 0
}

# Reads a finished step's log. Sets p, f, s.
judge() { # KIND LOG STATUS
    local kind=$1 log=$2 status=$3 counts names=() name
    p=0 f=0 s=0
    if [ "$kind" = plain ]; then
        if [ "$status" = 0 ]; then p=1; elif [ "$status" = 77 ]; then s=1; else f=1; fi
        return
    fi
    mapfile -t names < <(python3 "$here/count.py" "$log")
    counts=${names[0]:-}
    if [ -z "$counts" ]; then
        [ "$status" = 77 ] && s=1 || f=1
        [ "$s" = 1 ] || echo "no counts in the output (exit code $status)" >>"$log"
        return
    fi
    read -r p f s <<<"$counts"
    for name in "${names[@]:1}"; do
        skipped_things+=("$current: $name")
    done
    # a program that ends badly has failed, whatever it counted; one that counts nothing has shown nothing
    if [ "$f" = 0 ] && { [ "$status" != 0 ] || [ $((p + s)) = 0 ]; }; then
        f=1
        echo "exit code $status with counts '$counts'" >>"$log"
    fi
}

# A step's command, in a shell of its own, which notes what its processes took and passes on the signal to end.
under_watch() { # LOG COMMAND...
    local log=$1 child status
    shift
    timeout --kill-after=10 "$step_limit" "$@" >"$log" 2>&1 </dev/null &
    child=$!
    trap 'kill "$child" 2>/dev/null' TERM INT
    wait "$child"
    status=$?
    times >"$log.times"
    exit $status
}

# Seconds of processors, of the two lines that `times` writes.
processor_seconds() { # LOG
    awk '{ for (i = 1; i <= NF; i++) { split($i, t, /[ms]/); sum += 60 * t[1] + t[2] } } END { printf "%.0f", sum }' "$1.times" \
        2>/dev/null || echo 0
}

# What a finished command's log says, and its line.
conclude() { # NAME KIND LOG SECONDS STATUS
    local name=$1 kind=$2 log=$3 seconds=$4 status=$5 worked p f s
    current=$name
    meet "$name"
    worked=$(processor_seconds "$log")
    rm -f "$log.times"
    judge "$kind" "$log" "$status"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ $f -gt 0 ]; then
        failed_steps+=("$name ($f failed): $log")
        line FAIL "$name" "$p passed, $f failed, $s skipped" "$seconds" "$worked"
        tail -n 25 "$log" | sed 's/^/    | /'
    elif [ $p = 0 ] && [ $s -gt 0 ]; then
        [ "$kind" = plain ] && skipped_things+=("$name: $(tail -n 1 "$log")")
        line skip "$name" "$p passed, $f failed, $s skipped" "$seconds" "$worked"
    else
        line ok "$name" "$p passed, $f failed, $s skipped" "$seconds" "$worked"
    fi
    [ $f = 0 ]
}

log_of() { echo "$logs/$(tr -c 'a-zA-Z0-9._\n-' '_' <<<"$1").log"; }

step() {
    local name=$1 kind=$2 log status start=$SECONDS
    shift 2
    wanted "$name" || return 0
    $list && { echo "$name"; return 0; }
    log=$(log_of "$name")
    (under_watch "$log" "$@")
    status=$?
    conclude "$name" "$kind" "$log" $((SECONDS - start)) $status
}

# Waits until one of the commands in the background has ended.
collect() {
    local pid= status
    wait -n -p pid "${!running[@]}"
    status=$?
    if [ -z "$pid" ]; then # it ended before it was waited for: ask for each
        for pid in "${!running[@]}"; do kill -0 "$pid" 2>/dev/null || break; done
        wait "$pid"
        status=$?
    fi
    local what=${running[$pid]} name kind start
    unset "running[$pid]"
    IFS=$'\t' read -r name kind start <<<"$what"
    if conclude "$name" "$kind" "$(log_of "$name")" $((SECONDS - start)) $status; then
        ended "$name" ok
    else
        ended "$name" failed
    fi
}
ended() { :; }

queue() {
    local name=$1 kind=$2
    shift 2
    wanted "$name" || return 0
    $list && { echo "$name"; return 0; }
    while [ ${#running[@]} -ge "$at_once" ]; do collect; done
    (under_watch "$(log_of "$name")" "$@") &
    running[$!]=$name$'\t'$kind$'\t'$SECONDS
}

drain() { while [ ${#running[@]} -gt 0 ]; do collect; done; }

trap '[ ${#running[@]} -eq 0 ] || kill "${!running[@]}" 2>/dev/null' EXIT
trap 'exit 130' INT TERM

closing() {
    local thing
    drain
    if [ ${#skipped_things[@]} -gt 0 ]; then
        echo
        echo "Skipped:"
        printf '  %s\n' "${skipped_things[@]}" | awk '!seen[$0]++'
    fi
    if [ ${#failed_steps[@]} -gt 0 ]; then
        echo
        echo "Failed:"
        printf '  %s\n' "${failed_steps[@]}"
    fi
    echo
    echo "$passed passed, $failed failed, $skipped skipped"
    if [ $failed -eq 0 ] && { [ $((passed + skipped)) -eq 0 ] || { [ -n "$only" ] && ! $met; }; }; then
        echo "run.sh: no step's name contains '$only'; see --list" >&2
        return 2
    fi
    [ $failed -eq 0 ]
}
