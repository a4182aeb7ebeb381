// Whole runs of upconv_tune on recorded spaces: no device is used, so runs are the same every time, wherever they were
// interrupted.
#include "testing.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <upconv/upconv_tune.h>

static upconv_context *context;
static char space_path[64], journal_path[64], records_path[64];
static upconv_problem problems[2];
static const char *const notations[2] = {"ic64oc32_ih14oh28kh4sh2ph1", "ic16oc16_ih64oh128kh2sh2"};

static void ok(upconv_status status)
{
    if (status)
        fail_msg("%s: %s", upconv_status_name(status), upconv_last_error());
}

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 22);
    assert_non_null(text);
    *size = file ? fread(text, 1, (1 << 22) - 1, file) : 0;
    if (file)
        fclose(file);
    return text;
}

static void write_file(const char *path, const char *text, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

// ---------------------------------------------------------------------------------------------------- a recorded space

static void record_one(FILE *file, const char *problem, const char *candidate, const char *verdict, double ratio)
{
    fprintf(file,
            "{\"done\":\"%s\",\"problem\":\"%s\",\"candidate\":\"%s\",\"rung\":1,\"ratio\":%.4f,\"spread\":0.004,"
            "\"time_us\":%.2f,\"reference_us\":500,\"predicted_us\":%.1f,\"samples\":11,\"cost_ns\":%d}\n",
            verdict, problem, candidate, ratio, 500 * ratio, 450 * ratio * ratio, 300000000);
}

// Three solvers of 96 candidates each, with valleys; some are wrong, one crashed, one hung.
static void record_problem(FILE *file, const char *notation, int shift)
{
    char problem[256];
    upconv_problem parsed = test_problem(notation);
    ok(upconv_problem_print(&parsed, problem, sizeof problem, NULL));
    fprintf(file,
            "{\"begin\":\"%s\",\"base\":\"beta:tile=2,oc=8,x=1\",\"guesses\":[\"beta:tile=2,oc=8,x=1\","
            "\"alpha:tile=1,oc=4,x=4\",\"gamma:tile=8,oc=4,x=2\"]}\n",
            problem);
    static const char *const names[] = {"alpha", "beta", "gamma"};
    for (int s = 0; s < 3; s++)
        for (int tile = 1; tile <= 8; tile++)
            for (int oc = 4; oc <= 16; oc *= 2)
                for (int x = 1; x <= 8; x *= 2) {
                    char candidate[64];
                    snprintf(candidate, sizeof candidate, "%s:tile=%d,oc=%d,x=%d", names[s], tile, oc, x);
                    const int off = abs(tile - 6 + shift) * 3 + abs(oc - 8) / 2 + abs(x - 4) + 5 * s;
                    const uint64_t hash = upc_hash(candidate, strlen(candidate), (uint64_t)shift);
                    const bool base = s == 1 && tile == 2 && oc == 8 && x == 1;
                    const char *verdict = base             ? "good"
                                          : hash % 29 == 0 ? "wrong"
                                          : hash % 97 == 0 ? "crash"
                                          : hash % 89 == 0 ? "hang"
                                                           : "good";
                    record_one(file, problem, candidate, verdict,
                               base ? 1 : 0.6 + off * 0.03 + (double)(hash % 100) / 5000);
                }
}

static int set_up_all(void **state)
{
    (void)state;
    const long pid = (long)getpid();
    snprintf(space_path, sizeof space_path, "unit_tune_replay.%ld.space", pid);
    snprintf(journal_path, sizeof journal_path, "unit_tune_replay.%ld.journal", pid);
    snprintf(records_path, sizeof records_path, "unit_tune_replay.%ld.records", pid);
    FILE *file = fopen(space_path, "w");
    if (!file)
        return -1;
    fputs("{\"journal\":1,\"backend\":\"vulkan\",\"device\":\"a GPU\",\"driver\":\"its "
          "driver\",\"vendor_id\":1,\"device_id\":2}\n",
          file);
    for (int i = 0; i < 2; i++) {
        problems[i] = test_problem(notations[i]);
        record_problem(file, notations[i], i);
    }
    fclose(file);
    return upconv_context_create(&(upconv_context_params){.backend = UPCONV_BACKEND_CPU}, &context);
}

static int tear_down_all(void **state)
{
    (void)state;
    upconv_context_destroy(context);
    unlink(space_path);
    unlink(journal_path);
    unlink(records_path);
    return 0;
}

// ---------------------------------------------------------------------------------------------------------------- runs

typedef struct outcome {
    upconv_tune_summary summaries[2];
    upconv_tune_result result;
} outcome;

typedef struct listener {
    int events, stop_at; // the event that is answered with a no, from 1; 0: none
    int kinds[UPCONV_TUNE_EVENT_COUNT];
} listener;

static int listen(void *user, const upconv_tune_event *event)
{
    listener *l = user;
    assert_in_range(event->kind, 0, UPCONV_TUNE_EVENT_COUNT - 1);
    assert_int_equal(event->summary == NULL,
                     event->kind == UPCONV_TUNE_RUN_BEGIN || event->kind == UPCONV_TUNE_RUN_END);
    assert_true(event->kind != UPCONV_TUNE_TRIED || (event->verdict != UPCONV_TUNE_NONE && event->candidate[0]));
    l->kinds[event->kind]++;
    return ++l->events == l->stop_at;
}

static void run(upconv_tune_params params, listener *l, outcome *o)
{
    memset(o, 0, sizeof *o);
    o->summaries[0].struct_size = sizeof o->summaries[0];
    params.struct_size = sizeof params;
    params.problems = params.problems ? params.problems : problems;
    params.problem_count = params.problem_count ? params.problem_count : 2;
    params.replay = space_path;
    params.summaries = o->summaries;
    params.event = listen;
    params.user = l;
    ok(upconv_tune(context, &params, &o->result));
}

static void same_winners(const outcome *a, const outcome *b)
{
    for (int i = 0; i < 2; i++) {
        assert_string_equal(a->summaries[i].best, b->summaries[i].best);
        assert_true(a->summaries[i].tuned_us == b->summaries[i].tuned_us);
        assert_int_equal(a->summaries[i].tried, b->summaries[i].tried);
        assert_int_equal(a->summaries[i].wrong, b->summaries[i].wrong);
        assert_int_equal(a->summaries[i].stop, b->summaries[i].stop);
        assert_true(a->summaries[i].spent_ns == b->summaries[i].spent_ns);
    }
    assert_true(a->result.gain == b->result.gain && a->result.spent_ns == b->result.spent_ns);
}

static const upconv_tune_params kinds[] = {
    {.budget_ns = UPCONV_TUNE_EXHAUSTIVE},
    {.budget_ns = 30000000000},
    {.budget_ns = 1000000000000},
    {.budget_ns = 20000000000, .strategy = "random", .seed = 5},
    {.most = 12},
    {.space = "alpha;beta:x=1|2"},
};

static void repeats(void **state)
{
    (void)state;
    for (size_t i = 0; i < UPC_COUNT(kinds); i++) {
        outcome first, second;
        listener l = {0}, m = {0};
        unlink(journal_path);
        run(kinds[i], &l, &first);
        run(kinds[i], &m, &second);
        same_winners(&first, &second);
        assert_memory_equal(&l, &m, sizeof l);
        assert_int_equal(first.result.problems, 2);
        assert_int_equal(l.kinds[UPCONV_TUNE_PROBLEM_END], 2);
        assert_int_equal(l.kinds[UPCONV_TUNE_RUN_END], 1);
        for (int p = 0; p < 2; p++) {
            const upconv_tune_summary *s = &first.summaries[p];
            assert_int_equal(s->tried, s->good + s->slow + s->discarded + s->wrong + s->refused + s->crashed + s->hung);
            assert_true(s->gain >= 1 && s->default_us == 500);
            assert_string_equal(s->base, "beta:tile=2,oc=8,x=1");
            assert_true(!kinds[i].most || (s->tried == kinds[i].most && s->stop == UPCONV_TUNE_STOP_MOST));
        }
    }
}

static void exhausts(void **state)
{
    (void)state;
    outcome all, some;
    listener l = {0};
    run(kinds[0], &l, &all);
    run(kinds[2], &l, &some);
    for (int p = 0; p < 2; p++) {
        assert_int_equal(all.summaries[p].stop, UPCONV_TUNE_STOP_EXHAUSTED);
        assert_int_equal(all.summaries[p].tried, 288);
        assert_true(all.summaries[p].counted && all.summaries[p].space == 288);
        assert_int_equal(some.summaries[p].stop, UPCONV_TUNE_STOP_NO_IMPROVEMENT);
        assert_true(some.summaries[p].tried < 200);
        assert_true(some.summaries[p].tuned_us <= all.summaries[p].tuned_us * 1.02);
    }
}

// ------------------------------------------------------------------------------------------------------- interruptions

// Lines in order of their bytes, but for their dates, which are all the same here.
static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static char *sorted_records(void)
{
    size_t size, count = 0, length = 0;
    char *text = read_file(records_path, &size), *lines[4096], *out = calloc(1, size + 2);
    assert_non_null(out);
    for (char *at = strtok(text, "\n"); at && count < UPC_COUNT(lines); at = strtok(NULL, "\n"))
        if (at[strlen(at) - 1] == '}') // of a torn line nothing is expected
            lines[count++] = at;
    qsort(lines, count, sizeof *lines, by_text);
    for (size_t i = 0; i < count; i++)
        length += (size_t)sprintf(out + length, "%s\n", lines[i]);
    free(text);
    return out;
}

// A journal that was cut anywhere, and records that were cut where they were then, end as if nothing had happened.
static void resumes(void **state)
{
    (void)state;
    const upconv_tune_params params = {.budget_ns = 60000000000, .journal = journal_path, .records = records_path};
    outcome whole, again;
    listener l = {0};
    size_t size, records_size;
    unlink(journal_path);
    unlink(records_path);
    run(params, &l, &whole);
    char *journal = read_file(journal_path, &size), *records = read_file(records_path, &records_size);
    char *expected = sorted_records();
    assert_true(strstr(expected, "\"verdict\":\"ok\"") && strstr(expected, "\"verdict\":\"wrong\""));
    assert_true(strstr(expected, "\"device\":\"a GPU\""));
    test_random random = {1};
    for (int i = 0; i < 120; i++) {
        const size_t cut = i == 0 ? size : i == 1 ? 0 : (size_t)(test_bits(&random) % size);
        write_file(journal_path, journal, cut);
        // of the records at least what the journal says to have been done, because the journal is first: here nothing,
        // or all
        write_file(records_path, records,
                   test_chance(&random, 50) ? 0 : (size_t)(test_bits(&random) % (records_size + 1)));
        listener m = {0};
        run(params, &m, &again);
        same_winners(&whole, &again);
        if (cut == size) {
            assert_int_equal(m.kinds[UPCONV_TUNE_COMPILING] + m.kinds[UPCONV_TUNE_RUNNING], 0);
            assert_int_equal(again.summaries[0].known, again.summaries[0].tried);
        }
        char *found = sorted_records();
        assert_string_equal(found, expected);
        free(found);
    }
    free(journal);
    free(records);
    free(expected);
}

// Told to stop at any event, a run says what is known so far, and the next one goes on.
static void cancels(void **state)
{
    (void)state;
    const upconv_tune_params params = {.budget_ns = 60000000000, .journal = journal_path};
    outcome whole, part, rest;
    listener l = {0};
    unlink(journal_path);
    run(params, &l, &whole);
    for (int stop = 1; stop < l.events; stop += 7) {
        listener m = {.stop_at = stop}, n = {0};
        unlink(journal_path);
        run(params, &m, &part);
        if (stop < l.events - 1) // told so when all is done, nothing is cancelled
            assert_int_equal(part.result.stop, UPCONV_TUNE_STOP_CANCELLED);
        assert_int_equal(m.kinds[UPCONV_TUNE_PROBLEM_END], m.kinds[UPCONV_TUNE_PROBLEM_BEGIN]);
        assert_int_equal(m.kinds[UPCONV_TUNE_RUN_END], 1);
        assert_true(m.kinds[UPCONV_TUNE_COMPILING] + m.kinds[UPCONV_TUNE_RUNNING] <= stop);
        run(params, &n, &rest);
        same_winners(&whole, &rest);
    }
}

static void failures(void **state)
{
    (void)state;
    const upconv_problem other = test_problem("ic4oc4_ih4kh3");
    const upconv_tune_params good = {.problems = problems, .problem_count = 2, .replay = space_path};
    upconv_tune_params bad[10];
    const upconv_status expected[] = {
        UPCONV_ERROR_INVALID, UPCONV_ERROR_INVALID, UPCONV_ERROR_INVALID, UPCONV_ERROR_INVALID, UPCONV_ERROR_INVALID,
        UPCONV_ERROR_INVALID, UPCONV_ERROR_DATA,    UPCONV_ERROR_DATA,    UPCONV_ERROR_DATA,    UPCONV_ERROR_DATA};
    for (size_t i = 0; i < UPC_COUNT(bad); i++)
        bad[i] = good;
    bad[0].problem_count = 0;
    bad[1].budget_ns = -2;
    bad[2].strategy = "luck";
    bad[3].space = "delta";
    bad[4].dry_run = 1;
    bad[5].run_timeout_ns = -1;
    bad[6].problems = &other;
    bad[6].problem_count = 1;
    bad[7].replay = "no such file";
    bad[8].journal = "no such folder/file";
    bad[9].replay = "/dev/null";
    for (size_t i = 0; i < UPC_COUNT(bad); i++) {
        assert_int_equal(upconv_tune(context, &bad[i], NULL), expected[i]);
        assert_true(upconv_last_error()[0]);
    }
    assert_int_equal(upconv_tune(NULL, &good, NULL), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_tune(context, NULL, NULL), UPCONV_ERROR_INVALID);
    upconv_tune_params newer[2] = {good};
    newer[0].struct_size = sizeof newer[0] + 8;
    memset(&newer[1], 1, 8);
    assert_int_equal(upconv_tune(context, newer, NULL), UPCONV_ERROR_INVALID);
}

// Tuning records as a space: the default is what was as fast as its own reference.
static void of_records(void **state)
{
    (void)state;
    static const char line[] =
        "{\"format\":1,\"backend\":\"vulkan\",\"device\":\"d\",\"vendor_id\":1,\"device_id\":1,\"driver\":\"1\","
        "\"problem\":\"%s\",\"type\":\"f32\",\"solver\":\"alpha\",\"solver_version\":1,\"config\":{\"tile\":%d},"
        "\"time_us\":%d,\"reference_us\":100,\"verdict\":\"%s\"}\n";
    char problem[256], path[80];
    ok(upconv_problem_print(&problems[0], problem, sizeof problem, NULL));
    snprintf(path, sizeof path, "%s.records", space_path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int tile = 1; tile <= 8; tile++)
        fprintf(file, line, problem, tile, 60 + 10 * abs(tile - 6), tile == 6 ? "wrong" : "ok");
    fclose(file);
    const upconv_tune_params params = {
        .problems = problems, .problem_count = 1, .replay = path, .strategy = "exhaustive"};
    upconv_tune_summary summary = {.struct_size = sizeof summary};
    upconv_tune_params with = params;
    with.summaries = &summary;
    ok(upconv_tune(context, &with, NULL));
    unlink(path);
    assert_string_equal(summary.base, "alpha:tile=2");
    assert_true(!strcmp(summary.best, "alpha:tile=5") || !strcmp(summary.best, "alpha:tile=7"));
    assert_int_equal(summary.wrong, 1);
}

// What could not be read of a space is left out of it, whatever it is.
static void odd_spaces(void **state)
{
    (void)state;
    static const char *const odd[] = {"omega:x",
                                      "omega:=1",
                                      "omega:x=1,y",
                                      "a_solver_with_a_name_of_far_more_than_31_letters:x=1",
                                      "omega:a_knob_of_more_than_15=1",
                                      "omega:",
                                      ":",
                                      "omega:x=1,x=1"};
    const char *const strategies[] = {"descent", "random", "exhaustive"};
    char problem[256], path[80];
    ok(upconv_problem_print(&problems[0], problem, sizeof problem, NULL));
    snprintf(path, sizeof path, "%s.odd", space_path);
    for (size_t i = 0; i < UPC_COUNT(odd); i++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        record_one(file, problem, odd[i], "good", 1);
        record_one(file, problem, "alpha:tile=1", "good", 0.9);
        record_one(file, problem, "alpha:tile=2", "good", 0.8);
        fclose(file);
        for (size_t s = 0; s < UPC_COUNT(strategies); s++) {
            upconv_tune_summary summary = {.struct_size = sizeof summary};
            const upconv_tune_params params = {.problems = problems,
                                               .problem_count = 1,
                                               .replay = path,
                                               .summaries = &summary,
                                               .strategy = strategies[s]};
            ok(upconv_tune(context, &params, NULL));
            assert_true(summary.tried >= 2 && summary.best[0]);
        }
    }
    unlink(path);
}

// A device that grew slower meanwhile has not gained by it: both times of a record are of one moment.
static void drifts(void **state)
{
    (void)state;
    char problem[256], path[80];
    size_t size;
    ok(upconv_problem_print(&problems[0], problem, sizeof problem, NULL));
    snprintf(path, sizeof path, "%s.drift", space_path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    record_one(file, problem, "alpha:tile=1", "good", 1);
    fprintf(
        file,
        "{\"done\":\"good\",\"problem\":\"%s\",\"candidate\":\"alpha:tile=2\",\"rung\":2,\"ratio\":0.8,\"samples\":41,"
        "\"time_us\":1600,\"reference_us\":2000}\n",
        problem);
    fclose(file);
    unlink(records_path);
    ok(upconv_tune(
        context,
        &(upconv_tune_params){.problems = problems, .problem_count = 1, .replay = path, .records = records_path},
        NULL));
    unlink(path);
    char *records = read_file(records_path, &size), *last = strstr(records, "\"config\":{\"tile\":2}");
    assert_true(last && strstr(last, "\"time_us\":400,\"reference_us\":500,"));
    free(records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats),    cmocka_unit_test(exhausts), cmocka_unit_test(resumes),
        cmocka_unit_test(cancels),    cmocka_unit_test(failures), cmocka_unit_test(of_records),
        cmocka_unit_test(odd_spaces), cmocka_unit_test(drifts),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
