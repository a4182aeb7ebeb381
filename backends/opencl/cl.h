// The OpenCL backend's own types. Each file of this folder is one idea: loader.c opens libOpenCL, facts.c reads a device,
// device.c finds, opens and closes one, memory.c and program.c make objects, launch.c sets arguments and enqueues, gemm.c
// has CLBlast do so, submit.c keeps what is in flight, interop.c works on the app's objects. Nothing links libOpenCL: every call goes through upc_cl.
#ifndef UPC_CL_H
#define UPC_CL_H

#include <pthread.h>

#include <upconv/upconv_opencl.h>

#include "../backend.h"

// All of OpenCL that is used, 1.2 without its extensions.
#define UPC_CL_FUNCTIONS(X)                                                                                            \
    X(GetPlatformIDs) X(GetPlatformInfo) X(GetDeviceIDs) X(GetDeviceInfo) X(CreateContext) X(RetainContext)            \
    X(ReleaseContext) X(GetContextInfo) X(CreateCommandQueue) X(RetainCommandQueue) X(ReleaseCommandQueue)             \
    X(GetCommandQueueInfo) X(CreateBuffer) X(CreateSubBuffer) X(RetainMemObject) X(ReleaseMemObject)                   \
    X(GetMemObjectInfo) X(EnqueueMapBuffer) X(EnqueueUnmapMemObject) X(CreateProgramWithSource)                        \
    X(CreateProgramWithBinary) X(ReleaseProgram) X(BuildProgram) X(GetProgramInfo) X(GetProgramBuildInfo)              \
    X(CreateKernel) X(ReleaseKernel) X(SetKernelArg) X(GetKernelInfo) X(GetKernelWorkGroupInfo)                        \
    X(EnqueueNDRangeKernel) X(EnqueueMarkerWithWaitList) X(EnqueueBarrierWithWaitList) X(ReleaseEvent)               \
    X(GetEventInfo) X(GetEventProfilingInfo) X(Flush)

// The driver's functions, by their names without "cl". One per device or enumeration, so that nothing is global.
typedef struct upc_cl {
    void *library;
    char name[48]; // which library it is
#define UPC_CL_MEMBER(function) __typeof__(cl##function) *function;
    UPC_CL_FUNCTIONS(UPC_CL_MEMBER)
#undef UPC_CL_MEMBER
} upc_cl;

// false, with one sentence in `why`, when there is no usable OpenCL library.
bool upc_cl_load(upc_cl *cl, upc_text *why);
void upc_cl_unload(upc_cl *cl);
const char *upc_cl_error_name(cl_int error);

// What is used of CLBlast's C interface; enumerations are ints. All of it under the device's queue_lock.
typedef int upc_cl_sgemm_fn(int layout, int a_transpose, int b_transpose, size_t m, size_t n, size_t k, float alpha,
                            cl_mem a, size_t a_offset, size_t a_ld, cl_mem b, size_t b_offset, size_t b_ld, float beta,
                            cl_mem c, size_t c_offset, size_t c_ld, cl_command_queue *queue, cl_event *event);
typedef struct upc_cl_blas {
    void *library; // NULL: there is none
    const char *name;
    upc_cl_sgemm_fn *sgemm;
    int (*clear_cache)(void);
    bool used;
} upc_cl_blas;

// false, with the reason in `why`, when there is no CLBlast that works on objects of `cl`.
bool upc_cl_blas_load(upc_cl_blas *blas, const upc_cl *cl, upc_text *why);
// safe: the device answers.
void upc_cl_blas_unload(upc_cl_blas *blas, bool safe);

// A device and its platform, as enumerated.
typedef struct upc_cl_where {
    cl_platform_id platform;
    cl_device_id device;
} upc_cl_where;

enum { UPC_CL_KEPT_TIMES = 256 };

// One submission in flight, or (idle) ready for the next: its workspace is kept.
typedef struct upc_cl_slot {
    struct upc_cl_slot *next;
    upconv_ticket ticket; // 0: what had been enqueued of a submission that then failed
    cl_event first, last; // last: its end is the submission's end; first: NULL when it is the same
    uint64_t submitted_ns;
    cl_mem workspace;
    uint64_t workspace_bytes;
    upc_memory **memories; // held until retirement, as are programs and subs
    upc_program **programs;
    cl_mem *subs;
    size_t memory_count, memory_capacity, program_count, program_capacity, sub_count, sub_capacity;
} upc_cl_slot;

typedef struct upc_cl_device {
    upc_device base;
    upc_cl cl;
    upc_cl_blas blas;
    upc_cl_where where;
    cl_context context;
    cl_command_queue queue;     // in order, for submissions
    cl_command_queue map_queue; // so that a map waits for no submission; the lent queue when there is one
    bool profiling;             // of queue
    uint64_t reach;             // bytes that an int base and index reach: 2^32, less in tests
    uint64_t sub_alignment;     // bytes, of a sub-buffer's origin
    uint64_t identity[2];       // hash of all that a binary depends on beside its source
    pthread_mutex_t queue_lock; // kernel arguments, enqueue and flush as one; order of tickets
    pthread_mutex_t list_lock;  // everything below; never held while a driver may take long
    upc_cl_slot *head, *tail;   // in flight, oldest first
    upc_cl_slot *idle;
    upconv_ticket last, done;
    uint64_t times[UPC_CL_KEPT_TIMES]; // ns, by ticket modulo their number
} upc_cl_device;

typedef struct upc_cl_memory {
    upc_memory base;
    cl_mem buffer;
    cl_mem root;          // what `buffer` is a sub-buffer of (imports), else buffer itself
    uint64_t root_offset; // where in root it starts
    void *mapped;
} upc_cl_memory;

typedef struct upc_cl_program {
    upc_program base;
    cl_program program;
    cl_kernel kernel; // its arguments are guarded by the device's queue_lock
    size_t local[3];
    uint32_t binding_count, arg_count;
} upc_cl_program;

extern const upc_backend upc_backend_opencl;

static inline upc_cl_device *upc_cl_device_of(upc_device *device) { return (upc_cl_device *)device; }

// OK, or the device's sticky status with a sentence.
upconv_status upc_cl_check(upc_cl_device *device);
// Makes DEVICE_LOST or TIMEOUT sticky; the first one wins. Returns what sticks.
upconv_status upc_cl_stick(upc_cl_device *device, upconv_status status);
// Turns an error of the driver into a status with a sentence; `otherwise` where the number alone does not tell. Errors
// that mean a lost device stick.
upconv_status upc_cl_fail(upc_cl_device *device, cl_int error, upconv_status otherwise, const char *format, ...)
    UPC_PRINTF(4, 5);
// Waits for an event by asking, so that no driver can keep us longer than timeout_ns. TIMEOUT does not stick here.
upconv_status upc_cl_event_wait(upc_cl_device *device, cl_event event, int64_t timeout_ns);
// Sleeps as is right after `waited_ns` of waiting.
void upc_cl_nap(uint64_t waited_ns);

// device.c
void upc_cl_describe(upc_env *env, upconv_backend_info *info);
upconv_status upc_cl_facts_at(upc_env *env, int index, upc_facts *facts);
upconv_status upc_cl_open(upc_env *env, int index, upc_device **device);
void upc_cl_close(upc_device *device, int64_t timeout_ns);
// A device on objects of the app's (queue may be NULL); retains them.
upconv_status upc_cl_open_lent(upc_env *env, const upconv_cl_params *lent, upc_device **device);

// facts.c
void upc_cl_facts_read(const upc_cl *cl, const upc_cl_where *where, int index, upc_facts *facts);
// Hash of what a binary depends on beside its source: driver, device and `options`.
void upc_cl_identity(const upc_cl *cl, const upc_cl_where *where, const char *options, uint64_t identity[2]);
// Whether upconv can use the device; the reason why not is added to `why`.
bool upc_cl_usable(const upc_cl *cl, cl_device_id device, upc_text *why);
void upc_cl_platform_print(const upc_cl *cl, cl_platform_id platform, upc_text *text);
bool upc_cl_device_value(const upc_cl *cl, cl_device_id device, cl_device_info what, void *value, size_t size);

// memory.c
upconv_status upc_cl_memory_create(upc_device *device, uint64_t bytes, upc_memory **memory);
void upc_cl_memory_destroy(upc_memory *memory);
upconv_status upc_cl_memory_map(upc_memory *memory, uint32_t flags, int64_t timeout_ns, void **pointer);
upconv_status upc_cl_memory_unmap(upc_memory *memory, int64_t timeout_ns);
upconv_status upc_cl_memory_import(upc_cl_device *device, cl_mem buffer, upc_memory **memory);
upconv_status upc_cl_buffer(upc_cl_device *device, uint64_t bytes, const char *what, cl_mem *buffer);

// program.c
extern const char upc_cl_build_options[];
upconv_status upc_cl_program_create(upc_device *device, const upc_program_source *source, upc_program **program);
void upc_cl_program_destroy(upc_program *program);
void upc_cl_program_statistics(upc_program *program, void (*visit)(void *user, const char *name, double value),
                               void *user);
void *upc_cl_driver_cache_get(upc_device *device, size_t *size);
bool upc_cl_driver_cache_set(upc_device *device, const void *bytes, size_t size);

// launch.c: sets the arguments and enqueues; the caller holds queue_lock. A sub-buffer that had to be made is appended to
// subs, which has room for UPC_LAUNCH_BINDINGS more.
typedef struct upc_cl_waits {
    cl_uint count;
    const cl_event *events;
} upc_cl_waits;
upconv_status upc_cl_launch(upc_cl_device *device, cl_command_queue queue, const upc_launch *launch, cl_mem workspace,
                            upc_cl_waits waits, cl_event *event, cl_mem *subs, size_t *sub_count);

// Where a binding's window is: an object, and how far into it, in units of 2 bytes.
typedef struct upc_cl_window {
    cl_mem object;
    cl_int base;
} upc_cl_window;

// gemm.c: a launch that is a matrix product. The event is that of the last of its commands.
upconv_status upc_cl_product(upc_cl_device *device, cl_command_queue queue, const upc_gemm *gemm,
                             const upc_cl_window windows[UPC_GEMM_BINDINGS], upc_cl_waits waits, cl_event *event);

// submit.c
upconv_status upc_cl_submit(upc_device *device, const upc_work *work, upconv_ticket *ticket);
upconv_status upc_cl_wait(upc_device *device, upconv_ticket ticket, int64_t timeout_ns);
upconv_status upc_cl_ticket_time(upc_device *device, upconv_ticket ticket, uint64_t *time_ns);
// Waits for everything in flight; a time-out sticks.
upconv_status upc_cl_drain(upc_cl_device *device, int64_t timeout_ns);
void upc_cl_slots_destroy(upc_cl_device *device);

#endif
