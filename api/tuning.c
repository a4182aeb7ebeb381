// Tuning records in memory: what was measured, and where. Each record keeps its line of text as it came, so
// that what a newer tool wrote into it survives an export.
#include "tuning.h"

#include <stdlib.h>
#include <string.h>

upconv_status upc_tuning_create(const upc_env *env, struct upc_tuning **tuning)
{
    struct upc_tuning *made = upc_alloc(env, sizeof *made);
    if (!made)
        return upc_no_memory(sizeof *made);
    if (pthread_mutex_init(&made->lock, NULL)) {
        upc_free(env, made);
        return upc_fail(UPCONV_ERROR_HOST_MEMORY, "out of host memory: no mutex for the tuning records");
    }
    made->env = env;
    *tuning = made;
    return UPCONV_OK;
}

void upc_tuning_destroy(struct upc_tuning *tuning)
{
    if (!tuning)
        return;
    for (size_t i = 0; i < tuning->count; i++)
        upc_free(tuning->env, tuning->items[i]);
    for (size_t i = 0; tuning->shipped_items && i < tuning->shipped->record_count; i++)
        upc_free(tuning->env, tuning->shipped_items[i]);
    upc_free(tuning->env, tuning->shipped_items);
    upc_free(tuning->env, tuning->makers);
    upc_free(tuning->env, tuning->scratch);
    upc_free(tuning->env, tuning->items);
    upc_free(tuning->env, tuning->slots);
    pthread_mutex_destroy(&tuning->lock);
    upc_free(tuning->env, tuning);
}

void upc_tuning_ship(struct upc_tuning *tuning, const upc_shipped *shipped) { tuning->shipped = shipped; }

// ---------------------------------------------------------------------------------------------------- adding

static uint32_t *slot_of(const struct upc_tuning *tuning, const uint64_t key[2])
{
    size_t at = (size_t)key[0] & (tuning->slot_count - 1);
    while (tuning->slots[at]) {
        const uint64_t *other = tuning->items[tuning->slots[at] - 1]->key;
        if (other[0] == key[0] && other[1] == key[1])
            break;
        at = (at + 1) & (tuning->slot_count - 1);
    }
    return &tuning->slots[at];
}

// Room for one more item, in both tables.
static bool reserve(struct upc_tuning *tuning)
{
    if (tuning->count >= UINT32_MAX / 4)
        return false;
    void *items = tuning->items;
    const bool grown =
        upc_grow(tuning->env, &items, &tuning->capacity, tuning->count + 1, sizeof *tuning->items);
    tuning->items = items;
    if (!grown || (tuning->count + 1) * 2 <= tuning->slot_count)
        return grown;
    const size_t wanted = tuning->slot_count ? tuning->slot_count * 2 : 32;
    uint32_t *slots = upc_alloc_array(tuning->env, wanted, sizeof *slots);
    if (!slots)
        return false;
    upc_free(tuning->env, tuning->slots);
    tuning->slots = slots;
    tuning->slot_count = wanted;
    for (size_t i = 0; i < tuning->count; i++)
        *slot_of(tuning, tuning->items[i]->key) = (uint32_t)i + 1;
    return true;
}

// Equal for records of which the newer replaces the other.
static void same_key(const upc_record_fields *fields, uint64_t key[2])
{
    for (int i = 0; i < 2; i++) {
        const uint64_t parts[4] = {fields->device, fields->driver, fields->problem_key, fields->config_key[i]};
        key[i] = upc_hash(parts, sizeof parts, (uint64_t)i + 1);
    }
}

tuning_item *upc_tuning_item(const upc_env *env, const upc_record_fields *fields, const char *line, size_t length)
{
    tuning_item *made = upc_alloc(env, sizeof *made + length);
    if (!made)
        return NULL;
    made->fields = *fields;
    same_key(fields, made->key);
    made->length = length;
    if (line)
        memcpy(made->line, line, length);
    return made;
}

// Where two records say the same thing, the later date stays, and of one date the one that came later.
static upconv_status keep(struct upc_tuning *tuning, const upc_record_fields *fields, const char *line,
                          size_t length)
{
    tuning_item *made = upc_tuning_item(tuning->env, fields, line, length);
    if (!made)
        return upc_no_memory(sizeof *made + length);
    pthread_mutex_lock(&tuning->lock);
    const bool room = reserve(tuning);
    const size_t held = tuning->count;
    if (room) {
        uint32_t *slot = slot_of(tuning, made->key);
        if (!*slot) {
            tuning->items[tuning->count++] = made;
            *slot = (uint32_t)tuning->count;
            made = NULL;
        } else if (strcmp(fields->date, tuning->items[*slot - 1]->fields.date) >= 0) {
            tuning_item *old = tuning->items[*slot - 1];
            tuning->items[*slot - 1] = made;
            made = old;
        }
    }
    pthread_mutex_unlock(&tuning->lock);
    upc_free(tuning->env, made);
    return room ? UPCONV_OK : upc_no_memory((held + 1) * sizeof(tuning_item *));
}

upconv_status upc_tuning_keep(struct upc_tuning *tuning, const upc_measurement *measurement)
{
    char reason[UPC_RECORD_REASON];
    upc_record_fields fields;
    upc_string line;
    upc_string_init(&line, tuning->env);
    upc_record_write(&line, measurement);
    upconv_status status;
    // Read back as any other line: what is in use now is then certainly what a file of it will give.
    if (line.failed)
        status = upc_no_memory(line.length + 1);
    else if (!upc_record_read(line.data, line.length, &fields, reason))
        status = upc_fail(UPCONV_ERROR_INVALID, "the measurement makes no tuning record: %s", reason);
    else
        status = keep(tuning, &fields, line.data, line.length);
    upc_string_finish(&line);
    return status;
}

upconv_status upc_tuning_add(struct upc_tuning *tuning, const upc_problem *problem, const upc_facts *facts,
                             const upc_solver *solver, const upc_config *config, double time_us,
                             double reference_us, double spread)
{
    const upc_measurement measurement = {problem, &facts->info, solver,  config,
                                         time_us, reference_us, spread, NULL};
    return upc_tuning_keep(tuning, &measurement);
}

// ----------------------------------------------------------------------------------------- export and import

static int by_line(const void *a, const void *b)
{
    const tuning_item *x = *(const tuning_item *const *)a, *y = *(const tuning_item *const *)b;
    const int order = memcmp(x->line, y->line, UPC_MIN(x->length, y->length));
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

// All lines in order of their bytes: one content, one file, whatever the threads did.
static upconv_status all_lines(struct upc_tuning *tuning, upc_string *text)
{
    pthread_mutex_lock(&tuning->lock);
    const size_t count = tuning->count;
    tuning_item **sorted = upc_alloc_array(tuning->env, count, sizeof *sorted);
    if (sorted && count) {
        memcpy(sorted, tuning->items, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, by_line);
        for (size_t i = 0; i < count; i++) {
            upc_string_add_bytes(text, sorted[i]->line, sorted[i]->length);
            upc_string_add_bytes(text, "\n", 1);
        }
    }
    pthread_mutex_unlock(&tuning->lock);
    const bool failed = !sorted || text->failed;
    upc_free(tuning->env, sorted);
    return failed ? upc_no_memory(text->length + count * sizeof *sorted) : UPCONV_OK;
}

upconv_status upconv_tuning_export(upconv_context *context, upconv_write_fn write, void *user)
{
    if (!context || !write)
        return upc_fail(UPCONV_ERROR_INVALID,
                        "%s is NULL; upconv_tuning_export needs a context and a write callback",
                        context ? "write" : "context");
    upconv_status status = upc_context_usable(context);
    if (status != UPCONV_OK)
        return status;
    upc_string text; // a copy, so that the callback runs without a lock
    upc_string_init(&text, &context->env);
    status = all_lines(context->tuning, &text);
    for (size_t at = 0; status == UPCONV_OK && at < text.length;) {
        const char *line = text.data + at;
        const size_t size = (size_t)((const char *)memchr(line, '\n', text.length - at) - line) + 1;
        if (write(user, line, size))
            status =
                upc_fail(UPCONV_ERROR_DATA, "the write callback stopped the export of the tuning records");
        at += size;
    }
    upc_string_finish(&text);
    return status;
}

typedef struct tuning_import {
    upconv_context *context;
    size_t line, used, skipped;
    char first[UPC_RECORD_REASON]; // why the first line that was skipped was
    size_t first_line;
} tuning_import;

static upconv_status import_line(tuning_import *import, const char *line, size_t length)
{
    while (length && strchr(" \t\r", line[length - 1]) && line[length - 1])
        length--;
    while (length && strchr(" \t\r", *line) && *line) {
        line++;
        length--;
    }
    if (!length)
        return UPCONV_OK;
    upc_record_fields fields;
    char reason[UPC_RECORD_REASON];
    if (upc_record_read(line, length, &fields, reason)) {
        import->used++;
        return keep(import->context->tuning, &fields, line, length);
    }
    if (!import->skipped++) {
        import->first_line = import->line;
        memcpy(import->first, reason, sizeof reason);
    }
    atomic_fetch_add(&import->context->env.counts.skipped_blobs, 1);
    upc_log(&import->context->env, UPCONV_LOG_WARNING, "tuning records, line %zu: %s; skipped", import->line,
            reason);
    return UPCONV_OK;
}

upconv_status upconv_tuning_import(upconv_context *context, const char *text, size_t size)
{
    if (!context || (!text && size))
        return upc_fail(UPCONV_ERROR_INVALID,
                        "%s is NULL; upconv_tuning_import needs a context and %zu bytes of text",
                        context ? "text" : "context", size);
    upconv_status status = upc_context_usable(context);
    tuning_import import = {.context = context};
    size_t at =
        size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0; // the mark that some editors put before UTF-8
    while (status == UPCONV_OK && at < size) {
        const char *line = text + at, *end = memchr(line, '\n', size - at);
        const size_t length = end ? (size_t)(end - line) : size - at;
        import.line++;
        status = import_line(&import, line, length);
        at += length + 1;
    }
    if (status == UPCONV_OK && import.skipped && !import.used)
        return upc_fail(UPCONV_ERROR_DATA, "none of the %zu lines is a tuning record; line %zu: %s",
                        import.skipped, import.first_line, import.first);
    return status;
}

upconv_status upconv_record_read(const char *line, size_t length, upconv_record_info *info)
{
    if (!line || !info)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", line ? "info" : "line");
    upc_record_fields fields;
    char reason[UPC_RECORD_REASON];
    if (!upc_record_read(line, length, &fields, reason))
        return upc_fail(UPCONV_ERROR_DATA, "%s", reason);
    upconv_record_info found = {.device = fields.device, .driver = fields.driver, .problem = fields.problem_key,
                                .time_us = fields.time_us, .ok = fields.ok, .usable = fields.solver != NULL};
    same_key(&fields, found.same);
    memcpy(found.date, fields.date, sizeof fields.date);
    upc_params_return(info, &found, sizeof found, sizeof found);
    return UPCONV_OK;
}
