// The suffixes of the notation, each behind a plus: activation, types, layouts, the residual, pitches, and settings of
// single operations.
#include "notation.h"
#include "quant.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    int params;
} acts[UPCONV_ACT_COUNT] = {
    [UPCONV_ACT_NONE] = {"none", 0},           [UPCONV_ACT_RELU] = {"relu", 0},
    [UPCONV_ACT_LEAKY_RELU] = {"leaky", 1},    [UPCONV_ACT_PRELU] = {"prelu", 0},
    [UPCONV_ACT_CLAMP] = {"clamp", 2},         [UPCONV_ACT_SIGMOID] = {"sigmoid", 0},
    [UPCONV_ACT_TANH] = {"tanh", 0},           [UPCONV_ACT_HARDSWISH] = {"hardswish", 0},
    [UPCONV_ACT_SILU] = {"silu", 0},           [UPCONV_ACT_GELU_ERF] = {"gelu", 0},
    [UPCONV_ACT_GELU_TANH] = {"gelu_tanh", 0},
};

const char *upc_act_name(upconv_act act)
{
    return (int)act >= 0 && act < UPCONV_ACT_COUNT ? acts[act].name : "unknown";
}

// --------------------------------------------------------------------------------------------------- reading

// Numbers that follow a suffix, each behind a colon.
typedef enum number_kind { NO_NUMBERS, PITCHES, FLOATS, DOUBLES, EXTENTS, INTEGERS } number_kind;

// A suffix writes `value`, an enum's, or the numbers that follow it to a field of the problem.
static const struct {
    const char *name;
    int says, value;
    size_t field;
    uint32_t ops; // 1u << upconv_op, or'ed, of which it speaks; 0: all
    number_kind numbers;
    int most; // of them; at least one stands there
} suffixes[] = {
#define FIELD(name) offsetof(upconv_problem, name)
    {"f32", UPC_SAYS_TYPE, UPCONV_F32, FIELD(type)},
    {"f16", UPC_SAYS_TYPE, UPCONV_F16, FIELD(type)},
    {"u8", UPC_SAYS_TYPE, UPCONV_U8, FIELD(type)},
    {"i8", UPC_SAYS_TYPE, UPCONV_I8, FIELD(type)},
    {"i16", UPC_SAYS_TYPE, UPCONV_I16, FIELD(type)},
    {"sum16", UPC_SAYS_SUM, UPCONV_F16, FIELD(sum_type)},
    {"in:nchw", UPC_SAYS_IN, UPCONV_NCHW, FIELD(in_layout)},
    {"in:nhwc", UPC_SAYS_IN, UPCONV_NHWC, FIELD(in_layout)},
    {"in:nc4hw4", UPC_SAYS_IN, UPCONV_NC4HW4, FIELD(in_layout)},
    {"out:nchw", UPC_SAYS_OUT, UPCONV_NCHW, FIELD(out_layout)},
    {"out:nhwc", UPC_SAYS_OUT, UPCONV_NHWC, FIELD(out_layout)},
    {"out:nc4hw4", UPC_SAYS_OUT, UPCONV_NC4HW4, FIELD(out_layout)},
    {"residual", UPC_SAYS_RESIDUAL, UPCONV_RESIDUAL_BEFORE_ACT, FIELD(residual)},
    {"residual_after", UPC_SAYS_RESIDUAL, UPCONV_RESIDUAL_AFTER_ACT, FIELD(residual)},
    {"inpitch", UPC_SAYS_IN_PITCH, 0, FIELD(in_pitch), 0, PITCHES, 5},
    {"outpitch", UPC_SAYS_OUT_PITCH, 0, FIELD(out_pitch), 0, PITCHES, 5},
#define OF(op, says, value, name) UPC_SAYS_##says, value, FIELD(name), 1u << UPCONV_##op
    {"nearest", OF(RESIZE, MODE, UPCONV_RESIZE_NEAREST, resize_mode)},
    {"linear", OF(RESIZE, MODE, UPCONV_RESIZE_LINEAR, resize_mode)},
    {"cubic", OF(RESIZE, MODE, UPCONV_RESIZE_CUBIC, resize_mode)},
    {"half_pixel", OF(RESIZE, COORDINATES, UPCONV_HALF_PIXEL, coordinates)},
    {"half_pixel_symmetric", OF(RESIZE, COORDINATES, UPCONV_HALF_PIXEL_SYMMETRIC, coordinates)},
    {"pytorch_half_pixel", OF(RESIZE, COORDINATES, UPCONV_PYTORCH_HALF_PIXEL, coordinates)},
    {"align_corners", OF(RESIZE, COORDINATES, UPCONV_ALIGN_CORNERS, coordinates)},
    {"asymmetric", OF(RESIZE, COORDINATES, UPCONV_ASYMMETRIC, coordinates)},
    {"prefer_floor", OF(RESIZE, ROUNDING, UPCONV_ROUND_PREFER_FLOOR, rounding)},
    {"prefer_ceil", OF(RESIZE, ROUNDING, UPCONV_ROUND_PREFER_CEIL, rounding)},
    {"floor", OF(RESIZE, ROUNDING, UPCONV_ROUND_FLOOR, rounding)},
    {"ceil", OF(RESIZE, ROUNDING, UPCONV_ROUND_CEIL, rounding)},
    {"coefficient", OF(RESIZE, COEFFICIENT, 0, cubic_coefficient), FLOATS, 1},
    {"exclude_outside", OF(RESIZE, EXCLUDE, 1, exclude_outside)},
    {"f32_steps", OF(RESIZE, STEPS, 1, f32_steps)},
    {"scale", OF(RESIZE, SCALE, 0, scale), DOUBLES, 3},
    {"single", OF(CONV_TRANSPOSE, REQUANT, UPCONV_REQUANT_SINGLE, requant)},
    {"reduced", OF(CONV_TRANSPOSE, REQUANT, UPCONV_REQUANT_REDUCED, requant)},
    {"real", OF(CONV_TRANSPOSE, REQUANT, UPCONV_REQUANT_REAL, requant)},
    {"zero", OF(CONV_TRANSPOSE, ZERO, 0, in_zero), INTEGERS, 3},
    {"range", OF(CONV_TRANSPOSE, RANGE, 0, out_range), INTEGERS, 2},
    {"crd", OF(PIXEL_SHUFFLE, ORDER, UPCONV_CRD, channel_order)},
    {"dcr", OF(PIXEL_SHUFFLE, ORDER, UPCONV_DCR, channel_order)},
#undef OF
#define POOLS (1u << UPCONV_MAX_POOL | 1u << UPCONV_MAX_UNPOOL)
    {"index:plane", UPC_SAYS_INDEX, UPCONV_INDEX_PLANE, FIELD(index), POOLS},
    {"index:tensor", UPC_SAYS_INDEX, UPCONV_INDEX_TENSOR, FIELD(index), POOLS},
    {"index:image", UPC_SAYS_INDEX, UPCONV_INDEX_IMAGE, FIELD(index), POOLS},
    {"index:window", UPC_SAYS_INDEX, UPCONV_INDEX_WINDOW, FIELD(index), POOLS},
    {"index:window_columns", UPC_SAYS_INDEX, UPCONV_INDEX_WINDOW_COLUMNS, FIELD(index), POOLS},
    {"space", UPC_SAYS_SPACE, 0, FIELD(index_space), POOLS, EXTENTS, 3},
#undef POOLS
#undef FIELD
};

static const char *const layout_names[UPCONV_LAYOUT_COUNT] = {"nchw", "nhwc", "nc4hw4"};

// Whether `name` stands at the beginning of the text. An underscore behind it may begin the problem's name.
static bool begins(const char *text, const char *name)
{
    const size_t length = strlen(name);
    return !strncmp(text, name, length) && !upc_is_letter(text[length]);
}

// The longest name wins ("gelu_tanh" over "gelu").
static int act_find(const char *text)
{
    int found = -1;
    for (int i = 0; i < UPCONV_ACT_COUNT; i++)
        if (begins(text, acts[i].name) && (found < 0 || strlen(acts[i].name) > strlen(acts[found].name)))
            found = i;
    return found;
}

static int suffix_find(const upc_reader *r)
{
    const char *text = r->text + r->at;
    int found = -1;
    for (int i = 0; i < (int)UPC_COUNT(suffixes); i++)
        if ((!suffixes[i].ops || suffixes[i].ops >> r->op & 1) && begins(text, suffixes[i].name) &&
            !upc_is_digit(text[strlen(suffixes[i].name)]) &&
            (found < 0 || strlen(suffixes[i].name) > strlen(suffixes[found].name)))
            found = i;
    return found;
}

// The layout whose name begins there ("+nhwc", of both tensors), or -1.
static int layout_find(const char *text)
{
    for (int i = 0; i < UPCONV_LAYOUT_COUNT; i++)
        if (begins(text, layout_names[i]) && !upc_is_digit(text[strlen(layout_names[i])]))
            return i;
    return -1;
}

static upconv_status say(upc_reader *r, int what, size_t at)
{
    static const char *const names[UPC_SAYINGS] = {"the activation",      "the type",          "the type of the sums",
                                               "the input's layout",  "the output's layout", "the residual",
                                               "the input's pitches", "the output's pitches",
                                               "the mode", "the coordinates", "the rounding", "the coefficient",
                                               "exclude_outside", "f32_steps", "the scale", "the order of channels",
                                               "the index", "the index space", "the requantisation", "the zero points",
                                               "the range"};
    if (r->said[what])
        return upc_fail_at(r, at, "%s stands here a second time", names[what]);
    r->said[what] = true;
    r->said_at[what] = at;
    return UPCONV_OK;
}

static upconv_status read_act_param(upc_reader *r, const char *act, int i, int count)
{
    if (r->text[r->at] != ':')
        return upc_fail_at(r, r->at, "':' and a number must stand here; %s has %d", act, count);
    const char *start = r->text + ++r->at;
    const char *digits = start + (*start == '-');
    const bool infinite = !strncmp(digits, "inf", 3);
    float *params = r->suffix.act_param;
    const char *end = upc_is_digit(*digits) || *digits == '.' || infinite ? upc_parse_float(start, &params[i]) : NULL;
    if (!end)
        return upc_fail_at(r, r->at, "a number must stand here");
    if (!infinite && (params[i] - params[i]) != 0)
        return upc_fail_at(r, r->at, "the number is too large for 32 bits");
    if (i == 1 && params[0] > params[1])
        return upc_fail_at(r, r->at, "the upper bound of %s is below the lower", act);
    r->at = (size_t)(end - r->text);
    return UPCONV_OK;
}

static upconv_status read_act(upc_reader *r, int act)
{
    upconv_status status = say(r, UPC_SAYS_ACT, r->at);
    r->suffix.act = (upconv_act)act;
    r->at += strlen(acts[act].name);
    for (int i = 0; status == UPCONV_OK && i < acts[act].params; i++)
        status = read_act_param(r, acts[act].name, i, acts[act].params);
    return status;
}

// Up to five numbers, each behind a colon.
static upconv_status read_pitch(upc_reader *r, int64_t *pitch)
{
    const size_t start = r->at;
    uint64_t value = 0;
    if (!upc_is_digit(r->text[r->at]))
        return upc_fail_at(r, r->at, "a number must stand here");
    for (; upc_is_digit(r->text[r->at]); r->at++) {
        value = value * 10 + (uint64_t)(r->text[r->at] - '0');
        if (value > UPCONV_MAX_TENSOR_BYTES)
            return upc_fail_at(r, start, "the number is too large; a tensor has at most 2^40 bytes");
    }
    *pitch = (int64_t)value;
    return UPCONV_OK;
}

// Of any size: the rules are the problem's.
static upconv_status read_real(upc_reader *r, number_kind kind, void *field)
{
    const char *start = r->text + r->at, *digits = start + (*start == '-');
    const char *end = !upc_is_digit(*digits) && *digits != '.' ? NULL
                      : kind == FLOATS                     ? upc_parse_float(start, field)
                                                           : upc_parse_double(start, field);
    if (!end)
        return upc_fail_at(r, r->at, "a number must stand here");
    r->at = (size_t)(end - r->text);
    return UPCONV_OK;
}

static upconv_status read_extent(upc_reader *r, int32_t *extent)
{
    const size_t start = r->at;
    int64_t value = 0;
    const upconv_status status = read_pitch(r, &value);
    if (status == UPCONV_OK && value > INT32_MAX)
        return upc_fail_at(r, start, "the number is too large; at most %d fits here", INT32_MAX);
    *extent = (int32_t)value;
    return status;
}

static upconv_status read_integer(upc_reader *r, int32_t *value)
{
    const size_t start = r->at;
    const bool negative = r->text[r->at] == '-';
    int64_t found = 0;
    r->at += negative;
    if (!upc_is_digit(r->text[r->at]))
        return upc_fail_at(r, r->at, "a number must stand here");
    for (; upc_is_digit(r->text[r->at]); r->at++) {
        found = found * 10 + (r->text[r->at] - '0');
        if (found > INT32_MAX)
            return upc_fail_at(r, start, "the number is too large; at most %d fits here", INT32_MAX);
    }
    *value = (int32_t)(negative ? -found : found);
    return UPCONV_OK;
}

static upconv_status read_numbers(upc_reader *r, int suffix)
{
    char *field = (char *)&r->suffix + suffixes[suffix].field;
    int i = 0;
    for (; i < suffixes[suffix].most && r->text[r->at] == ':'; i++) {
        r->at++;
        const number_kind kind = suffixes[suffix].numbers;
        const upconv_status status = kind == PITCHES    ? read_pitch(r, (int64_t *)(void *)field + i)
                                     : kind == EXTENTS  ? read_extent(r, (int32_t *)(void *)field + i)
                                     : kind == INTEGERS ? read_integer(r, (int32_t *)(void *)field + i)
                                     : kind == FLOATS   ? read_real(r, kind, (float *)field + i)
                                                        : read_real(r, kind, (double *)field + i);
        if (status != UPCONV_OK)
            return status;
    }
    return i ? UPCONV_OK
             : upc_fail_at(r, r->at, "':' and a number must stand here; there are up to %d", suffixes[suffix].most);
}

static upconv_status read_layouts(upc_reader *r, int layout)
{
    upconv_status status = say(r, UPC_SAYS_IN, r->at);
    if (status == UPCONV_OK)
        status = say(r, UPC_SAYS_OUT, r->at);
    r->suffix.in_layout = r->suffix.out_layout = (upconv_layout)layout;
    r->at += strlen(layout_names[layout]);
    return status;
}

// Whatever follows a plus.
static upconv_status read_suffix(upc_reader *r)
{
    const char *text = r->text + r->at;
    const int act = act_find(text), layout = layout_find(text), found = suffix_find(r);
    if (act >= 0)
        return read_act(r, act);
    if (layout >= 0)
        return read_layouts(r, layout);
    if (found < 0)
        return upc_fail_at(r, r->at, "no activation, type, layout, residual, pitch or setting of %s begins here",
                           upc_op_of(r->op)->name);
    const upconv_status status = say(r, suffixes[found].says, r->at);
    const int value = suffixes[found].value;
    r->at += strlen(suffixes[found].name);
    if (status != UPCONV_OK)
        return status;
    if (suffixes[found].numbers)
        return read_numbers(r, found);
    memcpy((char *)&r->suffix + suffixes[found].field, &value, sizeof value); // all of them are enums
    return UPCONV_OK;
}

upconv_status upc_notation_read_suffixes(upc_reader *r)
{
    upconv_status status = UPCONV_OK;
    while (status == UPCONV_OK && r->text[r->at] == '+') {
        r->at++;
        status = read_suffix(r);
    }
    return status;
}

// -------------------------------------------------------------------------------------------------- printing

static void print_act(const upc_problem *problem, upc_text *text)
{
    if (problem->act == UPCONV_ACT_NONE)
        return;
    upc_text_add(text, "+%s", upc_act_name(problem->act));
    for (int i = 0; i < acts[problem->act].params; i++) {
        char number[32];
        upc_print_float(number, sizeof number, problem->act_param[i]);
        upc_text_add(text, ":%s", number);
    }
}

static void print_layouts(const upc_problem *problem, upc_text *text)
{
    if (problem->in_layout == problem->out_layout) {
        if (problem->in_layout != UPCONV_NCHW)
            upc_text_add(text, "+%s", layout_names[problem->in_layout]);
        return;
    }
    if (problem->in_layout != UPCONV_NCHW)
        upc_text_add(text, "+in:%s", layout_names[problem->in_layout]);
    if (problem->out_layout != UPCONV_NCHW)
        upc_text_add(text, "+out:%s", layout_names[problem->out_layout]);
}

static void print_pitch(const upc_problem *problem, bool in, upc_text *text)
{
    upc_tensor_form form;
    upconv_pitch pitch;
    upc_problem_form(problem, in, &form);
    upc_tensor_pitch(&form, in ? &problem->in : &problem->out, &pitch);
    const int64_t parts[] = {pitch.image, pitch.channel, pitch.plane, pitch.row, pitch.pixel};
    int count = UPC_COUNT(parts);
    while (count && !parts[count - 1])
        count--;
    if (count)
        upc_text_add(text, "+%spitch", form.name);
    for (int i = 0; i < count; i++)
        upc_text_add(text, ":%lld", (long long)parts[i]);
}

void upc_notation_print_suffixes(const upc_problem *problem, upc_text *text)
{
    const upc_op *op = upc_op_of(problem->op);
    if (op->print)
        op->print(problem, text);
    print_act(problem, text);
    if (problem->type == UPCONV_F16)
        upc_text_add(text, "+f16%s", problem->sum_type == UPCONV_F16 ? "+sum16" : "");
    upc_quant_print(problem, text);
    print_layouts(problem, text);
    if (problem->residual)
        upc_text_add(text, "+residual%s", problem->residual == UPCONV_RESIDUAL_AFTER_ACT ? "_after" : "");
    print_pitch(problem, true, text);
    print_pitch(problem, false, text);
}
