#include "quantised.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../tensors.h"
#include "tensors.h"

enum { BEHIND = 64 };
static const unsigned char canary = 0xa5;

static const cJSON *requantization(const corpus_case *item)
{
    return cJSON_GetObjectItemCaseSensitive(item->json, "requantization");
}

bool case_is_quantised(const corpus_case *item) { return requantization(item) != NULL; }

// A list of the quantization of a tensor, or NULL.
static const cJSON *quantization(const corpus_case *item, const corpus_tensor *tensor, const char *what)
{
    static const char *const keys[] = {"inputs", "outputs"};
    const cJSON *json;
    for (int i = 0; i < 2; i++)
        cJSON_ArrayForEach(json, cJSON_GetObjectItemCaseSensitive(item->json, keys[i]))
        {
            if (tensor->name == cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "name")))
                return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(json, "quantization"), what);
        }
    return NULL;
}

static bool zero_point(corpus_case *item, const corpus_tensor *tensor, int32_t *zero)
{
    const cJSON *entry, *list = quantization(item, tensor, "zero_point");
    if (!cJSON_IsArray(list) || !cJSON_GetArraySize(list))
        return case_wrong(item, "%s has no zero point", tensor->name);
    *zero = cJSON_GetArrayItem(list, 0)->valueint;
    cJSON_ArrayForEach(entry, list)
    {
        if (entry->valueint != *zero)
            return case_wrong(item, "%s has several zero points", tensor->name);
    }
    return true;
}

static bool type_of(corpus_case *item, const corpus_tensor *tensor, upconv_type *type)
{
    static const struct {
        const char *name;
        upconv_type type;
    } types[] = {{"uint8", UPCONV_U8}, {"int8", UPCONV_I8}, {"int16", UPCONV_I16}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (!strcmp(types[i].name, tensor->dtype)) {
            *type = types[i].type;
            return true;
        }
    return case_wrong(item, "%s is %s", tensor->name, tensor->dtype);
}

static bool scheme_of(corpus_case *item, upconv_requant *scheme)
{
    static const char *const names[UPCONV_REQUANT_COUNT] = {"double_rounding", "single_rounding", "int64_reduced",
                                                            "real"};
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(requantization(item), "scheme"));
    for (int i = 0; name && i < UPCONV_REQUANT_COUNT; i++)
        if (!strcmp(names[i], name)) {
            *scheme = (upconv_requant)i;
            return true;
        }
    return case_wrong(item, "requantization has no scheme that is known");
}

// What the dialect's activation, in real numbers, is in integers; CMSIS-NN states it in integers.
static bool range_of(corpus_case *item, upconv_problem *p, const corpus_tensor *output)
{
    const cJSON *scale = cJSON_GetArrayItem(quantization(item, output, "scale"), 0);
    int32_t stated[2];
    const int count = attribute_list(item, "quantized_activation", 2, stated);
    if (count == 2)
        memcpy(p->out_range, stated, sizeof stated);
    if (p->act == UPCONV_ACT_NONE || p->act == UPCONV_ACT_RELU || count < 0)
        return count >= 0;
    if (p->act != UPCONV_ACT_CLAMP || !cJSON_IsNumber(scale))
        return case_wrong(item, "its activation is no clamp, or the output has no scale");
    p->act = UPCONV_ACT_NONE;
    return !upconv_requant_range(p->type, (float)scale->valuedouble, p->out_zero, p->act_param[0], p->act_param[1],
                                 p->out_range) ||
           case_wrong(item, "refused: %s", upconv_last_error());
}

bool quantised_map(corpus_case *item, mapping *map)
{
    upconv_problem *p = &map->problem;
    upconv_type out = UPCONV_F32;
    map->quantised = true;
    if (!type_of(item, map->input, &p->type) || !type_of(item, map->output, &out) || !scheme_of(item, &p->requant) ||
        !zero_point(item, map->input, &p->in_zero) || !zero_point(item, map->weights, &p->weights_zero) ||
        !zero_point(item, map->output, &p->out_zero))
        return false;
    return out == p->type ? range_of(item, p, map->output)
                          : case_wrong(item, "input and output are of different types");
}

// ------------------------------------------------------------------------------------------------------------- execution

typedef struct scales {
    int32_t count;
    double *real;
    const int32_t *multipliers, *shifts;
} scales;

// Of the tensors: in double precision, or with the product of the first two in f32 where the case says so.
static bool real_scales(corpus_case *item, const mapping *map, scales *s)
{
    const cJSON *in = quantization(item, map->input, "scale"), *out = quantization(item, map->output, "scale");
    const cJSON *weights = quantization(item, map->weights, "scale");
    const bool product = cJSON_GetObjectItemCaseSensitive(requantization(item), "scale_product") != NULL;
    s->count = cJSON_GetArraySize(weights);
    if (!cJSON_IsArray(in) || !cJSON_IsArray(out) || s->count < 1 ||
        !(s->real = malloc(sizeof *s->real * (size_t)s->count)))
        return case_wrong(item, "a tensor has no scale");
    for (int i = 0; i < s->count; i++) {
        const float x = (float)cJSON_GetArrayItem(in, 0)->valuedouble,
                    y = (float)cJSON_GetArrayItem(out, 0)->valuedouble;
        const float w = (float)cJSON_GetArrayItem(weights, i)->valuedouble, both = x * w;
        s->real[i] = (product ? (double)both : (double)x * (double)w) / (double)y;
    }
    return true;
}

static bool find_scales(corpus_case *item, const mapping *map, scales *s)
{
    corpus_tensor *multiplier = case_input(item, "multiplier"), *shift = case_input(item, "shift");
    if (!multiplier || !shift)
        return real_scales(item, map, s);
    if (!tensor_load(item, multiplier) || !tensor_load(item, shift))
        return false;
    s->count = (int32_t)multiplier->array.elements;
    s->multipliers = multiplier->array.data;
    s->shifts = shift->array.data;
    return (!strcmp(multiplier->dtype, "int32") && !strcmp(shift->dtype, "int32") &&
            shift->array.elements == multiplier->array.elements) ||
           case_wrong(item, "multiplier and shift do not go together");
}

// A tensor of the case in dense NCHW order beside one as the library has it.
typedef struct laying {
    const corpus_tensor *tensor;
    const char *layout;
    const upconv_problem *p;
    bool in;
    size_t item;
    unsigned char *memory, *marks;
    uint64_t wrong, first; // elements that differ
} laying;

// Where the element of that number in dense NCHW order lies in the case's array.
static size_t corpus_place(const laying *l, uint64_t logical)
{
    size_t step = 1, place = 0;
    int64_t index[128] = {0};
    const char letters[] = {"WHDCN"};
    for (const char *letter = letters; *letter; letter++) {
        const uint64_t extent = (uint64_t)extent_of(l->tensor, l->layout, *letter);
        index[(int)*letter] = (int64_t)(logical % extent);
        logical /= extent;
    }
    for (size_t i = strlen(l->layout); i-- > 0; step *= (size_t)l->tensor->shape[i])
        place += step * (size_t)index[(int)l->layout[i]];
    return place;
}

static void lay(void *user, int64_t at, uint64_t logical)
{
    const laying *l = user;
    memcpy(l->memory + (size_t)at * l->item, (const char *)l->tensor->array.data + corpus_place(l, logical) * l->item,
           l->item);
}

static void compare(void *user, int64_t at, uint64_t logical)
{
    laying *l = user;
    // channels that fill up a last block of four may be written as anything
    const size_t pack = l->p->out_layout == UPCONV_NC4HW4 ? 4 : 1, block = (size_t)at / pack * pack;
    memset(l->marks + block * l->item, 1, pack * l->item);
    if (memcmp(l->memory + (size_t)at * l->item,
               (const char *)l->tensor->array.data + corpus_place(l, logical) * l->item, l->item) &&
        !l->wrong++)
        l->first = logical;
}

static bool complete(corpus_case *item, const mapping *map, const case_runner *runner, upconv_problem *p,
                     upconv_sizes *sizes)
{
    char text[1024], again[1024];
    upconv_problem given = map->problem;
    given.in_layout = given.out_layout = runner->layout;
    p->struct_size = sizeof *p;
    sizes->struct_size = sizeof *sizes;
    if (upconv_problem_print(&given, text, sizeof text, NULL) || upconv_problem_parse(text, p, NULL) ||
        upconv_problem_print(p, again, sizeof again, NULL))
        return case_wrong(item, "refused: %s", upconv_last_error());
    if (runner->gaps) {
        case_gaps(p, true, &p->in_pitch);
        case_gaps(p, false, &p->out_pitch);
    }
    return (!strcmp(text, again) && !upconv_problem_sizes(p, sizes)) ||
           case_wrong(item, "%s reads back as %s", text, again);
}

// With gaps, weights and bias come at execution.
static bool run(corpus_case *item, const laying *in, laying *out, const upconv_plan_params *given,
                const case_runner *runner, uint64_t out_bytes)
{
    upconv_plan_params params = *given;
    upconv_io io = {.struct_size = sizeof io};
    io.at[UPCONV_INPUT].host = in->memory;
    io.at[UPCONV_OUTPUT].host = out->memory;
    if (runner->gaps) {
        io.at[UPCONV_WEIGHTS].host = (void *)(uintptr_t)given->weights; // only read
        io.at[UPCONV_BIAS].host = (void *)(uintptr_t)given->bias;
        params.weights = params.bias = NULL;
    }
    upconv_plan *plan = NULL;
    upconv_plan_info info = {.struct_size = sizeof info};
    memset(out->memory, canary, (size_t)out_bytes + BEHIND);
    test_each_place(in->p, true, lay, (void *)(uintptr_t)in);
    bool good = !upconv_plan_create(runner->context, in->p, &params, &plan) && !upconv_plan_info_get(plan, &info) &&
                !upconv_execute_io(plan, &io);
    if (!good)
        case_wrong(item, "failed: %s", upconv_last_error());
    else if (info.backend != runner->backend)
        good = case_wrong(item, "the plan runs on backend %d, not %d", (int)info.backend, (int)runner->backend);
    upconv_plan_destroy(plan);
    if (!good)
        return false;
    test_each_place(out->p, false, compare, out);
    if (out->wrong)
        return case_wrong(item, "%llu elements differ, the first is number %llu in NCHW order",
                          (unsigned long long)out->wrong, (unsigned long long)out->first);
    for (uint64_t i = 0; i < out_bytes + BEHIND; i++)
        if (!out->marks[i] && out->memory[i] != canary)
            return case_wrong(item, "byte %llu, which is of no element, was written", (unsigned long long)i);
    return true;
}

bool quantised_execute(corpus_case *item, const mapping *map, const case_runner *runner)
{
    upconv_problem p;
    upconv_sizes sizes;
    scales s = {0};
    upconv_plan_params params = {.struct_size = sizeof params, .order = UPCONV_FILTER_OKI};
    if (!tensor_load(item, map->input) || !tensor_load(item, map->weights) || !tensor_load(item, map->output) ||
        (map->bias && !tensor_load(item, map->bias)) || !complete(item, map, runner, &p, &sizes) ||
        !type_of(item, map->weights, &params.weights_type))
        return false;
    if (strncmp(map->weights_layout, "O", 1) || map->weights_layout[map->dims + 1] != 'I')
        return case_wrong(item, "the filter is %s", map->weights_layout);
    if (sizes.output_elements != map->output->array.elements)
        return case_wrong(item, "the output has %llu elements, not %zu", (unsigned long long)sizes.output_elements,
                          map->output->array.elements);
    laying in = {.tensor = map->input, .layout = map->in_layout, .p = &p, .in = true, .item = map->input->array.item};
    laying out = {.tensor = map->output, .layout = map->out_layout, .p = &p, .item = map->output->array.item};
    in.memory = malloc((size_t)sizes.input_bytes);
    out.memory = malloc((size_t)sizes.output_bytes + BEHIND);
    out.marks = calloc(1, (size_t)sizes.output_bytes + BEHIND);
    bool good = (in.memory && out.memory && out.marks) || case_wrong(item, "no memory for the tensors");
    if (good)
        memset(in.memory, 0x5a, (size_t)sizes.input_bytes);
    good = good && find_scales(item, map, &s);
    params.weights = map->weights->array.data;
    params.bias = map->bias ? map->bias->array.data : NULL;
    params.bias_int64 = map->bias && !strcmp(map->bias->dtype, "int64");
    params.scales = s.real;
    params.multipliers = s.multipliers;
    params.shifts = s.shifts;
    params.scale_count = s.count;
    good = good && run(item, &in, &out, &params, runner, sizes.output_bytes);
    free(s.real);
    free(in.memory);
    free(out.memory);
    free(out.marks);
    return good;
}
