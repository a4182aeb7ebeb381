#!/usr/bin/env bash
# A picture enlarged by a transposed convolution on every device of this machine, and how fast they are.
#
#     tools/demo.sh [PICTURE.png] [--no-install]
#
# On Debian, as root or as a user who may use sudo, it needs nothing before it: it installs what is missing, builds
# (into build/), makes a picture if it is given none, enlarges it on every device found and on the CPU, compares, times and
# briefly tunes a few layers, and writes pictures, a table and the tuner's pages to demo-out/. Exit code 0: every device agreed with the CPU.
set -u
picture=
for word in "$@"; do
    case $word in
    --no-install) export UPCONV_NO_INSTALL=1 ;;
    -h | --help) sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0" | sed '$d'; exit 0 ;;
    -*) echo "demo.sh: there is no option $word; see tools/demo.sh --help" >&2; exit 2 ;;
    *) picture=$(realpath -- "$word") || exit 2 ;;
    esac
done
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
# shellcheck source=tools/packages.sh
. tools/packages.sh
out=demo-out tool=build/tools/upconv
scale=3 kernel=lanczos seconds=15

heading() { printf '\n== %s\n' "$*"; }
give_up() { printf 'demo.sh: %s\n' "$*" >&2; exit 1; }

# ---- packages and build
heading "packages"
# shellcheck disable=SC2086
need $UPCONV_BUILD_PACKAGES || {
    # shellcheck disable=SC2086
    UPCONV_NO_INSTALL=1 need $UPCONV_DRIVER_PACKAGES # names them, so that one visit of root's is enough
    give_up "it cannot build without the first of these packages, and finds fewer devices without the second"
}
# shellcheck disable=SC2086
need $UPCONV_DRIVER_PACKAGES || echo "Without them there may be fewer devices."
echo "all there"

heading "build"
mkdir -p "$out" || give_up "cannot make the folder $out"
[ -f build/build.ninja ] || meson setup build >"$out/build.log" 2>&1 ||
    { tail -n 20 "$out/build.log" >&2; give_up "meson setup failed; $out/build.log has the rest"; }
[ -x "$(command -v ninja)" ] || give_up "there is no ninja"
ninja -C build tools/upconv >>"$out/build.log" 2>&1 ||
    { tail -n 20 "$out/build.log" >&2; give_up "the build failed; $out/build.log has the rest"; }
"$tool" --version || give_up "$tool does not run"

# ---- devices
heading "devices"
"$tool" info | tee "$out/info.txt" | grep -E '^(upconv|backend|device)'
mapfile -t devices < <("$tool" info --list)
[ ${#devices[@]} -gt 0 ] || give_up "no device at all, not even the CPU; $out/info.txt says why"

# ---- the picture
heading "the picture"
if [ -z "$picture" ]; then
    picture=$out/picture.png
    python3 tools/demo_picture.py "$picture" || give_up "the picture could not be made"
    echo "made $picture: a zone plate, edges, colours and transparency"
else
    echo "$picture"
fi

failures=0
table=$out/table.txt
row() { printf '%-7s %-36.36s %-10s %12s %12s %14s  %s\n' "$@" | tee -a "$table"; }

# value KEY: of the JSON object on standard input
value() { python3 -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1], ""))' "$1"; }

heading "enlarged $scale times ($kernel), compared with the CPU"
: >"$table"
: >"$out/bench.txt"
row backend device solver "device ms" "in all ms" "steps off CPU" picture
for line in "${devices[@]}"; do
    IFS=$'\t' read -r backend index _ name <<<"$line"
    to=$out/$backend-$index.png
    if report=$("$tool" upscale "$picture" "$to" --scale $scale --kernel $kernel --backend "$backend" --device "$index" \
        --verify --json 2>"$out/error.txt"); then
        row "$backend" "$name" "$(value solver <<<"$report")" \
            "$(value device_ms <<<"$report" | xargs printf %.2f)" "$(value total_ms <<<"$report" | xargs printf %.1f)" \
            "$(value largest_difference <<<"$report" | xargs printf %.3g)" "$to"
    else
        failures=$((failures + 1))
        row "$backend" "$name" - - - FAILED "$(tail -n 1 "$out/error.txt")"
    fi
done

# ---- layers
heading "layers, by the planner's model"
printf '%s\n' "image_out ic64oc3_ih32oh64kh4sh2ph1" "depthwise g64ic64oc64_ih32oh64kh4sh2ph1" "decoder ic128oc64_ih16oh32kh3sh2ph1" \
    >"$out/layers.txt"
for line in "${devices[@]}"; do
    IFS=$'\t' read -r backend index _ name <<<"$line"
    "$tool" bench --problems "$out/layers.txt" --backend "$backend" --device "$index" --check | tee -a "$out/bench.txt"
    [ "${PIPESTATUS[0]}" = 0 ] || failures=$((failures + 1))
done

heading "the same layers, tuned for $seconds seconds on each device"
for line in "${devices[@]}"; do
    IFS=$'\t' read -r backend index _ name <<<"$line"
    "$tool" tune --problems "$out/layers.txt" --backend "$backend" --device "$index" --budget "${seconds}s" \
        --journal "$out/tune-$backend-$index.journal" --records "$out/records-$backend-$index.jsonl" \
        --report "$out/tune-$backend-$index.html" | tee -a "$out/bench.txt"
    [ "${PIPESTATUS[0]}" = 0 ] || failures=$((failures + 1))
done

rm -f "$out/error.txt"
heading "summary"
cat "$table"
echo
echo "Pictures, the table, times, the tuner's pages and the device report are in $PWD/$out/."
if [ "$failures" = 0 ]; then
    echo "All ${#devices[@]} devices agree with the CPU."
else
    echo "$failures runs FAILED or differ from the CPU; see above."
    exit 1
fi
