#!/usr/bin/env python3
"""list_tests.py BUILD: the tests that a Meson build registers, one a line: name, suites, shell command; tab-separated."""
import json
import shlex
import subprocess
import sys

text = subprocess.run(["meson", "introspect", "--tests", sys.argv[1]], check=True, stdout=subprocess.PIPE).stdout
for test in json.loads(text):
    suites = ",".join(suite.split(":")[-1] for suite in test["suite"]) or "-"
    env = [f"{key}={value}" for key, value in test["env"].items()]
    command = " ".join(shlex.quote(word) for word in ["env", *env, *test["cmd"]])
    command = f"cd {shlex.quote(test.get('workdir') or sys.argv[1])} && {command}"
    print(test["name"], suites, command, sep="\t")
