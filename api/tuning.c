// Tuning records in memory: what was measured, where, and which of it helps with a problem at hand. Each
// record keeps its line of text as it came, so that what a newer tool wrote into it survives an export.
#include "records.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A record of another problem of the class is taken up to this sum of |log2(ratio)| over batch, groups,
// channels per group and input extents: all of them together may differ by a factor of 8.
static const double nearest_cut_off = 3.0;

typedef struct tuning_item {
    upc_record_fields fields;
    uint64_t key[2]; // device, driver, problem, solver, version and configuration: the newer of two such
                     // records stays
    size_t length;
    char line[];
} tuning_item;

struct upc_tuning {
    const upc_env *env;
    pthread_mutex_t lock;
    tuning_item **items;
    size_t count, capacity;
    uint32_t *slots; // hash table of 1 + index in items, 0 where free; at most half full
    size_t slot_count;
};

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
    upc_free(tuning->env, tuning->items);
    upc_free(tuning->env, tuning->slots);
    pthread_mutex_destroy(&tuning->lock);
    upc_free(tuning->env, tuning);
}

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

static tuning_item *item_create(const upc_env *env, const upc_record_fields *fields, const char *line,
                                size_t length)
{
    tuning_item *made = upc_alloc(env, sizeof *made + length);
    if (!made)
        return NULL;
    made->fields = *fields;
    for (int i = 0; i < 2; i++) {
        const uint64_t parts[4] = {fields->device, fields->driver, fields->problem_key,
                                   fields->config_key[i]};
        made->key[i] = upc_hash(parts, sizeof parts, (uint64_t)i + 1);
    }
    made->length = length;
    memcpy(made->line, line, length);
    return made;
}

// Where two records say the same thing, the later date stays, and of one date the one that came later.
static upconv_status keep(struct upc_tuning *tuning, const upc_record_fields *fields, const char *line,
                          size_t length)
{
    tuning_item *made = item_create(tuning->env, fields, line, length);
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

upconv_status upc_tuning_add(struct upc_tuning *tuning, const upc_problem *problem, const upc_facts *facts,
                             const upc_solver *solver, const upc_config *config, double time_us,
                             double reference_us, double spread)
{
    const upc_measurement measurement = {problem, &facts->info, solver, config,
                                         time_us, reference_us, spread};
    char reason[UPC_RECORD_REASON];
    upc_record_fields fields;
    upc_string line;
    upc_string_init(&line, tuning->env);
    upc_record_write(&line, &measurement);
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

// --------------------------------------------------------------------------------------------------- look-up

typedef struct tuning_query {
    const upc_problem *problem;
    const upc_facts *facts;
    uint64_t device, driver, problem_key;
} tuning_query;

// A record that may serve, and how well: a lower tier, then a smaller distance, then a shorter time is
// better.
typedef struct tuning_candidate {
    const tuning_item *item;
    upconv_tier tier;
    double distance;
} tuning_candidate;

static int groups_kind(const upc_problem *problem)
{
    return problem->groups == 1 ? 0 : problem->icg == 1 ? 1 : 2;
}

static bool same_class(const upc_problem *a, const upc_problem *b)
{
    if (a->op != b->op || a->dims != b->dims || a->type != b->type || a->sum_type != b->sum_type ||
        a->in_layout != b->in_layout || a->out_layout != b->out_layout || groups_kind(a) != groups_kind(b))
        return false;
    for (int i = 0; i < 3; i++)
        if (a->axis[i].kernel != b->axis[i].kernel || a->axis[i].stride != b->axis[i].stride ||
            a->axis[i].dilation != b->axis[i].dilation)
            return false;
    return true;
}

static double apart(int64_t a, int64_t b) { return fabs(log2((double)a / (double)b)); }

static double distance(const upc_problem *a, const upc_problem *b)
{
    double sum = apart(a->batch, b->batch) + apart(a->groups, b->groups) + apart(a->icg, b->icg) +
                 apart(a->ocg, b->ocg);
    for (int i = 0; i < 3; i++)
        sum += apart(a->axis[i].in, b->axis[i].in);
    return sum;
}

static bool rank(const tuning_query *query, const tuning_item *item, tuning_candidate *candidate)
{
    const upc_record_fields *fields = &item->fields;
    if (!fields->ok || !fields->solver || fields->device != query->device)
        return false;
    candidate->item = item;
    candidate->distance = 0;
    if (fields->problem_key == query->problem_key) {
        candidate->tier = fields->driver == query->driver ? UPCONV_TIER_EXACT : UPCONV_TIER_DRIVER;
        return true;
    }
    if (fields->driver != query->driver || !same_class(&fields->problem, query->problem))
        return false;
    candidate->tier = UPCONV_TIER_NEAREST;
    candidate->distance = distance(&fields->problem, query->problem);
    return candidate->distance <= nearest_cut_off;
}

static bool better(const tuning_candidate *a, const tuning_candidate *b)
{
    if (!b->item || a->tier != b->tier)
        return !b->item || a->tier < b->tier;
    if (a->distance != b->distance)
        return a->distance < b->distance;
    const upc_record_fields *ours = &a->item->fields, *theirs = &b->item->fields;
    if (ours->time_us != theirs->time_us)
        return ours->time_us < theirs->time_us;
    return ours->config_key[0] < theirs->config_key[0]; // any order will do, so long as it is always the same
}

// Whether this configuration was seen to fail here, on this problem or on one of its class.
static bool failed_here(const struct upc_tuning *tuning, const tuning_query *query, const tuning_item *item)
{
    for (size_t i = 0; i < tuning->count; i++) {
        const upc_record_fields *fields = &tuning->items[i]->fields;
        if (!fields->ok && fields->device == query->device && fields->driver == query->driver &&
            !memcmp(fields->config_key, item->fields.config_key, sizeof fields->config_key) &&
            (fields->problem_key == query->problem_key || same_class(&fields->problem, query->problem)))
            return true;
    }
    return false;
}

static bool usable(const struct upc_tuning *tuning, const tuning_query *query,
                   const tuning_candidate *candidate)
{
    const upc_record_fields *fields = &candidate->item->fields;
    const upc_solver *solver = fields->solver;
    char sentence[UPC_SENTENCE];
    return !solver->refuse(query->problem, query->facts, sentence) &&
           !solver->legal(query->problem, query->facts, &fields->config, sentence) &&
           (candidate->tier == UPCONV_TIER_EXACT || !failed_here(tuning, query, candidate->item));
}

bool upc_tuning_find(struct upc_tuning *tuning, const upc_problem *problem, const upc_facts *facts,
                     upc_record *record)
{
    const tuning_query query = {problem, facts, upc_record_device(&facts->info),
                                upc_record_driver(&facts->info), upc_record_problem(problem)};
    tuning_candidate best = {NULL, UPCONV_TIER_MODEL, 0};
    pthread_mutex_lock(&tuning->lock);
    for (size_t i = 0; i < tuning->count; i++) {
        tuning_candidate other;
        if (rank(&query, tuning->items[i], &other) && better(&other, &best) && usable(tuning, &query, &other))
            best = other;
    }
    if (best.item) {
        const upc_record_fields *fields = &best.item->fields;
        *record = (upc_record){fields->solver, fields->config, fields->time_us, best.tier};
    }
    pthread_mutex_unlock(&tuning->lock);
    return best.item != NULL;
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
