# The child's side of upconv's comparison with another library: lines of JSON in, lines of JSON out (tools/rival.h). A
# script that follows calls serve(open, prepare, run); what these raise is an answer too.
import json
import os
import sys
import time

sys.stdin.reconfigure(encoding="utf-8", errors="replace")
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # what libraries print is no answer


def full_size(problem, axis):
    """The extent of the whole result, before padding cuts it."""
    return ((problem["in"][axis] - 1) * problem["stride"][axis] +
            (problem["kernel"][axis] - 1) * problem["dilation"][axis] + 1)


def timed(seconds, warm, run):
    if warm:
        run()
    times, start = [], time.perf_counter()
    while len(times) < 500 and (not times or time.perf_counter() - start < seconds):
        before = time.perf_counter()
        took = run()  # None, or its own idea of the time in microseconds
        times.append((time.perf_counter() - before) * 1e6 if took is None else took)
    return times


def serve(open_library, prepare, run):
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "device" in request:
                answer = {"hello": open_library(request["device"])}
            elif "problem" in request:
                answer = {"ready": prepare(request["problem"])}
            else:
                answer = {"us": timed(request["run"], request["warm"], run)}
        except Exception as error:  # whatever it is, the other side wants to know
            answer = {"refused": " ".join(f"{type(error).__name__}: {error}".split())[:400]}
        print(json.dumps(answer), file=answers, flush=True)
