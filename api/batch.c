// Several plans at once: what they have to compile is gathered, compiled side by side, each program once, and handed
// out.
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A plan on its way. Its sentence is kept here, because another thread may have failed.
typedef struct item {
    upconv_plan *plan;
    upconv_plan_params params;
    upconv_status status;
    char sentence[UPC_SENTENCE];
} item;

// A program that a plan needs.
typedef struct need {
    uint64_t key[2];
    size_t item, program;
} need;

// A program to compile: for needs first .. first + count - 1, in order of keys.
typedef struct job {
    size_t first, count;
    upc_program *program;
    double ms;
    upconv_status status;
    char sentence[UPC_SENTENCE];
} job;

typedef struct batch {
    upconv_context *context;
    item *items;
    size_t item_count;
    need *needs;
    size_t need_count;
    job *jobs;
    size_t job_count;
} batch;

static void fail(item *of, upconv_status status, const char *sentence)
{
    of->status = status;
    snprintf(of->sentence, sizeof of->sentence, "%s", sentence);
}

static int by_key(const void *left, const void *right)
{
    const need *a = left, *b = right;
    for (int i = 0; i < 2; i++)
        if (a->key[i] != b->key[i])
            return a->key[i] < b->key[i] ? -1 : 1;
    return a->item != b->item ? (a->item < b->item ? -1 : 1) : (a->program > b->program) - (a->program < b->program);
}

// Without memory for it there are no jobs, and each plan gets its programs when it ends.
static void gather_jobs(batch *all)
{
    const upc_env *env = &all->context->env;
    size_t count = 0;
    for (size_t i = 0; i < all->item_count; i++)
        count += all->items[i].status ? 0 : all->items[i].plan->recipe.program_count;
    all->needs = upc_alloc_array(env, count, sizeof *all->needs);
    all->jobs = upc_alloc_array(env, count, sizeof *all->jobs);
    if (!all->needs || !all->jobs)
        return;
    for (size_t i = 0; i < all->item_count; i++)
        for (size_t k = 0; !all->items[i].status && k < all->items[i].plan->recipe.program_count; k++) {
            need *one = &all->needs[all->need_count++];
            *one = (need){.item = i, .program = k};
            upc_program_desc_key(&all->items[i].plan->recipe.programs[k], one->key);
        }
    qsort(all->needs, all->need_count, sizeof *all->needs, by_key);
    for (size_t i = 0; i < all->need_count; i++) {
        if (i == 0 || memcmp(all->needs[i].key, all->needs[i - 1].key, sizeof all->needs[i].key))
            all->jobs[all->job_count++].first = i;
        all->jobs[all->job_count - 1].count++;
    }
}

static void compile(void *data, int64_t index, int thread)
{
    (void)thread;
    batch *all = data;
    job *one = &all->jobs[index];
    const need *first = &all->needs[one->first];
    const uint64_t start = upc_now_ns();
    one->status =
        upc_program_get(all->context, &all->items[first->item].plan->recipe.programs[first->program], &one->program);
    if (one->status)
        snprintf(one->sentence, sizeof one->sentence, "%s", upc_last_error());
    one->ms = (double)(upc_now_ns() - start) / 1e6;
}

// Gives the program to all that need it, or the failure.
static void hand_out(batch *all, job *one)
{
    for (size_t i = one->first; i < one->first + one->count; i++) {
        item *to = &all->items[all->needs[i].item];
        if (one->status) {
            fail(to, one->status, one->sentence);
            continue;
        }
        upc_program_retain(one->program);
        to->plan->programs[all->needs[i].program] = one->program;
        to->plan->compile_ms += one->ms;
        to->plan->plan_ms += one->ms;
    }
    if (!one->status && one->count > 1)
        atomic_fetch_add(&all->context->env.counts.programs_shared, one->count - 1);
    upc_program_release(one->program);
}

// The first failure is the call's; all of them are in the log.
static upconv_status give_back(batch *all, upconv_plan_item *items)
{
    const item *first = NULL;
    size_t number = 0;
    for (size_t i = 0; i < all->item_count; i++) {
        const item *one = &all->items[i];
        items[i].status = one->status;
        items[i].plan = one->status ? NULL : one->plan;
        if (!one->status)
            continue;
        upconv_plan_destroy(one->plan);
        upc_log(&all->context->env, UPCONV_LOG_ERROR, "items[%zu] has no plan: %s", i, one->sentence);
        if (!first) {
            first = one;
            number = i;
        }
    }
    return first ? upc_fail(first->status, "items[%zu]: %s", number, first->sentence) : UPCONV_OK;
}

upconv_status upconv_plan_create_many(upconv_context *context, upconv_plan_item *items, size_t count, int32_t threads)
{
    if (!context || (!items && count))
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", context ? "items" : "context");
    if (threads < 0)
        return upc_fail(UPCONV_ERROR_INVALID, "threads is %d; it must not be negative", (int)threads);
    for (size_t i = 0; i < count; i++)
        if (!items[i].problem)
            return upc_fail(UPCONV_ERROR_INVALID, "items[%zu].problem is NULL", i);
    batch all = {.context = context, .item_count = count};
    for (size_t i = 0; i < count; i++) {
        items[i].plan = NULL;
        items[i].status = UPCONV_ERROR_HOST_MEMORY;
    }
    if (!(all.items = upc_alloc_array(&context->env, count, sizeof *all.items)))
        return upc_no_memory(count * sizeof *all.items);
    for (size_t i = 0; i < count; i++) {
        item *one = &all.items[i];
        const upconv_status status =
            upc_plan_begin(context, items[i].problem, items[i].params, &one->params, &one->plan);
        if (status)
            fail(one, status, upc_last_error());
    }
    gather_jobs(&all);
    upc_parallel(threads ? threads : upc_processors(), (int64_t)all.job_count, compile, &all);
    for (size_t i = 0; i < all.job_count; i++)
        hand_out(&all, &all.jobs[i]);
    for (size_t i = 0; i < count; i++) {
        item *one = &all.items[i];
        const upconv_status status = one->status ? UPCONV_OK : upc_plan_end(one->plan, &one->params);
        if (status)
            fail(one, status, upc_last_error());
    }
    const upconv_status status = give_back(&all, items);
    upc_free(&context->env, all.jobs);
    upc_free(&context->env, all.needs);
    upc_free(&context->env, all.items);
    return status;
}
