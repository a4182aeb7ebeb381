// An app that tunes: only the public headers, its own thread that changes its mind, and records that the next start
// uses.
//   tune_app BACKEND
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <upconv/upconv_tune.h>

#include "leaks.h"

enum { LAYERS = 2 };

static const char *const layers[LAYERS] = {"ic16oc8_ih16oh32kh4sh2ph1+relu", "ic8oc16_ih24oh48kh2sh2"};
static char journal[64], records[64];
static upconv_backend backend;
static int passed, failed;

static void check(int right, const char *what)
{
    right ? passed++ : failed++;
    if (!right)
        printf("FAILED %s (%s)\n", what, upconv_last_error());
}

// The part of an app that shows progress, with a button.
typedef struct screen {
    _Atomic int stop; // the button
    _Atomic int tried, begun, ended, best;
    _Atomic int outside; // events beyond the run's begin and end
    int stop_after;      // candidates, for a test without a finger; 0: none
    char default_solver[64];
} screen;

static int on_event(void *user, const upconv_tune_event *event)
{
    screen *s = user;
    s->begun += event->kind == UPCONV_TUNE_PROBLEM_BEGIN;
    s->ended += event->kind == UPCONV_TUNE_PROBLEM_END;
    s->best += event->kind == UPCONV_TUNE_BEST;
    s->tried += event->kind == UPCONV_TUNE_TRIED && !event->known;
    s->outside += event->problem > event->problems;
    return s->stop || (s->stop_after && s->tried >= s->stop_after);
}

static upconv_context *open_context(void)
{
    upconv_context *context = NULL;
    const upconv_context_params params = {.struct_size = sizeof params, .backend = backend};
    check(upconv_context_create(&params, &context) == UPCONV_OK, "a context");
    return context;
}

static void parse(upconv_problem problems[LAYERS])
{
    memset(problems, 0, LAYERS * sizeof *problems);
    for (int i = 0; i < LAYERS; i++) {
        problems[i].struct_size = sizeof problems[i];
        check(upconv_problem_parse(layers[i], &problems[i], NULL) == UPCONV_OK, layers[i]);
    }
}

static upconv_status tune(upconv_context *context, screen *s, uint32_t most, upconv_tune_summary summaries[LAYERS],
                          upconv_tune_result *result)
{
    upconv_problem problems[LAYERS];
    parse(problems);
    memset(summaries, 0, LAYERS * sizeof *summaries);
    summaries[0].struct_size = sizeof summaries[0];
    result->struct_size = sizeof *result;
    const upconv_tune_params params = {.struct_size = sizeof params,
                                       .problems = problems,
                                       .problem_count = LAYERS,
                                       .budget_ns = 120000000000,
                                       .most = most,
                                       .journal = journal,
                                       .records = records,
                                       .event = on_event,
                                       .user = s,
                                       .summaries = summaries};
    return upconv_tune(context, &params, result);
}

// One plan of each layer, as the app makes them at its next start: no measurement, by what the records say.
static void plan_all(upconv_context *context, upconv_tier tier)
{
    upconv_problem problems[LAYERS];
    parse(problems);
    for (int i = 0; i < LAYERS; i++) {
        upconv_sizes sizes = {.struct_size = sizeof sizes};
        upconv_plan *plan = NULL;
        upconv_plan_info info = {.struct_size = sizeof info};
        check(upconv_problem_sizes(&problems[i], &sizes) == UPCONV_OK, "sizes");
        float *weights = calloc(1, (size_t)sizes.weights_bytes), *in = calloc(1, (size_t)sizes.input_bytes);
        float *out = malloc((size_t)sizes.output_bytes);
        for (uint64_t w = 0; w < sizes.weights_elements; w++)
            weights[w] = 1;
        in[0] = 1;
        const upconv_plan_params params = {.struct_size = sizeof params, .weights = weights};
        check(upconv_plan_create(context, &problems[i], &params, &plan) == UPCONV_OK, "a plan");
        check(upconv_plan_info_get(plan, &info) == UPCONV_OK && info.tier == tier, "its tier");
        check(upconv_execute(plan, in, out) == UPCONV_OK, "its execution");
        double sum = 0; // of one input and weights of 1: a window of ones in every channel
        for (uint64_t o = 0; o < sizes.output_elements; o++)
            sum += (double)out[o];
        const int taps = problems[i].pad[0] ? 3 * 3 : 2 * 2; // the first row and column are cut off
        check(sum == (double)(taps * problems[i].out_channels), "its result");
        upconv_plan_destroy(plan);
        free(weights);
        free(in);
        free(out);
    }
}

// Cancelled after some candidates: it ends cleanly, with a winner of what is known.
static void cancelled(void)
{
    screen s = {.stop_after = 2};
    upconv_tune_summary summaries[LAYERS];
    upconv_tune_result result = {0};
    upconv_context *context = open_context();
    check(tune(context, &s, 6, summaries, &result) == UPCONV_OK, "a run that is cancelled");
    check(result.stop == UPCONV_TUNE_STOP_CANCELLED && s.tried == 2, "stops at once");
    check(summaries[0].best[0] && summaries[0].gain >= 1, "has a winner");
    check(summaries[LAYERS - 1].stop == UPCONV_TUNE_STOP_CANCELLED, "of what came to its end");
    check(s.begun == s.ended, "ends what it began");
    upconv_context_destroy(context);
}

// The next run goes on where that one was; a third has nothing left to do.
static void resumed(void)
{
    upconv_tune_summary summaries[LAYERS], again[LAYERS];
    upconv_tune_result result = {0};
    screen s = {0}, t = {0};
    upconv_context *context = open_context();
    check(tune(context, &s, 6, summaries, &result) == UPCONV_OK && result.problems == LAYERS, "a run that goes on");
    check(summaries[0].known >= 1 && s.best >= LAYERS && !s.outside, "knows what was tried");
    plan_all(context, UPCONV_TIER_EXACT);
    check(tune(context, &t, 6, again, &result) == UPCONV_OK && t.tried == 0, "a run with nothing left to do");
    for (int i = 0; i < LAYERS; i++)
        check(!strcmp(summaries[i].best, again[i].best) && again[i].known == again[i].tried, "comes to the same");
    upconv_context_destroy(context);
}

// Another start of the app: records from its file, and nothing is measured.
static void next_start(void)
{
    static char text[1 << 20];
    upconv_context *context = open_context();
    upconv_counters counters = {.struct_size = sizeof counters};
    FILE *file = fopen(records, "rb");
    const size_t size = file ? fread(text, 1, sizeof text, file) : 0;
    if (file)
        fclose(file);
    check(upconv_tuning_import(context, text, size) == UPCONV_OK, "the records");
    plan_all(context, UPCONV_TIER_EXACT);
    check(upconv_context_counters(context, &counters) == UPCONV_OK && counters.submissions == LAYERS,
          "nothing else ran");
    upconv_context_destroy(context);
}

static void *press(void *user)
{
    const struct timespec pause = {0, 300000000};
    nanosleep(&pause, NULL);
    ((screen *)user)->stop = 1;
    return NULL;
}

// The button is pressed by another thread while a long search is under way.
static void pressed(void)
{
    screen s = {0};
    upconv_tune_summary summaries[LAYERS];
    upconv_tune_result result = {0};
    pthread_t finger;
    upconv_context *context = open_context();
    unlink(journal);
    check(!pthread_create(&finger, NULL, press, &s), "a thread");
    check(tune(context, &s, 0, summaries, &result) == UPCONV_OK, "a run that is stopped by hand");
    check(result.stop == UPCONV_TUNE_STOP_CANCELLED, "is cancelled");
    pthread_join(finger, NULL);
    upconv_context_destroy(context);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"any", "vulkan", "opencl", "cpu"};
    upconv_context *context = NULL;
    for (int i = 0; argc > 1 && i < UPCONV_BACKEND_COUNT; i++)
        if (!strcmp(argv[1], names[i]))
            backend = (upconv_backend)i;
    snprintf(journal, sizeof journal, "tune_app.%ld.journal", (long)getpid());
    snprintf(records, sizeof records, "tune_app.%ld.jsonl", (long)getpid());
    if (upconv_context_create(
            &(upconv_context_params){.struct_size = sizeof(upconv_context_params), .backend = backend}, &context)) {
        printf("SKIPPED %s\n0 passed, 0 failed, 1 skipped\n", upconv_last_error());
        return 0;
    }
    test_leaks_keep_drivers();
    upconv_context_destroy(context);
    cancelled();
    resumed();
    next_start();
    pressed();
    unlink(journal);
    unlink(records);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
