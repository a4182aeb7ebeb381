// How long the first call of each layer takes: first_call BACKEND FILE, a line `name problem` each, as upconv bench
// reads them. Not a test: it prints, for a plan from a warm program cache, the times of choosing, of the whole, of
// loading programs and of packing, beside a copy of as many bytes; and for all plans at once, from nothing, on one
// thread and on all.
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LAYERS = 256, REPEATS = 5, EVICT = 96 << 20 };

typedef struct layer {
    char name[64];
    upconv_problem problem;
    upconv_sizes sizes;
    float *weights;
    upconv_plan_params params;
} layer;

typedef struct bytes {
    char *data;
    size_t size, capacity;
} bytes;

static layer layers[MOST_LAYERS];
static size_t layer_count;
static char *evict; // memory to fill the caches with: weights that have just been read from a file are in none

static double ms_since(uint64_t start) { return (double)(upc_now_ns() - start) / 1e6; }

static bool read_layers(const char *path)
{
    char line[512], problem[400];
    FILE *file = fopen(path, "r");
    while (file && layer_count < MOST_LAYERS && fgets(line, sizeof line, file)) {
        layer *l = &layers[layer_count];
        if (*line == '#' || sscanf(line, "%63s %399s", l->name, problem) != 2)
            continue;
        l->problem = test_problem(problem);
        l->sizes.struct_size = sizeof l->sizes;
        if (upconv_problem_sizes(&l->problem, &l->sizes) || !(l->weights = malloc(l->sizes.weights_bytes)))
            return false;
        for (uint64_t i = 0; i < l->sizes.weights_elements; i++)
            l->weights[i] = (float)(i % 7);
        l->params = (upconv_plan_params){sizeof l->params, .weights = l->weights};
        layer_count++;
    }
    if (file)
        fclose(file);
    return layer_count > 0;
}

static int keep(void *user, const void *data, size_t size)
{
    bytes *all = user;
    if (all->size + size > all->capacity) {
        all->capacity = (all->size + size) * 2;
        all->data = realloc(all->data, all->capacity);
    }
    memcpy(all->data + all->size, data, size);
    all->size += size;
    return 0;
}

static void fill_caches(void)
{
    for (size_t i = 0; i < EVICT; i += 64)
        evict[i]++;
}

// The best of several, in turn, of packing and of copying the weights, both out of memory.
static void pack_and_copy(const upconv_plan *plan, const layer *l, double *pack_ms, double *copy_ms)
{
    const upconv_context *context = plan->context;
    const size_t room = (size_t)UPC_MAX(plan->recipe.packed_bytes, l->sizes.weights_bytes) + 64;
    char *to = malloc(room);
    *pack_ms = *copy_ms = 1e9;
    memset(to, 1, room);
    for (int i = 0; i < REPEATS; i++) {
        fill_caches();
        uint64_t start = upc_now_ns();
        plan->solver->pack(&context->env, &plan->problem, &context->facts, &plan->config, l->weights, UPCONV_FILTER_IOK,
                           to);
        *pack_ms = UPC_MIN(*pack_ms, ms_since(start));
        fill_caches();
        start = upc_now_ns();
        memcpy(to, l->weights, l->sizes.weights_bytes);
        *copy_ms = UPC_MIN(*copy_ms, ms_since(start));
    }
    free(to);
}

static void print_layer(upconv_context *context, const layer *l)
{
    upc_problem problem;
    upc_choice choice;
    double choose_ms = 1e9, again_ms = 1e9, pack_ms, copy_ms;
    upconv_plan *plan = NULL, *again = NULL;
    if (upc_problem_from(&l->problem, &problem))
        return;
    for (int i = 0; i < REPEATS; i++) {
        const uint64_t start = upc_now_ns();
        if (upc_plan_choose(context, &problem, &l->params, &choice, NULL))
            return;
        choose_ms = i ? UPC_MIN(choose_ms, ms_since(start)) : choose_ms; // the first fetches code
    }
    upconv_plan_info info = {sizeof info};
    if (upconv_plan_create(context, &l->problem, &l->params, &plan) || upconv_plan_info_get(plan, &info)) {
        printf("%-16s %s\n", l->name, upconv_last_error());
        return;
    }
    for (int i = 0; i < 2; i++) {
        const uint64_t start = upc_now_ns();
        if (!upconv_plan_create(context, &l->problem, &l->params, &again))
            again_ms = UPC_MIN(again_ms, ms_since(start));
        upconv_plan_destroy(again);
        again = NULL;
    }
    pack_and_copy(plan, l, &pack_ms, &copy_ms);
    const double megabytes = (double)l->sizes.weights_bytes / 1e6;
    printf("%-16s %-9s %9.4f %9.2f %9.2f %9.2f %9.2f %9.3f %8.2f %8.2f %6.2f\n", l->name, info.solver, choose_ms,
           info.plan_ms, info.compile_ms, again_ms, megabytes, pack_ms, megabytes / pack_ms, megabytes / copy_ms,
           copy_ms / pack_ms);
    upconv_plan_destroy(plan);
}

// All plans from nothing. The driver's own cache may still know them from an earlier run.
static bool make_all(upconv_backend backend, int32_t threads, bytes *cache)
{
    upconv_context *context = NULL;
    upconv_plan_item *items = calloc(layer_count, sizeof *items);
    if (!items || test_context_create(backend, NULL, &context))
        return false;
    for (size_t i = 0; i < layer_count; i++)
        items[i] = (upconv_plan_item){.problem = &layers[i].problem, .params = &layers[i].params};
    const uint64_t start = upc_now_ns();
    const upconv_status status = upconv_plan_create_many(context, items, layer_count, threads);
    const double ms = ms_since(start);
    upconv_counters counters = {sizeof counters};
    upconv_context_counters(context, &counters);
    printf("# %zu plans at once on %d threads: %.0f ms, %llu programs compiled%s%s\n", layer_count,
           threads ? (int)threads : upc_processors(), ms, (unsigned long long)counters.source_compiles,
           status ? ", " : "", status ? upconv_last_error() : "");
    if (cache)
        upconv_cache_export(context, keep, cache);
    for (size_t i = 0; i < layer_count; i++)
        upconv_plan_destroy(items[i].plan);
    upconv_context_destroy(context);
    free(items);
    return true;
}

int main(int argc, char **argv)
{
    upconv_backend backend;
    upconv_context *context = NULL;
    bytes cache = {0};
    evict = calloc(1, EVICT);
    if (argc < 3 || !evict || !test_backend_parse(argv[1], &backend) || !read_layers(argv[2])) {
        fprintf(stderr, "usage: first_call vulkan|opencl|cpu FILE\n");
        return 2;
    }
    if (!make_all(backend, 0, &cache) || !make_all(backend, 1, NULL) || !make_all(backend, 0, NULL))
        return 1;
    uint64_t start = upc_now_ns();
    if (test_context_create(backend, NULL, &context))
        return 1;
    printf("# context %.2f ms", ms_since(start));
    start = upc_now_ns();
    upconv_cache_import(context, cache.data, cache.size);
    printf(", %zu bytes of program cache imported in %.2f ms\n", cache.size, ms_since(start));
    upconv_peaks peaks = {sizeof peaks};
    if (!upconv_device_peaks(context, &peaks))
        printf("# the device's own copying: %.1f GB/s, of what is read and what is written together\n",
               peaks.copy_gbytes);
    printf("%-16s %-9s %9s %9s %9s %9s %9s %9s %8s %8s %6s\n", "name", "solver", "choose ms", "plan ms", "load ms",
           "again ms", "MB", "pack ms", "GB/s", "copy", "share");
    for (size_t i = 0; i < layer_count; i++)
        print_layer(context, &layers[i]);
    upconv_context_destroy(context);
    for (size_t i = 0; i < layer_count; i++)
        free(layers[i].weights);
    free(cache.data);
    free(evict);
    return 0;
}
