// The lines that a worker of `upconv tune` says to its supervisor: structs of the public header as objects of JSON,
// read and written by one table of their fields.
#ifndef TOOL_TUNE_LINE_H
#define TOOL_TUNE_LINE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include <upconv/upconv_tune.h>

typedef struct tune_fields tune_fields; // of one struct
extern const tune_fields tune_event_fields, tune_summary_fields, tune_result_fields, tune_device_fields,
    tune_peaks_fields;

// Adds the fields of *from; false without memory.
bool tune_fields_write(const tune_fields *fields, const void *from, cJSON *object);
// Sets those that the object has, and leaves the others alone. Texts that a struct only points to live as long as the
// object.
void tune_fields_read(const tune_fields *fields, const cJSON *object, void *to);

#endif
