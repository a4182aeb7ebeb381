#include "dot.h"

#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "records.h"
#include "solvers/phase_q.h"

enum { MAGIC = 0x31544f44 };

// What the program cache keeps of a verdict.
typedef struct remembered {
    uint32_t magic;
    uint32_t form, right, faster;
    double plain_us, dot_us;
    char why[160];
} remembered;

static const char *const form_names[UPC_DOT_COUNT] = {"none", "both signed", "both unsigned", "of mixed signs"};

static upc_dot_of_type *of_type(upconv_context *context, upconv_type type) { return &context->dots.of[type == UPCONV_I8]; }

static bool concerned(const upc_problem *problem)
{
    return (problem->type == UPCONV_U8 || problem->type == UPCONV_I8) && upc_phase_q_can_dot(problem);
}

// ------------------------------------------------------------------------------------------------------------- memory

// The limits too: under lower ones the probe's problem may be refused, or take its time.
static void key_of(const upconv_context *context, upconv_type type, upc_dot form, uint64_t key[2])
{
    char text[768];
    const upconv_device_info *info = &context->facts.info;
    const upconv_limits *limits = &info->limits;
    snprintf(text, sizeof text,
             "products of four bytes 2, %d, %d, %s, %.127s, %.255s, %016llx, %llu, %llu, %u, %u, %u, %llu", (int)type,
             (int)form, context->backend->name, info->name, info->driver, (unsigned long long)upc_record_kernels(),
             (unsigned long long)limits->binding_bytes, (unsigned long long)limits->alloc_bytes, limits->group_count,
             limits->group_size, limits->shared_bytes, (unsigned long long)limits->dispatch_macs);
    for (uint64_t i = 0; i < 2; i++)
        key[i] = upc_hash(text, strlen(text), 40 + i);
}

static bool recall(upconv_context *context, upconv_type type, upc_dot_verdict *verdict)
{
    uint64_t key[2];
    size_t size = 0;
    remembered kept = {0};
    key_of(context, type, verdict->form, key);
    if (context->env.shaders)
        return false; // of kernels that somebody is writing
    void *bytes = upc_cache_find(&context->env, key, &size);
    if (bytes && size == sizeof kept)
        memcpy(&kept, bytes, sizeof kept);
    upc_free(&context->env, bytes);
    if (kept.magic != MAGIC || kept.form != (uint32_t)verdict->form)
        return false;
    verdict->right = kept.right != 0;
    verdict->faster = verdict->right && kept.faster != 0;
    verdict->plain_us = kept.plain_us;
    verdict->dot_us = kept.dot_us;
    snprintf(verdict->why, sizeof verdict->why, "%.*s", (int)sizeof kept.why - 1, kept.why);
    return true;
}

static void keep(upconv_context *context, upconv_type type, const upc_dot_verdict *verdict)
{
    uint64_t key[2];
    remembered kept;
    memset(&kept, 0, sizeof kept); // what lies between members too
    kept.magic = MAGIC;
    kept.form = (uint32_t)verdict->form;
    kept.right = verdict->right;
    kept.faster = verdict->faster;
    kept.plain_us = verdict->plain_us;
    kept.dot_us = verdict->dot_us;
    memcpy(kept.why, verdict->why, sizeof kept.why);
    key_of(context, type, verdict->form, key);
    if (!context->env.shaders)
        upc_cache_store(&context->env, key, &kept, sizeof kept);
}

// ------------------------------------------------------------------------------------------------------------ deciding

static void say(const upconv_context *context, const upc_dot_verdict *verdict)
{
    const char *name = form_names[verdict->form], *device = context->facts.info.name;
    if (!verdict->right)
        upc_log(&context->env, UPCONV_LOG_WARNING, "%s: products of four bytes, %s, are not used: %s", device, name,
                verdict->why);
    else
        upc_log(&context->env, UPCONV_LOG_INFO,
                "%s: products of four bytes, %s: right, %.0f us where the plain kernel takes %.0f: %s", device, name,
                verdict->dot_us, verdict->plain_us, verdict->faster ? "used" : "not used");
}

// One form after the other, those that suit the type best first, until one is right.
static upconv_status look(upconv_context *context, upconv_type type, upc_dot_of_type *found)
{
    found->facts = context->facts;
    upc_problem like = {.type = type};
    for (;;) {
        const upc_dot form = upc_phase_q_dot(&like, found->facts.dot_fast);
        if (!form)
            return UPCONV_OK;
        found->verdict = (upc_dot_verdict){.form = form};
        found->remembered = recall(context, type, &found->verdict);
        if (!found->remembered) {
            const upconv_status status = upc_dot_probe(context, type, &found->verdict);
            if (status)
                return status;
            keep(context, type, &found->verdict);
        }
        say(context, &found->verdict);
        if (found->verdict.right) {
            found->facts.dot_used = (uint8_t)(found->verdict.faster ? 1u << form : 0);
            return UPCONV_OK;
        }
        found->facts.dot_fast &= (uint8_t)~(1u << form);
        found->facts.dot_takes &= (uint8_t)~(1u << form);
    }
}

static upconv_status decide(upconv_context *context, upconv_type type)
{
    upc_dot_of_type *found = of_type(context, type);
    if (!context->facts.dot_fast || atomic_load(&found->known))
        return UPCONV_OK;
    upconv_status status = UPCONV_OK;
    pthread_mutex_lock(&context->dots.lock);
    if (!atomic_load(&found->known) && !(status = look(context, type, found)))
        atomic_store(&found->known, true);
    pthread_mutex_unlock(&context->dots.lock);
    if (status == UPCONV_ERROR_GPU_MEMORY) { // the plan may do with less; the next one looks again
        upc_log(&context->env, UPCONV_LOG_WARNING, "products of four bytes are not looked at: %s", upc_last_error());
        status = UPCONV_OK;
    }
    return status;
}

upconv_status upc_dot_decide(upconv_context *context, const upc_problem *problem)
{
    return concerned(problem) ? decide(context, problem->type) : UPCONV_OK;
}

void upc_dot_assume(upconv_context *context, upconv_type type, upc_dot form)
{
    upc_dot_of_type *found = of_type(context, type);
    found->facts = context->facts;
    found->verdict = (upc_dot_verdict){.form = form, .right = form != UPC_DOT_NONE, .faster = form != UPC_DOT_NONE};
    found->facts.dot_used = (uint8_t)(form ? 1u << form : 0);
    atomic_store(&found->known, true);
}

const upc_facts *upc_facts_for(const upconv_context *context, const upc_problem *problem)
{
    const bool bytes = problem->type == UPCONV_U8 || problem->type == UPCONV_I8;
    const upc_dot_of_type *found = &context->dots.of[problem->type == UPCONV_I8];
    return bytes && atomic_load(&found->known) ? &found->facts : &context->facts;
}

// The sentence, of a type that has been looked at where there was anything to look at.
static void describe(const upconv_context *context, upconv_type type, upc_text *text)
{
    const upc_dot_of_type *found = &context->dots.of[type == UPCONV_I8];
    const upc_dot_verdict *verdict = &found->verdict;
    if (!context->facts.dot_takes)
        upc_text_add(text, "the device has none");
    else if (!context->facts.dot_fast)
        upc_text_add(text, "not used: the driver says that it has no instructions for them");
    else if (!atomic_load(&found->known) || !verdict->form)
        upc_text_add(text, "not looked at");
    else if (!verdict->right)
        upc_text_add(text, "not used: %s: %s", form_names[verdict->form], verdict->why);
    else
        upc_text_add(text, "%s: %s: right, %.0f us where the plain kernel takes %.0f%s",
                     verdict->faster ? "used" : "not used", form_names[verdict->form], verdict->dot_us,
                     verdict->plain_us, found->remembered ? " (as the program cache remembers)" : "");
}

void upc_dot_explain(const upconv_context *context, const upc_problem *problem, upc_text *text)
{
    if (!concerned(problem))
        return;
    upc_text_add(text, "products of four bytes: ");
    describe(context, problem->type, text);
    upc_text_add(text, "\n");
}

upconv_status upconv_int8_dot(upconv_context *context, upconv_type type, char *text, size_t size, size_t *length)
{
    if (!context || (!text && size))
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", context ? "text" : "context");
    if (type != UPCONV_U8 && type != UPCONV_I8)
        return upc_fail(UPCONV_ERROR_INVALID, "type is %d; only U8 and I8 have products of four bytes", (int)type);
    upconv_status status = upc_context_check(context);
    if (!status)
        status = decide(context, type);
    if (status)
        return status;
    upc_text out = {text, size, 0};
    describe(context, type, &out);
    if (length)
        *length = out.length;
    return UPCONV_OK;
}
