// A recorded space in place of a device: a journal, or tuning records. It knows no solver of this build: knobs and
// their values are what the file has, so a file stays good when solvers change.
#include "trial.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../records.h"
#include "journal.h"

typedef struct recorded {
    uint64_t key;         // of both texts
    char *problem, *text; // of the candidate; owned
    bool guess, base;     // the cost model's, and the default among them
    bool tried;           // has an outcome
    upc_outcome outcome;
    upc_candidate candidate; // in the space of the open problem
} recorded;

typedef struct replay {
    const upc_env *env;
    const char *keep;
    recorded *all;
    size_t count, capacity;
    uint32_t *slots; // hash table of 1 + index in all, 0 where free; at most half full
    size_t all_slot_count;
    recorded **open; // those of the open problem that were tried, as a hash table of slot_count
    size_t slot_count;
    upconv_device_info info; // who was recorded
    upconv_peaks peaks;
} replay;

static void close_problem(void *self)
{
    replay *r = self;
    upc_free(r->env, r->open);
    r->open = NULL;
    r->slot_count = 0;
}

static void destroy(void *self)
{
    replay *r = self;
    close_problem(r);
    for (size_t i = 0; i < r->count; i++) {
        upc_free(r->env, r->all[i].problem);
        upc_free(r->env, r->all[i].text);
    }
    upc_free(r->env, r->all);
    upc_free(r->env, r->slots);
    upc_free(r->env, r);
}

// ------------------------------------------------------------------------------------------------------------- reading

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

// Where the item of both texts is in the table, or would be.
static uint32_t *item_slot(const replay *r, uint64_t key, const char *problem, const char *text)
{
    size_t at = (size_t)key & (r->all_slot_count - 1);
    for (; r->slots[at]; at = (at + 1) & (r->all_slot_count - 1)) {
        const recorded *item = &r->all[r->slots[at] - 1];
        if (item->key == key && !strcmp(item->text, text) && !strcmp(item->problem, problem))
            break;
    }
    return &r->slots[at];
}

// Room for one more, in both tables.
static bool reserve(replay *r)
{
    void *all = r->all;
    const bool grown = r->count < UINT32_MAX / 4 &&
                       upc_grow(r->env, &all, &r->capacity, r->count + 1, sizeof *r->all);
    r->all = all;
    if (!grown || (r->count + 1) * 2 <= r->all_slot_count)
        return grown;
    const size_t wanted = r->all_slot_count ? r->all_slot_count * 2 : 64;
    uint32_t *slots = upc_alloc_array(r->env, wanted, sizeof *slots);
    if (!slots)
        return false;
    upc_free(r->env, r->slots);
    r->slots = slots;
    r->all_slot_count = wanted;
    for (size_t i = 0; i < r->count; i++)
        *item_slot(r, r->all[i].key, r->all[i].problem, r->all[i].text) = (uint32_t)i + 1;
    return true;
}

// The item for a candidate, added where there is none yet. NULL: without memory.
static recorded *item_for(replay *r, const char *problem, const char *text)
{
    const uint64_t key = upc_hash(text, strlen(text), upc_hash(problem, strlen(problem), 0));
    const bool room = reserve(r);
    uint32_t *slot = room ? item_slot(r, key, problem, text) : NULL;
    if (slot && *slot)
        return &r->all[*slot - 1];
    recorded made = {.key = key, .problem = upc_strdup(r->env, problem), .text = upc_strdup(r->env, text)};
    if (!room || !made.problem || !made.text) {
        upc_free(r->env, made.problem);
        upc_free(r->env, made.text);
        return NULL;
    }
    r->all[r->count] = made;
    *slot = (uint32_t)r->count + 1;
    return &r->all[r->count++];
}

static bool read_begin(replay *r, const cJSON *line, const char *problem)
{
    const char *base = text_of(line, "base");
    const cJSON *guesses = cJSON_GetObjectItemCaseSensitive(line, "guesses"), *guess;
    recorded *item = base ? item_for(r, problem, base) : NULL;
    if (base && !item)
        return false;
    if (item)
        item->guess = item->base = true;
    cJSON_ArrayForEach(guess, guesses)
    {
        if (!cJSON_IsString(guess))
            continue;
        if (!(item = item_for(r, problem, guess->valuestring)))
            return false;
        item->guess = true;
    }
    return true;
}

// A tuning record's solver and config as a candidate's text.
static bool record_text(const cJSON *line, char text[UPC_CANDIDATE_TEXT])
{
    const char *solver = text_of(line, "solver");
    const cJSON *config = cJSON_GetObjectItemCaseSensitive(line, "config"), *knob;
    upc_text out = {text, UPC_CANDIDATE_TEXT, 0};
    if (!solver || !cJSON_IsObject(config))
        return false;
    upc_text_add(&out, "%s", solver);
    char mark = ':';
    cJSON_ArrayForEach(knob, config)
    {
        upc_text_add(&out, "%c%s=%d", mark, knob->string, knob->valueint); // which keeps to the limits of its type
        mark = ',';
    }
    return out.length < UPC_CANDIDATE_TEXT;
}

static double number_of(const cJSON *line, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, key);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

// The device, from a journal's header or from a record.
static void read_device(replay *r, const cJSON *line)
{
    const char *device = text_of(line, "device"), *driver = text_of(line, "driver"),
               *backend = text_of(line, "backend");
    upconv_device_info *info = &r->info;
    if (!device || !driver || info->name[0])
        return;
    snprintf(info->name, sizeof info->name, "%s", device);
    snprintf(info->driver, sizeof info->driver, "%s", driver);
    info->vendor_id = (uint32_t)UPC_MIN(UPC_MAX(number_of(line, "vendor_id"), 0), UINT32_MAX);
    info->device_id = (uint32_t)UPC_MIN(UPC_MAX(number_of(line, "device_id"), 0), UINT32_MAX);
    info->backend = upc_record_backend(backend ? backend : "");
}

static bool read_line(replay *r, const cJSON *line)
{
    read_device(r, line);
    if (cJSON_GetObjectItemCaseSensitive(line, "peaks"))
        r->peaks = (upconv_peaks){.f32_gflops = number_of(line, "f32_gflops"),
                                  .f16_gflops = number_of(line, "f16_gflops"),
                                  .copy_gbytes = number_of(line, "copy_gbytes")};
    const char *begun = text_of(line, "begin"), *problem = text_of(line, "problem"), *text = text_of(line, "candidate");
    char of_record[UPC_CANDIDATE_TEXT];
    upc_outcome outcome;
    int rung = 0;
    if (begun)
        return read_begin(r, line, begun);
    if (!text && problem && record_text(line, of_record))
        text = of_record;
    if (!problem || !text || !upc_journal_read_outcome(line, &outcome, &rung) || outcome.verdict == UPCONV_TUNE_NONE)
        return true; // of no interest here
    recorded *item = item_for(r, problem, text);
    if (!item)
        return false;
    const bool better = !item->tried || outcome.verdict != UPCONV_TUNE_GOOD || outcome.samples >= item->outcome.samples;
    const int64_t cost_ns =
        item->tried ? item->outcome.cost_ns : outcome.cost_ns; // of the first time: with the compiler's
    if (better)
        item->outcome = outcome;
    item->outcome.cost_ns = cost_ns;
    item->tried = true;
    return true;
}

static upconv_status read_all(replay *r, const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        char reason[UPC_RECORD_REASON];
        const char *line = text + at, *end = memchr(line, '\n', size - at);
        const size_t length = end ? (size_t)(end - line) : size - at;
        cJSON *object = upc_json_read(line, length, reason);
        const bool read = !object || read_line(r, object);
        cJSON_Delete(object);
        if (!read)
            return upc_no_memory(sizeof *r->all);
        at += length + 1;
    }
    for (size_t i = 0; i < r->count; i++)
        if (r->all[i].tried)
            return UPCONV_OK;
    return upc_fail(UPCONV_ERROR_DATA, "the recorded space has no candidate with an outcome");
}

// ---------------------------------------------------------------------------------------------------------- as a space

static size_t slot_of(const replay *r, const upc_candidate *candidate)
{
    const uint64_t hash = upc_hash(&candidate->config, sizeof candidate->config, (uint64_t)candidate->solver);
    size_t at = (size_t)hash & (r->slot_count - 1);
    while (r->open[at] && !upc_candidate_equal(&r->open[at]->candidate, candidate))
        at = (at + 1) & (r->slot_count - 1);
    return at;
}

static const recorded *find(const replay *r, const upc_candidate *candidate) { return r->open[slot_of(r, candidate)]; }

static bool legal(const upc_space *space, const upc_candidate *candidate)
{
    return find(space->user, candidate) != NULL;
}

static double predict(const upc_space *space, const upc_candidate *candidate)
{
    const recorded *item = find(space->user, candidate);
    return item ? item->outcome.predicted_us : 0;
}

static upc_space_solver *solver_for(upc_space *space, const char *text)
{
    const int length = (int)strcspn(text, ":");
    for (int i = 0; i < space->solver_count; i++)
        if ((int)strlen(space->solver[i].name) == length && !memcmp(space->solver[i].name, text, (size_t)length))
            return &space->solver[i];
    upc_space_solver *made = &space->solver[space->solver_count++];
    snprintf(made->name, sizeof made->name, "%.*s", length, text);
    made->searched = true;
    for (const char *at = text + length; *at && made->knob_count < UPC_MAX_KNOBS; at += strcspn(at, ",")) {
        at++;
        snprintf(made->knob_name[made->knob_count++], sizeof made->knob_name[0], "%.*s", (int)strcspn(at, "=,"), at);
    }
    return made;
}

// Puts a value among those of a knob, in order. false: without memory.
static bool add_value(const upc_env *env, upc_space_solver *solver, int knob, int32_t value)
{
    int32_t *values = solver->values[knob];
    int at = solver->value_count[knob];
    for (int v = 0; v < at; v++)
        if (values[v] == value)
            return true;
    if ((at & (at - 1)) == 0) { // the array holds the next power of two
        int32_t *larger = upc_alloc_array(env, at ? (size_t)at * 2 : 1, sizeof *larger);
        if (!larger)
            return false;
        if (at)
            memcpy(larger, values, (size_t)at * sizeof *larger);
        upc_free(env, values);
        values = solver->values[knob] = larger;
    }
    for (; at > 0 && values[at - 1] > value; at--)
        values[at] = values[at - 1];
    values[at] = value;
    solver->value_count[knob]++;
    return true;
}

// The solvers, knobs and values of what was tried, and the items as candidates of that space.
static bool fill_space(const replay *r, const char *problem, upc_space *space, size_t *tried)
{
    for (size_t i = 0; i < r->count; i++) {
        recorded *item = &r->all[i];
        if (!item->tried || strcmp(item->problem, problem))
            continue;
        upc_space_solver *solver = solver_for(space, item->text);
        if (!upc_candidate_parse(space, item->text, &item->candidate))
            continue; // of another version of the solver
        for (int k = 0; k < solver->knob_count; k++)
            if (!add_value(r->env, solver, k, item->candidate.config.value[k]))
                return false;
        if (item->guess) {
            solver->guessed = true;
            solver->guess = item->candidate.config;
            solver->guess_us = item->base ? 0 : UPC_MAX(item->outcome.predicted_us, 1e-9);
        }
        ++*tried;
    }
    for (int i = 0; i < space->solver_count; i++) // one of which nothing could be read has no values to draw from
        for (int k = 0; k < space->solver[i].knob_count; k++)
            space->solver[i].searched = space->solver[i].searched && space->solver[i].value_count[k] > 0;
    return true;
}

// Where nobody wrote down which the default was: what came nearest to its own reference.
static void guess_base(const replay *r, const char *problem, upc_space *space)
{
    const recorded *nearest = NULL;
    bool guessed = false;
    for (size_t i = 0; i < r->count; i++) {
        const recorded *item = &r->all[i];
        if (!item->tried || strcmp(item->problem, problem))
            continue;
        guessed = guessed || item->guess;
        if (item->outcome.verdict == UPCONV_TUNE_GOOD && find(r, &item->candidate) == item &&
            (!nearest || fabs(log(item->outcome.ratio)) < fabs(log(nearest->outcome.ratio))))
            nearest = item;
    }
    if (guessed || !nearest)
        return;
    upc_space_solver *solver = &space->solver[nearest->candidate.solver];
    solver->guessed = true;
    solver->guess = nearest->candidate.config;
}

static upconv_status open_problem(void *self, const upc_problem *problem, upc_space *space)
{
    replay *r = self;
    char name[640];
    upc_text text = {name, sizeof name, 0};
    size_t tried = 0;
    upc_problem_print(problem, &text);
    *space = (upc_space){.env = r->env, .legal = legal, .predict = predict, .user = r};
    if (!(space->solver = upc_alloc_array(r->env, r->count, sizeof *space->solver)) ||
        !fill_space(r, name, space, &tried)) {
        upc_space_finish(space);
        return upc_no_memory(r->count * sizeof *space->solver);
    }
    for (r->slot_count = 8; r->slot_count < 2 * tried;)
        r->slot_count *= 2;
    if (!tried || !(r->open = upc_alloc_array(r->env, r->slot_count, sizeof *r->open))) {
        upc_space_finish(space);
        return tried ? upc_no_memory(r->slot_count * sizeof *r->open)
                     : upc_fail(UPCONV_ERROR_DATA, "the recorded space has no candidate for %s", name);
    }
    for (size_t i = 0; i < r->count; i++) {
        recorded *item = &r->all[i];
        upc_candidate parsed;
        if (item->tried && !strcmp(item->problem, name) && upc_candidate_parse(space, item->text, &parsed))
            r->open[slot_of(r, &item->candidate)] = item;
    }
    guess_base(r, name, space);
    const upconv_status status = r->keep ? upc_space_keep(space, r->keep) : UPCONV_OK;
    if (status)
        upc_space_finish(space);
    return status;
}

// --------------------------------------------------------------------------------------------------------------- trial

// Samples of a rung, as they would have taken.
static int64_t timing_ns(const upc_outcome *outcome, int rung)
{
    const double pair_ns = 1e3 * (UPC_MAX(outcome->time_us, 2000) + UPC_MAX(outcome->reference_us, 2000));
    return (int64_t)UPC_MIN(upc_rungs[rung].pairs * pair_ns, (double)upc_rungs[rung].most_ns);
}

static upconv_status try_candidate(void *self, const upc_proposal *proposal, const upc_announce *announce,
                                   upc_outcome *outcome)
{
    const replay *r = self;
    const recorded *item = find(r, &proposal->candidate);
    upconv_status status = UPCONV_OK;
    *outcome = (upc_outcome){.verdict = UPCONV_TUNE_NONE};
    if (!item)
        return upc_fail(UPCONV_ERROR_DATA, "the recorded space lacks a candidate");
    if (!announce->say(announce->user, true, proposal->base ? "default" : "verify", &status) ||
        !announce->say(announce->user, false, "time", &status))
        return status;
    *outcome = item->outcome;
    outcome->samples = UPC_MAX(outcome->samples, 1);
    if (proposal->rung > 0 && !proposal->base)
        outcome->cost_ns = timing_ns(outcome, proposal->rung);
    if (proposal->base && outcome->verdict == UPCONV_TUNE_GOOD)
        outcome->ratio = 1;
    return UPCONV_OK;
}

static upconv_status see(void *self, const upc_proposal *proposal)
{
    (void)self;
    (void)proposal;
    return UPCONV_OK;
}

static upconv_status set_base(void *self, const upc_candidate *candidate)
{
    (void)self;
    (void)candidate;
    return UPCONV_OK;
}

static const upc_trial_calls calls = {open_problem, try_candidate, see, set_base, close_problem, destroy};

upconv_status upc_trial_replay(const upc_env *env, const char *text, size_t size, const char *keep, upc_trial *trial)
{
    replay *made = upc_alloc(env, sizeof *made);
    if (!made)
        return upc_no_memory(sizeof *made);
    *made = (replay){.env = env, .keep = keep};
    const upconv_status status = read_all(made, text, size);
    if (status) {
        destroy(made);
        return status;
    }
    *trial = (upc_trial){&calls, made, &made->info, &made->peaks};
    return UPCONV_OK;
}
