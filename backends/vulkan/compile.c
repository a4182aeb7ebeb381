// GLSL to SPIR-V through glslang's C interface, where the build has it.
#include "vk.h"

#ifdef HAVE_GLSLANG

#include <string.h>

#include <glslang/Include/glslang_c_interface.h>
#include <glslang/Public/resource_limits_c.h>
#include <glslang/build_info.h>

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)
#define GLSLANG_TEXT                                                                                         \
    "glslang " TEXT(GLSLANG_VERSION_MAJOR) "." TEXT(GLSLANG_VERSION_MINOR) "." TEXT(GLSLANG_VERSION_PATCH)

// glslang has state of its own for the whole process, and starting it is not safe beside another thread that
// starts it or compiles. This lock guards that state, and nothing of ours: many compile at once, one starts
// or stops.
static pthread_rwlock_t glslang_lock = PTHREAD_RWLOCK_INITIALIZER;

const char *upc_vk_compiler_name(void) { return GLSLANG_TEXT; }

uint64_t upc_vk_compiler_id(void) { return upc_hash(GLSLANG_TEXT, sizeof GLSLANG_TEXT, 0) | 1; }

// Starts glslang on behalf of this device, once. It counts its users.
static bool start(upc_vk_device *device)
{
    pthread_rwlock_wrlock(&glslang_lock);
    if (!device->glslang)
        device->glslang = glslang_initialize_process() != 0;
    const bool started = device->glslang;
    pthread_rwlock_unlock(&glslang_lock);
    return started;
}

void upc_vk_compiler_stop(upc_vk_device *device)
{
    pthread_rwlock_wrlock(&glslang_lock);
    if (device->glslang)
        glslang_finalize_process();
    device->glslang = false;
    pthread_rwlock_unlock(&glslang_lock);
}

static upconv_status refused(const char *name, const char *log)
{
    while (log && (*log == '\n' || *log == ' '))
        log++;
    return upc_fail(UPCONV_ERROR_COMPILE, "glslang refuses the kernel %s: %.300s", name,
                    log && *log ? log : "no reason");
}

// SPIR-V 1.0 for drivers of Vulkan 1.0, else 1.3, which every driver of 1.1 and up has to take: newer
// versions bring nothing that the kernels use, and old drivers have seen less of them.
static void choose_target(const upc_vk_device *device, glslang_input_t *input)
{
    const bool old = device->physical.version < VK_API_VERSION_1_1;
    input->client_version = old ? GLSLANG_TARGET_VULKAN_1_0 : GLSLANG_TARGET_VULKAN_1_1;
    input->target_language_version = old ? GLSLANG_TARGET_SPV_1_0 : GLSLANG_TARGET_SPV_1_3;
}

static upconv_status copy_words(upc_vk_device *device, glslang_program_t *program, uint32_t **words,
                                size_t *size)
{
    const size_t bytes = glslang_program_SPIRV_get_size(program) * sizeof(uint32_t);
    *words = upc_alloc(device->base.env, bytes);
    if (!*words)
        return upc_no_memory(bytes);
    glslang_program_SPIRV_get(program, *words);
    *size = bytes;
    return UPCONV_OK;
}

static upconv_status compile(upc_vk_device *device, const char *name, const glslang_input_t *input,
                             uint32_t **words, size_t *size)
{
    upconv_status status = UPCONV_OK;
    glslang_shader_t *const shader = glslang_shader_create(input);
    glslang_program_t *const program = shader ? glslang_program_create() : NULL;
    if (!program) {
        status = upc_fail(UPCONV_ERROR_HOST_MEMORY, "glslang is out of memory");
    } else if (!glslang_shader_preprocess(shader, input) || !glslang_shader_parse(shader, input)) {
        status = refused(name, glslang_shader_get_info_log(shader));
    } else {
        glslang_program_add_shader(program, shader);
        if (!glslang_program_link(program, (int)input->messages)) {
            status = refused(name, glslang_program_get_info_log(program));
        } else {
            glslang_spv_options_t options = {.disable_optimizer = true};
            glslang_program_SPIRV_generate_with_options(program, GLSLANG_STAGE_COMPUTE, &options);
            status = copy_words(device, program, words, size);
        }
    }
    if (program)
        glslang_program_delete(program);
    if (shader)
        glslang_shader_delete(shader);
    return status;
}

upconv_status upc_vk_compile(upc_vk_device *device, const char *name, const char *text, uint32_t **words,
                             size_t *size)
{
    if (!start(device))
        return upc_fail(UPCONV_ERROR_COMPILE, "glslang does not start");
    glslang_input_t input;
    memset(&input, 0, sizeof input);
    input.language = GLSLANG_SOURCE_GLSL;
    input.stage = GLSLANG_STAGE_COMPUTE;
    input.client = GLSLANG_CLIENT_VULKAN;
    input.target_language = GLSLANG_TARGET_SPV;
    choose_target(device, &input);
    input.code = text;
    input.default_version = 450;
    input.default_profile = GLSLANG_NO_PROFILE;
    input.messages = GLSLANG_MSG_SPV_RULES_BIT | GLSLANG_MSG_VULKAN_RULES_BIT;
    input.resource = glslang_default_resource();
    atomic_fetch_add(&device->base.env->counts.source_compiles, 1);
    pthread_rwlock_rdlock(&glslang_lock);
    const upconv_status status = compile(device, name, &input, words, size);
    pthread_rwlock_unlock(&glslang_lock);
    return status;
}

#else

const char *upc_vk_compiler_name(void) { return "no glslang"; }

uint64_t upc_vk_compiler_id(void) { return 0; }

void upc_vk_compiler_stop(upc_vk_device *device) { (void)device; }

upconv_status upc_vk_compile(upc_vk_device *device, const char *name, const char *text, uint32_t **words,
                             size_t *size)
{
    (void)device;
    (void)text;
    (void)words;
    (void)size;
    return upc_fail(UPCONV_ERROR_COMPILE,
                    "the kernel %s is not in the program cache, and this build has no glslang to compile it; "
                    "import a cache made on a device of the same Vulkan version",
                    name);
}

#endif
