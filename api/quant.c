#include "quant.h"

#include <math.h>
#include <string.h>

void upc_quant_limits(upconv_type type, int32_t limits[2])
{
    limits[0] = type == UPCONV_U8 ? 0 : type == UPCONV_I8 ? INT8_MIN : INT16_MIN;
    limits[1] = type == UPCONV_U8 ? UINT8_MAX : type == UPCONV_I8 ? INT8_MAX : INT16_MAX;
}

void upc_quant_range(const upc_problem *problem, int32_t range[2])
{
    const upc_quant *quant = &problem->quant;
    range[1] = quant->range[1];
    range[0] = problem->act == UPCONV_ACT_RELU ? UPC_MAX(quant->range[0], quant->out_zero) : quant->range[0];
    range[0] = UPC_MIN(range[0], range[1]);
}

int64_t upc_quant_most_in(const upc_problem *problem)
{
    int32_t limits[2];
    upc_quant_limits(problem->type, limits);
    const int64_t zero = problem->quant.in_zero;
    return UPC_MAX(limits[1] - zero, zero - limits[0]);
}

// Of either type: the problem does not know which.
int64_t upc_quant_most_weight(const upc_problem *problem)
{
    const int64_t zero = problem->quant.weights_zero;
    return UPC_MAX(UINT8_MAX - zero, zero - INT8_MIN);
}

// ---------------------------------------------------------------------------------------------------------- the rules

static upconv_status check_number(const char *name, int32_t value, int32_t least, int32_t most)
{
    if (value < least || value > most)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is %d; it must be from %d to %d", name, value, least, most);
    return UPCONV_OK;
}

static upconv_status check_unused(const upconv_problem *given)
{
    const struct {
        const char *name;
        int value;
    } fields[] = {{"requant", (int)given->requant},      {"in_zero", given->in_zero},
                  {"weights_zero", given->weights_zero}, {"out_zero", given->out_zero},
                  {"out_range[0]", given->out_range[0]}, {"out_range[1]", given->out_range[1]}};
    for (size_t i = 0; i < UPC_COUNT(fields); i++)
        if (fields[i].value)
            return upc_fail(UPCONV_ERROR_INVALID, "%s is %d; it is for problems of type U8, I8 or I16, leave it zero",
                            fields[i].name, fields[i].value);
    return UPCONV_OK;
}

static upconv_status check_fits(const upconv_problem *given)
{
    if (given->op != UPCONV_CONV_TRANSPOSE)
        return upc_fail(UPCONV_ERROR_INVALID, "type is %d; only transposed convolution has quantised types",
                        (int)given->type);
    if (given->act != UPCONV_ACT_NONE && given->act != UPCONV_ACT_RELU)
        return upc_fail(UPCONV_ERROR_INVALID,
                        "act is %s; quantised types have none and relu, and others that are a clamp by out_range",
                        upc_act_name(given->act));
    if (given->residual)
        return upc_fail(UPCONV_ERROR_INVALID, "residual is %d; quantised types have none, leave it zero",
                        (int)given->residual);
    return UPCONV_OK;
}

upconv_status upc_quant_read(const upconv_problem *given, upc_problem *problem)
{
    if (!upc_type_quantised(given->type))
        return check_unused(given);
    int32_t limits[2];
    upc_quant_limits(given->type, limits);
    upconv_status status = check_fits(given);
    if (!status)
        status = check_number("requant", (int32_t)given->requant, 0, UPCONV_REQUANT_COUNT - 1);
    if (!status)
        status = check_number("in_zero", given->in_zero, limits[0], limits[1]);
    if (!status)
        status = check_number("weights_zero", given->weights_zero, INT8_MIN, UINT8_MAX);
    if (!status)
        status = check_number("out_zero", given->out_zero, limits[0], limits[1]);
    for (int i = 0; i < 2 && !status; i++)
        status = check_number(i ? "out_range[1]" : "out_range[0]", given->out_range[i], limits[0], limits[1]);
    if (!status && given->out_range[0] > given->out_range[1])
        status = upc_fail(UPCONV_ERROR_INVALID, "out_range is {%d, %d}; the first must be at most the second",
                          given->out_range[0], given->out_range[1]);
    const bool whole = !given->out_range[0] && !given->out_range[1];
    problem->quant = (upc_quant){given->requant, given->in_zero, given->weights_zero, given->out_zero,
                                 {whole ? limits[0] : given->out_range[0], whole ? limits[1] : given->out_range[1]}};
    return status;
}

void upc_quant_give(const upc_problem *problem, upconv_problem *given)
{
    const upc_quant *quant = &problem->quant;
    given->requant = quant->requant;
    given->in_zero = quant->in_zero;
    given->weights_zero = quant->weights_zero;
    given->out_zero = quant->out_zero;
    memcpy(given->out_range, quant->range, sizeof given->out_range);
}

void upc_quant_print(const upc_problem *problem, upc_text *text)
{
    static const char *const types[UPCONV_TYPE_COUNT] = {[UPCONV_U8] = "u8", [UPCONV_I8] = "i8", [UPCONV_I16] = "i16"};
    static const char *const schemes[UPCONV_REQUANT_COUNT] = {"", "+single", "+reduced", "+real"};
    const upc_quant *quant = &problem->quant;
    int32_t limits[2];
    if (!upc_type_quantised(problem->type))
        return;
    upc_quant_limits(problem->type, limits);
    upc_text_add(text, "+%s%s", types[problem->type], schemes[quant->requant]);
    if (quant->in_zero || quant->weights_zero || quant->out_zero)
        upc_text_add(text, "+zero:%d:%d:%d", quant->in_zero, quant->weights_zero, quant->out_zero);
    if (memcmp(quant->range, limits, sizeof limits))
        upc_text_add(text, "+range:%d:%d", quant->range[0], quant->range[1]);
}

// --------------------------------------------------------------------------------------------------- what plans are given

static upconv_status check_scales(const upc_problem *problem, const upconv_plan_params *params)
{
    const int32_t most = problem->quant.requant == UPCONV_REQUANT_REDUCED ? 7 : 30;
    for (int32_t i = 0; i < params->scale_count; i++) {
        int32_t multiplier, shift;
        if (params->scales && upconv_requant_multiplier(params->scales[i], problem->quant.requant, &multiplier, &shift))
            return upc_fail(UPCONV_ERROR_INVALID,
                            "params.scales[%d] is %g; it must be from 0 to below 2^%d for this scheme", i,
                            params->scales[i], most);
        if (params->scales)
            continue;
        if (params->multipliers[i] < 0)
            return upc_fail(UPCONV_ERROR_INVALID, "params.multipliers[%d] is %d; it must not be negative", i,
                            params->multipliers[i]);
        if (params->shifts[i] < -31 || params->shifts[i] > most)
            return upc_fail(UPCONV_ERROR_INVALID, "params.shifts[%d] is %d; it must be from -31 to %d for this scheme",
                            i, params->shifts[i], most);
    }
    return UPCONV_OK;
}

static upconv_status check_unused_params(const upconv_plan_params *params)
{
    if (params->multipliers || params->shifts || params->scales || params->scale_count || params->bias_int64)
        return upc_fail(UPCONV_ERROR_INVALID,
                        "params.%s is set, but the problem is not quantised",
                        params->multipliers ? "multipliers" : params->shifts ? "shifts" : params->scales ? "scales"
                        : params->scale_count ? "scale_count" : "bias_int64");
    if (upc_type_quantised(params->weights_type))
        return upc_fail(UPCONV_ERROR_INVALID,
                        "params.weights_type is %d; weights of integers are for quantised problems",
                        (int)params->weights_type);
    return UPCONV_OK;
}

upconv_status upc_quant_check(const upc_problem *problem, const upconv_plan_params *params)
{
    const int64_t channels = problem->groups * problem->ocg;
    if (!upc_type_quantised(problem->type))
        return check_unused_params(params);
    if (params->weights_type != UPCONV_U8 && params->weights_type != UPCONV_I8)
        return upc_fail(UPCONV_ERROR_INVALID, "params.weights_type is %d; it must be U8 or I8 for a quantised problem",
                        (int)params->weights_type);
    if (params->scale_count != 1 && params->scale_count != channels)
        return upc_fail(UPCONV_ERROR_INVALID, "params.scale_count is %d; it must be 1 or the output channels, %lld",
                        params->scale_count, (long long)channels);
    if (!params->multipliers != !params->shifts || !params->scales == !params->multipliers)
        return upc_fail(UPCONV_ERROR_INVALID,
                        "params needs either multipliers and shifts or scales for a quantised problem");
    if (params->bias_int64 > 1)
        return upc_fail(UPCONV_ERROR_INVALID, "params.bias_int64 is %u; it must be 0 or 1", params->bias_int64);
    return check_scales(problem, params);
}

upconv_status upconv_requant_multiplier(double scale, upconv_requant scheme, int32_t *multiplier, int32_t *shift)
{
    if (!multiplier || !shift)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL; it is required", multiplier ? "shift" : "multiplier");
    if ((int)scheme < 0 || scheme >= UPCONV_REQUANT_COUNT)
        return upc_fail(UPCONV_ERROR_INVALID, "scheme is %d; it must be from 0 to %d", (int)scheme,
                        UPCONV_REQUANT_COUNT - 1);
    const int most = scheme == UPCONV_REQUANT_REDUCED ? 7 : 30;
    int exponent = 0;
    const double fraction = scale >= 0 && scale <= 0x1p31 ? frexp(scale, &exponent) : -1;
    int64_t fixed = (int64_t)round(fraction * 0x1p31);
    if (fixed == INT64_C(1) << 31) {
        fixed /= 2;
        exponent++;
    }
    if (fraction < 0 || exponent > most)
        return upc_fail(UPCONV_ERROR_INVALID, "scale is %g; it must be from 0 to below 2^%d for this scheme", scale,
                        most);
    *multiplier = exponent < -31 ? 0 : (int32_t)fixed;
    *shift = exponent < -31 ? 0 : exponent;
    return UPCONV_OK;
}

upconv_status upconv_requant_range(upconv_type type, float scale, int32_t zero, float low, float high, int32_t range[2])
{
    if (!range)
        return upc_fail(UPCONV_ERROR_INVALID, "range is NULL; it is required");
    if (!upc_type_quantised(type) || type >= UPCONV_TYPE_COUNT)
        return upc_fail(UPCONV_ERROR_INVALID, "type is %d; it must be U8, I8 or I16", (int)type);
    if (!(scale > 0) || scale > 3.4e38f || !(low <= high))
        return upc_fail(UPCONV_ERROR_INVALID,
                        "scale is %g, low %g, high %g; the scale must be finite and above 0, low at most high",
                        (double)scale, (double)low, (double)high);
    int32_t limits[2], found[2];
    upc_quant_limits(type, limits);
    for (int i = 0; i < 2; i++) {
        const float steps = roundf((i ? high : low) / scale); // far beyond any type, and infinite, is as good as its end
        const double at = (double)zero + (double)steps;
        found[i] = at < limits[0] ? limits[0] : at > limits[1] ? limits[1] : (int32_t)at;
    }
    if (!found[0] && !found[1]) // out_range has another meaning for it
        return upc_fail(UPCONV_ERROR_INVALID,
                        "from %g to %g in steps of %g is the integer 0 alone; out_range takes that for all of the type",
                        (double)low, (double)high, (double)scale);
    memcpy(range, found, sizeof found);
    return UPCONV_OK;
}

// -------------------------------------------------------------------------------------------------------- requantising

// scale = whole * 2^-places, whole of 53 bits. What is so small that no sum comes to a half is 0.
static upc_factor real_factor(double scale)
{
    int exponent;
    const double fraction = frexp(scale, &exponent);
    const int places = 53 - exponent;
    uint64_t whole = (uint64_t)ldexp(fraction, 53);
    if (places > 117) // a sum is below 2^63, and so is what it comes to below 2^116 / 2^places
        whole = 0;
    return (upc_factor){{(int32_t)(uint32_t)whole, (int32_t)(whole >> 32), whole ? places - 1 : 63, 0}};
}

static upc_factor factor_of(upconv_requant scheme, int32_t multiplier, int32_t shift)
{
    if (scheme == UPCONV_REQUANT_DOUBLE)
        return (upc_factor){{multiplier, 0, shift, 0}};
    if (scheme == UPCONV_REQUANT_SINGLE)
        return (upc_factor){{multiplier, 0, 30 - shift, 0}};
    const int32_t reduced = multiplier < 0x7fff0000 ? (multiplier + (1 << 15)) >> 16 : 0x7fff;
    return (upc_factor){{reduced, 0, 14 - shift, 0}};
}

void upc_quant_factors(const upc_problem *problem, const upconv_plan_params *params, upc_factor *factors)
{
    const upconv_requant scheme = problem->quant.requant;
    for (int64_t c = 0; c < problem->groups * problem->ocg; c++) {
        const int64_t i = params->scale_count == 1 ? 0 : c;
        int32_t multiplier = params->multipliers ? params->multipliers[i] : 0,
                shift = params->shifts ? params->shifts[i] : 0;
        if (scheme == UPCONV_REQUANT_REAL) {
            factors[c] = real_factor(params->scales ? params->scales[i] : ldexp(multiplier, shift - 31));
            continue;
        }
        if (params->scales)
            upconv_requant_multiplier(params->scales[i], scheme, &multiplier, &shift); // checked before
        factors[c] = factor_of(scheme, multiplier, shift);
    }
}

static int32_t wrap32(uint64_t value) { return (int32_t)(uint32_t)value; }

// (product + 2^places) >> (places + 1), rounded towards minus infinity.
static int32_t shifted(int64_t product, int places) { return wrap32((uint64_t)((product >> places) + 1) >> 1); }

static int32_t requantise_double(int32_t sum, const upc_factor *factor)
{
    const int left = UPC_MAX(factor->word[2], 0), right = UPC_MAX(-factor->word[2], 0);
    const int64_t product = (int64_t)wrap32((uint64_t)(uint32_t)sum << left) * factor->word[0];
    const int32_t high = (int32_t)((product + (1 << 30)) >> 31);
    const int32_t mask = (int32_t)((INT64_C(1) << right) - 1), rest = high & mask, half = (mask >> 1) + (high < 0);
    return (high >> right) + (rest > half);
}

// On magnitudes, in 128 bits; what does not fit 32 saturates.
static int32_t requantise_real(int64_t sum, const upc_factor *factor)
{
    const uint64_t magnitude = sum < 0 ? 0 - (uint64_t)sum : (uint64_t)sum;
    const uint64_t whole = (uint64_t)(uint32_t)factor->word[1] << 32 | (uint32_t)factor->word[0];
    const uint64_t low = (magnitude & UINT32_MAX) * (whole & UINT32_MAX);
    const uint64_t mid = (magnitude >> 32) * (whole & UINT32_MAX) + (low >> 32); // below 2^63
    const uint64_t other = (magnitude & UINT32_MAX) * (whole >> 32) + (mid & UINT32_MAX);
    const uint64_t high = (magnitude >> 32) * (whole >> 32) + (mid >> 32) + (other >> 32);
    const uint64_t lower = other << 32 | (low & UINT32_MAX);
    const int places = factor->word[2];
    uint64_t found = places >= 64 ? high >> (places - 64) : places ? lower >> places | high << (64 - places) : lower;
    if (places < 64 && high >> places)
        found = UINT64_MAX;
    found = found >= UINT32_MAX ? INT32_MAX : (found + 1) >> 1;
    found = UPC_MIN(found, INT32_MAX);
    return sum < 0 ? -(int32_t)found : (int32_t)found;
}

int32_t upc_requantise(upconv_requant scheme, int64_t sum, const upc_factor *factor)
{
    switch (scheme) {
    case UPCONV_REQUANT_DOUBLE: return requantise_double(wrap32((uint64_t)sum), factor);
    case UPCONV_REQUANT_SINGLE: return shifted((int64_t)wrap32((uint64_t)sum) * factor->word[0], factor->word[2]);
    case UPCONV_REQUANT_REDUCED:
        return shifted((int64_t)((uint64_t)sum * (uint64_t)factor->word[0]), factor->word[2]);
    default: return requantise_real(sum, factor);
    }
}
