// Whatever text is imported as tuning records: nothing breaks, what a look-up finds is legal, and what was
// taken exports to a text that gives the same back.
#include "../fake_context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static bool choose(const void *user, const upc_problem *problem, upc_choice *choice)
{
    const upconv_plan_params params = {sizeof params};
    return !upc_plan_model(user, problem, &params, choice);
}

static bool found(fake_context *fake, const upc_problem *problem, const upc_modeller *modeller)
{
    upc_record record;
    char sentence[UPC_SENTENCE];
    const upc_facts *facts = &fake->context.facts;
    if (!upc_tuning_find(fake->context.tuning, problem, facts, modeller, &record))
        return false;
    require(!record.solver->refuse(problem, facts, sentence), "a solver that takes the problem");
    require(!record.solver->legal(problem, facts, &record.config, sentence), "a legal configuration");
    return true;
}

static void look_up(fake_context *fake, const char *notation)
{
    upconv_problem given = {.struct_size = sizeof given};
    upc_problem problem;
    const upc_modeller modeller = {choose, &fake->context};
    require(upconv_problem_parse(notation, &given, NULL) == UPCONV_OK, "a problem");
    require(upc_problem_from(&given, &problem) == UPCONV_OK, "a problem");
    const bool any = found(fake, &problem, NULL);
    require(!found(fake, &problem, &modeller) || any, "what promises more is among what there is");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fake_context fake, again;
    fake_file one = {0}, two = {0};
    require(fake_context_init(&fake, UPCONV_BACKEND_VULKAN, "fuzz", "1"), "a context");
    require(fake_context_init(&again, UPCONV_BACKEND_VULKAN, "fuzz", "1"), "a context");
    const upconv_status status = upconv_tuning_import(&fake.context, (const char *)data, size);
    require(status == UPCONV_OK || status == UPCONV_ERROR_DATA, "OK or DATA");
    look_up(&fake, "ic64oc32_ih32iw48_kh4sh2ph1");
    look_up(&fake, "g8ic8oc8_iw100_kw3sw2");
    require(upconv_tuning_export(&fake.context, fake_file_write, &one) == UPCONV_OK, "an export");
    require(upconv_tuning_import(&again.context, (const char *)one.data, one.size) == UPCONV_OK,
            "our own text");
    require(atomic_load(&again.context.env.counts.skipped_blobs) == 0, "every line of our own text");
    require(upconv_tuning_export(&again.context, fake_file_write, &two) == UPCONV_OK, "an export");
    require(one.size == two.size && (one.size == 0 || !memcmp(one.data, two.data, one.size)),
            "the same text again");
    fake_file_finish(&one);
    fake_file_finish(&two);
    fake_context_finish(&fake);
    fake_context_finish(&again);
    require(atomic_load(&fake.live) == 0 && atomic_load(&again.live) == 0, "no leak");
    return 0;
}
