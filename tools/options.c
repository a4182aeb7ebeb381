#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void complain(const tool_command *command, const char *format, va_list arguments)
{
    fprintf(stderr, "upconv %s: ", command->name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int usage_error(const tool_command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(command, format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try: upconv %s --help\n", command->name);
    return TOOL_USAGE;
}

int failure(const tool_command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(command, format, arguments);
    va_end(arguments);
    return TOOL_FAILURE;
}

// Prints text after `column` columns, broken between words before the 100th.
static void print_wrapped(const char *text, int column)
{
    int at = column;
    while (*text) {
        if (*text == '\n') { // a paragraph ends
            printf("\n\n%*s", column, "");
            at = column;
            text++;
        }
        int word = (int)strcspn(text, " \n");
        if (at > column && at + 1 + word > 100) {
            printf("\n%*s", column, "");
            at = column;
        } else if (at > column) {
            putchar(' ');
            at++;
        }
        printf("%.*s", word, text);
        at += word;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_help(const tool_command *command, const option *options)
{
    enum { COLUMN = 26 };
    printf("upconv %s %s\n\n", command->name, command->synopsis);
    print_wrapped(command->summary, 0);
    printf("\nOptions:\n");
    for (const option *o = options; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "  --%s%s%s", o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        if (strlen(left) < COLUMN)
            printf("%-*s", COLUMN, left);
        else
            printf("%s\n%*s", left, COLUMN, "");
        print_wrapped(o->help, COLUMN);
    }
    printf("%-*s%s\n", COLUMN, "  --help", "This text.");
    if (command->details) {
        putchar('\n');
        print_wrapped(command->details, 0);
    }
    printf("\nExit code: 0 all went well, 1 something failed, 2 the command line makes no sense.\n");
}

static bool read_number(const char *text, double *number)
{
    char *end;
    errno = 0;
    *number = strtod(text, &end);
    return end != text && *end == 0 && errno == 0 && isfinite(*number);
}

static int read_choice(const tool_command *command, const option *o, const char *text)
{
    char known[256] = "";
    for (int i = 0; o->choices[i]; i++) {
        if (strcmp(o->choices[i], text) == 0) {
            *(int *)o->value = i;
            return -1;
        }
        size_t length = strlen(known);
        snprintf(known + length, sizeof known - length, "%s%s", i ? ", " : "", o->choices[i]);
    }
    return usage_error(command, "--%s is '%s'; it is one of %s", o->name, text, known);
}

static int read_value(const tool_command *command, const option *o, const char *text)
{
    double number = 0;
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)o->value = true;
        return -1;
    case OPTION_TEXT:
        *(const char **)o->value = text;
        return -1;
    case OPTION_CHOICE:
        return read_choice(command, o, text);
    case OPTION_WHOLE:
    case OPTION_REAL:
        break;
    }
    bool whole = o->kind == OPTION_WHOLE;
    if (!read_number(text, &number) || number < o->low || number > o->high ||
        (whole && number != floor(number)))
        return usage_error(command, "--%s is '%s'; it is a %snumber from %g to %g", o->name, text,
                           whole ? "whole " : "", o->low, o->high);
    if (whole)
        *(int *)o->value = (int)number;
    else
        *(double *)o->value = number;
    return -1;
}

static const option *find(const option *options, const char *name, size_t length)
{
    for (const option *o = options; o->name; o++)
        if (strlen(o->name) == length && memcmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

int options_read(const tool_command *command, const option *options, int argc, char **argv, int *operands)
{
    // Help first: it is given also where the rest of the line is wrong.
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(command, options);
            return TOOL_OK;
        }
    }
    int kept = 0;
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        if (only_operands || text[0] != '-' || text[1] == 0) {
            argv[kept++] = argv[i];
            continue;
        }
        if (strcmp(text, "--") == 0) {
            only_operands = true;
            continue;
        }
        if (text[1] != '-')
            return usage_error(command, "there is no option '%s'", text);
        const char *name = text + 2, *given = strchr(name, '=');
        const option *o = find(options, name, given ? (size_t)(given - name) : strlen(name));
        if (!o)
            return usage_error(command, "there is no option '%s'", text);
        if (o->kind == OPTION_FLAG && given)
            return usage_error(command, "--%s takes no value", o->name);
        if (o->kind != OPTION_FLAG && !given && i + 1 == argc)
            return usage_error(command, "--%s needs a value: %s", o->name, o->argument);
        if (o->kind != OPTION_FLAG)
            given = given ? given + 1 : argv[++i];
        int over = read_value(command, o, given);
        if (over >= 0)
            return over;
    }
    *operands = kept;
    return -1;
}
