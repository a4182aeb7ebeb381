// Puts a program's source text together: the language's shell, what the recipe says of the names in the body, the
// epilogue, its own part and the body itself, from the copy in the library or from the folder that UPCONV_SHADERS
// names.
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include "../shaders/shaders.h"

static const char *embedded(const char *name)
{
    for (int i = 0; i < upc_shader_count; i++)
        if (!strcmp(upc_shaders[i].name, name))
            return upc_shaders[i].text;
    return NULL;
}

static upconv_status add_file(const upc_env *env, const char *name, upc_string *text)
{
    if (env->shaders) {
        char path[1024];
        size_t size;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", env->shaders, name) >= sizeof path)
            return upc_fail(UPCONV_ERROR_INVALID, "UPCONV_SHADERS is %zu characters long; at most 900 work",
                            strlen(env->shaders));
        char *own = upc_read_file(env, path, &size);
        if (own) {
            upc_log(env, UPCONV_LOG_INFO, "UPCONV_SHADERS: %s is used in place of the built-in kernel", path);
            upc_string_add_bytes(text, own, size);
            upc_free(env, own);
            return UPCONV_OK;
        }
    }
    const char *built_in = embedded(name);
    if (!built_in)
        return upc_fail(UPCONV_ERROR_COMPILE, "there is no kernel file %s", name);
    upc_string_add_bytes(text, built_in, strlen(built_in));
    return UPCONV_OK;
}

static void add_glsl_params(const upc_program_desc *program, upc_string *text)
{
    int id = 3; // 0 to 2 are the work-group's size
    for (uint32_t i = 0; i < program->param_count; i++) {
        const upc_param *param = &program->params[i];
        if (param->kind == UPC_PARAM_SPEC)
            upc_string_add(text, "layout(constant_id = %d) const int %s = 1;\n", id++, param->name);
        else if (param->kind == UPC_PARAM_ARG)
            upc_string_add(text, "#define %s upc_u.upc_%s\n", param->name, param->name);
    }
    upc_string_add(text, "#define UPC_ARGS");
    for (uint32_t i = 0; i < program->binding_count; i++)
        upc_string_add(text, " int upc_base%u;", i);
    for (uint32_t i = 0; i < program->param_count; i++)
        if (program->params[i].kind == UPC_PARAM_ARG)
            upc_string_add(text, " int upc_%s;", program->params[i].name);
    upc_string_add(text, "\n");
}

static void add_cl_params(const upc_program_desc *program, upc_string *text)
{
    upc_string_add(text, "#define UPC_ARGS ");
    for (uint32_t i = 0; i < program->binding_count; i++)
        upc_string_add(text, ", int upc_base%u", i);
    for (uint32_t i = 0; i < program->param_count; i++)
        if (program->params[i].kind == UPC_PARAM_ARG)
            upc_string_add(text, ", int %s", program->params[i].name);
    upc_string_add(text, "\n");
}

// The smallest number has no literal: C reads -2147483648 as the negative of a long.
static void add_define(const upc_param *param, upc_string *text)
{
    if (param->value == INT32_MIN)
        upc_string_add(text, "#define %s (-2147483647 - 1)\n", param->name);
    else // without brackets where there is no sign: some names are pasted to others
        upc_string_add(text, param->value < 0 ? "#define %s (%d)\n" : "#define %s %d\n", param->name, param->value);
}

// What a program does not say of the names that the shells and the common part ask for.
static void add_defaults(const upc_program_desc *program, upc_string *text)
{
    static const struct {
        const char *name;
        int32_t value;
    } defaults[] = {{"IN_STORE", 32}, {"OUT_STORE", 32}, {"W_STORE", 32}, {"IN_PACK", 1}, {"OUT_PACK", 1},
                    {"SRC_TEXEL", 0},    {"W_TEXEL", 0},    {"RESIDUAL", 0},  {"ACCUMULATE", 0}, {"ACT", 0}};
    for (size_t i = 0; i < UPC_COUNT(defaults); i++) {
        bool said = false;
        for (uint32_t j = 0; j < program->param_count && !said; j++)
            said = !strcmp(program->params[j].name, defaults[i].name);
        if (!said)
            upc_string_add(text, "#define %s %d\n", defaults[i].name, defaults[i].value);
    }
}

static void add_defines(bool glsl, const upc_facts *facts, const upc_program_desc *program, upc_string *text)
{
    if (!glsl)
        upc_string_add(text, "#define UPC_REQD_GROUP %d\n#define GROUP_X %u\n#define GROUP_Y %u\n#define GROUP_Z %u\n",
                       facts->reqd_group_size ? 1 : 0, program->local[0], program->local[1], program->local[2]);
    for (uint32_t i = 0; i < program->param_count; i++) {
        const upc_param *param = &program->params[i];
        if (param->kind == UPC_PARAM_DEFINE || (param->kind == UPC_PARAM_SPEC && !glsl))
            add_define(param, text);
        else if (param->kind == UPC_PARAM_TABLE)
            upc_string_add(text, "#define %s TAB(%d)\n", param->name, param->value);
    }
    add_defaults(program, text);
    if (program->binding_count)
        upc_string_add(text, "#define UPC_TABLE_BASE BASE(%u)\n", program->binding_count - 1);
}

// Of a kernel that has one, what stands before the body in a file of its own; NULL: it has none.
static const char *part_of(const char *kernel)
{
    static const struct {
        const char *kernel, *part;
    } parts[] = {{"wide_q", "vectors_q.part"}};
    for (size_t i = 0; i < UPC_COUNT(parts); i++)
        if (!strcmp(parts[i].kernel, kernel))
            return parts[i].part;
    return NULL;
}

upconv_status upc_source_assemble(const upc_env *env, upconv_backend backend, const upc_facts *facts,
                                  const upc_program_desc *program, upc_string *text)
{
    const bool glsl = backend == UPCONV_BACKEND_VULKAN;
    const char *part = part_of(program->kernel);
    char body[128];
    snprintf(body, sizeof body, "%s.kernel", program->kernel);
    if (glsl)
        upc_string_add(text, "#version 450\n");
    add_defines(glsl, facts, program, text);
    upconv_status status = add_file(env, glsl ? "shell.glsl" : "shell.cl", text);
    if (status)
        return status;
    if (glsl)
        add_glsl_params(program, text);
    else
        add_cl_params(program, text);
    if ((status = add_file(env, "common.part", text)))
        return status;
    if (part) {
        upc_string_add(text, "#line 1\n");
        if ((status = add_file(env, part, text)))
            return status;
    }
    upc_string_add(text, "#line 1\n");
    if ((status = add_file(env, body, text)))
        return status;
    return text->failed ? upc_no_memory(text->length) : UPCONV_OK;
}
