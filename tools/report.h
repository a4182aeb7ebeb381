// The lines that `upconv bench` prints: a table, or JSON.
#ifndef TOOL_REPORT_H
#define TOOL_REPORT_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include <upconv/upconv.h>

#include "measure.h"
#include "problems.h"

typedef struct report {
    upconv_device_info device;
    upconv_peaks peaks; // zeros where they were not asked for: no shares of them are given
    bool json;
} report;

// The first line of every table: which device.
void report_device(const report *r);
// A line with the peaks themselves. false without memory.
bool report_peaks(const report *r);
void report_header(const report *r);
bool report_line(const report *r, const named_problem *item, const upconv_problem *problem, const measurement *m);

// The object of a JSON line, to which others add; NULL without memory. report_print_json deletes it (NULL too) and
// returns whether it could be printed.
cJSON *report_json(const report *r, const named_problem *item, const upconv_problem *problem);
bool report_add_measurement(const report *r, cJSON *line, const measurement *m);
bool report_print_json(cJSON *line);

// What a problem is called where there is room for one word.
const char *report_name(const named_problem *item);
// The columns of shares of the peaks; nothing without peaks.
void report_roof_header(const report *r);
void report_roof(const report *r, const measurement *m);

#endif
