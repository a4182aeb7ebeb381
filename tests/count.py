#!/usr/bin/env python3
"""count.py LOG: what a test's output says of itself. Prints `PASSED FAILED SKIPPED`, then one line per skipped thing.

Understood: a closing line `N passed, N failed, N skipped` (one per program), `N inputs replayed` of a fuzz target, cmocka's
groups, Python's unittest. Prints nothing where no counts are found: the caller takes that as a failure.
"""
import re
import sys


def closing_lines(lines):
    found = [re.fullmatch(r"(?:\S+: )?(\d+) passed, (\d+) failed, (\d+) skipped", line.strip()) for line in lines]
    replayed = [re.fullmatch(r"(\d+) inputs replayed", line.strip()) for line in lines]
    return ([tuple(map(int, match.groups())) for match in found if match] +
            [(int(match.group(1)), 0, 0) for match in replayed if match])


def cmocka_groups(lines):
    """Per group: how many were announced, and what became of them; a test that never ended has failed."""
    groups = []
    for line in lines:
        start = re.match(r"\[==========\] (?:.+?: )?Running (\d+) test", line)
        total = re.match(r"\[  (PASSED|FAILED|SKIPPED) +\] (?:.+?: )?(\d+) test", line)
        if start:
            groups.append({"ran": int(start.group(1)), "PASSED": 0, "FAILED": 0, "SKIPPED": 0})
        elif total and groups:
            groups[-1][total.group(1)] += int(total.group(2))
    return [(g["PASSED"], max(g["FAILED"], g["ran"] - g["PASSED"] - g["SKIPPED"]), g["SKIPPED"]) for g in groups]


def unittest_runs(lines):
    runs, ran = [], None
    for line in lines:
        start = re.match(r"Ran (\d+) tests? in ", line)
        end = re.match(r"(OK|FAILED|NO TESTS RAN)\b(.*)", line)
        if start:
            ran = int(start.group(1))
        elif end and ran is not None:
            number = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", end.group(2))}
            failed = number.get("failures", 0) + number.get("errors", 0) + number.get("successes", 0)
            skipped = number.get("skipped", 0)
            runs.append((max(ran - failed - skipped, 0), failed, skipped))
            ran = None
    if ran is not None:
        runs.append((0, max(ran, 1), 0))
    return runs


def skipped_names(lines):
    for line in lines:
        cmocka = re.match(r"\[  SKIPPED +\] (?!(?:.+?: )?\d+ test)(.+)", line)
        own = re.match(r"(?:SKIPPED|skipped) (.+)", line)
        python = re.match(r"(.+) \.\.\. skipped (.+)", line)
        if cmocka:
            yield cmocka.group(1).strip()
        elif own:
            yield own.group(1).strip()
        elif python:
            yield f"{python.group(1)}: {python.group(2)}"


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
        lines = [re.sub(r"\x1b\[[0-9;]*m", "", line.rstrip("\n")) for line in log]
    counts = closing_lines(lines) + cmocka_groups(lines) + unittest_runs(lines)
    if counts:
        print(*(sum(column) for column in zip(*counts)))
        for name in dict.fromkeys(skipped_names(lines)):
            print(name)


if __name__ == "__main__":
    main()
