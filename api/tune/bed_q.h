// What beds of quantised problems have of their own.
#ifndef UPC_TUNE_BED_Q_H
#define UPC_TUNE_BED_Q_H

#include "../quant.h"

void upc_bed_fill(void *values, upconv_type type, uint64_t count, uint32_t seed);
void upc_bed_fill_bias(int32_t *values, uint64_t count, uint32_t seed);
// What sums are multiplied by so that most results are within the type, and use its range.
double upc_bed_requant_scale(const upc_problem *problem);
// The rest of what plans need beside weights; *scale must outlive the params.
void upc_bed_quantised_params(const double *scale, upconv_plan_params *params);
// Weights and factors as the definition reads them: memory to upc_free. HOST_MEMORY.
upconv_status upc_bed_pack(const upc_problem *problem, const upc_env *env, const upconv_plan_params *params,
                           void **packed);

#endif
