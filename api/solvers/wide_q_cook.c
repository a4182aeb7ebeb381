// The recipe of the quantised stride phases for processors.
#include "wide_q.h"

enum {
    MOST_ZIPPED = 16, // phases along w, all of whose outputs an item keeps
    LINES = 4,        // of a work-group
};

// Whether all phases have as many taps, one position from each other.
static bool even_taps(const upc_cooking_q *c)
{
    for (int a = 0; a < 3; a++)
        if (c->problem->axis[a].dilation != 1 || c->problem->axis[a].kernel % c->split.stride[a] != 0)
            return false;
    return true;
}

static void describe_program(upc_cooking_q *c, const upc_wide_q *how)
{
    const upc_problem *p = c->problem;
    const bool wide = upc_quant_wide(p);
    const int dense = upc_wide_q_dense(p, how->per);
    int64_t each[3] = {0, 0, 0};
    for (int a = 0; a < 3 && how->spec && even_taps(c); a++)
        each[a] = p->axis[a].kernel / c->split.stride[a];
    const bool paired = !how->stage && how->along && !how->quads && p->icg == 1 && each[2] > 0 && each[2] % 2 == 0;
    const struct {
        const char *name;
        int64_t value;
    } defines[] = {
        {"Q_IN", upc_q_store(p->type)}, {"Q_OUT", upc_q_store(p->type)}, {"Q_W", 16}, {"VEC", how->vec}, {"TILE", how->tile},
        {"NV", how->vectors}, {"ALONG", how->along}, {"ORDER", how->order}, {"STAGE", how->stage}, {"INNER", how->inner},
        {"X_STEP", how->inner ? p->groups * how->words : 1}, {"WORDS", how->stage ? 0 : how->words},
        {"EACH_D", each[0]}, {"EACH_H", each[1]}, {"EACH_W", each[2]}, {"PAIRED", paired}, {"QUADS", how->quads}, {"BYTE_DOTS", how->quads && c->facts.byte_dots}, {"CHANNELS", how->stage ? 0 : p->icg},
        {"DENSE", how->stage ? 0 : dense == 3 ? 2 : dense},
        {"OWN_D", how->stage ? 0 : how->lines[0]}, {"OWN_H", how->stage ? 0 : how->lines[1]},
        {"OWN_SPAN", how->stage ? 0 : how->span + how->lines[2]},
        {"OWN_BEFORE", how->stage ? 0 : how->lines[2] - (p->axis[2].pad % c->split.stride[2] != 0)},
        {"IN_PACK", how->stage ? 1 : c->split.in.pack}, {"OUT_PACK", c->split.out.pack},
        {"OUT_INNER", c->split.out.pack == 1 && c->split.out.channel == 1}, {"REQUANT", p->quant.requant}, {"WIDE", wide},
        {"CHUNK", wide ? UPC_MAX(upc_q_chunk(p, INT32_MAX) / 2, 1) : 0}, {"BIAS_WORDS", c->request->bias_int64 ? 2 : 1},
        {"ZIP", how->along && c->split.out.pack == 1 && c->split.out.axis[2] == 1 && c->split.stride[2] <= MOST_ZIPPED ? c->split.stride[2] : 0},
    };
    upc_program_desc_init(&c->program, "wide_q", c->split.local, 6);
    for (size_t i = 0; i < UPC_COUNT(defines); i++)
        upc_program_param(&c->program, defines[i].name, UPC_PARAM_DEFINE, (int32_t)defines[i].value);
}

// The split's input becomes the strip's copy.
static void read_strip(upc_cooking_q *c, const upc_wide_q *how, const upc_strip_q *strip)
{
    upc_split *split = &c->split;
    split->in = strip->tensor;
    split->in_origin = strip->origin;
    split->in_bytes = 4;
    split->icg = how->words;
    split->padded = true;
    for (int a = 0; a < 3; a++) {
        split->front[a] = strip->front[a];
        split->back[a] = strip->back[a];
    }
}

static upconv_status cook_strips(upc_cooking_q *c, const upc_wide_q *how, const upc_strips_q *strips)
{
    const int64_t images = strips->axis < 0 ? strips->count : 1;
    const int64_t from = strips->axis < 0 ? 0 : strips->q0[strips->axis],
                  all = strips->axis < 0 ? 1 : strips->qn[strips->axis];
    const int64_t step = strips->axis < 0 ? 1 : strips->count;
    upconv_status status = UPCONV_OK;
    for (int64_t n = 0; n < c->problem->batch; n += images)
        for (int64_t q = from; q < from + all && !status; q += step) {
            upc_strip_q strip;
            upc_strips_q_at(c->problem, how, strips, n, q, &strip);
            read_strip(c, how, &strip);
            status = upc_strip_q_cook(c->problem, &c->facts, how, &strip, c->copy_at, c->recipe);
            c->waits = true;
            if (!status)
                status = upc_split_run_part(&c->split, strip.n0, strip.nn, strip.q0, strip.qn);
        }
    return status;
}

static void prepare_split(upc_cooking_q *c, const upc_wide_q *how)
{
    upc_split *split = &c->split;
    split->tile = how->span;
    split->weight_bytes = 4;
    split->in_step = how->stage ? how->words : c->problem->icg; // sums that are not whole have no place to be kept
    split->out_step = split->out.pack;
    split->local[0] = how->group;
    if (how->spec && !how->stage) // items that are over soon
        split->local[1] =
            UPC_MIN(LINES, UPC_MAX(UPC_MIN(c->facts.group_axis[1], c->facts.info.limits.group_size / how->group), 1));
    split->around = true;
}

upconv_status upc_wide_q_cook(const upc_problem *problem, const upc_facts *facts, const upc_wide_q *how,
                              const upc_request *request, upc_recipe *recipe)
{
    upc_strips_q strips;
    upc_cooking_q c = {.how = {.oc = how->oc, .inputs = how->words, .weight_unit = 1, .weight_bits = 16, .spec = how->spec,
                               .form = how->quads ? UPC_PACK_QUADS : UPC_PACK_PAIRS, .rows = how->rows, .in_zero = upc_q_unsigned_zero(problem), .by_rows = true,
                               .block_factors = true, .all_phases = !how->stage || how->along, .in_args = how->stage,
                               .weights = how->weights, .factors = how->bytes - how->factors_at}, .copied = how->stage};
    if (how->stage && !upc_strips_q_plan(problem, facts, how, &strips))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "no strip of the input's copy fits");
    upconv_status status = upc_cook_q_begin(&c, problem, facts, request, recipe);
    if (status)
        return status;
    prepare_split(&c, how);
    describe_program(&c, how);
    status = upc_cook_q_params(&c);
    if (!status)
        status = how->stage ? cook_strips(&c, how, &strips) : upc_split_run(&c.split);
    upc_cook_q_finish(&c);
    return status;
}
