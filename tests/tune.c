// The tuner on a real device. tune BACKEND: verification sees what is wrong, times compare, runs list, verify, tune and
// take culprits over.
#include "testing.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../api/records.h"
#include "../api/tune/bed.h"

static upconv_backend backend;
static upconv_context *context;
static char journal_path[64], records_path[64];
static const char notation[] = "ic8oc4_ih6oh12kh4sh2ph1";

static void ok(upconv_status status)
{
    if (status)
        fail_msg("%s: %s", upconv_status_name(status), upconv_last_error());
}

static upc_problem canonical(const char *text)
{
    const upconv_problem given = test_problem(text);
    upc_problem problem;
    ok(upc_problem_from(&given, &problem));
    return problem;
}

static upc_bed *bed_of(const char *text)
{
    const upc_problem problem = canonical(text);
    upc_bed *bed = NULL;
    ok(upc_bed_create(context, &problem, &(upconv_plan_params){0}, false, -1, &bed));
    return bed;
}

static upconv_plan *plan_of(const upc_bed *bed, const char *text)
{
    const upconv_problem problem = test_problem(text);
    upconv_plan *plan = NULL;
    ok(upconv_plan_create(context, &problem, &bed->params, &plan));
    return plan;
}

// What the plan of one problem gives on the tensors of another. NULL: it is right.
static const char *verified(const char *bed_text, const char *plan_text)
{
    static char reason[UPC_SENTENCE];
    upc_bed *bed = bed_of(bed_text);
    upconv_plan *plan = plan_of(bed, plan_text);
    bool right = false;
    double us = 0;
    ok(upc_verify(bed, plan, &right, reason, &us));
    assert_true(us > 0);
    upconv_plan_destroy(plan);
    upc_bed_destroy(bed);
    return right ? NULL : reason;
}

static void verifies(void **state)
{
    (void)state;
    static const char *const kinds[] = {"",
                                        "+relu",
                                        "+prelu",
                                        "+gelu",
                                        "+f16",
                                        "+nhwc",
                                        "+nc4hw4+residual",
                                        "+residual_after+f16",
                                        "+outpitch:0:0:0:15",
                                        "+sigmoid+in:nc4hw4"};
    char text[128];
    for (size_t i = 0; i < UPC_COUNT(kinds); i++) {
        snprintf(text, sizeof text, "%s%s", notation, kinds[i]);
        const char *reason = verified(text, text);
        if (reason)
            fail_msg("%s: %s", text, reason);
    }
    static const struct {
        const char *plan, *reason;
    } wrong[] = {
        {"ic8oc4_ih6oh12kh4sh2ph1+relu", "it must be"},
        {"ic8oc4_ih6oh12kh4sh2ph0", "it must be"},
        {"ic8oc4_ih6oh11kh4sh2ph1_ow12", "the output at"},
        {"mb2_ic8oc4_ih6oh12kh4sh2ph1", "writes behind the output"},
    };
    for (size_t i = 0; i < UPC_COUNT(wrong); i++) {
        const char *reason = verified(notation, wrong[i].plan);
        if (!reason || !strstr(reason, wrong[i].reason))
            fail_msg("%s: \"%s\" does not say \"%s\"", wrong[i].plan, reason ? reason : "right", wrong[i].reason);
    }
}

// Of the same class, and other sizes; the reference does them all.
static void awkward_sizes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "ic64oc32_ih32oh64kh4sh2ph1",
        "g64ic64oc64_ih64oh128kh4sh2ph1",
        "g4ic64oc32_ih16kh3sh2ph1+f16+nhwc",
        "ic256oc128_iw64ow512kw16sw8pw4",
        "ic16oc16_id8od16kd2sd2pd0_ih16oh32kh2sh2ph0_iw16ow32kw2sw2pw0",
        "ic21oc21_ih11oh384kh64sh32ph0_iw9ow320",
        "ic8oc8_ih9oh30kh3sh2ph-2dh2+residual+outpitch:0:0:0:40",
        "ic100oc512_ih1oh4kh4sh1ph0",
        "mb8_ic256oc256_ih14oh28kh2sh2ph0+prelu",
        "conv:ic64oc32_ih64oh32kh4sh2ph1",
        "gradfilter:g4ic64oc32_ih16kh3sh2ph1+f16+nhwc",
        "resize:ic64_ih64oh128+linear",
        "resize:ic64_ih64oh21+scale:0.33+cubic+nc4hw4",
        "shuffle:ic64_ih64sh4+dcr",
        "zeros:ic64_ih64sh2ph1+relu",
        "pool:ic64_ih64kh3sh2ph1",
        "unpool:ic64_ih64oh130kh2sh2+index:image",
    };
    for (size_t i = 0; i < UPC_COUNT(texts); i++) {
        const upc_problem problem = canonical(texts[i]);
        upc_problem awkward;
        int count = 0;
        for (int index = 0; index < 8; index++) {
            if (!upc_awkward(&problem, index, &awkward))
                continue;
            count++;
            if (upc_record_class(&awkward) != upc_record_class(&problem))
                fail_msg("%s: shape %d is of another class", texts[i], index);
            assert_true(upc_record_problem(&awkward) != upc_record_problem(&problem));
            assert_true(awkward.act == problem.act && awkward.residual == problem.residual);
            assert_true(upc_output_elements(&awkward) < 4000000);
        }
        assert_true(count >= 3);
    }
}

static void benches(void **state)
{
    (void)state;
    upc_bed *bed = bed_of("ic16oc16_ih32oh64kh4sh2ph1");
    upconv_plan *plan = plan_of(bed, "ic16oc16_ih32oh64kh4sh2ph1");
    upc_outcome outcome = {.verdict = UPCONV_TUNE_GOOD};
    ok(upc_bench_settle(bed, plan, 100000000));
    for (int rung = 0; rung < UPC_RUNGS; rung++) {
        ok(upc_bench_pairs(bed, plan, plan, &upc_rungs[rung], &outcome));
        assert_in_range(outcome.samples, 3, upc_rungs[rung].pairs);
        assert_true(isfinite(outcome.ratio) && outcome.ratio > 0 && outcome.spread >= 0); // about 1 on an idle machine
        assert_true(outcome.time_us > 0 && outcome.reference_us > 0);
    }
    double temperature = -1, frequency = -1;
    upc_sensors(&temperature, &frequency);
    assert_true(temperature >= 0 && temperature < 200 && frequency >= 0 && frequency < 20000);
    upconv_plan_destroy(plan);
    upc_bed_destroy(bed);
}

// ---------------------------------------------------------------------------------------------------------------- runs

typedef struct listener {
    int kinds[UPCONV_TUNE_EVENT_COUNT], verdicts[UPCONV_TUNE_VERDICT_COUNT];
    int timed;
    char base[256];
} listener;

static int listen(void *user, const upconv_tune_event *event)
{
    listener *l = user;
    l->kinds[event->kind]++;
    if (event->kind == UPCONV_TUNE_TRIED || event->kind == UPCONV_TUNE_LISTED)
        l->verdicts[event->verdict]++;
    l->timed += event->samples > 0;
    if (event->kind == UPCONV_TUNE_PROBLEM_BEGIN)
        snprintf(l->base, sizeof l->base, "%s", event->candidate);
    return 0;
}

static upconv_status run(upconv_tune_params params, listener *l, upconv_tune_summary *summary)
{
    const upconv_problem problem = test_problem(notation);
    *l = (listener){0};
    *summary = (upconv_tune_summary){.struct_size = sizeof *summary};
    params.struct_size = sizeof params;
    params.problems = &problem;
    params.problem_count = 1;
    params.event = listen;
    params.user = l;
    params.summaries = summary;
    return upconv_tune(context, &params, NULL);
}

static void lists(void **state)
{
    (void)state;
    listener l;
    upconv_tune_summary summary;
    ok(run((upconv_tune_params){.dry_run = 1}, &l, &summary));
    assert_int_equal(l.kinds[UPCONV_TUNE_LISTED], summary.tried);
    assert_int_equal(l.kinds[UPCONV_TUNE_RUNNING] + l.kinds[UPCONV_TUNE_COMPILING] + l.timed, 0);
    assert_true(summary.counted && summary.tried >= summary.space && summary.stop == UPCONV_TUNE_STOP_EXHAUSTED);
    assert_true(summary.discarded > 0 || backend != UPCONV_BACKEND_CPU); // twins
}

static void only_verifies(void **state)
{
    (void)state;
    listener l;
    upconv_tune_summary summary;
    ok(run((upconv_tune_params){.verify_only = 1, .most = 4, .budget_ns = 60000000000}, &l, &summary));
    assert_int_equal(l.timed, 0);
    assert_int_equal(summary.tried, 4);
    assert_int_equal(summary.wrong + summary.crashed + summary.hung, 0);
    assert_true(l.kinds[UPCONV_TUNE_RUNNING] >= 2);
}

// Timed again, in turn with the default: what the search says it gained is there. Small kernels on a busy machine: the bound is wide.
static void winner_is_no_slower(const upconv_tune_summary *summary)
{
    upc_bed *bed = bed_of(notation);
    upconv_plan_params params[2] = {bed->params, bed->params};
    upconv_plan *plan[2] = {NULL, NULL};
    upc_outcome outcome = {.verdict = UPCONV_TUNE_GOOD};
    const upconv_problem problem = test_problem(notation);
    params[0].solver = summary->best;
    params[1].solver = summary->base;
    for (int i = 0; i < 2; i++)
        ok(upconv_plan_create(context, &problem, &params[i], &plan[i]));
    ok(upc_bench_settle(bed, plan[1], 100000000));
    ok(upc_bench_pairs(bed, plan[0], plan[1], &upc_rungs[UPC_RUNGS - 1], &outcome));
    if (strcmp(summary->best, summary->base) && (outcome.ratio > 1.5 || outcome.ratio * summary->gain > 2.5))
        fail_msg("%s took %.2f times as long as the default, %s, by which it was to gain %.2f", summary->best,
                 outcome.ratio, summary->base, summary->gain);
    for (int i = 0; i < 2; i++)
        upconv_plan_destroy(plan[i]);
    upc_bed_destroy(bed);
}

static void tunes(void **state)
{
    (void)state;
    const upconv_tune_params params = {
        .most = 6, .budget_ns = 120000000000, .journal = journal_path, .records = records_path};
    listener l;
    upconv_tune_summary summary, again;
    ok(run(params, &l, &summary));
    assert_true(summary.best[0] && summary.default_us > 0 && summary.tuned_us > 0);
    assert_int_equal(summary.wrong + summary.crashed + summary.hung, 0);
    assert_int_equal(summary.tried, 6);
    assert_true(fabs(summary.gain - summary.default_us / summary.tuned_us) < 1e-9 * summary.gain);
    winner_is_no_slower(&summary);
    assert_true(summary.roofline_us > 0 && summary.tuned_share > 0);
    assert_true(l.kinds[UPCONV_TUNE_BEST] >= 1 && l.timed >= 1);
    const upconv_problem problem = test_problem(notation);
    upconv_plan *plan = NULL;
    upconv_plan_info info = {sizeof info};
    char winner[256];
    ok(upconv_plan_create(context, &problem, &(upconv_plan_params){.effort = UPCONV_KNOWN}, &plan));
    ok(upconv_plan_info_get(plan, &info));
    assert_int_equal(info.tier, UPCONV_TIER_EXACT);
    snprintf(winner, sizeof winner, "%s%s%s", info.solver, info.config[0] ? ":" : "", info.config);
    assert_string_equal(winner, summary.best);
    upconv_plan_destroy(plan);
    ok(run(params, &l, &again));
    assert_int_equal(again.known, again.tried);
    assert_string_equal(again.best, summary.best);
    assert_true(again.tuned_us == summary.tuned_us);
}

// The process went down while the default was run: it is recorded as crashed, and the next guess is the default.
static void takes_culprits(void **state)
{
    (void)state;
    const upconv_tune_params params = {
        .most = 2, .budget_ns = 120000000000, .journal = journal_path, .records = records_path};
    listener l;
    upconv_tune_summary summary;
    unlink(journal_path);
    unlink(records_path);
    ok(run(params, &l, &summary));
    char problem[512], culprit[256];
    snprintf(problem, sizeof problem, "%s", summary.problem);
    snprintf(culprit, sizeof culprit, "%s", l.base);
    FILE *file = fopen(journal_path, "a");
    assert_non_null(file);
    fprintf(file,
            "{\"about\":\"run\",\"stage\":\"time\",\"problem\":\"%s\",\"candidate\":\"%s\",\"rung\":2,\"pid\":1}\n",
            problem, culprit);
    fclose(file);
    ok(run(params, &l, &summary));
    assert_string_equal(l.base, culprit);
    assert_int_equal(summary.crashed, 1);
    if (strcmp(culprit, "reference")) { // the CPU may have nothing else
        assert_string_not_equal(summary.base, culprit);
        assert_true(summary.best[0] && strcmp(summary.best, culprit));
    }
    size_t size = 0;
    upc_env env;
    upc_env_init(&env, NULL);
    char *records = upc_read_file(&env, records_path, &size);
    assert_non_null(records);
    assert_non_null(strstr(records, "\"verdict\":\"crash\""));
    upc_free(&env, records);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(journal_path, sizeof journal_path, "tune.%ld.journal", (long)getpid());
    snprintf(records_path, sizeof records_path, "tune.%ld.jsonl", (long)getpid());
    return test_context_create(backend, NULL, &context);
}

static int tear_down(void **state)
{
    (void)state;
    upconv_context_destroy(context);
    context = NULL;
    unlink(journal_path);
    unlink(records_path);
    return 0;
}

int main(int argc, char **argv)
{
    char why[512];
    if (argc != 2 || !test_backend_parse(argv[1], &backend)) {
        printf("usage: tune BACKEND\n");
        return 2;
    }
    if (!test_backend_present(backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return test_report(0, 0, 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(verifies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(awkward_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(benches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_verifies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tunes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(takes_culprits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
