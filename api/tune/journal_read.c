// The reading half of a journal: outcomes, what was begun and not ended, how problems began.
#include "journal_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const verdicts[UPCONV_TUNE_VERDICT_COUNT] = {"none",  "good",    "slow",  "discarded",
                                                                "wrong", "compile", "crash", "hang"};

const char *upconv_tune_verdict_name(upconv_tune_verdict verdict)
{
    return (int)verdict >= 0 && verdict < UPCONV_TUNE_VERDICT_COUNT ? verdicts[verdict] : "unknown verdict";
}

// ------------------------------------------------------------------------------------------------------- what is known

static uint64_t key_of(const char *problem, const char *candidate, int rung)
{
    return upc_hash(candidate, strlen(candidate), upc_hash(problem, strlen(problem), (uint64_t)rung));
}

static bool failure(const upc_outcome *outcome)
{
    return outcome->verdict == UPCONV_TUNE_CRASHED || outcome->verdict == UPCONV_TUNE_HUNG;
}

const upc_journal_item *upc_journal_find(const upc_journal *journal, const char *problem, const char *candidate,
                                         int rung)
{
    const uint64_t key = key_of(problem, candidate, rung);
    if (!journal->slot_count)
        return NULL;
    for (size_t at = (size_t)key & (journal->slot_count - 1); journal->slots[at];
         at = (at + 1) & (journal->slot_count - 1)) {
        const upc_journal_item *item = &journal->items[journal->slots[at] - 1];
        if (item->key == key && item->rung == rung && !strcmp(item->candidate, candidate) &&
            !strcmp(item->problem, problem))
            return item;
    }
    return NULL;
}

static void enter(upc_journal *journal, size_t index)
{
    size_t at = (size_t)journal->items[index].key & (journal->slot_count - 1);
    while (journal->slots[at])
        at = (at + 1) & (journal->slot_count - 1);
    journal->slots[at] = (uint32_t)index + 1;
}

// Room for one more outcome, in both tables: a long run's journal has some hundred thousand.
static bool reserve(upc_journal *journal)
{
    void *items = journal->items;
    const bool grown =
        journal->item_count < UINT32_MAX / 4 &&
        upc_grow(journal->env, &items, &journal->item_capacity, journal->item_count + 1, sizeof *journal->items);
    journal->items = items;
    if (!grown || (journal->item_count + 1) * 2 <= journal->slot_count)
        return grown;
    const size_t wanted = journal->slot_count ? journal->slot_count * 2 : 64;
    uint32_t *slots = upc_alloc_array(journal->env, wanted, sizeof *slots);
    if (!slots)
        return false;
    upc_free(journal->env, journal->slots);
    journal->slots = slots;
    journal->slot_count = wanted;
    for (size_t i = 0; i < journal->item_count; i++)
        enter(journal, i);
    return true;
}

const upc_outcome *upc_journal_outcome(const upc_journal *journal, const char *problem, const char *candidate, int rung)
{
    for (int r = 0; r < UPC_RUNGS; r++) {
        const upc_journal_item *found = upc_journal_find(journal, problem, candidate, r);
        if (found && failure(&found->outcome))
            return &found->outcome;
    }
    const upc_journal_item *found = upc_journal_find(journal, problem, candidate, rung);
    return found && found->here ? &found->outcome : NULL;
}

int upc_journal_failures(const upc_journal *journal, const char *problem, const char *candidate)
{
    int count = 0;
    for (size_t i = 0; i < journal->failed_count; i++) {
        const upc_journal_item *item = &journal->items[journal->failed[i]];
        count += failure(&item->outcome) && !strcmp(item->candidate, candidate) && strcmp(item->problem, problem);
    }
    return count;
}

// Puts an item among those that failed at least once: few of many, and asked for before every candidate.
static bool keep_failed(upc_journal *journal, size_t index)
{
    for (size_t i = 0; i < journal->failed_count; i++)
        if (journal->failed[i] == index)
            return true;
    void *failed = journal->failed;
    const bool room =
        upc_grow(journal->env, &failed, &journal->failed_capacity, journal->failed_count + 1, sizeof *journal->failed);
    journal->failed = failed;
    if (room)
        journal->failed[journal->failed_count++] = index;
    return room;
}

// Takes an outcome in; of one mode the later counts, and nothing makes a culprit innocent but an outcome of its own.
static bool keep_item(upc_journal *journal, const upc_journal_about *about, const upc_outcome *outcome, bool here)
{
    upc_journal_item *found =
        (upc_journal_item *)upc_journal_find(journal, about->problem, about->candidate, about->rung);
    if (found) {
        found->outcome = *outcome;
        found->here = here;
        return !failure(outcome) || keep_failed(journal, (size_t)(found - journal->items));
    }
    const bool room = reserve(journal);
    upc_journal_item made = {.key = key_of(about->problem, about->candidate, about->rung),
                             .problem = upc_strdup(journal->env, about->problem),
                             .candidate = upc_strdup(journal->env, about->candidate),
                             .rung = about->rung,
                             .here = here,
                             .outcome = *outcome};
    if (!room || !made.problem || !made.candidate) {
        upc_free(journal->env, made.problem);
        upc_free(journal->env, made.candidate);
        return false;
    }
    journal->items[journal->item_count] = made;
    enter(journal, journal->item_count++);
    return !failure(outcome) || keep_failed(journal, journal->item_count - 1);
}

static upc_journal_pending *find_pending(const upc_journal *journal, const char *problem, const char *candidate)
{
    for (size_t i = 0; i < journal->pending_count; i++)
        if (!strcmp(journal->pending[i].problem, problem) && !strcmp(journal->pending[i].candidate, candidate))
            return &journal->pending[i];
    return NULL;
}

static void free_pending(const upc_env *env, upc_journal_pending *p)
{
    upc_free(env, p->problem);
    upc_free(env, p->candidate);
}

// The candidate is being tried. A step further of the same attempt is no new one.
static bool keep_pending(upc_journal *journal, const upc_journal_about *about, const upc_journal_pending *how)
{
    upc_journal_pending *found = find_pending(journal, about->problem, about->candidate);
    if (!found) {
        void *all = journal->pending;
        const bool room = upc_grow(journal->env, &all, &journal->pending_capacity, journal->pending_count + 1,
                                   sizeof *journal->pending);
        journal->pending = all;
        upc_journal_pending made = {.problem = upc_strdup(journal->env, about->problem),
                                    .candidate = upc_strdup(journal->env, about->candidate)};
        if (!room || !made.problem || !made.candidate) {
            free_pending(journal->env, &made);
            return false;
        }
        journal->pending[journal->pending_count] = made;
        found = &journal->pending[journal->pending_count++];
    }
    if (journal->open != (size_t)(found - journal->pending))
        found->attempts++;
    journal->open = (size_t)(found - journal->pending);
    found->compiling = about->compiling;
    found->rung = about->rung;
    found->watched = how->watched;
    found->pid = how->pid;
    snprintf(found->stage, sizeof found->stage, "%s", about->stage);
    snprintf(found->boot, sizeof found->boot, "%s", how->boot);
    return true;
}

// It has ended. With a verdict earlier attempts are forgotten; without one this attempt is.
static void drop_pending(upc_journal *journal, const char *problem, const char *candidate, bool verdict)
{
    upc_journal_pending *found = find_pending(journal, problem, candidate);
    if (!found)
        return;
    const size_t at = (size_t)(found - journal->pending);
    if (journal->open == at)
        journal->open = SIZE_MAX;
    if (!verdict && found->attempts > 1) {
        found->attempts--;
        return;
    }
    free_pending(journal->env, found);
    journal->pending[at] = journal->pending[--journal->pending_count];
    if (journal->open == journal->pending_count)
        journal->open = at;
}

// ------------------------------------------------------------------------------------------------------------- reading

static const char *text_of(const cJSON *line, const char *key)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(line, key);
    return cJSON_IsString(found) ? found->valuestring : NULL;
}

static double number_of(const cJSON *line, const char *key)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(line, key);
    return cJSON_IsNumber(found) && isfinite(found->valuedouble) ? found->valuedouble : 0;
}

bool upc_journal_read_outcome(const cJSON *line, upc_outcome *outcome, int *rung)
{
    const char *verdict = text_of(line, "done"), *reason = text_of(line, "reason");
    int found = -1;
    if (!verdict)
        verdict = text_of(line, "verdict");
    for (int i = 0; verdict && i < UPCONV_TUNE_VERDICT_COUNT; i++)
        if (!strcmp(verdict, verdicts[i]))
            found = i;
    if (verdict && !strcmp(verdict, "ok"))
        found = UPCONV_TUNE_GOOD;
    if (found < 0)
        return false;
    *outcome = (upc_outcome){
        .verdict = (upconv_tune_verdict)found,
        .ratio = number_of(line, "ratio"),
        .spread = number_of(line, "spread"),
        .time_us = number_of(line, "time_us"),
        .reference_us = number_of(line, "reference_us"),
        .predicted_us = number_of(line, "predicted_us"),
        .compile_ms = number_of(line, "compile_ms"),
        .spills = number_of(line, "spills"),
        .temperature_c = number_of(line, "temperature_c"),
        .frequency_mhz = number_of(line, "frequency_mhz"),
        .samples = (uint32_t)UPC_MIN(UPC_MAX(number_of(line, "samples"), 0), 1e6),
        .cost_ns = (int64_t)UPC_MIN(UPC_MAX(number_of(line, "cost_ns"), 0), 1e15),
    };
    if (outcome->ratio <= 0 && outcome->reference_us > 0)
        outcome->ratio = outcome->time_us / outcome->reference_us;
    snprintf(outcome->reason, sizeof outcome->reason, "%s", reason ? reason : "");
    *rung = (int)UPC_MIN(UPC_MAX(number_of(line, "rung"), 0), UPC_RUNGS - 1);
    return true;
}

static uint64_t hex_of(const cJSON *line, const char *key)
{
    const char *text = text_of(line, key);
    return text ? strtoull(text, NULL, 16) : 0;
}

static void free_start(const upc_env *env, upc_journal_begun *s)
{
    upc_free(env, s->problem);
    upc_free(env, s->base);
    upc_free(env, s->guesses);
    upc_free(env, s->seeds);
}

// A run that took nothing over begins: whoever goes on with it must not either. Culprits stay what they are.
static void forget(upc_journal *journal)
{
    for (size_t i = 0; i < journal->item_count; i++)
        journal->items[i].here = false;
    while (journal->start_count)
        free_start(journal->env, &journal->starts[--journal->start_count]);
    journal->has_peaks = false;
}

static void read_header(upc_journal *journal, const cJSON *line)
{
    journal->reading_device = journal->any || hex_of(line, "identity") == journal->params.identity;
    const bool mode = journal->reading_device && hex_of(line, "mode") == journal->params.mode;
    journal->reading_here = mode && !journal->params.fresh;
    if (mode && number_of(line, "fresh") > 0)
        forget(journal);
    journal->open = SIZE_MAX; // what was open when that process died stays among the pending
}

// The texts of an array, one a line.
static char *join(const upc_env *env, const cJSON *line, const char *key)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(line, key), *each;
    upc_string text;
    upc_string_init(&text, env);
    upc_string_add(&text, "%s", "");
    cJSON_ArrayForEach(each, array) if (cJSON_IsString(each))
        upc_string_add(&text, "%s%s", text.length ? "\n" : "", each->valuestring);
    if (!text.failed)
        return text.data;
    upc_string_finish(&text);
    return NULL;
}

static bool read_start(upc_journal *journal, const cJSON *line, const char *problem)
{
    if (!journal->reading_here || upc_journal_start_of(journal, problem))
        return true;
    const char *base = text_of(line, "base");
    void *starts = journal->starts;
    const bool room =
        upc_grow(journal->env, &starts, &journal->start_capacity, journal->start_count + 1, sizeof *journal->starts);
    journal->starts = starts;
    upc_journal_begun made = {.problem = upc_strdup(journal->env, problem),
                              .base = upc_strdup(journal->env, base ? base : ""),
                              .guesses = join(journal->env, line, "guesses"),
                              .seeds = join(journal->env, line, "seeds")};
    if (!room || !made.problem || !made.base || !made.guesses || !made.seeds) {
        free_start(journal->env, &made);
        return false;
    }
    made.seen = (upc_journal_start){made.base, made.guesses, made.seeds, number_of(line, "space"),
                                    number_of(line, "counted") > 0};
    journal->starts[journal->start_count++] = made;
    return true;
}

// No name that is written is; one that is would be cut where a verdict on it is written, and stay open for ever.
static bool too_long(const upc_journal_about *about)
{
    return strlen(about->problem) >= sizeof((upconv_tune_culprit *)0)->problem ||
           strlen(about->candidate) >= sizeof((upconv_tune_culprit *)0)->candidate;
}

static bool read_candidate(upc_journal *journal, const cJSON *line)
{
    const char *about = text_of(line, "about"), *stage = text_of(line, "stage"), *boot = text_of(line, "boot");
    const upc_journal_about what = {text_of(line, "problem"), text_of(line, "candidate"), stage ? stage : "",
                                    about && !strcmp(about, "compile"),
                                    (int)UPC_MIN(UPC_MAX(number_of(line, "rung"), 0), UPC_RUNGS - 1)};
    upc_outcome outcome;
    int rung;
    if (about && !strcmp(about, "peaks") && journal->reading_device)
        journal->peaks_begun++;
    if (!what.problem || !what.candidate || !journal->reading_device || too_long(&what))
        return true;
    if (about) {
        upc_journal_pending how = {.watched = number_of(line, "watched") > 0,
                                   .pid = (int64_t)UPC_MIN(UPC_MAX(number_of(line, "pid"), 0), 1e15)};
        snprintf(how.boot, sizeof how.boot, "%s", boot ? boot : "");
        return keep_pending(journal, &what, &how);
    }
    if (!upc_journal_read_outcome(line, &outcome, &rung))
        return true;
    drop_pending(journal, what.problem, what.candidate, outcome.verdict != UPCONV_TUNE_NONE);
    if (outcome.verdict == UPCONV_TUNE_NONE || (!journal->reading_here && !failure(&outcome)))
        return true;
    return keep_item(journal, &what, &outcome, journal->reading_here);
}

bool upc_journal_read_line(upc_journal *journal, const cJSON *line)
{
    const char *begun = text_of(line, "begin");
    if (cJSON_GetObjectItemCaseSensitive(line, "journal"))
        read_header(journal, line);
    else if (begun)
        return read_start(journal, line, begun);
    else if (cJSON_GetObjectItemCaseSensitive(line, "peaks") && journal->reading_here) {
        journal->peaks = (upconv_peaks){.f32_gflops = number_of(line, "f32_gflops"),
                                        .f16_gflops = number_of(line, "f16_gflops"),
                                        .copy_gbytes = number_of(line, "copy_gbytes")};
        journal->has_peaks = true;
        journal->peaks_begun = 0;
    } else
        return read_candidate(journal, line);
    return true;
}

// Lines that are damaged are left out: what they said is done again.
upconv_status upc_journal_read_text(upc_journal *journal, const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        char reason[UPC_RECORD_REASON];
        const char *line = text + at, *end = memchr(line, '\n', size - at);
        const size_t length = end ? (size_t)(end - line) : size - at;
        cJSON *object = length ? upc_json_read(line, length, reason) : NULL;
        const bool read = !object || upc_journal_read_line(journal, object);
        if (length && !object)
            upc_log(journal->env, UPCONV_LOG_WARNING, "journal: a line is %s; left out", reason);
        cJSON_Delete(object);
        if (!read)
            return upc_no_memory(length);
        at += length + 1;
    }
    return UPCONV_OK;
}

void upc_journal_write_outcome(upc_string *line, const upc_outcome *outcome)
{
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"ratio", outcome->ratio},
        {"spread", outcome->spread},
        {"time_us", outcome->time_us},
        {"reference_us", outcome->reference_us},
        {"predicted_us", outcome->predicted_us},
        {"compile_ms", outcome->compile_ms},
        {"spills", outcome->spills},
        {"temperature_c", outcome->temperature_c},
        {"frequency_mhz", outcome->frequency_mhz},
    };
    for (size_t i = 0; i < UPC_COUNT(numbers); i++)
        if (isfinite(numbers[i].value) && numbers[i].value > 0) {
            char number[64];
            // all digits that a float has: whoever resumes must see what was seen
            upc_print_float(number, sizeof number, (float)numbers[i].value);
            upc_string_add(line, "\"%s\":%s,", numbers[i].key, number);
        }
    upc_string_add(line, "\"samples\":%u,\"cost_ns\":%lld,", outcome->samples, (long long)outcome->cost_ns);
    if (outcome->reason[0])
        upc_json_cleaned(line, "reason", outcome->reason);
}

void upc_journal_free(upc_journal *journal)
{
    const upc_env *env = journal->env;
    for (size_t i = 0; i < journal->item_count; i++) {
        upc_free(env, journal->items[i].problem);
        upc_free(env, journal->items[i].candidate);
    }
    for (size_t i = 0; i < journal->pending_count; i++)
        free_pending(env, &journal->pending[i]);
    for (size_t i = 0; i < journal->start_count; i++)
        free_start(env, &journal->starts[i]);
    upc_free(env, journal->items);
    upc_free(env, journal->failed);
    upc_free(env, journal->slots);
    upc_free(env, journal->pending);
    upc_free(env, journal->starts);
    upc_free(env, journal);
}
