// The problem notation: one line of text for a whole problem. Fields may come in any order, each once;
// numbers are read and written by hand, so that no locale changes them.
#include "notation.h"

#include <stdio.h>
#include <string.h>

// Fields by index: four scalars, then six kinds of per-axis fields, each for d, h and w.
enum { G, MB, IC, OC, SCALARS };
enum { KIND_I, KIND_O, KIND_K, KIND_S, KIND_P, KIND_D, KINDS };
_Static_assert(SCALARS + KINDS * 3 == UPC_NOTATION_FIELDS, "readers have room for every field");

static const char *const scalar_names[SCALARS] = {"g", "mb", "ic", "oc"};
static const char kind_letters[] = "iokspd", axis_letters[] = "dhw";

static int field_index(int kind, int axis) { return SCALARS + kind * 3 + axis; }

// Which operations read a kind of field; 0: all do.
static const uint32_t kind_needs[KINDS] = {
    [KIND_K] = UPC_FIELD_KERNEL, [KIND_S] = UPC_FIELD_STRIDE, [KIND_P] = UPC_FIELD_PAD, [KIND_D] = UPC_FIELD_DILATION,
};

static bool op_reads(upconv_op op, uint32_t needs) { return !needs || upc_op_of(op)->fields & needs; }

// --------------------------------------------------------------------------------------------------- reading

upconv_status upc_fail_at(upc_reader *r, size_t at, const char *format, ...)
{
    char what[256];
    va_list list;
    va_start(list, format);
    vsnprintf(what, sizeof what, format, list);
    va_end(list);
    r->error_at = at;
    return upc_fail(UPCONV_ERROR_INVALID, "%s, at character %zu of '%.150s'", what, at, r->text);
}

// A word before a colon names the operation.
static upconv_status read_op(upc_reader *r)
{
    size_t length = 0;
    while (upc_is_letter(r->text[length]))
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
    return upc_fail_at(r, 0, "'%.*s' is no operation", (int)UPC_MIN(length, 40), r->text);
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

static upconv_status read_number(upc_reader *r, int field)
{
    const size_t start = r->at;
    const int kind = field_kind(field);
    const bool negative = kind == KIND_P && r->text[r->at] == '-';
    r->at += negative;
    if (!upc_is_digit(r->text[r->at]))
        return upc_fail_at(r, r->at, "a number must stand here");
    const int64_t limit = (int64_t)INT32_MAX + negative - (kind == KIND_D); // d is the dilation minus one
    int64_t value = 0;
    for (; upc_is_digit(r->text[r->at]); r->at++) {
        value = value * 10 + (r->text[r->at] - '0');
        if (value > limit)
            return upc_fail_at(r, start, "the number is too large; at most %lld fits here", (long long)limit);
    }
    if (value == 0 && kind != KIND_O && kind != KIND_P && kind != KIND_D)
        return upc_fail_at(r, start, "the number is 0; it must be above 0 here");
    r->value[field] = (int32_t)(negative ? -value : value);
    r->where[field] = start;
    return UPCONV_OK;
}

static upconv_status read_field(upc_reader *r)
{
    const size_t start = r->at;
    size_t length = 0;
    while (upc_is_letter(r->text[start + length]))
        length++;
    const int field = field_find(r->text + start, length);
    if (field < 0)
        return upc_fail_at(r, start, "'%.*s' is no field", (int)UPC_MIN(length, 40), r->text + start);
    if (r->set[field])
        return upc_fail_at(r, start, "field '%.*s' is given twice", (int)length, r->text + start);
    const uint32_t needs = field == G        ? (uint32_t)UPC_FIELD_GROUPS
                           : field < SCALARS ? 0
                                             : kind_needs[field_kind(field)];
    if (!op_reads(r->op, needs))
        return upc_fail_at(r, start, "%s has no field '%.*s'", upc_op_of(r->op)->name, (int)length, r->text + start);
    r->set[field] = true;
    r->at += length;
    return read_number(r, field);
}

// benchdnn lets a problem's name end the line; it says nothing of the problem.
static bool name_begins(const upc_reader *r)
{
    return !r->named && r->text[r->at] == 'n' && r->text[r->at + 1] == '"';
}

static upconv_status read_name(upc_reader *r)
{
    const char *end = strchr(r->text + r->at + 2, '"');
    if (!end)
        return upc_fail_at(r, strlen(r->text), "the name's closing quote is missing");
    r->at = (size_t)(end - r->text) + 1;
    r->named = true;
    return UPCONV_OK;
}

// Reads runs of underscores and what they lead to: true while there is a field or a name to read.
static bool skip_underscores(upc_reader *r)
{
    while (r->text[r->at] == '_')
        r->at++;
    return upc_is_letter(r->text[r->at]);
}

static upconv_status read_fields(upc_reader *r)
{
    upconv_status status = UPCONV_OK;
    bool more = upc_is_letter(r->text[r->at]);
    while (status == UPCONV_OK && more && !r->named) {
        status = name_begins(r) ? read_name(r) : read_field(r);
        const size_t before = r->at;
        if (status == UPCONV_OK && !r->named) {
            more = skip_underscores(r);
            if (!more && r->at > before)
                status = upc_fail_at(r, r->at, "a field must follow the underscore");
        }
    }
    return status;
}

static upconv_status read_end(upc_reader *r)
{
    const size_t before = r->at;
    upconv_status status = UPCONV_OK;
    if (!r->named && skip_underscores(r) && name_begins(r))
        status = read_name(r);
    else
        r->at = before;
    if (status == UPCONV_OK && r->text[r->at])
        status = upc_fail_at(r, r->at, "the problem ends here, but the text goes on");
    return status;
}

// --------------------------------------------------------------------------------------------------- meaning

// Where only h is given, w is the same.
static int field_source(const upc_reader *r, int kind, int axis)
{
    const int field = field_index(kind, axis);
    if (axis == 2 && !r->set[field] && r->set[field - 1])
        return field - 1;
    return field;
}

static int count_dims(const upc_reader *r)
{
    int first = 2;
    for (int axis = 1; axis >= 0; axis--)
        for (int kind = 0; kind < KINDS; kind++)
            if (r->set[field_index(kind, axis)])
                first = axis;
    return 3 - first;
}

static upconv_status check_complete(upc_reader *r, int dims)
{
    const size_t end = r->at;
    const upc_op *op = upc_op_of(r->op);
    for (int i = IC; i <= OC; i++)
        if (!r->set[i] && (i == IC || op->channels == UPC_CHANNELS_FREE))
            return upc_fail_at(r, end, "field '%s' is missing", scalar_names[i]);
    static const int required[] = {KIND_I, KIND_K};
    for (int axis = 3 - dims; axis < 3; axis++)
        for (size_t i = 0; i < UPC_COUNT(required); i++)
            if (op_reads(r->op, kind_needs[required[i]]) && !r->set[field_source(r, required[i], axis)])
                return upc_fail_at(r, end, "field '%c%c' is missing", kind_letters[required[i]],
                                   axis_letters[axis]);
    const int32_t groups = r->set[G] ? r->value[G] : 1;
    for (int i = IC; i <= OC; i++)
        if (r->value[i] % groups)
            return upc_fail_at(r, r->where[i], "'%s' is %d; it must be divisible by the groups, %d",
                               scalar_names[i], r->value[i], groups);
    return UPCONV_OK;
}

static void fill_in(const upc_reader *r, int dims, upconv_problem *problem)
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
static size_t find_culprit(const upc_reader *r, const upconv_problem *problem)
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
    static const int suspects[] = {UPC_SAYS_SUM, UPC_SAYS_IN_PITCH, UPC_SAYS_OUT_PITCH};
    upconv_problem less = *problem;
    upc_problem unused;
    for (size_t i = 0; i < UPC_COUNT(suspects); i++) {
        if (!r->said[suspects[i]])
            continue;
        if (suspects[i] == UPC_SAYS_SUM)
            less.sum_type = UPCONV_F32;
        else
            *(suspects[i] == UPC_SAYS_IN_PITCH ? &less.in_pitch : &less.out_pitch) = (upconv_pitch){0};
        if (upc_problem_from(&less, &unused) == UPCONV_OK)
            return r->said_at[suspects[i]];
    }
    return 0;
}

static upconv_status read_all(upc_reader *r, upc_problem *problem)
{
    upconv_status status = read_op(r);
    if (status == UPCONV_OK)
        status = read_fields(r);
    if (status == UPCONV_OK)
        status = upc_notation_read_suffixes(r);
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
    upc_reader r;
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
    upc_notation_print_suffixes(problem, text);
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
