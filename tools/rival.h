// Another library that computes transposed convolutions, beside upconv in one run. It lives in a process of its own, so
// that nothing of it (threads that wait busily, a crash, another OpenMP) reaches the measurements of ours, and stands
// still while it is not its turn. Parent and child exchange lines of JSON:
//
//     {"device": {"backend": "opencl", "gpu": false, "name": "..."}}      -> {"hello": "what runs"}
//     {"problem": {"text": "ic4oc3_...", "dims": 2, "batch": 1, ...}}     -> {"ready": "how"}
//     {"run": seconds, "warm": true}                                      -> {"us": [time, ...]}
//
// and any answer may be {"refused": "why"}. Those that are C live in this program (rival_engine.h); the others are
// Python scripts, kept in it as text.
#ifndef TOOL_RIVAL_H
#define TOOL_RIVAL_H

#include <stdbool.h>
#include <stddef.h>

#include <upconv/upconv.h>

#include "measure.h"

typedef struct rival rival;

// NAME: onednn, openblas, ncnn or torch. PYTHON: the interpreter for those that are scripts. To be called before any
// driver is loaded: a child starts as a copy of this process. NULL: a sentence is in error.
rival *rival_start(const char *name, const char *python, char *error, size_t error_size);
void rival_stop(rival *r);

const char *rival_name(const rival *r);
const char *rival_about(const rival *r); // library, version, threads; "" before rival_greet
const char *rival_how(const rival *r);   // what it runs the prepared problem with
double rival_flops(const rival *r);      // of a run, where it is the same whatever the problem; else 0

// All of them: false means that a sentence is in error.
bool rival_greet(rival *r, const upconv_device_info *device, char *error, size_t error_size);
bool rival_prepare(rival *r, const upconv_problem *problem, char *error, size_t error_size);
// Runs for so many seconds, at least once, after a run that does not count where `warm`.
bool rival_run(rival *r, double seconds, bool warm, samples *times, char *error, size_t error_size);

#endif
