// A case of the corpus: what case.json says, and its arrays on demand.
#ifndef CONFORMANCE_CORPUS_H
#define CONFORMANCE_CORPUS_H

#include <cjson/cJSON.h>

#include "npy.h"

enum { MAX_TENSORS = 12, WHY = 512 };

typedef struct corpus_tensor {
    const char *name, *file, *dtype;
    char layout[NPY_MAX_RANK + 1]; // letters in the order stored; "" where none is stated
    int rank;
    int64_t shape[NPY_MAX_RANK];
    npy array; // after tensor_load
    double rtol, atol;
} corpus_tensor;

typedef struct corpus_case {
    cJSON *json;
    char folder[4096];
    const char *id, *dialect, *op; // live in json
    const cJSON *attributes;
    corpus_tensor inputs[MAX_TENSORS], outputs[MAX_TENSORS];
    int input_count, output_count;
    char why[WHY]; // after a failure: one sentence
} corpus_case;

// index.json of a corpus, or NULL with the reason in `why`. cJSON_Delete it.
cJSON *corpus_index(const char *corpus, char *why, size_t why_size);

// Reads case.json. false: item->why; case_finish is due in either case.
bool case_load(const char *corpus, const char *path, corpus_case *item);
void case_finish(corpus_case *item);
// Reads the array, once, and checks it against what case.json says of it.
bool tensor_load(corpus_case *item, corpus_tensor *array);
// The first input of one of the names (separated by spaces), or NULL.
corpus_tensor *case_input(corpus_case *item, const char *names);

// Sets item->why; returns false.
bool case_wrong(corpus_case *item, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Attributes. One that is absent or null has the default. A single number stands for the same on every axis.
// false: it is there but of the wrong kind.
const cJSON *attribute(const corpus_case *item, const char *name);
bool attribute_text(corpus_case *item, const char *name, const char *otherwise, const char **text);
bool attribute_int(corpus_case *item, const char *name, int32_t otherwise, int32_t *value);
bool attribute_ints(corpus_case *item, const char *name, int count, int32_t otherwise, int32_t *values);
// The length of a list of integers, at most `most` (1 for a number, 0 where absent); -1: wrong.
int attribute_list(corpus_case *item, const char *name, int most, int32_t *values);
// Every attribute must be among the names (separated by spaces): one that nobody reads may change the result.
bool attributes_known(corpus_case *item, const char *names);

bool name_among(const char *name, const char *names);

#endif
