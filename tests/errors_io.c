// Buffers, roles, tickets, and what is imported and exported.
#include "errors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEM "ic4oc4_ih6oh12kh4sh2ph1" // input 4 x 6 x 6, output 4 x 12 x 12 floats
enum {
    IN_BYTES = 4 * 6 * 6 * 4,
    OUT_BYTES = 4 * 12 * 12 * 4,
    WEIGHT_BYTES = 4 * 4 * 16 * 4,
    CHANNEL_BYTES = 4 * 4
};

static upconv_buffer *buffer_of(upconv_context *context, uint64_t bytes)
{
    upconv_buffer *buffer = NULL;
    EXPECT_OK(upconv_buffer_create(context, bytes, &buffer));
    return buffer;
}

static void buffers(void **state)
{
    (void)state;
    upconv_buffer *buffer = (upconv_buffer *)state, *const kept = buffer;
    void *pointer = state;
    EXPECT_INVALID(upconv_buffer_create(NULL, 16, &buffer), "context is NULL");
    EXPECT_INVALID(upconv_buffer_create(errors_context, 16, NULL), "buffer is NULL");
    EXPECT_INVALID(upconv_buffer_create(errors_context, 0, &buffer), "bytes is 0");
    EXPECT(upconv_buffer_create(errors_context, (uint64_t)1 << 60, &buffer), UPCONV_ERROR_GPU_MEMORY,
           "1152921504606846976");
    EXPECT(upconv_buffer_create(errors_context, UINT64_MAX, &buffer), UPCONV_ERROR_GPU_MEMORY,
           "18446744073709551615");
    assert_ptr_equal(buffer, kept);
    buffer = buffer_of(errors_context, 64);
    EXPECT_INVALID(upconv_buffer_map(NULL, UPCONV_MAP_READ, &pointer), "buffer is NULL");
    EXPECT_INVALID(upconv_buffer_map(buffer, UPCONV_MAP_READ, NULL), "pointer is NULL");
    EXPECT_INVALID(upconv_buffer_map(buffer, 0, &pointer), "flags is 0");
    EXPECT_INVALID(upconv_buffer_map(buffer, 4, &pointer), "flags is 4");
    EXPECT_INVALID(upconv_buffer_unmap(NULL), "buffer is NULL");
    EXPECT_INVALID(upconv_buffer_unmap(buffer), "not mapped");
    assert_ptr_equal(pointer, state);
    EXPECT_OK(upconv_buffer_map(buffer, UPCONV_MAP_WRITE, &pointer));
    memset(pointer, 0, 64);
    EXPECT_INVALID(upconv_buffer_map(buffer, UPCONV_MAP_READ, &pointer), "mapped already");
    EXPECT_OK(upconv_buffer_unmap(buffer));
    EXPECT_INVALID(upconv_buffer_unmap(buffer), "not mapped");
    EXPECT_OK(upconv_buffer_map(buffer, UPCONV_MAP_READ, &pointer));
    upconv_buffer_destroy(buffer); // while mapped
}

// The largest buffer that the device says it has may be more than there is: a status, whatever the driver
// does.
static void largest_buffer(void **state)
{
    (void)state;
    upconv_device_info info = {sizeof info};
    EXPECT_OK(upconv_context_device(errors_context, &info));
    upconv_buffer *buffer = NULL;
    EXPECT(upconv_buffer_create(errors_context, info.limits.alloc_bytes + 1, &buffer),
           UPCONV_ERROR_GPU_MEMORY, "bytes is");
    const upconv_limits limits = {sizeof limits, .alloc_bytes = 1 << 20};
    upconv_context *small = NULL;
    EXPECT_OK(test_context_create(errors_backend, &limits, &small));
    EXPECT(upconv_buffer_create(small, (1 << 20) + 1, &buffer), UPCONV_ERROR_GPU_MEMORY, "1048577");
    EXPECT_OK(upconv_buffer_create(small, 1 << 20, &buffer));
    upconv_buffer_destroy(buffer);
    upconv_context_destroy(small);
}

typedef struct roles { // a plan, buffers that fit its roles, and the io that is right
    upconv_plan *plan;
    upconv_buffer *in, *out, *weights, *bias;
    upconv_io io;
} roles;

static roles roles_init(const char *notation, bool weights)
{
    roles r = {.plan = errors_plan(errors_context, notation, weights, NULL),
               .in = buffer_of(errors_context, IN_BYTES + 256),
               .out = buffer_of(errors_context, OUT_BYTES + 256),
               .weights = buffer_of(errors_context, WEIGHT_BYTES),
               .bias = buffer_of(errors_context, CHANNEL_BYTES),
               .io = {.struct_size = sizeof r.io}};
    r.io.at[UPCONV_INPUT].buffer = r.in;
    r.io.at[UPCONV_OUTPUT].buffer = r.out;
    if (!weights)
        r.io.at[UPCONV_WEIGHTS].buffer = r.weights;
    return r;
}

static void roles_finish(roles *r)
{
    upconv_plan_destroy(r->plan);
    upconv_buffer_destroy(r->in);
    upconv_buffer_destroy(r->out);
    upconv_buffer_destroy(r->weights);
    upconv_buffer_destroy(r->bias);
}

// Each rule at both doors: upconv_submit and upconv_execute_io.
#define RULE(change, word)                                                                                   \
    do {                                                                                                     \
        upconv_io io = r.io;                                                                                 \
        change;                                                                                              \
        EXPECT_INVALID(upconv_submit(r.plan, &io, &ticket), word);                                           \
        EXPECT_INVALID(upconv_execute_io(r.plan, &io), word);                                                \
        assert_int_equal(ticket, 4711);                                                                      \
    } while (0)

static void io_frozen(void **state)
{
    (void)state;
    upconv_ticket ticket = 4711;
    roles r = roles_init(PROBLEM, true);
    char host[IN_BYTES];
    memset(host, 0, sizeof host);
    RULE(io.struct_size = 5, "struct_size is 5");
    RULE(io.at[UPCONV_INPUT].buffer = NULL, "INPUT is not given");
    RULE(io.at[UPCONV_OUTPUT].buffer = NULL, "OUTPUT is not given");
    RULE(io.at[UPCONV_WEIGHTS].buffer = r.weights, "WEIGHTS is given");
    RULE(io.at[UPCONV_SLOPES].buffer = r.bias, "SLOPES is given");
    RULE(io.at[UPCONV_RESIDUAL].buffer = r.bias, "RESIDUAL is given");
    RULE(io.at[UPCONV_INDICES].buffer = r.bias, "INDICES is given");
    RULE(io.at[UPCONV_INPUT].host = host, "as a buffer and as host memory");
    RULE(io.at[UPCONV_INPUT].offset = 2, "offset is 2");
    RULE(io.at[UPCONV_OUTPUT].offset = 7, "offset is 7");
    RULE(io.at[UPCONV_OUTPUT].offset = 260, "260");
    RULE(io.at[UPCONV_INPUT].offset = UINT64_MAX - 3, "18446744073709551612");
    RULE(io.at[UPCONV_INPUT].buffer = r.bias, "INPUT");
    RULE((io.at[UPCONV_WORKSPACE].buffer = r.bias, io.at[UPCONV_WORKSPACE].offset = 4), "WORKSPACE");
    RULE((io.at[UPCONV_INPUT].buffer = r.out), "overlap");
    RULE((io.at[UPCONV_INPUT].buffer = r.out, io.at[UPCONV_INPUT].offset = 252), "overlap");
    upconv_io from_host = r.io;
    from_host.at[UPCONV_INPUT] = (upconv_binding){.host = host};
    EXPECT_INVALID(upconv_submit(r.plan, &from_host, &ticket), "INPUT is host memory");
    from_host.at[UPCONV_INPUT].offset = 4;
    EXPECT_INVALID(upconv_execute_io(r.plan, &from_host), "offset");
    EXPECT_INVALID(upconv_submit(NULL, &r.io, &ticket), "plan is NULL");
    EXPECT_INVALID(upconv_submit(r.plan, NULL, &ticket), "io is NULL");
    EXPECT_INVALID(upconv_submit(r.plan, &r.io, NULL), "ticket is NULL");
    EXPECT_INVALID(upconv_execute_io(NULL, &r.io), "plan is NULL");
    EXPECT_INVALID(upconv_execute_io(r.plan, NULL), "io is NULL");
    EXPECT_INVALID(upconv_execute(NULL, host, host), "plan is NULL");
    EXPECT_INVALID(upconv_execute(r.plan, NULL, host), "input is NULL");
    EXPECT_INVALID(upconv_execute(r.plan, host, NULL), "output is NULL");
    void *pointer;
    EXPECT_OK(upconv_buffer_map(r.in, UPCONV_MAP_READ, &pointer));
    RULE((void)0, "mapped");
    EXPECT_OK(upconv_buffer_unmap(r.in));
    upconv_context *other = NULL;
    EXPECT_OK(test_context_create(errors_backend, NULL, &other));
    upconv_buffer *foreign = buffer_of(other, IN_BYTES);
    RULE(io.at[UPCONV_INPUT].buffer = foreign, "another context");
    upconv_buffer_destroy(foreign);
    upconv_context_destroy(other);
    EXPECT_OK(upconv_execute_io(r.plan, &r.io)); // after all that
    roles_finish(&r);
}

// Weights of 8 bits are read by words.
static void io_quantised(void **state)
{
    (void)state;
    upconv_ticket ticket = 4711;
    roles r = roles_init(PROBLEM, false);
    upconv_plan_destroy(r.plan);
    r.plan = NULL;
    upconv_problem problem = test_problem(PROBLEM);
    problem.type = UPCONV_I8;
    static const double scale[1] = {0.01};
    const upconv_plan_params params = {sizeof params, .weights_type = UPCONV_U8, .scales = scale, .scale_count = 1};
    EXPECT_OK(upconv_plan_create(errors_context, &problem, &params, &r.plan));
    RULE(io.at[UPCONV_WEIGHTS].buffer = NULL, "WEIGHTS is not given");
    RULE(io.at[UPCONV_WEIGHTS].offset = 2, "WEIGHTS: offset is 2; it must be a multiple of 4");
    RULE(io.at[UPCONV_WEIGHTS].offset = WEIGHT_BYTES, "WEIGHTS");
    RULE((io.at[UPCONV_BIAS].buffer = r.bias, io.at[UPCONV_BIAS].offset = 4), "BIAS");
    EXPECT_OK(upconv_execute_io(r.plan, &r.io));
    roles_finish(&r);
}

static void io_dynamic(void **state)
{
    (void)state;
    upconv_ticket ticket = 4711;
    roles r = roles_init(PROBLEM, false);
    static float host[OUT_BYTES / 4];
    EXPECT_INVALID(upconv_execute(r.plan, host, host), "WEIGHTS is not given");
    RULE(io.at[UPCONV_WEIGHTS].buffer = NULL, "WEIGHTS is not given");
    RULE(io.at[UPCONV_WEIGHTS].buffer = r.bias, "WEIGHTS");
    RULE(io.at[UPCONV_WEIGHTS].offset = 4, "WEIGHTS");
    RULE((io.at[UPCONV_BIAS].buffer = r.bias, io.at[UPCONV_BIAS].offset = 4), "BIAS");
    RULE((io.at[UPCONV_BIAS].buffer = r.out, io.at[UPCONV_BIAS].offset = OUT_BYTES - 4), "overlap");
    upconv_plan_info info = {sizeof info};
    EXPECT_OK(upconv_plan_info_get(r.plan, &info));
    if (info.workspace_bytes) {
        RULE(io.at[UPCONV_WORKSPACE].buffer = r.bias, "WORKSPACE");
        upconv_buffer *both = buffer_of(errors_context, info.workspace_bytes + 256);
        RULE((io.at[UPCONV_WORKSPACE] = (upconv_binding){.buffer = both, .offset = 128}), "128");
        RULE((io.at[UPCONV_WORKSPACE].buffer = both, io.at[UPCONV_WEIGHTS].buffer = both), "overlap");
        upconv_buffer_destroy(both);
    }
    roles_finish(&r);
    r = roles_init(PROBLEM "+prelu", true);
    RULE((void)0, "SLOPES is not given");
    roles_finish(&r);
}

static void io_residual(void **state)
{
    (void)state;
    upconv_ticket ticket = 4711;
    roles r = roles_init(PROBLEM "+residual", true);
    RULE((void)0, "RESIDUAL is not given");
    upconv_buffer *residual = buffer_of(errors_context, OUT_BYTES + 16);
    r.io.at[UPCONV_RESIDUAL].buffer = residual;
    RULE(io.at[UPCONV_RESIDUAL].buffer = r.bias, "RESIDUAL");
    RULE(io.at[UPCONV_RESIDUAL].offset = 6, "offset is 6");
    RULE(io.at[UPCONV_RESIDUAL].offset = 20, "20");
    RULE((io.at[UPCONV_RESIDUAL].buffer = r.out, io.at[UPCONV_RESIDUAL].offset = 4), "overlap");
    RULE((io.at[UPCONV_RESIDUAL].buffer = r.out, io.at[UPCONV_OUTPUT].offset = 128), "overlap");
    r.io.at[UPCONV_RESIDUAL].buffer = r.out; // the very same place
    EXPECT_OK(upconv_execute_io(r.plan, &r.io));
    upconv_buffer_destroy(residual);
    roles_finish(&r);
}

// What vectors of four channels reach begins at a multiple of four elements; everything else at any.
static void io_alignment(void **state)
{
    (void)state;
    upconv_ticket ticket = 4711;
    roles r = roles_init(PROBLEM "+f16+nc4hw4", true);
    RULE(io.at[UPCONV_INPUT].offset = 4, "INPUT: offset is 4; it must be a multiple of 8");
    RULE(io.at[UPCONV_OUTPUT].offset = 9, "offset is 9; it must be a multiple of 8");
    roles_finish(&r);
    r = roles_init(PROBLEM "+nhwc", true); // 4 channels, no gaps
    RULE(io.at[UPCONV_INPUT].offset = 8, "INPUT: offset is 8; it must be a multiple of 16");
    roles_finish(&r);
    r = roles_init(PROBLEM "+nhwc+f16+inpitch:0:0:0:0:5", true);
    RULE(io.at[UPCONV_INPUT].offset = 3, "offset is 3; it must be a multiple of 2");
    RULE(io.at[UPCONV_OUTPUT].offset = 2, "offset is 2; it must be a multiple of 8");
    r.io.at[UPCONV_INPUT].offset = 6;
    r.io.at[UPCONV_OUTPUT].offset = 8;
    EXPECT_OK(upconv_execute_io(r.plan, &r.io));
    roles_finish(&r);
}
#undef RULE

static void tickets(void **state)
{
    (void)state;
    upconv_context *context = NULL;
    uint64_t time_ns = 5;
    EXPECT_OK(test_context_create(errors_backend, NULL, &context));
    EXPECT_INVALID(upconv_wait(NULL, 1, 0), "context is NULL");
    EXPECT_INVALID(upconv_wait(context, 0, 0), "0");
    EXPECT_INVALID(upconv_wait(context, 987, 1000), "987");
    EXPECT_INVALID(upconv_ticket_time(NULL, 1, &time_ns), "context is NULL");
    EXPECT_INVALID(upconv_ticket_time(context, 1, NULL), "time_ns is NULL");
    EXPECT_INVALID(upconv_ticket_time(context, 0, &time_ns), "0");
    EXPECT_INVALID(upconv_ticket_time(context, 987, &time_ns), "987");
    assert_int_equal(time_ns, 5);
    upconv_context_destroy(context);
}

static int refuse_write(void *user, const void *data, size_t size)
{
    (void)user;
    (void)data;
    (void)size;
    return 1;
}

static void files(void **state)
{
    (void)state;
    static const char text[] = "{\"format\":1}\nno record\n";
    upconv_counters before = {sizeof before}, after = {sizeof after};
    EXPECT_OK(upconv_context_counters(errors_context, &before));
    EXPECT_INVALID(upconv_cache_export(NULL, refuse_write, NULL), "context is NULL");
    EXPECT_INVALID(upconv_cache_export(errors_context, NULL, NULL), "write is NULL");
    EXPECT(upconv_cache_export(errors_context, refuse_write, NULL), UPCONV_ERROR_DATA, "callback");
    EXPECT_INVALID(upconv_cache_import(NULL, text, 5), "context is NULL");
    EXPECT_INVALID(upconv_cache_import(errors_context, NULL, 5), "data is NULL");
    EXPECT(upconv_cache_import(errors_context, text, sizeof text), UPCONV_ERROR_DATA, "shorter");
    EXPECT_INVALID(upconv_tuning_export(NULL, refuse_write, NULL), "context is NULL");
    EXPECT_INVALID(upconv_tuning_export(errors_context, NULL, NULL), "write is NULL");
    EXPECT_INVALID(upconv_tuning_import(NULL, text, 5), "context is NULL");
    EXPECT_INVALID(upconv_tuning_import(errors_context, NULL, 5), "text is NULL");
    upconv_record_info record = {.struct_size = sizeof record};
    EXPECT_INVALID(upconv_record_read(NULL, 5, &record), "line is NULL");
    EXPECT_INVALID(upconv_record_read(text, 5, NULL), "info is NULL");
    assert_int_equal(upconv_record_read("{}", 2, &record), UPCONV_ERROR_DATA);
    EXPECT(upconv_tuning_import(errors_context, text, sizeof text - 1), UPCONV_ERROR_DATA,
           "none of the 2 lines");
    EXPECT_OK(upconv_context_counters(errors_context, &after));
    assert_int_equal(after.skipped_blobs - before.skipped_blobs, 3);
}

const struct CMUnitTest errors_io_tests[] = {
    cmocka_unit_test(buffers),      cmocka_unit_test(largest_buffer), cmocka_unit_test(io_frozen),
    cmocka_unit_test(io_quantised), cmocka_unit_test(io_dynamic),     cmocka_unit_test(io_residual),
    cmocka_unit_test(io_alignment), cmocka_unit_test(tickets),        cmocka_unit_test(files),
};
const size_t errors_io_count = UPC_COUNT(errors_io_tests);
