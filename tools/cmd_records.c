// upconv records: files of tuning records merged, compared, counted, thinned out and checked. Nothing is written in place
// by chance: a result goes to standard output, or whole or not at all to a file that was named.
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "files.h"
#include "record_report.h"
#include "record_set.h"

enum { ERROR_SIZE = 600 };

// Reads all files. Returns -1 to go on, or the exit code. Lines that are no records end the command, unless `skip`.
static int read_all(const tool_command *command, int count, char **paths, bool skip, record_set *set)
{
    char error[ERROR_SIZE];
    if (count < 1)
        return usage_error(command, "which files?");
    for (int i = 0; i < count; i++)
        if (!record_set_read(set, paths[i], error, sizeof error))
            return failure(command, "%s", error);
    if (set->bad && !skip)
        return failure(command, "%zu line%s no tuning record%s; nothing was written (--skip-bad leaves them out)",
                       set->bad, set->bad == 1 ? " is" : "s are", set->bad == 1 ? "" : "s");
    return -1;
}

// To the file of that name, whole or not at all; NULL: to standard output. Returns the exit code.
static int write_all(const tool_command *command, const record_set *set, const char *path)
{
    char error[ERROR_SIZE];
    file_writer writer;
    if (!path) // main sees to it that what could not be written is no success
        return record_set_write(set, stdout) ? TOOL_OK : failure(command, "standard output could not be written");
    if (!file_writer_open(&writer, path, error, sizeof error))
        return failure(command, "%s", error);
    record_set_write(set, writer.file); // what fails here fails in close as well
    return file_writer_close(&writer, error, sizeof error) ? TOOL_OK : failure(command, "%s", error);
}

#define OUTPUT_OPTION(output)                                                                                          \
    {                                                                                                                  \
        "output", OPTION_TEXT, &(output), "FILE",                                                                      \
            "Write to FILE, which may be one of those read; without it, to standard output.", 0, 0, NULL               \
    }
#define SKIP_OPTION(skip)                                                                                              \
    {                                                                                                                  \
        "skip-bad", OPTION_FLAG, &(skip), NULL, "Leave out lines that are no records; each is still named.", 0, 0,     \
            NULL                                                                                                       \
    }
#define END_OF_OPTIONS                                                                                                 \
    {                                                                                                                  \
        NULL, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL                                                                \
    }

// ------------------------------------------------------------------------------------------------------- merge

static const tool_command merge_command;
static int merge(int argc, char **argv)
{
    const char *output = NULL;
    bool skip = false;
    int files = 0;
    const option options[] = {OUTPUT_OPTION(output), SKIP_OPTION(skip), END_OF_OPTIONS};
    int code = options_read(&merge_command, options, argc, argv, &files);
    if (code >= 0)
        return code;
    record_set set = {0};
    code = read_all(&merge_command, files, argv, skip, &set);
    if (code < 0) {
        record_set_settle(&set);
        code = write_all(&merge_command, &set, output);
    }
    if (code == TOOL_OK)
        fprintf(stderr, "%zu records; %zu older ones of the same left out\n", set.count, set.replaced);
    record_set_finish(&set);
    return code;
}

static const tool_command merge_command = {"records merge", "FILE... [--output FILE]",
                                           "All records of several files in one.",
                                           "Of records that are the same (device, driver, problem, solver, version, "
                                           "configuration) the one with the later date stays; "
                                           "of one date, the one read last. Lines come out byte for byte as they were, "
                                           "sorted. Lines of a newer format than this "
                                           "program knows are kept.",
                                           merge};

// ------------------------------------------------------------------------------------------------------- check

static const tool_command check_command;
static int check(int argc, char **argv)
{
    int files = 0;
    const option options[] = {END_OF_OPTIONS};
    int code = options_read(&check_command, options, argc, argv, &files);
    if (code >= 0)
        return code;
    record_set set = {0};
    code = read_all(&check_command, files, argv, true, &set);
    if (code < 0) {
        size_t usable = 0, foreign = 0;
        for (size_t i = 0; i < set.count; i++) {
            usable += !set.all[i].foreign && set.all[i].info.usable;
            foreign += set.all[i].foreign;
        }
        const size_t lines = set.count;
        record_set_settle(&set);
        printf(
            "%zu records, %zu of solvers and configurations that this build has, %zu of a newer format, %zu that newer "
            "ones replace; %zu bad lines\n",
            lines, usable, foreign, set.replaced, set.bad);
        code = set.bad ? TOOL_FAILURE : TOOL_OK;
    }
    record_set_finish(&set);
    return code;
}

static const tool_command check_command = {"records check", "FILE...",
                                           "Reads files of records and names every line that is none.",
                                           "FILE:LINE: REASON on standard error for each, and exit code 1 if there is "
                                           "any. Lines are read as a context reads them "
                                           "(upconv_tuning_import).",
                                           check};

// ------------------------------------------------------------------------------------------------ stats and diff

static const tool_command stats_command;
static int stats(int argc, char **argv)
{
    bool json = false, skip = false;
    int files = 0;
    const option options[] = {
        {"json", OPTION_FLAG, &json, NULL, "A JSON object a line, for each device and driver.", 0, 0, NULL},
        SKIP_OPTION(skip),
        END_OF_OPTIONS};
    int code = options_read(&stats_command, options, argc, argv, &files);
    if (code >= 0)
        return code;
    record_set set = {0};
    code = read_all(&stats_command, files, argv, skip, &set);
    if (code < 0) {
        record_set_settle(&set);
        record_set_group(&set);
        code = record_stats(&set, json) ? TOOL_OK : failure(&stats_command, "no memory for the report");
    }
    record_set_finish(&set);
    return code;
}

static const tool_command stats_command = {"records stats", "FILE... [--json]",
                                           "What files of records know of which devices.",
                                           "A line for each device and driver: problems, records, the geometric mean "
                                           "of what tuning gained (the reference's time, "
                                           "which is the default's where upconv tune measured, by the fastest), "
                                           "verdicts, dates, and which solvers win how often.",
                                           stats};

static const tool_command diff_command;
static int diff(int argc, char **argv)
{
    bool json = false, skip = false;
    double noise = 5;
    int files = 0;
    const option options[] = {
        {"noise", OPTION_REAL, &noise, "PERCENT", "Times that differ by less are the same; 5 by default.", 0, 1000,
         NULL},
        {"json", OPTION_FLAG, &json, NULL, "A JSON object a line, for each difference.", 0, 0, NULL},
        SKIP_OPTION(skip),
        END_OF_OPTIONS};
    int code = options_read(&diff_command, options, argc, argv, &files);
    if (code >= 0)
        return code;
    if (files != 2)
        return usage_error(&diff_command, "it compares two files");
    record_set before = {0}, after = {0};
    code = read_all(&diff_command, 1, argv, skip, &before);
    if (code < 0)
        code = read_all(&diff_command, 1, argv + 1, skip, &after);
    if (code < 0) {
        record_set_settle(&before);
        record_set_settle(&after);
        record_set_group(&before);
        record_set_group(&after);
        code = record_diff(&before, &after, noise / 100, json) ? TOOL_OK
                                                               : failure(&diff_command, "no memory for the report");
    }
    record_set_finish(&before);
    record_set_finish(&after);
    return code;
}

static const tool_command diff_command = {"records diff", "BEFORE AFTER [--noise PERCENT] [--json]",
                                          "What two files of records say differently.",
                                          "For each device and problem the fastest record of both, whatever the "
                                          "driver's version: another winner, another time, known "
                                          "on one side only, or seen to fail on one side only.",
                                          diff};

// ------------------------------------------------------------------------------------------------------- prune

typedef struct pruning {
    int keep;
    const char *before;
    bool no_failures, usable, newest_driver;
    size_t slower, old, failures, unknown, drivers; // left out, by reason
    const record *asked;                            // the last that driver_replaced was asked of, and what it said
    bool replaced;
} pruning;

// Whether the same device was measured later under another driver. The set is grouped, so neighbours ask the same.
static bool driver_replaced(const record_set *set, const record *of, pruning *rule)
{
    char ours[12] = "", others[12] = "";
    if (rule->asked && rule->asked->info.device == of->info.device && rule->asked->info.driver == of->info.driver)
        return rule->replaced;
    for (size_t i = 0; i < set->count; i++) {
        const record *other = &set->all[i];
        if (other->foreign || other->info.device != of->info.device)
            continue;
        char *date = other->info.driver == of->info.driver ? ours : others;
        if (strcmp(other->info.date, date) > 0)
            strcpy(date, other->info.date);
    }
    rule->asked = of;
    return rule->replaced = strcmp(others, ours) > 0;
}

// Which count of `rule` a record falls under; NULL: it stays. `rank`: how many of its group are before it.
static size_t *fate(const record_set *set, const record *r, int rank, pruning *rule)
{
    if (r->foreign)
        return NULL;
    if (rule->before && strcmp(r->info.date, rule->before) < 0)
        return &rule->old;
    if (rule->usable && !r->info.usable)
        return &rule->unknown;
    if (rule->newest_driver && driver_replaced(set, r, rule))
        return &rule->drivers;
    // what was merely slow, or not worth running, is nothing that anybody has to be warned of
    const bool harmless = !strcmp(r->verdict, "slow") || !strcmp(r->verdict, "discarded");
    if (!r->info.ok && strcmp(r->verdict, "verified") && (rule->no_failures || harmless))
        return &rule->failures;
    return r->info.ok && rank >= rule->keep ? &rule->slower : NULL;
}

static bool prune_set(record_set *set, pruning *rule)
{
    bool *gone = calloc(set->count + 1, sizeof *gone);
    int rank = 0;
    if (!gone)
        return false;
    for (size_t i = 0; i < set->count; i++) {
        if (i && !record_same_group(&set->all[i], &set->all[i - 1]))
            rank = 0;
        size_t *counted = fate(set, &set->all[i], rank, rule);
        gone[i] = counted != NULL;
        if (counted)
            ++*counted;
        else
            rank++;
    }
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (gone[i])
            free(set->all[i].words);
        else
            set->all[kept++] = set->all[i];
    }
    set->count = kept;
    free(gone);
    return true;
}

static const tool_command prune_command;
static int prune(int argc, char **argv)
{
    pruning rule = {.keep = 1};
    const char *output = NULL;
    bool skip = false;
    int files = 0;
    const option options[] = {
        {"keep", OPTION_WHOLE, &rule.keep, "N", "The fastest N of each device, driver and problem; 1 by default.", 0,
         1000000, NULL},
        {"before", OPTION_TEXT, &rule.before, "DATE", "Leave out what is older than YYYY-MM-DD, and what has no date.",
         0, 0, NULL},
        {"no-failures", OPTION_FLAG, &rule.no_failures, NULL,
         "Leave out what was wrong, crashed, hung or did not compile; else it stays, as a warning.", 0, 0, NULL},
        {"usable", OPTION_FLAG, &rule.usable, NULL,
         "Leave out records of solvers, versions or configurations that this build does not have.", 0, 0, NULL},
        {"newest-driver", OPTION_FLAG, &rule.newest_driver, NULL,
         "Of each device, only the driver that was measured last.", 0, 0, NULL},
        OUTPUT_OPTION(output),
        SKIP_OPTION(skip),
        END_OF_OPTIONS};
    int code = options_read(&prune_command, options, argc, argv, &files);
    if (code >= 0)
        return code;
    record_set set = {0};
    code = read_all(&prune_command, files, argv, skip, &set);
    if (code < 0) {
        record_set_settle(&set);
        record_set_group(&set);
        code = prune_set(&set, &rule) ? -1 : failure(&prune_command, "no memory for the records");
    }
    if (code < 0) {
        record_set_settle(&set); // sorts
        code = write_all(&prune_command, &set, output);
    }
    if (code == TOOL_OK)
        fprintf(
            stderr,
            "%zu records; left out: %zu replaced by newer ones, %zu slower, %zu failures, %zu too old, %zu of other "
            "drivers, %zu unknown to this build\n",
            set.count, set.replaced, rule.slower, rule.failures, rule.old, rule.drivers, rule.unknown);
    record_set_finish(&set);
    return code;
}

static const tool_command prune_command = {"records prune", "FILE... [options]", "The records that are worth shipping.",
                                           "Keeps the fastest of each device, driver and problem, and what failed. "
                                           "Configurations that were merely slow are always left "
                                           "out. What was left out, and why, is counted on standard error.",
                                           prune};

// ------------------------------------------------------------------------------------------------------------

static const tool_command *const actions[] = {&merge_command, &diff_command, &stats_command, &prune_command,
                                              &check_command};
enum { ACTIONS = sizeof actions / sizeof *actions, PREFIX = sizeof "records " - 1 };

static void print_actions(FILE *file)
{
    fprintf(file, "upconv records ACTION FILE... [options]\n\nFiles of tuning records (docs/records.md). '-' is "
                  "standard input.\n\n"
                  "Actions:\n");
    for (int i = 0; i < ACTIONS; i++)
        fprintf(file, "  %-6s %s\n", actions[i]->name + PREFIX, actions[i]->summary);
    fprintf(file, "\n  upconv records ACTION --help   what the action does and takes\n");
}

static int run(int argc, char **argv)
{
    if (argc < 1 || !strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
        print_actions(argc < 1 ? stderr : stdout);
        return argc < 1 ? TOOL_USAGE : TOOL_OK;
    }
    for (int i = 0; i < ACTIONS; i++)
        if (!strcmp(argv[0], actions[i]->name + PREFIX))
            return actions[i]->run(argc - 1, argv + 1);
    return usage_error(&records_command, "there is no action '%s'", argv[0]);
}

const tool_command records_command = {"records", "merge|diff|stats|prune|check FILE...",
                                      "Files of tuning records merged, compared, counted, thinned, checked.", NULL,
                                      run};
