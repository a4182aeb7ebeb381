// Tries every candidate of a space on a device and writes what came of each to a file that upconv_tune can replay
// (docs/records.md).
//   record_space BACKEND PROBLEM SPACE OUT [MOST [SEED]]
// SPACE as in upconv_tune_params.space, "" for all. With MOST, so many candidates drawn at random. The journal
// OUT.journal stays until all is done: run it again to go on.
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <upconv/upconv_tune.h>

static int show(void *user, const upconv_tune_event *event)
{
    (void)user;
    if (event->kind == UPCONV_TUNE_TRIED || event->kind == UPCONV_TUNE_BEST)
        printf("%s %u of %.0f: %s %s %.1f us ratio %.3f +- %.3f (%u) %s\n", upconv_tune_event_name(event->kind),
               event->summary->tried, event->summary->space, event->candidate, upconv_tune_verdict_name(event->verdict),
               event->time_us, event->ratio, event->spread, event->samples, event->reason);
    fflush(stdout);
    return 0;
}

// Without what a replay does not need: what was about to be done, where and when.
static bool compact(const char *journal, const char *out)
{
    static const char *const dropped[] = {"{\"about\"", "{\"end\"", "{\"done\":\"none\""};
    FILE *from = fopen(journal, "r"), *to = fopen(out, "w");
    char line[4096];
    bool headed = false;
    while (from && to && fgets(line, sizeof line, from)) {
        const bool header = !strncmp(line, "{\"journal\"", 10);
        bool drop = header && headed;
        for (size_t i = 0; i < UPC_COUNT(dropped); i++)
            drop = drop || !strncmp(line, dropped[i], strlen(dropped[i]));
        headed = headed || header;
        if (!drop)
            fputs(line, to);
    }
    const bool ok = from && to && !ferror(to);
    if (from)
        fclose(from);
    return to && !fclose(to) && ok;
}

int main(int argc, char **argv)
{
    upconv_backend backend;
    upconv_context *context = NULL;
    char journal[512];
    if (argc < 5 || !test_backend_parse(argv[1], &backend) || test_context_create(backend, NULL, &context)) {
        fprintf(stderr, "usage: record_space BACKEND PROBLEM SPACE OUT [MOST [SEED]]\n");
        return 2;
    }
    snprintf(journal, sizeof journal, "%s.journal", argv[4]);
    const upconv_problem problem = test_problem(argv[2]);
    const uint32_t most = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 0;
    const upconv_tune_params params = {
        .struct_size = sizeof params,
        .problems = &problem,
        .problem_count = 1,
        .budget_ns = UPCONV_TUNE_EXHAUSTIVE,
        .strategy = most ? "random" : "exhaustive",
        .space = argv[3][0] ? argv[3] : NULL,
        .most = most,
        .journal = journal,
        .seed = argc > 6 ? strtoull(argv[6], NULL, 10) : 0,
        .event = show,
    };
    upconv_tune_result result = {.struct_size = sizeof result};
    const upconv_status status = upconv_tune(context, &params, &result);
    if (status)
        fprintf(stderr, "%s: %s\n", upconv_status_name(status), upconv_last_error());
    upconv_context_destroy(context);
    if (status || !compact(journal, argv[4]))
        return 1;
    unlink(journal);
    printf("%u tried, %u wrong, %u crashed, gain %.3f, %.1f s\n", result.tried, result.wrong, result.crashed,
           result.gain, (double)result.spent_ns / 1e9);
    return 0;
}
