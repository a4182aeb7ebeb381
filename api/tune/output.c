#include "output.h"

#include <string.h>

#include "../records.h"

// Of a line but for its date: on another day the same record is the same.
static uint64_t hash_of(const char *line, size_t length)
{
    static const char key[] = "\"date\":\"";
    for (size_t i = 0; i + sizeof key - 1 <= length; i++)
        if (!memcmp(line + i, key, sizeof key - 1)) {
            const size_t rest = UPC_MIN(i + sizeof key - 1 + 10, length);
            return upc_hash(line + rest, length - rest, upc_hash(line, i, 0));
        }
    return upc_hash(line, length, 0);
}

static bool has_seen(const upc_output *output, uint64_t hash)
{
    for (size_t i = 0; i < output->seen_count; i++)
        if (output->seen[i] == hash)
            return true;
    return false;
}

static bool remember(upc_output *output, uint64_t hash)
{
    void *seen = output->seen;
    const bool room =
        upc_grow(&output->context->env, &seen, &output->seen_capacity, output->seen_count + 1, sizeof *output->seen);
    output->seen = seen;
    if (room)
        output->seen[output->seen_count++] = hash;
    return room;
}

static upconv_status load(upc_output *output, const char *path)
{
    size_t size = 0;
    upconv_status status = UPCONV_OK;
    char *text = upc_read_file(&output->context->env, path, &size);
    if (!text)
        return upc_fail(UPCONV_ERROR_DATA, "cannot read the records %s", path);
    for (size_t at = 0; at < size && !status;) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t length = end ? (size_t)(end - text) - at : size - at;
        if (length && !remember(output, hash_of(text + at, length)))
            status = upc_no_memory(size);
        at += length + 1;
    }
    upc_free(&output->context->env, text);
    return status;
}

upconv_status upc_output_open(upconv_context *context, const upconv_device_info *info, bool foreign, const char *path,
                              upc_output *output)
{
    *output = (upc_output){.context = context, .info = info, .foreign = foreign, .lines = {.file = -1}};
    if (!path)
        return UPCONV_OK;
    upconv_status status = upc_lines_open(path, !foreign, false, &output->lines);
    if (!status)
        status = load(output, path);
    if (status)
        upc_output_close(output);
    return status;
}

void upc_output_close(upc_output *output)
{
    upc_lines_close(&output->lines);
    if (output->context)
        upc_free(&output->context->env, output->seen);
    output->seen = NULL;
    output->seen_count = output->seen_capacity = 0;
}

// A recorded solver as records name it: by the knobs that the space has, and the version of this build's.
static void describe(const upc_space_solver *from, upc_solver *solver, upc_knob knobs[UPC_MAX_KNOBS])
{
    const upc_solver *known = upc_solver_find(from->name, strlen(from->name));
    *solver = (upc_solver){
        .name = from->name, .version = known ? known->version : 0, .knobs = knobs, .knob_count = from->knob_count};
    for (int k = 0; k < from->knob_count; k++)
        knobs[k] = (upc_knob){from->knob_name[k], from->values[k], from->value_count[k]};
}

upconv_status upc_output_add(upc_output *output, const upc_problem *problem, const upc_space *space,
                             const upc_candidate *candidate, const upc_outcome *outcome, double time_us)
{
    const upc_space_solver *from = &space->solver[candidate->solver];
    upc_solver described;
    upc_knob knobs[UPC_MAX_KNOBS];
    describe(from, &described, knobs);
    const bool good = outcome->verdict == UPCONV_TUNE_GOOD;
    const upc_measurement measurement = {
        .problem = problem,
        .info = output->info,
        .solver = from->solver ? from->solver : &described,
        .config = &candidate->config,
        .time_us = good ? time_us : 0,
        .reference_us = good ? outcome->reference_us : 0,
        .spread = good ? outcome->spread : 0,
        .verdict = good ? NULL : upconv_tune_verdict_name(outcome->verdict),
    };
    upconv_status status = output->foreign ? UPCONV_OK : upc_tuning_keep(output->context->tuning, &measurement);
    if (status || output->lines.file < 0)
        return status;
    upc_string line;
    upc_string_init(&line, &output->context->env);
    upc_record_write(&line, &measurement);
    const uint64_t hash = line.failed ? 0 : hash_of(line.data, line.length);
    if (line.failed)
        status = upc_no_memory(line.length + 1);
    else if (!has_seen(output, hash)) {
        status = upc_lines_add(&output->lines, &line);
        if (!status && !remember(output, hash))
            status = upc_no_memory(line.length + 1);
    }
    upc_string_finish(&line);
    return status;
}
