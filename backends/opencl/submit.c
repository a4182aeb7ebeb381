// Submissions: launches on the device's queue, what they hold until they have ended, waits and times.
//
// Two locks. queue_lock makes "arguments, enqueue, flush" one thing and keeps tickets in the queue's order; a driver may take
// long inside it (some compile there). list_lock guards the list of what is in flight and is only held for questions, so
// that a bounded wait stays bounded.
#include "cl.h"

#include <string.h>

// -------------------------------------------------------------------------------------------------------------- slots

static void slot_clear(upc_cl_device *device, upc_cl_slot *slot)
{
    const bool safe = atomic_load(&device->base.state) == UPCONV_OK;
    for (size_t i = 0; i < slot->sub_count && safe; i++)
        device->cl.ReleaseMemObject(slot->subs[i]);
    for (size_t i = 0; i < slot->memory_count; i++)
        upc_memory_release(slot->memories[i]);
    for (size_t i = 0; i < slot->program_count; i++)
        upc_program_release(slot->programs[i]);
    if (slot->first && safe)
        device->cl.ReleaseEvent(slot->first);
    if (slot->last && safe)
        device->cl.ReleaseEvent(slot->last);
    slot->sub_count = slot->memory_count = slot->program_count = 0;
    slot->first = slot->last = NULL;
    slot->ticket = 0;
}

static void slot_workspace_drop(upc_cl_device *device, upc_cl_slot *slot)
{
    if (slot->workspace && atomic_load(&device->base.state) == UPCONV_OK)
        device->cl.ReleaseMemObject(slot->workspace);
    slot->workspace = NULL;
    slot->workspace_bytes = 0;
}

static void slot_destroy(upc_cl_device *device, upc_cl_slot *slot)
{
    const upc_env *env = device->base.env;
    slot_clear(device, slot);
    slot_workspace_drop(device, slot);
    upc_free(env, slot->memories);
    upc_free(env, slot->programs);
    upc_free(env, slot->subs);
    upc_free(env, slot);
}

static void slots_destroy(upc_cl_device *device, upc_cl_slot *slot)
{
    while (slot) {
        upc_cl_slot *next = slot->next;
        slot_destroy(device, slot);
        slot = next;
    }
}

void upc_cl_slots_destroy(upc_cl_device *device)
{
    slots_destroy(device, device->head);
    slots_destroy(device, device->idle);
    device->head = device->tail = device->idle = NULL;
}

static void slot_give_back(upc_cl_device *device, upc_cl_slot *slot)
{
    slot_clear(device, slot);
    pthread_mutex_lock(&device->list_lock);
    slot->next = device->idle;
    device->idle = slot;
    pthread_mutex_unlock(&device->list_lock);
}

// An idle slot, best one whose workspace already suffices, or a new one.
static upc_cl_slot *slot_get(upc_cl_device *device, uint64_t workspace_bytes)
{
    pthread_mutex_lock(&device->list_lock);
    upc_cl_slot **best = NULL;
    for (upc_cl_slot **at = &device->idle; *at; at = &(*at)->next) {
        const bool fits = (*at)->workspace_bytes >= workspace_bytes;
        const bool best_fits = best && (*best)->workspace_bytes >= workspace_bytes;
        // The smallest that fits; else the largest, whose memory is then given back before more is asked for.
        if (!best || (fits && (!best_fits || (*at)->workspace_bytes < (*best)->workspace_bytes)) ||
            (!fits && !best_fits && (*at)->workspace_bytes > (*best)->workspace_bytes))
            best = at;
    }
    upc_cl_slot *slot = best ? *best : NULL;
    if (slot) {
        *best = slot->next;
        slot->next = NULL;
    }
    pthread_mutex_unlock(&device->list_lock);
    if (!slot) {
        slot = upc_alloc(device->base.env, sizeof *slot);
        if (!slot)
            upc_no_memory(sizeof *slot);
    }
    return slot;
}

static upconv_status slot_workspace(upc_cl_device *device, upc_cl_slot *slot, uint64_t bytes)
{
    if (bytes <= slot->workspace_bytes)
        return UPCONV_OK;
    slot_workspace_drop(device, slot);
    upconv_status status = upc_cl_buffer(device, bytes, "workspace", &slot->workspace);
    if (status == UPCONV_ERROR_GPU_MEMORY) {
        // What idle slots keep for the next time may be what is missing now.
        pthread_mutex_lock(&device->list_lock);
        upc_cl_slot *idle = device->idle;
        device->idle = NULL;
        pthread_mutex_unlock(&device->list_lock);
        if (idle) {
            slots_destroy(device, idle);
            status = upc_cl_buffer(device, bytes, "workspace", &slot->workspace);
        }
    }
    if (status == UPCONV_OK)
        slot->workspace_bytes = bytes;
    return status;
}

// Retains all that the work uses, and makes room for sub-buffers.
static upconv_status slot_hold(upc_cl_device *device, upc_cl_slot *slot, const upc_work *work)
{
    const upc_env *env = device->base.env;
    const size_t programs = work->launch_count, bounds = programs * UPC_LAUNCH_BINDINGS;
    if (!upc_grow(env, (void **)&slot->programs, &slot->program_capacity, programs, sizeof *slot->programs) ||
        !upc_grow(env, (void **)&slot->memories, &slot->memory_capacity, bounds, sizeof *slot->memories) ||
        !upc_grow(env, (void **)&slot->subs, &slot->sub_capacity, bounds, sizeof *slot->subs))
        return upc_no_memory(bounds * sizeof *slot->memories);
    for (size_t i = 0; i < work->launch_count; i++) {
        const upc_launch *launch = &work->launches[i];
        if (launch->program) { // a matrix product has none
            upc_program_retain(launch->program);
            slot->programs[slot->program_count++] = launch->program;
        }
        for (uint32_t k = 0; k < launch->bound_count; k++)
            if (launch->bound[k].memory) {
                upc_memory_retain(launch->bound[k].memory);
                slot->memories[slot->memory_count++] = launch->bound[k].memory;
            }
    }
    return UPCONV_OK;
}

// --------------------------------------------------------------------------------------------------------- retirement

// By the device's clock where it has been kept, else since submission.
static uint64_t slot_time(const upc_cl_device *device, const upc_cl_slot *slot)
{
    cl_ulong start = 0, end = 0;
    const cl_event first = slot->first ? slot->first : slot->last;
    if (device->profiling &&
        device->cl.GetEventProfilingInfo(first, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL) == CL_SUCCESS &&
        device->cl.GetEventProfilingInfo(slot->last, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) == CL_SUCCESS &&
        end >= start)
        return end - start;
    return upc_now_ns() - slot->submitted_ns;
}

// Takes what has ended off the list and releases it. DEVICE_LOST when a submission has ended with an error.
static upconv_status retire(upc_cl_device *device)
{
    upc_cl_slot *ended = NULL;
    cl_int state = CL_COMPLETE;
    pthread_mutex_lock(&device->list_lock);
    while (device->head) {
        upc_cl_slot *slot = device->head;
        const cl_int error =
            device->cl.GetEventInfo(slot->last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
        if (error != CL_SUCCESS)
            state = error;
        if (state != CL_COMPLETE)
            break;
        if (slot->ticket) {
            device->times[slot->ticket % UPC_CL_KEPT_TIMES] = slot_time(device, slot);
            device->done = slot->ticket;
        }
        device->head = slot->next;
        if (!device->head)
            device->tail = NULL;
        slot->next = ended;
        ended = slot;
    }
    const upconv_ticket failed = state < 0 ? device->head->ticket : 0;
    pthread_mutex_unlock(&device->list_lock);
    while (ended) {
        upc_cl_slot *next = ended->next;
        slot_give_back(device, ended);
        ended = next;
    }
    if (state >= 0)
        return UPCONV_OK;
    return upc_fail(upc_cl_stick(device, UPCONV_ERROR_DEVICE_LOST),
                    "submission %llu ended with an error of the driver: %s "
                    "(%d)",
                    (unsigned long long)failed, upc_cl_error_name(state), (int)state);
}

// ------------------------------------------------------------------------------------------------------------- submit

// A matrix product may be several kernels and has only the last one's event; the submission began before the first.
static upconv_status slot_begin(upc_cl_device *device, upc_cl_slot *slot, const upc_work *work)
{
    if (work->launch_count == 0 || work->launches[0].gemm.m == 0)
        return UPCONV_OK;
    const cl_int error = device->cl.EnqueueMarkerWithWaitList(device->queue, 0, NULL, &slot->first);
    if (error != CL_SUCCESS)
        return upc_cl_fail(device, error, UPCONV_ERROR_GPU_MEMORY, "enqueueing a marker");
    return UPCONV_OK;
}

// Enqueues all launches. slot->last is set when there is anything to wait for, also when it fails half-way.
static upconv_status slot_enqueue(upc_cl_device *device, upc_cl_slot *slot, const upc_work *work)
{
    const upc_cl_waits none = {0, NULL};
    const uint32_t count = work->launch_count;
    upconv_status status = slot_begin(device, slot, work);
    uint32_t done = 0;
    for (; done < count && status == UPCONV_OK; done++) {
        cl_event *event = done + 1 == count ? &slot->last : done == 0 && !slot->first ? &slot->first : NULL;
        status = upc_cl_launch(device, device->queue, &work->launches[done], slot->workspace, none, event, slot->subs,
                               &slot->sub_count);
        if (status != UPCONV_OK)
            break;
    }
    if (!slot->last && (done > 0 || count == 0 || slot->first)) { // a product that failed may have enqueued a part
        const cl_int error = device->cl.EnqueueMarkerWithWaitList(device->queue, 0, NULL, &slot->last);
        if (error != CL_SUCCESS && status == UPCONV_OK)
            status = upc_cl_fail(device, error, UPCONV_ERROR_GPU_MEMORY, "enqueueing a marker");
    }
    const cl_int error = device->cl.Flush(device->queue);
    if (error != CL_SUCCESS && status == UPCONV_OK) {
        // Nobody can say now whether what was enqueued will ever run.
        upc_cl_stick(device, UPCONV_ERROR_DEVICE_LOST);
        status =
            upc_fail(UPCONV_ERROR_DEVICE_LOST, "flushing the queue: %s (%d)", upc_cl_error_name(error), (int)error);
    }
    return status;
}

// Appends the slot to the list; ticket may be NULL: then it is only waited for.
static void slot_publish(upc_cl_device *device, upc_cl_slot *slot, upconv_ticket *ticket)
{
    pthread_mutex_lock(&device->list_lock);
    slot->next = NULL;
    slot->ticket = ticket ? ++device->last : 0;
    if (ticket)
        *ticket = slot->ticket;
    if (device->tail)
        device->tail->next = slot;
    else
        device->head = slot;
    device->tail = slot;
    pthread_mutex_unlock(&device->list_lock);
}

upconv_status upc_cl_submit(upc_device *base, const upc_work *work, upconv_ticket *ticket)
{
    upc_cl_device *device = upc_cl_device_of(base);
    upconv_status status = upc_cl_check(device);
    if (status == UPCONV_OK)
        status = retire(device);
    if (status != UPCONV_OK)
        return status;
    upc_cl_slot *slot = slot_get(device, work->workspace_bytes);
    if (!slot)
        return UPCONV_ERROR_HOST_MEMORY;
    status = slot_workspace(device, slot, work->workspace_bytes);
    if (status == UPCONV_OK)
        status = slot_hold(device, slot, work);
    if (status != UPCONV_OK) {
        slot_give_back(device, slot);
        return status;
    }
    pthread_mutex_lock(&device->queue_lock);
    slot->submitted_ns = upc_now_ns();
    status = slot_enqueue(device, slot, work);
    const bool in_flight = slot->last != NULL;
    if (in_flight)
        slot_publish(device, slot, status == UPCONV_OK ? ticket : NULL);
    pthread_mutex_unlock(&device->queue_lock);
    if (!in_flight) {
        // Should part of it have been enqueued without a way to see its end, the workspace must not be used again;
        // OpenCL itself keeps what enqueued commands use.
        slot_workspace_drop(device, slot);
        slot_give_back(device, slot);
    }
    return status;
}

// --------------------------------------------------------------------------------------------------------------- wait

static void tickets_get(upc_cl_device *device, upconv_ticket *done, upconv_ticket *last, bool *empty)
{
    pthread_mutex_lock(&device->list_lock);
    *done = device->done;
    *last = device->last;
    *empty = device->head == NULL;
    pthread_mutex_unlock(&device->list_lock);
}

upconv_status upc_cl_wait(upc_device *base, upconv_ticket ticket, int64_t timeout_ns)
{
    upc_cl_device *device = upc_cl_device_of(base);
    const uint64_t start = upc_now_ns();
    for (;;) {
        const uint64_t waited = upc_now_ns() - start; // before asking, so that the last question comes after the time-out
        upconv_status status = upc_cl_check(device);
        if (status == UPCONV_OK)
            status = retire(device);
        if (status != UPCONV_OK)
            return status;
        upconv_ticket done, last;
        bool empty;
        tickets_get(device, &done, &last, &empty);
        if (ticket == 0 || ticket > last)
            return upc_fail(UPCONV_ERROR_INVALID, "there is no ticket %llu: the last submission has %llu",
                            (unsigned long long)ticket, (unsigned long long)last);
        if (ticket <= done)
            return UPCONV_OK;
        if (timeout_ns <= 0)
            return upc_fail(UPCONV_ERROR_TIMEOUT, "submission %llu has not ended yet", (unsigned long long)ticket);
        if (waited >= (uint64_t)timeout_ns)
            return upc_fail(upc_cl_stick(device, UPCONV_ERROR_TIMEOUT),
                            "submission %llu has not ended after %.3f s: the device hangs", (unsigned long long)ticket,
                            (double)waited * 1e-9);
        upc_cl_nap(waited);
    }
}

upconv_status upc_cl_drain(upc_cl_device *device, int64_t timeout_ns)
{
    const uint64_t start = upc_now_ns();
    for (;;) {
        const uint64_t waited = upc_now_ns() - start;
        const upconv_status status = retire(device);
        if (status != UPCONV_OK)
            return status;
        upconv_ticket done, last;
        bool empty;
        tickets_get(device, &done, &last, &empty);
        if (empty)
            return UPCONV_OK;
        if (timeout_ns <= 0 || waited >= (uint64_t)timeout_ns)
            return upc_fail(upc_cl_stick(device, UPCONV_ERROR_TIMEOUT), "submissions are in flight after %.3f s",
                            (double)waited * 1e-9);
        upc_cl_nap(waited);
    }
}

upconv_status upc_cl_ticket_time(upc_device *base, upconv_ticket ticket, uint64_t *time_ns)
{
    upc_cl_device *device = upc_cl_device_of(base);
    upconv_status status = upc_cl_check(device);
    if (status == UPCONV_OK)
        status = retire(device);
    if (status != UPCONV_OK)
        return status;
    pthread_mutex_lock(&device->list_lock);
    const upconv_ticket done = device->done;
    const bool ended = ticket > 0 && ticket <= done, known = ended && done - ticket < UPC_CL_KEPT_TIMES;
    if (known)
        *time_ns = device->times[ticket % UPC_CL_KEPT_TIMES];
    pthread_mutex_unlock(&device->list_lock);
    if (!ended)
        return upc_fail(UPCONV_ERROR_INVALID, "submission %llu has not ended", (unsigned long long)ticket);
    if (!known)
        return upc_fail(UPCONV_ERROR_INVALID, "the time of submission %llu is forgotten: only the last %d are kept",
                        (unsigned long long)ticket, (int)UPC_CL_KEPT_TIMES);
    return UPCONV_OK;
}
