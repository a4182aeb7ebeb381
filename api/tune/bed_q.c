// Beds of quantised problems: numbers of the whole range of their types, results by the definition, to the bit.
#include "bed_q.h"

#include <math.h>

#include "../host.h"

// Numbers from the type's least to its largest; every eighth is one of the two.
void upc_bed_fill(void *values, upconv_type type, uint64_t count, uint32_t seed)
{
    int32_t limits[2];
    upc_quant_limits(type, limits);
    for (uint64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        const int32_t range = limits[1] - limits[0] + 1, drawn = limits[0] + (int32_t)((seed >> 12) % (uint32_t)range);
        upc_quant_store(values, type, (int64_t)i, seed >> 29 ? drawn : limits[seed >> 28 & 1]);
    }
}

void upc_bed_fill_bias(int32_t *values, uint64_t count, uint32_t seed)
{
    for (uint64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (int32_t)(seed >> 16) - (1 << 15);
    }
}

double upc_bed_requant_scale(const upc_problem *problem)
{
    const upc_axis *a = problem->axis;
    const double phases = (double)(a[0].stride * a[1].stride) * (double)a[2].stride;
    const double terms = (double)problem->icg * (double)(a[0].kernel * a[1].kernel * a[2].kernel) / phases;
    const double number = (double)upc_quant_most_in(problem), weight = (double)upc_quant_most_weight(problem);
    int32_t limits[2];
    upc_quant_limits(problem->type, limits);
    return (double)(limits[1] - limits[0]) / 5 / (number * weight / 3 * sqrt(UPC_MAX(terms, 1)));
}

void upc_bed_quantised_params(const double *scale, upconv_plan_params *params)
{
    params->weights_type = UPCONV_I8;
    params->scales = scale;
    params->scale_count = 1;
}

upconv_status upc_bed_pack(const upc_problem *problem, const upc_env *env, const upconv_plan_params *params,
                           void **packed)
{
    const uint64_t bytes = upc_quantised_packed_bytes(problem);
    if (!(*packed = upc_alloc(env, bytes)))
        return upc_no_memory(bytes);
    upc_quantised_pack(problem, params, *packed);
    return UPCONV_OK;
}
