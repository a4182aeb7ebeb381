// Quantised problems: their rules, and what brings a sum of integers back into the output's type.
#ifndef UPC_QUANT_H
#define UPC_QUANT_H

#include "problem.h"

// Reads and checks the fields of quantised problems; for others they must be zero.
upconv_status upc_quant_read(const upconv_problem *given, upc_problem *problem);
void upc_quant_give(const upc_problem *problem, upconv_problem *given);
void upc_quant_print(const upc_problem *problem, upc_text *text); // suffixes of the notation
// What plans of a problem may be made with.
upconv_status upc_quant_check(const upc_problem *problem, const upconv_plan_params *params);

// The least and the largest number of a quantised type.
void upc_quant_limits(upconv_type type, int32_t limits[2]);
// What outputs are clamped to, with the activation.
void upc_quant_range(const upc_problem *problem, int32_t range[2]);
// Whether sums are of 64 bits; else of 32, and wrap around.
static inline bool upc_quant_wide(const upc_problem *problem) { return problem->quant.requant >= UPCONV_REQUANT_REDUCED; }
// The largest magnitudes of an input and of a weight without their zero points.
int64_t upc_quant_most_in(const upc_problem *problem);
int64_t upc_quant_most_weight(const upc_problem *problem);

// What a channel's sums are multiplied by, in the form that requantising computes with; word[3] is not used.
//   DOUBLE: multiplier, -, shift;  SINGLE: multiplier, -, 30 - shift;  REDUCED: the multiplier of 16 bits, -, 14 - shift;
//   REAL: a whole number of 53 bits, low word and high, and how far it is shifted, minus 1
typedef struct upc_factor {
    int32_t word[4];
} upc_factor;
// Of every output channel, from params that have been checked.
void upc_quant_factors(const upc_problem *problem, const upconv_plan_params *params, upc_factor *factors);

// A sum with its bias brought back, before the zero point.
int32_t upc_requantise(upconv_requant scheme, int64_t sum, const upc_factor *factor);

// An integer of type U8, I8 or I16.
static inline int32_t upc_quant_load(const void *data, upconv_type type, int64_t at)
{
    return type == UPCONV_U8   ? ((const uint8_t *)data)[at]
           : type == UPCONV_I8 ? ((const int8_t *)data)[at]
                               : ((const int16_t *)data)[at];
}
static inline void upc_quant_store(void *data, upconv_type type, int64_t at, int32_t value)
{
    if (type == UPCONV_I16)
        ((int16_t *)data)[at] = (int16_t)value;
    else
        ((uint8_t *)data)[at] = (uint8_t)value;
}

#endif
