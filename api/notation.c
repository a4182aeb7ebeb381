// The problem notation: one line of text for a whole problem. Fields may come in any order, each once;
// numbers are read and written by hand, so that no locale changes them.
#include "problem.h"

#include <stdio.h>
#include <string.h>

// Fields by index: four scalars, then six kinds of per-axis fields, each for d, h and w.
enum { G, MB, IC, OC, SCALARS };
enum { KIND_I, KIND_O, KIND_K, KIND_S, KIND_P, KIND_D, KINDS };
enum { FIELDS = SCALARS + KINDS * 3 };

static const char *const scalar_names[SCALARS] = {"g", "mb", "ic", "oc"};
static const char kind_letters[] = "iokspd", axis_letters[] = "dhw";

static int field_index(int kind, int axis) { return SCALARS + kind * 3 + axis; }

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

typedef struct reader {
    const char *text;
    size_t at, error_at;
    bool named;
    bool set[FIELDS];
    int32_t value[FIELDS];
    size_t where[FIELDS]; // of the number
    upconv_act act;
    float act_param[2];
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
    bool more = is_letter(r->text[0]);
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

// The longest name wins ("gelu_tanh" over "gelu"); an underscore may also begin the problem's name.
static int act_find(const char *text)
{
    int found = -1;
    for (int i = 0; i < UPCONV_ACT_COUNT; i++) {
        const size_t length = strlen(acts[i].name);
        if (!strncmp(text, acts[i].name, length) && !is_letter(text[length]) &&
            (found < 0 || length > strlen(acts[found].name)))
            found = i;
    }
    return found;
}

static upconv_status read_act_param(reader *r, const char *act, int i, int count)
{
    if (r->text[r->at] != ':')
        return fail_at(r, r->at, "':' and a number must stand here; %s has %d", act, count);
    const char *start = r->text + ++r->at;
    const char *digits = start + (*start == '-');
    const bool infinite = !strncmp(digits, "inf", 3);
    float *value = &r->act_param[i];
    const char *end = is_digit(*digits) || *digits == '.' || infinite ? upc_parse_float(start, value) : NULL;
    if (!end)
        return fail_at(r, r->at, "a number must stand here");
    if (!infinite && (*value - *value) != 0)
        return fail_at(r, r->at, "the number is too large for 32 bits");
    if (i == 1 && r->act_param[0] > r->act_param[1])
        return fail_at(r, r->at, "the upper bound of %s is below the lower", act);
    r->at = (size_t)(end - r->text);
    return UPCONV_OK;
}

static upconv_status read_act(reader *r)
{
    if (r->text[r->at] != '+')
        return UPCONV_OK;
    r->at++;
    const int act = act_find(r->text + r->at);
    if (act < 0)
        return fail_at(r, r->at, "no activation begins here");
    r->act = (upconv_act)act;
    r->at += strlen(acts[act].name);
    upconv_status status = UPCONV_OK;
    for (int i = 0; status == UPCONV_OK && i < acts[act].params; i++)
        status = read_act_param(r, acts[act].name, i, acts[act].params);
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
    for (int i = IC; i <= OC; i++)
        if (!r->set[i])
            return fail_at(r, end, "field '%s' is missing", scalar_names[i]);
    static const int required[] = {KIND_I, KIND_K};
    for (int axis = 3 - dims; axis < 3; axis++)
        for (size_t i = 0; i < UPC_COUNT(required); i++)
            if (!r->set[field_source(r, required[i], axis)])
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
    memset(problem, 0, sizeof *problem);
    problem->struct_size = sizeof *problem;
    problem->dims = dims;
    problem->batch = r->set[MB] ? r->value[MB] : 1;
    problem->in_channels = r->value[IC];
    problem->out_channels = r->value[OC];
    problem->groups = r->set[G] ? r->value[G] : 1;
    for (int i = 0; i < dims; i++) {
        const int axis = 3 - dims + i;
        const int stride = field_source(r, KIND_S, axis);
        problem->in[i] = r->value[field_source(r, KIND_I, axis)];
        problem->out[i] = r->value[field_source(r, KIND_O, axis)];
        problem->kernel[i] = r->value[field_source(r, KIND_K, axis)];
        problem->stride[i] = r->set[stride] ? r->value[stride] : 1;
        problem->pad[i] = r->value[field_source(r, KIND_P, axis)];
        problem->dilation[i] = r->value[field_source(r, KIND_D, axis)] + 1;
    }
    problem->act = r->act;
    memcpy(problem->act_param, r->act_param, sizeof r->act_param);
}

// Where to point for a rule that several fields break together: at the padding (or the input) of an axis
// whose computed output is impossible, else at the beginning.
static size_t find_culprit(const reader *r, const upconv_problem *problem)
{
    upc_axis axes[3];
    if (upc_axes_from(problem, NULL, axes) != UPCONV_OK)
        return 0;
    for (int i = 0; i < problem->dims; i++) {
        const int axis = 3 - problem->dims + i;
        const int64_t out = upc_axis_full(&axes[axis]) - 2 * (int64_t)problem->pad[i];
        const int pad = field_source(r, KIND_P, axis);
        if (problem->out[i] == 0 && (out < 1 || out > INT32_MAX))
            return r->set[pad] ? r->where[pad] : r->where[field_source(r, KIND_I, axis)];
    }
    return 0;
}

static upconv_status read_all(reader *r, upc_problem *problem)
{
    upconv_status status = read_fields(r);
    if (status == UPCONV_OK)
        status = read_act(r);
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

void upc_problem_print(const upc_problem *problem, upc_text *text)
{
    upc_text_add(text, "g%lldmb%lldic%lldoc%lld", (long long)problem->groups, (long long)problem->batch,
                 (long long)(problem->groups * problem->icg), (long long)(problem->groups * problem->ocg));
    for (int i = 3 - problem->dims; i < 3; i++) {
        const upc_axis *axis = &problem->axis[i];
        const int64_t values[KINDS] = {axis->in,     axis->out, axis->kernel,
                                       axis->stride, axis->pad, axis->dilation - 1};
        for (int kind = 0; kind < KINDS; kind++)
            upc_text_add(text, "%s%c%c%lld", kind ? "" : "_", kind_letters[kind], axis_letters[i],
                         (long long)values[kind]);
    }
    if (problem->act == UPCONV_ACT_NONE)
        return;
    upc_text_add(text, "+%s", upc_act_name(problem->act));
    for (int i = 0; i < acts[problem->act].params; i++) {
        char number[32];
        upc_print_float(number, sizeof number, problem->act_param[i]);
        upc_text_add(text, ":%s", number);
    }
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
