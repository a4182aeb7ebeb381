// The problem notation: one line of text for a whole problem. Fields may come in any order, each once;
// numbers are read and written by hand, so that no locale changes them.
#include "ops.h"
#include "quant.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

// Fields by index: four scalars, then six kinds of per-axis fields, each for d, h and w.
enum { G, MB, IC, OC, SCALARS };
enum { KIND_I, KIND_O, KIND_K, KIND_S, KIND_P, KIND_D, KINDS };
enum { FIELDS = SCALARS + KINDS * 3 };

static const char *const scalar_names[SCALARS] = {"g", "mb", "ic", "oc"};
static const char kind_letters[] = "iokspd", axis_letters[] = "dhw";

static int field_index(int kind, int axis) { return SCALARS + kind * 3 + axis; }

// Which operations read a kind of field; 0: all do.
static const uint32_t kind_needs[KINDS] = {
    [KIND_K] = UPC_FIELD_KERNEL, [KIND_S] = UPC_FIELD_STRIDE, [KIND_P] = UPC_FIELD_PAD, [KIND_D] = UPC_FIELD_DILATION,
};

static bool op_reads(upconv_op op, uint32_t needs) { return !needs || upc_op_of(op)->fields & needs; }

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

// What a suffix says; each may be said once.
enum { SAYS_ACT, SAYS_TYPE, SAYS_SUM, SAYS_IN, SAYS_OUT, SAYS_RESIDUAL, SAYS_IN_PITCH, SAYS_OUT_PITCH,
       SAYS_MODE, SAYS_COORDINATES, SAYS_ROUNDING, SAYS_COEFFICIENT, SAYS_EXCLUDE, SAYS_STEPS, SAYS_SCALE, SAYS_ORDER,
       SAYS_INDEX, SAYS_SPACE, SAYS_REQUANT, SAYS_ZERO, SAYS_RANGE, SAYINGS };

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
    {"f32", SAYS_TYPE, UPCONV_F32, FIELD(type)},
    {"f16", SAYS_TYPE, UPCONV_F16, FIELD(type)},
    {"u8", SAYS_TYPE, UPCONV_U8, FIELD(type)},
    {"i8", SAYS_TYPE, UPCONV_I8, FIELD(type)},
    {"i16", SAYS_TYPE, UPCONV_I16, FIELD(type)},
    {"sum16", SAYS_SUM, UPCONV_F16, FIELD(sum_type)},
    {"in:nchw", SAYS_IN, UPCONV_NCHW, FIELD(in_layout)},
    {"in:nhwc", SAYS_IN, UPCONV_NHWC, FIELD(in_layout)},
    {"in:nc4hw4", SAYS_IN, UPCONV_NC4HW4, FIELD(in_layout)},
    {"out:nchw", SAYS_OUT, UPCONV_NCHW, FIELD(out_layout)},
    {"out:nhwc", SAYS_OUT, UPCONV_NHWC, FIELD(out_layout)},
    {"out:nc4hw4", SAYS_OUT, UPCONV_NC4HW4, FIELD(out_layout)},
    {"residual", SAYS_RESIDUAL, UPCONV_RESIDUAL_BEFORE_ACT, FIELD(residual)},
    {"residual_after", SAYS_RESIDUAL, UPCONV_RESIDUAL_AFTER_ACT, FIELD(residual)},
    {"inpitch", SAYS_IN_PITCH, 0, FIELD(in_pitch), 0, PITCHES, 5},
    {"outpitch", SAYS_OUT_PITCH, 0, FIELD(out_pitch), 0, PITCHES, 5},
#define OF(op, says, value, name) SAYS_##says, value, FIELD(name), 1u << UPCONV_##op
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
    {"index:plane", SAYS_INDEX, UPCONV_INDEX_PLANE, FIELD(index), POOLS},
    {"index:tensor", SAYS_INDEX, UPCONV_INDEX_TENSOR, FIELD(index), POOLS},
    {"index:image", SAYS_INDEX, UPCONV_INDEX_IMAGE, FIELD(index), POOLS},
    {"index:window", SAYS_INDEX, UPCONV_INDEX_WINDOW, FIELD(index), POOLS},
    {"index:window_columns", SAYS_INDEX, UPCONV_INDEX_WINDOW_COLUMNS, FIELD(index), POOLS},
    {"space", SAYS_SPACE, 0, FIELD(index_space), POOLS, EXTENTS, 3},
#undef POOLS
#undef FIELD
};

static const char *const layout_names[UPCONV_LAYOUT_COUNT] = {"nchw", "nhwc", "nc4hw4"};

typedef struct reader {
    const char *text;
    size_t at, error_at;
    upconv_op op;
    bool named;
    bool set[FIELDS];
    int32_t value[FIELDS];
    size_t where[FIELDS];   // of the number
    bool said[SAYINGS];
    size_t said_at[SAYINGS]; // behind the plus
    upconv_problem suffix;   // what the suffixes say
} reader;

static upconv_status fail_at(reader *r, size_t at, const char *format, ...) UPC_PRINTF(3, 4);
static upconv_status fail_at(reader *r, size_t at, const char *format, ...)
{
    char what[256];
    va_list list;
    va_start(list, format);
    vsnprintf(what, sizeof what, format, list);
    va_end(list);
    r->error_at = at;
    return upc_fail(UPCONV_ERROR_INVALID, "%s, at character %zu of '%.150s'", what, at, r->text);
}

static bool is_letter(char c) { return c >= 'a' && c <= 'z'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A word before a colon names the operation.
static upconv_status read_op(reader *r)
{
    size_t length = 0;
    while (is_letter(r->text[length]))
        length++;
    if (!length || r->text[length] != ':')
        return UPCONV_OK;
    for (int i = 0; i < UPCONV_OP_COUNT; i++) {
        const char *word = upc_op_of((upconv_op)i)->word;
        if (!word || strlen(word) != length || memcmp(r->text, word, length))
            continue;
        r->op = (upconv_op)i;
        r->at = length + 1;
        return UPCONV_OK;
    }
    return fail_at(r, 0, "'%.*s' is no operation", (int)UPC_MIN(length, 40), r->text);
}

// The field of that name, or -1.
static int field_find(const char *name, size_t length)
{
    for (int i = 0; i < SCALARS; i++)
        if (strlen(scalar_names[i]) == length && !memcmp(name, scalar_names[i], length))
            return i;
    if (length != 2)
        return -1;
    const char *kind = memchr(kind_letters, name[0], KINDS), *axis = memchr(axis_letters, name[1], 3);
    return kind && axis ? field_index((int)(kind - kind_letters), (int)(axis - axis_letters)) : -1;
}

// -1 for scalars.
static int field_kind(int field) { return field < SCALARS ? -1 : (field - SCALARS) / 3; }

static upconv_status read_number(reader *r, int field)
{
    const size_t start = r->at;
    const int kind = field_kind(field);
    const bool negative = kind == KIND_P && r->text[r->at] == '-';
    r->at += negative;
    if (!is_digit(r->text[r->at]))
        return fail_at(r, r->at, "a number must stand here");
    const int64_t limit = (int64_t)INT32_MAX + negative - (kind == KIND_D); // d is the dilation minus one
    int64_t value = 0;
    for (; is_digit(r->text[r->at]); r->at++) {
        value = value * 10 + (r->text[r->at] - '0');
        if (value > limit)
            return fail_at(r, start, "the number is too large; at most %lld fits here", (long long)limit);
    }
    if (value == 0 && kind != KIND_O && kind != KIND_P && kind != KIND_D)
        return fail_at(r, start, "the number is 0; it must be above 0 here");
    r->value[field] = (int32_t)(negative ? -value : value);
    r->where[field] = start;
    return UPCONV_OK;
}

static upconv_status read_field(reader *r)
{
    const size_t start = r->at;
    size_t length = 0;
    while (is_letter(r->text[start + length]))
        length++;
    const int field = field_find(r->text + start, length);
    if (field < 0)
        return fail_at(r, start, "'%.*s' is no field", (int)UPC_MIN(length, 40), r->text + start);
    if (r->set[field])
        return fail_at(r, start, "field '%.*s' is given twice", (int)length, r->text + start);
    const uint32_t needs = field == G ? (uint32_t)UPC_FIELD_GROUPS : field < SCALARS ? 0 : kind_needs[field_kind(field)];
    if (!op_reads(r->op, needs))
        return fail_at(r, start, "%s has no field '%.*s'", upc_op_of(r->op)->name, (int)length, r->text + start);
    r->set[field] = true;
    r->at += length;
    return read_number(r, field);
}

// benchdnn lets a problem's name end the line; it says nothing of the problem.
static bool name_begins(const reader *r)
{
    return !r->named && r->text[r->at] == 'n' && r->text[r->at + 1] == '"';
}

static upconv_status read_name(reader *r)
{
    const char *end = strchr(r->text + r->at + 2, '"');
    if (!end)
        return fail_at(r, strlen(r->text), "the name's closing quote is missing");
    r->at = (size_t)(end - r->text) + 1;
    r->named = true;
    return UPCONV_OK;
}

// Reads runs of underscores and what they lead to: true while there is a field or a name to read.
static bool skip_underscores(reader *r)
{
    while (r->text[r->at] == '_')
        r->at++;
    return is_letter(r->text[r->at]);
}

static upconv_status read_fields(reader *r)
{
    upconv_status status = UPCONV_OK;
    bool more = is_letter(r->text[r->at]);
    while (status == UPCONV_OK && more && !r->named) {
        status = name_begins(r) ? read_name(r) : read_field(r);
        const size_t before = r->at;
        if (status == UPCONV_OK && !r->named) {
            more = skip_underscores(r);
            if (!more && r->at > before)
                status = fail_at(r, r->at, "a field must follow the underscore");
        }
    }
    return status;
}

// Whether `name` stands at the beginning of the text. An underscore behind it may begin the problem's name.
static bool begins(const char *text, const char *name)
{
    const size_t length = strlen(name);
    return !strncmp(text, name, length) && !is_letter(text[length]);
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

static int suffix_find(const reader *r)
{
    const char *text = r->text + r->at;
    int found = -1;
    for (int i = 0; i < (int)UPC_COUNT(suffixes); i++)
        if ((!suffixes[i].ops || suffixes[i].ops >> r->op & 1) && begins(text, suffixes[i].name) && !is_digit(text[strlen(suffixes[i].name)]) &&
            (found < 0 || strlen(suffixes[i].name) > strlen(suffixes[found].name)))
            found = i;
    return found;
}

// The layout whose name begins there ("+nhwc", of both tensors), or -1.
static int layout_find(const char *text)
{
    for (int i = 0; i < UPCONV_LAYOUT_COUNT; i++)
        if (begins(text, layout_names[i]) && !is_digit(text[strlen(layout_names[i])]))
            return i;
    return -1;
}

static upconv_status say(reader *r, int what, size_t at)
{
    static const char *const names[SAYINGS] = {"the activation",      "the type",          "the type of the sums",
                                               "the input's layout",  "the output's layout", "the residual",
                                               "the input's pitches", "the output's pitches",
                                               "the mode", "the coordinates", "the rounding", "the coefficient",
                                               "exclude_outside", "f32_steps", "the scale", "the order of channels",
                                               "the index", "the index space", "the requantisation", "the zero points", "the range"};
    if (r->said[what])
        return fail_at(r, at, "%s stands here a second time", names[what]);
    r->said[what] = true;
    r->said_at[what] = at;
    return UPCONV_OK;
}

static upconv_status read_act_param(reader *r, const char *act, int i, int count)
{
    if (r->text[r->at] != ':')
        return fail_at(r, r->at, "':' and a number must stand here; %s has %d", act, count);
    const char *start = r->text + ++r->at;
    const char *digits = start + (*start == '-');
    const bool infinite = !strncmp(digits, "inf", 3);
    float *params = r->suffix.act_param;
    const char *end = is_digit(*digits) || *digits == '.' || infinite ? upc_parse_float(start, &params[i]) : NULL;
    if (!end)
        return fail_at(r, r->at, "a number must stand here");
    if (!infinite && (params[i] - params[i]) != 0)
        return fail_at(r, r->at, "the number is too large for 32 bits");
    if (i == 1 && params[0] > params[1])
        return fail_at(r, r->at, "the upper bound of %s is below the lower", act);
    r->at = (size_t)(end - r->text);
    return UPCONV_OK;
}

static upconv_status read_act(reader *r, int act)
{
    upconv_status status = say(r, SAYS_ACT, r->at);
    r->suffix.act = (upconv_act)act;
    r->at += strlen(acts[act].name);
    for (int i = 0; status == UPCONV_OK && i < acts[act].params; i++)
        status = read_act_param(r, acts[act].name, i, acts[act].params);
    return status;
}

// Up to five numbers, each behind a colon.
static upconv_status read_pitch(reader *r, int64_t *pitch)
{
    const size_t start = r->at;
    uint64_t value = 0;
    if (!is_digit(r->text[r->at]))
        return fail_at(r, r->at, "a number must stand here");
    for (; is_digit(r->text[r->at]); r->at++) {
        value = value * 10 + (uint64_t)(r->text[r->at] - '0');
        if (value > UPCONV_MAX_TENSOR_BYTES)
            return fail_at(r, start, "the number is too large; a tensor has at most 2^40 bytes");
    }
    *pitch = (int64_t)value;
    return UPCONV_OK;
}

// Of any size: the rules are the problem's.
static upconv_status read_real(reader *r, number_kind kind, void *field)
{
    const char *start = r->text + r->at, *digits = start + (*start == '-');
    const char *end = !is_digit(*digits) && *digits != '.' ? NULL
                      : kind == FLOATS                     ? upc_parse_float(start, field)
                                                           : upc_parse_double(start, field);
    if (!end)
        return fail_at(r, r->at, "a number must stand here");
    r->at = (size_t)(end - r->text);
    return UPCONV_OK;
}

static upconv_status read_extent(reader *r, int32_t *extent)
{
    const size_t start = r->at;
    int64_t value = 0;
    const upconv_status status = read_pitch(r, &value);
    if (status == UPCONV_OK && value > INT32_MAX)
        return fail_at(r, start, "the number is too large; at most %d fits here", INT32_MAX);
    *extent = (int32_t)value;
    return status;
}

static upconv_status read_integer(reader *r, int32_t *value)
{
    const size_t start = r->at;
    const bool negative = r->text[r->at] == '-';
    int64_t found = 0;
    r->at += negative;
    if (!is_digit(r->text[r->at]))
        return fail_at(r, r->at, "a number must stand here");
    for (; is_digit(r->text[r->at]); r->at++) {
        found = found * 10 + (r->text[r->at] - '0');
        if (found > INT32_MAX)
            return fail_at(r, start, "the number is too large; at most %d fits here", INT32_MAX);
    }
    *value = (int32_t)(negative ? -found : found);
    return UPCONV_OK;
}

static upconv_status read_numbers(reader *r, int suffix)
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
             : fail_at(r, r->at, "':' and a number must stand here; there are up to %d", suffixes[suffix].most);
}

static upconv_status read_layouts(reader *r, int layout)
{
    upconv_status status = say(r, SAYS_IN, r->at);
    if (status == UPCONV_OK)
        status = say(r, SAYS_OUT, r->at);
    r->suffix.in_layout = r->suffix.out_layout = (upconv_layout)layout;
    r->at += strlen(layout_names[layout]);
    return status;
}

// Whatever follows a plus.
static upconv_status read_suffix(reader *r)
{
    const char *text = r->text + r->at;
    const int act = act_find(text), layout = layout_find(text), found = suffix_find(r);
    if (act >= 0)
        return read_act(r, act);
    if (layout >= 0)
        return read_layouts(r, layout);
    if (found < 0)
        return fail_at(r, r->at, "no activation, type, layout, residual, pitch or setting of %s begins here",
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

static upconv_status read_suffixes(reader *r)
{
    upconv_status status = UPCONV_OK;
    while (status == UPCONV_OK && r->text[r->at] == '+') {
        r->at++;
        status = read_suffix(r);
    }
    return status;
}

static upconv_status read_end(reader *r)
{
    const size_t before = r->at;
    upconv_status status = UPCONV_OK;
    if (!r->named && skip_underscores(r) && name_begins(r))
        status = read_name(r);
    else
        r->at = before;
    if (status == UPCONV_OK && r->text[r->at])
        status = fail_at(r, r->at, "the problem ends here, but the text goes on");
    return status;
}

// --------------------------------------------------------------------------------------------------- meaning

// Where only h is given, w is the same.
static int field_source(const reader *r, int kind, int axis)
{
    const int field = field_index(kind, axis);
    if (axis == 2 && !r->set[field] && r->set[field - 1])
        return field - 1;
    return field;
}

static int count_dims(const reader *r)
{
    int first = 2;
    for (int axis = 1; axis >= 0; axis--)
        for (int kind = 0; kind < KINDS; kind++)
            if (r->set[field_index(kind, axis)])
                first = axis;
    return 3 - first;
}

static upconv_status check_complete(reader *r, int dims)
{
    const size_t end = r->at;
    const upc_op *op = upc_op_of(r->op);
    for (int i = IC; i <= OC; i++)
        if (!r->set[i] && (i == IC || op->channels == UPC_CHANNELS_FREE))
            return fail_at(r, end, "field '%s' is missing", scalar_names[i]);
    static const int required[] = {KIND_I, KIND_K};
    for (int axis = 3 - dims; axis < 3; axis++)
        for (size_t i = 0; i < UPC_COUNT(required); i++)
            if (op_reads(r->op, kind_needs[required[i]]) && !r->set[field_source(r, required[i], axis)])
                return fail_at(r, end, "field '%c%c' is missing", kind_letters[required[i]],
                               axis_letters[axis]);
    const int32_t groups = r->set[G] ? r->value[G] : 1;
    for (int i = IC; i <= OC; i++)
        if (r->value[i] % groups)
            return fail_at(r, r->where[i], "'%s' is %d; it must be divisible by the groups, %d",
                           scalar_names[i], r->value[i], groups);
    return UPCONV_OK;
}

static void fill_in(const reader *r, int dims, upconv_problem *problem)
{
    *problem = r->suffix;
    problem->struct_size = sizeof *problem;
    problem->op = r->op;
    problem->dims = dims;
    problem->batch = r->set[MB] ? r->value[MB] : 1;
    problem->in_channels = r->value[IC];
    problem->out_channels = r->value[OC];
    problem->groups = r->set[G] ? r->value[G] : 1;
    const bool dilated = op_reads(r->op, UPC_FIELD_DILATION);
    for (int i = 0; i < dims; i++) {
        const int axis = 3 - dims + i;
        const int stride = field_source(r, KIND_S, axis);
        problem->in[i] = r->value[field_source(r, KIND_I, axis)];
        problem->out[i] = r->value[field_source(r, KIND_O, axis)];
        problem->kernel[i] = r->value[field_source(r, KIND_K, axis)];
        problem->stride[i] = r->set[stride] ? r->value[stride] : 1;
        problem->pad[i] = r->value[field_source(r, KIND_P, axis)];
        problem->dilation[i] = dilated ? r->value[field_source(r, KIND_D, axis)] + 1 : 0;
    }
}

// Where to point for a rule that several fields break together: at the padding (or the input) of an axis
// whose computed output is impossible, at a suffix without which all were well, else at the beginning.
static size_t find_culprit(const reader *r, const upconv_problem *problem)
{
    const upc_op *op = upc_op_of(problem->op);
    upc_axis axes[3];
    if (!op->built || upc_axes_from(problem, NULL, axes) != UPCONV_OK)
        return 0;
    for (int i = 0; i < problem->dims; i++) {
        const int axis = 3 - problem->dims + i;
        axes[axis].pad = problem->pad[i];
        const int64_t out = op->out(problem, i, &axes[axis]);
        const int pad = field_source(r, KIND_P, axis);
        if (problem->out[i] == 0 && (out < 1 || out > INT32_MAX))
            return r->set[pad] ? r->where[pad] : r->where[field_source(r, KIND_I, axis)];
    }
    static const int suspects[] = {SAYS_SUM, SAYS_IN_PITCH, SAYS_OUT_PITCH};
    upconv_problem less = *problem;
    upc_problem unused;
    for (size_t i = 0; i < UPC_COUNT(suspects); i++) {
        if (!r->said[suspects[i]])
            continue;
        if (suspects[i] == SAYS_SUM)
            less.sum_type = UPCONV_F32;
        else
            *(suspects[i] == SAYS_IN_PITCH ? &less.in_pitch : &less.out_pitch) = (upconv_pitch){0};
        if (upc_problem_from(&less, &unused) == UPCONV_OK)
            return r->said_at[suspects[i]];
    }
    return 0;
}

static upconv_status read_all(reader *r, upc_problem *problem)
{
    upconv_status status = read_op(r);
    if (status == UPCONV_OK)
        status = read_fields(r);
    if (status == UPCONV_OK)
        status = read_suffixes(r);
    if (status == UPCONV_OK)
        status = read_end(r);
    if (status != UPCONV_OK)
        return status;
    const int dims = count_dims(r);
    status = check_complete(r, dims);
    if (status != UPCONV_OK)
        return status;
    upconv_problem given;
    fill_in(r, dims, &given);
    r->error_at = find_culprit(r, &given);
    return upc_problem_from(&given, problem);
}

upconv_status upconv_problem_parse(const char *text, upconv_problem *problem, size_t *error_at)
{
    if (!text || !problem) {
        if (error_at)
            *error_at = 0;
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL; it is required", text ? "problem" : "text");
    }
    reader r;
    memset(&r, 0, sizeof r);
    r.text = text;
    upc_problem checked;
    const upconv_status status = read_all(&r, &checked);
    if (status != UPCONV_OK) {
        if (error_at)
            *error_at = r.error_at;
        return status;
    }
    upconv_problem ours;
    upc_problem_to(&checked, &ours);
    upc_params_return(problem, &ours, sizeof ours, sizeof ours);
    return UPCONV_OK;
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

void upc_problem_print(const upc_problem *problem, upc_text *text)
{
    const upc_op *op = upc_op_of(problem->op);
    if (op->word)
        upc_text_add(text, "%s:", op->word);
    if (op->fields & UPC_FIELD_GROUPS)
        upc_text_add(text, "g%lld", (long long)problem->groups);
    upconv_problem given; // solvers see other strides and pads than the app
    upc_problem_to(problem, &given);
    upc_text_add(text, "mb%lldic%lldoc%lld", (long long)problem->batch, (long long)(problem->groups * problem->icg),
                 (long long)(problem->groups * problem->ocg));
    for (int i = 3 - problem->dims; i < 3; i++) {
        const upc_axis *axis = &problem->axis[i];
        const int at = i - (3 - problem->dims);
        const int64_t values[KINDS] = {axis->in,         axis->out,     axis->kernel,
                                       given.stride[at], given.pad[at], axis->dilation - 1};
        for (int kind = 0; kind < KINDS; kind++)
            if (op_reads(problem->op, kind_needs[kind]))
                upc_text_add(text, "%s%c%c%lld", kind ? "" : "_", kind_letters[kind], axis_letters[i],
                             (long long)values[kind]);
    }
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

upconv_status upconv_problem_print(const upconv_problem *problem, char *text, size_t size, size_t *length)
{
    if (!text && size)
        return upc_fail(UPCONV_ERROR_INVALID, "text is NULL while size is %zu; it may be NULL when size is 0",
                        size);
    upc_problem checked;
    const upconv_status status = upc_problem_from(problem, &checked);
    if (status != UPCONV_OK)
        return status;
    upc_text whole = {text, size, 0};
    upc_problem_print(&checked, &whole);
    if (length)
        *length = whole.length;
    return UPCONV_OK;
}
