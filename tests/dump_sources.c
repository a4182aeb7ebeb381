// Writes the assembled source of every kernel variant, in both languages, into a folder: NNNN.comp and NNNN.cl, for
// glslang, spirv-val and clang to judge (kernels.sh). dump_sources FOLDER [N]: of every N-th configuration only.
//
// Variants: every solver, every value of its knobs and some of their combinations, every activation, types, layouts, residuals, geometry
// in the table and compiled in, weights packed at execution, dispatches that see only some of the input channels, with and without unroll hints.
#include "../api/ops.h"
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VARIANTS = 20000, MET = 1 << 18 };

typedef struct dump {
    const char *folder;
    upc_env env;
    uint64_t seen[MAX_VARIANTS]; // hashes of texts already written
    int count, failed;
    uint64_t configs, every, turn;
    uint64_t met[MET]; // hashes of programs whose text was put together already, in a table by their last digits; 0: none
} dump;

static const char *const problems[] = {
    "ic5oc7_ih9oh18kh4sh2ph1", "g3ic6oc9_id3od5kd2sd2pd0dd1_ih4oh9kh3sh2ph-1_iw5ow10kw2sw3pw0", "ic40oc40_iw70ow140kw4sw2pw1",
    "ic8oc8_ih9oh18kh4sh2ph1+f16", "ic8oc16_ih9oh18kh2sh2ph0+nhwc", "g2ic12oc8_ih9oh18kh3sh2ph1+f16+nc4hw4",
    "ic8oc16_ih9oh18kh4sh2ph1+f16+sum16",
    "ic6oc7_ih9oh18kh4sh2ph1+f16+in:nhwc+out:nc4hw4+residual_after",
    "pool:ic5_ih9kh3sh2ph1", "pool:ic8_ih9kh2sh2+nhwc+f16+index:tensor", "pool:ic8_id3kd2_ih9kh2sh2+nc4hw4+index:image",
    "pool:ic6_iw40kw3sw2+in:nc4hw4+index:window", "pool:ic6_iw40kw3sw2+f16+index:window_columns",
    "unpool:ic5_ih9oh18kh2sh2", "unpool:ic5_ih9oh18kh2sh2+nhwc+index:image", "unpool:ic8_ih9kh2sh2+nc4hw4+f16+index:tensor",
    "unpool:ic8_id3kd2_ih9kh2sh2+f16+out:nhwc+index:window", "unpool:ic6_iw40kw3sw2+in:nc4hw4+index:window_columns",
    "unpool:ic6_ih9oh19kh2sh2+space:18:20",
    "ic5oc7_ih9oh18kh4sh2ph1+i8+zero:3", "ic8oc16_ih9oh18kh2sh2ph0+u8+nhwc+single+zero:3:4:5", "g2ic8oc16_ih9oh18kh3sh2ph1+i16+reduced+nhwc",
    "ic5oc7_ih9oh18kh4sh2ph1+i8+real+in:nhwc", "ic8oc16_ih9oh18kh4sh2ph1+i16+real+nc4hw4",
    "resize:ic5ih9oh18", "resize:ic8ih9oh20+linear+nhwc", "resize:ic6id3od5ih9oh20+cubic+f16+out:nc4hw4",
    "resize:ic6ih9oh20+linear+f16+nc4hw4+residual", "resize:ic6iw9ow20+linear+in:nc4hw4+residual_after",
    "zeros:ic5ih9sh2+f16", "zeros:ic8ih9sh2+nc4hw4+residual",
    "shuffle:ic20ih9sh2", "shuffle:ic32ih9sh2+dcr+nhwc+f16", "shuffle:ic32id2ih9sd2sh2sw2+in:nhwc+residual",
    "shuffle:ic36ih9sh3+nc4hw4", "shuffle:ic20ih9sh2+nhwc", "shuffle:ic64ih9sh2+nhwc",
    "conv:ic7oc5_ih18kh4sh2ph1", "conv:g2ic8oc8_id5kd2_ih9kh3sh3_iw9kw3dw1+f16+nhwc", "conv:ic20oc20_ih9kh3ph1+nc4hw4",
    "gradfilter:ic5oc7_ih9oh18kh4sh2ph1", "gradfilter:g2ic8oc8_ih9kh3sh3+f16+in:nc4hw4", "gradbias:ic5oc7_ih9oh18kh4sh2ph1",
    "gradbias:ic5oc6_ih9oh18kh4sh2ph1+f16+nc4hw4", "gradbias:ic5oc40_ih9oh18kh4sh2ph1+nhwc",
};

static bool is_new(dump *d, const char *text, size_t length)
{
    const uint64_t hash = upc_hash(text, length, 0);
    for (int i = 0; i < d->count; i++) {
        if (d->seen[i] == hash)
            return false;
    }
    if (d->count == MAX_VARIANTS)
        return false;
    d->seen[d->count++] = hash;
    return true;
}

static void write_source(dump *d, upconv_backend backend, const upc_facts *facts, const upc_program_desc *program)
{
    upc_string text;
    upc_string_init(&text, &d->env);
    if (upc_source_assemble(&d->env, backend, facts, program, &text)) {
        printf("FAILED %s: %s\n", program->kernel, upconv_last_error());
        d->failed++;
    } else if (is_new(d, text.data, text.length)) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%04d-%s.%s", d->folder, d->count, program->kernel,
                 backend == UPCONV_BACKEND_VULKAN ? "comp" : "cl");
        FILE *file = fopen(path, "w");
        if (!file || fwrite(text.data, 1, text.length, file) != text.length || fclose(file)) {
            printf("FAILED cannot write %s\n", path);
            d->failed++;
        }
    }
    upc_string_finish(&text);
}

// Many configurations make the same programs. What the facts decide of a text is in the hash too.
static bool met_before(dump *d, const upc_facts *facts, const upc_program_desc *program)
{
    uint64_t key[2];
    upc_program_desc_key(program, key);
    key[0] ^=
        key[1] << 2 ^ (facts->info.backend == UPCONV_BACKEND_VULKAN ? 1u : 0u) ^ (facts->reqd_group_size ? 2u : 0u);
    uint64_t at = key[0] % MET;
    for (int tries = 0; tries < 64 && d->met[at]; tries++, at = (at + 1) % MET)
        if (d->met[at] == key[0])
            return true;
    d->met[at] = key[0];
    return false;
}

static void cook(dump *d, const upc_solver *solver, const upc_problem *problem, const upc_facts *facts,
                 const upc_config *config, const upc_request *request)
{
    upc_recipe recipe;
    char sentence[UPC_SENTENCE];
    if (d->turn++ % d->every || solver->legal(problem, facts, config, sentence))
        return;
    upc_recipe_init(&recipe, &d->env);
    const upconv_status status = solver->cook(problem, facts, config, request, &recipe);
    if (status && status != UPCONV_ERROR_UNSUPPORTED) { // too large a copy of the input, say, is no fault
        printf("FAILED %s: %s\n", solver->name, upconv_last_error());
        d->failed++;
    }
    d->configs++;
    for (size_t i = 0; i < recipe.program_count; i++) {
        upc_program_desc program = recipe.programs[i];
        // the size of a work-group is a number in either language and changes no code: one stands for all
        program.local[0] = 16, program.local[1] = 4, program.local[2] = 1;
        if (!met_before(d, facts, &program))
            write_source(d, facts->info.backend, facts, &program);
    }
    upc_recipe_finish(&recipe);
}

// The guess, each knob's every value by itself, and some of all their combinations: the same ones every time.
static void some_configs(dump *d, const upc_solver *solver, const upc_problem *problem, const upc_facts *facts,
                         const upc_request *request)
{
    enum { COMBINATIONS = 3 };
    upc_config guess, config;
    solver->guess(problem, facts, &guess);
    cook(d, solver, problem, facts, &guess, request);
    for (int k = 0; k < solver->knob_count; k++)
        for (int v = 0; v < solver->knobs[k].count; v++) {
            config = guess;
            config.value[k] = solver->knobs[k].values[v];
            cook(d, solver, problem, facts, &config, request);
        }
    uint64_t random = 1;
    for (int i = 0; i < COMBINATIONS; i++) {
        config = guess;
        for (int k = 0; k < solver->knob_count; k++) {
            random = upc_hash(&random, sizeof random, 7);
            config.value[k] = solver->knobs[k].values[random % (uint64_t)solver->knobs[k].count];
        }
        cook(d, solver, problem, facts, &config, request);
    }
}

static void every_activation(dump *d, const upc_solver *solver, const upc_problem *problem, const upc_facts *facts)
{
    const upc_request request = {.dynamic_weights = false};
    for (int act = 0; act < UPCONV_ACT_COUNT; act++) {
        upc_problem with = *problem;
        upc_config config;
        with.act = (upconv_act)act;
        with.act_param[0] = 0.25f;
        with.act_param[1] = 1.5f;
        solver->guess(&with, facts, &config);
        cook(d, solver, &with, facts, &config, &request);
    }
}

static void dump_facts(dump *d, const upc_facts *facts)
{
    char sentence[UPC_SENTENCE];
    for (int s = 0; s < upc_solver_count; s++) {
        for (size_t i = 0; i < UPC_COUNT(problems); i++) {
            const upconv_problem given = test_problem(problems[i]);
            upc_problem problem;
            if (upc_problem_from(&given, &problem) || upc_solver_refuse(upc_solvers[s], &problem, facts, sentence))
                continue;
            const bool quantised = upc_type_quantised(problem.type); // whose weights take 8 bits, or 16, and biases one word or two
            const upc_request frozen = {.dynamic_weights = false, .weights_type = quantised ? UPCONV_I8 : UPCONV_F32};
            const upc_request packed = {.dynamic_weights = true, .order = UPCONV_FILTER_KOI, .bias_int64 = quantised,
                                        .weights_type = quantised ? UPCONV_U8 : UPCONV_F32};
            some_configs(d, upc_solvers[s], &problem, facts, &frozen);
            upc_config guess; // weights given at execution add a kernel that packs them
            upc_solvers[s]->guess(&problem, facts, &guess);
            if (!upc_op_takes(problem.op, UPCONV_WEIGHTS))
                continue;
            cook(d, upc_solvers[s], &problem, facts, &guess, &packed);
            every_activation(d, upc_solvers[s], &problem, facts);
        }
    }
}

// What the probe of api/dot.h runs.
static void dump_products(dump *d, const upc_facts *facts)
{
    static const char *const stores[] = {"Q_IN", "Q_OUT", "Q_W"};
    for (int form = UPC_DOT_SIGNED; form < UPC_DOT_COUNT; form++) {
        upc_program_desc desc;
        upc_program_desc_init(&desc, "products4", (const uint32_t[3]){64, 1, 1}, 3);
        upc_program_param(&desc, "DOT", UPC_PARAM_DEFINE, form);
        for (size_t i = 0; i < UPC_COUNT(stores); i++)
            upc_program_param(&desc, stores[i], UPC_PARAM_DEFINE, 8);
        upc_program_arg(&desc, "ITEMS");
        write_source(d, facts->info.backend, facts, &desc);
    }
}

int main(int argc, char **argv)
{
    static dump d;
    d.every = argc == 3 ? strtoull(argv[2], NULL, 10) : 1;
    if (argc < 2 || argc > 3 || !d.every) {
        fprintf(stderr, "usage: dump_sources FOLDER [N]\n");
        return 2;
    }
    d.folder = argv[1];
    upc_env_init(&d.env, NULL);
    for (int variant = 0; variant < 9; variant++) {
        upc_facts facts;
        upc_facts_smallest(&facts);
        const bool processor = variant == 8; // behind OpenCL
        facts.info.backend = variant & 1 || processor ? UPCONV_BACKEND_OPENCL : UPCONV_BACKEND_VULKAN;
        facts.reqd_group_size = variant & 2;
        facts.info.f16_storage = variant & 1 || variant & 2 || processor; // Vulkan with it and without
        facts.info.f16_math = facts.info.f16_storage;
        if (processor)
            facts.family = UPC_FAMILY_CPU, facts.vector_floats = 16, facts.loop_rounds = 0;
        else if (!(variant & 1))
            facts.texel_elements = 1 << 16, facts.subgroup_shuffle = true, facts.info.subgroup_size = 8;
        if (!(variant & 1) && variant & 2 && !processor) // the kernel that is for processors under Vulkan
            facts.family = UPC_FAMILY_CPU;
        facts.gemm = true; // the kernels around it are written in both languages too
        if (variant & 4) // windows so small that the third problem's input channels are cut
            facts.info.limits.binding_bytes = 8192;
        facts.dot_takes = (1u << UPC_DOT_COUNT) - 2;
        dump_facts(&d, &facts);
        dump_products(&d, &facts);
    }
    printf("%llu configurations, %d different sources\n", (unsigned long long)d.configs, d.count);
    return d.failed || d.count == 0 || d.count == MAX_VARIANTS ? 1 : 0;
}
