// The program cache: the bag, its file, and every way in which a file can be wrong.
#include "fake_context.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PROGRAMS = 3 };
static const uint64_t keys[PROGRAMS][2] = {{7, 1}, {2, 9}, {7, 0}};
static const char *const programs[PROGRAMS] = {"UPCE a program that holds the entries' mark UPCE", "", "x"};

static void setup(fake_context *fake)
{
    assert_true(fake_context_init(fake, UPCONV_BACKEND_VULKAN, "Adreno 660", "turnip 22.3.6"));
}

static void fill(fake_context *fake)
{
    for (int i = 0; i < PROGRAMS; i++)
        upc_cache_store(&fake->context.env, keys[i], programs[i], strlen(programs[i]));
}

static uint64_t skipped(fake_context *fake) { return atomic_load(&fake->context.env.counts.skipped_blobs); }

// How many of the programs are there; each that is must be right.
static int held(fake_context *fake)
{
    int count = 0;
    for (int i = 0; i < PROGRAMS; i++) {
        size_t size = 0;
        char *bytes = upc_cache_find(&fake->context.env, keys[i], &size);
        if (!bytes)
            continue;
        assert_int_equal(size, strlen(programs[i]));
        assert_memory_equal(bytes, programs[i], size);
        upc_free(&fake->context.env, bytes);
        count++;
    }
    return count;
}

static void made(fake_file *file, bool driver)
{
    fake_context fake;
    setup(&fake);
    fill(&fake);
    if (driver) {
        memcpy(fake.driver_cache, "driver", 6);
        fake.driver_cache_size = 6;
    }
    assert_int_equal(upconv_cache_export(&fake.context, fake_file_write, file), UPCONV_OK);
    fake_context_finish(&fake);
}

// Imports into a fresh context; the memory is exactly as long as the data, so that a sanitizer sees every
// step too far.
static upconv_status import(fake_context *fake, const void *data, size_t size)
{
    void *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    const upconv_status status = upconv_cache_import(&fake->context, copy, size);
    free(copy);
    return status;
}

static void bag(void **state)
{
    (void)state;
    fake_context fake;
    setup(&fake);
    size_t size;
    assert_null(upc_cache_find(&fake.context.env, keys[0], &size));
    fill(&fake);
    fill(&fake);
    assert_int_equal(held(&fake), PROGRAMS);
    upc_cache_store(&fake.context.env, keys[0], "newer", 5);
    char *bytes = upc_cache_find(&fake.context.env, keys[0], &size);
    assert_non_null(bytes);
    assert_int_equal(size, 5);
    assert_memory_equal(bytes, "newer", 5);
    upc_free(&fake.context.env, bytes);
    upc_cache_drop(&fake.context.env, keys[0]);
    upc_cache_drop(&fake.context.env, keys[0]);
    assert_int_equal(held(&fake), PROGRAMS - 1);
    fake_context_finish(&fake);
    assert_int_equal(atomic_load(&fake.live), 0);
    // Without a cache nothing is kept, and nothing breaks.
    assert_null(upc_cache_find(&fake.context.env, keys[0], &size));
    upc_cache_store(&fake.context.env, keys[0], "x", 1);
    upc_cache_drop(&fake.context.env, keys[0]);
    upc_cache_destroy(&fake.context.env);
}

static void many(void **state)
{
    (void)state;
    fake_context fake;
    setup(&fake);
    for (uint64_t i = 0; i < 500; i++) {
        const uint64_t key[2] = {i * 7919 % 500, i};
        upc_cache_store(&fake.context.env, key, &i, sizeof i);
    }
    for (uint64_t i = 0; i < 500; i++) {
        const uint64_t key[2] = {i * 7919 % 500, i};
        size_t size = 0;
        uint64_t *bytes = upc_cache_find(&fake.context.env, key, &size);
        assert_non_null(bytes);
        assert_int_equal(size, sizeof i);
        assert_int_equal(*bytes, i);
        upc_free(&fake.context.env, bytes);
    }
    fake_context_finish(&fake);
}

static void round_trip(void **state)
{
    (void)state;
    fake_file file = {0}, again = {0};
    made(&file, true);
    fake_context fake;
    setup(&fake);
    assert_int_equal(import(&fake, file.data, file.size), UPCONV_OK);
    assert_int_equal(held(&fake), PROGRAMS);
    assert_int_equal(skipped(&fake), 0);
    assert_int_equal(fake.driver_cache_size, 6);
    assert_memory_equal(fake.driver_cache, "driver", 6);
    // A second import of the same changes nothing, and an export of it is the same file.
    assert_int_equal(import(&fake, file.data, file.size), UPCONV_OK);
    assert_int_equal(upconv_cache_export(&fake.context, fake_file_write, &again), UPCONV_OK);
    assert_int_equal(again.size, file.size);
    assert_memory_equal(again.data, file.data, file.size);
    fake_context_finish(&fake);
    assert_int_equal(atomic_load(&fake.live), 0);
    fake_file_finish(&file);
    fake_file_finish(&again);
}

static void empty(void **state)
{
    (void)state;
    fake_file file = {0};
    fake_context fake;
    setup(&fake);
    assert_int_equal(upconv_cache_export(&fake.context, fake_file_write, &file), UPCONV_OK);
    assert_true(file.size > 0);
    assert_int_equal(import(&fake, file.data, file.size), UPCONV_OK);
    assert_int_equal(skipped(&fake), 0);
    assert_int_equal(import(&fake, file.data, 0), UPCONV_ERROR_DATA);
    assert_int_equal(skipped(&fake), 1);
    fake_context_finish(&fake);
    fake_file_finish(&file);
}

static void foreign(void **state)
{
    (void)state;
    static const struct {
        upconv_backend backend;
        const char *name, *driver;
    } others[] = {{UPCONV_BACKEND_OPENCL, "Adreno 660", "turnip 22.3.6"},
                  {UPCONV_BACKEND_VULKAN, "Adreno 661", "turnip 22.3.6"},
                  {UPCONV_BACKEND_VULKAN, "Adreno 660", "turnip 22.3.7"}};
    fake_file file = {0};
    made(&file, true);
    for (size_t i = 0; i < UPC_COUNT(others); i++) {
        fake_context fake;
        assert_true(fake_context_init(&fake, others[i].backend, others[i].name, others[i].driver));
        assert_int_equal(import(&fake, file.data, file.size), UPCONV_ERROR_DATA);
        assert_int_equal(held(&fake), 0);
        assert_int_equal(skipped(&fake), 1);
        assert_int_equal(fake.driver_cache_size, 0);
        assert_int_equal(atomic_load(&fake.log_lines), 1);
        assert_non_null(strstr(fake.last_log, "another device or driver"));
        assert_non_null(strstr(upconv_last_error(), "another device or driver"));
        fake_context_finish(&fake);
    }
    fake_context fake;
    setup(&fake);
    file.data[8]++; // the format version
    assert_int_equal(import(&fake, file.data, file.size), UPCONV_ERROR_DATA);
    assert_non_null(strstr(upconv_last_error(), "another format version"));
    assert_int_equal(import(&fake, "no cache at all, but some other file", 36), UPCONV_ERROR_DATA);
    assert_int_equal(held(&fake), 0);
    fake_context_finish(&fake);
    fake_file_finish(&file);
}

// Entries of another device that lie behind our header must not pass either.
static void foreign_entries(void **state)
{
    (void)state;
    fake_file ours = {0}, theirs = {0};
    fake_context fake, other;
    setup(&fake);
    assert_int_equal(upconv_cache_export(&fake.context, fake_file_write, &ours), UPCONV_OK);
    assert_true(fake_context_init(&other, UPCONV_BACKEND_VULKAN, "Mali-G52", "panvk"));
    fill(&other);
    assert_int_equal(upconv_cache_export(&other.context, fake_file_write, &theirs), UPCONV_OK);
    assert_int_equal(fake_file_write(&ours, theirs.data + ours.size, theirs.size - ours.size), 0);
    assert_int_equal(import(&fake, ours.data, ours.size), UPCONV_ERROR_DATA);
    assert_int_equal(held(&fake), 0);
    fake_context_finish(&fake);
    fake_context_finish(&other);
    fake_file_finish(&ours);
    fake_file_finish(&theirs);
}

static void every_truncation(void **state)
{
    (void)state;
    fake_file file = {0};
    made(&file, true);
    int most = 0;
    for (size_t size = 0; size <= file.size; size++) {
        fake_context fake;
        setup(&fake);
        const upconv_status status = import(&fake, file.data, size);
        const int whole = held(&fake) + (fake.driver_cache_size == 6);
        assert_true(whole >= most); // what was whole in a shorter file still is
        most = whole;
        // A cut between two entries is a whole file with fewer of them.
        const bool clean = skipped(&fake) == 0;
        assert_int_equal(status, whole || clean ? UPCONV_OK : UPCONV_ERROR_DATA);
        assert_true(skipped(&fake) <= 1);
        fake_context_finish(&fake);
    }
    assert_int_equal(most, PROGRAMS + 1);
    fake_file_finish(&file);
}

static void every_flip(void **state)
{
    (void)state;
    fake_file file = {0};
    made(&file, true);
    for (size_t at = 0; at < file.size; at++)
        for (int bit = 0; bit < 8; bit++) {
            fake_context fake;
            setup(&fake);
            file.data[at] ^= (unsigned char)(1 << bit);
            const upconv_status status = import(&fake, file.data, file.size);
            file.data[at] ^= (unsigned char)(1 << bit);
            const int whole = held(&fake) + (fake.driver_cache_size == 6);
            assert_int_equal(skipped(&fake), 1);
            assert_int_equal(whole, at < 40 ? 0 : PROGRAMS); // the header spoils all, else one entry is lost
            assert_int_equal(status, at < 40 ? UPCONV_ERROR_DATA : UPCONV_OK);
            if (fake.driver_cache_size)
                assert_memory_equal(fake.driver_cache, "driver", 6);
            fake_context_finish(&fake);
        }
    fake_file_finish(&file);
}

// Bytes lost in the middle cost the entry they were in and at most the next.
static void holes(void **state)
{
    (void)state;
    fake_file file = {0};
    made(&file, false);
    for (size_t at = 40; at + 5 < file.size; at++) {
        fake_context fake;
        setup(&fake);
        unsigned char *shorter = malloc(file.size - 5);
        assert_non_null(shorter);
        memcpy(shorter, file.data, at);
        memcpy(shorter + at, file.data + at + 5, file.size - at - 5);
        assert_int_equal(import(&fake, shorter, file.size - 5), UPCONV_OK);
        assert_true(held(&fake) >= PROGRAMS - 2);
        assert_true(skipped(&fake) >= 1);
        free(shorter);
        fake_context_finish(&fake);
    }
    fake_file_finish(&file);
}

static void driver_entry(void **state)
{
    (void)state;
    fake_file file = {0};
    made(&file, true);
    fake_context fake;
    setup(&fake);
    fake.driver_refuses = true;
    assert_int_equal(import(&fake, file.data, file.size), UPCONV_OK);
    assert_int_equal(skipped(&fake), 1);
    assert_int_equal(held(&fake), PROGRAMS);
    fake_context_finish(&fake);
    setup(&fake); // a lost device: programs are kept, the driver is left alone
    atomic_store(&fake.device.state, UPCONV_ERROR_DEVICE_LOST);
    assert_int_equal(import(&fake, file.data, file.size), UPCONV_OK);
    assert_int_equal(fake.driver_cache_size, 0);
    fake_context_finish(&fake);
    fake_file_finish(&file);
}

static void arguments(void **state)
{
    (void)state;
    fake_context fake;
    fake_file file = {0};
    setup(&fake);
    fill(&fake);
    assert_int_equal(upconv_cache_export(NULL, fake_file_write, &file), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_cache_export(&fake.context, NULL, NULL), UPCONV_ERROR_INVALID);
    assert_non_null(strstr(upconv_last_error(), "write"));
    assert_int_equal(upconv_cache_import(NULL, "x", 1), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_cache_import(&fake.context, NULL, 1), UPCONV_ERROR_INVALID);
    assert_non_null(strstr(upconv_last_error(), "data"));
    for (int stop = 1; stop <= 6; stop++) { // header, then two chunks an entry, one for the empty one
        fake_file part = {.stop_at = stop};
        assert_int_equal(upconv_cache_export(&fake.context, fake_file_write, &part), UPCONV_ERROR_DATA);
        assert_int_equal(part.calls, stop);
        fake_file_finish(&part);
    }
    atomic_store(&fake.device.state, UPCONV_ERROR_TIMEOUT);
    assert_int_equal(upconv_cache_export(&fake.context, fake_file_write, &file), UPCONV_ERROR_TIMEOUT);
    assert_int_equal(upconv_cache_import(&fake.context, "x", 1), UPCONV_ERROR_TIMEOUT);
    fake_context_finish(&fake);
    assert_int_equal(file.calls, 0);
    assert_int_equal(atomic_load(&fake.live), 0);
}

static void no_memory(void **state)
{
    (void)state;
    fake_file file = {0};
    made(&file, false);
    bool failed = true;
    for (long at = 1; failed; at++) {
        fake_context fake;
        setup(&fake);
        atomic_store(&fake.fail_at, atomic_load(&fake.allocations) + at);
        const upconv_status status = import(&fake, file.data, file.size);
        failed = atomic_load(&fake.allocations) >= atomic_load(&fake.fail_at);
        assert_int_equal(status, failed ? UPCONV_ERROR_HOST_MEMORY : UPCONV_OK);
        atomic_store(&fake.fail_at, 0);
        assert_int_equal(skipped(&fake), 0);
        (void)held(&fake);
        fake_context_finish(&fake);
        assert_int_equal(atomic_load(&fake.live), 0);
    }
    fake_context fake;
    setup(&fake);
    fill(&fake);
    size_t size;
    atomic_store(&fake.fail_at, atomic_load(&fake.allocations) + 1);
    assert_null(upc_cache_find(&fake.context.env, keys[0], &size));
    atomic_store(&fake.fail_at, atomic_load(&fake.allocations) + 1);
    upc_cache_store(&fake.context.env, keys[0], "new", 3); // logged, no more; the old one stays
    assert_int_equal(atomic_load(&fake.log_lines), 1);
    assert_int_equal(held(&fake), PROGRAMS);
    atomic_store(&fake.fail_at, atomic_load(&fake.allocations) + 1);
    fake_file part = {0};
    assert_int_equal(upconv_cache_export(&fake.context, fake_file_write, &part), UPCONV_ERROR_HOST_MEMORY);
    assert_int_equal(part.calls, 0);
    fake_context_finish(&fake);
    assert_int_equal(atomic_load(&fake.live), 0);
    setup(&fake);
    upc_env env = fake.context.env;
    atomic_store(&fake.fail_at, atomic_load(&fake.allocations) + 1);
    assert_int_equal(upc_cache_create(&env), UPCONV_ERROR_HOST_MEMORY);
    fake_context_finish(&fake);
    fake_file_finish(&file);
}

typedef struct thread_job {
    fake_context *fake;
    const fake_file *file;
    unsigned seed;
    bool wrong;
} thread_job;

static int count_only(void *user, const void *data, size_t size)
{
    (void)data;
    *(size_t *)user += size;
    return 0;
}

static void *work(void *argument)
{
    thread_job *job = argument;
    upc_env *env = &job->fake->context.env;
    for (unsigned i = 0; i < 300; i++) {
        const uint64_t key[2] = {(i * 31 + job->seed) % 17, 5};
        const uint64_t bytes[2] = {key[0] * 3, key[0] + 1};
        upc_cache_store(env, key, bytes, sizeof bytes);
        size_t size = 0, exported = 0;
        uint64_t *found = upc_cache_find(env, key, &size);
        job->wrong = job->wrong || (found && (size != sizeof bytes || memcmp(found, bytes, size)));
        upc_free(env, found);
        if (i % 3 == job->seed % 3)
            upc_cache_drop(env, key);
        if (i % 50 == 0) {
            job->wrong =
                job->wrong || upconv_cache_export(&job->fake->context, count_only, &exported) != UPCONV_OK;
            job->wrong = job->wrong || upconv_cache_import(&job->fake->context, job->file->data,
                                                           job->file->size) != UPCONV_OK;
        }
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    fake_file file = {0};
    made(&file, false);
    fake_context fake;
    setup(&fake);
    pthread_t ids[4];
    thread_job jobs[4];
    for (unsigned i = 0; i < UPC_COUNT(ids); i++) {
        jobs[i] = (thread_job){&fake, &file, i, false};
        assert_int_equal(pthread_create(&ids[i], NULL, work, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < UPC_COUNT(ids); i++) {
        pthread_join(ids[i], NULL);
        assert_false(jobs[i].wrong);
    }
    assert_int_equal(held(&fake), PROGRAMS);
    fake_context_finish(&fake);
    assert_int_equal(atomic_load(&fake.live), 0);
    fake_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bag),
        cmocka_unit_test(many),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(empty),
        cmocka_unit_test(foreign),
        cmocka_unit_test(foreign_entries),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_flip),
        cmocka_unit_test(holes),
        cmocka_unit_test(driver_entry),
        cmocka_unit_test(arguments),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
