// upconv and other libraries on the same problems in one run: all sides in turn, so that what disturbs the machine
// disturbs them alike.
#ifndef TOOL_COMPARE_H
#define TOOL_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include <upconv/upconv.h>

#include "measure.h"
#include "problems.h"
#include "report.h"
#include "rival.h"

enum { MOST_RIVALS = 4 };

// What came of all problems against one rival.
typedef struct rival_score {
    size_t count;          // problems that both ran and that count
    double ours, theirs;   // sums of logarithms of GFLOPS
    char *below, *refused; // names, separated by spaces; NULL: none
} rival_score;

typedef struct comparison {
    rival *rivals[MOST_RIVALS];
    rival_score scores[MOST_RIVALS];
    size_t count;
} comparison;

// LIST: names of rivals, separated by commas. To be called before any driver is loaded. false: a sentence is in error.
bool comparison_start(comparison *c, const char *list, const char *python, char *error, size_t error_size);
bool comparison_greet(comparison *c, const upconv_device_info *device, char *error, size_t error_size);
void comparison_finish(comparison *c);

void comparison_header(const comparison *c, const report *r, bool best);
bool comparison_problem(comparison *c, const report *r, upconv_context *context, const measure_options *options,
                        const named_problem *item, const upconv_problem *problem, char *error, size_t error_size);
// Geometric means, and who fell behind. false without memory.
bool comparison_summary(const comparison *c, const report *r);

#endif
