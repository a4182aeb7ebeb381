// upconv tune: searches the fastest right configuration of every problem, and keeps what it finds.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "files.h"
#include "tune.h"

static const char default_records[] = "upconv-records.jsonl";
// In the order of upconv_type and upconv_layout.
static const char *const type_choices[] = {"f32", "f16", NULL};
static const char *const layout_choices[] = {"nchw", "nhwc", "nc4hw4", NULL};

// The words of the command line that are not in tune_options as they are.
typedef struct words {
    const char *budget, *problems, *journal;
    int type, layout; // -1: the problem's own
} words;

// "90", "90s", "10m", "2h", "exhaustive". false: it is none of them.
static bool read_budget(const char *text, int64_t *budget_ns)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}};
    char *end;
    if (!strcmp(text, "exhaustive")) {
        *budget_ns = UPCONV_TUNE_EXHAUSTIVE;
        return true;
    }
    const double number = strtod(text, &end);
    for (size_t i = 0; end != text && i < sizeof units / sizeof *units; i++)
        if (!strcmp(end, units[i].unit) && number * units[i].seconds >= 1e-3 && number * units[i].seconds <= 1e7) {
            *budget_ns = (int64_t)(number * units[i].seconds * 1e9);
            return true;
        }
    return false;
}

// A journal for a run that nobody will resume, so that what kills a worker is skipped by the next.
static char *temporary_journal(void)
{
    const char *const folders[] = {getenv("TMPDIR"), "/tmp", "/data/local/tmp", "."};
    char path[4096];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (!folders[i] || !*folders[i] || strlen(folders[i]) > sizeof path - 64)
            continue;
        snprintf(path, sizeof path, "%s/upconv-tune-XXXXXX", folders[i]);
        const int file = mkstemp(path);
        if (file < 0)
            continue;
        close(file);
        return strdup(path);
    }
    return NULL;
}

// The files. Returns -1 to go on.
static int settle_files(tune_options *o, const words *given, bool *temporary)
{
    const bool asked = o->records != NULL;
    if (!asked && !o->dry_run && !o->verify_only && !o->replay)
        o->records = default_records;
    *temporary = !given->journal && (!o->records || o->dry_run || o->verify_only);
    if (o->resume && *temporary)
        return usage_error(&tune_command, "--resume goes on with a journal: it needs --journal%s",
                           o->dry_run || o->verify_only ? "" : " or --records");
    if (*temporary) {
        o->journal = temporary_journal();
    } else if (given->journal) {
        o->journal = strdup(given->journal);
    } else {
        const size_t size = strlen(o->records) + sizeof ".journal";
        if ((o->journal = malloc(size)))
            snprintf(o->journal, size, "%s.journal", o->records);
    }
    if (!o->journal)
        return failure(&tune_command, "no place for a journal: %s", strerror(errno));
    const char *const others[] = {o->records, o->replay, o->report};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i] && !strcmp(others[i], o->journal))
            return usage_error(&tune_command, "%s is the journal; no other option may name it", o->journal);
    return -1;
}

// Reads all problems before any worker does. NULL: a mistake was shown.
static upconv_problem *parse(const problem_list *list, const words *given)
{
    upconv_problem *problems = calloc(list->count, sizeof *problems);
    if (!problems)
        failure(&tune_command, "no memory for the problems");
    for (size_t i = 0; problems && i < list->count; i++) {
        problems[i].struct_size = sizeof *problems;
        if (!session_problem(&tune_command, list->items[i].text, &problems[i])) {
            free(problems);
            return NULL;
        }
        if (given->type >= 0)
            problems[i].type = (upconv_type)given->type;
        if (given->layout >= 0)
            problems[i].in_layout = problems[i].out_layout = (upconv_layout)given->layout;
    }
    return problems;
}

// What a script learns: a run that failed, was interrupted, or found faults where it looked for nothing else.
static int code_of(const tune_options *o, const tune_state *state)
{
    if (*state->error)
        return failure(&tune_command, "%s", state->error);
    if (state->interrupted || !state->finished) {
        const bool kept = o->records && !o->dry_run && !o->verify_only;
        return failure(&tune_command, "interrupted; %s",
                       kept ? "what was found is kept, and --resume goes on" : "nothing is kept");
    }
    for (size_t i = 0; o->verify_only && i < state->count; i++) {
        const upconv_tune_summary *s = &state->layers[i].summary;
        if (s->wrong || s->crashed || s->hung)
            return TOOL_FAILURE;
    }
    for (size_t i = 0; i < state->count; i++)
        if (state->layers[i].summary.stop == UPCONV_TUNE_STOP_REFUSED)
            return failure(&tune_command, "%s: no solver takes it on this device", state->layers[i].item->text);
    return TOOL_OK;
}

static int tune_all(const tune_options *o, const problem_list *list, const upconv_problem *problems)
{
    char error[512];
    tune_state state;
    if (!tune_state_init(&state, list))
        return failure(&tune_command, "no memory for %zu problems", list->count);
    tune_supervise(o, problems, &state);
    bool fine = tune_show_end(o, &state) || (failure(&tune_command, "no memory for a line of JSON"), false);
    fflush(stdout);
    if (o->report && !tune_report_write(o, &state, error, sizeof error)) {
        failure(&tune_command, "%s", error);
        fine = false;
    }
    const int code = code_of(o, &state);
    tune_state_finish(&state);
    return fine ? code : TOOL_FAILURE;
}

static int tune_operands(tune_options *o, const words *given, char **operands, int count)
{
    char error[512];
    problem_list list = {0};
    bool fine = true, temporary = false;
    for (int i = 0; fine && i < count; i++)
        if (!(fine = problem_list_add(&list, "", operands[i])))
            failure(&tune_command, "no memory for the problems");
    if (fine && given->problems && !(fine = problem_list_read(&list, given->problems, error, sizeof error)))
        failure(&tune_command, "%s", error);
    int code = TOOL_FAILURE;
    if (fine && list.count == 0)
        code = given->problems ? failure(&tune_command, "%s holds no problem", given->problems)
                               : usage_error(&tune_command, "which problem?");
    upconv_problem *problems = fine && list.count ? parse(&list, given) : NULL;
    if (problems && (code = settle_files(o, given, &temporary)) < 0)
        code = tune_all(o, &list, problems);
    if (temporary && o->journal)
        unlink(o->journal);
    free(o->journal);
    free(problems);
    problem_list_finish(&list);
    return code;
}

// What the options ask for together. -1 to go on.
static int check_words(tune_options *o, const words *given)
{
    if (given->budget && !read_budget(given->budget, &o->budget_ns))
        return usage_error(&tune_command, "--budget is '%s'; it is a time such as 60s, 10m or 2h, or exhaustive",
                           given->budget);
    if (o->dry_run + o->verify_only > 1 || (o->replay && o->dry_run + o->verify_only))
        return usage_error(&tune_command, "--dry-run, --verify-only and --replay exclude each other");
    if (o->report && o->dry_run)
        return usage_error(&tune_command, "--dry-run measures nothing that a report could show");
    return -1;
}

static int run(int argc, char **argv)
{
    tune_options o = {.where = {.statistics = true},
                      .seed = 1,
                      .run_timeout = 10,
                      .compile_timeout = 60,
                      .progress = session_terminal()};
    words given = {.type = -1, .layout = -1};
    int operands = 0;
    const option options[] = {
        SESSION_OPTIONS(o.where),
        {"problems", OPTION_TEXT, &given.problems, "FILE", "More problems: `name problem` a line, remarks after a #.",
         0, 0, NULL},
        {"type", OPTION_CHOICE, &given.type, "T", "f32 or f16, in place of what the problems say.", 0, 0, type_choices},
        {"layout", OPTION_CHOICE, &given.layout, "L",
         "nchw, nhwc or nc4hw4, of input and output, in place of what the problems say.", 0, 0, layout_choices},
        {"budget", OPTION_TEXT, &given.budget, "TIME",
         "Of the whole run: 60s (the default), 10m, 2h; or exhaustive: the whole space, however long it takes.", 0, 0,
         NULL},
        {"records", OPTION_TEXT, &o.records, "FILE",
         "Tuning records: read where the file exists, and appended to as they are found (upconv-records.jsonl).", 0, 0,
         NULL},
        {"journal", OPTION_TEXT, &given.journal, "FILE",
         "What the run is about to do and what came of it (the records' name with .journal behind it).", 0, 0, NULL},
        {"resume", OPTION_FLAG, &o.resume, NULL, "Go on with the run of that journal.", 0, 0, NULL},
        {"dry-run", OPTION_FLAG, &o.dry_run, NULL,
         "List the candidates; compile them, and discard those that spill where the driver says so; run nothing.", 0, 0,
         NULL},
        {"verify-only", OPTION_FLAG, &o.verify_only, NULL, "Check the candidates' results, and time nothing.", 0, 0,
         NULL},
        {"replay", OPTION_TEXT, &o.replay, "FILE",
         "Search in what an earlier run recorded (its journal), without the device.", 0, 0, NULL},
        {"report", OPTION_TEXT, &o.report, "FILE", "Write a page of HTML with plots.", 0, 0, NULL},
        {"json", OPTION_FLAG, &o.json, NULL, "One JSON object a line instead of a table.", 0, 0, NULL},
        {"sustained", OPTION_FLAG, &o.sustained, NULL, "Time what the device does once it is hot.", 0, 0, NULL},
        {"strategy", OPTION_TEXT, &o.strategy, "S", "descent (the default), random or exhaustive.", 0, 0, NULL},
        {"space", OPTION_TEXT, &o.space, "TEXT", "Only these solvers, with these knobs held: wide:x=1;phase:x=8,y=8.",
         0, 0, NULL},
        {"most", OPTION_WHOLE, &o.most, "N", "At most so many candidates of each problem.", 1, 1e9, NULL},
        {"seed", OPTION_WHOLE, &o.seed, "N", "Of what is drawn at random (1).", 0, 2e9, NULL},
        {"run-timeout", OPTION_REAL, &o.run_timeout, "T", "Seconds that one execution may take (10).", 0.01, 3600,
         NULL},
        {"compile-timeout", OPTION_REAL, &o.compile_timeout, "T", "Seconds that one compilation may take (60).", 0.01,
         36000, NULL},
        {NULL, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    int over = options_read(&tune_command, options, argc, argv, &operands);
    if (over < 0)
        over = check_words(&o, &given);
    return over >= 0 ? over : tune_operands(&o, &given, argv, operands);
}

const tool_command tune_command = {
    "tune", "[PROBLEM ...] [--problems FILE] [options]",
    "Find the fastest configuration of problems on a device, and keep it.",
    "Every candidate's results are checked on the device before it is timed, in turn with the default. A candidate "
    "that crashes the "
    "driver, hangs or gives wrong results is named, recorded and never tried again; the run goes on. Ctrl-C ends with "
    "a table of what "
    "is known; --resume goes on, also after a crash of the machine.\n"
    "The columns: what the device takes by the cost model's default and as tuned; gain, the one divided by the other; "
    "the share that "
    "the tuned one reaches of what the device's measured peaks allow; candidates that were tried, gave wrong results, "
    "and crashed or "
    "hung; why the search ended; what is tuned. docs/tuning.md has the rest.\n"
    "With --json a line has the keys name, backend, device, driver, problem, base and best (the default and the "
    "winner), default_us, "
    "tuned_us, gain, spread, shares, counts, stop and failures; the last line is summary.\n"
    "Interrupted, or faults found with --verify-only: exit code 1.",
    run};
