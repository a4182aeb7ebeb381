// upconv on the app's OpenCL objects: a context on its device, its buffers, plans on its queues.
#include "../../api/internal.h"
#include "cl.h"

#include <string.h>

upconv_status upconv_cl_context_create(const upconv_cl_params *mine, const upconv_context_params *params,
                                       upconv_context **context)
{
    if (!mine || !context)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL; upconv_cl_context_create needs it",
                        mine ? "context" : "mine");
    upconv_cl_params lent;
    upconv_status status = upc_params_copy(&lent, sizeof lent, mine, sizeof lent, "upconv_cl_params");
    if (status != UPCONV_OK)
        return status;
    upconv_context *made = NULL;
    status = upc_context_prepare(params, &made);
    if (status != UPCONV_OK)
        return status;
    upc_device *device = NULL;
    status = upc_cl_open_lent(&made->env, &lent, &device);
    if (status == UPCONV_OK)
        status = upc_context_adopt(made, &upc_backend_opencl, device, params);
    if (status != UPCONV_OK) {
        upconv_context_destroy(made);
        return status;
    }
    *context = made;
    return UPCONV_OK;
}

upconv_status upconv_cl_buffer_import(upconv_context *context, cl_mem buffer, upconv_buffer **imported)
{
    if (!context || !buffer || !imported)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL; upconv_cl_buffer_import needs it",
                        !context ? "context" : !buffer ? "buffer" : "imported");
    if (context->backend != &upc_backend_opencl)
        return upc_fail(UPCONV_ERROR_INVALID, "the context is on %s; an OpenCL buffer needs one on OpenCL",
                        context->backend->name);
    upc_memory *memory = NULL;
    const upconv_status status = upc_cl_memory_import(upc_cl_device_of(context->device), buffer, &memory);
    return status == UPCONV_OK ? upc_buffer_wrap(context, memory, imported) : status;
}

// ------------------------------------------------------------------------------------------------------------ enqueue

// An enqueue under way. Launches between two barriers are a wave: on a queue that is out of order they wait for the gate,
// and the next wave's gate is the end of all of them.
typedef struct enqueue {
    upc_cl_device *device;
    cl_command_queue queue;
    bool in_order;
    cl_mem workspace;
    upc_cl_waits gate;
    cl_event gate_event; // ours, when the gate is not the app's own list
    cl_event *wave;      // with room for all launches
    cl_uint wave_count;
    cl_mem subs[UPC_LAUNCH_BINDINGS];
    size_t sub_count;
} enqueue;

static void events_release(const upc_cl *cl, const cl_event *events, cl_uint count)
{
    for (cl_uint i = 0; i < count; i++)
        cl->ReleaseEvent(events[i]);
}

// One event for the end of the wave (and of what it waited for), which becomes the gate.
static upconv_status wave_close(enqueue *work)
{
    const upc_cl *cl = &work->device->cl;
    cl_event end = NULL;
    if (work->wave_count == 1) {
        end = work->wave[0];
    } else {
        const upc_cl_waits over = work->wave_count ? (upc_cl_waits){work->wave_count, work->wave} : work->gate;
        const cl_int error =
            cl->EnqueueMarkerWithWaitList(work->queue, over.count, over.count ? over.events : NULL, &end);
        if (error != CL_SUCCESS)
            return upc_cl_fail(work->device, error, UPCONV_ERROR_GPU_MEMORY, "enqueueing a marker");
        events_release(cl, work->wave, work->wave_count);
    }
    work->wave_count = 0;
    if (work->gate_event)
        cl->ReleaseEvent(work->gate_event);
    work->gate_event = end;
    work->gate = (upc_cl_waits){1, &work->gate_event};
    return UPCONV_OK;
}

static upconv_status enqueue_launch(enqueue *work, const upc_launch *launch, bool first, bool last, bool wanted)
{
    const upc_cl *cl = &work->device->cl;
    const upc_cl_waits none = {0, NULL};
    upconv_status status = UPCONV_OK;
    if (launch->barrier && work->wave_count && !work->in_order)
        status = wave_close(work);
    if (status != UPCONV_OK)
        return status;
    // A queue in order needs one wait in front and one event at the end.
    cl_event *event = !work->in_order || (last && wanted) ? &work->wave[work->wave_count] : NULL;
    work->sub_count = 0;
    status = upc_cl_launch(work->device, work->queue, launch, work->workspace,
                           !work->in_order || first ? work->gate : none, event, work->subs, &work->sub_count);
    if (status == UPCONV_OK && event)
        work->wave_count++;
    // OpenCL keeps what an enqueued command uses.
    for (size_t i = 0; i < work->sub_count; i++)
        cl->ReleaseMemObject(work->subs[i]);
    return status;
}

static upconv_status enqueue_all(enqueue *work, const upc_launch *launches, size_t count, cl_event *event)
{
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < count && status == UPCONV_OK; i++)
        status = enqueue_launch(work, &launches[i], i == 0, i + 1 == count, event != NULL);
    if (status == UPCONV_OK && event)
        status = wave_close(work);
    if (status == UPCONV_OK && event) {
        *event = work->gate_event;
        work->gate_event = NULL;
    }
    events_release(&work->device->cl, work->wave, work->wave_count);
    if (work->gate_event)
        work->device->cl.ReleaseEvent(work->gate_event);
    return status;
}

// Whether the plan can be enqueued there, and how.
static upconv_status queue_check(upc_cl_device *device, cl_command_queue queue, bool *in_order)
{
    const upc_cl *cl = &device->cl;
    cl_context context = NULL;
    cl_device_id id = NULL;
    cl_command_queue_properties properties = 0;
    cl_int error = cl->GetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
    if (error == CL_SUCCESS)
        error = cl->GetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof id, &id, NULL);
    if (error == CL_SUCCESS)
        error = cl->GetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    if (error != CL_SUCCESS)
        return upc_fail(UPCONV_ERROR_INVALID, "queue is no OpenCL queue: %s", upc_cl_error_name(error));
    if (context != device->context)
        return upc_fail(UPCONV_ERROR_INVALID, "queue is of another cl_context than upconv's");
    if (id != device->where.device)
        return upc_fail(UPCONV_ERROR_INVALID, "queue is of another device than the plan was made for");
    *in_order = !(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    return UPCONV_OK;
}

static upconv_status enqueue_check(const upconv_plan *plan, cl_command_queue queue, const upconv_io *io,
                                   cl_uint wait_count, const cl_event *waits)
{
    if (!plan || !queue || !io)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL; upconv_cl_enqueue needs it",
                        !plan ? "plan" : !queue ? "queue" : "io");
    if (plan->context->backend != &upc_backend_opencl)
        return upc_fail(UPCONV_ERROR_INVALID, "the plan is for %s; a queue of OpenCL needs one for OpenCL",
                        plan->context->backend->name);
    if ((wait_count > 0) != (waits != NULL))
        return upc_fail(UPCONV_ERROR_INVALID, "wait_count is %u and waits is %s; both or none must be given",
                        (unsigned)wait_count, waits ? "not NULL" : "NULL");
    return UPCONV_OK;
}

// Whether a launch uses memory that has to be provided here.
static bool workspace_needed(const upc_launch *launches, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < launches[i].bound_count; k++)
            if (!launches[i].bound[k].memory)
                return true;
    return false;
}

upconv_status upconv_cl_enqueue(upconv_plan *plan, cl_command_queue queue, const upconv_io *io, cl_uint wait_count,
                                const cl_event *waits, cl_event *event)
{
    upconv_status status = enqueue_check(plan, queue, io, wait_count, waits);
    if (status != UPCONV_OK)
        return status;
    upc_cl_device *device = upc_cl_device_of(plan->context->device);
    enqueue work = {.device = device, .queue = queue, .gate = {wait_count, waits}};
    status = upc_cl_check(device);
    if (status == UPCONV_OK)
        status = queue_check(device, queue, &work.in_order);
    if (status != UPCONV_OK)
        return status;
    const upc_env *env = device->base.env;
    const size_t count = plan->recipe.step_count;
    upc_launch *launches = NULL;
    status = upc_plan_launches(plan, io, &launches);
    if (status != UPCONV_OK)
        return status;
    work.wave = upc_alloc_array(env, count + 1, sizeof *work.wave);
    if (!work.wave)
        status = upc_no_memory((count + 1) * sizeof *work.wave);
    if (status == UPCONV_OK && workspace_needed(launches, count))
        status = upc_cl_buffer(device, plan->recipe.workspace_bytes, "workspace", &work.workspace);
    if (status == UPCONV_OK) {
        pthread_mutex_lock(&device->queue_lock); // for the arguments of kernels
        status = enqueue_all(&work, launches, count, event);
        pthread_mutex_unlock(&device->queue_lock);
    }
    if (work.workspace)
        device->cl.ReleaseMemObject(work.workspace); // kept by OpenCL until the commands have ended
    upc_free(env, work.wave);
    upc_free(env, launches);
    return status;
}
