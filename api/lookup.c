// Which tuning record helps with a problem at hand: docs/records.md has the order. Own records and shipped ones are ranked
// together; of the shipped ones only those are ever read whose two numbers say that they could matter.
#include "tuning.h"

#include <math.h>
#include <string.h>

// A record of another problem of the class is taken up to this sum of |log2(ratio)| over batch, groups,
// channels per group and input extents: all of them together may differ by a factor of 8.
static const double nearest_cut_off = 3.0;

// What was fastest for another problem is taken in place of the cost model's default where the cost model expects it to take no
// more than this part of the default's time here, both by itself and corrected by what was measured there; or where
// the correction alone promises much more. In between, records of near problems were as often worse as better (docs/records.md).
static const double agreed = 0.97, promised = 0.8;

// So many records of other problems a look-up compares with the default, the likeliest first: each asks the cost model anew, which
// takes about as long as choosing a plan.
enum { weighed_most = 16 };

typedef struct tuning_query {
    const upc_problem *problem;
    const upc_facts *facts;
    uint64_t device, driver, problem_key, class_key;
    upc_kin kin;
    const upc_modeller *modeller; // NULL: nothing is compared with the default
    bool modelled, has_default;   // modelled: the default was asked for
    upc_choice by_default;
    uint64_t declined[weighed_most][2]; // keys of records that promise too little
    int weighed;
} tuning_query;

// A record that may serve, and how well: see `better`.
typedef struct tuning_candidate {
    const tuning_item *item;
    upconv_tier tier;
    bool elsewhere; // of another device
    double distance;
} tuning_candidate;

// What a look-up found, for as long as another thread may replace the record itself.
typedef struct tuning_find {
    upc_record_fields fields;
    uint64_t key[2];
    upconv_tier tier;
    double distance;
    bool shipped, unverified;
} tuning_find;

static double apart(int64_t a, int64_t b) { return fabs(log2((double)a / (double)b)); }

static double distance(const upc_problem *a, const upc_problem *b)
{
    double sum =
        apart(a->batch, b->batch) + apart(a->groups, b->groups) + apart(a->icg, b->icg) + apart(a->ocg, b->ocg);
    for (int i = 0; i < 3; i++)
        sum += apart(a->axis[i].in, b->axis[i].in);
    return sum;
}

static bool kin_to(const upc_kin *kin, const tuning_query *query, upconv_tier *tier)
{
    const bool family = kin->family && kin->family == query->kin.family;
    *tier = family ? UPCONV_TIER_FAMILY : UPCONV_TIER_VENDOR;
    return family || (kin->vendor && kin->vendor == query->kin.vendor);
}

static bool rank(const tuning_query *query, const tuning_item *item, tuning_candidate *candidate)
{
    const upc_record_fields *fields = &item->fields;
    if (!fields->ok || !fields->solver)
        return false;
    const bool device = fields->device == query->device, driver = fields->driver == query->driver;
    *candidate = (tuning_candidate){.item = item, .elsewhere = !device};
    if (device && fields->problem_key == query->problem_key) {
        candidate->tier = driver ? UPCONV_TIER_EXACT : UPCONV_TIER_DRIVER;
        return true;
    }
    if (fields->class_key != query->class_key)
        return false;
    if (device)
        candidate->tier = driver ? UPCONV_TIER_NEAREST : UPCONV_TIER_FAMILY;
    else if (!kin_to(&fields->kin, query, &candidate->tier))
        return false;
    candidate->distance = distance(&fields->problem, query->problem);
    return candidate->distance <= nearest_cut_off;
}

static bool better(const tuning_candidate *a, const tuning_candidate *b)
{
    if (!b->item || a->tier != b->tier)
        return !b->item || a->tier < b->tier;
    if (a->distance != b->distance)
        return a->distance < b->distance;
    if (a->item->shipped != b->item->shipped)
        return b->item->shipped;
    if (a->elsewhere != b->elsewhere)
        return b->elsewhere;
    const upc_record_fields *ours = &a->item->fields, *theirs = &b->item->fields;
    if (ours->time_us != theirs->time_us)
        return ours->time_us < theirs->time_us;
    return ours->config_key[0] < theirs->config_key[0]; // any order will do, so long as it is always the same
}

static bool same_config(const upc_record_fields *a, const upc_record_fields *b)
{
    return !memcmp(a->config_key, b->config_key, sizeof a->config_key);
}

// Whether this configuration was seen to fail here, on this problem or on one of its class. What was measured for this very
// problem and driver is believed, unless it came with the library and the app's own record says otherwise.
static bool failed_here(const tuning_item *const *items, size_t count, const tuning_query *query,
                        const tuning_candidate *candidate)
{
    for (size_t i = 0; i < count; i++) {
        const upc_record_fields *fields = &items[i]->fields;
        if (fields->ok || fields->verified || fields->device != query->device || fields->driver != query->driver ||
            !same_config(fields, &candidate->item->fields))
            continue;
        const bool this_problem = fields->problem_key == query->problem_key;
        if (candidate->tier != UPCONV_TIER_EXACT || (this_problem && candidate->item->shipped && !items[i]->shipped))
            return true;
    }
    return false;
}

static bool verified_here(const tuning_item *const *items, size_t count, const tuning_query *query,
                          const tuning_item *item)
{
    for (size_t i = 0; i < count; i++) {
        const upc_record_fields *fields = &items[i]->fields;
        if (fields->verified && fields->device == query->device && fields->driver == query->driver &&
            fields->problem_key == query->problem_key && same_config(fields, &item->fields))
            return true;
    }
    return false;
}

static bool legal(const tuning_query *query, const upc_record_fields *fields)
{
    char sentence[UPC_SENTENCE];
    return !upc_solver_refuse(fields->solver, query->problem, query->facts, sentence) &&
           !fields->solver->legal(query->problem, query->facts, &fields->config, sentence);
}

// What the record's configuration takes at the problem that it was measured on, as a part of the default's time there: by the
// cost model and as measured. false: not known.
static bool known_there(const tuning_query *query, const upc_record_fields *fields, double *model, double *measured)
{
    const tuning_query there = {.problem = &fields->problem, .facts = query->facts};
    upc_choice choice;
    if (!(fields->reference_us > 0) || !legal(&there, fields) ||
        !query->modeller->choose(query->modeller->user, &fields->problem, &choice) || !(choice.predicted_us > 0))
        return false;
    *model = fields->solver->cost_us(&fields->problem, query->facts, &fields->config) / choice.predicted_us;
    *measured = fields->time_us / fields->reference_us;
    return *model > 0;
}

// Whether it must be worth more than the cost model's default. Of the same sizes, what is left makes next to no difference.
static bool to_be_weighed(const tuning_query *query, const upc_record_fields *fields, double far)
{
    return query->modeller && fields->problem_key != query->problem_key && far > 0;
}

static bool passed_over(const tuning_query *query, const tuning_candidate *candidate)
{
    if (!to_be_weighed(query, &candidate->item->fields, candidate->distance))
        return false;
    for (int i = 0; i < query->weighed; i++)
        if (!memcmp(query->declined[i], candidate->item->key, sizeof candidate->item->key))
            return true;
    return query->weighed == weighed_most;
}

// Whether a record of another problem is worth more than the cost model's default. Without the lock, for the model takes its time.
static bool worthwhile(tuning_query *query, const tuning_find *find)
{
    const upc_record_fields *fields = &find->fields;
    double model, measured;
    if (!to_be_weighed(query, fields, find->distance))
        return true;
    if (!query->modelled)
        query->has_default = query->modeller->choose(query->modeller->user, query->problem, &query->by_default);
    query->modelled = true;
    const upc_choice *other = &query->by_default;
    if (!query->has_default || !(other->predicted_us > 0) ||
        (other->solver == fields->solver && !memcmp(&other->config, &fields->config, sizeof other->config)))
        return true;
    const double here = fields->solver->cost_us(query->problem, query->facts, &fields->config) / other->predicted_us;
    const double expected = known_there(query, fields, &model, &measured) ? here / model * measured : here;
    return UPC_MAX(here, expected) <= agreed || expected <= promised;
}

// ------------------------------------------------------------------------------------------- what could matter

// All of these hold the lock.
static bool gathered(struct upc_tuning *tuning, size_t *count, const tuning_item *item)
{
    void *array = tuning->scratch;
    const bool room = upc_grow(tuning->env, &array, &tuning->scratch_capacity, *count + 1, sizeof *tuning->scratch);
    tuning->scratch = array;
    if (room)
        tuning->scratch[(*count)++] = item;
    return room;
}

static bool matters(const tuning_query *query, uint64_t problem_key, uint64_t class_key)
{
    return problem_key == query->problem_key || (class_key && class_key == query->class_key);
}

static bool shipped_ready(struct upc_tuning *tuning)
{
    const upc_shipped *shipped = tuning->shipped;
    if (!shipped || !shipped->record_count)
        return false;
    if (tuning->makers)
        return true;
    tuning_item **items = upc_alloc_array(tuning->env, shipped->record_count, sizeof *items);
    tuning_maker *makers = items ? upc_alloc_array(tuning->env, shipped->maker_count, sizeof *makers) : NULL;
    if (!makers) {
        upc_free(tuning->env, items);
        return false;
    }
    for (size_t i = 0; i < shipped->maker_count; i++) {
        const upc_shipped_maker *maker = &shipped->makers[i];
        makers[i].device = upc_record_device_named(maker->backend, maker->device, maker->vendor_id, maker->device_id);
        upc_kin_of(maker->backend, maker->vendor_id, maker->device, &makers[i].kin);
    }
    tuning->makers = makers;
    tuning->shipped_items = items;
    return true;
}

// Reads a shipped record, once. NULL: no memory; the look-up then does without it.
static const tuning_item *shipped_item(struct upc_tuning *tuning, const upc_shipped_maker *maker, size_t index)
{
    tuning_item **item = &tuning->shipped_items[index];
    if (*item)
        return *item;
    upc_string line;
    upc_record_fields fields;
    char reason[UPC_RECORD_REASON];
    upc_string_init(&line, tuning->env);
    upc_string_add(&line, "%s%s", maker->head, tuning->shipped->records[index].tail);
    if (!line.failed && upc_record_read(line.data, line.length, &fields, reason)) {
        *item = upc_tuning_item(tuning->env, &fields, NULL, 0);
        if (*item)
            (*item)->shipped = true;
    }
    upc_string_finish(&line);
    return *item;
}

static void gather_shipped(struct upc_tuning *tuning, const tuning_query *query, size_t *count)
{
    for (size_t i = 0; shipped_ready(tuning) && i < tuning->shipped->maker_count; i++) {
        const upc_shipped_maker *maker = &tuning->shipped->makers[i];
        upconv_tier tier;
        if (tuning->makers[i].device != query->device && !kin_to(&tuning->makers[i].kin, query, &tier))
            continue;
        for (size_t at = maker->first; at < (size_t)maker->first + maker->count; at++) {
            const upc_shipped_record *record = &tuning->shipped->records[at];
            const tuning_item *item =
                matters(query, record->problem, record->kind) ? shipped_item(tuning, maker, at) : NULL;
            if (item && !gathered(tuning, count, item))
                return;
        }
    }
}

static size_t gather(struct upc_tuning *tuning, const tuning_query *query)
{
    size_t count = 0;
    for (size_t i = 0; i < tuning->count; i++) {
        const upc_record_fields *fields = &tuning->items[i]->fields;
        if (matters(query, fields->problem_key, fields->class_key) && !gathered(tuning, &count, tuning->items[i]))
            return count;
    }
    gather_shipped(tuning, query, &count);
    return count;
}

// The best that was not declined. false: none.
static bool best_of(struct upc_tuning *tuning, const tuning_query *query, tuning_find *find)
{
    pthread_mutex_lock(&tuning->lock);
    const size_t count = gather(tuning, query);
    const tuning_item *const *items = tuning->scratch;
    tuning_candidate best = {.tier = UPCONV_TIER_MODEL};
    for (size_t i = 0; i < count; i++) {
        tuning_candidate other;
        if (rank(query, items[i], &other) && better(&other, &best) && !passed_over(query, &other) &&
            legal(query, &items[i]->fields) && !failed_here(items, count, query, &other))
            best = other;
    }
    if (best.item) {
        *find = (tuning_find){
            .fields = best.item->fields, .tier = best.tier, .distance = best.distance, .shipped = best.item->shipped};
        memcpy(find->key, best.item->key, sizeof find->key);
        find->unverified = best.tier == UPCONV_TIER_DRIVER && !verified_here(items, count, query, best.item);
    }
    pthread_mutex_unlock(&tuning->lock);
    return best.item != NULL;
}

bool upc_tuning_find(struct upc_tuning *tuning, const upc_problem *problem, const upc_facts *facts,
                     const upc_modeller *modeller, upc_record *record)
{
    tuning_query query = {.problem = problem,
                          .facts = facts,
                          .device = upc_record_device(&facts->info),
                          .driver = upc_record_driver(&facts->info),
                          .problem_key = upc_record_problem(problem),
                          .modeller = modeller};
    tuning_find find;
    upc_record_kin(&facts->info, &query.kin);
    // Records of this very problem first: an app that was tuned never reads the text of others.
    bool found = best_of(tuning, &query, &find);
    if (!found || find.tier != UPCONV_TIER_EXACT) {
        query.class_key = upc_record_class(problem);
        while ((found = best_of(tuning, &query, &find)) && !worthwhile(&query, &find))
            memcpy(query.declined[query.weighed++], find.key, sizeof find.key);
    }
    if (found)
        *record = (upc_record){find.fields.solver, find.fields.config, find.fields.time_us, find.tier,
                               find.shipped,       find.unverified};
    return found;
}

// ----------------------------------------------------------------------------------------------- for who searches

// As ranked above; and what helped any other device on a problem of the class, after all of that.
static bool worth_trying(const tuning_query *query, const tuning_item *item, tuning_candidate *candidate)
{
    if (rank(query, item, candidate))
        return true;
    if (!item->fields.ok || !item->fields.solver || item->fields.class_key != query->class_key)
        return false;
    *candidate = (tuning_candidate){item, UPCONV_TIER_COUNT, true, distance(&item->fields.problem, query->problem)};
    return true;
}

static bool listed(const upc_record *list, int count, const upc_record_fields *fields)
{
    for (int i = 0; i < count; i++)
        if (list[i].solver == fields->solver && !memcmp(&list[i].config, &fields->config, sizeof fields->config))
            return true;
    return false;
}

int upc_tuning_list(struct upc_tuning *tuning, const upc_problem *problem, const upc_facts *facts, upc_record *list,
                    int room)
{
    tuning_query query = {.problem = problem,
                          .facts = facts,
                          .device = upc_record_device(&facts->info),
                          .driver = upc_record_driver(&facts->info),
                          .problem_key = upc_record_problem(problem),
                          .class_key = upc_record_class(problem)};
    int found = 0;
    upc_record_kin(&facts->info, &query.kin);
    pthread_mutex_lock(&tuning->lock);
    const size_t count = gather(tuning, &query);
    for (tuning_candidate best = {.item = NULL}; found < room; best.item = NULL) {
        for (size_t i = 0; i < count; i++) {
            const tuning_item *item = tuning->scratch[i];
            tuning_candidate other;
            if (worth_trying(&query, item, &other) && better(&other, &best) && !listed(list, found, &item->fields) &&
                legal(&query, &item->fields) && !failed_here(tuning->scratch, count, &query, &other))
                best = other;
        }
        if (!best.item)
            break;
        list[found++] = (upc_record){.solver = best.item->fields.solver, .config = best.item->fields.config,
                                     .time_us = best.item->fields.time_us, .tier = best.tier};
    }
    pthread_mutex_unlock(&tuning->lock);
    return found;
}
