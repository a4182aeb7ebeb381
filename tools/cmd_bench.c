// upconv bench: how fast problems run on a device.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "files.h"
#include "measure.h"
#include "problems.h"
#include "session.h"

typedef struct bench {
    upconv_context *context;
    upconv_device_info device;
    measure_options measure;
    const char *records;
    bool json, progress;
    size_t failed;
} bench;

// In the order of upconv_effort.
static const char *const effort_choices[] = {"estimate", "measure", "known", NULL};

static void print_header(const bench *b)
{
    printf("# %s, %s, %s; times by %s\n", b->device.name, backend_choices[b->device.backend],
           b->device.driver, b->device.timestamps ? "the device's clock" : "the host's clock");
    printf("%-16s %-10s %12s %12s %9s %8s  %-44s %s\n", "name", "solver", "median us", "best us", "GFLOPS",
           "GB/s", "problem", "config");
}

static bool print_json(const bench *b, const named_problem *item, const char *problem, const measurement *m)
{
    cJSON *line = cJSON_CreateObject();
    bool added =
        line && session_json_text(line, "name", item->name) && session_json_text(line, "problem", problem) &&
        session_json_text(line, "backend", backend_choices[b->device.backend]) &&
        session_json_text(line, "device", b->device.name) && session_json_text(line, "solver", m->solver) &&
        session_json_text(line, "config", m->config) &&
        cJSON_AddNumberToObject(line, "median_us", m->median_us) &&
        cJSON_AddNumberToObject(line, "best_us", m->best_us) &&
        cJSON_AddNumberToObject(line, "gflops", m->gflops) &&
        cJSON_AddNumberToObject(line, "workspace_bytes", (double)m->workspace_bytes) &&
        cJSON_AddNumberToObject(line, "plan_ms", m->plan_ms);
    char *text = added ? cJSON_PrintUnformatted(line) : NULL;
    if (text)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(line);
    return text != NULL;
}

static bool bench_one(bench *b, const named_problem *item)
{
    char error[512];
    measurement m;
    upconv_problem problem = {.struct_size = sizeof problem};
    if (!session_problem(&bench_command, item->text, &problem))
        return false;
    if (b->progress)
        fprintf(stderr, "\r\033[K%s %s ...", item->name, item->text);
    bool fine = measure(b->context, &problem, &b->measure, &m, error, sizeof error);
    if (b->progress)
        fputs("\r\033[K", stderr);
    if (!fine) {
        failure(&bench_command, "%s%s%s: %s", item->name, *item->name ? " " : "", item->text, error);
        return false;
    }
    if (b->json) {
        char *text = session_problem_text(&problem);
        fine = text && print_json(b, item, text, &m);
        free(text);
        if (!fine)
            failure(&bench_command, "no memory for a line of JSON");
    } else {
        printf("%-16s %-10s %12.1f %12.1f %9.2f %8.2f  %-44s %s\n", *item->name ? item->name : "-", m.solver,
               m.median_us, m.best_us, m.gflops, m.gbytes, item->text, m.config);
    }
    fflush(stdout);
    return fine;
}

static bool import_records(bench *b)
{
    char error[512];
    size_t size = 0;
    char *text = NULL;
    if (!b->records || !file_exists(b->records))
        return true;
    if (!file_read(b->records, &text, &size, error, sizeof error)) {
        failure(&bench_command, "%s", error);
        return false;
    }
    bool fine = size == 0 || upconv_tuning_import(b->context, text, size) == UPCONV_OK;
    if (!fine)
        failure(&bench_command, "%s: %s", b->records, upconv_last_error());
    free(text);
    return fine;
}

static int write_some(void *user, const void *data, size_t size)
{
    return fwrite(data, 1, size, ((file_writer *)user)->file) != size;
}

static bool export_records(bench *b)
{
    char error[512];
    file_writer writer;
    if (!b->records || b->measure.effort != UPCONV_MEASURE)
        return true;
    if (!file_writer_open(&writer, b->records, error, sizeof error)) {
        failure(&bench_command, "%s", error);
        return false;
    }
    if (upconv_tuning_export(b->context, write_some, &writer) != UPCONV_OK) {
        failure(&bench_command, "%s: %s", b->records, upconv_last_error());
        file_writer_abandon(&writer);
        return false;
    }
    if (!file_writer_close(&writer, error, sizeof error)) {
        failure(&bench_command, "%s", error);
        return false;
    }
    return true;
}

static int bench_all(bench *b, const session_options *where, const problem_list *list, bool check)
{
    int code = TOOL_FAILURE;
    const session_options cpu = {.backend = UPCONV_BACKEND_CPU};
    if (session_open(where, &b->context, &b->device) != UPCONV_OK ||
        (check && session_open(&cpu, &b->measure.check, NULL) != UPCONV_OK)) {
        failure(&bench_command, "%s", upconv_last_error());
        goto end;
    }
    if (!import_records(b))
        goto end;
    if (!b->json)
        print_header(b);
    for (size_t i = 0; i < list->count; i++)
        b->failed += !bench_one(b, &list->items[i]);
    if (!export_records(b))
        goto end;
    if (b->failed > 0 && list->count > 1)
        failure(&bench_command, "%zu of %zu problems failed", b->failed, list->count);
    code = b->failed ? TOOL_FAILURE : TOOL_OK;
end:
    upconv_context_destroy(b->measure.check);
    upconv_context_destroy(b->context);
    return code;
}

static int run(int argc, char **argv)
{
    session_options where = {0};
    bench b = {.measure = {.runs = 5, .seconds = 0.3}, .progress = session_terminal()};
    const char *file = NULL;
    char error[512];
    int effort = UPCONV_ESTIMATE, operands = 0;
    bool check = false;
    const option options[] = {
        SESSION_OPTIONS(where),
        {"solver", OPTION_TEXT, &b.measure.solver, "S",
         "This solver only, or one configuration (phase:tile=4).", 0, 0, NULL},
        {"problems", OPTION_TEXT, &file, "FILE", "More problems: `name problem` a line, remarks after a #.",
         0, 0, NULL},
        {"effort", OPTION_CHOICE, &effort, "E",
         "estimate (the default: tuning records, else a model), measure (time the likely candidates) or "
         "known (tuning records only).",
         0, 0, effort_choices},
        {"records", OPTION_TEXT, &b.records, "FILE",
         "Tuning records: read where the file exists; written back after --effort measure.", 0, 0, NULL},
        {"check", OPTION_FLAG, &check, NULL,
         "Compare each result with the reference solver's, on the CPU, before timing it.", 0, 0, NULL},
        {"runs", OPTION_WHOLE, &b.measure.runs, "N", "At least so many runs (5).", 1, 4096, NULL},
        {"seconds", OPTION_REAL, &b.measure.seconds, "T",
         "And at least so long (0.3); no further run is begun after ten times that.", 0, 3600, NULL},
        {"json", OPTION_FLAG, &b.json, NULL, "One JSON object a line instead of a table.", 0, 0, NULL},
        {NULL, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    int over = options_read(&bench_command, options, argc, argv, &operands);
    if (over >= 0)
        return over;
    b.measure.effort = (upconv_effort)effort;
    problem_list list = {0};
    bool fine = true;
    for (int i = 0; fine && i < operands; i++)
        if (!(fine = problem_list_add(&list, "", argv[i])))
            failure(&bench_command, "no memory for the problems");
    if (fine && file && !(fine = problem_list_read(&list, file, error, sizeof error)))
        failure(&bench_command, "%s", error);
    int code = TOOL_FAILURE;
    if (fine && list.count == 0)
        code = file ? failure(&bench_command, "%s holds no problem", file)
                    : usage_error(&bench_command, "which problem?");
    else if (fine)
        code = bench_all(&b, &where, &list, check);
    problem_list_finish(&list);
    return code;
}

const tool_command bench_command = {
    "bench", "[PROBLEM ...] [--problems FILE] [options]", "How long problems take on a device.",
    "The columns: median and best time of a run on memory of the device, by the device's own clock where it "
    "has one; GFLOPS by the usual count (twice batch x input extents x kernel x channels in x channels out / "
    "groups) and GB/s (input, output and weights, each once), both by the median. Inputs are the same "
    "pseudo-random numbers on every machine. Weights and a bias are part of the plan.\n"
    "With --json a line has the keys name, problem, backend, device, solver, config, median_us, best_us, "
    "gflops, workspace_bytes and plan_ms.\n"
    "A problem that fails is named on standard error, the others go on, and the exit code is 1.",
    run};
