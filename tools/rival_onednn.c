// oneDNN's deconvolution on the processor, through its C interface: generation 2 (Debian 12) or 3 (Debian 13),
// whichever can be opened. Layouts are its own choice, and nothing is put into them or taken out of them within the
// time.
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rival_engine.h"

// What both generations agree upon.
enum {
    DNNL_CPU = 1,
    DNNL_IN_ORDER = 1,
    DNNL_F32 = 3,
    DNNL_ANY_LAYOUT = 1,
    DNNL_FORWARD_INFERENCE = 96,
    DNNL_DECONVOLUTION_DIRECT = 10,
    DNNL_QUERY_IMPLEMENTATION = 8,
    DNNL_QUERY_SRC = 129,
    DNNL_QUERY_WEIGHTS = 131,
    DNNL_QUERY_DST = 133,
    DNNL_ARG_SRC = 1,
    DNNL_ARG_DST = 17,
    DNNL_ARG_WEIGHTS = 33,
    DNNL_ARG_BIAS = 41,
    MAX_DIMS = 12,
};

// Descriptions of tensors and operations are structures of generation 2, whose contents nobody here looks at: these are
// far larger (696 and 5,976 bytes in 2.6). In generation 3 they are pointers.
enum { TENSOR_BYTES = 4096, OPERATION_BYTES = 32768, TENSORS = 4 };

typedef struct dnnl_argument {
    int arg;
    void *memory;
} dnnl_argument;

typedef struct dnnl_version {
    int major, minor, patch;
} dnnl_version;

typedef struct onednn {
    void *library;
    int generation;
    void *engine, *stream;
    void *description, *primitive; // of the prepared problem
    dnnl_argument arguments[TENSORS];

    const dnnl_version *(*version)(void);
    int (*engine_create)(void **engine, int kind, size_t index);
    int (*stream_create)(void **stream, void *engine, unsigned flags);
    int (*tensor_init)(void *tensor, int dims, const int64_t *extents, int type, int layout); // generation 2
    int (*operation_init)(void *operation, int kind, int algorithm, const void *src, const void *weights,
                          const void *bias, const void *dst, const int64_t *strides, const int64_t *dilations,
                          const int64_t *front, const int64_t *back);
    int (*description_create)(void **description, const void *operation, const void *attributes, void *engine,
                              const void *hint);
    int (*tensor_create)(void **tensor, int dims, const int64_t *extents, int type, int layout); // generation 3
    int (*tensor_destroy)(void *tensor);
    int (*deconvolution_create)(void **description, void *engine, int kind, int algorithm, const void *src,
                                const void *weights, const void *bias, const void *dst, const int64_t *strides,
                                const int64_t *dilations, const int64_t *front, const int64_t *back,
                                const void *attributes);
    const void *(*description_tensor)(const void *description, int what, int index);
    int (*description_query)(const void *description, int what, int index, void *result);
    int (*description_destroy)(void *description);
    size_t (*tensor_size)(const void *tensor);
    int (*memory_create)(void **memory, const void *tensor, void *engine, void *handle);
    int (*memory_handle)(const void *memory, void **handle);
    int (*memory_destroy)(void *memory);
    int (*primitive_create)(void **primitive, const void *description);
    int (*primitive_execute)(const void *primitive, void *stream, int count, const dnnl_argument *arguments);
    int (*primitive_destroy)(void *primitive);
    int (*stream_wait)(void *stream);
} onednn;

typedef struct entry {
    size_t at;
    const char *name;
    int generation; // 0: both
} entry;

#define ENTRY(member, symbol, generation)                                                                              \
    {                                                                                                                  \
        offsetof(onednn, member), "dnnl_" symbol, generation                                                           \
    }
static const entry entries[] = {
    ENTRY(version, "version", 0),
    ENTRY(engine_create, "engine_create", 0),
    ENTRY(stream_create, "stream_create", 0),
    ENTRY(tensor_init, "memory_desc_init_by_tag", 2),
    ENTRY(operation_init, "dilated_deconvolution_forward_desc_init", 2),
    ENTRY(description_create, "primitive_desc_create", 2),
    ENTRY(tensor_create, "memory_desc_create_with_tag", 3),
    ENTRY(tensor_destroy, "memory_desc_destroy", 3),
    ENTRY(deconvolution_create, "deconvolution_forward_primitive_desc_create", 3),
    ENTRY(description_tensor, "primitive_desc_query_md", 0),
    ENTRY(description_query, "primitive_desc_query", 0),
    ENTRY(description_destroy, "primitive_desc_destroy", 0),
    ENTRY(tensor_size, "memory_desc_get_size", 0),
    ENTRY(memory_create, "memory_create", 0),
    ENTRY(memory_handle, "memory_get_data_handle", 0),
    ENTRY(memory_destroy, "memory_destroy", 0),
    ENTRY(primitive_create, "primitive_create", 0),
    ENTRY(primitive_execute, "primitive_execute", 0),
    ENTRY(primitive_destroy, "primitive_destroy", 0),
    ENTRY(stream_wait, "stream_wait", 0),
};

static bool load(onednn *o, const char *file, int generation, char *text, size_t size)
{
    o->generation = generation;
    o->library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!o->library) {
        snprintf(text, size, "%s", dlerror());
        return false;
    }
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        if (entries[i].generation && entries[i].generation != generation)
            continue;
        void *symbol = dlsym(o->library, entries[i].name);
        if (!symbol) {
            snprintf(text, size, "%s has no %s", file, entries[i].name);
            return false;
        }
        memcpy((char *)o + entries[i].at, &symbol, sizeof symbol);
    }
    return true;
}

static void *open_onednn(char *text, size_t size)
{
    onednn *o = calloc(1, sizeof *o);
    if (!o) {
        snprintf(text, size, "no memory");
        return NULL;
    }
    if (!load(o, "libdnnl.so.3", 3, text, size) && !load(o, "libdnnl.so.2", 2, text, size)) {
        free(o);
        return NULL;
    }
    const dnnl_version *version = o->version();
    if (version->major != o->generation || o->engine_create(&o->engine, DNNL_CPU, 0) ||
        o->stream_create(&o->stream, o->engine, DNNL_IN_ORDER)) {
        snprintf(text, size, "oneDNN %d.%d gives no engine for the processor", version->major, version->minor);
        free(o);
        return NULL;
    }
    snprintf(text, size, "oneDNN %d.%d.%d, on the processor, its own layouts, reorders not counted", version->major,
             version->minor, version->patch);
    return o;
}

typedef struct shape {
    int dims, weights_dims;
    int64_t src[MAX_DIMS], weights[MAX_DIMS], bias[1], dst[MAX_DIMS];
    int64_t stride[MAX_DIMS], dilation[MAX_DIMS], front[MAX_DIMS], back[MAX_DIMS];
} shape;

static shape shape_of(const upconv_problem *p)
{
    int dims = p->dims ? p->dims : 2, groups = p->groups ? p->groups : 1;
    shape s = {.dims = dims + 2,
               .src = {p->batch, p->in_channels},
               .dst = {p->batch, p->out_channels},
               .bias = {p->out_channels}};
    if (groups > 1)
        s.weights[s.weights_dims++] = groups;
    s.weights[s.weights_dims++] = p->out_channels / groups;
    s.weights[s.weights_dims++] = p->in_channels / groups;
    for (int i = 0; i < dims; i++) {
        int64_t stride = p->stride[i] ? p->stride[i] : 1, dilation = p->dilation[i] ? p->dilation[i] : 1;
        s.src[2 + i] = p->in[i];
        s.dst[2 + i] = p->out[i];
        s.weights[s.weights_dims++] = p->kernel[i];
        s.stride[i] = stride;
        s.dilation[i] = dilation - 1;
        s.front[i] = p->pad[i];
        s.back[i] = (p->in[i] - 1) * stride + (p->kernel[i] - 1) * dilation + 1 - p->pad[i] - p->out[i];
    }
    return s;
}

static int describe_2(onednn *o, const shape *s)
{
    char *memory = calloc(1, TENSORS * TENSOR_BYTES + OPERATION_BYTES);
    if (!memory)
        return -1;
    char *src = memory, *weights = src + TENSOR_BYTES, *bias = weights + TENSOR_BYTES, *dst = bias + TENSOR_BYTES;
    char *operation = dst + TENSOR_BYTES;
    int status = o->tensor_init(src, s->dims, s->src, DNNL_F32, DNNL_ANY_LAYOUT);
    if (!status)
        status = o->tensor_init(weights, s->weights_dims, s->weights, DNNL_F32, DNNL_ANY_LAYOUT);
    if (!status)
        status = o->tensor_init(bias, 1, s->bias, DNNL_F32, DNNL_ANY_LAYOUT);
    if (!status)
        status = o->tensor_init(dst, s->dims, s->dst, DNNL_F32, DNNL_ANY_LAYOUT);
    if (!status)
        status = o->operation_init(operation, DNNL_FORWARD_INFERENCE, DNNL_DECONVOLUTION_DIRECT, src, weights, bias,
                                   dst, s->stride, s->dilation, s->front, s->back);
    if (!status)
        status = o->description_create(&o->description, operation, NULL, o->engine, NULL);
    free(memory);
    return status;
}

static int describe_3(onednn *o, const shape *s)
{
    void *tensors[TENSORS] = {NULL};
    const int64_t *const extents[TENSORS] = {s->src, s->weights, s->bias, s->dst};
    const int dims[TENSORS] = {s->dims, s->weights_dims, 1, s->dims};
    int status = 0;
    for (int i = 0; i < TENSORS && !status; i++)
        status = o->tensor_create(&tensors[i], dims[i], extents[i], DNNL_F32, DNNL_ANY_LAYOUT);
    if (!status)
        status = o->deconvolution_create(&o->description, o->engine, DNNL_FORWARD_INFERENCE, DNNL_DECONVOLUTION_DIRECT,
                                         tensors[0], tensors[1], tensors[2], tensors[3], s->stride, s->dilation,
                                         s->front, s->back, NULL);
    for (int i = 0; i < TENSORS; i++)
        if (tensors[i])
            o->tensor_destroy(tensors[i]);
    return status;
}

static void drop(onednn *o)
{
    for (int i = 0; i < TENSORS; i++) {
        if (o->arguments[i].memory)
            o->memory_destroy(o->arguments[i].memory);
        o->arguments[i].memory = NULL;
    }
    if (o->primitive)
        o->primitive_destroy(o->primitive);
    if (o->description)
        o->description_destroy(o->description);
    o->primitive = o->description = NULL;
}

static void say(int status, char *text, size_t size)
{
    static const char *const meanings[] = {"done", "no memory", "it takes no such arguments",
                                           "it does not implement this"};
    bool known = status > 0 && status < (int)(sizeof meanings / sizeof *meanings);
    snprintf(text, size, "status %d%s%s", status, known ? ": " : "", known ? meanings[status] : "");
}

// The library's own memory, filled as it is: which number is which does not change the time.
static bool make_memory(onednn *o)
{
    static const int args[TENSORS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST};
    static const struct {
        int what, index;
    } queries[TENSORS] = {{DNNL_QUERY_SRC, 0}, {DNNL_QUERY_WEIGHTS, 0}, {DNNL_QUERY_WEIGHTS, 1}, {DNNL_QUERY_DST, 0}};
    void *const allocate = (void *)UINTPTR_MAX;
    for (int i = 0; i < TENSORS; i++) {
        void *data = NULL;
        const void *tensor = o->description_tensor(o->description, queries[i].what, queries[i].index);
        o->arguments[i].arg = args[i];
        if (!tensor || o->memory_create(&o->arguments[i].memory, tensor, o->engine, allocate) ||
            o->memory_handle(o->arguments[i].memory, &data) || !data)
            return false;
        rival_fill(data, o->tensor_size(tensor) / sizeof(float));
    }
    return true;
}

static bool prepare(void *state, const upconv_problem *problem, char *text, size_t size)
{
    onednn *o = state;
    if (problem->type != UPCONV_F32) {
        snprintf(text, size, "only f32 is compared");
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (problem->pad[i] < 0) {
            snprintf(text, size, "it takes no negative padding");
            return false;
        }
    }
    drop(o);
    const shape s = shape_of(problem);
    int status = o->generation == 2 ? describe_2(o, &s) : describe_3(o, &s);
    if (!status)
        status = o->primitive_create(&o->primitive, o->description);
    if (status) {
        say(status, text, size);
        return false;
    }
    if (!make_memory(o)) {
        snprintf(text, size, "no memory");
        return false;
    }
    const char *name = NULL;
    o->description_query(o->description, DNNL_QUERY_IMPLEMENTATION, 0, &name);
    snprintf(text, size, "%s", name ? name : "");
    return true;
}

static bool run(void *state, char *text, size_t size)
{
    onednn *o = state;
    int status = o->primitive_execute(o->primitive, o->stream, TENSORS, o->arguments);
    if (!status)
        status = o->stream_wait(o->stream);
    if (status)
        say(status, text, size);
    return status == 0;
}

const rival_engine rival_onednn = {"onednn", 0, open_onednn, prepare, run};
