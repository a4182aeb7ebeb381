#!/usr/bin/env bash
# sees.sh PATTERN COMMAND...: passes where the command fails and says what the pattern matches: a check that must find a fault.
set -u
pattern=${1:?what it must say}
shift
said=$("$@" 2>&1)
status=$?
if [ $status -ne 0 ] && grep -q "$pattern" <<<"$said"; then
    echo "1 passed, 0 failed, 0 skipped"
    exit 0
fi
echo "$said"
echo "FAILED '$pattern' was not said, or the exit code was not: $status"
echo "0 passed, 1 failed, 0 skipped"
exit 1
