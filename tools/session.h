// What several commands do in the same way: open a device, read a problem, grow a text, write JSON.
#ifndef TOOL_SESSION_H
#define TOOL_SESSION_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include <upconv/upconv.h>

#include "options.h"

extern const char *const backend_choices[]; // in the order of upconv_backend; for OPTION_CHOICE

// The options --backend and --device, and what a command wants of the context.
typedef struct session_options {
    int backend;
    const char *device;
    bool statistics; // the driver keeps compile statistics
} session_options;
// clang-format off
#define SESSION_OPTIONS(given)                                                                               \
    {"backend", OPTION_CHOICE, &(given).backend, "NAME",                                                     \
     "vulkan, opencl or cpu; any (the default) takes the best device of all backends.", 0, 0,                     \
     backend_choices},                                                                                       \
    {"device", OPTION_TEXT, &(given).device, "D",                                                            \
     "The device: its index among the backend's devices, or a part of its name.", 0, 0, NULL}
// clang-format on

// Opens the device asked for; without any wish the best one of the machine: a discrete GPU before one that
// shares the processor's memory, that before anything else, and among equals the first. INFO is filled in
// when not NULL.
upconv_status session_open(const session_options *options, upconv_context **context,
                           upconv_device_info *info);

// Gives the context a file's tuning records. A file that a machine went down over may hold no more than the beginning of its first
// line: it gives none, and that is no error.
upconv_status session_import(upconv_context *context, const char *text, size_t length);

// The same with a file; path NULL: none. What goes wrong has been said.
bool session_records(const tool_command *command, upconv_context *context, const char *path);

// Reads a problem; a mistake is shown on standard error with a caret under the offending character.
bool session_problem(const tool_command *command, const char *text, upconv_problem *problem);

// Whether its type is one that the command can run; else it has said so.
bool session_floats(const tool_command *command, const upconv_problem *problem);

// The problem in canonical notation, to be freed; NULL without memory.
char *session_problem_text(const upconv_problem *problem);

// A JSON string of text that a driver or a file gave: bytes that are no UTF-8 become '?'. false without
// memory.
bool session_json_text(cJSON *object, const char *key, const char *text);

bool session_terminal(void);  // whether standard error is a terminal: progress is shown only there
double session_seconds(void); // a clock that only goes forward

#endif
