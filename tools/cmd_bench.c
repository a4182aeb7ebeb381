// upconv bench: how fast problems run on a device.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "compare.h"
#include "files.h"
#include "measure.h"
#include "problems.h"
#include "report.h"
#include "session.h"
#include "statistics.h"

typedef struct bench {
    upconv_context *context;
    report report;
    measure_options measure;
    comparison comparison;
    const char *records, *rivals, *python;
    bool progress, statistics, peaks;
    int type, layout; // of upconv_type and upconv_layout; -1: the problem's own
    size_t failed;
} bench;

static const char *const by_choices[] = {"median", "best", NULL};
// In the order of upconv_effort, upconv_type and upconv_layout.
static const char *const effort_choices[] = {"estimate", "measure", "known", NULL};
static const char *const type_choices[] = {"f32", "f16", NULL};
static const char *const layout_choices[] = {"nchw", "nhwc", "nc4hw4", NULL};

static bool run_one(bench *b, const named_problem *item, const upconv_problem *problem, char *error, size_t size)
{
    measurement m;
    if (b->statistics)
        return statistics_problem(&b->report, b->context, &b->measure, item, problem, error, size);
    if (b->comparison.count)
        return comparison_problem(&b->comparison, &b->report, b->context, &b->measure, item, problem, error, size);
    if (!measure(b->context, problem, &b->measure, &m, error, size))
        return false;
    if (b->progress)
        fputs("\r\033[K", stderr);
    if (report_line(&b->report, item, problem, &m))
        return true;
    snprintf(error, size, "no memory for a line of JSON");
    return false;
}

static bool bench_one(bench *b, const named_problem *item)
{
    char error[512] = "";
    upconv_problem problem = {.struct_size = sizeof problem};
    if (!session_problem(&bench_command, item->text, &problem) ||
        (b->comparison.count && !session_floats(&bench_command, &problem)))
        return false;
    if (b->type >= 0)
        problem.type = (upconv_type)b->type;
    if (b->layout >= 0)
        problem.in_layout = problem.out_layout = (upconv_layout)b->layout;
    if (b->progress)
        fprintf(stderr, "\r\033[K%s %s ...", item->name, item->text);
    bool fine = run_one(b, item, &problem, error, sizeof error);
    if (b->progress)
        fputs("\r\033[K", stderr);
    if (!fine)
        failure(&bench_command, "%s%s%s: %s", item->name, *item->name ? " " : "", item->text, error);
    fflush(stdout);
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

// Rivals start before any driver is loaded; see rival.h.
static bool open_all(bench *b, const session_options *where, bool check)
{
    char error[512];
    const session_options cpu = {.backend = UPCONV_BACKEND_CPU};
    if (b->rivals && !comparison_start(&b->comparison, b->rivals, b->python, error, sizeof error)) {
        failure(&bench_command, "%s", error);
        return false;
    }
    if (session_open(where, &b->context, &b->report.device) != UPCONV_OK ||
        (check && session_open(&cpu, &b->measure.check, NULL) != UPCONV_OK)) {
        failure(&bench_command, "%s", upconv_last_error());
        return false;
    }
    if (!comparison_greet(&b->comparison, &b->report.device, error, sizeof error)) {
        failure(&bench_command, "%s", error);
        return false;
    }
    return session_records(&bench_command, b->context, b->records && file_exists(b->records) ? b->records : NULL);
}

static bool begin(bench *b)
{
    if (!b->report.json) {
        report_device(&b->report);
        if (b->type >= 0 || b->layout >= 0)
            printf("# in place of the problems' own: %s%s%s\n", b->type >= 0 ? type_choices[b->type] : "",
                   b->type >= 0 && b->layout >= 0 ? ", " : "", b->layout >= 0 ? layout_choices[b->layout] : "");
    }
    if (b->peaks) {
        b->report.peaks.struct_size = sizeof b->report.peaks;
        if (upconv_device_peaks(b->context, &b->report.peaks) != UPCONV_OK) {
            failure(&bench_command, "%s", upconv_last_error());
            return false;
        }
        if (!report_peaks(&b->report)) {
            failure(&bench_command, "no memory for a line of JSON");
            return false;
        }
    }
    return true;
}

static bool run_all(bench *b, const problem_list *list)
{
    if (list->count && !b->report.json && !b->statistics) {
        if (b->comparison.count)
            comparison_header(&b->comparison, &b->report, b->measure.best);
        else
            report_header(&b->report);
    }
    for (size_t i = 0; i < list->count; i++)
        b->failed += !bench_one(b, &list->items[i]);
    if (b->comparison.count && !comparison_summary(&b->comparison, &b->report)) {
        failure(&bench_command, "no memory for a line of JSON");
        return false;
    }
    if (b->failed > 0 && list->count > 1)
        failure(&bench_command, "%zu of %zu problems failed", b->failed, list->count);
    return export_records(b) && b->failed == 0;
}

static int bench_all(bench *b, const session_options *where, const problem_list *list, bool check)
{
    bool fine = open_all(b, where, check) && begin(b) && run_all(b, list);
    comparison_finish(&b->comparison);
    upconv_context_destroy(b->measure.check);
    // Statistics are asked of drivers without a device behind them too, whose fences are signalled before their own
    // threads have looked at a submission: v3dv then crashes while it is taken down. The process ends next anyway.
    if (!b->statistics || b->report.device.backend != UPCONV_BACKEND_VULKAN)
        upconv_context_destroy(b->context);
    return fine ? TOOL_OK : TOOL_FAILURE;
}

// What the words ask for together. -1 to go on.
static int check_words(const bench *b, bool check)
{
    if (b->statistics && (b->rivals || b->peaks || check || b->measure.effort == UPCONV_MEASURE))
        return usage_error(&bench_command,
                           "--stats executes nothing; it does not go with --compare, --peaks, --check or "
                           "--effort measure");
    return -1;
}

// The problems of the command line and of the file, then all of it.
static int bench_words(bench *b, const session_options *where, const char *file, char **words, int count, bool check)
{
    char error[512];
    problem_list list = {0};
    bool fine = true;
    for (int i = 0; fine && i < count; i++)
        if (!(fine = problem_list_add(&list, "", words[i])))
            failure(&bench_command, "no memory for the problems");
    if (fine && file && !(fine = problem_list_read(&list, file, error, sizeof error)))
        failure(&bench_command, "%s", error);
    int code = TOOL_FAILURE;
    if (fine && list.count == 0 && (file || !b->peaks))
        code =
            file ? failure(&bench_command, "%s holds no problem", file) : usage_error(&bench_command, "which problem?");
    else if (fine)
        code = bench_all(b, where, &list, check);
    problem_list_finish(&list);
    return code;
}

static int run(int argc, char **argv)
{
    session_options where = {0};
    bench b = {.measure = {.runs = 5, .seconds = 0.3},
               .python = "python3",
               .progress = session_terminal(),
               .type = -1,
               .layout = -1};
    const char *file = NULL;
    int effort = UPCONV_ESTIMATE, by = 0, operands = 0;
    bool check = false;
    const option options[] = {
        SESSION_OPTIONS(where),
        {"solver", OPTION_TEXT, &b.measure.solver, "S", "This solver only, or one configuration (phase:tile=4).", 0, 0,
         NULL},
        {"problems", OPTION_TEXT, &file, "FILE", "More problems: `name problem` a line, remarks after a #.", 0, 0,
         NULL},
        {"type", OPTION_CHOICE, &b.type, "T", "f32 or f16, in place of what the problems say.", 0, 0, type_choices},
        {"layout", OPTION_CHOICE, &b.layout, "L",
         "nchw, nhwc or nc4hw4, of input and output, in place of what the problems say.", 0, 0, layout_choices},
        {"effort", OPTION_CHOICE, &effort, "E",
         "estimate (the default: tuning records, else a model), measure (time the likely candidates) or "
         "known (tuning records only).",
         0, 0, effort_choices},
        {"records", OPTION_TEXT, &b.records, "FILE",
         "Tuning records: read where the file exists; written back after --effort measure.", 0, 0, NULL},
        {"check", OPTION_FLAG, &check, NULL,
         "Compare each result with the reference solver's, on the CPU, before timing it.", 0, 0, NULL},
        {"peaks", OPTION_FLAG, &b.peaks, NULL,
         "Measure what the device can do at most, and print shares of it; without a problem that alone.", 0, 0, NULL},
        {"compare", OPTION_TEXT, &b.rivals, "LIST",
         "Other libraries in the same run, side by side: onednn, openblas, ncnn, torch, separated by commas.", 0, 0,
         NULL},
        {"python", OPTION_TEXT, &b.python, "FILE", "The Python that has ncnn or torch (python3).", 0, 0, NULL},
        {"stats", OPTION_FLAG, &b.statistics, NULL,
         "Compile only, and print the driver's statistics of the machine code, where it gives any.", 0, 0, NULL},
        {"runs", OPTION_WHOLE, &b.measure.runs, "N", "At least so many runs, or with --compare turns (5).", 1, 4096,
         NULL},
        {"seconds", OPTION_REAL, &b.measure.seconds, "T",
         "And at least so long (0.3); no further run is begun after ten times that.", 0, 3600, NULL},
        {"by", OPTION_CHOICE, &by, "WHAT",
         "Rates and ratios by the median (the default), or by the best time, which other work on the machine "
         "disturbs least.",
         0, 0, by_choices},
        {"json", OPTION_FLAG, &b.report.json, NULL, "One JSON object a line instead of a table.", 0, 0, NULL},
        {NULL, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    int over = options_read(&bench_command, options, argc, argv, &operands);
    if (over >= 0)
        return over;
    b.measure.effort = (upconv_effort)effort;
    b.measure.best = by == 1;
    where.statistics = b.statistics;
    if ((over = check_words(&b, check)) >= 0)
        return over;
    return bench_words(&b, &where, file, argv, operands, check);
}

const tool_command bench_command = {
    "bench", "[PROBLEM ...] [--problems FILE] [options]", "How long problems take on a device.",
    "The columns: median and best time of a run on memory of the device, by the device's own clock where it "
    "has one; GFLOPS by the usual count (twice batch x input extents x kernel x channels in x channels out / "
    "groups) and GB/s (input, output and weights, each once), both by the median, or as --by says. Inputs are the same "
    "pseudo-random numbers on every machine. Weights and a bias are part of the plan.\n"
    "With --peaks: GFLOPS and GB/s as shares of the device's measured multiply-adds and copying, and which of "
    "the two is the nearer bound.\n"
    "With --compare all sides run in turn, each in a process of its own, and x is our GFLOPS divided by theirs. "
    "onednn: oneDNN's deconvolution on the processor, f32, layouts of its own choice, reorders not counted. "
    "openblas: a product of large matrices, the same for every problem. ncnn and torch: from PyPI, through "
    "Python; on a GPU where upconv is on one. At the end stand the geometric means, and the problems that "
    "are slower than half of the rival (for openblas: than 75 %, of those with one group, 64 or more channels in and "
    "out and 20 or more operations a byte).\n"
    "With --json a line has the keys name, problem, backend, device, solver, config, median_us, best_us, "
    "gflops, workspace_bytes and plan_ms; with --peaks fma_share, copy_share and bound (and a line with the "
    "peaks before); with --compare rivals (and a line with the summary at the end); with --stats steps.\n"
    "A problem that fails is named on standard error, the others go on, and the exit code is 1.",
    run};
