// The seam to the machine: facts about a device, and what a backend must do. Nothing here knows problems, solvers or tuning;
// nothing behind it checks arguments, which the front door (api/) has done.
#ifndef UPC_BACKEND_H
#define UPC_BACKEND_H

#include "../api/gemm.h"
#include "../api/util/util.h"

enum { UPC_LAUNCH_BINDINGS = 7 };

typedef enum upc_family {
    UPC_FAMILY_UNKNOWN = 0,
    UPC_FAMILY_CPU,
    UPC_FAMILY_ADRENO,
    UPC_FAMILY_MALI,
    UPC_FAMILY_V3D,
    UPC_FAMILY_POWERVR,
    UPC_FAMILY_INTEL,
    UPC_FAMILY_AMD,
    UPC_FAMILY_NVIDIA,
    UPC_FAMILY_APPLE,
    UPC_FAMILY_COUNT
} upc_family;

// Products of four bytes at once, by which of them have a sign. The numbers are the values of solvers' knob `dot`.
typedef enum upc_dot {
    UPC_DOT_NONE = 0,
    UPC_DOT_SIGNED,   // both
    UPC_DOT_UNSIGNED, // neither
    UPC_DOT_MIXED,    // one of the two
    UPC_DOT_COUNT
} upc_dot;

// Numbers and yes/no, after quirks; what is unknown has the smallest device's value (see upc_facts_smallest).
typedef struct upc_facts {
    upconv_device_info info;    // with info.limits
    upc_family family;
    uint32_t group_axis[3];     // most invocations of a work-group on one axis
    uint32_t push_bytes;        // push constants
    uint32_t loop_rounds;       // most rounds of all loops of one item together; 0: no bound
    uint32_t texel_elements;    // most elements of a texel buffer; 0: the device (or its API) has none
    uint8_t dot_takes;          // 1u << upc_dot, or'ed: what the device's compiler takes
    uint8_t dot_fast;           // of those: what it is said to have instructions for
    uint8_t dot_used;           // of those: what has been found right and faster here (api/dot.h); 0 before anybody has looked
    bool subgroup_shuffle;      // items of a subgroup can read each other's values, and info.subgroup_size is how many they are
    bool narrow_loads;          // a vector from a buffer takes as many loads as it has elements
    uint32_t vector_floats;     // f32 of one vector register, where kernels write vectors themselves (OpenCL on a processor); 0: unknown
    bool byte_dots;             // those vectors multiply four bytes without a sign by four with one and add them up in an instruction of x86
    uint32_t sum_scalars;       // f32 sums that one item keeps in registers without spilling
    bool reqd_group_size;       // OpenCL: whether reqd_work_group_size is worth giving (it slows Adreno)
    bool gemm;                  // whether the device takes launches that are matrix products; known once it is open
} upc_facts;

// 256 invocations, 16 KB shared, 128 bytes of push constants, 65535 groups, 128 MiB bindings, no f16, 16 sums.
void upc_facts_smallest(upc_facts *facts);
// Applies the table of known driver faults to facts filled in from the driver, and derives family, sum_scalars
// and dispatch_macs from vendor, name and kind. Names of quirks go to info.quirks. (quirks.c)
void upc_facts_finish(upc_facts *facts);

typedef struct upc_backend upc_backend;

// Base of a backend's own device; its first member.
typedef struct upc_device {
    const upc_backend *backend;
    upc_env *env;
    upc_facts facts;
    _Atomic int state; // upconv_status: OK, DEVICE_LOST or TIMEOUT; once not OK it stays
} upc_device;

// Device memory, counted: the front door and each submission in flight hold a reference.
typedef struct upc_memory {
    upc_device *device;
    uint64_t bytes;
    _Atomic int references;
    bool imported; // the app's: never mapped
} upc_memory;
void upc_memory_retain(upc_memory *memory);
void upc_memory_release(upc_memory *memory); // takes NULL; calls memory_destroy at the last

typedef struct upc_program {
    upc_device *device;
    _Atomic int references;
    double spills; // that only the driver's own output told of (upc_listener in api/internal.h); 0: none, or nobody listened
} upc_program;
void upc_program_retain(upc_program *program);
void upc_program_release(upc_program *program);

// What a kernel sees of a binding: plain memory, or (where facts.texel_elements) a texel buffer, which reads through the texture
// units' cache and costs no load/store cycles: one or four components of 32 or 16 bits an element.
typedef enum upc_bind_kind {
    UPC_BIND_BUFFER = 0,
    UPC_BIND_TEXEL1_F32,
    UPC_BIND_TEXEL4_F32,
    UPC_BIND_TEXEL1_F16,
    UPC_BIND_TEXEL4_F16,
    UPC_BIND_KIND_COUNT
} upc_bind_kind;

// Text to compile and what the backend must know of it.
typedef struct upc_program_source {
    const char *name;         // of the kernel, for messages
    const char *text;         // complete source, as assembled by api/source.c
    uint64_t key[2];          // of text, spec values and local size; a backend mixes in its compiler, device and driver
    uint32_t local[3];
    uint8_t kind[UPC_LAUNCH_BINDINGS]; // upc_bind_kind of each binding; the text says the same
    uint32_t binding_count;   // buffers at bindings 0 .. binding_count - 1 of set 0; OpenCL: the first arguments
    uint32_t arg_count;       // integers after the bases
    const int32_t *spec;      // values of constant_id 3, 4, ... (0, 1, 2 are the local size)
    uint32_t spec_count;
    bool dot;                 // it multiplies four bytes at once (facts.dot_takes)
} upc_program_source;
// The kernel's integers, as push constants and as OpenCL arguments, in this order: one base per binding (where its window starts
// relative to what could be bound, in units of 2 bytes; set by the backend), then the args. Entry point: main / upc_main.

typedef struct upc_bound {
    upc_memory *memory;      // NULL: the submission's own workspace, which the backend provides
    uint64_t offset, range;  // bytes; any multiple of 2
} upc_bound;

typedef upconv_status (*upc_host_fn)(const upc_env *env, const void *arg, void *const *pointers);

typedef struct upc_launch {
    upc_program *program;    // or
    upc_gemm gemm;           // (where facts.gemm) m above 0: the product of bound[UPC_GEMM_A] and its sisters, or
    upc_host_fn host;        // (CPU backend) called with host_arg and one pointer per bound
    const void *host_arg;
    uint32_t groups[3];
    upc_bound bound[UPC_LAUNCH_BINDINGS];
    uint32_t bound_count;
    const int32_t *args;
    uint32_t arg_count;
    bool barrier;            // what earlier launches wrote must be visible to this one
} upc_launch;

typedef struct upc_work {
    const upc_launch *launches; // valid during the call
    uint32_t launch_count;
    uint64_t workspace_bytes;   // to provide for bound.memory == NULL; 0: none
} upc_work;

// All functions are thread-safe. Those that talk to the device check and set device->state: on a lost device they return
// DEVICE_LOST, after a hang TIMEOUT, at once. Out-params are written on OK only. Every failure has set upc_fail's sentence.
struct upc_backend {
    upconv_backend id;
    const char *name;
    // Fills in loaded, devices, detail.
    void (*describe)(upc_env *env, upconv_backend_info *info);
    // Facts of the index-th device. NO_DEVICE past the last or without a driver.
    upconv_status (*facts_at)(upc_env *env, int index, upc_facts *facts);
    upconv_status (*open)(upc_env *env, int index, upc_device **device);
    // Everything made from the device has been released (submissions in flight hold the rest). Waits at most timeout_ns for
    // what is in flight; on a lost or hung device waits for nothing and leaks to the driver what cannot be freed.
    void (*close)(upc_device *device, int64_t timeout_ns);

    upconv_status (*memory_create)(upc_device *device, uint64_t bytes, upc_memory **memory);
    void (*memory_destroy)(upc_memory *memory);
    upconv_status (*memory_map)(upc_memory *memory, uint32_t flags, int64_t timeout_ns, void **pointer);
    upconv_status (*memory_unmap)(upc_memory *memory, int64_t timeout_ns);

    // From the cache (upc_cache_find) when it has the key, else from source, then stored (upc_cache_store). Counts
    // env->counts.binary_loads or source_compiles. A cached binary that the driver refuses is skipped with a log line.
    upconv_status (*program_create)(upc_device *device, const upc_program_source *source, upc_program **program);
    void (*program_destroy)(upc_program *program);
    // Machine-code statistics; visits nothing where the driver has none.
    void (*program_statistics)(upc_program *program, void (*visit)(void *user, const char *name, double value),
                               void *user);

    // Retains memories and programs until the work has ended. Tickets count up from 1 per device, in order.
    upconv_status (*submit)(upc_device *device, const upc_work *work, upconv_ticket *ticket);
    // timeout_ns 0 asks only. A positive wait that times out sets the state to TIMEOUT.
    upconv_status (*wait)(upc_device *device, upconv_ticket ticket, int64_t timeout_ns);
    upconv_status (*ticket_time)(upc_device *device, upconv_ticket ticket, uint64_t *time_ns);

    // The driver's own cache (VkPipelineCache) as bytes, NULL where there is none. upc_free it.
    void *(*driver_cache_get)(upc_device *device, size_t *size);
    // false: not of this driver, or damaged.
    bool (*driver_cache_set)(upc_device *device, const void *bytes, size_t size);
};

// The backends of this build in order of preference (registry.c). A backend that is not built is not in the list.
extern const upc_backend *const upc_backends[];
extern const int upc_backend_count;

// Compiled programs by key (api/cache.c); env->cache may be NULL, then nothing is found or stored.
// A copy to be freed with upc_free, or NULL.
void *upc_cache_find(upc_env *env, const uint64_t key[2], size_t *size);
void upc_cache_store(upc_env *env, const uint64_t key[2], const void *bytes, size_t size); // failure is logged, no more
void upc_cache_drop(upc_env *env, const uint64_t key[2]);                                   // what the driver refused

#endif
