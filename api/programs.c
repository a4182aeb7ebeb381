// Compiled programs that the plans of a context share. Each is compiled once, also when several threads want it at a
// time: the first compiles, outside the lock, and the others wait for it.
#include "internal.h"

#include <string.h>

enum { MAX_UNUSED = 128 }; // programs in a context before those that no plan uses are dropped

// One that is being compiled has no program yet.
struct upc_shared_program {
    uint64_t key[2];
    upc_program *program;
};

bool upc_programs_init(upc_programs *programs)
{
    if (pthread_mutex_init(&programs->lock, NULL))
        return false;
    if (pthread_cond_init(&programs->changed, NULL)) {
        pthread_mutex_destroy(&programs->lock);
        return false;
    }
    programs->ready = true;
    return true;
}

void upc_programs_finish(upc_programs *programs, const upc_env *env)
{
    if (!programs->ready)
        return;
    for (size_t i = 0; i < programs->count; i++)
        upc_program_release(programs->all[i].program);
    upc_free(env, programs->all);
    pthread_cond_destroy(&programs->changed);
    pthread_mutex_destroy(&programs->lock);
    memset(programs, 0, sizeof *programs);
}

// ---------------------------------------------------------------------------------------------------------------- keys

static uint64_t hash_text(const char *text, uint64_t seed) { return upc_hash(text, strlen(text) + 1, seed); }

void upc_program_desc_key(const upc_program_desc *desc, uint64_t key[2])
{
    for (int i = 0; i < 2; i++) {
        uint64_t hash = hash_text(desc->kernel, (uint64_t)i + 1);
        hash = upc_hash(desc->local, sizeof desc->local, hash);
        hash = upc_hash(desc->kind, sizeof desc->kind, hash);
        const uint32_t counts[3] = {desc->binding_count, desc->arg_count, desc->param_count};
        hash = upc_hash(counts, sizeof counts, hash);
        for (uint32_t j = 0; j < desc->param_count; j++) {
            const upc_param *param = &desc->params[j];
            const int32_t what[2] = {(int32_t)param->kind, param->value};
            hash = upc_hash(what, sizeof what, hash_text(param->name, hash));
        }
        key[i] = hash;
    }
}

static void text_key(const upc_string *text, const int32_t *spec, uint32_t spec_count, const uint32_t local[3],
                     uint64_t key[2])
{
    for (int i = 0; i < 2; i++) {
        key[i] = upc_hash(text->data, text->length, (uint64_t)i + 1);
        key[i] = upc_hash(spec, spec_count * sizeof *spec, key[i]);
        key[i] = upc_hash(local, 3 * sizeof *local, key[i]);
    }
}

// ----------------------------------------------------------------------------------------------------------- compiling

// What the driver has printed about spills since it was asked last. Under the lock.
static double listen(upconv_context *context)
{
    const upc_listener *listener = &context->listener;
    return listener->spills ? listener->spills(listener->user) : 0;
}

// What it printed about the program that has just been compiled, or when that was compiled before.
static double spills_of(upconv_context *context, const uint64_t key[2])
{
    upc_listener *listener = &context->listener;
    pthread_mutex_lock(&context->programs.lock);
    const double printed = listen(context);
    struct upc_heard *found = NULL;
    for (size_t i = 0; i < listener->count && !found; i++)
        if (listener->heard[i].key[0] == key[0] && listener->heard[i].key[1] == key[1])
            found = &listener->heard[i];
    void *heard = listener->heard;
    if (!found && printed > 0 &&
        upc_grow(&context->env, &heard, &listener->capacity, listener->count + 1, sizeof *listener->heard)) {
        listener->heard = heard;
        listener->heard[listener->count++] = (struct upc_heard){{key[0], key[1]}, printed};
    }
    const double spills = found ? found->spills : printed;
    pthread_mutex_unlock(&context->programs.lock);
    return spills;
}

static upconv_status compile(upconv_context *context, const upc_program_desc *desc, upc_program **program)
{
    int32_t spec[UPC_MAX_PARAMS];
    upc_string text;
    upc_program_source source = {
        .name = desc->kernel, .binding_count = desc->binding_count, .arg_count = desc->arg_count, .spec = spec};
    upc_string_init(&text, &context->env);
    upconv_status status = upc_source_assemble(&context->env, context->backend->id, &context->facts, desc, &text);
    if (status)
        goto finish;
    for (uint32_t i = 0; i < desc->param_count; i++) {
        if (desc->params[i].kind == UPC_PARAM_SPEC)
            spec[source.spec_count++] = desc->params[i].value;
        source.dot = source.dot || !strcmp(desc->params[i].name, "DOT");
    }
    source.text = text.data;
    memcpy(source.local, desc->local, sizeof source.local);
    memcpy(source.kind, desc->kind, sizeof source.kind);
    text_key(&text, spec, source.spec_count, desc->local, source.key);
    pthread_mutex_lock(&context->programs.lock);
    listen(context); // what was printed before is about something else
    pthread_mutex_unlock(&context->programs.lock);
    const uint64_t start = upc_now_ns();
    status = context->backend->program_create(context->device, &source, program);
    const double ms = (double)(upc_now_ns() - start) / 1e6;
    if (!status)
        (*program)->spills = spills_of(context, source.key);
    if (!status)
        upc_log(&context->env, ms > 1000 ? UPCONV_LOG_WARNING : UPCONV_LOG_INFO, "kernel %s compiled in %.0f ms",
                desc->kernel, ms);
finish:
    upc_string_finish(&text);
    return status;
}

// ------------------------------------------------------------------------------------------------------------- sharing

// All of these hold the lock.
static upc_shared_program *find(upc_programs *programs, const uint64_t key[2])
{
    for (size_t i = 0; i < programs->count; i++)
        if (programs->all[i].key[0] == key[0] && programs->all[i].key[1] == key[1])
            return &programs->all[i];
    return NULL;
}

// Programs that no plan uses are kept for the next plan that needs them, but not for ever: an app whose sizes change
// would gather one for every size.
static void drop_unused(upc_programs *programs)
{
    size_t kept = 0;
    if (programs->count < MAX_UNUSED)
        return;
    for (size_t i = 0; i < programs->count; i++) {
        upc_shared_program *shared = &programs->all[i];
        if (!shared->program || atomic_load(&shared->program->references) > 1)
            programs->all[kept++] = *shared;
        else
            upc_program_release(shared->program);
    }
    programs->count = kept;
}

// Says that this thread will compile it. false: without memory, so others may compile it too.
static bool announce(upconv_context *context, const uint64_t key[2])
{
    upc_programs *programs = &context->programs;
    drop_unused(programs);
    void *array = programs->all;
    if (!upc_grow(&context->env, &array, &programs->capacity, programs->count + 1, sizeof *programs->all))
        return false;
    programs->all = array;
    programs->all[programs->count++] = (upc_shared_program){{key[0], key[1]}, NULL};
    return true;
}

// NULL: it could not be compiled; who waits for it tries for itself, and so gets a sentence of its own.
static void settle(upc_programs *programs, const uint64_t key[2], upc_program *program)
{
    pthread_mutex_lock(&programs->lock);
    upc_shared_program *shared = find(programs, key);
    if (program) {
        upc_program_retain(program);
        shared->program = program;
    } else {
        *shared = programs->all[--programs->count];
    }
    pthread_cond_broadcast(&programs->changed);
    pthread_mutex_unlock(&programs->lock);
}

// A description stands for its text, unless texts come from files that may change.
static upconv_status key_of(upconv_context *context, const upc_program_desc *desc, uint64_t key[2])
{
    upc_program_desc_key(desc, key);
    if (!context->env.shaders)
        return UPCONV_OK;
    upc_string text;
    upc_string_init(&text, &context->env);
    const upconv_status status = upc_source_assemble(&context->env, context->backend->id, &context->facts, desc, &text);
    for (int i = 0; i < 2 && !status; i++)
        key[i] = upc_hash(text.data, text.length, key[i]);
    upc_string_finish(&text);
    return status;
}

upconv_status upc_program_get(upconv_context *context, const upc_program_desc *desc, upc_program **program)
{
    upc_programs *programs = &context->programs;
    uint64_t key[2];
    upconv_status status = key_of(context, desc, key);
    if (status)
        return status;
    pthread_mutex_lock(&programs->lock);
    upc_shared_program *shared;
    while ((shared = find(programs, key)) && !shared->program)
        pthread_cond_wait(&programs->changed, &programs->lock);
    if (shared) {
        *program = shared->program;
        upc_program_retain(*program);
    }
    const bool announced = !shared && announce(context, key);
    pthread_mutex_unlock(&programs->lock);
    if (shared) {
        atomic_fetch_add(&context->env.counts.programs_shared, 1);
        return UPCONV_OK;
    }
    upc_program *made = NULL;
    status = compile(context, desc, &made);
    if (announced)
        settle(programs, key, status ? NULL : made);
    if (!status)
        *program = made;
    return status;
}
