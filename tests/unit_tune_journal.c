// The tuner's journal: what survives in it, what a torn or foreign line costs, and who is to blame for what did not
// end.
#include "../api/tune/journal.h"
#include "testing.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];
static upc_env env;

static void ok(upconv_status status)
{
    if (status)
        fail_msg("%s: %s", upconv_status_name(status), upconv_last_error());
}

static int set_up(void **state)
{
    (void)state;
    upc_env_init(&env, NULL);
    snprintf(path, sizeof path, "unit_tune_journal.%ld", (long)getpid());
    unlink(path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static const upconv_device_info device = {
    .backend = UPCONV_BACKEND_OPENCL, .name = "a \"device\"\n\xff", .driver = "1.0"};
static const upc_journal_params plain = {
    .path = path, .info = &device, .identity = 7, .mode = 1, .strategy = "descent"};
static const upc_journal_about first = {"ic8oc8_ih12kh4", "phase:tile=4", "verify", true, 0};

static upc_journal *opened(const upc_journal_params *params)
{
    upc_journal *journal = NULL;
    ok(upc_journal_open(&env, params, &journal));
    return journal;
}

static void append(const char *text)
{
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int lines(void)
{
    FILE *file = fopen(path, "r");
    int count = 0, c;
    assert_non_null(file);
    while ((c = fgetc(file)) != EOF)
        count += c == '\n';
    fclose(file);
    return count;
}

static upc_outcome good(double ratio)
{
    return (upc_outcome){.verdict = UPCONV_TUNE_GOOD,
                         .ratio = ratio,
                         .spread = 1.0 / 3,
                         .time_us = 1e7 / 3,
                         .samples = 5,
                         .reference_us = 2e7 / 7,
                         .compile_ms = 0.1,
                         .cost_ns = 123456789012345,
                         .predicted_us = 1e-3};
}

// What is given back when it is written is what is read later, bit by bit.
static void round_trip(void **state)
{
    (void)state;
    upc_journal *journal = opened(&plain);
    upc_outcome outcome = good(0.7654321);
    assert_null(upc_journal_outcome(journal, first.problem, first.candidate, 0));
    ok(upc_journal_begin_candidate(journal, &first));
    ok(upc_journal_end_candidate(journal, &first, &outcome));
    upc_outcome wrong = {.verdict = UPCONV_TUNE_WRONG};
    snprintf(wrong.reason, sizeof wrong.reason, "it says \"no\"\n and \xfe more");
    const upc_journal_about second = {first.problem, "phase:tile=5", "time", false, 2};
    ok(upc_journal_end_candidate(journal, &second, &wrong));
    const upc_journal_start start = {"phase:tile=4", "phase:tile=4\ngemm", "", 512, true};
    ok(upc_journal_begin_problem(journal, first.problem, &start));
    const upconv_peaks peaks = {.f32_gflops = 123.456, .copy_gbytes = 20};
    ok(upc_journal_add_peaks(journal, &peaks));
    upc_journal_close(journal);
    journal = opened(&plain);
    const upc_outcome *found = upc_journal_outcome(journal, first.problem, first.candidate, 0);
    assert_non_null(found);
    assert_memory_equal(found, &outcome, sizeof outcome);
    assert_null(upc_journal_outcome(journal, first.problem, first.candidate, 1));
    found = upc_journal_outcome(journal, first.problem, second.candidate, 2);
    assert_true(found && found->verdict == UPCONV_TUNE_WRONG && strstr(found->reason, "\"no\""));
    const upc_journal_start *begun = upc_journal_start_of(journal, first.problem);
    assert_true(begun && !strcmp(begun->guesses, start.guesses) && !strcmp(begun->seeds, "") && begun->space == 512);
    upconv_peaks read;
    assert_true(upc_journal_peaks(journal, &read) && read.f32_gflops == 123.456);
    upc_journal_close(journal);
}

static void torn(void **state)
{
    (void)state;
    upc_journal *journal = opened(&plain);
    upc_outcome outcome = good(0.5);
    ok(upc_journal_end_candidate(journal, &first, &outcome));
    upc_journal_close(journal);
    append("{\"done\":\"good\",\"problem\":\"ic8oc8_ih12kh4\",\"candidate\":\"pha");
    const int before = lines();
    journal = opened(&plain);
    assert_int_equal(lines(), before + 2); // its end, and the new header
    assert_non_null(upc_journal_outcome(journal, first.problem, first.candidate, 0));
    const upc_journal_about next = {first.problem, "phase:tile=8", "verify", true, 0};
    ok(upc_journal_end_candidate(journal, &next, &outcome));
    upc_journal_close(journal);
    journal = opened(&plain);
    assert_non_null(upc_journal_outcome(journal, first.problem, next.candidate, 0));
    upc_journal_close(journal);
}

// Outcomes of another device, or taken otherwise, do not count; a fresh run takes none.
static void foreign(void **state)
{
    (void)state;
    upc_journal *journal = opened(&plain);
    upc_outcome outcome = good(0.5);
    ok(upc_journal_end_candidate(journal, &first, &outcome));
    upc_journal_close(journal);
    const upc_journal_params others[] = {
        {.path = path, .info = &device, .identity = 8, .mode = 1},
        {.path = path, .info = &device, .identity = 7, .mode = 2},
        {.path = path, .info = &device, .identity = 7, .mode = 2, .fresh = true},
    };
    for (size_t i = 0; i < UPC_COUNT(others); i++) {
        journal = opened(&others[i]);
        assert_null(upc_journal_outcome(journal, first.problem, first.candidate, 0));
        upc_journal_close(journal);
        journal = opened(&plain);
        assert_non_null(upc_journal_outcome(journal, first.problem, first.candidate, 0));
        upc_journal_close(journal);
    }
}

// Who goes on with a fresh run takes over what it learnt, and nothing from before.
static void fresh_then_resumed(void **state)
{
    (void)state;
    const upc_journal_start start = {"phase:tile=4", "phase:tile=4", "phase:tile=2", 512, true};
    const upconv_peaks peaks = {.f32_gflops = 123.456, .copy_gbytes = 20};
    upconv_peaks read;
    upc_journal *journal = opened(&plain);
    upc_outcome outcome = good(0.5);
    ok(upc_journal_begin_problem(journal, first.problem, &start));
    ok(upc_journal_add_peaks(journal, &peaks));
    ok(upc_journal_end_candidate(journal, &first, &outcome));
    upc_journal_close(journal);
    upc_journal_params fresh = plain;
    fresh.fresh = true;
    const upc_journal_about second = {first.problem, "phase:tile=5", "verify", true, 0};
    journal = opened(&fresh);
    ok(upc_journal_end_candidate(journal, &second, &outcome));
    upc_journal_close(journal);
    journal = opened(&plain);
    assert_null(upc_journal_outcome(journal, first.problem, first.candidate, 0));
    assert_null(upc_journal_start_of(journal, first.problem));
    assert_false(upc_journal_peaks(journal, &read));
    assert_non_null(upc_journal_outcome(journal, first.problem, second.candidate, 0));
    upc_journal_close(journal);
}

// Measuring the peaks ends the process every time: it is left after the second, whatever kind of run it is.
static void peaks_crash(void **state)
{
    (void)state;
    const upconv_peaks peaks = {.f32_gflops = 1, .copy_gbytes = 2};
    upc_journal_params params = plain;
    bool twice = true;
    for (int i = 0; i < 4; i++) {
        params.fresh = i % 2;
        params.mode = 1 + (uint64_t)i;
        upc_journal *journal = opened(&params);
        ok(upc_journal_begin_peaks(journal, &twice));
        assert_int_equal(twice, i >= 2);
        upc_journal_close(journal);
    }
    params = plain;
    params.identity = 8; // another driver
    upc_journal *journal = opened(&params);
    for (int i = 0; i < 5; i++) {
        ok(upc_journal_begin_peaks(journal, &twice));
        assert_false(twice);
        ok(upc_journal_add_peaks(journal, &peaks)); // it came to its end
    }
    upc_journal_close(journal);
}

// The journal of a long night: whoever goes on with it must not need another to read it.
static void long_runs(void **state)
{
    (void)state;
    enum { COUNT = 30000 };
    upc_journal_close(opened(&plain));
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    for (int i = 0; i < COUNT; i++)
        fprintf(file, "{\"done\":\"good\",\"problem\":\"p%d\",\"candidate\":\"phase:x=%d\",\"rung\":%d,\"ratio\":%d}\n",
                i % 7, i, i % UPC_RUNGS, i + 1);
    assert_int_equal(fclose(file), 0);
    upc_journal *journal = opened(&plain);
    for (int i = 0; i < COUNT; i++) {
        char problem[16], candidate[32];
        snprintf(problem, sizeof problem, "p%d", i % 7);
        snprintf(candidate, sizeof candidate, "phase:x=%d", i);
        const upc_outcome *found = upc_journal_outcome(journal, problem, candidate, i % UPC_RUNGS);
        assert_true(found && found->ratio == i + 1);
        assert_null(upc_journal_outcome(journal, problem, candidate, (i + 1) % UPC_RUNGS));
    }
    upc_journal_close(journal);
}

static bool blamed(const upc_journal_params *params, upconv_tune_verdict verdict)
{
    upc_journal *journal = opened(params);
    bool all = true;
    for (int rung = 0; rung < UPC_RUNGS; rung++) { // a culprit is one on all rungs
        const upc_outcome *found = upc_journal_outcome(journal, first.problem, first.candidate, rung);
        all = all && found && found->verdict == verdict;
    }
    assert_int_equal(upc_journal_failures(journal, "another", first.candidate), all);
    upc_journal_close(journal);
    return all;
}

// Begun, and then the process is gone.
static void leave_open(const upc_journal_params *params)
{
    upc_journal *journal = opened(params);
    ok(upc_journal_begin_candidate(journal, &first));
    const upc_journal_about run = {first.problem, first.candidate, "time", false, 0};
    ok(upc_journal_begin_candidate(journal, &run));
    upc_journal_close(journal);
}

static void culprits(void **state)
{
    (void)state;
    leave_open(&plain);
    assert_true(blamed(&plain, UPCONV_TUNE_CRASHED));
    assert_true(blamed(&plain, UPCONV_TUNE_CRASHED)); // and stays so
    const upc_journal_params fresh = {.path = path, .info = &device, .identity = 7, .mode = 5, .fresh = true};
    assert_true(blamed(&fresh, UPCONV_TUNE_CRASHED)); // for every kind of run on this driver
    const upc_journal_params elsewhere = {.path = path, .info = &device, .identity = 9, .mode = 1};
    assert_false(blamed(&elsewhere, UPCONV_TUNE_CRASHED));
}

// Under a supervisor: only when the machine went down, or at the third time.
static void watched(void **state)
{
    (void)state;
    upc_journal_params params = plain;
    params.supervised = true;
    for (int i = 0; i < 2; i++) {
        leave_open(&params);
        assert_false(blamed(&params, UPCONV_TUNE_CRASHED));
    }
    leave_open(&params);
    assert_true(blamed(&params, UPCONV_TUNE_CRASHED));
    unlink(path);
}

static void rebooted(void **state)
{
    (void)state;
    upc_journal_params params = plain;
    params.supervised = true;
    upc_journal_close(opened(&params));
    append("{\"about\":\"run\",\"stage\":\"time\",\"problem\":\"ic8oc8_ih12kh4\",\"candidate\":\"phase:tile=4\","
           "\"rung\":0,"
           "\"pid\":1,\"watched\":1,\"boot\":\"another one\"}\n");
    assert_true(blamed(&params, UPCONV_TUNE_CRASHED));
}

static void rehearsals(void **state)
{
    (void)state;
    upc_journal_params params = plain;
    params.rehearsal = true;
    for (int i = 0; i < 5; i++) {
        leave_open(&params);
        assert_false(blamed(&params, UPCONV_TUNE_CRASHED));
    }
}

static void supervisors(void **state)
{
    (void)state;
    upconv_tune_culprit culprit = {.struct_size = sizeof culprit, .cost_ns = 12345678901};
    assert_int_equal(upconv_tune_blame(path, UPCONV_TUNE_HUNG, "", &culprit), UPCONV_ERROR_DATA); // no such file
    leave_open(&plain);
    assert_int_equal(upconv_tune_blame(path, UPCONV_TUNE_WRONG, "", &culprit), UPCONV_ERROR_INVALID);
    ok(upconv_tune_blame(path, UPCONV_TUNE_HUNG, "no sign of life for 10 s", &culprit));
    assert_int_equal(culprit.found, 1);
    assert_string_equal(culprit.problem, first.problem);
    assert_string_equal(culprit.candidate, first.candidate);
    assert_string_equal(culprit.stage, "time");
    assert_int_equal(culprit.compiling, 0);
    assert_int_equal(culprit.pid, getpid());
    ok(upconv_tune_blame(path, UPCONV_TUNE_HUNG, "", &culprit));
    assert_int_equal(culprit.found, 0); // only once
    assert_true(blamed(&plain, UPCONV_TUNE_HUNG));
    upc_journal *journal = opened(&plain); // what it took counts when the run goes on
    assert_int_equal(upc_journal_outcome(journal, first.problem, first.candidate, 0)->cost_ns, 12345678901);
    upc_journal_close(journal);
    unlink(path);
    leave_open(&plain);
    ok(upconv_tune_blame(path, UPCONV_TUNE_NONE, "stopped by hand", &culprit));
    assert_int_equal(culprit.found, 1);
    assert_false(blamed(&plain, UPCONV_TUNE_CRASHED));
}

// One run at a time.
static void locked(void **state)
{
    (void)state;
    upc_journal *journal = opened(&plain), *other = NULL;
    upconv_tune_culprit culprit = {.struct_size = sizeof culprit};
    assert_int_equal(upc_journal_open(&env, &plain, &other), UPCONV_ERROR_DATA);
    assert_int_equal(upconv_tune_blame(path, UPCONV_TUNE_HUNG, "", &culprit), UPCONV_ERROR_DATA);
    upc_journal_close(journal);
    upc_journal_close(opened(&plain));
}

// A process that was killed lets go a moment later: a child that inherited the journal stands for what its driver had started.
static void handed_over(void **state)
{
    (void)state;
    upc_journal *journal = opened(&plain);
    const pid_t child = fork();
    if (child == 0) {
        usleep(150000);
        _exit(0);
    }
    assert_true(child > 0);
    upc_journal_close(journal); // the child still has the file, and with it the lock
    upconv_tune_culprit culprit = {.struct_size = sizeof culprit};
    ok(upconv_tune_blame(path, UPCONV_TUNE_HUNG, "", &culprit));
    assert_int_equal(waitpid(child, NULL, 0), child);
}

// Whatever is in the file, reading it ends well.
static void garbage(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "{",
        "}",
        "\"done\":\"good\"",
        "\"done\":1",
        "\"about\":\"run\"",
        ",",
        ":",
        "\"problem\":\"p\"",
        "\"candidate\":\"c\"",
        "\n",
        "{\"journal\":1,\"identity\":\"0000000000000007\",\"mode\":\"0000000000000001\"}\n",
        "[",
        "\xff",
        "\"rung\":-7",
        "\"rung\":1e300",
        "{\"begin\":\"p\",\"guesses\":[1,\"x\"],\"seeds\":3}\n",
        "\"cost_ns\":-1e300",
        "\"samples\":1e99",
        "{\"peaks\":1,\"f32_gflops\":\"x\"}\n",
        "{\"about\":\"compile\",\"problem\":\"p\",\"candidate\":\"c\"}\n",
        "{\"done\":\"none\",\"problem\":\"p\",\"candidate\":\"c\"}\n",
    };
    test_random random = {5};
    for (int i = 0; i < 200; i++) {
        unlink(path);
        for (int j = test_between(&random, 1, 40); j > 0; j--)
            append(pieces[test_between(&random, 0, UPC_COUNT(pieces) - 1)]);
        upc_journal_close(opened(&plain));
        upc_journal_close(opened(&plain));
    }
}

// Names that are longer than any that is written, as damage may leave them: opening ends, and writes no more than it does otherwise.
static void long_names(void **state)
{
    (void)state;
    for (int which = 0; which < 3; which++) {
        char name[2001], line[5000];
        memset(name, 'x', sizeof name);
        name[which == 2 ? 511 : 2000] = 0; // the longest that there are
        if (which == 2)
            snprintf(line, sizeof line,
                     "{\"about\":\"run\",\"problem\":\"%s\",\"candidate\":\"%.255s\",\"pid\":1e300}\n", name, name);
        else
            snprintf(line, sizeof line, "{\"about\":\"run\",\"problem\":\"%s\",\"candidate\":\"%s\",\"pid\":-1e300}\n",
                     which ? "p" : name, which ? name : "c");
        unlink(path);
        upc_journal_close(opened(&plain));
        append(line);
        upc_journal *journal = opened(&plain);
        name[255] = which == 2 ? 0 : name[255];
        assert_int_equal(upc_journal_failures(journal, "another", name), which == 2);
        upc_journal_close(journal);
    }
}

int main(void)
{
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } all[] = {{"round_trip", round_trip},
               {"torn", torn},
               {"foreign", foreign},
               {"culprits", culprits},
               {"watched", watched},
               {"rebooted", rebooted},
               {"rehearsals", rehearsals},
               {"supervisors", supervisors},
               {"locked", locked},
               {"handed_over", handed_over},
               {"garbage", garbage},
               {"long_names", long_names},
               {"fresh_then_resumed", fresh_then_resumed},
               {"peaks_crash", peaks_crash},
               {"long_runs", long_runs}};
    struct CMUnitTest tests[UPC_COUNT(all)];
    for (size_t i = 0; i < UPC_COUNT(all); i++)
        tests[i] = (struct CMUnitTest){all[i].name, all[i].run, set_up, tear_down, NULL};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
