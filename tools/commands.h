// The subcommands; each lives in a file of its own.
#ifndef TOOL_COMMANDS_H
#define TOOL_COMMANDS_H

#include "options.h"

extern const tool_command info_command, explain_command, bench_command, tune_command, records_command, train_command,
    upscale_command;

#endif
