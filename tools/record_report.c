#include "record_report.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

static bool print_json(cJSON *object)
{
    char *text = object ? cJSON_PrintUnformatted(object) : NULL;
    if (text)
        puts(text);
    cJSON_free(text);
    return text != NULL;
}

// ------------------------------------------------------------------------------------------------------- stats

enum { NAMES = 16, NAME = 24 };

// How often words occur; what is more than fits is counted as "others".
typedef struct tally {
    char name[NAMES][NAME];
    size_t count[NAMES], used;
} tally;

static void count_word(tally *t, const char *word, size_t length)
{
    char name[NAME];
    size_t i = 0;
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    while (i < t->used && strcmp(t->name[i], name))
        i++;
    if (i == NAMES)
        strcpy(t->name[i = NAMES - 1], "others");
    else if (i == t->used)
        strcpy(t->name[t->used++], name);
    t->count[i]++;
}

static void print_tally(const tally *t, const char *before)
{
    for (size_t i = 0; i < t->used; i++)
        printf("%s%zu %s", i ? ", " : before, t->count[i], t->name[i]);
}

static bool add_tally(cJSON *object, const char *key, const tally *t)
{
    cJSON *counts = cJSON_AddObjectToObject(object, key);
    bool fine = counts != NULL;
    for (size_t i = 0; fine && i < t->used; i++)
        fine = cJSON_AddNumberToObject(counts, t->name[i], (double)t->count[i]) != NULL;
    return fine;
}

typedef struct device_stats {
    const record *first;
    size_t records, problems;
    size_t known, compared; // problems with a winner; those of them whose winner has a reference
    double log_gain;        // sum of logarithms over the compared
    tally verdicts, solvers;
    const char *from, *to; // dates, or ""
} device_stats;

static void count_record(device_stats *s, const record *r, bool first_of_problem)
{
    const char *date = r->info.date;
    s->records++;
    s->problems += first_of_problem;
    count_word(&s->verdicts, r->verdict, strlen(r->verdict));
    if (*date && (!*s->from || strcmp(date, s->from) < 0))
        s->from = date;
    if (*date && strcmp(date, s->to) > 0)
        s->to = date;
    if (!first_of_problem || !r->info.ok)
        return;
    s->known++;
    count_word(&s->solvers, r->solver, strcspn(r->solver, ":"));
    if (r->reference_us > 0) {
        s->compared++;
        s->log_gain += log(r->reference_us / r->info.time_us);
    }
}

static bool print_device(const device_stats *s, bool json)
{
    const record *r = s->first;
    const double gain = s->compared ? exp(s->log_gain / (double)s->compared) : 0;
    if (!json) {
        printf("%s, %s, %s\n  %zu problems, %zu of them known; %zu records", r->backend, r->device, r->driver,
               s->problems, s->known, s->records);
        print_tally(&s->verdicts, ": ");
        if (gain > 0)
            printf("\n  %.2f times as fast as the reference, geometric mean of %zu", gain, s->compared);
        print_tally(&s->solvers, "\n  fastest: ");
        printf(*s->from ? "\n  %s to %s\n" : "\n", s->from, s->to);
        return true;
    }
    cJSON *object = cJSON_CreateObject();
    bool fine = object && session_json_text(object, "backend", r->backend) &&
                session_json_text(object, "device", r->device) && session_json_text(object, "driver", r->driver) &&
                cJSON_AddNumberToObject(object, "problems", (double)s->problems) &&
                cJSON_AddNumberToObject(object, "known", (double)s->known) &&
                cJSON_AddNumberToObject(object, "records", (double)s->records) &&
                add_tally(object, "verdicts", &s->verdicts) && add_tally(object, "solvers", &s->solvers);
    if (fine && gain > 0)
        fine = cJSON_AddNumberToObject(object, "gain", gain) != NULL;
    if (fine && *s->from)
        fine = cJSON_AddStringToObject(object, "from", s->from) && cJSON_AddStringToObject(object, "to", s->to);
    fine = fine && print_json(object);
    cJSON_Delete(object);
    return fine;
}

bool record_stats(const record_set *set, bool json)
{
    size_t i = 0;
    while (i < set->count && !set->all[i].foreign) {
        device_stats s = {.first = &set->all[i], .from = "", .to = ""};
        for (; i < set->count && !set->all[i].foreign; i++) {
            const record *r = &set->all[i];
            if (r->info.device != s.first->info.device || r->info.driver != s.first->info.driver)
                break;
            count_record(&s, r, r == s.first || !record_same_group(r, r - 1));
        }
        if (!print_device(&s, json))
            return false;
    }
    if (i < set->count && !json)
        printf("%zu records of a newer format\n", set->count - i);
    return true;
}

// -------------------------------------------------------------------------------------------------------- diff

// The best of each device and problem, in an order that both sides share.
static int by_device_and_problem(const record *a, const record *b)
{
    if (a->info.device != b->info.device)
        return a->info.device < b->info.device ? -1 : 1;
    if (a->info.problem != b->info.problem)
        return a->info.problem < b->info.problem ? -1 : 1;
    return 0;
}

static int by_best(const void *a, const void *b)
{
    const record *x = *(const record *const *)a, *y = *(const record *const *)b;
    const int order = by_device_and_problem(x, y);
    if (order)
        return order;
    if (x->info.ok != y->info.ok)
        return x->info.ok ? -1 : 1;
    return (x->info.time_us > y->info.time_us) - (x->info.time_us < y->info.time_us);
}

static const record **best_ones(const record_set *set, size_t *count)
{
    const record **list = calloc(set->count + 1, sizeof *list);
    size_t all = 0;
    *count = 0;
    for (size_t i = 0; list && i < set->count; i++)
        if (!set->all[i].foreign)
            list[all++] = &set->all[i];
    if (list && all)
        qsort(list, all, sizeof *list, by_best);
    for (size_t i = 0; list && i < all; i++)
        if (!*count || by_device_and_problem(list[*count - 1], list[i]))
            list[(*count)++] = list[i];
    return list;
}

// What became of a problem; NULL: nothing.
static const char *change(const record *a, const record *b, double noise)
{
    if (!a || !b)
        return a ? "gone" : "new";
    if (a->info.ok != b->info.ok)
        return b->info.ok ? "works now" : "fails now";
    if (!a->info.ok)
        return NULL;
    const double ratio = b->info.time_us / a->info.time_us;
    if (ratio > 1 + noise)
        return "slower";
    if (ratio < 1 / (1 + noise))
        return "faster";
    return strcmp(a->solver, b->solver) ? "other winner" : NULL;
}

static bool add_side(cJSON *object, const char *key, const record *r)
{
    if (!r)
        return true;
    cJSON *side = cJSON_AddObjectToObject(object, key);
    return side && session_json_text(side, "driver", r->driver) && session_json_text(side, "solver", r->solver) &&
           session_json_text(side, "verdict", r->verdict) && cJSON_AddNumberToObject(side, "time_us", r->info.time_us);
}

static void print_side(const record *r)
{
    if (r && r->info.ok)
        printf("  %10.1f us %s", r->info.time_us, r->solver);
    else
        printf("  %s%s%s", r ? r->verdict : "-", r ? " " : "", r ? r->solver : "");
}

static bool print_change(const char *what, const record *a, const record *b, bool json)
{
    const record *any = a ? a : b;
    if (!json) {
        printf("%-12s %s, %s: %s\n", what, any->backend, any->device, any->problem);
        print_side(a);
        printf("  ->");
        print_side(b);
        putchar('\n');
        return true;
    }
    cJSON *object = cJSON_CreateObject();
    const bool fine = object && cJSON_AddStringToObject(object, "change", what) &&
                      session_json_text(object, "backend", any->backend) &&
                      session_json_text(object, "device", any->device) &&
                      session_json_text(object, "problem", any->problem) && add_side(object, "before", a) &&
                      add_side(object, "after", b) && print_json(object);
    cJSON_Delete(object);
    return fine;
}

bool record_diff(const record_set *before, const record_set *after, double noise, bool json)
{
    size_t count[2], at[2] = {0, 0}, same = 0, changes = 0;
    const record **list[2] = {best_ones(before, &count[0]), best_ones(after, &count[1])};
    bool fine = list[0] && list[1];
    while (fine && (at[0] < count[0] || at[1] < count[1])) {
        const record *a = at[0] < count[0] ? list[0][at[0]] : NULL, *b = at[1] < count[1] ? list[1][at[1]] : NULL;
        const int order = !a ? 1 : !b ? -1 : by_device_and_problem(a, b);
        a = order <= 0 ? a : NULL;
        b = order >= 0 ? b : NULL;
        at[0] += a != NULL;
        at[1] += b != NULL;
        const char *what = change(a, b, noise);
        same += !what;
        changes += what != NULL;
        fine = !what || print_change(what, a, b, json);
    }
    if (fine && !json)
        printf("%zu problems the same, %zu not\n", same, changes);
    free(list[0]);
    free(list[1]);
    return fine;
}
