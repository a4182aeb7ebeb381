// Execution: roles are checked and bound, then the backend runs the steps.
#include "internal.h"
#include "ops.h"

#include <string.h>

static const char *const role_names[UPCONV_ROLE_COUNT] = {"INPUT",  "OUTPUT",   "WEIGHTS", "BIAS",
                                                          "SLOPES", "RESIDUAL", "INDICES", "WORKSPACE", "OUTPUT_GRAD"};

enum { REQUIRED, OPTIONAL, FORBIDDEN };

// Whether a plan takes a role at execution, and if not, why.
static int takes(const upconv_plan *plan, upconv_role role, const char **why)
{
    const bool prelu = plan->problem.act == UPCONV_ACT_PRELU;
    *why = "the operation has none";
    if (role != UPCONV_WORKSPACE && !upc_op_takes(plan->problem.op, role))
        return FORBIDDEN;
    switch (role) {
    case UPCONV_INPUT:
    case UPCONV_OUTPUT:
    case UPCONV_OUTPUT_GRAD:
    case UPCONV_INDICES: return REQUIRED;
    case UPCONV_WORKSPACE: return OPTIONAL;
    case UPCONV_WEIGHTS:
        *why = "the plan was made with its weights";
        return plan->request.dynamic_weights ? REQUIRED : FORBIDDEN;
    case UPCONV_BIAS:
        *why = "the plan was made with its bias";
        return plan->own_bias ? FORBIDDEN : OPTIONAL;
    case UPCONV_SLOPES:
        *why = prelu ? "the plan was made with its slopes" : "only prelu has slopes";
        return prelu && !plan->own_slopes ? REQUIRED : FORBIDDEN;
    case UPCONV_RESIDUAL:
        *why = "the problem has no residual";
        return plan->problem.residual ? REQUIRED : FORBIDDEN;
    default: return FORBIDDEN;
    }
}

static uint64_t role_bytes(const upconv_plan *plan, upconv_role role)
{
    upc_problem shape;
    switch (role) {
    case UPCONV_INPUT: return upc_input_bytes(&plan->problem);
    case UPCONV_OUTPUT:
        upc_result_shape(&plan->problem, &shape);
        return upc_output_bytes(&shape);
    case UPCONV_OUTPUT_GRAD:
    case UPCONV_RESIDUAL: return upc_output_bytes(&plan->problem);
    case UPCONV_WEIGHTS: return upc_weights_elements(&plan->problem) * upc_type_bytes(plan->request.weights_type);
    case UPCONV_WORKSPACE: return plan->recipe.workspace_bytes;
    case UPCONV_INDICES: return upc_indices_bytes(&plan->problem);
    default: return (uint64_t)(plan->problem.groups * plan->problem.ocg) * (plan->request.bias_int64 ? 8 : 4);
    }
}

static bool is_tensor(const upconv_plan *plan, upconv_role role)
{
    return role == UPCONV_INPUT || role == UPCONV_RESIDUAL || role == UPCONV_OUTPUT_GRAD || role == UPCONV_INDICES ||
           (role == UPCONV_OUTPUT && upc_op_of(plan->problem.op)->result == UPC_RESULT_TENSOR);
}

static const upc_tensor *role_tensor(const upconv_plan *plan, upconv_role role, upc_tensor_form *form)
{
    const bool in = role == UPCONV_INPUT || (role == UPCONV_INDICES && upc_indices_in(&plan->problem));
    upc_problem_form(&plan->problem, in, form);
    if (role == UPCONV_INDICES)
        form->element_bytes = sizeof(int32_t);
    return in ? &plan->problem.in : &plan->problem.out;
}

// Whether kernels reach elements of 8 or 16 bits, the last ones too, through whole words.
static bool whole_words(const upconv_plan *plan, upconv_role role)
{
    return upc_type_quantised(plan->problem.type) && (is_tensor(plan, role) || role == UPCONV_WEIGHTS);
}

static uint64_t role_alignment(const upconv_plan *plan, upconv_role role)
{
    if (!is_tensor(plan, role))
        return role == UPCONV_WORKSPACE ? 256
               : role == UPCONV_WEIGHTS
                   ? UPC_MAX(upc_type_bytes(plan->request.weights_type), whole_words(plan, role) ? 4 : 1)
               : role == UPCONV_BIAS && plan->request.bias_int64 ? sizeof(int64_t)
                                                                 : sizeof(float);
    upc_tensor_form form;
    const upc_tensor *tensor = role_tensor(plan, role, &form);
    return form.element_bytes * (upc_tensor_fours(&form, tensor) || form.element_bytes == 1 ? 4 : 1);
}

static upconv_status check_buffer(const upconv_plan *plan, upconv_role role, const upconv_binding *binding)
{
    upconv_buffer *buffer = binding->buffer;
    const uint64_t taken = role_bytes(plan, role), align = role_alignment(plan, role);
    const uint64_t bytes = whole_words(plan, role) && buffer->memory->imported ? upc_round_up(taken, 4) : taken;
    if (buffer->context != plan->context)
        return upc_fail(UPCONV_ERROR_INVALID, "%s: the buffer is of another context than the plan", role_names[role]);
    if (binding->offset % align)
        return upc_fail(UPCONV_ERROR_INVALID, "%s: offset is %llu; it must be a multiple of %llu", role_names[role],
                        (unsigned long long)binding->offset, (unsigned long long)align);
    if (binding->offset > buffer->memory->bytes || bytes > buffer->memory->bytes - binding->offset)
        return upc_fail(UPCONV_ERROR_INVALID, "%s: %llu bytes at offset %llu do not fit a buffer of %llu",
                        role_names[role], (unsigned long long)bytes, (unsigned long long)binding->offset,
                        (unsigned long long)buffer->memory->bytes);
    pthread_mutex_lock(&buffer->lock);
    const bool mapped = buffer->mapped;
    pthread_mutex_unlock(&buffer->lock);
    return mapped ? upc_fail(UPCONV_ERROR_INVALID, "%s: the buffer is mapped; unmap it first", role_names[role])
                  : UPCONV_OK;
}

// Whether sums go through the output from dispatch to dispatch; what was there before is gone when the last one ends.
static bool accumulates(const upc_recipe *recipe)
{
    for (size_t i = 0; i < recipe->program_count; i++)
        for (uint32_t j = 0; j < recipe->programs[i].param_count; j++)
            if (!strcmp(recipe->programs[i].params[j].name, "ACCUMULATE") && recipe->programs[i].params[j].value)
                return true;
    return false;
}

// The output may be the residual itself: each of its elements is read by what then writes the output there.
static bool in_place(const upconv_plan *plan, upconv_role written, int role, const upconv_io *io)
{
    return written == UPCONV_OUTPUT && role == UPCONV_RESIDUAL &&
           io->at[UPCONV_OUTPUT].offset == io->at[UPCONV_RESIDUAL].offset && !accumulates(&plan->recipe);
}

static bool written(const upconv_plan *plan, upconv_role role)
{
    return role == UPCONV_WORKSPACE || upc_op_of(plan->problem.op)->writes >> role & 1;
}

// What is written must not overlap anything else.
static upconv_status check_overlap(const upconv_plan *plan, const upconv_io *io)
{
    for (int i = 0; i < UPCONV_ROLE_COUNT; i++) {
        const upconv_role self = (upconv_role)i;
        const upconv_binding *w = &io->at[self];
        const uint64_t w_end = w->offset + role_bytes(plan, self);
        for (int role = 0; w->buffer && written(plan, self) && role < UPCONV_ROLE_COUNT; role++) {
            const upconv_binding *other = &io->at[role];
            if (i == role || !other->buffer || other->buffer->memory != w->buffer->memory ||
                in_place(plan, self, role, io))
                continue;
            if (other->offset < w_end && w->offset < other->offset + role_bytes(plan, (upconv_role)role))
                return upc_fail(UPCONV_ERROR_INVALID, "%s and %s overlap in one buffer", role_names[self],
                                role_names[role]);
        }
    }
    return UPCONV_OK;
}

static upconv_status check_io(const upconv_plan *plan, const upconv_io *io, bool host)
{
    for (int i = 0; i < UPCONV_ROLE_COUNT; i++) {
        const upconv_role role = (upconv_role)i;
        const upconv_binding *binding = &io->at[role];
        const char *why;
        const int use = takes(plan, role, &why);
        const bool given = binding->buffer || binding->host;
        if (given && use == FORBIDDEN)
            return upc_fail(UPCONV_ERROR_INVALID, "%s is given, but %s", role_names[role], why);
        if (!given && use == REQUIRED)
            return upc_fail(UPCONV_ERROR_INVALID, "%s is not given; this plan needs it", role_names[role]);
        if (binding->buffer && binding->host)
            return upc_fail(UPCONV_ERROR_INVALID, "%s is given as a buffer and as host memory; one of them",
                            role_names[role]);
        if (binding->host && !host)
            return upc_fail(UPCONV_ERROR_INVALID, "%s is host memory; only upconv_execute_io takes it",
                            role_names[role]);
        if (binding->host && (binding->offset || role == UPCONV_WORKSPACE))
            return upc_fail(UPCONV_ERROR_INVALID, "%s is host memory%s", role_names[role],
                            binding->offset ? ", which has no offset" : "; it must be a buffer");
        const upconv_status status = binding->buffer ? check_buffer(plan, role, binding) : UPCONV_OK;
        if (status)
            return status;
    }
    return check_overlap(plan, io);
}

static upc_bound resolve(const upconv_plan *plan, const upconv_io *io, const upc_bind *bind)
{
    const uint64_t own[] = {[UPC_BIAS] = plan->bias_at, [UPC_SLOPES] = plan->slopes_at, [UPC_PACKED] = plan->packed_at,
                            [UPC_TABLE] = plan->table_at};
    upc_bound bound = {NULL, bind->offset, bind->range};
    if (bind->place < (upc_place)UPCONV_ROLE_COUNT && io->at[bind->place].buffer) {
        bound.memory = io->at[bind->place].buffer->memory;
        bound.offset += io->at[bind->place].offset;
    } else if (bind->place != UPC_WORKSPACE) {
        bound.memory = plan->constants;
        bound.offset += own[bind->place];
    }
    return bound;
}

static upconv_status bind_launches(const upconv_plan *plan, const upconv_io *io, upc_launch **launches)
{
    const upc_recipe *recipe = &plan->recipe;
    upc_launch *made = upc_alloc_array(&plan->context->env, recipe->step_count, sizeof *made);
    if (!made)
        return upc_no_memory(recipe->step_count * sizeof *made);
    for (size_t i = 0; i < recipe->step_count; i++) {
        const upc_step *step = &recipe->steps[i];
        upc_launch *launch = &made[i];
        if (step->kind == UPC_STEP_KERNEL) {
            launch->program = plan->programs[step->program];
            launch->arg_count = recipe->programs[step->program].arg_count;
        } else if (step->kind == UPC_STEP_GEMM) {
            launch->gemm = step->gemm;
        } else {
            launch->host = upc_host_find(step->host);
            launch->host_arg = &plan->host_arg;
        }
        memcpy(launch->groups, step->groups, sizeof launch->groups);
        launch->args = step->args;
        launch->barrier = step->barrier;
        launch->bound_count = step->bind_count;
        for (uint32_t j = 0; j < step->bind_count; j++)
            launch->bound[j] = resolve(plan, io, &step->bind[j]);
    }
    *launches = made;
    return UPCONV_OK;
}

upconv_status upc_plan_launches(const upconv_plan *plan, const upconv_io *given, upc_launch **launches)
{
    upconv_io io;
    upconv_status status = upc_params_copy(&io, sizeof io, given, sizeof io, "io");
    if (status || (status = check_io(plan, &io, false)))
        return status;
    return bind_launches(plan, &io, launches);
}

// io has been checked.
static upconv_status submit(upconv_plan *plan, const upconv_io *io, upconv_ticket *ticket)
{
    upconv_context *context = plan->context;
    upc_launch *launches;
    upconv_status status = bind_launches(plan, io, &launches);
    if (status)
        return status;
    const upc_work work = {launches, (uint32_t)plan->recipe.step_count,
                           io->at[UPCONV_WORKSPACE].buffer ? 0 : plan->recipe.workspace_bytes};
    status = context->backend->submit(context->device, &work, ticket);
    upc_free(&context->env, launches);
    if (status)
        return status;
    atomic_fetch_add(&context->env.counts.submissions, 1);
    const bool host = plan->recipe.steps[0].kind == UPC_STEP_HOST; // all of a recipe's steps are, or none
    _Atomic uint64_t *steps = host ? &context->env.counts.host_steps : &context->env.counts.dispatches;
    atomic_fetch_add(steps, plan->recipe.step_count);
    return UPCONV_OK;
}

upconv_status upconv_submit(upconv_plan *plan, const upconv_io *given, upconv_ticket *ticket)
{
    if (!plan || !given || !ticket)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", !plan ? "plan" : !given ? "io" : "ticket");
    upconv_io io;
    upconv_status status = upc_params_copy(&io, sizeof io, given, sizeof io, "io");
    if (status || (status = check_io(plan, &io, false)) || (status = upc_context_check(plan->context)))
        return status;
    return submit(plan, &io, ticket);
}

upconv_status upconv_wait(upconv_context *context, upconv_ticket ticket, int64_t timeout_ns)
{
    if (!context)
        return upc_fail(UPCONV_ERROR_INVALID, "context is NULL");
    const upconv_status status = upc_context_check(context);
    if (status)
        return status;
    return context->backend->wait(context->device, ticket, timeout_ns < 0 ? context->timeout_ns : timeout_ns);
}

upconv_status upconv_ticket_time(upconv_context *context, upconv_ticket ticket, uint64_t *time_ns)
{
    if (!context || !time_ns)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", context ? "time_ns" : "context");
    return context->backend->ticket_time(context->device, ticket, time_ns);
}

// ------------------------------------------------------------------------------------------------------- host memory

enum { KEPT = 8 }; // buffers kept for the next call

// What is kept for the next call makes room for this one.
static bool drop_staging(upconv_context *context)
{
    upc_memory *dropped[KEPT];
    pthread_mutex_lock(&context->staging_lock);
    const size_t count = context->staging_count;
    for (size_t i = 0; i < count; i++)
        dropped[i] = context->staging[i];
    context->staging_count = 0;
    pthread_mutex_unlock(&context->staging_lock);
    for (size_t i = 0; i < count; i++)
        upc_memory_release(dropped[i]);
    return count > 0;
}

static upconv_status take_staging(upconv_context *context, uint64_t bytes, upc_memory **memory)
{
    upc_memory *found = NULL;
    pthread_mutex_lock(&context->staging_lock);
    for (size_t i = 0; i < context->staging_count; i++) {
        upc_memory *one = context->staging[i];
        if (one->bytes < bytes || one->bytes / 2 > bytes)
            continue;
        found = one;
        context->staging[i] = context->staging[--context->staging_count];
        break;
    }
    pthread_mutex_unlock(&context->staging_lock);
    if (found) {
        *memory = found;
        return UPCONV_OK;
    }
    const upconv_status status = context->backend->memory_create(context->device, bytes, memory);
    if ((status != UPCONV_ERROR_GPU_MEMORY && status != UPCONV_ERROR_HOST_MEMORY) || !drop_staging(context))
        return status;
    return context->backend->memory_create(context->device, bytes, memory);
}

// The oldest goes when there are too many. After an error nothing is kept, since work may still use it.
static void give_staging(upconv_context *context, upc_memory *memory, bool keep)
{
    upc_memory *drop = memory;
    pthread_mutex_lock(&context->staging_lock);
    void *array = context->staging;
    if (keep && upc_grow(&context->env, &array, &context->staging_capacity, KEPT, sizeof *context->staging)) {
        context->staging = array;
        drop = NULL;
        if (context->staging_count == KEPT) {
            drop = context->staging[0];
            memmove(context->staging, context->staging + 1, (KEPT - 1) * sizeof *context->staging);
            context->staging_count--;
        }
        context->staging[context->staging_count++] = memory;
    }
    pthread_mutex_unlock(&context->staging_lock);
    upc_memory_release(drop);
}

// Between host memory and what stands in for it. Of tensors the elements only: what lies between the output's is not
// ours.
static upconv_status copy(const upconv_plan *plan, upconv_role role, upc_memory *memory, void *host)
{
    upconv_context *context = plan->context;
    const bool in = !written(plan, role);
    void *pointer;
    upconv_status status = context->backend->memory_map(memory, in ? UPCONV_MAP_WRITE : UPCONV_MAP_READ,
                                                        context->timeout_ns, &pointer);
    if (status)
        return status;
    void *to = in ? pointer : host;
    const void *from = in ? host : pointer;
    if (is_tensor(plan, role)) {
        upc_tensor_form form;
        const upc_tensor *tensor = role_tensor(plan, role, &form);
        upc_tensor_copy(&form, tensor, to, from);
        if (!in) // where kernels write nothing stands what an earlier call left
            upc_tensor_clear_filling(&form, tensor, to);
    } else {
        memcpy(to, from, role_bytes(plan, role));
    }
    return context->backend->memory_unmap(memory, context->timeout_ns);
}

// Stages what is in host memory, runs, waits, and brings the output back. `staged` are the stand-ins for host pointers.
static upconv_status run_staged(upconv_plan *plan, const upconv_io *given, upconv_buffer staged[UPCONV_ROLE_COUNT])
{
    upconv_context *context = plan->context;
    upconv_io io = *given;
    upconv_status status = UPCONV_OK;
    for (int i = 0; i < UPCONV_ROLE_COUNT; i++) {
        const upconv_role role = (upconv_role)i;
        if (!given->at[role].host)
            continue;
        if ((status = take_staging(context, role_bytes(plan, role), &staged[role].memory)))
            return status;
        if (!written(plan, role) && (status = copy(plan, role, staged[role].memory, given->at[role].host)))
            return status;
        io.at[role] = (upconv_binding){.buffer = &staged[role]};
    }
    upconv_ticket ticket;
    if ((status = submit(plan, &io, &ticket)) ||
        (status = context->backend->wait(context->device, ticket, context->timeout_ns)))
        return status;
    for (int i = 0; i < UPCONV_ROLE_COUNT && !status; i++)
        if (given->at[i].host && written(plan, (upconv_role)i))
            status = copy(plan, (upconv_role)i, staged[i].memory, given->at[i].host);
    return status;
}

upconv_status upconv_execute_io(upconv_plan *plan, const upconv_io *given)
{
    if (!plan || !given)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", plan ? "io" : "plan");
    upconv_io io;
    upconv_status status = upc_params_copy(&io, sizeof io, given, sizeof io, "io");
    if (status || (status = check_io(plan, &io, true)) || (status = upc_context_check(plan->context)))
        return status;
    upconv_buffer staged[UPCONV_ROLE_COUNT];
    memset(staged, 0, sizeof staged);
    status = run_staged(plan, &io, staged);
    for (int i = 0; i < UPCONV_ROLE_COUNT; i++)
        if (staged[i].memory)
            give_staging(plan->context, staged[i].memory, status == UPCONV_OK);
    return status;
}

upconv_status upconv_execute(upconv_plan *plan, const void *input, void *output)
{
    if (!plan || !input || !output)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", !plan ? "plan" : !input ? "input" : "output");
    upconv_io io = {.struct_size = sizeof io};
    io.at[UPCONV_INPUT].host = (void *)(uintptr_t)input; // only read
    io.at[UPCONV_OUTPUT].host = output;
    return upconv_execute_io(plan, &io);
}
