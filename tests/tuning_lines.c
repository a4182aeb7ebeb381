#include "tuning_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADRENO "Adreno 660"

void tuning_setup(fake_context *fake)
{
    assert_true(fake_context_init(fake, UPCONV_BACKEND_VULKAN, ADRENO, TURNIP));
}

uint64_t tuning_skipped(fake_context *fake) { return atomic_load(&fake->context.env.counts.skipped_blobs); }

void tuning_finish(fake_context *fake)
{
    fake_context_finish(fake);
    assert_int_equal(atomic_load(&fake->live), 0);
}

upc_problem tuning_problem(const char *notation)
{
    upconv_problem given = {.struct_size = sizeof given};
    upc_problem problem;
    assert_int_equal(upconv_problem_parse(notation, &given, NULL), UPCONV_OK);
    assert_int_equal(upc_problem_from(&given, &problem), UPCONV_OK);
    return problem;
}

const upc_solver *tuning_solver(const upc_problem *problem, const upc_facts *facts)
{
    char sentence[UPC_SENTENCE];
    for (int i = 0; i < upc_solver_count; i++)
        if (upc_solvers[i]->knob_count && !upc_solver_refuse(upc_solvers[i], problem, facts, sentence))
            return upc_solvers[i];
    fail_msg("no solver with knobs takes the problem");
    return NULL;
}

bool tuning_config(const upc_solver *solver, const upc_problem *problem, const upc_facts *facts, int n,
                   upc_config *config)
{
    char sentence[UPC_SENTENCE];
    int digit[UPC_MAX_KNOBS] = {0};
    for (int at = 0; at < solver->knob_count;) {
        memset(config, 0, sizeof *config);
        for (int i = 0; i < solver->knob_count; i++)
            config->value[i] = solver->knobs[i].values[digit[i]];
        if (!solver->legal(problem, facts, config, sentence) && n-- == 0)
            return true;
        for (at = 0; at < solver->knob_count && ++digit[at] == solver->knobs[at].count; at++)
            digit[at] = 0;
    }
    return false;
}

void tuning_add_line(upc_string *text, const fake_context *fake, const line_spec *spec)
{
    const upconv_device_info *info = &fake->context.facts.info;
    const upc_problem problem = tuning_problem(spec->problem ? spec->problem : UP2X);
    const upc_solver *solver = tuning_solver(&problem, &fake->context.facts);
    upc_config guess;
    solver->guess(&problem, &fake->context.facts, &guess);
    const upc_config *config = spec->config ? spec->config : &guess;
    upc_string_add(
        text,
        "{\"format\":1,\"library\":\"0.1.0\",\"backend\":\"vulkan\",\"device\":\"%s\",\"vendor_id\":%u,"
        "\"device_id\":%u,\"driver\":\"%s\",\"problem\":\"%s\",\"type\":\"f32\",\"solver\":\"%s\","
        "\"solver_version\":%d,\"config\":{",
        spec->device ? spec->device : info->name, info->vendor_id, info->device_id,
        spec->driver ? spec->driver : info->driver, spec->problem ? spec->problem : UP2X,
        spec->solver ? spec->solver : solver->name, solver->version + spec->version_step);
    for (int i = 0; i < solver->knob_count && !spec->knobs; i++)
        upc_string_add(text, "%s\"%s\":%d", i ? "," : "", solver->knobs[i].name, config->value[i]);
    char time_us[40];
    upc_print_float(time_us, sizeof time_us, spec->time_us > 0 ? (float)spec->time_us : 100);
    upc_string_add(text, "%s},\"time_us\":%s,\"verdict\":\"%s\",\"date\":\"%s\"%s}\n",
                   spec->knobs ? spec->knobs : "", time_us, spec->verdict ? spec->verdict : "ok",
                   spec->date ? spec->date : "2026-11-20", spec->extra ? spec->extra : "");
    assert_false(text->failed);
}

upconv_status tuning_import(fake_context *fake, const void *text, size_t size)
{
    char *copy = malloc(size ? size : 1); // exactly as long, for the sanitizer
    assert_non_null(copy);
    if (size)
        memcpy(copy, text, size);
    const upconv_status status = upconv_tuning_import(&fake->context, copy, size);
    free(copy);
    return status;
}

void tuning_import_specs(fake_context *fake, const line_spec *specs, size_t count)
{
    upc_string text;
    upc_string_init(&text, &fake->context.env);
    for (size_t i = 0; i < count; i++)
        tuning_add_line(&text, fake, &specs[i]);
    assert_int_equal(tuning_import(fake, text.data, text.length), UPCONV_OK);
    assert_int_equal(tuning_skipped(fake), 0);
    upc_string_finish(&text);
}

double tuning_find(fake_context *fake, const char *notation, upconv_tier *tier)
{
    const upc_problem problem = tuning_problem(notation);
    upc_record record;
    if (!upc_tuning_find(fake->context.tuning, &problem, &fake->context.facts, NULL, &record))
        return 0;
    char sentence[UPC_SENTENCE];
    assert_null(record.solver->refuse(&problem, &fake->context.facts, sentence));
    assert_null(record.solver->legal(&problem, &fake->context.facts, &record.config, sentence));
    *tier = record.tier;
    return record.time_us;
}

void tuning_exported(fake_context *fake, fake_file *file)
{
    assert_int_equal(upconv_tuning_export(&fake->context, fake_file_write, file), UPCONV_OK);
    assert_int_equal(fake_file_write(file, "", 1), 0); // text
    file->size--;
}

int tuning_lines(const fake_file *file)
{
    int lines = 0;
    for (size_t i = 0; i < file->size; i++)
        lines += file->data[i] == '\n';
    return lines;
}
