// What every GPU backend must do at its seam (backends/backend.h), without problems, solvers or plans.
// seam BACKEND [--no-hang]; exit 77 where there is no device.
#include "seam.h"

// -------------------------------------------------------------------------------------------------------
// facts

static void test_describe(void **state)
{
    (void)state;
    upc_env env;
    upc_env_init(&env, NULL);
    upconv_backend_info info = {0};
    backend->describe(&env, &info);
    assert_int_equal(info.loaded, 1);
    assert_true(info.devices >= 1);
    assert_true(strlen(info.detail) > 0);
    upc_facts facts;
    memset(&facts, 0x5a, sizeof facts);
    const upc_facts before = facts;
    assert_int_equal(backend->facts_at(&env, info.devices, &facts), UPCONV_ERROR_NO_DEVICE);
    assert_memory_equal(&before, &facts, sizeof facts);
    assert_true(strlen(upc_last_error()) > 0);
    upc_device *device = NULL;
    assert_int_equal(backend->open(&env, info.devices, &device), UPCONV_ERROR_NO_DEVICE);
    assert_null(device);
}

static void test_facts(void **state)
{
    test_seam *const seam = *state;
    upc_facts facts;
    assert_ok(backend->facts_at(&seam->env, 0, &facts));
    const upconv_device_info *const info = &facts.info;
    assert_int_equal(info->backend, backend->id);
    assert_true(strlen(info->name) > 0 && strlen(info->driver) > 0 && strlen(info->api) > 0);
    assert_true(info->limits.binding_bytes >= 64 << 20);
    assert_int_equal(info->limits.binding_bytes % 4, 0);
    assert_true(info->limits.alloc_bytes >= 64 << 20);
    assert_true(info->limits.group_count >= 65535 && info->limits.group_size >= 64);
    assert_true(info->limits.shared_bytes >= 16384 && info->limits.dispatch_macs > 0);
    assert_true(info->offset_alignment >= 4);
    assert_true(facts.push_bytes >= 128 && facts.sum_scalars > 0);
    assert_true(info->memory_bytes > 0);
    for (int i = 0; i < 3; i++)
        assert_true(facts.group_axis[i] >= 1);
    assert_string_equal(seam->device->facts.info.name, info->name);
    assert_ptr_equal(seam->device->backend, backend);
}

// ------------------------------------------------------------------------------------------------------
// memory

static void test_memory(void **state)
{
    test_seam *const seam = *state;
    static const uint64_t sizes[] = {1, 3, 4, 255, 4096, 1000003, 16 << 20};
    for (size_t i = 0; i < UPC_COUNT(sizes); i++) {
        upc_memory *const memory = memory_of(seam, sizes[i]);
        assert_int_equal(memory->bytes, sizes[i]);
        assert_false(memory->imported);
        void *pointer = NULL;
        assert_ok(backend->memory_map(memory, UPCONV_MAP_WRITE, second, &pointer));
        memset(pointer, (int)(i + 1), sizes[i]);
        assert_ok(backend->memory_unmap(memory, second));
        assert_ok(backend->memory_map(memory, UPCONV_MAP_READ | UPCONV_MAP_WRITE, second, &pointer));
        for (uint64_t j = 0; j < sizes[i]; j += 1 + sizes[i] / 100)
            assert_int_equal(((unsigned char *)pointer)[j], i + 1);
        ((unsigned char *)pointer)[sizes[i] - 1] = 99;
        assert_ok(backend->memory_unmap(memory, second));
        assert_int_equal(((const unsigned char *)look(memory))[sizes[i] - 1], 99);
        look_away(memory);
        upc_memory_release(memory);
    }
}

static void test_oversize(void **state)
{
    test_seam *const seam = *state;
    upc_memory *memory = NULL;
    const uint64_t limit = seam->device->facts.info.limits.alloc_bytes;
    assert_int_equal(backend->memory_create(seam->device, limit + 4, &memory), UPCONV_ERROR_GPU_MEMORY);
    assert_null(memory);
    assert_true(strlen(upc_last_error()) > 0);
    assert_int_equal(backend->memory_create(seam->device, (uint64_t)1 << 60, &memory),
                     UPCONV_ERROR_GPU_MEMORY);
    assert_null(memory);
}

// ----------------------------------------------------------------------------------------------------
// programs

static void count_value(void *user, const char *name, double value)
{
    (void)value;
    assert_true(strlen(name) > 0);
    ++*(int *)user;
}

static void test_programs(void **state)
{
    test_seam *const seam = *state;
    upc_program *const first = program_of(seam, SEAM_SCALE, 5);
    assert_int_equal(seam->env.counts.source_compiles, 1);
    assert_int_equal(seam->env.counts.binary_loads, 0);
    upc_program *const second_one = program_of(seam, SEAM_SCALE, 5);
    assert_int_equal(seam->env.counts.source_compiles, 1);
    assert_int_equal(seam->env.counts.binary_loads, 1);
    upc_program *const other = program_of(seam, SEAM_STEP, 5);
    assert_int_equal(seam->env.counts.source_compiles, 2);
    assert_int_equal(seam->env.counts.skipped_blobs, 0);
    int values = 0;
    backend->program_statistics(first, count_value, &values);
    upc_program_release(first);
    upc_program_release(second_one);
    upc_program_release(other);
}

static void test_compile_error(void **state)
{
    test_seam *const seam = *state;
    upc_program *program = NULL;
    assert_int_equal(make_program(seam, &seam_broken, NULL, 0, &program), UPCONV_ERROR_COMPILE);
    assert_null(program);
    assert_non_null(strstr(upc_last_error(), "broken"));
    assert_int_equal(seam->env.counts.binary_loads, 0);
    static const uint32_t none[3] = {1, 1, 0}, huge[3] = {1 << 20, 1, 1};
    assert_int_not_equal(make_program(seam, &seam_kernels[0], none, 0, &program), UPCONV_OK);
    assert_int_not_equal(make_program(seam, &seam_kernels[0], huge, 0, &program), UPCONV_OK);
    assert_null(program);
    upc_program_release(program_of(seam, SEAM_SCALE, 1)); // the device is as good as before
}

static void test_driver_cache(void **state)
{
    test_seam *const seam = *state;
    upc_program_release(program_of(seam, SEAM_SCALE, 1));
    assert_false(backend->driver_cache_set(seam->device, "", 0));
    size_t size = 0;
    unsigned char *const bytes = backend->driver_cache_get(seam->device, &size);
    if (!bytes)
        return; // this driver keeps none
    assert_true(size > 0);
    assert_true(backend->driver_cache_set(seam->device, bytes, size));
    for (size_t i = 0; i < 32 && i < size; i++) {
        bytes[i] ^= 0x55;
        assert_false(backend->driver_cache_set(seam->device, bytes, size));
        bytes[i] ^= 0x55;
    }
    assert_false(backend->driver_cache_set(seam->device, bytes, 16));
    upc_free(&seam->env, bytes);
}

// --------------------------------------------------------------------------------------------------
// submissions

static void test_submit(void **state)
{
    test_seam *const seam = *state;
    enum { COUNT = 1000 };
    upc_program *const scale = program_of(seam, SEAM_SCALE, 7);
    upc_memory *const in = memory_of(seam, 4 * (COUNT + 100));
    upc_memory *const out = memory_of(seam, 4 * (COUNT + 200));
    fill(in, 0);
    // Offsets at every place between two alignments, a multiple of 4 and mostly of nothing more.
    for (uint64_t shift = 0; shift < 70; shift += 3) {
        fill(out, -100000);
        const int32_t args[] = {COUNT, 3};
        const upc_launch launch = {.program = scale,
                                   .groups = {groups_for(COUNT), 1, 1},
                                   .bound = {{in, 4 * shift, 4 * COUNT}, {out, 4 * (shift + 11), 4 * COUNT}},
                                   .bound_count = 2,
                                   .args = args,
                                   .arg_count = 2};
        run(seam, &launch, 1, 0);
        const int32_t *const got = look(out);
        for (int32_t i = 0; i < COUNT + 200; i++) {
            const int32_t at = i - (int32_t)shift - 11;
            const int32_t want = at >= 0 && at < COUNT ? (at + (int32_t)shift) * 3 + 7 : i - 100000;
            assert_int_equal(got[i], want);
        }
        look_away(out);
    }
    upc_memory_release(in);
    upc_memory_release(out);
    upc_program_release(scale);
}

static void test_six_bindings(void **state)
{
    test_seam *const seam = *state;
    enum { COUNT = 100 };
    upc_program *const six = program_of(seam, SEAM_SIX, 0);
    upc_memory *const in = memory_of(seam, 4 * 1000), *const out = memory_of(seam, 4 * COUNT);
    fill(in, 0);
    const int32_t args[] = {COUNT};
    upc_launch launch = {
        .program = six, .groups = {groups_for(COUNT), 1, 1}, .bound_count = 6, .args = args, .arg_count = 1};
    for (uint64_t i = 0; i < 5; i++)
        launch.bound[i] = (upc_bound){in, 4 * (i * 37 + 1), 4 * COUNT};
    launch.bound[5] = (upc_bound){out, 0, 4 * COUNT};
    run(seam, &launch, 1, 0);
    const int32_t *const got = look(out);
    for (int32_t i = 0; i < COUNT; i++) {
        int32_t want = 0;
        for (int32_t j = 0, factor = 1; j < 5; j++, factor *= 10)
            want += factor * (i + j * 37 + 1);
        assert_int_equal(got[i], want);
    }
    look_away(out);
    upc_memory_release(in);
    upc_memory_release(out);
    upc_program_release(six);
}

static void test_grid(void **state)
{
    test_seam *const seam = *state;
    enum { WIDTH = 37, HEIGHT = 11 };
    static const uint32_t local[3] = {8, 4, 1};
    upc_program *reverse = NULL;
    assert_ok(make_program(seam, &seam_kernels[SEAM_REVERSE], local, 2, &reverse));
    upc_memory *const in = memory_of(seam, 4 * WIDTH * HEIGHT), *const out =
                                                                    memory_of(seam, 4 * WIDTH * HEIGHT);
    fill(in, 0);
    const int32_t args[] = {WIDTH, HEIGHT};
    const upc_launch launch = {.program = reverse,
                               .groups = {(WIDTH + 7) / 8, (HEIGHT + 3) / 4, 1},
                               .bound = {{in, 0, in->bytes}, {out, 0, out->bytes}},
                               .bound_count = 2,
                               .args = args,
                               .arg_count = 2};
    run(seam, &launch, 1, 0);
    const int32_t *const got = look(out);
    for (int32_t i = 0; i < WIDTH * HEIGHT; i++)
        assert_int_equal(got[i], WIDTH * HEIGHT - 1 - i + 2);
    look_away(out);
    upc_memory_release(in);
    upc_memory_release(out);
    upc_program_release(reverse);
}

// x becomes 3 x + 1, +2, +3, ...: across submissions without waiting, and within one by barriers.
static void test_order(void **state)
{
    test_seam *const seam = *state;
    enum { COUNT = 5000, SUBMISSIONS = 12, LAUNCHES = 5 };
    upc_program *const step = program_of(seam, SEAM_STEP, 0);
    upc_memory *const memory = memory_of(seam, 4 * COUNT);
    fill(memory, 0);
    uint32_t factor = 1, sum = 0;
    upconv_ticket last = 0;
    for (int32_t s = 0; s < SUBMISSIONS; s++) {
        int32_t args[LAUNCHES][2];
        upc_launch launches[LAUNCHES];
        for (int32_t i = 0; i < LAUNCHES; i++) {
            args[i][0] = COUNT;
            args[i][1] = s * LAUNCHES + i;
            launches[i] = (upc_launch){.program = step,
                                       .groups = {groups_for(COUNT), 1, 1},
                                       .bound = {{memory, 0, 4 * COUNT}},
                                       .bound_count = 1,
                                       .args = args[i],
                                       .arg_count = 2,
                                       .barrier = i > 0};
            factor *= 3;
            sum = sum * 3 + (uint32_t)args[i][1];
        }
        upconv_ticket ticket = 0;
        assert_ok(submit(seam, launches, LAUNCHES, 0, &ticket));
        if (s)
            assert_int_equal(ticket, last + 1);
        last = ticket;
    }
    assert_ok(backend->wait(seam->device, last, 30 * second));
    for (upconv_ticket ticket = 1; ticket <= last; ticket++) // all before the last have ended too
        assert_ok(backend->wait(seam->device, ticket, 0));
    const int32_t *const got = look(memory);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal((uint32_t)got[i], i * factor + sum);
    look_away(memory);
    upc_memory_release(memory);
    upc_program_release(step);
}

// What is in flight keeps its memory and programs.
static void test_early_release(void **state)
{
    test_seam *const seam = *state;
    enum { COUNT = 4096 };
    upc_memory *const out = memory_of(seam, 4 * COUNT);
    upc_memory *const in = memory_of(seam, 4 * COUNT);
    upc_program *const scale = program_of(seam, SEAM_SCALE, 1);
    fill(in, 10);
    const int32_t args[] = {COUNT, 2};
    const upc_launch launch = {.program = scale,
                               .groups = {groups_for(COUNT), 1, 1},
                               .bound = {{in, 0, 4 * COUNT}, {out, 0, 4 * COUNT}},
                               .bound_count = 2,
                               .args = args,
                               .arg_count = 2};
    upconv_ticket ticket = 0;
    assert_ok(submit(seam, &launch, 1, 0, &ticket));
    upc_memory_release(in);
    upc_program_release(scale);
    assert_ok(backend->wait(seam->device, ticket, 30 * second));
    assert_int_equal(look(out)[COUNT - 1], (10 + COUNT - 1) * 2 + 1);
    look_away(out);
    upc_memory_release(out);
}

static void test_tickets(void **state)
{
    test_seam *const seam = *state;
    upc_program *const step = program_of(seam, SEAM_STEP, 0);
    upc_memory *const memory = memory_of(seam, 4 * 64);
    fill(memory, 0);
    const int32_t args[] = {64, 1};
    const upc_launch launch = {.program = step,
                               .groups = {2, 1, 1},
                               .bound = {{memory, 0, 4 * 64}},
                               .bound_count = 1,
                               .args = args,
                               .arg_count = 2};
    assert_int_equal(backend->wait(seam->device, 0, 0), UPCONV_ERROR_INVALID);
    assert_int_equal(backend->wait(seam->device, 1u << 20, 0), UPCONV_ERROR_INVALID);
    uint64_t time_ns = 12345;
    assert_int_equal(backend->ticket_time(seam->device, 1u << 20, &time_ns), UPCONV_ERROR_INVALID);
    assert_int_equal(time_ns, 12345);
    upconv_ticket ticket = 0;
    for (int i = 0; i < 300; i++) {
        assert_ok(submit(seam, &launch, 1, 0, &ticket));
        if (i % 16 == 15)
            assert_ok(backend->wait(seam->device, ticket, 30 * second));
    }
    assert_ok(backend->wait(seam->device, ticket, 30 * second));
    assert_ok(backend->wait(seam->device, ticket, -1));
    assert_ok(backend->ticket_time(seam->device, ticket, &time_ns));
    assert_true(time_ns < 10u * (uint64_t)second);
    assert_ok(backend->ticket_time(seam->device, ticket - 255, &time_ns));
    assert_int_equal(backend->ticket_time(seam->device, ticket - 256, &time_ns), UPCONV_ERROR_INVALID);
    upc_memory_release(memory);
    upc_program_release(step);
}

// ---------------------------------------------------------------------------------------------------------
// main

int main(int argc, char **argv)
{
    for (int i = 0; argc > 1 && i < upc_backend_count; i++)
        if (strcmp(upc_backends[i]->name, argv[1]) == 0)
            backend = upc_backends[i];
    if (argc < 2 || !backend) {
        fprintf(stderr, "usage: seam BACKEND [--no-hang]; this build has no backend \"%s\"\n",
                argc > 1 ? argv[1] : "");
        return argc > 1 ? 77 : 2;
    }
    if (!seam_present())
        return 77;
#define DEVICE_TEST(test) cmocka_unit_test_setup_teardown(test, seam_setup, seam_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_describe),
        DEVICE_TEST(test_facts),
        DEVICE_TEST(test_memory),
        DEVICE_TEST(test_oversize),
        DEVICE_TEST(test_programs),
        DEVICE_TEST(test_compile_error),
        DEVICE_TEST(test_driver_cache),
        DEVICE_TEST(test_submit),
        DEVICE_TEST(test_six_bindings),
        DEVICE_TEST(test_grid),
        DEVICE_TEST(test_order),
        DEVICE_TEST(test_early_release),
        DEVICE_TEST(test_tickets),
        DEVICE_TEST(test_threads),
        DEVICE_TEST(test_shared_wait),
        cmocka_unit_test(test_close_in_flight),
        cmocka_unit_test(test_failing_allocator),
    };
    // Last, for work still runs on the device when it ends.
    const struct CMUnitTest hang[] = {cmocka_unit_test(test_hang)};
    int failed = cmocka_run_group_tests_name("seam", tests, NULL, NULL);
    if (argc < 3 || strcmp(argv[2], "--no-hang") != 0)
        failed += cmocka_run_group_tests_name("hang", hang, NULL, NULL);
    return failed ? 1 : 0;
}
