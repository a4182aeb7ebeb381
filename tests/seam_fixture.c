#include "seam.h"

const upc_backend *backend;

static void print_log(void *user, upconv_log_level level, const char *message)
{
    (void)user;
    if (level <= UPCONV_LOG_WARNING)
        fprintf(stderr, "upconv: %s\n", message);
}

upconv_status seam_init(test_seam *seam, const upconv_allocator *allocator, bool statistics)
{
    upconv_context_params params = {sizeof params};
    params.log = print_log;
    params.allocator = allocator;
    params.statistics = statistics;
    upc_env_init(&seam->env, &params);
    seam->device = NULL;
    upconv_status status = upc_cache_create(&seam->env);
    if (!status)
        status = backend->open(&seam->env, 0, &seam->device);
    return status;
}

void seam_finish(test_seam *seam)
{
    if (seam->device)
        backend->close(seam->device, 30 * second);
    upc_cache_destroy(&seam->env);
}

int seam_setup(void **state)
{
    test_seam *const made = calloc(1, sizeof *made);
    *state = made;
    const upconv_status status = seam_init(made, NULL, true);
    if (status)
        fprintf(stderr, "open: %s\n", upc_last_error());
    return status;
}

int seam_teardown(void **state)
{
    seam_finish(*state);
    free(*state);
    return 0;
}

// A kernel of the table as a program. spec: SPEC0.
upconv_status make_program(test_seam *seam, const seam_kernel *kernel, const uint32_t local[3], int32_t spec,
                           upc_program **program)
{
    static const uint32_t usual[3] = {LOCAL, 1, 1};
    char text[4096];
    if (backend->id == UPCONV_BACKEND_OPENCL)
        snprintf(text, sizeof text, "#define SPEC0 %d\n%s", (int)spec, kernel->opencl);
    else
        snprintf(text, sizeof text, "%s", kernel->glsl);
    upc_program_source source = {.name = kernel->name,
                                 .text = text,
                                 .binding_count = kernel->binding_count,
                                 .arg_count = kernel->arg_count,
                                 .spec = &spec,
                                 .spec_count = 1};
    memcpy(source.local, local ? local : usual, sizeof source.local);
    for (uint64_t i = 0; i < 2; i++)
        source.key[i] =
            upc_hash(text, strlen(text), upc_hash(source.local, sizeof source.local, i + (uint32_t)spec));
    return backend->program_create(seam->device, &source, program);
}

upc_program *program_of(test_seam *seam, int kernel, int32_t spec)
{
    upc_program *program = NULL;
    assert_ok(make_program(seam, &seam_kernels[kernel], NULL, spec, &program));
    assert_non_null(program);
    return program;
}

upc_memory *memory_of(test_seam *seam, uint64_t bytes)
{
    upc_memory *memory = NULL;
    assert_ok(backend->memory_create(seam->device, bytes, &memory));
    assert_non_null(memory);
    return memory;
}

// Ramp: element i is first + i.
void fill(upc_memory *memory, int32_t first)
{
    void *pointer = NULL;
    assert_ok(backend->memory_map(memory, UPCONV_MAP_WRITE, 30 * second, &pointer));
    for (uint64_t i = 0; i < memory->bytes / 4; i++)
        ((int32_t *)pointer)[i] = first + (int32_t)i;
    assert_ok(backend->memory_unmap(memory, 30 * second));
}

const int32_t *look(upc_memory *memory)
{
    void *pointer = NULL;
    assert_ok(backend->memory_map(memory, UPCONV_MAP_READ, 30 * second, &pointer));
    return pointer;
}

void look_away(upc_memory *memory) { assert_ok(backend->memory_unmap(memory, 30 * second)); }

upconv_status submit(test_seam *seam, const upc_launch *launches, uint32_t count, uint64_t workspace,
                     upconv_ticket *ticket)
{
    const upc_work work = {launches, count, workspace};
    return backend->submit(seam->device, &work, ticket);
}

void run(test_seam *seam, const upc_launch *launches, uint32_t count, uint64_t workspace)
{
    upconv_ticket ticket = 0;
    assert_ok(submit(seam, launches, count, workspace, &ticket));
    assert_true(ticket > 0);
    assert_ok(backend->wait(seam->device, ticket, 30 * second));
}

uint32_t groups_for(int32_t count) { return ((uint32_t)count + LOCAL - 1) / LOCAL; }

bool seam_present(void)
{
    upc_env env;
    upconv_backend_info info = {0};
    upc_env_init(&env, NULL);
    backend->describe(&env, &info);
    const bool compiler = !strstr(info.detail, "no glslang");
    if (!compiler || info.devices < 1)
        fprintf(stderr, "skipped: %s\n", info.detail);
    return compiler && info.devices >= 1;
}
