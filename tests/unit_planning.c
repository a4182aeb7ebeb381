// Planning without a device: what the solvers make of made-up facts. Golden recipes stand in tests/golden; after a change that is
// meant, UPCONV_GOLDEN=update writes them anew.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../api/internal.h"
#include "../api/ops.h"

static upc_env env;

typedef struct made_up {
    const char *name, *device;
    upconv_backend backend;
    upconv_device_kind kind;
    uint32_t vendor_id, group_size, shared_bytes, alignment;
    uint64_t binding_bytes;
    uint32_t shuffled; // items of a subgroup that see each other's values
    bool no_golden;    // its recipes are checked, and stand in no file
} made_up;

static const made_up devices[] = {
    {"adreno", "Adreno (TM) 740", UPCONV_BACKEND_VULKAN, UPCONV_DEVICE_INTEGRATED, 0x5143, 1024, 32768, 64, 128u << 20},
    {"mali", "Mali-G610", UPCONV_BACKEND_OPENCL, UPCONV_DEVICE_INTEGRATED, 0x13b5, 512, 32768, 64, 256u << 20},
    {"v3d", "V3D 7.1", UPCONV_BACKEND_VULKAN, UPCONV_DEVICE_INTEGRATED, 0x14e4, 256, 16384, 32, 1u << 30},
    {"desktop", "NVIDIA Example", UPCONV_BACKEND_VULKAN, UPCONV_DEVICE_DISCRETE, 0x10de, 1024, 49152, 16, 4294967295u},
    {"llvmpipe", "llvmpipe (LLVM 15.0.6, 256 bits)", UPCONV_BACKEND_VULKAN, UPCONV_DEVICE_CPU, 0x10005, 1024, 32768, 16,
     128u << 20, 8, true},
    {"pocl", "pthread-skylake-avx512-AMD EPYC", UPCONV_BACKEND_OPENCL, UPCONV_DEVICE_CPU, 0x1022, 4096, 512 << 10, 128,
     1u << 30, 0, true},
};

static void facts_of(const made_up *device, upc_facts *facts)
{
    upc_facts_smallest(facts);
    upconv_device_info *info = &facts->info;
    info->backend = device->backend;
    info->kind = device->kind;
    info->vendor_id = device->vendor_id;
    info->offset_alignment = device->alignment;
    info->limits.group_size = facts->group_axis[0] = facts->group_axis[1] = device->group_size;
    info->limits.shared_bytes = device->shared_bytes;
    info->limits.binding_bytes = device->binding_bytes;
    info->limits.alloc_bytes = 1u << 30;
    snprintf(info->name, sizeof info->name, "%s", device->device);
    info->subgroup_size = device->shuffled;
    facts->subgroup_shuffle = device->shuffled > 0;
    facts->texel_elements = device->shuffled ? 1u << 27 : 0;
    upc_facts_finish(facts);
}

static void problem_of(const char *text, upc_problem *problem)
{
    upconv_problem given = {sizeof given};
    assert_int_equal(upconv_problem_parse(text, &given, NULL), UPCONV_OK);
    assert_int_equal(upc_problem_from(&given, problem), UPCONV_OK);
}

// ------------------------------------------------------------------------------------------------------------- golden

static const char *const golden_problems[] = {
    "ic256oc128_ih14oh28kh4sh2ph1",
    "g64ic64oc64_ih64oh128kh4sh2ph1",
    "ic512oc256_iw283ow2264kw16sw8pw4",
    "ic3oc5_id4od9kd3sd2pd0dd1_ih5oh11kh3sh2ph0dh1_iw6ow13kw3sw2pw0dw1+prelu",
};

static void describe(const made_up *device, upc_text *text)
{
    upc_facts facts;
    facts_of(device, &facts);
    for (size_t i = 0; i < UPC_COUNT(golden_problems); i++) {
        upc_problem problem;
        problem_of(golden_problems[i], &problem);
        for (int s = 0; s < upc_solver_count; s++) {
            const upc_solver *solver = upc_solvers[s];
            if (!upc_solver_does(solver, problem.op))
                continue;
            char sentence[UPC_SENTENCE];
            const char *refusal = solver->refuse(&problem, &facts, sentence);
            upc_text_add(text, "== %s %s", golden_problems[i], solver->name);
            if (refusal) {
                upc_text_add(text, "\nno: %s\n", refusal);
                continue;
            }
            upc_config config;
            upc_recipe recipe;
            const upc_request request = {false, UPCONV_FILTER_IOK};
            solver->guess(&problem, &facts, &config);
            upc_text_add(text, " ");
            upc_config_print(solver, &config, text);
            upc_text_add(text, "\n");
            upc_recipe_init(&recipe, &env);
            assert_int_equal(solver->cook(&problem, &facts, &config, &request, &recipe), UPCONV_OK);
            upc_recipe_print(&recipe, text);
            upc_recipe_finish(&recipe);
        }
    }
}

static void golden_recipes(void **state)
{
    (void)state;
    static char made[1 << 17];
    const char *update = getenv("UPCONV_GOLDEN");
    for (size_t i = 0; i < UPC_COUNT(devices); i++) {
        if (devices[i].no_golden)
            continue;
        upc_text text = {made, sizeof made, 0};
        char path[600];
        size_t size;
        snprintf(path, sizeof path, "%s/%s.txt", GOLDEN, devices[i].name);
        describe(&devices[i], &text);
        assert_true(text.length < sizeof made);
        if (update && !strcmp(update, "update")) {
            FILE *file = fopen(path, "wb");
            assert_non_null(file);
            fwrite(made, 1, text.length, file);
            assert_int_equal(fclose(file), 0);
        }
        char *wanted = upc_read_file(&env, path, &size);
        assert_non_null(wanted);
        assert_string_equal(made, wanted);
        upc_free(&env, wanted);
    }
}

// ---------------------------------------------------------------------------------------------------- rules of recipes

static uint32_t next(uint32_t *seed) { return *seed = *seed * 1664525u + 1013904223u, *seed >> 8; }
static int32_t within(uint32_t *seed, int32_t low, int32_t high)
{
    return low + (int32_t)(next(seed) % (uint32_t)(high - low + 1));
}

// A value of each knob, where those are legal together.
static void draw_knobs(uint32_t *seed, const upc_solver *solver, const upc_problem *problem, const upc_facts *facts,
                       upc_config *config)
{
    char sentence[UPC_SENTENCE];
    upc_config drawn = *config;
    for (int k = 0; k < solver->knob_count; k++)
        drawn.value[k] = solver->knobs[k].values[next(seed) % (uint32_t)solver->knobs[k].count];
    if (!solver->legal(problem, facts, &drawn, sentence))
        *config = drawn;
}

static void random_problem(uint32_t *seed, upc_problem *problem)
{
    static const upconv_op ops[] = {UPCONV_CONV_TRANSPOSE, UPCONV_CONV_TRANSPOSE, UPCONV_CONV, UPCONV_GRAD_FILTER,
                                    UPCONV_GRAD_BIAS};
    upconv_problem given = {.op = ops[within(seed, 0, UPC_COUNT(ops) - 1)], .dims = within(seed, 1, 3), .batch = within(seed, 1, 3), .groups = within(seed, 1, 4)};
    given.in_channels = given.groups * within(seed, 1, 9);
    given.out_channels = given.groups * within(seed, 1, 40);
    for (int a = 0; a < given.dims; a++) {
        given.in[a] = within(seed, 1, 40);
        given.kernel[a] = within(seed, 1, 6);
        given.stride[a] = within(seed, 1, 5);
        given.dilation[a] = within(seed, 1, 4);
        given.pad[a] = within(seed, -3, 3);
        given.out[a] = within(seed, 1, 90);
    }
    assert_int_equal(upc_problem_from(&given, problem), UPCONV_OK);
}

// The bindings of a product are exactly what its matrices take.
static void check_product(const upc_step *step)
{
    const upc_gemm *gemm = &step->gemm;
    assert_int_equal(step->bind_count, UPC_GEMM_BINDINGS);
    const uint64_t rows[] = {gemm->a_transposed ? gemm->k : gemm->m, gemm->b_transposed ? gemm->n : gemm->k, gemm->m};
    const uint64_t columns[] = {gemm->a_transposed ? gemm->m : gemm->k, gemm->b_transposed ? gemm->k : gemm->n,
                                gemm->n};
    const uint64_t ld[] = {gemm->lda, gemm->ldb, gemm->ldc};
    for (int i = 0; i < UPC_GEMM_BINDINGS; i++) {
        assert_true(rows[i] > 0 && columns[i] > 0 && ld[i] >= columns[i]);
        assert_true(step->bind[i].range == ((rows[i] - 1) * ld[i] + columns[i]) * 4);
    }
}

static void check_recipe(const upc_recipe *recipe, const upc_problem *problem, const upc_facts *facts)
{
    const upconv_limits *limits = &facts->info.limits;
    upc_problem shape;
    upc_result_shape(problem, &shape);
    const uint64_t sizes[UPC_PLACE_COUNT] = {
        [UPC_INPUT] = upc_input_bytes(problem),            [UPC_OUTPUT] = upc_output_bytes(&shape),
        [UPC_OUTPUT_GRAD] = upc_output_bytes(problem),
        [UPC_WEIGHTS] = upc_weights_elements(problem) * 4, [UPC_BIAS] = (uint64_t)(problem->groups * problem->ocg) * 4,
        [UPC_SLOPES] = (uint64_t)(problem->groups * problem->ocg) * 4, [UPC_WORKSPACE] = recipe->workspace_bytes,
        [UPC_PACKED] = recipe->packed_bytes,               [UPC_TABLE] = recipe->table_count * 4,
        [UPC_INDICES] = upc_op_takes(problem->op, UPCONV_INDICES) ? upc_indices_bytes(problem) : 0,
    };
    for (size_t i = 0; i < recipe->program_count; i++) {
        const upc_program_desc *program = &recipe->programs[i];
        assert_true(program->local[0] * program->local[1] * program->local[2] <= limits->group_size);
        assert_true((program->binding_count + program->arg_count) * 4 <= facts->push_bytes);
    }
    for (size_t i = 0; i < recipe->step_count; i++) {
        const upc_step *step = &recipe->steps[i];
        if (step->kind == UPC_STEP_GEMM)
            check_product(step);
        for (int a = 0; a < 3 && step->kind == UPC_STEP_KERNEL; a++)
            assert_true(step->groups[a] >= 1 && step->groups[a] <= limits->group_count);
        for (uint32_t b = 0; b < step->bind_count; b++) {
            const upc_bind *bind = &step->bind[b];
            assert_true(bind->range > 0 && bind->offset + bind->range <= sizes[bind->place]);
            // the app's own buffers need not be usable as texel buffers
            assert_true(step->kind != UPC_STEP_KERNEL || recipe->programs[step->program].kind[b] == UPC_BIND_BUFFER ||
                        bind->place == UPC_PACKED);
            // with what the alignment of a window's beginning adds
            assert_true(bind->range + facts->info.offset_alignment <= limits->binding_bytes);
        }
    }
}

// Every window lies within its tensor and the limits, for facts of all kinds, also lowered ones.
static void recipes_keep_to_limits(void **state)
{
    (void)state;
    uint32_t seed = 7;
    int cooked = 0;
    for (int i = 0; i < 2000; i++) {
        upc_problem problem;
        upc_facts facts;
        char sentence[UPC_SENTENCE];
        random_problem(&seed, &problem);
        facts_of(&devices[i % UPC_COUNT(devices)], &facts);
        facts.gemm = true;
        if (i % 3) {
            facts.info.limits.binding_bytes = (uint64_t)within(&seed, 1500, 20000);
            facts.info.limits.group_count = (uint32_t)within(&seed, 2, 100);
            facts.info.limits.dispatch_macs = (uint64_t)within(&seed, 2000, 1000000);
        }
        if (i % 7 == 0)
            facts.info.limits.group_size = 1 + (uint32_t)(i / 7 % 9);
        if (i % 2)
            facts.texel_elements = 1u << 20;
        const upc_solver *solver = NULL;
        while (!solver || !upc_solver_does(solver, problem.op))
            solver = upc_solvers[next(&seed) % (uint32_t)upc_solver_count];
        if (upc_solver_refuse(solver, &problem, &facts, sentence))
            continue;
        upc_config config;
        upc_recipe recipe;
        const upc_request request = {i % 5 == 0 && upc_op_takes(problem.op, UPCONV_WEIGHTS),
                                     (upconv_filter_order)(i % UPCONV_FILTER_COUNT)};
        solver->guess(&problem, &facts, &config);
        assert_null(solver->legal(&problem, &facts, &config, sentence));
        if (i % 4 == 0)
            draw_knobs(&seed, solver, &problem, &facts, &config);
        assert_true(solver->cost_us(&problem, &facts, &config) > 0);
        upc_recipe_init(&recipe, &env);
        const upconv_status status = solver->cook(&problem, &facts, &config, &request, &recipe);
        if (status == UPCONV_OK) {
            check_recipe(&recipe, &problem, &facts);
            cooked++;
        } else {
            assert_int_equal(status, UPCONV_ERROR_UNSUPPORTED); // limits too small for any cut, in a sentence
            assert_true(strlen(upc_last_error()) > 20);
        }
        upc_recipe_finish(&recipe);
    }
    assert_true(cooked > 700);
}

static void random_quantised(uint32_t *seed, upc_problem *problem)
{
    upconv_problem given = {.dims = within(seed, 1, 3), .batch = within(seed, 1, 3), .groups = within(seed, 1, 3)};
    given.type = (upconv_type)within(seed, UPCONV_U8, UPCONV_I16);
    given.requant = (upconv_requant)within(seed, 0, UPCONV_REQUANT_COUNT - 1);
    given.in_layout = (upconv_layout)within(seed, 0, UPCONV_LAYOUT_COUNT - 1);
    given.out_layout = (upconv_layout)within(seed, 0, UPCONV_LAYOUT_COUNT - 1);
    given.in_channels = given.groups * within(seed, 1, 20);
    given.out_channels = given.groups * within(seed, 1, 40);
    for (int a = 0; a < given.dims; a++) {
        given.in[a] = within(seed, 1, 60);
        given.stride[a] = within(seed, 1, 4);
        given.kernel[a] = within(seed, 0, 3) ? within(seed, 1, 6) : given.stride[a];
        given.dilation[a] = within(seed, 0, 3) ? 1 : within(seed, 2, 4);
        given.pad[a] = within(seed, 0, 3) ? within(seed, -3, 3) : within(seed, -200, 40); // most of the output far from the input
        given.out[a] = within(seed, 1, within(seed, 0, 3) ? 90 : 600);
    }
    assert_int_equal(upc_problem_from(&given, problem), UPCONV_OK);
}

// The same for quantised types, whose copies are made in strips where limits are low; and copies keep to the default workspace.
static void quantised_keep_to_limits(void **state)
{
    (void)state;
    uint32_t seed = 13;
    int cooked = 0, strips = 0;
    for (int i = 0; i < 2000; i++) {
        upc_problem problem;
        upc_facts facts;
        upc_config config;
        upc_recipe recipe;
        char sentence[UPC_SENTENCE];
        random_quantised(&seed, &problem);
        facts_of(&devices[i % 2 ? UPC_COUNT(devices) - 1 : (size_t)i / 2 % UPC_COUNT(devices)], &facts);
        if (i % 3) {
            facts.info.limits.binding_bytes = (uint64_t)within(&seed, 1500, i % 5 ? 20000 : 200000);
            facts.info.limits.group_count = (uint32_t)within(&seed, 2, 200);
            facts.info.limits.dispatch_macs = (uint64_t)within(&seed, 2000, 1000000);
        }
        const upc_solver *solver = upc_solver_find(i % 4 ? "wide_q" : "phase_q", i % 4 ? 6 : 7);
        if (upc_solver_refuse(solver, &problem, &facts, sentence))
            continue;
        const upc_request request = {.dynamic_weights = i % 5 == 0,
                                     .order = (upconv_filter_order)(i % UPCONV_FILTER_COUNT),
                                     .weights_type = i % 2 ? UPCONV_I8 : UPCONV_U8};
        solver->guess(&problem, &facts, &config);
        assert_null(solver->legal(&problem, &facts, &config, sentence));
        draw_knobs(&seed, solver, &problem, &facts, &config);
        assert_true(solver->cost_us(&problem, &facts, &config) > 0);
        upc_recipe_init(&recipe, &env);
        const upconv_status status = solver->cook(&problem, &facts, &config, &request, &recipe);
        if (status == UPCONV_OK) {
            check_recipe(&recipe, &problem, &facts);
            assert_true(request.dynamic_weights || recipe.workspace_bytes <= upc_workspace_default(&problem));
            cooked++;
            strips += recipe.step_count > 2 && recipe.workspace_bytes > 0;
        } else {
            assert_int_equal(status, UPCONV_ERROR_UNSUPPORTED);
        }
        upc_recipe_finish(&recipe);
    }
    assert_true(cooked > 300 && strips > 30);
}

// The same for pooling and unpooling, in every layout: all solvers, all values of all knobs.
static void pools_keep_to_limits(void **state)
{
    (void)state;
    static const char *const problems[] = {
        "pool:mb2ic5_ih19kh3sh2ph1_iw40kw2sw2",          "pool:mb2ic12_id5kd2sd2_ih19kh3sh1dh1_iw40kw5sw3pw2+nhwc",
        "pool:mb3ic9_ih9kh4sh4_iw31kw2sw2+nc4hw4",       "unpool:mb2ic5_ih19kh3sh2ph1_iw40kw2sw2+index:image",
        "unpool:mb3ic12_ih9oh30kh2sh2+nhwc+index:window", "unpool:mb1ic9_id3kd2sd2_ih9kh2sh2_iw31kw2sw2+nc4hw4+index:tensor",
    };
    uint32_t seed = 11;
    int cooked = 0;
    for (int i = 0; i < 600; i++) {
        upc_problem problem;
        upc_facts facts;
        char sentence[UPC_SENTENCE];
        problem_of(problems[(size_t)i % UPC_COUNT(problems)], &problem);
        facts_of(&devices[(size_t)i / UPC_COUNT(problems) % UPC_COUNT(devices)], &facts);
        if (i % 3) {
            facts.info.limits.binding_bytes = (uint64_t)within(&seed, 1000, 20000);
            facts.info.limits.group_count = (uint32_t)within(&seed, 2, 100);
            facts.info.limits.dispatch_macs = (uint64_t)within(&seed, 2000, 1000000);
        }
        for (int s = 0; s < upc_solver_count; s++) {
            const upc_solver *solver = upc_solvers[s];
            if (upc_solver_refuse(solver, &problem, &facts, sentence))
                continue;
            upc_config config;
            upc_recipe recipe;
            const upc_request request = {false, UPCONV_FILTER_IOK};
            solver->guess(&problem, &facts, &config);
            assert_null(solver->legal(&problem, &facts, &config, sentence));
            assert_true(solver->cost_us(&problem, &facts, &config) > 0);
            const int knob = (int)(next(&seed) % (uint32_t)solver->knob_count);
            const upc_config guess = config;
            config.value[knob] = solver->knobs[knob].values[next(&seed) % (uint32_t)solver->knobs[knob].count];
            if (solver->legal(&problem, &facts, &config, sentence))
                config = guess;
            upc_recipe_init(&recipe, &env);
            const upconv_status status = solver->cook(&problem, &facts, &config, &request, &recipe);
            if (status == UPCONV_OK) {
                check_recipe(&recipe, &problem, &facts);
                cooked++;
            } else {
                assert_int_equal(status, UPCONV_ERROR_UNSUPPORTED);
            }
            upc_recipe_finish(&recipe);
        }
    }
    assert_true(cooked > 700);
}

// Strides and dilations whose products do not fit 64 bits: refused, or guessed legally, in defined arithmetic.
static void beyond_counting(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "ic1oc1_id1od1kd1sd2097152_ih1oh1kh1sh2097152_iw1ow4kw4194305sw4194304",
        "ic64oc8_id2od4kd2sd1dd1000000000_ih2oh4kh2sh1dh1000000000_iw8ow8kw2sw1dw1000000000",
    };
    for (size_t i = 0; i < UPC_COUNT(texts) * UPC_COUNT(devices); i++) {
        upc_problem problem;
        upc_facts facts;
        char sentence[UPC_SENTENCE];
        problem_of(texts[i % UPC_COUNT(texts)], &problem);
        facts_of(&devices[i / UPC_COUNT(texts)], &facts);
        for (int k = 0; k < upc_solver_count; k++) {
            upc_config config;
            if (upc_solver_refuse(upc_solvers[k], &problem, &facts, sentence))
                continue;
            assert_string_not_equal(upc_solvers[k]->name, "winograd");
            upc_solvers[k]->guess(&problem, &facts, &config);
            assert_null(upc_solvers[k]->legal(&problem, &facts, &config, sentence));
        }
    }
}

// Kernels of processors that look at all that lies between windows, or at every line of a cell: not where that is far more than outputs.
static void far_windows(void **state)
{
    (void)state;
    static const struct { const char *solver, *knob, *text; int32_t wanted; } cases[] = {
        {"pool", "lines", "pool:ic16_ih40oh20kh2sh2", 1},
        {"pool", "lines", "pool:ic16_ih40oh20kh1sh2", 1},
        {"pool", "lines", "pool:ic16_ih40oh1kh1sh2000000000_iw40ow20kw2sw2", 0},
        {"pool", "lines", "pool:ic16_ih40oh1kh1sh2000000000+nhwc", 0},
        {"unpool", "cells", "unpool:ic16_ih20oh40kh2sh2", 1},
        {"unpool", "cells", "unpool:ic16_ih20oh40kh3sh3ph1_iw20ow40kw2sw2", 1},
        {"unpool", "cells", "unpool:ic16_ih20oh40kh2sh2000000000_iw20ow40kw2sw2", 0},
        {"unpool", "cells", "unpool:ic16_ih20oh40kh2sh2_iw2ow40kw2sw2000000000+nhwc", 0},
        {"unpool", "cells", "unpool:ic16_ih20oh40kh2sh2_iw20ow40kw2sw2pw2000000+nhwc", 0},
        {"unpool", "cells", "unpool:ic16_ih20oh40kh2sh2_iw20ow40kw2sw2pw-2000000+nhwc", 0},
    };
    upc_facts facts;
    facts_of(&devices[UPC_COUNT(devices) - 1], &facts);
    for (size_t i = 0; i < UPC_COUNT(cases); i++) {
        upc_problem problem;
        upc_config config;
        char sentence[UPC_SENTENCE];
        const upc_solver *solver = upc_solver_find(cases[i].solver, strlen(cases[i].solver));
        problem_of(cases[i].text, &problem);
        solver->guess(&problem, &facts, &config);
        int knob = 0;
        for (; strcmp(solver->knobs[knob].name, cases[i].knob); knob++) {}
        if (config.value[knob] != cases[i].wanted)
            fail_msg("%s: %s=%d", cases[i].text, cases[i].knob, config.value[knob]);
        assert_null(solver->legal(&problem, &facts, &config, sentence));
        config.value[knob] = 1;
        assert_true(cases[i].wanted || solver->legal(&problem, &facts, &config, sentence) != NULL);
    }
}

// Weights given at execution are packed in the workspace, which may be a buffer of the app's: no solver reads them as texels.
static void late_weights_are_no_texels(void **state)
{
    (void)state;
    upc_problem problem;
    upc_facts facts;
    upc_config config;
    upc_recipe recipe;
    problem_of("ic16oc16_ih8oh16kh4sh2ph1", &problem);
    facts_of(&devices[0], &facts);
    facts.texel_elements = 1u << 20;
    for (int late = 0; late < 2; late++) {
        const upc_solver *solver = upc_solver_find("phase", 5);
        const upc_request request = {.dynamic_weights = late != 0};
        solver->guess(&problem, &facts, &config);
        assert_int_equal(upc_config_parse(solver, "texel=1", &config), UPCONV_OK);
        upc_recipe_init(&recipe, &env);
        assert_int_equal(solver->cook(&problem, &facts, &config, &request, &recipe), UPCONV_OK);
        check_recipe(&recipe, &problem, &facts);
        upc_recipe_finish(&recipe);
    }
}

// A long table of taps, or more bytes of bias than of output, in small bindings.
static void bindings_beside_tensors(void **state)
{
    (void)state;
    static const char *const texts[] = {"ic2oc2_ih2oh8kh2sh500_iw8ow8kw1", "ic1oc1000_ih1oh1kh1_iw2ow1kw1+f16"};
    for (size_t i = 0; i < UPC_COUNT(texts) * (size_t)upc_solver_count; i++) {
        upc_problem problem;
        upc_facts facts;
        upc_config config;
        upc_recipe recipe;
        const upc_request request = {0};
        char sentence[UPC_SENTENCE];
        const upc_solver *solver = upc_solvers[i / UPC_COUNT(texts)];
        problem_of(texts[i % UPC_COUNT(texts)], &problem);
        facts_of(&devices[0], &facts);
        facts.info.limits.binding_bytes = 3000;
        if (upc_solver_refuse(solver, &problem, &facts, sentence))
            continue;
        solver->guess(&problem, &facts, &config);
        upc_recipe_init(&recipe, &env);
        const upconv_status status = solver->cook(&problem, &facts, &config, &request, &recipe);
        if (status != UPCONV_ERROR_UNSUPPORTED) {
            assert_int_equal(status, UPCONV_OK);
            check_recipe(&recipe, &problem, &facts);
        }
        upc_recipe_finish(&recipe);
    }
}

// Products keep to the workspace that is the default, or to a smaller one that the app asks for, by being cut.
static void products_keep_to_the_workspace(void **state)
{
    (void)state;
    static const char *const problems[] = {
        "ic56oc1_ih180oh360kh9sh2ph4_iw320ow640", // one channel: its lines are cut
        "ic64oc64_ih80oh160kh4sh2ph1",            // channels are cut
        "mb2g2ic8oc8_iw200000ow400000kw64sw2pw31",
    };
    const upc_solver *gemm = upc_solver_find("gemm", 4);
    assert_non_null(gemm);
    for (size_t i = 0; i < UPC_COUNT(problems) * 3; i++) {
        upc_problem problem;
        upc_facts facts;
        char sentence[UPC_SENTENCE];
        upc_config config;
        upc_recipe recipe;
        const upc_request request = {.workspace_limit = i % 3 ? (uint64_t)1 << (i % 3 == 1 ? 20 : 40) : 0};
        problem_of(problems[i / 3], &problem);
        facts_of(&devices[1], &facts);
        assert_non_null(strstr(gemm->refuse(&problem, &facts, sentence), "CLBlast"));
        facts.gemm = true;
        assert_null(gemm->refuse(&problem, &facts, sentence));
        gemm->guess(&problem, &facts, &config);
        upc_recipe_init(&recipe, &env);
        assert_int_equal(gemm->cook(&problem, &facts, &config, &request, &recipe), UPCONV_OK);
        check_recipe(&recipe, &problem, &facts);
        const uint64_t most = i % 3 == 1 ? request.workspace_limit : upc_workspace_default(&problem);
        assert_true(recipe.workspace_bytes > most / 8 && recipe.workspace_bytes <= most);
        upc_recipe_finish(&recipe);
    }
}

static void same_recipe_same_hash(void **state)
{
    (void)state;
    upc_facts facts;
    upc_problem problem;
    facts_of(&devices[0], &facts);
    problem_of(golden_problems[0], &problem);
    uint64_t hash[3];
    for (int i = 0; i < 3; i++) {
        upc_config config;
        upc_recipe recipe;
        const upc_request request = {false, UPCONV_FILTER_IOK};
        upc_solvers[0]->guess(&problem, &facts, &config);
        if (i == 2)
            config.value[0] = 2;
        upc_recipe_init(&recipe, &env);
        assert_int_equal(upc_solvers[0]->cook(&problem, &facts, &config, &request, &recipe), UPCONV_OK);
        hash[i] = upc_recipe_hash(&recipe);
        upc_recipe_finish(&recipe);
    }
    assert_true(hash[0] == hash[1] && hash[0] != hash[2]);
}

// ------------------------------------------------------------------------------------------------------ configurations

static void configurations_as_text(void **state)
{
    (void)state;
    const upc_solver *phase = upc_solver_find("phase", 5);
    assert_non_null(phase);
    assert_null(upc_solver_find("phas", 4));
    upc_config config = {{0}}, before;
    upc_facts facts;
    upc_problem problem;
    char text[128];
    facts_of(&devices[2], &facts);
    problem_of(golden_problems[0], &problem);
    phase->guess(&problem, &facts, &config);
    assert_int_equal(upc_config_parse(phase, "tile=2,oc=16", &config), UPCONV_OK);
    upc_text out = {text, sizeof text, 0};
    upc_config_print(phase, &config, &out);
    assert_non_null(strstr(text, "tile=2,oc=16,"));
    upc_config again = {{0}};
    assert_int_equal(upc_config_parse(phase, text, &again), UPCONV_OK);
    assert_memory_equal(&again, &config, sizeof config);
    static const char *const wrong[] = {"tile=9", "tile=", "tile", "nosuch=1", "tile=2x", "tile=2;oc=4", "=2"};
    for (size_t i = 0; i < UPC_COUNT(wrong); i++) {
        before = config;
        assert_int_equal(upc_config_parse(phase, wrong[i], &config), UPCONV_ERROR_INVALID);
        assert_non_null(strstr(upc_last_error(), wrong[i]));
        assert_memory_equal(&before, &config, sizeof config);
    }
    char sentence[UPC_SENTENCE];
    assert_int_equal(upc_config_parse(phase, "x=256,y=256", &config), UPCONV_OK);
    assert_non_null(phase->legal(&problem, &facts, &config, sentence));
    assert_non_null(strstr(sentence, "256 x 256"));
}

int main(void)
{
    upc_env_init(&env, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_recipes),
        cmocka_unit_test(recipes_keep_to_limits), cmocka_unit_test(quantised_keep_to_limits), cmocka_unit_test(pools_keep_to_limits),
        cmocka_unit_test(beyond_counting), cmocka_unit_test(far_windows),
        cmocka_unit_test(late_weights_are_no_texels),
        cmocka_unit_test(bindings_beside_tensors),
        cmocka_unit_test(products_keep_to_the_workspace),
        cmocka_unit_test(same_recipe_same_hash),
        cmocka_unit_test(configurations_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
