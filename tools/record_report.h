// What sets of tuning records say, for people and as JSON, on standard output. The sets are settled and grouped. false: no
// memory.
#ifndef TOOL_RECORD_REPORT_H
#define TOOL_RECORD_REPORT_H

#include "record_set.h"

bool record_stats(const record_set *set, bool json);
// `noise`: times nearer to each other than by this part are the same.
bool record_diff(const record_set *before, const record_set *after, double noise, bool json);

#endif
