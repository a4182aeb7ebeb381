// The processor as a backend: host memory, host functions, work done when submit returns. Always there.
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../backend.h"

enum { TIMES = 256, ALIGNMENT = 256 };

typedef struct cpu_device {
    upc_device base;
    pthread_mutex_t turn; // submissions run one after the other, as on a GPU's queue
    pthread_mutex_t lock; // of what follows; held briefly, so that asking for a ticket waits for no submission
    upconv_ticket last;
    uint64_t time_ns[TIMES];
} cpu_device;

typedef struct cpu_memory {
    upc_memory base;
    void *block; // as allocated
    char *bytes; // aligned
} cpu_memory;

static void describe(upc_env *env, upconv_backend_info *info)
{
    (void)env;
    info->loaded = 1;
    info->devices = 1;
    snprintf(info->detail, sizeof info->detail, "%d threads", upc_processors());
}

// The first "model name" (x86) or "Hardware" (ARM boards) of /proc/cpuinfo.
static void processor_name(char *name, size_t size)
{
    snprintf(name, size, "CPU");
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "model name", 10) && strncmp(line, "Hardware", 8))
            continue;
        const char *value = strchr(line, ':');
        if (value && strlen(value) > 3)
            snprintf(name, size, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
        break;
    }
    if (file)
        fclose(file);
}

static upconv_status facts_at(upc_env *env, int index, upc_facts *facts)
{
    (void)env;
    if (index)
        return upc_fail(UPCONV_ERROR_NO_DEVICE, "the cpu backend has one device; there is no number %d", index);
    upc_facts_smallest(facts);
    upconv_device_info *info = &facts->info;
    info->backend = UPCONV_BACKEND_CPU;
    info->kind = UPCONV_DEVICE_CPU;
    info->compute_units = (uint32_t)upc_processors();
    info->offset_alignment = 4;
    info->f16_storage = 1; // host functions read and write it; their sums are f32 or finer
    info->timestamps = 1;
    info->unified_memory = 1;
    info->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    info->limits.binding_bytes = info->limits.alloc_bytes = info->memory_bytes;
    processor_name(info->name, sizeof info->name);
    snprintf(info->driver, sizeof info->driver, "upconv %s", UPC_VERSION);
    snprintf(info->api, sizeof info->api, "host functions");
    upc_facts_finish(facts);
    return UPCONV_OK;
}

static upconv_status open_device(upc_env *env, int index, upc_device **device)
{
    upc_facts facts;
    const upconv_status status = facts_at(env, index, &facts);
    if (status)
        return status;
    cpu_device *cpu = upc_alloc(env, sizeof *cpu);
    if (!cpu)
        return upc_no_memory(sizeof *cpu);
    extern const upc_backend upc_backend_cpu;
    cpu->base.backend = &upc_backend_cpu;
    cpu->base.env = env;
    cpu->base.facts = facts;
    pthread_mutex_init(&cpu->turn, NULL);
    pthread_mutex_init(&cpu->lock, NULL);
    *device = &cpu->base;
    return UPCONV_OK;
}

static void close_device(upc_device *device, int64_t timeout_ns)
{
    (void)timeout_ns;
    cpu_device *cpu = (cpu_device *)device;
    pthread_mutex_destroy(&cpu->turn);
    pthread_mutex_destroy(&cpu->lock);
    upc_free(device->env, cpu);
}

static upconv_status memory_create(upc_device *device, uint64_t bytes, upc_memory **memory)
{
    const uint64_t most = device->facts.info.limits.alloc_bytes;
    if (bytes > most || bytes > SIZE_MAX - ALIGNMENT)
        return upc_fail(UPCONV_ERROR_GPU_MEMORY, "%llu bytes are more than the machine's %llu",
                        (unsigned long long)bytes, (unsigned long long)most);
    cpu_memory *own = upc_alloc(device->env, sizeof *own);
    // straight from the allocator: clearing gigabytes that are written anyway would touch every page twice
    void *block = own ? device->env->allocator.alloc(device->env->allocator.user, (size_t)bytes + ALIGNMENT) : NULL;
    if (!block) {
        upc_free(device->env, own);
        return upc_no_memory((size_t)bytes + ALIGNMENT);
    }
    own->base.device = device;
    own->base.bytes = bytes;
    own->base.references = 1;
    own->block = block;
    own->bytes = (char *)(((uintptr_t)block + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    *memory = &own->base;
    return UPCONV_OK;
}

static void memory_destroy(upc_memory *memory)
{
    cpu_memory *own = (cpu_memory *)memory;
    upc_free(memory->device->env, own->block);
    upc_free(memory->device->env, own);
}

static upconv_status memory_map(upc_memory *memory, uint32_t flags, int64_t timeout_ns, void **pointer)
{
    (void)flags;
    (void)timeout_ns;
    *pointer = ((cpu_memory *)memory)->bytes;
    return UPCONV_OK;
}

static upconv_status memory_unmap(upc_memory *memory, int64_t timeout_ns)
{
    (void)memory;
    (void)timeout_ns;
    return UPCONV_OK;
}

static upconv_status program_create(upc_device *device, const upc_program_source *source, upc_program **program)
{
    (void)device;
    (void)program;
    return upc_fail(UPCONV_ERROR_UNSUPPORTED, "the cpu backend runs host functions; it cannot compile kernel %s",
                    source->name);
}

static void program_destroy(upc_program *program) { (void)program; }

static void program_statistics(upc_program *program, void (*visit)(void *, const char *, double), void *user)
{
    (void)program;
    (void)visit;
    (void)user;
}

static upconv_status submit(upc_device *device, const upc_work *work, upconv_ticket *ticket)
{
    cpu_device *cpu = (cpu_device *)device;
    upconv_status status = UPCONV_OK;
    pthread_mutex_lock(&cpu->turn);
    const uint64_t start = upc_now_ns();
    for (uint32_t i = 0; i < work->launch_count && !status; i++) {
        const upc_launch *launch = &work->launches[i];
        void *pointers[UPC_LAUNCH_BINDINGS] = {NULL};
        for (uint32_t j = 0; j < launch->bound_count; j++)
            if (launch->bound[j].memory)
                pointers[j] = ((cpu_memory *)launch->bound[j].memory)->bytes + launch->bound[j].offset;
        status = launch->host(device->env, launch->host_arg, pointers);
    }
    if (!status) {
        pthread_mutex_lock(&cpu->lock);
        *ticket = ++cpu->last;
        cpu->time_ns[*ticket % TIMES] = upc_now_ns() - start;
        pthread_mutex_unlock(&cpu->lock);
    }
    pthread_mutex_unlock(&cpu->turn);
    return status;
}

static upconv_status wait_ticket(upc_device *device, upconv_ticket ticket, int64_t timeout_ns)
{
    (void)timeout_ns;
    cpu_device *cpu = (cpu_device *)device;
    pthread_mutex_lock(&cpu->lock);
    const upconv_ticket last = cpu->last;
    pthread_mutex_unlock(&cpu->lock);
    if (ticket == 0 || ticket > last)
        return upc_fail(UPCONV_ERROR_INVALID, "ticket %llu was never given; the last is %llu",
                        (unsigned long long)ticket, (unsigned long long)last);
    return UPCONV_OK;
}

static upconv_status ticket_time(upc_device *device, upconv_ticket ticket, uint64_t *time_ns)
{
    cpu_device *cpu = (cpu_device *)device;
    pthread_mutex_lock(&cpu->lock);
    const upconv_ticket last = cpu->last;
    const uint64_t time = cpu->time_ns[ticket % TIMES];
    pthread_mutex_unlock(&cpu->lock);
    if (ticket == 0 || ticket > last || ticket + TIMES <= last)
        return upc_fail(UPCONV_ERROR_INVALID, "ticket %llu is not among the last %d that ended",
                        (unsigned long long)ticket, TIMES);
    *time_ns = time;
    return UPCONV_OK;
}

static void *driver_cache_get(upc_device *device, size_t *size)
{
    (void)device;
    (void)size;
    return NULL;
}

static bool driver_cache_set(upc_device *device, const void *bytes, size_t size)
{
    (void)device;
    (void)bytes;
    (void)size;
    return false;
}

extern const upc_backend upc_backend_cpu;
const upc_backend upc_backend_cpu = {
    .id = UPCONV_BACKEND_CPU, .name = "cpu", .describe = describe, .facts_at = facts_at, .open = open_device,
    .close = close_device, .memory_create = memory_create, .memory_destroy = memory_destroy, .memory_map = memory_map,
    .memory_unmap = memory_unmap, .program_create = program_create, .program_destroy = program_destroy,
    .program_statistics = program_statistics, .submit = submit, .wait = wait_ticket, .ticket_time = ticket_time,
    .driver_cache_get = driver_cache_get, .driver_cache_set = driver_cache_set,
};
