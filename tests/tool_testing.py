"""What the tests of the program share: running it, counting, a closing line."""
import contextlib
import os
import subprocess
import sys


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, fine, detail=""):
        if fine:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}{': ' if detail else ''}{detail}", flush=True)
        return fine

    def skip(self, name, why):
        self.skipped += 1
        print(f"skipped {name}: {why}", flush=True)

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        sys.exit(1 if self.failed else 0)


class Program:
    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("UPCONV_")}
        self.env["UPCONV_SHIPPED"] = "0"  # plans are what they are wherever records have been measured

    def __call__(self, *arguments, timeout=300, to=None, **env):
        words = [self.path, *map(str, arguments)]
        env = {**self.env, **env}
        if "cpu" not in words:
            # What a driver leaves has no name once it is unloaded, so it cannot be told from our own leaks. Those show on
            # the CPU backend.
            env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(open(to, "w", encoding="utf-8")) if to else subprocess.PIPE
            return subprocess.run(words, stdout=out, stderr=subprocess.PIPE, text=True, errors="replace", timeout=timeout,
                                  env=env, stdin=subprocess.DEVNULL, check=False)

    def backends(self):
        """The backends that have a device: {name: device}."""
        lines = [line.split("\t") for line in self("info", "--list").stdout.splitlines()]
        return {line[0]: line[3] for line in reversed(lines)}


def one_sentence(text):
    """Whether an error is one line, as a person would want it, and says who speaks."""
    return text.startswith("upconv ") and text.count("\n") == 1 and len(text) > 20
