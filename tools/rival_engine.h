// The child's side of rival.h, for libraries that are opened from C. None of them is needed to build this program: they
// are looked for when it runs.
#ifndef TOOL_RIVAL_ENGINE_H
#define TOOL_RIVAL_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <upconv/upconv.h>

typedef struct rival_engine {
    const char *name;
    double flops; // of a run, where it is the same whatever the problem; else 0
    // NULL, or false: `text` says why not. Else it says what runs.
    void *(*open)(char *text, size_t size);
    bool (*prepare)(void *state, const upconv_problem *problem, char *text, size_t size);
    bool (*run)(void *state, char *text, size_t size); // once; returns when the result is there
} rival_engine;

extern const rival_engine rival_onednn, rival_openblas;

// Answers lines until the input ends.
void rival_serve(const rival_engine *engine, FILE *in, FILE *out);

// Small pseudo-random numbers, none of them so small that arithmetic with it is slow.
void rival_fill(float *data, size_t count);

#endif
