// The probe of api/dot.h: words, then a problem, then time.
#include "dot.h"

#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "solvers/phase_q.h"
#include "tune/bed.h"

enum { WORDS = 1024, LOCAL = 64, LEAST_ROUNDS = 3, MOST_ROUNDS = 9, RUNS = 4 };

static const uint64_t time_ns = 60000000; // of timing; more only for the least of rounds

// ---------------------------------------------------------------------------------------------------------- the words

// The ends of bytes, with a sign and without, and what lies beside them.
static const uint8_t ends[] = {0x80, 0x7f, 0xff, 0x00, 0x81, 0x01};

// All four bytes at an end, each pair of ends; then one byte of the four at an end and the others drawn; then anything.
static void draw(uint32_t *x, uint32_t *w, uint32_t *sums)
{
    enum { ENDS = UPC_COUNT(ends), PAIRS = ENDS * ENDS };
    static const uint32_t starts[] = {0, 0x7fffffffu, 0x80000000u, 0xffffffffu};
    uint32_t seed = 1;
    for (uint32_t i = 0; i < WORDS; i++) {
        uint32_t drawn[2];
        for (int k = 0; k < 2; k++) {
            seed = seed * 1664525u + 1013904223u;
            drawn[k] = seed ^ seed >> 15;
        }
        const uint32_t a = ends[i % ENDS] * 0x01010101u, b = ends[i / ENDS % ENDS] * 0x01010101u;
        const uint32_t mask = i < PAIRS ? 0xffffffffu : i < 5 * PAIRS ? 0xffu << 8 * (i / PAIRS - 1) : 0;
        x[i] = (a & mask) | (drawn[0] & ~mask);
        w[i] = (b & mask) | (drawn[1] & ~mask);
        sums[i] = starts[i % UPC_COUNT(starts)];
    }
}

static uint32_t products(upc_dot form, uint32_t x, uint32_t w)
{
    int32_t sum = 0;
    for (int k = 0; k < 4; k++) {
        const uint8_t a = (uint8_t)(x >> 8 * k), b = (uint8_t)(w >> 8 * k);
        sum += (form == UPC_DOT_SIGNED ? (int8_t)a : a) * (form == UPC_DOT_UNSIGNED ? b : (int8_t)b);
    }
    return (uint32_t)sum;
}

static upconv_status fill(upconv_context *context, upc_memory *memory, const uint32_t *words)
{
    void *pointer;
    const upconv_status status = context->backend->memory_map(memory, UPCONV_MAP_WRITE, context->timeout_ns, &pointer);
    if (status)
        return status;
    memcpy(pointer, words, WORDS * sizeof *words);
    return context->backend->memory_unmap(memory, context->timeout_ns);
}

static upconv_status run_words(upconv_context *context, upc_program *program, upc_memory *const memory[3])
{
    const int32_t items = WORDS;
    upc_launch launch = {
        .program = program, .groups = {WORDS / LOCAL, 1, 1}, .bound_count = 3, .args = &items, .arg_count = 1};
    for (int i = 0; i < 3; i++)
        launch.bound[i] = (upc_bound){memory[i], 0, WORDS * sizeof(uint32_t)};
    const upc_work work = {.launches = &launch, .launch_count = 1};
    upconv_ticket ticket;
    const upconv_status status = context->backend->submit(context->device, &work, &ticket);
    return status ? status : context->backend->wait(context->device, ticket, context->timeout_ns);
}

static upconv_status judge_words(upconv_context *context, upc_memory *memory, const uint32_t *x, const uint32_t *w,
                                 const uint32_t *sums, upc_dot_verdict *verdict)
{
    void *pointer;
    const upconv_status status = context->backend->memory_map(memory, UPCONV_MAP_READ, context->timeout_ns, &pointer);
    if (status)
        return status;
    for (uint32_t i = 0; i < WORDS && verdict->right; i++) {
        uint32_t found;
        memcpy(&found, (const char *)pointer + i * sizeof found, sizeof found);
        const uint32_t expected = sums[i] + products(verdict->form, x[i], w[i]);
        verdict->right = found == expected;
        if (!verdict->right)
            snprintf(verdict->why, sizeof verdict->why,
                     "wrong: 0x%08x by 0x%08x and 0x%08x give 0x%08x; it must be 0x%08x", x[i], w[i], sums[i], found,
                     expected);
    }
    return context->backend->memory_unmap(memory, context->timeout_ns);
}

static upconv_status make_program(upconv_context *context, upc_dot form, upc_program **program)
{
    upc_program_desc desc;
    upc_program_desc_init(&desc, "products4", (const uint32_t[3]){LOCAL, 1, 1}, 3);
    upc_program_param(&desc, "DOT", UPC_PARAM_DEFINE, (int32_t)form);
    upc_program_param(&desc, "Q_IN", UPC_PARAM_DEFINE, 8);
    upc_program_param(&desc, "Q_OUT", UPC_PARAM_DEFINE, 8);
    upc_program_param(&desc, "Q_W", UPC_PARAM_DEFINE, 8);
    upc_program_arg(&desc, "ITEMS");
    return upc_program_get(context, &desc, program);
}

static upconv_status try_words(upconv_context *context, upc_dot_verdict *verdict)
{
    uint32_t x[WORDS], w[WORDS], sums[WORDS];
    uint32_t *const words[3] = {x, w, sums};
    upc_memory *memory[3] = {NULL, NULL, NULL};
    upc_program *program = NULL;
    draw(x, w, sums);
    upconv_status status = make_program(context, verdict->form, &program);
    for (int i = 0; i < 3 && !status; i++) {
        status = context->backend->memory_create(context->device, sizeof x, &memory[i]);
        if (!status)
            status = fill(context, memory[i], words[i]);
    }
    if (!status)
        status = run_words(context, program, memory);
    if (!status)
        status = judge_words(context, memory[2], x, w, sums, verdict);
    for (int i = 0; i < 3; i++)
        upc_memory_release(memory[i]);
    upc_program_release(program);
    return status;
}

// -------------------------------------------------------------------------------------------------------- the problem

// Doubles an image, as upsampling layers do: large enough to fill a small GPU, small enough to be defined in little time.
static upconv_status make_problem(upconv_type type, upc_problem *problem)
{
    const upconv_problem given = {.dims = 2, .batch = 1, .in_channels = 32, .out_channels = 32, .in = {28, 28}, .kernel = {4, 4},
                                  .stride = {2, 2}, .pad = {1, 1}, .type = type, .in_layout = UPCONV_NHWC, .out_layout = UPCONV_NHWC,
                                  .in_zero = type == UPCONV_I8 ? -7 : 121, .out_zero = 3};
    return upc_problem_from(&given, problem);
}

// The shortest of each, in turn.
static upconv_status time_both(const upc_bed *bed, upconv_plan *const plan[2], double best[2])
{
    const uint64_t start = upc_now_ns();
    for (int round = 0; round < MOST_ROUNDS && (round < LEAST_ROUNDS || upc_now_ns() - start < time_ns); round++)
        for (int i = 0; i < 2; i++) {
            double us;
            const upconv_status status = upc_bed_run(bed, plan[i], RUNS, &us);
            if (status)
                return status;
            best[i] = round == 0 || us < best[i] ? us : best[i];
        }
    return UPCONV_OK;
}

// The plan of the solver's guess, with such products and without.
static upconv_status make_plan(upconv_context *context, const upc_problem *problem, const upc_bed *bed, upc_dot form,
                               upconv_plan **plan)
{
    upc_facts facts = context->facts;
    upc_choice choice = {.solver = &upc_solver_phase_q, .tier = UPCONV_TIER_MODEL};
    facts.dot_used = (uint8_t)(form ? 1u << form : 0);
    choice.solver->guess(problem, &facts, &choice.config);
    return upc_plan_build(context, problem, &bed->params, &choice, plan);
}

static upconv_status try_problem(upconv_context *context, upconv_type type, upc_dot_verdict *verdict)
{
    upc_problem problem;
    upc_bed *bed = NULL;
    upconv_plan *plan[2] = {NULL, NULL};
    char reason[UPC_SENTENCE];
    double best[2] = {0, 0}, us;
    upconv_status status = make_problem(type, &problem);
    if (!status)
        status = upc_bed_create(context, &problem, &(upconv_plan_params){0}, false, -1, &bed);
    if (!status)
        status = make_plan(context, &problem, bed, UPC_DOT_NONE, &plan[0]);
    if (!status)
        status = make_plan(context, &problem, bed, verdict->form, &plan[1]);
    if (!status)
        status = upc_verify(bed, plan[1], &verdict->right, reason, &us);
    if (!status && !verdict->right)
        snprintf(verdict->why, sizeof verdict->why, "wrong: %.140s", reason);
    if (!status && verdict->right)
        status = time_both(bed, plan, best);
    verdict->plain_us = best[0];
    verdict->dot_us = best[1];
    verdict->faster = verdict->right && best[1] > 0 && best[1] < 0.95 * best[0]; // less could be chance
    for (int i = 0; i < 2; i++)
        upconv_plan_destroy(plan[i]);
    upc_bed_destroy(bed);
    return status;
}

upconv_status upc_dot_probe(upconv_context *context, upconv_type type, upc_dot_verdict *verdict)
{
    *verdict = (upc_dot_verdict){.form = verdict->form, .right = true};
    upconv_status status = try_words(context, verdict);
    if (!status && verdict->right)
        status = try_problem(context, type, verdict);
    if (status != UPCONV_ERROR_COMPILE && status != UPCONV_ERROR_UNSUPPORTED)
        return status;
    verdict->right = false;
    const char *reason = upc_last_error();
    snprintf(verdict->why, sizeof verdict->why, "%.*s", (int)UPC_MIN(strcspn(reason, "\n"), sizeof verdict->why - 1),
             reason);
    return upc_context_check(context);
}
