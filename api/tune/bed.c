#include "../ops.h"
#include "../pooling.h"
#include "bed.h"
#include "bed_q.h"

#include <math.h>
#include <string.h>

enum {
    GUARD = 4096,  // keeps every alignment that a device may ask for
    POISON = 0xff, // in every byte: not a number in either type
    BATCH = 64,    // submissions in flight; the backend knows the times of 256
};

float upc_bed_value(const upc_bed *bed, const void *data, int64_t at)
{
    const upconv_type type = bed->shape.type;
    return upc_type_quantised(type) ? (float)upc_quant_load(data, type, at) : upc_host_load(data, type, at);
}

static const double definition_macs = 1e8; // by the definition in about a tenth of a second
static const uint64_t expected_most = (uint64_t)64 << 20;

static void fill_integers(void *values, upconv_type type, uint64_t count, uint32_t seed)
{
    for (uint64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        upc_host_store(values, type, (int64_t)i, (float)((int)(seed >> 24) % 9 - 4));
    }
}

// Unpooling's: those that pooling of what comes out could have given, as far as they lie within it.
static upconv_status make_indices(upc_bed *bed)
{
    if (bed->problem.op != UPCONV_MAX_UNPOOL)
        return UPCONV_OK;
    bed->indices = upc_alloc(&bed->context->env, upc_indices_bytes(&bed->problem));
    if (!bed->indices)
        return upc_no_memory(upc_indices_bytes(&bed->problem));
    upc_pool_example(&bed->problem, bed->indices);
    return UPCONV_OK;
}

static upconv_status make_values(upc_bed *bed)
{
    const upc_problem *p = &bed->problem;
    void *w = NULL, *b = NULL;
    const struct {
        void **at;
        uint64_t count;
        upconv_type type;
    } arrays[] = {
        {&bed->input, (uint64_t)p->in.elements, p->type},
        {&w, upc_weights_elements(p), bed->quantised ? UPCONV_I8 : UPCONV_F32},
        {&b, (uint64_t)(p->groups * p->ocg), UPCONV_F32},
        {&bed->residual, p->residual || bed->gradient ? (uint64_t)p->out.elements : 0, p->type},
    };
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < UPC_COUNT(arrays) && !status; i++) {
        if (!arrays[i].count)
            continue;
        *arrays[i].at = upc_alloc_array(&bed->context->env, arrays[i].count, upc_type_bytes(arrays[i].type));
        if (*arrays[i].at && upc_type_quantised(arrays[i].type))
            upc_bed_fill(*arrays[i].at, arrays[i].type, arrays[i].count, (uint32_t)i + 1);
        else if (*arrays[i].at && bed->quantised)
            upc_bed_fill_bias(*arrays[i].at, arrays[i].count, (uint32_t)i + 1);
        else if (*arrays[i].at)
            fill_integers(*arrays[i].at, arrays[i].type, arrays[i].count, (uint32_t)i + 1);
        else
            status = upc_no_memory(arrays[i].count * upc_type_bytes(arrays[i].type));
    }
    bed->weights = w;
    bed->bias = b;
    return status ? status : make_indices(bed);
}

// Between guards of NaN, so that what reads too far is seen in the results.
static upconv_status make_buffer(upc_bed *bed, upconv_role role, int index, const void *data, uint64_t bytes)
{
    void *pointer;
    upconv_status status = upconv_buffer_create(bed->context, bytes + 2 * bed->guard, &bed->buffers[index]);
    if (status || (status = upconv_buffer_map(bed->buffers[index], UPCONV_MAP_WRITE, &pointer)))
        return status;
    memset(pointer, POISON, bytes + 2 * bed->guard);
    if (data)
        memcpy((char *)pointer + bed->guard, data, bytes);
    bed->io.at[role] = (upconv_binding){.buffer = bed->buffers[index], .offset = bed->guard};
    return upconv_buffer_unmap(bed->buffers[index]);
}

static upconv_status make_buffers(upc_bed *bed)
{
    const uint64_t in = upc_input_bytes(&bed->problem), out = upc_output_bytes(&bed->problem);
    const upconv_role other = bed->gradient ? UPCONV_OUTPUT_GRAD : UPCONV_RESIDUAL;
    const uint64_t most = bed->context->facts.info.limits.alloc_bytes;
    const uint64_t indices = upc_op_takes(bed->problem.op, UPCONV_INDICES) ? upc_indices_bytes(&bed->problem) : 0;
    bed->guard = UPC_MAX(UPC_MAX(in, out), indices) + 2 * GUARD > most ? 0 : GUARD;
    bed->io.struct_size = sizeof bed->io;
    upconv_status status = make_buffer(bed, UPCONV_INPUT, 0, bed->input, in);
    if (!upc_op_takes(bed->problem.op, UPCONV_INPUT))
        bed->io.at[UPCONV_INPUT] = (upconv_binding){0};
    if (!status && bed->residual)
        status = make_buffer(bed, other, 1, bed->residual, out);
    if (!status)
        status = make_buffer(bed, UPCONV_OUTPUT, 2, NULL, upc_output_bytes(&bed->shape));
    if (!status && indices)
        status = make_buffer(bed, UPCONV_INDICES, 3, bed->indices, indices);
    return status;
}

// The definition's pointers.
static void point_to(const upc_bed *bed, void *output, void *pointers[UPC_HOST_POINTERS])
{
    void *const all[UPC_HOST_POINTERS] = {bed->input, bed->weights,  bed->bias,   bed->bias,
                                          output,     bed->residual, bed->indices};
    memcpy(pointers, all, sizeof all);
    if (bed->quantised) {
        pointers[UPC_HOST_FACTORS] = bed->packed;
        pointers[UPC_HOST_WEIGHTS] = (char *)bed->packed + upc_quantised_factor_bytes(&bed->problem);
    }
    if (bed->gradient)
        pointers[UPC_HOST_OUTPUT_GRAD] = bed->residual;
}

static void sample(upc_bed *bed)
{
    const upc_problem *p = &bed->shape;
    const upc_host_arg arg = {.problem = &bed->problem, .order = UPCONV_FILTER_IOK, .packed = bed->quantised};
    void *pointers[UPC_HOST_POINTERS];
    const void *const *from = (const void *const *)pointers;
    point_to(bed, NULL, pointers);
    const int64_t ow = p->axis[2].out, oh = p->axis[1].out, od = p->axis[0].out, channels = p->groups * p->ocg;
    const uint64_t count = upc_output_elements(p);
    uint64_t at = 0;
    for (int i = 0; i < UPC_BED_SAMPLES; i++) {
        const int64_t o = (int64_t)(i == 0 ? count - 1 : at % count); // the first and last, and what visits all phases
        const int64_t where[5] = {o / ow / oh / od / channels, o / ow / oh / od % channels, o / ow / oh % od,
                                  o / ow % oh, o % ow};
        memcpy(bed->where[i], where, sizeof where);
        bed->sample[i] =
            bed->quantised ? upc_quantised_point(&arg, from, where) : upc_reference_point(&arg, from, where);
        at = at * 6364136223846793005u + 1442695040888963407u;
    }
}

// Everything by the definition, as f32 and dense.
static upconv_status define(upc_bed *bed)
{
    const upc_problem plain = bed->shape;
    const upc_host_arg arg = {.problem = &bed->problem, .order = UPCONV_FILTER_IOK, .packed = bed->quantised};
    void *const outputs = upc_alloc(&bed->context->env, upc_output_bytes(&plain));
    void *pointers[UPC_HOST_POINTERS];
    point_to(bed, outputs, pointers);
    if (!outputs)
        return upc_no_memory(upc_output_bytes(&plain));
    const upconv_status status = bed->quantised ? upc_host_quantised(&bed->context->env, &arg, pointers)
                                                : upc_reference_all(&bed->context->env, &arg, pointers);
    for (int64_t i = 0; i < plain.out.elements && !status; i++)
        ((float *)bed->expected)[i] = upc_bed_value(bed, outputs, i);
    upc_free(&bed->context->env, outputs);
    bed->trusted = !status;
    return status;
}

static upconv_status expect(upc_bed *bed, bool whole)
{
    const upc_problem *p = &bed->problem;
    const uint64_t bytes = (uint64_t)bed->shape.out.elements * sizeof(float);
    const double taps = (double)p->axis[0].kernel * (double)(p->axis[1].kernel * p->axis[2].kernel);
    double terms = (double)p->icg * taps;
    if (bed->gradient)
        terms = (double)p->batch * (double)(p->axis[0].out * p->axis[1].out * p->axis[2].out);
    bed->scale = 6.7 * sqrt(terms); // of a sum of products of numbers from -4 to 4
    sample(bed);
    if (bytes > expected_most)
        return UPCONV_OK;
    if (!(bed->expected = upc_alloc(&bed->context->env, bytes)))
        return upc_no_memory(bytes);
    if (p->op == UPCONV_MAX_POOL && !(bed->indices = upc_alloc(&bed->context->env, bytes)))
        return upc_no_memory(bytes);
    // what has no products takes the values that it reads, of interpolation up to 64 an output
    const double reads = ((double)upc_input_elements(p) + (double)upc_output_elements(p)) * UPC_MAX(taps, 8);
    const double work = upc_problem_macs(p) > 0 ? upc_problem_macs(p) : reads;
    return whole || work <= definition_macs ? define(bed) : UPCONV_OK;
}

upconv_status upc_bed_create(upconv_context *context, const upc_problem *problem, const upconv_plan_params *given,
                             bool whole, int64_t run_timeout_ns, upc_bed **bed)
{
    upc_bed *made = upc_alloc(&context->env, sizeof *made);
    if (!made)
        return upc_no_memory(sizeof *made);
    made->context = context;
    made->problem = *problem;
    made->gradient = upc_op_takes(problem->op, UPCONV_OUTPUT_GRAD);
    upc_result_shape(problem, &made->shape);
    made->run_timeout_ns = run_timeout_ns;
    made->quantised = upc_type_quantised(problem->type);
    upconv_status status = make_values(made);
    made->params =
        (upconv_plan_params){.weights = made->weights, .workspace_limit = given->workspace_limit};
    if (made->quantised) {
        made->requant_scale = upc_bed_requant_scale(problem);
        upc_bed_quantised_params(&made->requant_scale, &made->params);
        if (!status)
            status = upc_bed_pack(problem, &context->env, &made->params, &made->packed);
    }
    if (!status)
        status = make_buffers(made);
    if (!status)
        status = expect(made, whole);
    if (status) {
        upc_bed_destroy(made);
        return status;
    }
    if (upc_op_takes(problem->op, UPCONV_BIAS))
        made->params.bias = made->bias;
    if (problem->act == UPCONV_ACT_PRELU)
        made->params.slopes = made->bias;
    *bed = made;
    return UPCONV_OK;
}

void upc_bed_destroy(upc_bed *bed)
{
    if (!bed)
        return;
    const upc_env *env = &bed->context->env;
    for (size_t i = 0; i < UPC_COUNT(bed->buffers); i++)
        upconv_buffer_destroy(bed->buffers[i]);
    upc_free(env, bed->weights);
    upc_free(env, bed->packed);
    upc_free(env, bed->bias);
    upc_free(env, bed->input);
    upc_free(env, bed->residual);
    upc_free(env, bed->expected);
    upc_free(env, bed->indices);
    upc_free(env, bed);
}

upconv_status upc_bed_run(const upc_bed *bed, upconv_plan *plan, int count, double *us)
{
    upconv_ticket tickets[BATCH];
    uint64_t sum = 0;
    const int n = UPC_MIN(UPC_MAX(count, 1), BATCH);
    const bool timestamps = bed->context->facts.info.timestamps;
    const uint64_t start = upc_now_ns();
    upconv_status status = UPCONV_OK;
    for (int i = 0; i < n && !status; i++)
        status = upconv_submit(plan, &bed->io, &tickets[i]);
    if (!status)
        status = upconv_wait(bed->context, tickets[n - 1], bed->run_timeout_ns);
    const uint64_t end = upc_now_ns();
    for (int i = 0; i < n && !status && timestamps; i++) {
        uint64_t ns = 0;
        status = upconv_ticket_time(bed->context, tickets[i], &ns);
        sum += ns;
    }
    // by the host's clock, those that wait for one another cannot be told apart
    *us = (double)(timestamps ? sum : end - start) / 1e3 / n;
    return status;
}
