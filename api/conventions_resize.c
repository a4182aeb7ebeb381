// The frameworks' ways to say how a tensor is resized, each turned into coordinates, rounding, sizes and scales.
#include "problem.h"

#include <math.h>
#include <string.h>

typedef struct convention {
    upconv_problem problem; // a copy, to be given back where all is right
    int dims;
} convention;

static upconv_status begin(const upconv_problem *problem, convention *it)
{
    if (!problem)
        return upc_fail(UPCONV_ERROR_INVALID, "problem is NULL; it is required");
    const upconv_status status =
        upc_params_copy(&it->problem, sizeof it->problem, problem, sizeof it->problem, "problem");
    if (status)
        return status;
    upconv_problem *p = &it->problem;
    it->dims = p->dims ? p->dims : 2;
    if (it->dims < 1 || it->dims > 3)
        return upc_fail(UPCONV_ERROR_INVALID, "dims is %d; it must be 1, 2 or 3 (0 means 2)", p->dims);
    p->op = UPCONV_RESIZE;
    p->resize_mode = UPCONV_RESIZE_NEAREST;
    p->coordinates = UPCONV_HALF_PIXEL;
    p->rounding = UPCONV_ROUND_PREFER_FLOOR;
    p->cubic_coefficient = 0;
    p->exclude_outside = p->f32_steps = 0;
    memset(p->scale, 0, sizeof p->scale);
    for (int i = 0; i < it->dims; i++)
        if (p->in[i] <= 0)
            return upc_fail(UPCONV_ERROR_INVALID, "in[%d] is %d; it must be above 0", i, p->in[i]);
    return UPCONV_OK;
}

static upconv_status set_out(convention *it, int i, double out)
{
    if (!(out >= 1 && out <= INT32_MAX))
        return upc_fail(UPCONV_ERROR_INVALID,
                        "the output size of axis %d comes to %.0f; it must be from 1 to 2147483647", i, out);
    it->problem.out[i] = (int32_t)out;
    return UPCONV_OK;
}

static upconv_status set_scaled(convention *it, int i, double scale)
{
    if (!(scale > 0 && scale <= 1e9))
        return upc_fail(UPCONV_ERROR_INVALID, "the scale of axis %d is %g; it must be above 0 and at most 1e9", i,
                        scale);
    it->problem.scale[i] = scale;
    return set_out(it, i, floor(it->problem.in[i] * scale));
}

static upconv_status check_one_of(const void *size, const void *scale)
{
    if (!size == !scale)
        return upc_fail(UPCONV_ERROR_INVALID, "sizes and scales are %s given; resizing needs one of them",
                        size ? "both" : "neither");
    return UPCONV_OK;
}

static void give_back(const convention *it, upconv_problem *problem)
{
    const upconv_problem *made = &it->problem;
    problem->op = made->op;
    problem->resize_mode = made->resize_mode;
    problem->coordinates = made->coordinates;
    problem->rounding = made->rounding;
    problem->cubic_coefficient = made->cubic_coefficient;
    problem->exclude_outside = made->exclude_outside;
    problem->f32_steps = made->f32_steps;
    for (int i = 0; i < it->dims; i++) {
        problem->out[i] = made->out[i];
        problem->scale[i] = made->scale[i];
    }
}

// A caller that was compiled before resizing was there has no place for it.
static upconv_status finish(const convention *it, upconv_status status, upconv_problem *problem)
{
    if (!status && problem->struct_size && problem->struct_size < sizeof *problem)
        status =
            upc_fail(UPCONV_ERROR_INVALID, "problem.struct_size is %zu, of a version without resizing; it must be %zu",
                     problem->struct_size, sizeof *problem);
    if (!status)
        give_back(it, problem);
    return status;
}

typedef struct name {
    const char *name;
    int value, dims; // dims: 0, or the only number of axes that it is for
} name;

static upconv_status find(const char *what, const char *given, const name *names, size_t count, int dims, int *value)
{
    for (size_t i = 0; given && i < count; i++)
        if (!strcmp(names[i].name, given) && (!names[i].dims || names[i].dims == dims)) {
            *value = names[i].value;
            return UPCONV_OK;
        }
    return upc_fail(UPCONV_ERROR_INVALID, "%s is \"%.60s\", which is none for %d axes", what, given ? given : "(NULL)",
                    dims);
}

// ------------------------------------------------------------------------------------------------------------- PyTorch

enum { EXACT = UPCONV_RESIZE_MODE_COUNT }; // nearest-exact

upconv_status upconv_problem_pytorch_resize(upconv_problem *problem, const char *mode, const int32_t *size,
                                            const double *scale_factor, int align_corners, int recompute_scale_factor)
{
    static const name modes[] = {
        {"nearest", UPCONV_RESIZE_NEAREST, 0},  {"nearest-exact", EXACT, 0},
        {"linear", UPCONV_RESIZE_LINEAR, 1},    {"bilinear", UPCONV_RESIZE_LINEAR, 2},
        {"trilinear", UPCONV_RESIZE_LINEAR, 3}, {"bicubic", UPCONV_RESIZE_CUBIC, 2},
    };
    convention it;
    int found = 0;
    upconv_status status = begin(problem, &it);
    if (!status)
        status = find("mode", mode, modes, UPC_COUNT(modes), it.dims, &found);
    if (!status)
        status = check_one_of(size, scale_factor);
    if (!status && align_corners && (found == UPCONV_RESIZE_NEAREST || found == EXACT))
        status = upc_fail(UPCONV_ERROR_INVALID, "align_corners is %d; mode %s has none", align_corners, mode);
    for (int i = 0; !status && i < it.dims; i++)
        status = size ? set_out(&it, i, size[i]) : set_scaled(&it, i, scale_factor[i]);
    if (status)
        return status;
    upconv_problem *p = &it.problem;
    p->resize_mode = found == EXACT ? UPCONV_RESIZE_NEAREST : (upconv_resize_mode)found;
    p->coordinates = align_corners                    ? UPCONV_ALIGN_CORNERS
                     : found == UPCONV_RESIZE_NEAREST ? UPCONV_ASYMMETRIC
                                                      : UPCONV_HALF_PIXEL;
    p->rounding = found == EXACT                   ? UPCONV_ROUND_PREFER_CEIL
                  : found == UPCONV_RESIZE_NEAREST ? UPCONV_ROUND_FLOOR
                                                   : UPCONV_ROUND_PREFER_FLOOR;
    p->f32_steps = 1;
    for (int i = 0; i < it.dims; i++) // linear copies an axis that keeps its size, whatever its scale
        if (recompute_scale_factor || (p->resize_mode == UPCONV_RESIZE_LINEAR && p->out[i] == p->in[i]))
            p->scale[i] = 0;
    return finish(&it, status, problem);
}

// ---------------------------------------------------------------------------------------------------------------- ONNX

// One scale for all axes that have a size, so that no output is larger, or smaller, than asked for.
static upconv_status keep_aspect(convention *it, const int32_t *sizes, bool larger)
{
    double scale = 0;
    for (int i = 0; i < it->dims; i++) {
        const double own = (double)sizes[i] / it->problem.in[i];
        if (sizes[i] && (scale == 0 || (larger ? own > scale : own < scale)))
            scale = own;
    }
    upconv_status status = UPCONV_OK;
    for (int i = 0; i < it->dims && !status; i++) {
        it->problem.scale[i] = sizes[i] ? scale : 1;
        status = set_out(it, i, sizes[i] ? floor(scale * it->problem.in[i] + 0.5) : it->problem.in[i]);
    }
    return status;
}

static upconv_status onnx_sizes(convention *it, const upconv_onnx_resize *params)
{
    static const name policies[] = {{"stretch", 0, 0}, {"not_larger", 1, 0}, {"not_smaller", 2, 0}};
    int policy = 0;
    upconv_status status = check_one_of(params->sizes, params->scales);
    if (!status && params->keep_aspect_ratio_policy)
        status = find("keep_aspect_ratio_policy", params->keep_aspect_ratio_policy, policies, UPC_COUNT(policies),
                      it->dims, &policy);
    for (int i = 0; !status && params->sizes && i < it->dims; i++)
        if (params->sizes[i] < 0)
            status = upc_fail(UPCONV_ERROR_INVALID, "sizes[%d] is %d; it must be above 0 (0: as it is)", i,
                              params->sizes[i]);
    if (status)
        return status;
    if (params->sizes && policy)
        return keep_aspect(it, params->sizes, policy == 2);
    for (int i = 0; !status && i < it->dims; i++)
        status = params->scales ? set_scaled(it, i, (double)params->scales[i])
                                : set_out(it, i, params->sizes[i] ? params->sizes[i] : it->problem.in[i]);
    return status;
}

// Filters that are wider where an axis shrinks are not there; where none does they are the ordinary ones.
static upconv_status check_antialias(const convention *it)
{
    const upconv_problem *p = &it->problem;
    for (int i = 0; i < it->dims; i++)
        if (p->scale[i] != 0 ? p->scale[i] < 1 : p->out[i] < p->in[i])
            return upc_fail(UPCONV_ERROR_INVALID,
                            "antialias is 1 and axis %d shrinks from %d to %d; only enlarging has it", i, p->in[i],
                            p->out[i]);
    return UPCONV_OK;
}

upconv_status upconv_problem_onnx_resize(upconv_problem *problem, const upconv_onnx_resize *given)
{
    static const name modes[] = {{"nearest", UPCONV_RESIZE_NEAREST, 0}, {"linear", UPCONV_RESIZE_LINEAR, 0},
                                 {"cubic", UPCONV_RESIZE_CUBIC, 0}};
    static const name coordinates[] = {
        {"half_pixel", UPCONV_HALF_PIXEL, 0},       {"half_pixel_symmetric", UPCONV_HALF_PIXEL_SYMMETRIC, 0},
        {"align_corners", UPCONV_ALIGN_CORNERS, 0}, {"pytorch_half_pixel", UPCONV_PYTORCH_HALF_PIXEL, 0},
        {"asymmetric", UPCONV_ASYMMETRIC, 0},
    };
    static const name roundings[] = {{"round_prefer_floor", UPCONV_ROUND_PREFER_FLOOR, 0},
                                     {"round_prefer_ceil", UPCONV_ROUND_PREFER_CEIL, 0},
                                     {"floor", UPCONV_ROUND_FLOOR, 0}, {"ceil", UPCONV_ROUND_CEIL, 0}};
    convention it;
    upconv_onnx_resize params;
    int mode = 0, place = 0, rounding = 0;
    if (!given)
        return upc_fail(UPCONV_ERROR_INVALID, "params is NULL; it is required");
    upconv_status status = upc_params_copy(&params, sizeof params, given, sizeof params, "params");
    if (!status)
        status = begin(problem, &it);
    if (!status && params.mode)
        status = find("mode", params.mode, modes, UPC_COUNT(modes), it.dims, &mode);
    if (!status && params.coordinate_transformation_mode)
        status = find("coordinate_transformation_mode", params.coordinate_transformation_mode, coordinates,
                      UPC_COUNT(coordinates), it.dims, &place);
    if (!status && params.nearest_mode)
        status = find("nearest_mode", params.nearest_mode, roundings, UPC_COUNT(roundings), it.dims, &rounding);
    if (!status)
        status = onnx_sizes(&it, &params);
    if (!status && params.antialias && mode != UPCONV_RESIZE_NEAREST)
        status = check_antialias(&it);
    if (status)
        return status;
    upconv_problem *p = &it.problem;
    p->resize_mode = (upconv_resize_mode)mode;
    p->coordinates = (upconv_coordinates)place;
    if (mode == UPCONV_RESIZE_NEAREST)
        p->rounding = (upconv_rounding)rounding;
    if (mode == UPCONV_RESIZE_CUBIC) {
        p->cubic_coefficient = params.cubic_coeff_a;
        p->exclude_outside = params.exclude_outside != 0;
    }
    return finish(&it, status, problem);
}

// -------------------------------------------------------------------------------------------------------------- TFLite

upconv_status upconv_problem_tflite_resize(upconv_problem *problem, int linear, const int32_t *size, int align_corners,
                                           int half_pixel_centers)
{
    convention it;
    upconv_status status = begin(problem, &it);
    if (!status && !size)
        status = upc_fail(UPCONV_ERROR_INVALID, "size is NULL; it is required");
    if (!status && align_corners && half_pixel_centers)
        status =
            upc_fail(UPCONV_ERROR_INVALID, "align_corners and half_pixel_centers are both set; at most one may be");
    for (int i = 0; !status && i < it.dims; i++)
        status = set_out(&it, i, size[i]);
    if (status)
        return status;
    upconv_problem *p = &it.problem;
    p->resize_mode = linear ? UPCONV_RESIZE_LINEAR : UPCONV_RESIZE_NEAREST;
    p->coordinates = align_corners ? UPCONV_ALIGN_CORNERS : half_pixel_centers ? UPCONV_HALF_PIXEL : UPCONV_ASYMMETRIC;
    if (!linear) // nearest rounds where it aligns corners or has the middles of pixels, else it cuts off
        p->rounding = align_corners || half_pixel_centers ? UPCONV_ROUND_PREFER_CEIL : UPCONV_ROUND_FLOOR;
    p->f32_steps = 1;
    return finish(&it, status, problem);
}
