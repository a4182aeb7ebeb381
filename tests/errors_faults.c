// Faults that are nobody's argument: no memory, a compiler that turns a kernel down, a device that hangs.
#include "errors.h"
#include "leaks.h"

#include "../shaders/shaders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBLEM "ic4oc4_ih6oh12kh4sh2ph1"
enum { IN_FLOATS = 4 * 6 * 6, OUT_FLOATS = 4 * 12 * 12, WEIGHT_FLOATS = 4 * 4 * 16 };

// -------------------------------------------------------------------------------------------------- memory

typedef struct meter {
    _Atomic long made, live, fail_at;
} meter;

static void *meter_alloc(void *user, size_t size)
{
    meter *m = user;
    void *memory = atomic_fetch_add(&m->made, 1) + 1 == atomic_load(&m->fail_at) ? NULL : malloc(size);
    if (memory)
        atomic_fetch_add(&m->live, 1);
    return memory;
}

static void meter_release(void *user, void *memory)
{
    meter *m = user;
    if (memory)
        atomic_fetch_sub(&m->live, 1);
    free(memory);
}

static int write_nowhere(void *user, const void *data, size_t size)
{
    (void)user;
    (void)data;
    (void)size;
    return 0;
}

// One life of a context: a plan with its weights and one without, an execution of each, a submission, both
// exports.
static upconv_status live(meter *m, const char *solver)
{
    static float weights[WEIGHT_FLOATS], input[IN_FLOATS];
    static float output[OUT_FLOATS];
    const upconv_allocator allocator = {m, meter_alloc, meter_release};
    const upconv_context_params params = {sizeof params, .backend = errors_backend, .allocator = &allocator};
    const upconv_problem problem = test_problem(PROBLEM);
    upconv_context *context = NULL;
    upconv_plan *plans[2] = {NULL, NULL};
    upconv_buffer *in = NULL, *out = NULL;
    upconv_ticket ticket;
    upconv_status status = upconv_context_create(&params, &context);
    for (int i = 0; i < 2 && !status; i++) {
        const upconv_plan_params plan_params = {sizeof plan_params, .weights = i ? NULL : weights,
                                                .solver = solver};
        status = upconv_plan_create(context, &problem, &plan_params, &plans[i]);
    }
    upconv_io io = {sizeof io};
    io.at[UPCONV_INPUT].host = input;
    io.at[UPCONV_OUTPUT].host = output;
    if (!status)
        status = upconv_execute_io(plans[0], &io);
    io.at[UPCONV_WEIGHTS].host = weights;
    if (!status)
        status = upconv_execute_io(plans[1], &io);
    if (!status)
        status = upconv_buffer_create(context, sizeof input, &in);
    if (!status)
        status = upconv_buffer_create(context, sizeof output, &out);
    io = (upconv_io){sizeof io, .at = {[UPCONV_INPUT] = {.buffer = in}, [UPCONV_OUTPUT] = {.buffer = out}}};
    if (!status)
        status = upconv_submit(plans[0], &io, &ticket);
    if (!status)
        status = upconv_wait(context, ticket, -1);
    if (!status)
        status = upconv_cache_export(context, write_nowhere, NULL);
    if (!status)
        status = upconv_tuning_export(context, write_nowhere, NULL);
    upconv_plan_destroy(plans[0]);
    upconv_plan_destroy(plans[1]);
    upconv_buffer_destroy(in);
    upconv_buffer_destroy(out);
    upconv_context_destroy(context);
    return status;
}

static void fail_each(const char *solver, long step)
{
    meter m = {0};
    EXPECT_OK(live(&m, solver));
    assert_int_equal(atomic_load(&m.live), 0);
    const long all = atomic_load(&m.made);
    long refused = 0;
    for (long at = 1; at <= all; at += step) {
        memset(&m, 0, sizeof m);
        atomic_store(&m.fail_at, at);
        const upconv_status status = live(&m, solver);
        if (atomic_load(&m.live))
            fail_msg("%s, allocation %ld of %ld fails: %ld are left behind", solver, at, all,
                     atomic_load(&m.live));
        if (status == UPCONV_OK)
            continue;
        refused++;
        if (status != UPCONV_ERROR_HOST_MEMORY || !strstr(upconv_last_error(), "memory"))
            fail_msg("%s, allocation %ld of %ld fails: %s: %s", solver, at, all, upconv_status_name(status),
                     upconv_last_error());
    }
    print_message("%s: %ld allocations, one in %ld made to fail, %ld refused\n", solver, all, step,
                  refused);
    assert_true(refused > 0);
}

// Every allocation fails once. Some are for convenience only (a program that is not shared or cached): then
// the call goes on. Where opening a device takes long, the second solver has to do with a part of them.
static void host_memory(void **state)
{
    (void)state;
    const bool cpu = errors_backend == UPCONV_BACKEND_CPU;
    fail_each("phase", 1);
    fail_each("direct", cpu ? 1 : 5);
    if (errors_context->facts.gemm)
        fail_each("gemm", 9); // its library compiles its own kernels in each context
    if (cpu)
        fail_each("reference", 1);
}

// ---------------------------------------------------------------------------------------------------- lost
// devices

// A device that is lost cannot be had on order, so its state is set by hand: every call says so until the
// context is destroyed, which works, and so does a new context in the same process.
static void lost_device(void **state)
{
    (void)state;
    static float weights[WEIGHT_FLOATS], input[IN_FLOATS], output[OUT_FLOATS];
    const upconv_problem problem = test_problem(PROBLEM);
    const upconv_plan_params params = {sizeof params, .weights = weights};
    upconv_context *context = NULL;
    test_leaks_pass(); // a driver keeps what it cannot be asked for any more
    EXPECT_OK(test_context_create(errors_backend, NULL, &context));
    upconv_plan *plan = errors_plan(context, PROBLEM, true, NULL), *another = NULL;
    upconv_buffer *in = NULL, *out = NULL;
    EXPECT_OK(upconv_buffer_create(context, sizeof input, &in));
    EXPECT_OK(upconv_buffer_create(context, sizeof output, &out));
    const upconv_io io = {sizeof io,
                          .at = {[UPCONV_INPUT] = {.buffer = in}, [UPCONV_OUTPUT] = {.buffer = out}}};
    upconv_ticket first = 0, ticket = 0;
    void *pointer = NULL;
    EXPECT_OK(upconv_submit(plan, &io, &first));
    EXPECT_OK(upconv_wait(context, first, -1));
    EXPECT_OK(upconv_execute(plan, input, output));
    atomic_store(&context->device->state, UPCONV_ERROR_DEVICE_LOST);
    for (int i = 0; i < 2; i++) {
        EXPECT(upconv_plan_create(context, &problem, &params, &another), UPCONV_ERROR_DEVICE_LOST, "lost");
        EXPECT(upconv_buffer_create(context, 64, &in), UPCONV_ERROR_DEVICE_LOST, "lost");
        EXPECT(upconv_buffer_map(out, UPCONV_MAP_READ, &pointer), UPCONV_ERROR_DEVICE_LOST, "lost");
        EXPECT(upconv_submit(plan, &io, &ticket), UPCONV_ERROR_DEVICE_LOST, "lost");
        EXPECT(upconv_execute(plan, input, output), UPCONV_ERROR_DEVICE_LOST, "lost");
        EXPECT(upconv_execute_io(plan, &io), UPCONV_ERROR_DEVICE_LOST, "lost");
        EXPECT(upconv_wait(context, first, -1), UPCONV_ERROR_DEVICE_LOST, "lost");
        // What needs no device is still given away.
        EXPECT_OK(upconv_cache_export(context, write_nowhere, NULL));
        EXPECT_OK(upconv_tuning_export(context, write_nowhere, NULL));
    }
    assert_null(another);
    upconv_plan_destroy(plan);
    upconv_buffer_destroy(in);
    upconv_buffer_destroy(out);
    upconv_context_destroy(context);
    test_leaks_count();
    EXPECT_OK(test_context_create(errors_backend, NULL, &context));
    plan = errors_plan(context, PROBLEM, true, NULL);
    EXPECT_OK(upconv_execute(plan, input, output));
    upconv_plan_destroy(plan);
    upconv_context_destroy(context);
}

// ------------------------------------------------------------------------------------------------- kernels

typedef struct planted { // a folder for UPCONV_SHADERS
    char folder[64], file[128];
} planted;

static void plant(planted *p, const char *kernel, const char *text)
{
    snprintf(p->folder, sizeof p->folder, "/tmp/upconv-errors-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->file, sizeof p->file, "%s/%s.kernel", p->folder, kernel);
    FILE *file = fopen(p->file, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    setenv("UPCONV_SHADERS", p->folder, 1);
}

static void unplant(planted *p)
{
    unsetenv("UPCONV_SHADERS");
    remove(p->file);
    rmdir(p->folder);
}

static void compile_failure(void **state)
{
    (void)state;
    static const float weights[WEIGHT_FLOATS] = {1}, input[IN_FLOATS] = {1};
    static float output[OUT_FLOATS];
    static const char *const broken[] = {"this is no kernel\n", "",
                                         "KERNEL(OUT(0, dst)) { unheard_of(); }\n"};
    const upconv_problem problem = test_problem(PROBLEM);
    for (size_t i = 0; i < UPC_COUNT(broken); i++) {
        planted p;
        plant(&p, "phase", broken[i]);
        upconv_context *context = NULL;
        upconv_plan *plan = NULL;
        const upconv_context_params quiet = {sizeof quiet, .backend = errors_backend};
        EXPECT_OK(upconv_context_create(&quiet, &context));
        const upconv_plan_params params = {sizeof params, .weights = weights, .solver = "phase"};
        EXPECT(upconv_plan_create(context, &problem, &params, &plan), UPCONV_ERROR_COMPILE, "phase");
        assert_null(plan);
        unplant(&p);
        // The context is as good as before.
        plan = errors_plan(context, PROBLEM, true, "direct");
        EXPECT_OK(upconv_execute(plan, input, output));
        upconv_plan_destroy(plan);
        upconv_context_destroy(context);
    }
}

// ---------------------------------------------------------------------------------------------------- hang

#define HANG_PROBLEM "ic1oc1_ih512oh1024kh2sh2"
enum { HANG_IN = 512 * 512, HANG_OUT = 1024 * 1024 }; // floats

// The built-in kernel with useless work put into every item: a linear congruence, because no compiler has a formula for it. llvmpipe
// ends an item's loops after 65,535 rounds in all, so it takes HANG_PROBLEM's quarter of a million items to last for seconds.
static char *slow_kernel(void)
{
    const char *body = NULL;
    for (int i = 0; i < upc_shader_count; i++)
        if (!strcmp(upc_shaders[i].name, "phase.kernel"))
            body = upc_shaders[i].text;
    const char *entry = body ? strstr(body, "\nKERNEL(") : NULL, *open = entry ? strstr(entry, "\n{\n") : NULL;
    if (!open)
        return NULL;
    static const char work[] = "    int spin = GLOBAL_ID(0) + 1;\n"
                               "    for (int i = 0; i < 10; i++)\n"
                               "        for (int j = 0; j < 60000; j++)\n"
                               "            spin = (spin * 16807 + i) & 0x7fffffff;\n"
                               "    if (spin == 0)\n"
                               "        return;\n";
    const size_t head = (size_t)(open - body) + strlen("\n{\n");
    char *text = malloc(strlen(body) + sizeof work);
    if (text)
        snprintf(text, strlen(body) + sizeof work, "%.*s%s%s", (int)head, body, work, body + head);
    return text;
}

static void log_to_output(void *user, upconv_log_level level, const char *message)
{
    (void)user;
    if (level <= UPCONV_LOG_WARNING)
        printf("log: %s\n", message);
}

static int complaints;
static void must(bool holds, const char *what)
{
    if (!holds) {
        printf("FAILED %s (%s)\n", what, upconv_last_error());
        complaints++;
    }
}
#define TIMES_OUT(call) must((call) == UPCONV_ERROR_TIMEOUT && strstr(upconv_last_error(), "hang"), #call)

// Everything that a hung context must refuse.
static void refuse_all(upconv_context *context, upconv_plan *plan, upconv_buffer *in, upconv_buffer *out,
                       upconv_ticket ticket)
{
    static float weights[4], input[HANG_IN], output[HANG_OUT];
    const upconv_problem problem = test_problem(HANG_PROBLEM);
    const upconv_plan_params params = {sizeof params, .weights = weights, .solver = "phase"};
    const upconv_io io = {sizeof io,
                          .at = {[UPCONV_INPUT] = {.buffer = in}, [UPCONV_OUTPUT] = {.buffer = out}}};
    upconv_plan *another = NULL;
    upconv_buffer *buffer = NULL;
    upconv_ticket other = 0;
    void *pointer;
    TIMES_OUT(upconv_wait(context, ticket, 0));
    TIMES_OUT(upconv_wait(context, ticket, 1000000));
    TIMES_OUT(upconv_plan_create(context, &problem, &params, &another));
    TIMES_OUT(upconv_buffer_create(context, 64, &buffer));
    TIMES_OUT(upconv_buffer_map(out, UPCONV_MAP_READ, &pointer));
    TIMES_OUT(upconv_submit(plan, &io, &other));
    TIMES_OUT(upconv_execute(plan, input, output));
    TIMES_OUT(upconv_execute_io(plan, &io));
    TIMES_OUT(upconv_cache_export(context, write_nowhere, NULL));
    TIMES_OUT(upconv_tuning_export(context, write_nowhere, NULL));
    TIMES_OUT(upconv_cache_import(context, "x", 1));
    TIMES_OUT(upconv_tuning_import(context, "x", 1));
}

int errors_hang(void)
{
    static float weights[4];
    const upconv_context_params params = {sizeof params, .backend = errors_backend, .timeout_ns = 30000000000,
                                          .log = log_to_output};
    const upconv_problem problem = test_problem(HANG_PROBLEM);
    const upconv_plan_params plan_params = {sizeof plan_params, .weights = weights, .solver = "phase"};
    upconv_context *context = NULL;
    upconv_plan *plan = NULL;
    upconv_buffer *in = NULL, *out = NULL;
    upconv_ticket first = 0, last = 0;
    if (upconv_context_create(&params, &context) ||
        upconv_plan_create(context, &problem, &plan_params, &plan) ||
        upconv_buffer_create(context, HANG_IN * 4, &in) ||
        upconv_buffer_create(context, HANG_OUT * 4, &out)) {
        printf("FAILED %s\n", upconv_last_error());
        return 1;
    }
    const upconv_io io = {sizeof io,
                          .at = {[UPCONV_INPUT] = {.buffer = in}, [UPCONV_OUTPUT] = {.buffer = out}}};
    uint64_t start = upc_now_ns();
    must(upconv_submit(plan, &io, &first) == UPCONV_OK, "the first submission");
    must(upconv_submit(plan, &io, &last) == UPCONV_OK, "a second one behind it");
    must(upc_now_ns() - start < 2000000000, "submissions do not wait");
    must(upconv_wait(context, last, 0) == UPCONV_ERROR_TIMEOUT, "not yet");
    must(upconv_wait(context, last, 0) == UPCONV_ERROR_TIMEOUT, "asking is not fatal");
    start = upc_now_ns();
    must(upconv_wait(context, last, 200000000) == UPCONV_ERROR_TIMEOUT, "a bounded wait ends");
    const uint64_t waited = upc_now_ns() - start;
    must(waited >= 150000000 && waited < 1500000000, "and at about its bound");
    start = upc_now_ns();
    refuse_all(context, plan, in, out, last);
    must(upc_now_ns() - start < 500000000, "a hung context refuses at once");
    start = upc_now_ns();
    upconv_plan_destroy(plan);
    upconv_buffer_destroy(in);
    upconv_buffer_destroy(out);
    upconv_context_destroy(context);
    const uint64_t destroyed = upc_now_ns() - start;
    printf("waited %.0f ms, destroyed in %.0f ms\n", (double)waited / 1e6, (double)destroyed / 1e6);
    must(destroyed < 500000000, "destroying does not block");
    printf("%d complaints\n", complaints);
    fflush(stdout);
    _exit(complaints ? 1 : 0); // what the driver still runs may not survive its own exit handlers
}

static void hang(void **state)
{
    (void)state;
    char *text = slow_kernel();
    assert_non_null(text);
    planted p;
    plant(&p, "phase", text);
    char command[4096];
    snprintf(command, sizeof command, "timeout 100 '%s' %s --hang", errors_program,
             test_backend_name(errors_backend));
    const int status = system(command);
    unplant(&p);
    free(text);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

const struct CMUnitTest errors_fault_tests[] = {
    cmocka_unit_test(host_memory),
    cmocka_unit_test(lost_device), // these first: the others need a GPU
    cmocka_unit_test(compile_failure),
    cmocka_unit_test(hang),
};
const size_t errors_fault_count = UPC_COUNT(errors_fault_tests);
