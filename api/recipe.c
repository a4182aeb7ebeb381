#include "recipe.h"

#include <string.h>

void upc_recipe_init(upc_recipe *recipe, const upc_env *env)
{
    memset(recipe, 0, sizeof *recipe);
    recipe->env = env;
}

void upc_recipe_finish(upc_recipe *recipe)
{
    if (!recipe->env)
        return;
    upc_free(recipe->env, recipe->programs);
    upc_free(recipe->env, recipe->steps);
    upc_free(recipe->env, recipe->table);
    upc_recipe_init(recipe, recipe->env);
}

static bool same_program(const upc_program_desc *a, const upc_program_desc *b)
{
    if (strcmp(a->kernel, b->kernel) || memcmp(a->local, b->local, sizeof a->local) ||
        a->binding_count != b->binding_count || memcmp(a->kind, b->kind, sizeof a->kind) ||
        a->arg_count != b->arg_count || a->param_count != b->param_count)
        return false;
    for (uint32_t i = 0; i < a->param_count; i++)
        if (strcmp(a->params[i].name, b->params[i].name) || a->params[i].kind != b->params[i].kind ||
            a->params[i].value != b->params[i].value)
            return false;
    return true;
}

static bool grow(upc_recipe *recipe, void *array, size_t *capacity, size_t needed, size_t size)
{
    void *items;
    memcpy(&items, array, sizeof items);
    if (!upc_grow(recipe->env, &items, capacity, needed, size))
        return false;
    memcpy(array, &items, sizeof items);
    return true;
}

upconv_status upc_recipe_program(upc_recipe *recipe, const upc_program_desc *program, uint32_t *index)
{
    for (size_t i = 0; i < recipe->program_count; i++)
        if (same_program(&recipe->programs[i], program)) {
            *index = (uint32_t)i;
            return UPCONV_OK;
        }
    if (!grow(recipe, &recipe->programs, &recipe->program_capacity, recipe->program_count + 1, sizeof *program))
        return upc_no_memory(sizeof *program);
    *index = (uint32_t)recipe->program_count;
    recipe->programs[recipe->program_count++] = *program;
    return UPCONV_OK;
}

upconv_status upc_recipe_step(upc_recipe *recipe, const upc_step *step)
{
    if (!grow(recipe, &recipe->steps, &recipe->step_capacity, recipe->step_count + 1, sizeof *step))
        return upc_no_memory(sizeof *step);
    recipe->steps[recipe->step_count++] = *step;
    return UPCONV_OK;
}

upconv_status upc_recipe_table(upc_recipe *recipe, int32_t value)
{
    if (!grow(recipe, &recipe->table, &recipe->table_capacity, recipe->table_count + 1, sizeof value))
        return upc_no_memory(sizeof value);
    recipe->table[recipe->table_count++] = value;
    return UPCONV_OK;
}

void upc_program_desc_init(upc_program_desc *program, const char *kernel, const uint32_t local[3],
                           uint32_t binding_count)
{
    memset(program, 0, sizeof *program);
    program->kernel = kernel;
    memcpy(program->local, local, sizeof program->local);
    program->binding_count = binding_count;
}

void upc_program_param(upc_program_desc *program, const char *name, upc_param_kind kind, int32_t value)
{
    program->params[program->param_count++] = (upc_param){name, kind, value};
}

uint32_t upc_program_arg(upc_program_desc *program, const char *name)
{
    upc_program_param(program, name, UPC_PARAM_ARG, (int32_t)program->arg_count);
    return program->arg_count++;
}

static const char *place_name(upc_place place)
{
    static const char *const names[UPC_PLACE_COUNT] = {
        [UPC_INPUT] = "input",   [UPC_OUTPUT] = "output",         [UPC_WEIGHTS] = "weights", [UPC_BIAS] = "bias",
        [UPC_SLOPES] = "slopes", [UPC_WORKSPACE] = "workspace",   [UPC_PACKED] = "packed",   [UPC_TABLE] = "table",
        [UPCONV_RESIDUAL] = "residual", [UPCONV_INDICES] = "indices",
    };
    return names[place];
}

static void print_program(const upc_program_desc *program, upc_text *text)
{
    static const char *const kinds[] = {"define", "spec", "table", "arg"};
    upc_text_add(text, "%s local %u,%u,%u bindings %u\n", program->kernel, program->local[0], program->local[1],
                 program->local[2], program->binding_count);
    for (uint32_t i = 0; i < program->param_count; i++)
        upc_text_add(text, "  %s %s %d\n", kinds[program->params[i].kind], program->params[i].name,
                     program->params[i].value);
}

static void print_step(const upc_step *step, upc_text *text)
{
    const upc_gemm *gemm = &step->gemm;
    if (step->kind == UPC_STEP_HOST)
        upc_text_add(text, "host %s", step->host);
    else if (step->kind == UPC_STEP_GEMM)
        upc_text_add(text, "gemm %u x %u x %u%s ld %u%s,%u%s,%u", gemm->m, gemm->n, gemm->k,
                     gemm->accumulate ? " accumulate" : "", gemm->lda, gemm->a_transposed ? "t" : "", gemm->ldb,
                     gemm->b_transposed ? "t" : "", gemm->ldc);
    else
        upc_text_add(text, "program %u groups %u,%u,%u", step->program, step->groups[0], step->groups[1],
                     step->groups[2]);
    for (uint32_t i = 0; i < step->bind_count; i++)
        upc_text_add(text, " %s+%llu:%llu", place_name(step->bind[i].place),
                     (unsigned long long)step->bind[i].offset, (unsigned long long)step->bind[i].range);
    upc_text_add(text, "%s\n", step->barrier ? " barrier" : "");
}

void upc_recipe_print(const upc_recipe *recipe, upc_text *text)
{
    upc_text_add(text, "packed %llu workspace %llu table %zu\n", (unsigned long long)recipe->packed_bytes,
                 (unsigned long long)recipe->workspace_bytes, recipe->table_count);
    for (size_t i = 0; i < recipe->program_count; i++) {
        upc_text_add(text, "program %zu: ", i);
        print_program(&recipe->programs[i], text);
    }
    for (size_t i = 0; i < recipe->step_count; i++)
        print_step(&recipe->steps[i], text);
}

static uint64_t hash_text(const char *text, uint64_t seed) { return upc_hash(text, strlen(text), seed); }

static uint64_t hash_gemm(const upc_gemm *gemm, uint64_t seed)
{
    const uint32_t all[] = {gemm->m, gemm->n, gemm->k, gemm->lda, gemm->ldb, gemm->ldc, gemm->a_transposed,
                            gemm->b_transposed, gemm->accumulate};
    return upc_hash(all, sizeof all, seed);
}

uint64_t upc_recipe_hash(const upc_recipe *recipe)
{
    uint64_t hash = upc_hash(recipe->table, recipe->table_count * sizeof *recipe->table, recipe->packed_bytes);
    for (size_t i = 0; i < recipe->program_count; i++) {
        const upc_program_desc *program = &recipe->programs[i];
        hash = hash_text(program->kernel, hash);
        hash = upc_hash(program->local, sizeof program->local, hash);
        for (uint32_t j = 0; j < program->param_count; j++) {
            hash = hash_text(program->params[j].name, hash + program->params[j].kind);
            hash = upc_hash(&program->params[j].value, sizeof program->params[j].value, hash);
        }
    }
    for (size_t i = 0; i < recipe->step_count; i++) {
        const upc_step *step = &recipe->steps[i];
        hash = hash_text(step->host ? step->host : "", hash + step->program + (step->barrier ? 1000u : 0));
        if (step->kind == UPC_STEP_GEMM)
            hash = hash_gemm(&step->gemm, hash);
        hash = upc_hash(step->groups, sizeof step->groups, hash);
        hash = upc_hash(step->args, sizeof step->args, hash);
        for (uint32_t j = 0; j < step->bind_count; j++) {
            const uint64_t bind[3] = {step->bind[j].place, step->bind[j].offset, step->bind[j].range};
            hash = upc_hash(bind, sizeof bind, hash);
        }
    }
    return hash;
}
