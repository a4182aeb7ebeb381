// The compile statistics that a driver gives of a plan's kernels. Nothing is executed.
#ifndef TOOL_STATISTICS_H
#define TOOL_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>

#include <upconv/upconv.h>

#include "measure.h"
#include "problems.h"
#include "report.h"

// CONTEXT was made with params.statistics. false: a sentence is in error.
bool statistics_problem(const report *r, upconv_context *context, const measure_options *options,
                        const named_problem *item, const upconv_problem *problem, char *error, size_t error_size);

#endif
