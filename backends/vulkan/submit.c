// What is in flight. Each submission has a slot of its own (command buffer, descriptors, workspace, fence,
// time stamps), taken from the idle ones or made new, and given back when its fence is seen signalled. Two
// locks: queue_lock keeps submissions and ticket numbers in one order; lock guards the lists, and is never
// held while waiting.
#include "vk.h"

#include <string.h>
#include <time.h>

static const int64_t longest_wait_ns = (int64_t)60 * 1000 * 1000 * 1000; // for a caller that names none

// ----------------------------------------------------------------------------------------------------- slots

static void destroy_slot(upc_vk_device *device, upc_vk_slot *slot)
{
    const upc_vk_api *const vk = &device->vk;
    upc_vk_job_finish(device, &slot->job);
    if (!device->abandoned) {
        vk->DestroyCommandPool(device->device, slot->commands_pool, NULL);
        vk->DestroyFence(device->device, slot->fence, NULL);
        vk->DestroyQueryPool(device->device, slot->queries, NULL);
    }
    upc_free(device->base.env, slot);
}

static VkResult make_slot_objects(upc_vk_device *device, upc_vk_slot *slot)
{
    const upc_vk_api *const vk = &device->vk;
    const VkCommandPoolCreateInfo pool = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, NULL, 0,
                                          device->physical.family};
    VkResult result = vk->CreateCommandPool(device->device, &pool, NULL, &slot->commands_pool);
    if (result) {
        slot->commands_pool = VK_NULL_HANDLE;
        return result;
    }
    const VkCommandBufferAllocateInfo commands = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, NULL,
                                                  slot->commands_pool, VK_COMMAND_BUFFER_LEVEL_PRIMARY, 1};
    result = vk->AllocateCommandBuffers(device->device, &commands, &slot->commands);
    if (result)
        return result;
    const VkFenceCreateInfo fence = {VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    result = vk->CreateFence(device->device, &fence, NULL, &slot->fence);
    if (result) {
        slot->fence = VK_NULL_HANDLE;
        return result;
    }
    const VkQueryPoolCreateInfo queries = {
        VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, NULL, 0, VK_QUERY_TYPE_TIMESTAMP, 2, 0};
    // Without the pool times are the host's.
    if (!device->base.facts.info.timestamps ||
        vk->CreateQueryPool(device->device, &queries, NULL, &slot->queries))
        slot->queries = VK_NULL_HANDLE;
    return VK_SUCCESS;
}

static void put_idle(upc_vk_device *device, upc_vk_slot *slot) // lock held
{
    slot->next = device->idle;
    device->idle = slot;
}

static void give_back(upc_vk_device *device, upc_vk_slot *slot)
{
    upc_vk_job_release(device, &slot->job);
    pthread_mutex_lock(&device->lock);
    put_idle(device, slot);
    pthread_mutex_unlock(&device->lock);
}

static uint64_t slot_workspace(const upc_vk_slot *slot)
{
    return slot->job.workspace ? slot->job.workspace->bytes : 0;
}

// The idle slot whose workspace is the smallest that does, or the largest of those that do not.
static upc_vk_slot *pick_idle(upc_vk_device *device, uint64_t workspace_bytes) // lock held
{
    upc_vk_slot **best = NULL;
    for (upc_vk_slot **at = &device->idle; *at; at = &(*at)->next) {
        if (!best) {
            best = at;
            continue;
        }
        const uint64_t mine = slot_workspace(*at), other = slot_workspace(*best);
        const bool fits = mine >= workspace_bytes, other_fits = other >= workspace_bytes;
        if (fits != other_fits ? fits : (fits ? mine < other : mine > other))
            best = at;
    }
    if (!best)
        return NULL;
    upc_vk_slot *const slot = *best;
    *best = slot->next;
    return slot;
}

// ------------------------------------------------------------------------------------------------ retirement

static void note_time(upc_vk_device *device, const upc_vk_slot *slot) // lock held
{
    uint64_t time_ns = upc_now_ns() - slot->submitted_ns;
    uint64_t stamps[2];
    if (slot->queries &&
        device->vk.GetQueryPoolResults(device->device, slot->queries, 0, 2, sizeof stamps, stamps,
                                       sizeof *stamps, VK_QUERY_RESULT_64_BIT) == VK_SUCCESS) {
        const uint32_t bits = device->physical.timestamp_bits;
        const uint64_t mask = bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
        const double period = device->physical.properties.limits.timestampPeriod;
        time_ns = (uint64_t)((double)((stamps[1] - stamps[0]) & mask) * period);
    }
    const size_t at = slot->ticket % UPC_VK_TIMES;
    if (device->times[at].ticket <= slot->ticket) {
        device->times[at].ticket = slot->ticket;
        device->times[at].time_ns = time_ns;
    }
}

static void retire(upc_vk_device *device, upc_vk_slot *slot) // lock held; the fence has been seen signalled
{
    upc_vk_slot *before = NULL;
    for (upc_vk_slot *at = device->first; at != slot; at = at->next)
        before = at;
    if (before)
        before->next = slot->next;
    else
        device->first = slot->next;
    if (device->last == slot)
        device->last = before;
    slot->next = NULL;
    slot->ended = true;
    note_time(device, slot);
    upc_vk_job_release(device, &slot->job);
    if (!slot->waiters) // else the last of them does it
        put_idle(device, slot);
}

// Retires what has ended, oldest first.
static void poll(upc_vk_device *device) // lock held
{
    while (device->first) {
        const VkResult result = device->vk.GetFenceStatus(device->device, device->first->fence);
        if (result == VK_ERROR_DEVICE_LOST)
            upc_vk_set_state(&device->base, UPCONV_ERROR_DEVICE_LOST);
        if (result)
            return;
        retire(device, device->first);
    }
}

// ------------------------------------------------------------------------------------------------ submission

static upconv_status take_slot(upc_vk_device *device, uint64_t workspace_bytes, upc_vk_slot **taken)
{
    pthread_mutex_lock(&device->lock);
    poll(device);
    upc_vk_slot *slot = pick_idle(device, workspace_bytes);
    pthread_mutex_unlock(&device->lock);
    upconv_status status = upc_vk_check(&device->base);
    if (!slot && !status) {
        slot = upc_alloc(device->base.env, sizeof *slot);
        if (!slot)
            return upc_no_memory(sizeof *slot);
        const VkResult result = make_slot_objects(device, slot);
        if (result) {
            destroy_slot(device, slot);
            return upc_vk_failed(&device->base, result, UPCONV_ERROR_GPU_MEMORY, "making a command buffer");
        }
    }
    if (status) {
        if (slot)
            give_back(device, slot);
        return status;
    }
    slot->ended = false;
    *taken = slot;
    return UPCONV_OK;
}

static void full_barrier(const upc_vk_device *device, VkCommandBuffer commands, bool end)
{
    const VkAccessFlags writes = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    const VkAccessFlags all = writes | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;
    const VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    const VkMemoryBarrier barrier = {VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL, writes,
                                     end ? all | VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT : all};
    device->vk.CmdPipelineBarrier(commands, stages, end ? stages | VK_PIPELINE_STAGE_HOST_BIT : stages, 0, 1,
                                  &barrier, 0, NULL, 0, NULL);
}

// What every command buffer begins with.
static VkResult begin(const upc_vk_device *device, upc_vk_slot *slot)
{
    const upc_vk_api *const vk = &device->vk;
    VkResult result = vk->ResetCommandPool(device->device, slot->commands_pool, 0);
    const VkCommandBufferBeginInfo info = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO, NULL,
                                           VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT, NULL};
    if (!result)
        result = vk->BeginCommandBuffer(slot->commands, &info);
    if (result)
        return result;
    full_barrier(device, slot->commands, false);
    if (slot->queries) {
        vk->CmdResetQueryPool(slot->commands, slot->queries, 0, 2);
        // At the bottom of the pipe: when all before it has ended, not when the front end came by.
        vk->CmdWriteTimestamp(slot->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, slot->queries, 0);
    }
    return VK_SUCCESS;
}

static VkResult end(const upc_vk_device *device, upc_vk_slot *slot)
{
    const upc_vk_api *const vk = &device->vk;
    if (slot->queries)
        vk->CmdWriteTimestamp(slot->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, slot->queries, 1);
    full_barrier(device, slot->commands, true);
    return vk->EndCommandBuffer(slot->commands);
}

// Hands the slot to the queue; from then on it belongs to the list of what is in flight.
static upconv_status enqueue(upc_vk_device *device, upc_vk_slot *slot, upconv_ticket *ticket)
{
    VkResult result = device->vk.ResetFences(device->device, 1, &slot->fence);
    if (result)
        return upc_vk_failed(&device->base, result, UPCONV_ERROR_GPU_MEMORY, "vkResetFences");
    const VkSubmitInfo info = {
        VK_STRUCTURE_TYPE_SUBMIT_INFO, NULL, 0, NULL, NULL, 1, &slot->commands, 0, NULL};
    pthread_mutex_lock(&device->queue_lock);
    if (device->lock_queue)
        device->lock_queue(device->lock_user);
    slot->submitted_ns = upc_now_ns();
    result = device->vk.QueueSubmit(device->queue, 1, &info, slot->fence);
    if (device->unlock_queue)
        device->unlock_queue(device->lock_user);
    if (!result) {
        pthread_mutex_lock(&device->lock);
        slot->ticket = ++device->issued;
        *ticket = slot->ticket;
        slot->next = NULL;
        if (device->last)
            device->last->next = slot;
        else
            device->first = slot;
        device->last = slot;
        pthread_mutex_unlock(&device->lock);
    }
    pthread_mutex_unlock(&device->queue_lock);
    // A queue that refuses work for no reason that it knows will not take the next either.
    return result ? upc_vk_failed(&device->base, result, UPCONV_ERROR_DEVICE_LOST, "vkQueueSubmit")
                  : UPCONV_OK;
}

upconv_status upc_vk_submit(upc_device *base, const upc_work *work, upconv_ticket *ticket)
{
    upc_vk_device *const device = (upc_vk_device *)base;
    upc_vk_slot *slot = NULL;
    upconv_status status = take_slot(device, work->workspace_bytes, &slot);
    if (status)
        return status;
    status =
        upc_vk_job_prepare(device, &slot->job, work->launches, work->launch_count, work->workspace_bytes);
    if (!status) {
        VkResult result = begin(device, slot);
        if (!result)
            status =
                upc_vk_job_record(device, &slot->job, slot->commands, work->launches, work->launch_count);
        if (!result && !status)
            result = end(device, slot);
        if (result)
            status = upc_vk_failed(base, result, UPCONV_ERROR_GPU_MEMORY, "recording a command buffer");
    }
    if (!status)
        status = enqueue(device, slot, ticket);
    if (status)
        give_back(device, slot);
    return status;
}

upconv_status upc_vk_copy(upc_vk_device *device, upc_vk_memory *from, upc_vk_memory *to, int64_t timeout_ns)
{
    upc_vk_slot *slot = NULL;
    upconv_ticket ticket = 0;
    upconv_status status = take_slot(device, 0, &slot);
    if (status)
        return status;
    status = upc_vk_job_retain(device, &slot->job, &from->base);
    if (!status)
        status = upc_vk_job_retain(device, &slot->job, &to->base);
    if (!status) {
        VkResult result = begin(device, slot);
        if (!result) {
            const VkBufferCopy region = {0, 0, from->base.bytes};
            device->vk.CmdCopyBuffer(slot->commands, from->buffer, to->buffer, 1, &region);
            result = end(device, slot);
        }
        if (result)
            status = upc_vk_failed(&device->base, result, UPCONV_ERROR_GPU_MEMORY, "recording a copy");
    }
    if (!status)
        status = enqueue(device, slot, &ticket);
    if (status) {
        give_back(device, slot);
        return status;
    }
    return upc_vk_wait(&device->base, ticket, timeout_ns > 0 ? timeout_ns : longest_wait_ns);
}

// --------------------------------------------------------------------------------------------------- waiting

static upc_vk_slot *find(const upc_vk_device *device, upconv_ticket ticket) // lock held
{
    upc_vk_slot *slot = device->first;
    while (slot && slot->ticket != ticket)
        slot = slot->next;
    return slot;
}

// A driver that computes on the processor may first wait for everything that is queued, and only then look at the clock (lavapipe
// 22.3 with 1,000 submissions queued: 3.5 s for a bound of 0.2 s). There the fence is asked, with naps that grow.
static VkResult wait_fence(upc_vk_device *device, VkFence fence, int64_t timeout_ns)
{
    if (device->base.facts.info.kind != UPCONV_DEVICE_CPU)
        return device->vk.WaitForFences(device->device, 1, &fence, VK_TRUE, (uint64_t)timeout_ns);
    const uint64_t start = upc_now_ns();
    struct timespec nap = {.tv_nsec = 10000};
    for (;;) {
        const VkResult result = device->vk.GetFenceStatus(device->device, fence);
        if (result != VK_NOT_READY)
            return result;
        if (upc_now_ns() - start >= (uint64_t)timeout_ns)
            return VK_TIMEOUT;
        nanosleep(&nap, NULL);
        nap.tv_nsec = UPC_MIN(nap.tv_nsec + nap.tv_nsec / 4, 500000);
    }
}

// Blocks without the lock; the slot stays this thread's to look at while `waiters` counts it.
static VkResult wait_for(upc_vk_device *device, upc_vk_slot *slot, int64_t timeout_ns) // lock held
{
    slot->waiters++;
    pthread_mutex_unlock(&device->lock);
    VkResult result = wait_fence(device, slot->fence, timeout_ns);
    pthread_mutex_lock(&device->lock);
    poll(device);
    if (slot->ended)
        result = VK_SUCCESS; // another thread may have seen it first
    else if (result == VK_SUCCESS)
        retire(device, slot);
    if (--slot->waiters == 0 && slot->ended)
        put_idle(device, slot);
    return result;
}

upconv_status upc_vk_wait(upc_device *base, upconv_ticket ticket, int64_t timeout_ns)
{
    upc_vk_device *const device = (upc_vk_device *)base;
    upconv_status status = upc_vk_check(base);
    if (status)
        return status;
    if (timeout_ns < 0)
        timeout_ns = longest_wait_ns;
    VkResult result = VK_SUCCESS;
    pthread_mutex_lock(&device->lock);
    const upconv_ticket issued = device->issued;
    poll(device);
    upc_vk_slot *const slot = find(device, ticket);
    if (slot)
        result = timeout_ns ? wait_for(device, slot, timeout_ns) : VK_NOT_READY;
    pthread_mutex_unlock(&device->lock);

    if (!ticket || ticket > issued)
        return upc_fail(UPCONV_ERROR_INVALID, "there is no ticket %llu; the last is %llu",
                        (unsigned long long)ticket, (unsigned long long)issued);
    if (result == VK_TIMEOUT) {
        upc_vk_set_state(base, UPCONV_ERROR_TIMEOUT);
        return upc_fail(UPCONV_ERROR_TIMEOUT, "submission %llu did not end within %lld ms",
                        (unsigned long long)ticket, (long long)(timeout_ns / 1000000));
    }
    if (result < VK_SUCCESS)
        return upc_vk_failed(base, result, UPCONV_ERROR_DEVICE_LOST, "vkWaitForFences");
    status = upc_vk_check(base); // what polling may have found
    if (!status && result == VK_NOT_READY)
        status =
            upc_fail(UPCONV_ERROR_TIMEOUT, "submission %llu has not ended yet", (unsigned long long)ticket);
    return status;
}

upconv_status upc_vk_ticket_time(upc_device *base, upconv_ticket ticket, uint64_t *time_ns)
{
    upc_vk_device *const device = (upc_vk_device *)base;
    const upconv_status status = upc_vk_check(base);
    if (status)
        return status;
    pthread_mutex_lock(&device->lock);
    poll(device);
    const size_t at = ticket % UPC_VK_TIMES;
    const bool known = ticket && device->times[at].ticket == ticket;
    const uint64_t time = device->times[at].time_ns;
    const bool running = find(device, ticket) != NULL;
    pthread_mutex_unlock(&device->lock);
    if (!known)
        return upc_fail(UPCONV_ERROR_INVALID, "the time of ticket %llu is not known: %s",
                        (unsigned long long)ticket,
                        running ? "it has not ended" : "no such ticket, or not among the last 256");
    *time_ns = time;
    return UPCONV_OK;
}

// --------------------------------------------------------------------------------------------------- closing

bool upc_vk_drain(upc_vk_device *device, int64_t timeout_ns)
{
    pthread_mutex_lock(&device->lock);
    poll(device);
    if (device->last && timeout_ns > 0 && !atomic_load(&device->base.state) &&
        wait_for(device, device->last, timeout_ns) == VK_TIMEOUT)
        upc_vk_set_state(&device->base, UPCONV_ERROR_TIMEOUT);
    poll(device);
    const bool empty = !device->first;
    pthread_mutex_unlock(&device->lock);
    return empty;
}

bool upc_vk_trim(upc_vk_device *device)
{
    bool any = false;
    pthread_mutex_lock(&device->lock);
    poll(device);
    for (upc_vk_slot *slot = device->idle; slot; slot = slot->next) {
        any |= slot->job.workspace != NULL;
        upc_memory_release(slot->job.workspace);
        slot->job.workspace = NULL;
    }
    pthread_mutex_unlock(&device->lock);
    return any;
}

void upc_vk_slots_finish(upc_vk_device *device)
{
    upc_vk_slot *const lists[2] = {device->idle, device->first};
    device->idle = device->first = device->last = NULL;
    for (int i = 0; i < 2; i++) {
        for (upc_vk_slot *slot = lists[i]; slot;) {
            upc_vk_slot *const next = slot->next;
            destroy_slot(device, slot);
            slot = next;
        }
    }
}
