// The Vulkan backend at the seam: what is peculiar to Vulkan, and faults that no driver has on request. The
// table of the driver's functions belongs to the device, so a test replaces what shall fail.
#include "seam.h"

#include "../backends/vulkan/vk.h"
#include "leaks.h"

// --------------------------------------------------------------------------------------------------- fixture

typedef struct fixture {
    test_seam seam;
    upc_vk_device *device;
    _Atomic int live;
} fixture;

static void *counting_alloc(void *user, size_t size)
{
    ((fixture *)user)->live++;
    return malloc(size);
}

static void counting_release(void *user, void *memory)
{
    ((fixture *)user)->live -= memory != NULL;
    free(memory);
}

static int setup(void **state)
{
    fixture *const made = calloc(1, sizeof *made);
    const upconv_allocator allocator = {made, counting_alloc, counting_release};
    backend = &upc_backend_vulkan;
    *state = made;
    const upconv_status status = seam_init(&made->seam, &allocator, true);
    made->device = (upc_vk_device *)made->seam.device;
    return status;
}

// What the driver is left with is no leak of ours; what is ours, counting_alloc counts.
static int setup_doomed(void **state)
{
    test_leaks_pass();
    return setup(state);
}

static int teardown(void **state)
{
    fixture *const fixture_ = *state;
    seam_finish(&fixture_->seam);
    const int live = fixture_->live;
    free(fixture_);
    if (live)
        fprintf(stderr, "%d allocations are left\n", live);
    return live != 0;
}

// What was submitted before a planted loss runs on, and a driver whose threads still compile or compute while the process ends may
// crash it (llvmpipe does, now and then): such a test lets the work end behind the library's back.
static void let_work_end(const fixture *mine)
{
    const upc_vk_api *const vk = &mine->device->vk;
    const PFN_vkDeviceWaitIdle wait_idle =
        (PFN_vkDeviceWaitIdle)vk->GetDeviceProcAddr(mine->device->device, "vkDeviceWaitIdle");
    assert_non_null(wait_idle);
    wait_idle(mine->device->device);
}

static int teardown_doomed(void **state)
{
    let_work_end(*state);
    const int failed = teardown(state);
    test_leaks_count();
    return failed;
}

// A buffer filled, worked on, and read back: all ways through the backend. The first failure.
static upconv_status work_once(test_seam *seam)
{
    enum { COUNT = 100 };
    upc_program *program = NULL;
    upc_memory *memory = NULL;
    void *pointer = NULL;
    upconv_ticket ticket = 0;
    bool right = true;
    upconv_status status = backend->memory_create(seam->device, 4 * COUNT, &memory);
    if (!status)
        status = make_program(seam, &seam_kernels[SEAM_STEP], NULL, 2, &program);
    if (!status)
        status = backend->memory_map(memory, UPCONV_MAP_WRITE, second, &pointer);
    if (!status) {
        for (int32_t i = 0; i < COUNT; i++)
            ((int32_t *)pointer)[i] = i;
        status = backend->memory_unmap(memory, second);
    }
    if (!status) {
        const int32_t args[] = {COUNT, 1};
        const upc_launch launches[2] = {{.program = program,
                                         .groups = {groups_for(COUNT), 1, 1},
                                         .bound = {{memory, 0, 4 * COUNT}},
                                         .bound_count = 1,
                                         .args = args,
                                         .arg_count = 2},
                                        {.program = program,
                                         .groups = {groups_for(COUNT), 1, 1},
                                         .bound = {{NULL, 0, 4 * COUNT}},
                                         .bound_count = 1,
                                         .args = args,
                                         .arg_count = 2}};
        status = submit(seam, launches, 2, 4096, &ticket);
    }
    if (!status)
        status = backend->wait(seam->device, ticket, 30 * second);
    if (!status)
        status = backend->memory_map(memory, UPCONV_MAP_READ, 30 * second, &pointer);
    for (int32_t i = 0; i < COUNT && !status; i++)
        right = right && ((const int32_t *)pointer)[i] == i * 3 + 3;
    if (!status)
        status = backend->memory_unmap(memory, second);
    upc_program_release(program);
    upc_memory_release(memory);
    assert_true(right);
    return status;
}

// ---------------------------------------------------------------------------------------------------- memory

// As on a discrete device: every mapping goes through a copy on the queue.
static void test_staging(void **state)
{
    fixture *const mine = *state;
    mine->device->force_staging = true;
    for (int i = 0; i < 3; i++)
        assert_ok(work_once(&mine->seam));
    upc_memory *const memory = memory_of(&mine->seam, 1000003);
    void *pointer = NULL;
    fill(memory, 5);
    assert_ok(backend->memory_map(memory, UPCONV_MAP_READ | UPCONV_MAP_WRITE, second, &pointer));
    assert_int_equal(((int32_t *)pointer)[1000], 1005);
    ((int32_t *)pointer)[1000] = 7;
    assert_ok(backend->memory_unmap(memory, second));
    assert_ok(backend->memory_map(memory, UPCONV_MAP_READ, second, &pointer));
    ((int32_t *)pointer)[1001] = 8; // a mapping that only reads changes nothing
    assert_ok(backend->memory_unmap(memory, second));
    const int32_t *const got = look(memory);
    assert_int_equal(got[999], 1004);
    assert_int_equal(got[1000], 7);
    assert_int_equal(got[1001], 1006);
    look_away(memory);
    assert_ok(backend->memory_map(memory, UPCONV_MAP_READ, second, &pointer));
    upc_memory_release(memory); // while mapped
}

// Kinds of memory as other devices have them.
static void test_memory_kinds(void **state)
{
    fixture *const mine = *state;
    mine->device->physical.direct = false;
    assert_ok(work_once(&mine->seam));
    mine->device->physical.direct = true;
    VkPhysicalDeviceMemoryProperties *const memory = &mine->device->physical.memory;
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++)
        memory->memoryTypes[i].propertyFlags &= ~(VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    assert_ok(work_once(&mine->seam)); // flushes and invalidates
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++)
        memory->memoryTypes[i].propertyFlags &= ~(VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    assert_ok(work_once(&mine->seam));
}

static void test_allocation_count(void **state)
{
    fixture *const mine = *state;
    upc_memory *memories[8] = {NULL};
    mine->device->physical.properties.limits.maxMemoryAllocationCount = 5;
    for (int i = 0; i < 5; i++)
        memories[i] = memory_of(&mine->seam, 64);
    assert_int_equal(backend->memory_create(mine->seam.device, 64, &memories[5]), UPCONV_ERROR_GPU_MEMORY);
    assert_non_null(strstr(upc_last_error(), "limit 5"));
    assert_null(memories[5]);
    upc_memory_release(memories[0]);
    memories[0] = memory_of(&mine->seam, 64);
    for (int i = 0; i < 5; i++)
        upc_memory_release(memories[i]);
}

static PFN_vkAllocateMemory real_allocate;
static int refusals;

static VKAPI_ATTR VkResult VKAPI_CALL allocate_later(VkDevice device, const VkMemoryAllocateInfo *info,
                                                     const VkAllocationCallbacks *callbacks,
                                                     VkDeviceMemory *memory)
{
    return refusals-- > 0 ? VK_ERROR_OUT_OF_DEVICE_MEMORY : real_allocate(device, info, callbacks, memory);
}

// Idle workspaces are given back before memory is said to be out.
static void test_trim(void **state)
{
    fixture *const mine = *state;
    assert_ok(work_once(&mine->seam));
    assert_non_null(mine->device->idle);
    assert_non_null(mine->device->idle->job.workspace);
    real_allocate = mine->device->vk.AllocateMemory;
    mine->device->vk.AllocateMemory = allocate_later;
    refusals = (int)mine->device->physical.memory.memoryTypeCount; // every type once, then all is well
    upc_memory_release(memory_of(&mine->seam, 64));
    assert_null(mine->device->idle->job.workspace);
    refusals = 1000;
    upc_memory *memory = NULL;
    assert_int_equal(backend->memory_create(mine->seam.device, 64, &memory), UPCONV_ERROR_GPU_MEMORY);
    refusals = 0;
    assert_ok(work_once(&mine->seam));
}

// ------------------------------------------------------------------------------------------------------
// cache

static void test_damaged_blobs(void **state)
{
    fixture *const mine = *state;
    upc_env *const env = &mine->seam.env;
    const seam_kernel *const kernel = &seam_kernels[SEAM_SCALE];
    const upc_program_source source = {.name = kernel->name,
                                       .text = kernel->glsl,
                                       .key = {11, 22},
                                       .local = {LOCAL, 1, 1},
                                       .binding_count = kernel->binding_count,
                                       .arg_count = kernel->arg_count};
    uint64_t key[2];
    upc_vk_cache_key(mine->device, &source, key);
    upc_program *program = NULL;
    assert_ok(backend->program_create(mine->seam.device, &source, &program));
    upc_program_release(program);
    uint64_t compiles = 1;
    assert_int_equal(env->counts.source_compiles, compiles);
    size_t size = 0;
    unsigned char *const good = upc_cache_find(env, key, &size);
    assert_non_null(good);
    assert_true(size > 100);
    unsigned char *const bad = malloc(size);
    static const struct {
        size_t flip, keep; // byte to change, bytes to keep (0: all)
        bool skipped;      // counted as damage; else as another compiler's
    } damages[] = {{0, 0, true},         {4, 0, true},         {8, 0, false},        {16, 0, true},
                   {19, 0, true},        {23, 0, true},        {SIZE_MAX, 1, true},  {SIZE_MAX, 16, true},
                   {SIZE_MAX, 18, true}, {SIZE_MAX, 20, true}, {SIZE_MAX, 40, true}, {SIZE_MAX, 99, true}};
    for (size_t i = 0; i < UPC_COUNT(damages); i++) {
        const uint64_t skipped = env->counts.skipped_blobs;
        memcpy(bad, good, size);
        if (damages[i].flip < size)
            bad[damages[i].flip] ^= 0xff;
        upc_cache_drop(env, key);
        upc_cache_store(env, key, bad, damages[i].keep ? damages[i].keep : size);
        assert_ok(backend->program_create(mine->seam.device, &source, &program));
        upc_program_release(program);
        assert_int_equal(env->counts.source_compiles, ++compiles);
        assert_int_equal(env->counts.skipped_blobs, skipped + damages[i].skipped);
        const uint64_t loads = env->counts.binary_loads; // and the good one has taken its place
        assert_ok(backend->program_create(mine->seam.device, &source, &program));
        upc_program_release(program);
        assert_int_equal(env->counts.binary_loads, loads + 1);
    }
    free(bad);
    upc_free(env, good);
}

// -----------------------------------------------------------------------------------------------------
// faults

static VkResult fault;

// Stands for any of the driver's functions: what it is given does not matter.
static VkResult refuse(void) { return fault; }

typedef VkResult (*fail_fn)(void);

#define FAULT(name, always)                                                                                  \
    {                                                                                                        \
#name, offsetof(upc_vk_api, name), always                                                            \
    }
static const struct {
    const char *name;
    size_t offset;
    bool always; // else the backend may do without
} faults[] = {
    FAULT(AllocateMemory, true),
    FAULT(CreateBuffer, true),
    FAULT(BindBufferMemory, true),
    FAULT(MapMemory, true),
    FAULT(CreateFence, true),
    FAULT(ResetFences, true),
    FAULT(QueueSubmit, true),
    FAULT(CreateShaderModule, true),
    FAULT(CreateComputePipelines, true),
    FAULT(CreatePipelineLayout, true),
    FAULT(CreateDescriptorSetLayout, true),
    FAULT(CreateDescriptorPool, true),
    FAULT(AllocateDescriptorSets, true),
    FAULT(CreateCommandPool, true),
    FAULT(ResetCommandPool, true),
    FAULT(AllocateCommandBuffers, true),
    FAULT(BeginCommandBuffer, true),
    FAULT(EndCommandBuffer, true),
    FAULT(WaitForFences, false),
    FAULT(GetFenceStatus, false),
    FAULT(CreateQueryPool, false),
    FAULT(GetQueryPoolResults, false),
    FAULT(ResetDescriptorPool, false),
    FAULT(FlushMappedMemoryRanges, false),
    FAULT(GetPipelineExecutablePropertiesKHR, false),
};

static void one_fault(size_t index, VkResult result, upconv_status wanted)
{
    void *state = NULL;
    assert_int_equal(setup_doomed(&state), 0);
    fixture *const mine = state;
    const fail_fn failing = refuse;
    char *const entry = (char *)&mine->device->vk + faults[index].offset;
    fail_fn real;
    memcpy(&real, entry, sizeof real);
    memcpy(entry, &failing, sizeof failing);
    fault = result;
    const upconv_status status = work_once(&mine->seam);
    memcpy(entry, &real, sizeof real);
    if (status && wanted && status != wanted)
        fail_msg("%s: %s instead of %s: %s", faults[index].name, upconv_status_name(status),
                 upconv_status_name(wanted), upc_last_error());
    if (!status && faults[index].always)
        fail_msg("%s may fail unseen", faults[index].name);
    const upconv_status after = work_once(&mine->seam);
    const upconv_status lasting = status == UPCONV_ERROR_DEVICE_LOST ? status : UPCONV_OK;
    if (after != lasting)
        fail_msg("after a failure of %s: %s", faults[index].name, upc_last_error());
    assert_int_equal(teardown_doomed(&state), 0);
}

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < UPC_COUNT(faults); i++) {
        one_fault(i, VK_ERROR_OUT_OF_HOST_MEMORY, UPCONV_ERROR_HOST_MEMORY);
        one_fault(i, VK_ERROR_OUT_OF_DEVICE_MEMORY, UPCONV_ERROR_GPU_MEMORY);
        one_fault(i, VK_ERROR_UNKNOWN, UPCONV_OK); // any status
        one_fault(i, VK_ERROR_DEVICE_LOST, UPCONV_ERROR_DEVICE_LOST);
    }
}

// A loss with work in flight: nothing blocks, nothing of ours leaks.
static void test_lost(void **state)
{
    fixture *const mine = *state;
    upc_program *const program = program_of(&mine->seam, SEAM_STEP, 0);
    upc_memory *const memory = memory_of(&mine->seam, 4096);
    const int32_t args[] = {64, 1};
    const upc_launch launch = {.program = program,
                               .groups = {2, 1, 1},
                               .bound = {{memory, 0, 4096}},
                               .bound_count = 1,
                               .args = args,
                               .arg_count = 2};
    upconv_ticket ticket = 0;
    fill(memory, 0);
    for (int i = 0; i < 5; i++)
        assert_ok(submit(&mine->seam, &launch, 1, 64, &ticket));
    let_work_end(mine);
    fault = VK_ERROR_DEVICE_LOST;
    mine->device->vk.GetFenceStatus = (PFN_vkGetFenceStatus)(void (*)(void))refuse;
    assert_int_equal(backend->wait(mine->seam.device, ticket, 30 * second), UPCONV_ERROR_DEVICE_LOST);
    assert_int_equal(submit(&mine->seam, &launch, 1, 64, &ticket), UPCONV_ERROR_DEVICE_LOST);
    uint64_t time_ns = 0;
    assert_int_equal(backend->ticket_time(mine->seam.device, ticket, &time_ns), UPCONV_ERROR_DEVICE_LOST);
    upc_memory_release(memory);
    upc_program_release(program);
    // The driver's own work has long ended; its objects are left to it all the same, as after a real loss.
}

int main(void)
{
    backend = &upc_backend_vulkan;
    if (!seam_present())
        return 77;
#define DEVICE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        DEVICE_TEST(test_staging),
        DEVICE_TEST(test_memory_kinds),
        DEVICE_TEST(test_allocation_count),
        DEVICE_TEST(test_trim),
        DEVICE_TEST(test_damaged_blobs),
        cmocka_unit_test(test_faults),
        cmocka_unit_test_setup_teardown(test_lost, setup_doomed, teardown_doomed),
    };
    return cmocka_run_group_tests_name("vulkan backend", tests, NULL, NULL) ? 1 : 0;
}
