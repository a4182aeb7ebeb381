// Runs a conformance corpus through the public API on one backend: a line for every failure, the operations
// that the library does not have, and a last line that counts.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/execute.h"
#include "conformance/unpool.h"

static const char usage[] =
    "usage: conformance --corpus DIR --backend vulkan|opencl|cpu [--device D] [--solver S] [--match TEXT] "
    "[--list]\n"
    "       [--type f32|f16] [--layout nchw|nhwc|nc4hw4] [--gaps]\n"
    "\n"
    "  --corpus DIR     the corpus: a folder with index.json\n"
    "  --backend B      where to run; the plans are checked to have run there\n"
    "  --device D       a device of the backend, by number or by a part of its name\n"
    "  --solver S       a solver, by name or with a configuration; checked to have run\n"
    "  --match TEXT     only cases with TEXT in their id, operation, dialect or feature\n"
    "  --type T         run each case in this type, weights included; bounds grow by what rounding to it may change\n"
    "  --layout L       of input and output\n"
    "  --gaps           leave gaps between rows, channels and all else that may lie apart\n"
    "  --list           print the cases and the problems they are, and run nothing\n"
    "\n"
    "The exit code is 0 if no case failed, 1 if one did, 2 if none could be tried.\n";

typedef struct options {
    const char *corpus, *backend, *device, *solver, *match, *type, *layout;
    bool list, gaps;
} options;

typedef struct skipped_op { // operations that the library does not have
    char name[WHY];
    unsigned count;
} skipped_op;

typedef struct run_totals {
    unsigned passed, failed, skipped;
    skipped_op *ops;
    size_t op_count;
} run_totals;

static bool read_options(int argc, char **argv, options *given)
{
    static const struct option names[] = {
        {"corpus", required_argument, NULL, 'c'}, {"backend", required_argument, NULL, 'b'},
        {"device", required_argument, NULL, 'd'}, {"solver", required_argument, NULL, 's'},
        {"match", required_argument, NULL, 'm'},  {"list", no_argument, NULL, 'l'},
        {"type", required_argument, NULL, 't'},   {"layout", required_argument, NULL, 'y'},
        {"gaps", no_argument, NULL, 'g'},         {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    memset(given, 0, sizeof *given);
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'c':
            given->corpus = optarg;
            break;
        case 'b':
            given->backend = optarg;
            break;
        case 'd':
            given->device = optarg;
            break;
        case 's':
            given->solver = optarg;
            break;
        case 'm':
            given->match = optarg;
            break;
        case 'l':
            given->list = true;
            break;
        case 't':
            given->type = optarg;
            break;
        case 'y':
            given->layout = optarg;
            break;
        case 'g':
            given->gaps = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            return false;
        }
    }
    return optind == argc && given->corpus && (given->backend || given->list);
}

// The number of `name` among the names, from 0; -1, with a message, where it is none or there is no name.
static int number_of(const char *what, const char *name, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (names[i] && !strcmp(names[i], name))
            return i;
    fprintf(stderr, "conformance: there is no %s %s\n", what, name);
    return -1;
}

static bool kinds_parse(const options *given, case_runner *runner)
{
    static const char *const backends[UPCONV_BACKEND_COUNT] = {
        [UPCONV_BACKEND_VULKAN] = "vulkan", [UPCONV_BACKEND_OPENCL] = "opencl", [UPCONV_BACKEND_CPU] = "cpu"};
    static const char *const types[UPCONV_TYPE_COUNT] = {"f32", "f16"};
    static const char *const layouts[UPCONV_LAYOUT_COUNT] = {"nchw", "nhwc", "nc4hw4"};
    const int backend = number_of("backend", given->backend, backends, UPCONV_BACKEND_COUNT);
    const int type = given->type ? number_of("type", given->type, types, UPCONV_TYPE_COUNT) : UPCONV_F32;
    const int layout = given->layout ? number_of("layout", given->layout, layouts, UPCONV_LAYOUT_COUNT) : UPCONV_NCHW;
    runner->backend = (upconv_backend)backend;
    runner->type = (upconv_type)type;
    runner->layout = (upconv_layout)layout;
    return backend >= 0 && type >= 0 && layout >= 0;
}

static void log_line(void *user, upconv_log_level level, const char *message)
{
    (void)user;
    if (level <= UPCONV_LOG_WARNING)
        fprintf(stderr, "upconv: %s\n", message);
}

static bool runner_create(const options *given, case_runner *runner)
{
    memset(runner, 0, sizeof *runner);
    runner->solver = given->solver;
    runner->gaps = given->gaps;
    if (!kinds_parse(given, runner))
        return false;
    const upconv_context_params params = {
        .struct_size = sizeof params, .backend = runner->backend, .device = given->device, .log = log_line};
    upconv_device_info info = {.struct_size = sizeof info};
    if (upconv_context_create(&params, &runner->context) != UPCONV_OK ||
        upconv_context_device(runner->context, &info) != UPCONV_OK) {
        fprintf(stderr, "conformance: %s\n", upconv_last_error());
        upconv_context_destroy(runner->context);
        return false;
    }
    printf("device: %s, %s\n", info.name, info.api);
    if (info.backend == runner->backend)
        return true;
    fprintf(stderr, "conformance: the context is of another backend (is UPCONV_BACKEND set?)\n");
    upconv_context_destroy(runner->context);
    return false;
}

static void count_skipped(run_totals *totals, const char *name)
{
    totals->skipped++;
    for (size_t i = 0; i < totals->op_count; i++)
        if (!strcmp(totals->ops[i].name, name)) {
            totals->ops[i].count++;
            return;
        }
    skipped_op *larger = realloc(totals->ops, sizeof *larger * (totals->op_count + 1));
    if (!larger)
        return; // still in the total
    totals->ops = larger;
    skipped_op *added = &larger[totals->op_count++];
    snprintf(added->name, sizeof added->name, "%s", name);
    added->count = 1;
}

static bool matches(const cJSON *entry, const char *text)
{
    static const char *const fields[] = {"id", "op", "dialect", "feature"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, fields[i]));
        if (value && (!text || strstr(value, text)))
            return true;
    }
    return false;
}

static void list_case(const corpus_case *item, const upconv_problem *problem)
{
    char text[512] = "";
    if (upconv_problem_print(problem, text, sizeof text, NULL) != UPCONV_OK)
        snprintf(text, sizeof text, "%s", upconv_last_error());
    printf("%-60s %-12s %-24s %s\n", item->id, item->dialect, item->op, text);
}

static void run_case(const char *corpus, const char *path, const case_runner *runner, run_totals *totals)
{
    corpus_case item;
    mapping map;
    const bool loaded = case_load(corpus, path, &item), unpool = loaded && unpool_case(&item);
    case_verdict verdict = CASE_WRONG;
    if (unpool)
        verdict = runner ? unpool_execute(&item, runner) : unpool_map(&item, &map.problem) ? CASE_RUNS : CASE_WRONG;
    else if (loaded)
        verdict = case_map(&item, &map);
    bool good = verdict == CASE_RUNS;
    if (verdict == CASE_SKIPPED)
        count_skipped(totals, item.why);
    else if (good && runner)
        good = unpool || case_execute(&item, &map, runner);
    else if (good)
        list_case(&item, &map.problem);
    totals->passed += good;
    if (!good && verdict != CASE_SKIPPED) {
        totals->failed++;
        printf("FAILED %s: %s\n", item.id, item.why);
    }
    fflush(stdout);
    case_finish(&item);
}

static void run_all(const cJSON *index, const options *given, const case_runner *runner, run_totals *totals)
{
    const cJSON *entry, *cases = cJSON_GetObjectItemCaseSensitive(index, "cases");
    cJSON_ArrayForEach(entry, cases)
    {
        if (!matches(entry, given->match))
            continue;
        const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "path"));
        if (path) {
            run_case(given->corpus, path, runner, totals);
        } else {
            totals->failed++;
            printf("FAILED: a case of index.json has no path\n");
        }
    }
}

int main(int argc, char **argv)
{
    options given;
    if (!read_options(argc, argv, &given)) {
        fputs(usage, stderr);
        return 2;
    }
    char why[WHY];
    cJSON *index = corpus_index(given.corpus, why, sizeof why);
    if (!index) {
        fprintf(stderr, "conformance: %s\n", why);
        return 2;
    }
    case_runner runner;
    if (!given.list && !runner_create(&given, &runner)) {
        cJSON_Delete(index);
        return 2;
    }
    run_totals totals = {0};
    run_all(index, &given, given.list ? NULL : &runner, &totals);
    for (size_t i = 0; i < totals.op_count; i++)
        printf("skipped: %s (%u)\n", totals.ops[i].name, totals.ops[i].count);
    if (given.list)
        printf("%u cases, %u wrong, %u skipped\n", totals.passed, totals.failed, totals.skipped);
    else
        printf("%u passed, %u failed, %u skipped\n", totals.passed, totals.failed, totals.skipped);
    const bool none = totals.passed + totals.failed + totals.skipped == 0;
    if (none)
        fprintf(stderr, "conformance: no case matches\n");
    free(totals.ops);
    if (!given.list)
        upconv_context_destroy(runner.context);
    cJSON_Delete(index);
    return none ? 2 : totals.failed != 0;
}
