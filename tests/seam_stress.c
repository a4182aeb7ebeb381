// The seam under load and in trouble: many threads, no memory, work that does not end.
#include "leaks.h"
#include "seam.h"

#include <pthread.h>
#include <time.h>

// -----------------------------------------------------------------------------------------------------
// threads

enum { THREADS = 4, EACH = 50, COUNT = 777, STRIDE = COUNT + 3 };

typedef struct crowd_state {
    test_seam *seam;
    upc_program *scale;
    upc_memory *in, *out;
} crowd_state;

typedef struct worker_state {
    crowd_state *crowd;
    int number, wrong;
    upconv_ticket tickets[EACH];
} worker_state;

// b = (a * 2 + 1) * factor + 1 by way of the submission's own workspace, into a slice of its own.
static void *work(void *argument)
{
    worker_state *const mine = argument;
    crowd_state *const crowd = mine->crowd;
    for (int i = 0; i < EACH; i++) {
        const int slice = mine->number * EACH + i;
        const int32_t args[2][2] = {{COUNT, 2}, {COUNT, slice}};
        const upc_bound workspace = {NULL, 4 * (uint64_t)(i % 7), 4 * COUNT};
        const upc_launch launches[2] = {
            {.program = crowd->scale,
             .groups = {groups_for(COUNT), 1, 1},
             .bound = {{crowd->in, 4 * (uint64_t)i, 4 * COUNT}, workspace},
             .bound_count = 2,
             .args = args[0],
             .arg_count = 2},
            {.program = crowd->scale,
             .groups = {groups_for(COUNT), 1, 1},
             .bound = {workspace, {crowd->out, 4 * (uint64_t)STRIDE * (uint64_t)slice, 4 * COUNT}},
             .bound_count = 2,
             .args = args[1],
             .arg_count = 2,
             .barrier = true},
        };
        if (submit(crowd->seam, launches, 2, 4 * COUNT + 28 + (uint64_t)(i % 3) * 4096, &mine->tickets[i]))
            mine->wrong++;
        if (i && mine->tickets[i] <= mine->tickets[i - 1])
            mine->wrong++;
    }
    for (int i = EACH - 1; i >= 0; i--)
        if (backend->wait(crowd->seam->device, mine->tickets[i], 60 * second))
            mine->wrong++;
    return NULL;
}

void test_threads(void **state)
{
    crowd_state crowd = {*state, NULL, NULL, NULL};
    crowd.scale = program_of(crowd.seam, SEAM_SCALE, 1);
    crowd.in = memory_of(crowd.seam, 4 * (COUNT + EACH));
    crowd.out = memory_of(crowd.seam, 4 * (uint64_t)STRIDE * THREADS * EACH);
    fill(crowd.in, 0);
    fill(crowd.out, -1000000);
    worker_state workers[THREADS];
    pthread_t threads[THREADS];
    memset(workers, 0, sizeof workers);
    for (int i = 0; i < THREADS; i++) {
        workers[i].crowd = &crowd;
        workers[i].number = i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(workers[i].wrong, 0);
    const int32_t *const got = look(crowd.out);
    for (int32_t slice = 0; slice < THREADS * EACH; slice++)
        for (int32_t i = 0; i < STRIDE; i++) {
            const int32_t at = slice * STRIDE + i;
            const int32_t want = i < COUNT ? ((i + slice % EACH) * 2 + 1) * slice + 1 : at - 1000000;
            assert_int_equal(got[at], want);
        }
    look_away(crowd.out);
    upc_memory_release(crowd.in);
    upc_memory_release(crowd.out);
    upc_program_release(crowd.scale);
}

typedef struct waiter_state {
    test_seam *seam;
    upconv_ticket ticket;
    upconv_status status;
} waiter_state;

static void *wait_for_it(void *argument)
{
    waiter_state *const mine = argument;
    mine->status = backend->wait(mine->seam->device, mine->ticket, 60 * second);
    return NULL;
}

static const int32_t rounds = 60000;

static upc_launch spin_launch(upc_program *spin, upc_memory *memory, uint32_t groups)
{
    return (upc_launch){.program = spin,
                        .groups = {groups, 1, 1},
                        .bound = {{memory, 0, 4}},
                        .bound_count = 1,
                        .args = &rounds,
                        .arg_count = 1};
}

// Several threads wait for one ticket while this one goes on submitting.
void test_shared_wait(void **state)
{
    test_seam *const seam = *state;
    upc_program *const spin = program_of(seam, SEAM_SPIN, 1);
    upc_memory *const memory = memory_of(seam, 64);
    fill(memory, 1);
    const upc_launch launch = spin_launch(spin, memory, 100), quick = spin_launch(spin, memory, 1);
    for (int turn = 0; turn < 3; turn++) {
        upconv_ticket ticket = 0, later = 0;
        pthread_t threads[THREADS];
        waiter_state waiters[THREADS];
        assert_ok(submit(seam, &launch, 1, 0, &ticket));
        for (int i = 0; i < THREADS; i++) {
            waiters[i] = (waiter_state){seam, ticket, UPCONV_ERROR_INVALID};
            assert_int_equal(pthread_create(&threads[i], NULL, wait_for_it, &waiters[i]), 0);
        }
        for (int i = 0; i < 20; i++)
            assert_ok(submit(seam, &quick, 1, 0, &later));
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(waiters[i].status, UPCONV_OK);
        }
        assert_ok(backend->wait(seam->device, later, 60 * second));
    }
    upc_memory_release(memory);
    upc_program_release(spin);
}

// -----------------------------------------------------------------------------------------------------
// closing

// Closing waits for what is in flight, which holds all that it uses.
void test_close_in_flight(void **state)
{
    (void)state;
    test_seam seam;
    assert_ok(seam_init(&seam, NULL, false));
    upc_program *const spin = program_of(&seam, SEAM_SPIN, 1);
    upc_memory *const memory = memory_of(&seam, 64);
    fill(memory, 1);
    const upc_launch launch = spin_launch(spin, memory, 100);
    upconv_ticket ticket = 0;
    for (int i = 0; i < 3; i++)
        assert_ok(submit(&seam, &launch, 1, 0, &ticket));
    upc_memory_release(memory);
    upc_program_release(spin);
    seam_finish(&seam);
}

static double seconds_since(uint64_t start_ns) { return (double)(upc_now_ns() - start_ns) * 1e-9; }

// How many work-groups take about two seconds here.
static uint32_t calibrate(test_seam *seam, upc_program *spin, upc_memory *memory)
{
    uint32_t groups = 1;
    for (;;) {
        const upc_launch launch = spin_launch(spin, memory, groups);
        const uint64_t start_ns = upc_now_ns();
        run(seam, &launch, 1, 0);
        const double wanted = groups * (2 / seconds_since(start_ns));
        if (wanted < groups * 20.0 || groups > 32767)
            return wanted > 65535 ? 65535 : (uint32_t)wanted;
        groups *= 2;
    }
}

// A wait that times out makes every later call fail at once, and closing returns though the work goes on.
void test_hang(void **state)
{
    (void)state;
    test_seam seam;
    test_leaks_pass(); // what a hung device leaves to its driver
    assert_ok(seam_init(&seam, NULL, false));
    upc_program *const spin = program_of(&seam, SEAM_SPIN, 1);
    upc_memory *const memory = memory_of(&seam, 64);
    fill(memory, 1);
    const upc_launch launch = spin_launch(spin, memory, calibrate(&seam, spin, memory));
    upconv_ticket ticket = 0, other = 0;
    assert_ok(submit(&seam, &launch, 1, 0, &ticket));
    const uint64_t start_ns = upc_now_ns();
    assert_int_equal(backend->wait(seam.device, ticket, 0), UPCONV_ERROR_TIMEOUT);
    assert_ok(submit(&seam, &launch, 1, 0, &other)); // only asking does no harm
    assert_int_equal(backend->wait(seam.device, ticket, second / 20), UPCONV_ERROR_TIMEOUT);
    assert_int_equal(backend->wait(seam.device, ticket, 30 * second), UPCONV_ERROR_TIMEOUT);
    assert_int_equal(submit(&seam, &launch, 1, 0, &other), UPCONV_ERROR_TIMEOUT);
    void *pointer = NULL;
    upc_memory *more = NULL;
    upc_program *program = NULL;
    assert_int_equal(backend->memory_map(memory, UPCONV_MAP_READ, 30 * second, &pointer),
                     UPCONV_ERROR_TIMEOUT);
    assert_int_equal(backend->memory_create(seam.device, 64, &more), UPCONV_ERROR_TIMEOUT);
    assert_int_equal(make_program(&seam, &seam_kernels[SEAM_STEP], NULL, 0, &program), UPCONV_ERROR_TIMEOUT);
    assert_true(strlen(upc_last_error()) > 0);
    upc_memory_release(memory);
    upc_program_release(spin);
    seam_finish(&seam);
    test_leaks_count();
    const double time = seconds_since(start_ns);
    if (time > 1.5)
        fail_msg("after a hang, %.2f s passed until the device was closed", time);
    // Let the work end before the process does.
    const struct timespec rest = {8, 0};
    nanosleep(&rest, NULL);
    assert_ok(seam_init(&seam, NULL, false)); // a new device in the same process works
    upc_program_release(program_of(&seam, SEAM_STEP, 1));
    seam_finish(&seam);
}

// --------------------------------------------------------------------------------------------- failing
// allocator

typedef struct tight_state {
    _Atomic int left, live;
    _Atomic bool failed;
} tight_state;

static void *tight_alloc(void *user, size_t size)
{
    tight_state *const tight = user;
    if (atomic_fetch_sub(&tight->left, 1) == 1) {
        tight->failed = true;
        return NULL;
    }
    tight->live++;
    return malloc(size);
}

static void tight_release(void *user, void *memory)
{
    ((tight_state *)user)->live -= memory != NULL;
    free(memory);
}

// A little of everything; the first status that is not OK.
static upconv_status a_little_of_everything(test_seam *seam)
{
    upc_program *program = NULL, *again = NULL;
    upc_memory *memory = NULL;
    void *pointer = NULL;
    upconv_ticket ticket = 0;
    upconv_status status = backend->memory_create(seam->device, 256, &memory);
    if (!status)
        status = make_program(seam, &seam_kernels[SEAM_STEP], NULL, 0, &program);
    if (!status)
        status = make_program(seam, &seam_kernels[SEAM_STEP], NULL, 0, &again);
    if (!status)
        status = backend->memory_map(memory, UPCONV_MAP_WRITE, second, &pointer);
    if (!status) {
        memset(pointer, 0, 256);
        status = backend->memory_unmap(memory, second);
    }
    const int32_t args[] = {32, 1};
    for (int i = 0; i < 2 && !status; i++) {
        const upc_launch launch = {.program = program,
                                   .groups = {1, 1, 1},
                                   .bound = {{i ? NULL : memory, 4, 128}},
                                   .bound_count = 1,
                                   .args = args,
                                   .arg_count = 2};
        status = submit(seam, &launch, 1, i ? 512 : 0, &ticket);
    }
    if (!status)
        status = backend->wait(seam->device, ticket, 30 * second);
    size_t size = 0;
    if (!status)
        upc_free(&seam->env, backend->driver_cache_get(seam->device, &size));
    upc_program_release(program);
    upc_program_release(again);
    upc_memory_release(memory);
    return status;
}

void test_failing_allocator(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        tight_state tight = {n, 0, false};
        const upconv_allocator allocator = {&tight, tight_alloc, tight_release};
        test_seam seam;
        upconv_status status = seam_init(&seam, &allocator, true);
        if (!status)
            status = a_little_of_everything(&seam);
        seam_finish(&seam);
        assert_int_equal(tight.live, 0);
        if (status != UPCONV_OK && status != UPCONV_ERROR_HOST_MEMORY)
            fail_msg("allocation %d failed: %s: %s", n, upconv_status_name(status), upc_last_error());
        if (!tight.failed) {
            assert_ok(status);
            print_message("%d allocations\n", n - 1);
            return;
        }
    }
}
