// Tuning records: which of them a look-up finds, and threads that add, find, import and export at once.
#include "tuning_lines.h"

#include "../api/records.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void measured(void **state)
{
    (void)state;
    fake_context fake;
    upconv_tier tier;
    tuning_setup(&fake);
    const upc_problem problem = tuning_problem(UP2X "+relu");
    const upc_solver *solver = tuning_solver(&problem, &fake.context.facts);
    upc_config config, other;
    assert_true(tuning_find(&fake, UP2X "+relu", &tier) == 0);
    assert_true(tuning_config(solver, &problem, &fake.context.facts, 0, &config));
    assert_true(tuning_config(solver, &problem, &fake.context.facts, 1, &other));
    assert_int_equal(
        upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &config, 12.5, 20, 0.01),
        UPCONV_OK);
    assert_true(tuning_find(&fake, UP2X "+relu", &tier) == 12.5);
    assert_int_equal(tier, UPCONV_TIER_EXACT);
    // The faster of two; then a newer measurement of one and the same.
    assert_int_equal(
        upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &other, 11, 20, 0),
        UPCONV_OK);
    assert_true(tuning_find(&fake, UP2X "+relu", &tier) == 11);
    assert_int_equal(
        upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &other, 30, 0, 0),
        UPCONV_OK);
    upc_record record;
    assert_true(upc_tuning_find(fake.context.tuning, &problem, &fake.context.facts, NULL, &record));
    assert_true(record.time_us == 12.5);
    assert_ptr_equal(record.solver, solver);
    assert_memory_equal(record.config.value, config.value, sizeof(int32_t) * (size_t)solver->knob_count);
    // What cannot be a record is refused, and changes nothing.
    assert_int_equal(
        upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &config, 0, 0, 0),
        UPCONV_ERROR_INVALID);
    assert_true(tuning_find(&fake, UP2X "+relu", &tier) == 12.5);
    fake_file file = {0};
    tuning_exported(&fake, &file);
    assert_int_equal(tuning_lines(&file), 2);
    assert_non_null(
        strstr((char *)file.data, "\"time_us\":12.5,\"reference_us\":20,\"spread\":0.01,\"verdict\":\"ok\""));
    fake_file_finish(&file);
    tuning_finish(&fake);
}

static void tiers(void **state)
{
    (void)state;
    static const line_spec specs[] = {
        {.time_us = 40},
        {.time_us = 10, .driver = "turnip 23.0"},                              // faster, but another driver
        {.time_us = 5, .device = "Adreno 740"},                                // another device
        {.time_us = 20, .problem = "ic64oc32_ih64iw48_kh4sh2ph1"},             // twice the height
        {.time_us = 21, .problem = "ic64oc32_ih512iw48_kh4sh2ph1"},            // a different size altogether
        {.time_us = 22, .problem = "ic64oc32_ih32iw48_kh2sh2"},                // another kernel
        {.time_us = 23, .problem = "g64ic64oc64_ih32iw48_kh4sh2ph1"},          // depthwise
        {.time_us = 24, .problem = "ic64oc32_ih32iw96_kh3sh2", .driver = "x"}, // same class as nothing here
    };
    fake_context fake;
    upconv_tier tier;
    tuning_setup(&fake);
    tuning_import_specs(&fake, specs, UPC_COUNT(specs));
    assert_true(tuning_find(&fake, UP2X, &tier) == 40);
    assert_int_equal(tier, UPCONV_TIER_EXACT);
    assert_true(tuning_find(&fake, UP2X "+relu", &tier) == 40); // an activation is no distance
    assert_int_equal(tier, UPCONV_TIER_NEAREST);
    assert_true(tuning_find(&fake, UP2X "+residual", &tier) == 40); // nor is a residual, or a gap
    assert_int_equal(tier, UPCONV_TIER_NEAREST);
    assert_true(tuning_find(&fake, UP2X "+outpitch:0:0:0:99", &tier) == 40);
    assert_int_equal(tier, UPCONV_TIER_NEAREST);
    assert_true(tuning_find(&fake, UP2X "+f16", &tier) == 0); // other classes
    assert_true(tuning_find(&fake, UP2X "+in:nhwc", &tier) == 0);
    assert_true(tuning_find(&fake, UP2X "+out:nc4hw4", &tier) == 0);
    assert_true(tuning_find(&fake, "ic64oc32_ih60iw48_kh4sh2ph1", &tier) == 20);
    assert_int_equal(tier, UPCONV_TIER_NEAREST);
    assert_true(tuning_find(&fake, "ic64oc32_ih34iw48_kh4sh2ph0", &tier) == 40);
    assert_true(tuning_find(&fake, "ic64oc32_ih4096iw4096_kh4sh2ph1", &tier) == 0); // past the cut-off
    assert_true(tuning_find(&fake, "ic64oc32_ih32iw48_kh2sh2+tanh", &tier) == 22);
    assert_true(tuning_find(&fake, "g32ic32oc32_ih32iw48_kh4sh2ph1", &tier) == 23);
    assert_true(tuning_find(&fake, "g2ic64oc32_ih32iw48_kh4sh2ph1", &tier) == 0); // grouped, not depthwise
    assert_true(tuning_find(&fake, "ic64oc32_iw48_kw4sw2pw1", &tier) == 0);       // 1-D
    snprintf(fake.context.facts.info.driver, sizeof fake.context.facts.info.driver, "turnip 24.1");
    assert_true(tuning_find(&fake, UP2X, &tier) == 10);
    assert_int_equal(tier, UPCONV_TIER_DRIVER);
    assert_true(tuning_find(&fake, "ic64oc32_ih60iw48_kh4sh2ph1", &tier) == 20);
    assert_int_equal(tier, UPCONV_TIER_FAMILY); // nearest is for this driver only
    snprintf(fake.context.facts.info.driver, sizeof fake.context.facts.info.driver, "%s", TURNIP);
    fake.context.facts.info.device_id++; // another of its generation
    assert_true(tuning_find(&fake, UP2X, &tier) == 10);
    assert_int_equal(tier, UPCONV_TIER_FAMILY);
    fake.context.facts.info.device_id--;
    fake.context.facts.info.backend = UPCONV_BACKEND_OPENCL;
    assert_true(tuning_find(&fake, UP2X, &tier) == 0);
    tuning_finish(&fake);
}

// Kept and exported, but never a plan.
static void unusable(void **state)
{
    (void)state;
    static const line_spec specs[] = {
        {.solver = "winograd"}, {.version_step = 1},
        {.knobs = ""},          {.knobs = "\"nonsense\":1"},
        {.verdict = "wrong"},   {.verdict = "slow", .problem = "ic64oc32_ih64iw48_kh4sh2ph1"},
    };
    fake_context fake;
    upconv_tier tier;
    tuning_setup(&fake);
    tuning_import_specs(&fake, specs, UPC_COUNT(specs));
    assert_true(tuning_find(&fake, UP2X, &tier) == 0);
    fake_file file = {0};
    tuning_exported(&fake, &file);
    assert_int_equal(tuning_lines(&file), (int)UPC_COUNT(specs));
    fake_file_finish(&file);
    tuning_finish(&fake);
}

// Every value of every knob beyond its list, and configurations that are legal for one problem but not for
// another.
static void guarded(void **state)
{
    (void)state;
    fake_context fake;
    upconv_tier tier;
    tuning_setup(&fake);
    const upc_problem problem = tuning_problem(UP2X);
    const upc_solver *solver = tuning_solver(&problem, &fake.context.facts);
    upc_config guess;
    solver->guess(&problem, &fake.context.facts, &guess);
    for (int i = 0; i < solver->knob_count; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            upc_config config = guess;
            config.value[i] = sign * 1000003;
            const line_spec spec = {.config = &config};
            tuning_import_specs(&fake, &spec, 1);
            assert_true(tuning_find(&fake, UP2X, &tier) == 0);
        }
    upc_config config;
    char sentence[UPC_SENTENCE];
    const upc_problem small = tuning_problem("ic64oc4_ih32iw48_kh4sh2ph1");
    for (int n = 0; tuning_config(solver, &problem, &fake.context.facts, n, &config); n++) {
        const bool here = !solver->legal(&small, &fake.context.facts, &config, sentence);
        fake_context fresh;
        tuning_setup(&fresh);
        const line_spec spec = {.config = &config, .problem = "ic64oc16_ih32iw48_kh4sh2ph1"};
        tuning_import_specs(&fresh, &spec, 1);
        assert_int_equal(tuning_find(&fresh, "ic64oc4_ih32iw48_kh4sh2ph1", &tier) > 0, here);
        tuning_finish(&fresh);
        if (n > 20)
            break;
    }
    tuning_finish(&fake);
}

static void failures(void **state)
{
    (void)state;
    static const line_spec good = {.time_us = 40, .date = "2026-01-01"};
    static const line_spec crash = {.verdict = "crash", .date = "2026-02-01"};
    static const line_spec other_driver = {.time_us = 10, .driver = "older"};
    static const line_spec elsewhere = {.verdict = "crash", .problem = "ic64oc32_ih30iw48_kh4sh2ph1"};
    fake_context fake;
    upconv_tier tier;
    tuning_setup(&fake);
    tuning_import_specs(&fake, &good, 1);
    tuning_import_specs(&fake, &elsewhere,
                        1); // of its class: no reason to drop what was measured for this very problem
    assert_true(tuning_find(&fake, UP2X, &tier) == 40);
    assert_true(tuning_find(&fake, "ic64oc32_ih34iw48_kh4sh2ph1", &tier) == 0); // but too near for a guess
    tuning_import_specs(&fake, &crash, 1);
    assert_true(tuning_find(&fake, UP2X, &tier) == 0);
    tuning_import_specs(&fake, &other_driver, 1); // the same configuration, from before the driver broke it
    assert_true(tuning_find(&fake, UP2X, &tier) == 0);
    tuning_import_specs(&fake, &good, 1); // older than the crash: the order of files does not matter
    assert_true(tuning_find(&fake, UP2X, &tier) == 0);
    tuning_finish(&fake);
}

// A cost model to order: what it expects of the record's configuration, as a part of its default's time, here and at the problem
// of the record.
typedef struct expectation {
    const upc_facts *facts;
    const upc_solver *solver;
    upc_config config, by_default;
    double here, there;
} expectation;

static bool choose(const void *user, const upc_problem *problem, upc_choice *choice)
{
    const expectation *e = user;
    const double us = e->solver->cost_us(problem, e->facts, &e->config);
    *choice = (upc_choice){.solver = e->solver, .config = e->by_default, .predicted_us = us / e->here};
    const upc_problem measured_on = tuning_problem("ic64oc32_ih64iw48_kh4sh2ph1");
    if (upc_record_problem(problem) == upc_record_problem(&measured_on))
        choice->predicted_us = us / e->there;
    return true;
}

// What another problem's record promises beside the default.
static void expectations(void **state)
{
    (void)state;
    static const struct {
        double here, there;
        const char *reference, *query;
        bool same, found;
    } cases[] = {
        {0.90, 1.00, NULL, UP2X, false, true},  // by the model alone
        {1.00, 1.00, NULL, UP2X, false, false}, // no better: the default stays
        {1.10, 1.00, NULL, UP2X, false, false},
        {1.00, 1.00, NULL, UP2X, true, true},                                       // it is the default
        {0.90, 0.90, ",\"reference_us\":44", UP2X, false, true},                    // both say so
        {0.90, 0.50, ",\"reference_us\":40", UP2X, false, false},                   // measured, the model had been wrong
        {0.99, 0.99, ",\"reference_us\":46", UP2X, false, false},                   // measured: some gain, unlike the model
        {1.20, 1.00, ",\"reference_us\":80", UP2X, false, true},                    // much
        {5.00, 1.00, ",\"reference_us\":80", UP2X, false, false},                   // but far less fit here
        {5.00, 1.00, NULL, "ic64oc32_ih64iw48_kh4sh2ph1+relu", false, true},        // of the same sizes
        {5.00, 1.00, NULL, "ic64oc32_ih64iw48_kh4sh2ph1", false, true},             // the problem itself
    };
    for (size_t i = 0; i < UPC_COUNT(cases); i++) {
        fake_context fake;
        tuning_setup(&fake);
        const upc_problem problem = tuning_problem(cases[i].query);
        expectation e = {&fake.context.facts, tuning_solver(&problem, &fake.context.facts), {{0}}, {{0}}, cases[i].here,
                         cases[i].there};
        const upc_modeller modeller = {choose, &e};
        upc_record record;
        assert_true(tuning_config(e.solver, &problem, e.facts, 0, &e.config));
        assert_true(tuning_config(e.solver, &problem, e.facts, cases[i].same ? 0 : 1, &e.by_default));
        const line_spec spec = {
            .time_us = 40, .problem = "ic64oc32_ih64iw48_kh4sh2ph1", .config = &e.config, .extra = cases[i].reference};
        tuning_import_specs(&fake, &spec, 1);
        const bool found = upc_tuning_find(fake.context.tuning, &problem, e.facts, &modeller, &record);
        if (found != cases[i].found)
            fail_msg("case %zu: %s", i, found ? "found" : "not found");
        assert_true(!found || !memcmp(&record.config, &e.config, sizeof e.config));
        tuning_finish(&fake);
    }
}

typedef struct asker {
    expectation e;
    fake_context *fake;
    int asked;
} asker;

// A model that others look things up beside: a lock held meanwhile would never be had.
static bool ask(const void *user, const upc_problem *problem, upc_choice *choice)
{
    asker *a = *(asker *const *)user;
    upc_record record;
    a->asked++;
    (void)upc_tuning_find(a->fake->context.tuning, problem, a->e.facts, NULL, &record);
    return choose(&a->e, problem, choice);
}

// However many records of near problems promise too little, few are weighed; what need not be is found behind them.
static void many_that_promise_little(void **state)
{
    (void)state;
    enum { NEAR = 40 };
    fake_context fake;
    char names[NEAR][64];
    line_spec specs[NEAR];
    upc_config config;
    upc_record record;
    tuning_setup(&fake);
    const upc_problem problem = tuning_problem(UP2X);
    asker a = {{&fake.context.facts, tuning_solver(&problem, &fake.context.facts), {{0}}, {{0}}, 1, 1}, &fake, 0};
    asker *const self = &a;
    const upc_modeller modeller = {ask, &self};
    assert_true(tuning_config(a.e.solver, &problem, a.e.facts, 0, &a.e.config));
    assert_true(tuning_config(a.e.solver, &problem, a.e.facts, 1, &a.e.by_default));
    for (int i = 0; i < NEAR; i++) {
        snprintf(names[i], sizeof names[i], "ic64oc32_ih32iw%d_kh4sh2ph1", 49 + i);
        specs[i] = (line_spec){
            .time_us = 40, .problem = names[i], .config = &a.e.config, .extra = ",\"reference_us\":40"};
    }
    tuning_import_specs(&fake, specs, NEAR);
    assert_false(upc_tuning_find(fake.context.tuning, &problem, a.e.facts, &modeller, &record));
    assert_int_equal(a.asked, 1 + 16); // for the default, and for each that was weighed
    assert_true(tuning_config(a.e.solver, &problem, a.e.facts, 2, &config));
    const line_spec same_sizes = {.time_us = 7, .problem = UP2X "+relu", .config = &config, .driver = "turnip 23.0"};
    tuning_import_specs(&fake, &same_sizes, 1); // under another driver, so after all of those
    assert_true(upc_tuning_find(fake.context.tuning, &problem, a.e.facts, &modeller, &record));
    assert_true(record.time_us == 7);
    tuning_finish(&fake);
}

typedef struct thread_job {
    fake_context *fake;
    const char *text;
    size_t size;
    bool wrong;
} thread_job;

static int count_only(void *user, const void *data, size_t size)
{
    (void)data;
    *(size_t *)user += size;
    return 0;
}

static void *work(void *argument)
{
    thread_job *job = argument;
    upconv_context *context = &job->fake->context;
    const upc_problem problem = tuning_problem(UP2X);
    const upc_solver *solver = tuning_solver(&problem, &context->facts);
    upc_config config;
    solver->guess(&problem, &context->facts, &config);
    for (int i = 0; i < 60; i++) {
        upc_record record;
        size_t size = 0;
        bool ok = upc_tuning_add(context->tuning, &problem, &context->facts, solver, &config, i + 1, 0, 0) ==
                  UPCONV_OK;
        ok = ok && upc_tuning_find(context->tuning, &problem, &context->facts, NULL, &record) &&
             record.solver == solver;
        ok = ok && upconv_tuning_import(context, job->text, job->size) == UPCONV_OK;
        ok = ok && upconv_tuning_export(context, count_only, &size) == UPCONV_OK && size > job->size;
        job->wrong = job->wrong || !ok;
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    fake_context fake;
    tuning_setup(&fake);
    upc_string text;
    upc_string_init(&text, &fake.context.env);
    tuning_add_line(&text, &fake, &(line_spec){.device = "a"});
    tuning_add_line(&text, &fake, &(line_spec){.problem = "ic64oc32_ih64iw48_kh4sh2ph1"});
    pthread_t ids[4];
    thread_job jobs[4];
    for (size_t i = 0; i < UPC_COUNT(ids); i++) {
        jobs[i] = (thread_job){&fake, text.data, text.length, false};
        assert_int_equal(pthread_create(&ids[i], NULL, work, &jobs[i]), 0);
    }
    for (size_t i = 0; i < UPC_COUNT(ids); i++) {
        pthread_join(ids[i], NULL);
        assert_false(jobs[i].wrong);
    }
    fake_file file = {0};
    tuning_exported(&fake, &file);
    assert_int_equal(tuning_lines(&file), 3);
    fake_file_finish(&file);
    upc_string_finish(&text);
    tuning_finish(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measured), cmocka_unit_test(tiers),    cmocka_unit_test(unusable),
        cmocka_unit_test(guarded),  cmocka_unit_test(failures), cmocka_unit_test(threads),
        cmocka_unit_test(expectations), cmocka_unit_test(many_that_promise_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
