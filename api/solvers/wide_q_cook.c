// The recipe of the quantised stride phases for processors.
#include "wide_q.h"

enum { MOST_ZIPPED = 16 }; // phases along w, all of whose outputs an item keeps

static void describe_program(upc_cooking_q *c, const upc_wide_q *how)
{
    const upc_problem *p = c->problem;
    const bool wide = upc_quant_wide(p);
    const int dense = upc_wide_q_dense(p);
    const struct {
        const char *name;
        int64_t value;
    } defines[] = {
        {"Q_IN", upc_q_store(p->type)}, {"Q_OUT", upc_q_store(p->type)}, {"Q_W", 16}, {"VEC", how->vec}, {"TILE", how->tile},
        {"NV", how->vectors}, {"ALONG", how->along}, {"ORDER", how->order}, {"STAGE", how->stage}, {"INNER", how->inner},
        {"X_STEP", how->inner ? p->groups * how->words : 1}, {"WORDS", how->stage ? 0 : how->words},
        {"OWN_SPAN", how->span + (p->axis[2].pad % p->axis[2].stride != 0)}, {"CHANNELS", how->stage ? 0 : p->icg}, {"DENSE", how->stage ? 0 : dense == 3 ? 2 : dense},
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
    const int64_t from = strips->axis < 0 ? 0 : strips->q0[strips->axis], all = strips->axis < 0 ? 1 : strips->qn[strips->axis];
    const int64_t step = strips->axis < 0 ? 1 : strips->count;
    upconv_status status = UPCONV_OK;
    for (int64_t n = 0; n < c->problem->batch; n += images)
        for (int64_t q = from; q < from + all && !status; q += step) {
            upc_strip_q strip;
            upc_strips_q_at(c->problem, how, strips, n, q, &strip);
            read_strip(c, how, &strip);
            status = upc_strip_q_cook(c->problem, &c->facts, how, &strip, c->recipe);
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
}

upconv_status upc_wide_q_cook(const upc_problem *problem, const upc_facts *facts, const upc_wide_q *how, const upc_request *request,
                              upc_recipe *recipe)
{
    upc_strips_q strips;
    upc_cooking_q c = {.how = {.oc = how->oc, .inputs = how->words, .weight_unit = 1, .block_factors = true,
                               .all_phases = !how->stage || how->along, .in_args = how->stage, .factors_at = how->factors_at}, .copied = how->stage};
    if (how->stage && !upc_strips_q_plan(problem, facts, how, &strips))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "no strip of the input's copy fits");
    upconv_status status = upc_cook_q_begin(&c, problem, facts, request, recipe);
    if (status)
        return status;
    prepare_split(&c, how);
    describe_program(&c, how);
    recipe->packed_bytes = how->bytes;
    status = upc_cook_q_params(&c);
    if (!status)
        status = how->stage ? cook_strips(&c, how, &strips) : upc_split_run(&c.split);
    upc_cook_q_finish(&c);
    return status;
}
