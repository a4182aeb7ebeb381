#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

static const double warm_below_us = 50000; // what takes longer does not profit from a run beforehand

// What counts against a rival, and the share of its speed below which a problem is named.
typedef struct rival_rule {
    const char *rival;
    double least;
    int channels;     // only problems of one group with as many input and output channels,
    double intensity; // and so many operations a byte
    const char *below, *which;
} rival_rule;

static const rival_rule rules[] = {
    {"openblas", 0.75, 64, 20, "75 % of openblas", "one group, 64 or more channels in and out, 20 or more FLOP a byte"},
    {"", 0.5, 0, 0, "half of it", "all that both ran"},
};

static const rival_rule *rule_of(const rival *r)
{
    const rival_rule *at = rules;
    while (*at->rival && strcmp(at->rival, rival_name(r)) != 0)
        at++;
    return at;
}

static bool counts(const rival_rule *rule, const upconv_problem *problem, const measurement *m)
{
    return !rule->channels || (problem->groups <= 1 && problem->in_channels >= rule->channels &&
                               problem->out_channels >= rule->channels && m->flops >= rule->intensity * m->bytes);
}

// ------------------------------------------------------------------------------------------------ start, end

bool comparison_start(comparison *c, const char *list, const char *python, char *error, size_t error_size)
{
    char name[32];
    *c = (comparison){0};
    for (const char *at = list; at;) {
        size_t length = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), at);
        if (c->count == MOST_RIVALS) {
            snprintf(error, error_size, "%s: no more than %d at once", list, MOST_RIVALS);
            return false;
        }
        if (!(c->rivals[c->count] = rival_start(name, python, error, error_size)))
            return false;
        c->count++;
        at = at[length] ? at + length + 1 : NULL;
    }
    return true;
}

bool comparison_greet(comparison *c, const upconv_device_info *device, char *error, size_t error_size)
{
    for (size_t i = 0; i < c->count; i++)
        if (!rival_greet(c->rivals[i], device, error, error_size))
            return false;
    return true;
}

void comparison_finish(comparison *c)
{
    for (size_t i = 0; i < c->count; i++) {
        rival_stop(c->rivals[i]);
        free(c->scores[i].below);
        free(c->scores[i].refused);
    }
    *c = (comparison){0};
}

// ------------------------------------------------------------------------------------------------ one problem

typedef struct side {
    bool ready;
    samples times;
    double median_us, best_us, gflops, ratio;
    bool low;      // below what the rule asks for
    char why[512]; // not ready
} side;

static bool turn(rival *r, side *theirs, double seconds, int round)
{
    bool warm = round == 0 || samples_median(&theirs->times) < warm_below_us;
    theirs->ready = rival_run(r, seconds, warm, &theirs->times, theirs->why, sizeof theirs->why);
    return theirs->ready;
}

static bool take_turns(const comparison *c, trial *t, const measure_options *options, samples *ours, side *theirs,
                       char *error, size_t error_size)
{
    int rounds = options->runs;
    double seconds = options->seconds / rounds;
    for (int round = 0; round < rounds; round++) {
        bool warm = round == 0 || samples_median(ours) < warm_below_us;
        if (!trial_run(t, 1, seconds, warm, ours, error, error_size))
            return false;
        for (size_t i = 0; i < c->count; i++)
            if (theirs[i].ready)
                turn(c->rivals[i], &theirs[i], seconds, round);
    }
    return true;
}

static bool add_name(char **list, const char *name)
{
    size_t length = *list ? strlen(*list) : 0;
    char *grown = realloc(*list, length + strlen(name) + 2);
    if (!grown)
        return false;
    sprintf(grown + length, "%s%s", length ? " " : "", name);
    *list = grown;
    return true;
}

static bool judge(comparison *c, const named_problem *item, const upconv_problem *problem, const measurement *ours,
                  bool best, side *theirs)
{
    for (size_t i = 0; i < c->count; i++) {
        side *s = &theirs[i];
        rival_score *score = &c->scores[i];
        const rival_rule *rule = rule_of(c->rivals[i]);
        if (!s->ready) {
            if (!add_name(&score->refused, report_name(item)))
                return false;
            continue;
        }
        s->median_us = samples_median(&s->times);
        s->best_us = samples_best(&s->times);
        double flops = rival_flops(c->rivals[i]) > 0 ? rival_flops(c->rivals[i]) : ours->flops;
        s->gflops = flops / fmax(best ? s->best_us : s->median_us, 1e-3) * 1e-3;
        s->ratio = ours->gflops / s->gflops;
        if (!counts(rule, problem, ours))
            continue;
        score->count++;
        score->ours += log(ours->gflops);
        score->theirs += log(s->gflops);
        s->low = s->ratio < rule->least;
        if (s->low && !add_name(&score->below, report_name(item)))
            return false;
    }
    return true;
}

static void print_line(const comparison *c, const report *r, const named_problem *item, const measurement *m,
                       const side *theirs)
{
    printf("%-16s %-10s %9.2f", *item->name ? item->name : "-", m->solver, m->gflops);
    for (size_t i = 0; i < c->count; i++) {
        if (theirs[i].ready)
            printf(" %9.2f %6.2f%c", theirs[i].gflops, theirs[i].ratio, theirs[i].low ? '<' : ' ');
        else
            printf(" %9s %6s ", "-", "-");
    }
    report_roof(r, m);
    printf("  %-44s %s\n", item->text, m->config);
    for (size_t i = 0; i < c->count; i++)
        if (!theirs[i].ready)
            printf("#   %s\n", theirs[i].why);
}

static bool add_side(cJSON *object, const rival *r, const side *s)
{
    cJSON *theirs = cJSON_AddObjectToObject(object, rival_name(r));
    if (!theirs || !s->ready)
        return theirs && session_json_text(theirs, "refused", s->why);
    return session_json_text(theirs, "how", rival_how(r)) &&
           cJSON_AddNumberToObject(theirs, "median_us", s->median_us) &&
           cJSON_AddNumberToObject(theirs, "best_us", s->best_us) &&
           cJSON_AddNumberToObject(theirs, "gflops", s->gflops) && cJSON_AddNumberToObject(theirs, "ratio", s->ratio);
}

static bool print_json(const comparison *c, const report *r, const named_problem *item, const upconv_problem *problem,
                       const measurement *m, const side *theirs)
{
    cJSON *line = report_json(r, item, problem);
    bool added = report_add_measurement(r, line, m);
    cJSON *rivals = added ? cJSON_AddObjectToObject(line, "rivals") : NULL;
    added = rivals != NULL;
    for (size_t i = 0; i < c->count && added; i++)
        added = add_side(rivals, c->rivals[i], &theirs[i]);
    if (!added) {
        cJSON_Delete(line);
        line = NULL;
    }
    return report_print_json(line);
}

bool comparison_problem(comparison *c, const report *r, upconv_context *context, const measure_options *options,
                        const named_problem *item, const upconv_problem *problem, char *error, size_t error_size)
{
    side theirs[MOST_RIVALS] = {{0}};
    samples ours = {0};
    measurement m;
    bool fine = false;
    trial *t = trial_open(context, problem, options, error, error_size);
    if (!t)
        return false;
    for (size_t i = 0; i < c->count; i++)
        theirs[i].ready = rival_prepare(c->rivals[i], problem, theirs[i].why, sizeof theirs[i].why);
    if (!take_turns(c, t, options, &ours, theirs, error, error_size) ||
        !trial_describe(t, options, &ours, &m, error, error_size))
        goto end;
    fine = judge(c, item, problem, &m, options->best, theirs);
    if (fine && r->json)
        fine = print_json(c, r, item, problem, &m, theirs);
    else if (fine)
        print_line(c, r, item, &m, theirs);
    if (!fine)
        snprintf(error, error_size, "no memory");
end:
    trial_close(t);
    samples_finish(&ours);
    for (size_t i = 0; i < c->count; i++)
        samples_finish(&theirs[i].times);
    return fine;
}

// ---------------------------------------------------------------------------------------------- before, after

void comparison_header(const comparison *c, const report *r, bool best)
{
    for (size_t i = 0; i < c->count; i++)
        printf("# %s: %s\n", rival_name(c->rivals[i]), rival_about(c->rivals[i]));
    printf("# GFLOPS by %s, all sides in turn; x: ours / theirs\n", best ? "best times" : "medians");
    printf("%-16s %-10s %9s", "name", "solver", "upconv");
    for (size_t i = 0; i < c->count; i++)
        printf(" %9s %6s ", rival_name(c->rivals[i]), "x");
    report_roof_header(r);
    printf("  %-44s %s\n", "problem", "config");
}

static double mean(const rival_score *s, double sum) { return s->count ? exp(sum / (double)s->count) : 0; }

static void print_score(const rival *r, const rival_score *s)
{
    const rival_rule *rule = rule_of(r);
    printf("# against %s (%s): ", rival_name(r), rule->which);
    if (s->count)
        printf("geometric mean over %zu: %.2f to %.2f GFLOPS, %.3f times\n#   below %s: %s\n", s->count,
               mean(s, s->ours), mean(s, s->theirs), mean(s, s->ours - s->theirs), rule->below,
               s->below ? s->below : "none");
    else
        printf("no problem counts\n");
    if (s->refused)
        printf("#   not run by %s: %s\n", rival_name(r), s->refused);
}

static bool add_words(cJSON *object, const char *key, const char *words)
{
    cJSON *array = cJSON_AddArrayToObject(object, key);
    char word[256];
    for (const char *at = words; array && at && *at;) {
        size_t length = strcspn(at, " ");
        snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1), at);
        if (!cJSON_AddItemToArray(array, cJSON_CreateString(word)))
            return false;
        at += length + (at[length] == ' ');
    }
    return array != NULL;
}

static bool add_score(cJSON *object, const rival *r, const rival_score *s)
{
    cJSON *one = cJSON_AddObjectToObject(object, rival_name(r));
    return one && session_json_text(one, "about", rival_about(r)) &&
           cJSON_AddNumberToObject(one, "count", (double)s->count) &&
           cJSON_AddNumberToObject(one, "ours_gflops", mean(s, s->ours)) &&
           cJSON_AddNumberToObject(one, "theirs_gflops", mean(s, s->theirs)) &&
           cJSON_AddNumberToObject(one, "ratio", mean(s, s->ours - s->theirs)) && add_words(one, "below", s->below) &&
           add_words(one, "refused", s->refused);
}

bool comparison_summary(const comparison *c, const report *r)
{
    cJSON *line = r->json ? cJSON_CreateObject() : NULL;
    cJSON *all = line ? cJSON_AddObjectToObject(line, "summary") : NULL;
    bool added = all != NULL;
    for (size_t i = 0; i < c->count; i++) {
        if (!r->json)
            print_score(c->rivals[i], &c->scores[i]);
        else
            added = added && add_score(all, c->rivals[i], &c->scores[i]);
    }
    if (!r->json)
        return true;
    if (!added) {
        cJSON_Delete(line);
        line = NULL;
    }
    return report_print_json(line);
}
