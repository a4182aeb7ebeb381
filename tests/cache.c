// The program cache across processes, and damaged caches. cache BACKEND
// The second process (cache BACKEND --import FILE) must compile nothing from source; what it takes from start to its first
// result is printed beside the first process's.
#include "testing.h"

#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *const problems[] = {"ic5oc7_ih9oh18kh4sh2ph1", "g2ic4oc6_ih6oh16kh3sh2ph-1dh1+relu"};

typedef struct blob {
    unsigned char *bytes;
    size_t size, capacity;
} blob;

static int append(void *user, const void *data, size_t size)
{
    blob *b = user;
    if (b->size + size > b->capacity) {
        const size_t capacity = (b->size + size) * 2;
        unsigned char *bytes = realloc(b->bytes, capacity);
        if (!bytes)
            return 1;
        b->bytes = bytes;
        b->capacity = capacity;
    }
    memcpy(b->bytes + b->size, data, size);
    b->size += size;
    return 0;
}

static double ms_since(uint64_t start) { return (double)(upc_now_ns() - start) / 1e6; }

// Plans and executes every problem; true when all results are right. The time to the first result goes to *first_ms.
static bool run_all(upconv_context *context, double *first_ms)
{
    const uint64_t start = upc_now_ns();
    for (size_t i = 0; i < UPC_COUNT(problems); i++) {
        test_case test;
        test_random random = {31 + i};
        upconv_plan *plan = NULL;
        const upconv_problem problem = test_problem(problems[i]);
        if (!test_case_init(&test, &problem, UPCONV_FILTER_IOK, true, true, &random))
            return false;
        const upconv_plan_params params = {sizeof params, .weights = test.weights, .bias = test.bias};
        float *output = malloc((size_t)test.sizes.output_bytes);
        bool ok = output && !upconv_plan_create(context, &problem, &params, &plan) &&
                  !upconv_execute(plan, test.input, output);
        if (!ok)
            printf("FAILED %s: %s\n", problems[i], upconv_last_error());
        if (i == 0)
            *first_ms = ms_since(start);
        if (ok && test_case_compare(&test, output) >= 0) {
            printf("FAILED %s: wrong result\n", problems[i]);
            ok = false;
        }
        upconv_plan_destroy(plan);
        free(output);
        test_case_finish(&test);
        if (!ok)
            return false;
    }
    return true;
}

static upconv_counters counters_of(const upconv_context *context)
{
    upconv_counters counters = {sizeof counters};
    upconv_context_counters(context, &counters);
    return counters;
}

// What the second process does: nothing may be compiled from source.
static int import_and_run(upconv_backend backend, const char *path)
{
    const uint64_t start = upc_now_ns();
    upconv_context *context = NULL;
    FILE *file = fopen(path, "rb");
    blob b = {0};
    unsigned char piece[65536];
    double first_ms = 0;
    for (size_t got; file && (got = fread(piece, 1, sizeof piece, file)) > 0;)
        append(&b, piece, got);
    if (file)
        fclose(file);
    bool ok = b.size && !test_context_create(backend, NULL, &context) &&
              !upconv_cache_import(context, b.bytes, b.size);
    if (!ok)
        printf("FAILED import of %zu bytes: %s\n", b.size, upconv_last_error());
    ok = ok && run_all(context, &first_ms);
    if (ok) {
        const upconv_counters counters = counters_of(context);
        printf("second process: %.1f ms to the first result, %.1f ms with opening the device; compiled %" PRIu64
               ", loaded %" PRIu64 "\n",
               first_ms, ms_since(start), counters.source_compiles, counters.binary_loads);
        ok = counters.source_compiles == 0 && counters.binary_loads > 0 && counters.skipped_blobs == 0;
        if (!ok)
            printf("FAILED it compiled from source or skipped blobs\n");
    }
    upconv_context_destroy(context);
    free(b.bytes);
    return ok ? 0 : 1;
}

static bool second_process(const char *self, const char *backend, const blob *b)
{
    char path[] = "/tmp/upconv-cache-XXXXXX";
    const int file = mkstemp(path);
    bool ok = file >= 0 && write(file, b->bytes, b->size) == (ssize_t)b->size;
    if (file >= 0)
        close(file);
    char import[] = "--import";
    char *arguments[] = {(char *)self, (char *)backend, import, path, NULL};
    pid_t child;
    int status = -1;
    fflush(stdout);
    ok = ok && posix_spawn(&child, self, NULL, NULL, arguments, environ) == 0;
    while (ok && waitpid(child, &status, 0) < 0)
        ok = errno == EINTR;
    unlink(path);
    return ok && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

typedef struct damage {
    const char *name;
    void (*apply)(blob *b);
} damage;

static void truncate_little(blob *b) { b->size -= 1; }
static void truncate_half(blob *b) { b->size /= 2; }
static void truncate_header(blob *b) { b->size = UPC_MIN(b->size, 5); }
static void flip_magic(blob *b) { b->bytes[0] ^= 0x20; }
static void flip_middle(blob *b) { b->bytes[b->size / 2] ^= 0x01; }
static void flip_last(blob *b) { b->bytes[b->size - 1] ^= 0x80; }
static void fill_ff(blob *b) { memset(b->bytes + b->size / 3, 0xff, b->size / 3); }
static void random_bytes(blob *b)
{
    test_random random = {12};
    for (size_t i = 0; i < b->size; i++)
        b->bytes[i] = (unsigned char)test_bits(&random);
}

static const damage damages[] = {
    {"one byte short", truncate_little}, {"half", truncate_half},       {"five bytes", truncate_header},
    {"foreign magic", flip_magic},       {"a bit flipped", flip_middle}, {"the last bit flipped", flip_last},
    {"a third overwritten", fill_ff},    {"noise", random_bytes},
};

static bool damaged(upconv_backend backend, const blob *whole, const damage *kind)
{
    upconv_context *context = NULL;
    double ms;
    blob copy = {malloc(whole->size), whole->size, whole->size};
    if (!copy.bytes)
        return false;
    memcpy(copy.bytes, whole->bytes, whole->size);
    kind->apply(&copy);
    bool ok = !test_context_create(backend, NULL, &context);
    if (ok) {
        const upconv_status status = upconv_cache_import(context, copy.bytes, copy.size);
        ok = status == UPCONV_OK || status == UPCONV_ERROR_DATA;
        ok = ok && run_all(context, &ms);
    }
    if (!ok)
        printf("FAILED after a damaged cache (%s): %s\n", kind->name, upconv_last_error());
    upconv_context_destroy(context);
    free(copy.bytes);
    return ok;
}

int main(int argc, char **argv)
{
    upconv_backend backend;
    upconv_context *context = NULL;
    blob b = {0};
    char why[512];
    double first_ms = 0;
    if (argc < 2 || !test_backend_parse(argv[1], &backend)) {
        fprintf(stderr, "usage: cache vulkan|opencl [--import FILE]\n");
        return 2;
    }
    if (!test_backend_present(backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return test_report(0, 0, 1);
    }
    if (argc == 4)
        return import_and_run(backend, argv[3]);

    uint64_t failed = 0, passed = 0;
    const uint64_t start = upc_now_ns();
    bool ok = !test_context_create(backend, NULL, &context) && run_all(context, &first_ms);
    if (ok) {
        const upconv_counters counters = counters_of(context);
        printf("first process: %.1f ms to the first result, %.1f ms in all; compiled %" PRIu64 "\n", first_ms,
               ms_since(start), counters.source_compiles);
        ok = counters.source_compiles > 0 && !upconv_cache_export(context, append, &b) && b.size > 0;
    }
    if (!ok)
        printf("FAILED export: %s\n", upconv_last_error());
    upconv_context_destroy(context);
    ok ? passed++ : failed++;
    if (ok)
        second_process(argv[0], argv[1], &b) ? passed++ : failed++;
    for (size_t i = 0; ok && i < UPC_COUNT(damages); i++)
        damaged(backend, &b, &damages[i]) ? passed++ : failed++;
    free(b.bytes);
    return test_report(passed, failed, 0);
}
