// What a device can do at most: multiply-adds and copying, measured through the backend as everything else is. Each
// measurement grows until one submission takes a while, so that fast and slow devices spend about the same time on it
// and no watchdog bites, and is then repeated; the best of all counts.
#include "internal.h"
#include "peaks.h"

#include <string.h>

enum {
    LONG_ENOUGH_NS = 10000000, // of one submission
    REPEATS = 3,               // at least
    FMA_STEPS = 8, // of the kernel's loop, in one round
    FMA_ROUNDS = 512,
    VECTOR_BYTES = 16,
    COPY_EACH = 4,   // vectors of an item of the kernel
    MAX_PASSES = 64, // copies of one submission
};

static const uint64_t budget_ns = 250000000; // of one measurement, and more only for the least of repetitions

static const double plausible = 1e7; // GFLOPS: a hundred times what any device has

typedef struct probe {
    upconv_context *context;
    upc_memory *memory[2];
    upc_program *program;
} probe;

static upconv_status make_program(probe *p, const upc_program_desc *desc)
{
    upconv_context *context = p->context;
    upc_string text;
    upc_string_init(&text, &context->env);
    upconv_status status = upc_source_assemble(&context->env, context->backend->id, &context->facts, desc, &text);
    if (!status) {
        upc_program_source source = {.name = desc->kernel,
                                     .text = text.data,
                                     .binding_count = desc->binding_count,
                                     .arg_count = desc->arg_count};
        memcpy(source.local, desc->local, sizeof source.local);
        for (int i = 0; i < 2; i++)
            source.key[i] = upc_hash(desc->local, sizeof desc->local, upc_hash(text.data, text.length, i + 1u));
        status = context->backend->program_create(context->device, &source, &p->program);
    }
    upc_string_finish(&text);
    return status;
}

static void drop_program(probe *p)
{
    upc_program_release(p->program);
    p->program = NULL;
}

static upconv_status run(probe *p, const upc_launch *launches, uint32_t count, uint64_t *ns)
{
    upconv_context *context = p->context;
    const upc_work work = {.launches = launches, .launch_count = count};
    upconv_ticket ticket;
    upconv_status status = context->backend->submit(context->device, &work, &ticket);
    if (!status)
        status = context->backend->wait(context->device, ticket, context->timeout_ns);
    if (!status)
        status = context->backend->ticket_time(context->device, ticket, ns);
    return status;
}

// Some amount of work in one submission, from 1 up to `most`.
typedef struct measurement {
    upconv_status (*once)(probe *p, const void *how, int64_t amount, uint64_t *ns);
    const void *how;
    double work; // of an amount of 1, in operations or bytes
    int64_t most;
} measurement;

static upconv_status measure(probe *p, const measurement *m, double *best)
{
    const uint64_t start = upc_now_ns();
    int64_t amount = 1;
    // something else may run on the device for a while, so that the repetitions last longer than a few would
    for (int repeats = 0; repeats < REPEATS || upc_now_ns() - start < budget_ns;) {
        uint64_t ns;
        const upconv_status status = m->once(p, m->how, amount, &ns);
        if (status)
            return status;
        if (ns)
            *best = UPC_MAX(*best, m->work * (double)amount / (double)ns);
        if (ns >= LONG_ENOUGH_NS || amount >= m->most)
            repeats++;
        else
            amount = UPC_MIN(amount * (ns < LONG_ENOUGH_NS / 16 ? 8 : 2), m->most);
    }
    return UPCONV_OK;
}

// ------------------------------------------------------------------------------------------------------ multiply-adds

typedef struct fma_shape {
    int32_t vector, chains, halves;
} fma_shape;

// Processors behind OpenCL get vectors as wide as theirs, several of them. The items of other devices are lanes of a
// vector already, and few sums leave room for many items.
static const fma_shape narrow_shapes[] = {{4, 2, 0}, {4, 4, 0}};
static const fma_shape wide_shapes[] = {{8, 12, 0}, {16, 12, 0}};
static const fma_shape half_shapes[] = {{4, 2, 1}, {4, 4, 1}};

typedef struct fma_how {
    uint32_t local;
    int32_t rounds;
} fma_how;

static upconv_status fma_once(probe *p, const void *with, int64_t amount, uint64_t *ns)
{
    const fma_how *how = with;
    const float scale = 0.75f, step = 0.25f;
    int32_t args[3] = {how->rounds, 0, 0};
    memcpy(&args[1], &scale, sizeof scale);
    memcpy(&args[2], &step, sizeof step);
    const upc_launch launch = {.program = p->program,
                               .groups = {(uint32_t)amount, 1, 1},
                               .bound = {{p->memory[1], 0, (uint64_t)amount * how->local * VECTOR_BYTES}},
                               .bound_count = 1,
                               .args = args,
                               .arg_count = 3};
    return run(p, &launch, 1, ns);
}

static upconv_status fma_shape_rate(probe *p, const fma_shape *shape, double *best)
{
    const upc_facts *facts = &p->context->facts;
    const uint64_t items = UPC_MAX(UPC_MIN(p->memory[1]->bytes, facts->info.limits.binding_bytes) / VECTOR_BYTES, 1);
    const uint32_t local = (uint32_t)UPC_MIN(UPC_MIN(64, facts->info.limits.group_size), items);
    const uint32_t most_rounds = facts->loop_rounds ? facts->loop_rounds : FMA_ROUNDS;
    const fma_how how = {.local = local, .rounds = (int32_t)UPC_MIN(most_rounds, FMA_ROUNDS)};
    upc_program_desc desc;
    upc_program_desc_init(&desc, "peak_fma", (const uint32_t[3]){local, 1, 1}, 1);
    upc_program_param(&desc, "VEC", UPC_PARAM_DEFINE, shape->vector);
    upc_program_param(&desc, "CHAINS", UPC_PARAM_DEFINE, shape->chains);
    upc_program_param(&desc, "HALVES", UPC_PARAM_DEFINE, shape->halves);
    upc_program_arg(&desc, "ROUNDS");
    upc_program_arg(&desc, "SCALE");
    upc_program_arg(&desc, "STEP");
    upconv_status status = make_program(p, &desc);
    if (status)
        return status;
    const measurement m = {.once = fma_once,
                           .how = &how,
                           .work = 2.0 * shape->vector * shape->chains * FMA_STEPS * how.rounds * local,
                           .most = (int64_t)UPC_MAX(UPC_MIN(items / local, facts->info.limits.group_count), 1)};
    status = measure(p, &m, best);
    drop_program(p);
    return status;
}

static upconv_status fma_host_once(probe *p, const void *with, int64_t amount, uint64_t *ns)
{
    upc_peak_work work = *(const upc_peak_work *)with;
    work.rounds *= amount;
    const upc_launch launch = {.host = upc_peak_host_fma, .host_arg = &work};
    return run(p, &launch, 1, ns);
}

static upconv_status fma_rate(probe *p, double *best)
{
    const upc_facts *facts = &p->context->facts;
    if (facts->info.backend == UPCONV_BACKEND_CPU) {
        const upc_peak_work work = {.threads = upc_processors(), .rounds = 4096};
        const measurement m = {.once = fma_host_once,
                               .how = &work,
                               .most = 1 << 30,
                               .work = 2.0 * (double)(upc_peak_host_fmas() * work.rounds * work.threads)};
        return measure(p, &m, best);
    }
    const bool wide = facts->family == UPC_FAMILY_CPU && facts->info.backend == UPCONV_BACKEND_OPENCL;
    const fma_shape *shapes = wide ? wide_shapes : narrow_shapes;
    const size_t count = wide ? UPC_COUNT(wide_shapes) : UPC_COUNT(narrow_shapes);
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = fma_shape_rate(p, &shapes[i], best);
    return status;
}

static upconv_status fma_half_rate(probe *p, double *best)
{
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < UPC_COUNT(half_shapes) && p->context->facts.info.f16_math && !status; i++)
        status = fma_shape_rate(p, &half_shapes[i], best);
    if (status != UPCONV_ERROR_COMPILE)
        return status;
    upc_log(&p->context->env, UPCONV_LOG_WARNING, "peaks: f16 left out: %s", upc_last_error());
    return UPCONV_OK;
}

// ------------------------------------------------------------------------------------------------------------ copying

typedef struct copy_how {
    upc_launch there, back; // so that both memories have been written, and are no shared page of zeros
} copy_how;

static upconv_status copy_once(probe *p, const void *with, int64_t amount, uint64_t *ns)
{
    const copy_how *how = with;
    upc_launch launches[MAX_PASSES];
    for (int64_t i = 0; i < amount; i++) {
        launches[i] = i % 2 ? how->back : how->there;
        launches[i].barrier = i > 0;
    }
    return run(p, launches, (uint32_t)amount, ns);
}

static upconv_status copy_measure(probe *p, const upc_launch *launch, uint64_t bytes, double *best)
{
    copy_how how = {*launch, *launch};
    for (int i = 0; i < 2; i++) {
        how.there.bound[i] = (upc_bound){p->memory[i], 0, bytes};
        how.back.bound[i] = (upc_bound){p->memory[1 - i], 0, bytes};
    }
    how.there.bound_count = how.back.bound_count = 2;
    const measurement m = {.once = copy_once, .how = &how, .work = 2.0 * (double)bytes, .most = MAX_PASSES};
    return measure(p, &m, best);
}

// How an item copies: `each` vectors. Processors behind OpenCL get long runs of vectors as wide as theirs, and stores past the caches,
// which what only writes has need of: a line of memory is then not read before it is written.
typedef struct copy_shape {
    uint64_t each;
    int32_t vector, past; // vector 0: of four, not side by side
} copy_shape;

static const copy_shape any_shapes[] = {{COPY_EACH, 0, 0}};
static const copy_shape long_shapes[] = {{COPY_EACH, 0, 0}, {64, 16, 0}, {64, 16, 1}, {64, 8, 1}};

static upconv_status copy_shape_rate(probe *p, const copy_shape *shape, uint64_t room, double *best)
{
    const upc_facts *facts = &p->context->facts;
    const uint64_t item = shape->each * (shape->vector ? (uint64_t)shape->vector * 4 : VECTOR_BYTES);
    const uint64_t most = UPC_MAX(room / item, 1);
    const uint32_t local = shape->vector ? 1 : (uint32_t)UPC_MIN(most, UPC_MIN(128, facts->info.limits.group_size));
    const uint64_t groups = UPC_MIN(most / local, facts->info.limits.group_count);
    const int32_t items = (int32_t)(groups * local);
    if ((uint64_t)items * item > room && shape->vector)
        return UPCONV_OK; // not even one fits
    upc_program_desc desc;
    upc_program_desc_init(&desc, "peak_copy", (const uint32_t[3]){local, 1, 1}, 2);
    if (shape->vector) {
        upc_program_param(&desc, "VEC", UPC_PARAM_DEFINE, shape->vector);
        upc_program_param(&desc, "EACH", UPC_PARAM_DEFINE, (int32_t)shape->each);
        upc_program_param(&desc, "PAST", UPC_PARAM_DEFINE, shape->past);
        upc_program_param(&desc, "ACT", UPC_PARAM_DEFINE, 0);
        upc_program_param(&desc, "IN_STORE", UPC_PARAM_DEFINE, 32);
        upc_program_param(&desc, "OUT_STORE", UPC_PARAM_DEFINE, 32);
    }
    upc_program_arg(&desc, "ITEMS");
    upconv_status status = make_program(p, &desc);
    if (status)
        return status;
    const upc_launch launch = {
        .program = p->program, .groups = {(uint32_t)groups, 1, 1}, .args = &items, .arg_count = 1};
    status = copy_measure(p, &launch, (uint64_t)items * item, best);
    drop_program(p);
    return status;
}

static upconv_status copy_rate(probe *p, double *best)
{
    const upc_facts *facts = &p->context->facts;
    const uint64_t bytes = UPC_MIN(p->memory[0]->bytes, facts->info.limits.binding_bytes);
    if (facts->info.backend == UPCONV_BACKEND_CPU) {
        const upc_peak_work work = {.threads = upc_processors(), .bytes = bytes};
        return copy_measure(p, &(upc_launch){.host = upc_peak_host_copy, .host_arg = &work}, bytes, best);
    }
    const bool processor = facts->family == UPC_FAMILY_CPU && facts->info.backend == UPCONV_BACKEND_OPENCL;
    const copy_shape *shapes = processor ? long_shapes : any_shapes;
    const size_t count = processor ? UPC_COUNT(long_shapes) : UPC_COUNT(any_shapes);
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = copy_shape_rate(p, &shapes[i], bytes, best);
    return status;
}

// ------------------------------------------------------------------------------------------------------------ the call

// Far more than caches hold, where the device has it.
static uint64_t memory_bytes(const upc_facts *facts)
{
    const upconv_limits *limits = &facts->info.limits;
    uint64_t bytes = (uint64_t)64 << 20;
    if (facts->info.memory_bytes)
        bytes = UPC_MIN(bytes, facts->info.memory_bytes / 16);
    return UPC_MAX(UPC_MIN(bytes, limits->alloc_bytes) / 256 * 256, 256);
}

static upconv_status prepare(probe *p)
{
    upconv_context *context = p->context;
    const uint64_t bytes = memory_bytes(&context->facts);
    for (int i = 0; i < 2; i++) {
        void *pointer;
        upconv_status status = context->backend->memory_create(context->device, bytes, &p->memory[i]);
        if (!status)
            status = context->backend->memory_map(p->memory[i], UPCONV_MAP_WRITE, context->timeout_ns, &pointer);
        if (status)
            return status;
        memset(pointer, 1, bytes);
        if ((status = context->backend->memory_unmap(p->memory[i], context->timeout_ns)))
            return status;
    }
    return UPCONV_OK;
}

upconv_status upconv_device_peaks(upconv_context *context, upconv_peaks *peaks)
{
    if (!context || !peaks)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", context ? "peaks" : "context");
    probe p = {.context = context};
    upconv_peaks found = {0};
    upconv_status status = upc_context_check(context);
    if (!status)
        status = prepare(&p);
    if (!status)
        status = copy_rate(&p, &found.copy_gbytes);
    if (!status)
        status = fma_rate(&p, &found.f32_gflops);
    if (!status)
        status = fma_half_rate(&p, &found.f16_gflops);
    upc_memory_release(p.memory[0]);
    upc_memory_release(p.memory[1]);
    if (!status && (found.f32_gflops <= 0 || found.f32_gflops > plausible || found.copy_gbytes <= 0))
        status = upc_fail(UPCONV_ERROR_UNSUPPORTED, "%s seems to execute nothing: its clock stands still",
                          context->facts.info.name);
    if (!status)
        upc_params_return(peaks, &found, sizeof found, sizeof found);
    return status;
}
