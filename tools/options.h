// The option parser that all subcommands share: a table says what there is, from which the help text is made
// as well.
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include <stdbool.h>

// Exit codes of the program.
enum {
    TOOL_OK = 0,
    TOOL_FAILURE = 1, // something went wrong, or a comparison failed
    TOOL_USAGE = 2,   // the command line makes no sense
};

typedef enum option_kind {
    OPTION_FLAG,   // bool
    OPTION_TEXT,   // const char *
    OPTION_WHOLE,  // int, from low to high
    OPTION_REAL,   // double, from low to high
    OPTION_CHOICE, // int: position in choices
} option_kind;

typedef struct option {
    const char *name; // without the dashes; NULL ends the table
    option_kind kind;
    void *value;
    const char *argument; // what the help calls it
    const char *help;
    double low, high;
    const char *const *choices; // ends with NULL
} option;

typedef struct tool_command {
    const char *name;
    const char *synopsis;              // what follows the name: "PROBLEM [options]"
    const char *summary;               // one line
    const char *details;               // the help text after the options: paragraphs, one a line; or NULL
    int (*run)(int argc, char **argv); // arguments after the name; returns the exit code
} tool_command;

// Reads the options of a command. What is no option stays in argv, moved to the front, and its number goes to
// *operands. Returns -1 to go on; else the command is over with this exit code: help was printed, or an error
// said on standard error.
int options_read(const tool_command *command, const option *options, int argc, char **argv, int *operands);

// "upconv NAME: SENTENCE" on standard error; returns TOOL_USAGE, with a word on --help, or TOOL_FAILURE.
int usage_error(const tool_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
int failure(const tool_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
