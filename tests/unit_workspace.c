// The scratch that default plans need, on the devices of this machine and on made-up ones: none where the kernel is as
// large as the stride, else at most the largest of input, output and 4 MB; and never more than a caller allows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "testing.h"

// Layers of published networks.
static const char *const layers[] = {
    "ic56oc1_ih180oh360kh9sh2ph4_iw320ow640",
    "ic56oc1_ih180oh540kh9sh3ph4_iw320ow960",
    "ic56oc1_ih90oh360kh9sh4ph4_iw160ow640",
    "ic100oc512_ih1oh4kh4sh1ph0",
    "ic512oc256_ih4oh8kh4sh2ph1",
    "ic64oc3_ih32oh64kh4sh2ph1",
    "ic512oc512_ih1oh2kh4sh2ph1",
    "ic1024oc512_ih8oh16kh4sh2ph1",
    "ic128oc3_ih128oh256kh4sh2ph1",
    "ic256oc128_ih64oh128kh3sh2ph1",
    "ic128oc64_ih128oh256kh3sh2ph1",
    "ic1024oc512_ih30oh60kh2sh2ph0_iw23ow46",
    "ic256oc128_ih120oh240kh2sh2ph0_iw92ow184",
    "ic21oc21_ih11oh384kh64sh32ph0_iw9ow320",
    "ic21oc21_ih44oh360kh16sh8ph0_iw36ow296",
    "ic32oc32_ih64oh128kh3sh2ph1",
    "ic16oc12_ih256oh512kh2sh2ph0",
    "g64ic64oc64_ih64oh128kh4sh2ph1",
    "g64ic64oc64_ih32oh128kh8sh4ph2",
    "ic16oc1_ih128oh256kh2sh2ph0",
    "ic24oc24_ih184oh368kh2sh2ph0",
    "ic24oc1_ih368oh736kh2sh2ph0",
    "mb8_ic256oc256_ih14oh28kh2sh2ph0",
    "ic64oc64_ih80oh160kh2sh2ph0",
    "ic256oc256_ih88oh176kh2sh2ph0_iw100ow200",
    "ic128oc128_ih108oh216kh2sh2ph0_iw124ow248",
    "ic512oc256_ih7oh14kh4sh2ph1",
    "ic256oc128_ih14oh28kh4sh2ph1",
    "ic128oc64_ih28oh56kh4sh2ph1",
    "ic64oc32_ih56oh112kh4sh2ph1",
    "ic256oc256_ih14oh14kh3sh1ph1",
    "ic256oc256_ih14oh14kh3sh1ph2dh1",
    "ic512oc512_ih4oh8kh4sh2ph1",
    "ic64oc13_ih14oh28kh4sh2ph1",
    "ic512oc256_iw283ow2264kw16sw8pw4",
    "ic256oc128_iw2264ow18112kw16sw8pw4",
    "ic512oc256_iw75ow608kw16sw8pw0",
    "ic128oc64_id32od64kd2sd2pd0_ih32oh64kh2sh2ph0_iw16ow32kw2sw2pw0",
    "ic512oc256_id7od7kd3sd1pd2dd1_ih7oh7kh3sh1ph2dh1_iw6ow6kw3sw1pw2dw1",
};

enum { MOST_DEVICES = 32 };

static upc_env env;
static upc_facts devices[MOST_DEVICES];
static int device_count;

static void make_up(const char *name, upconv_backend backend, uint32_t vendor_id, bool f16)
{
    upc_facts *facts = &devices[device_count++];
    upc_facts_smallest(facts);
    facts->info.backend = backend;
    facts->info.kind = UPCONV_DEVICE_INTEGRATED;
    facts->info.vendor_id = vendor_id;
    facts->info.f16_storage = facts->info.f16_math = f16;
    facts->info.limits.group_size = facts->group_axis[0] = facts->group_axis[1] = 256;
    facts->info.limits.binding_bytes = (uint64_t)1 << 30;
    facts->info.limits.alloc_bytes = (uint64_t)1 << 31;
    facts->info.offset_alignment = 64;
    snprintf(facts->info.name, sizeof facts->info.name, "%s", name);
    upc_facts_finish(facts);
}

static int find_devices(void **state)
{
    (void)state;
    upc_env_init(&env, NULL);
    for (int backend = UPCONV_BACKEND_VULKAN; backend < UPCONV_BACKEND_COUNT; backend++) {
        upconv_context *context;
        if (test_context_create((upconv_backend)backend, NULL, &context))
            continue;
        devices[device_count++] = context->facts;
        upconv_context_destroy(context);
    }
    make_up("Adreno (TM) 618", UPCONV_BACKEND_VULKAN, 0x5143, false);
    make_up("Adreno (TM) 740", UPCONV_BACKEND_VULKAN, 0x5143, true);
    make_up("QUALCOMM Adreno(TM)", UPCONV_BACKEND_OPENCL, 0x5143, true);
    make_up("Mali-G52", UPCONV_BACKEND_VULKAN, 0x13b5, true);
    make_up("Mali-G610", UPCONV_BACKEND_OPENCL, 0x13b5, true);
    make_up("V3D 7.1", UPCONV_BACKEND_VULKAN, 0x14e4, false);
    make_up("NVIDIA Example", UPCONV_BACKEND_VULKAN, 0x10de, true);
    return 0;
}

// What a plan without tuning needs; a sentence where there is none.
static const char *need(const upc_facts *facts, const upc_problem *problem, const upconv_plan_params *params,
                        const upc_solver **solver, uint64_t *bytes)
{
    upconv_context context = {.facts = *facts};
    context.env = env;
    upc_choice choice;
    upc_recipe recipe;
    if (upc_tuning_create(&env, &context.tuning))
        return upc_last_error();
    upconv_status status = upc_plan_choose(&context, problem, params, &choice, NULL);
    upc_tuning_destroy(context.tuning);
    if (status)
        return upc_last_error();
    *solver = choice.solver;
    const upc_request request = {.dynamic_weights = !params->weights, .workspace_limit = params->workspace_limit};
    upc_recipe_init(&recipe, &env);
    status = choice.solver->cook(problem, facts, &choice.config, &request, &recipe);
    *bytes = recipe.workspace_bytes;
    upc_recipe_finish(&recipe);
    return status ? upc_last_error() : NULL;
}

static bool kernel_is_stride(const upc_problem *problem)
{
    bool is = true;
    for (int a = 0; a < 3; a++)
        is = is && problem->axis[a].kernel == problem->axis[a].stride && problem->axis[a].dilation == 1;
    return is;
}

static void check_layer(const upc_facts *facts, const char *layer, upconv_type type, upconv_layout layout)
{
    static const float weights[1];
    upconv_problem given = {.struct_size = sizeof given};
    upc_problem problem;
    assert_int_equal(upconv_problem_parse(layer, &given, NULL), UPCONV_OK);
    given.type = type;
    given.in_layout = given.out_layout = layout;
    assert_int_equal(upc_problem_from(&given, &problem), UPCONV_OK);
    const uint64_t largest = UPC_MAX(upc_input_bytes(&problem), upc_output_bytes(&problem));
    const uint64_t bound = kernel_is_stride(&problem) ? 0 : UPC_MAX(largest, (uint64_t)4 << 20);
    const uint64_t limits[] = {0, 1, 100000}; // 0: the default
    for (size_t i = 0; i < UPC_COUNT(limits); i++) {
        const upconv_plan_params params = {
            .struct_size = sizeof params, .weights = weights, .workspace_limit = limits[i]};
        uint64_t bytes = 0;
        const upc_solver *solver;
        const char *none = need(facts, &problem, &params, &solver, &bytes);
        if (none)
            fail_msg("%s, %s, type %d, layout %d, limit %llu: %s", facts->info.name, layer, (int)type, (int)layout,
                     (unsigned long long)limits[i], none);
        if (bytes > (limits[i] ? limits[i] : bound))
            fail_msg("%s, %s, type %d, layout %d, limit %llu: %llu bytes of workspace", facts->info.name, layer,
                     (int)type, (int)layout, (unsigned long long)limits[i], (unsigned long long)bytes);
    }
}

static void default_plans_keep_within_bounds(void **state)
{
    (void)state;
    for (int d = 0; d < device_count; d++)
        for (size_t i = 0; i < UPC_COUNT(layers); i++)
            for (int type = UPCONV_F32; type <= UPCONV_F16; type++)
                for (int layout = UPCONV_NCHW; layout < UPCONV_LAYOUT_COUNT; layout++)
                    check_layer(&devices[d], layers[i], (upconv_type)type, (upconv_layout)layout);
}

// An app that allows no workspace loses the copy of the input, not the solver.
static void without_workspace_there_is_no_copy(void **state)
{
    (void)state;
    static const float weights[1];
    const upconv_problem given = test_problem("ic256oc128_ih14oh28kh4sh2ph1");
    upc_problem problem;
    assert_int_equal(upc_problem_from(&given, &problem), UPCONV_OK);
    for (int d = 0; d < device_count; d++) {
        if (devices[d].family != UPC_FAMILY_MALI && devices[d].family != UPC_FAMILY_ADRENO)
            continue;
        for (uint64_t limit = 0; limit < 2; limit++) {
            const upconv_plan_params params = {
                .struct_size = sizeof params, .weights = weights, .workspace_limit = limit};
            const upc_solver *solver;
            uint64_t bytes = 0;
            assert_null(need(&devices[d], &problem, &params, &solver, &bytes));
            assert_string_equal(solver->name, "phase");
            assert_true(limit ? bytes == 0 : bytes > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(default_plans_keep_within_bounds),
                                       cmocka_unit_test(without_workspace_there_is_no_copy)};
    return cmocka_run_group_tests(tests, find_devices, NULL);
}
