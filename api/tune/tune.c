// upconv_tune: problems in turn, each searched, with everything that was learnt written down at once.
#include "tune.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const event_names[UPCONV_TUNE_EVENT_COUNT] = {
    "run begin", "problem begin", "compiling", "running", "tried", "best", "listed", "problem end", "run end",
};
static const char *const stop_names[UPCONV_TUNE_STOP_COUNT] = {
    "none", "budget", "no improvement", "roofline", "exhausted", "cancelled", "failed", "refused", "enough tried",
};

const char *upconv_tune_event_name(upconv_tune_event_kind kind)
{
    return (int)kind >= 0 && kind < UPCONV_TUNE_EVENT_COUNT ? event_names[kind] : "unknown event";
}

const char *upconv_tune_stop_name(upconv_tune_stop stop)
{
    return (int)stop >= 0 && stop < UPCONV_TUNE_STOP_COUNT ? stop_names[stop] : "unknown stop";
}

const char *upconv_tune_strategy_name(int32_t index) { return upc_strategy_name(index); }

bool upc_tune_say(upc_tune *run, upconv_tune_event *event)
{
    event->struct_size = sizeof *event;
    event->problem = run->at;
    event->problems = run->params.problem_count;
    event->candidate = event->candidate ? event->candidate : "";
    event->stage = event->stage ? event->stage : "";
    event->reason = event->reason ? event->reason : "";
    event->spent_ns = run->spent_ns;
    event->budget_ns = run->budget_ns;
    run->peaks.struct_size = sizeof run->peaks; // also of those that a journal had
    event->peaks = run->peaks.f32_gflops > 0 ? &run->peaks : NULL;
    if (run->params.event && run->params.event(run->params.user, event))
        run->cancelled = true;
    return !run->cancelled;
}

// --------------------------------------------------------------------------------------------------------- preparation

static upconv_status check(const upconv_tune_params *params)
{
    if (!params->problem_count || !params->problems)
        return upc_fail(UPCONV_ERROR_INVALID, "params has no problems");
    if (params->budget_ns < UPCONV_TUNE_EXHAUSTIVE)
        return upc_fail(UPCONV_ERROR_INVALID, "params.budget_ns is %lld; it must not be negative, but for EXHAUSTIVE",
                        (long long)params->budget_ns);
    if (params->run_timeout_ns < 0 || params->compile_timeout_ns < 0)
        return upc_fail(UPCONV_ERROR_INVALID, "a time-out of params is negative");
    if (params->replay && (params->dry_run || params->verify_only || params->sustained))
        return upc_fail(UPCONV_ERROR_INVALID,
                        "params.replay has outcomes only; dry_run, verify_only and sustained need a device");
    if (params->dry_run && params->verify_only)
        return upc_fail(UPCONV_ERROR_INVALID, "params.dry_run runs nothing, verify_only does; one of them");
    return UPCONV_OK;
}

static upconv_status read_replay(upc_tune *run)
{
    const upc_env *env = &run->context->env;
    size_t size = 0;
    char *text = upc_read_file(env, run->params.replay, &size);
    if (!text)
        return upc_fail(UPCONV_ERROR_DATA, "cannot read the recorded space %s", run->params.replay);
    run->replayed = upc_hash(text, size, 1);
    const upconv_status status = upc_trial_replay(env, text, size, run->params.space, &run->trial);
    upc_free(env, text);
    return status;
}

static upconv_status open_trial(upc_tune *run)
{
    const upconv_tune_params *p = &run->params;
    if (p->replay)
        return read_replay(run);
    const upc_live_params live = {
        .plan = {.weights = p->dynamic_weights ? NULL : "",
                 .workspace_limit = p->workspace_limit}, // asked is only whether
        .keep = p->space,
        .verify_only = p->verify_only,
        .compile_only = p->dry_run,
        .sustained = p->sustained,
        .awkward = true,
        .run_timeout_ns = p->run_timeout_ns ? p->run_timeout_ns : 10000000000,
        .compile_timeout_ns = p->compile_timeout_ns ? p->compile_timeout_ns : 60000000000,
    };
    return upc_trial_live(run->context, &live, &run->trial);
}

// What makes outcomes of another run good for this one. Kernels of a folder count by what is in them now.
static uint64_t identity(const upc_tune *run)
{
    const upc_env *env = &run->context->env;
    uint64_t hash = upc_identity_hash(&run->context->facts.info, true, upc_record_kernels());
    if (run->params.replay)
        return run->replayed;
    for (int i = 0; env->shaders && i < upc_shader_count; i++) {
        char path[1024];
        size_t size = 0;
        snprintf(path, sizeof path, "%s/%s", env->shaders, upc_shaders[i].name);
        char *text = upc_read_file(env, path, &size);
        hash = upc_hash(text ? text : "", text ? size : 0, hash);
        upc_free(env, text);
    }
    return hash;
}

static upconv_status open_journal(upc_tune *run)
{
    const upconv_tune_params *p = &run->params;
    const uint32_t mode[4] = {p->verify_only, p->dry_run, p->sustained, p->dynamic_weights};
    const upc_journal_params params = {
        .path = p->dry_run && !run->context->env.statistics && !p->printed_spills ? NULL : p->journal, // then nothing is at risk
        .info = run->trial.info,
        .identity = identity(run),
        .mode = upc_hash(mode, sizeof mode, 1),
        .strategy = p->strategy,
        .seed = p->seed,
        .fresh = p->fresh,
        .supervised = p->supervised,
        .rehearsal = p->replay != NULL,
    };
    return upc_journal_open(&run->context->env, &params, &run->journal);
}

upconv_status upc_tune_measure_peaks(upc_tune *run)
{
    bool twice; // no phone's driver shall keep a run from its work because it cannot do this
    upconv_status status = upc_journal_begin_peaks(run->journal, &twice);
    upconv_peaks found = {.struct_size = sizeof found};
    if (status || twice)
        return status;
    status = upconv_device_peaks(run->context, &found);
    if (!status) {
        run->peaks.f32_gflops = UPC_MAX(run->peaks.f32_gflops, found.f32_gflops);
        run->peaks.f16_gflops = UPC_MAX(run->peaks.f16_gflops, found.f16_gflops);
        run->peaks.copy_gbytes = UPC_MAX(run->peaks.copy_gbytes, found.copy_gbytes);
        return upc_journal_add_peaks(run->journal, &run->peaks);
    }
    const bool over = status == UPCONV_ERROR_DEVICE_LOST || status == UPCONV_ERROR_TIMEOUT;
    return over ? status : UPCONV_OK; // without them nobody knows how near the roofline is, no more
}

// What the device can do at most: from the journal, else measured where the budget is worth it.
static upconv_status find_peaks(upc_tune *run)
{
    const upconv_tune_params *p = &run->params;
    const bool worth = run->budget_ns == 0 || run->budget_ns >= 10000000000;
    if (run->trial.peaks) {
        run->peaks = *run->trial.peaks;
        return UPCONV_OK;
    }
    if (p->dry_run || p->verify_only || !worth || upc_journal_peaks(run->journal, &run->peaks))
        return UPCONV_OK;
    return upc_tune_measure_peaks(run);
}

static void listen_to_driver(upc_tune *run)
{
    pthread_mutex_lock(&run->context->programs.lock);
    run->context->listener.spills = run->params.printed_spills;
    run->context->listener.user = run->params.user;
    pthread_mutex_unlock(&run->context->programs.lock);
}

static upconv_status prepare(upc_tune *run, const upconv_tune_params *given)
{
    upconv_status status = upc_params_copy(&run->params, sizeof run->params, given, sizeof run->params, "params");
    if (status || (status = check(&run->params)) || (status = upc_context_check(run->context)))
        return status;
    upconv_tune_params *p = &run->params;
    listen_to_driver(run);
    run->budget_ns = p->budget_ns == UPCONV_TUNE_EXHAUSTIVE ? 0 : p->budget_ns ? p->budget_ns : 60000000000;
    if (!p->strategy)
        p->strategy = p->dry_run || !run->budget_ns ? "exhaustive" : p->verify_only ? "random" : "descent";
    if ((status = open_trial(run)) || (status = open_journal(run)) || (status = find_peaks(run)))
        return status;
    return upc_output_open(run->context, run->trial.info, p->replay != NULL, p->dry_run ? NULL : p->records,
                           &run->output);
}

static void finish(upc_tune *run)
{
    run->params.printed_spills = NULL;
    listen_to_driver(run);
    upc_output_close(&run->output);
    upc_journal_close(run->journal);
    if (run->trial.calls)
        run->trial.calls->destroy(run->trial.self);
}

// ------------------------------------------------------------------------------------------------------------- the run

static void give_summary(const upc_tune *run, size_t index, const upconv_tune_summary *summary)
{
    upconv_tune_summary *list = run->params.summaries;
    if (!list)
        return;
    // elements are as large as the caller compiled them
    const size_t size = list->struct_size ? list->struct_size : sizeof *list;
    unsigned char *to = (unsigned char *)list + index * size;
    memcpy(to, &size, sizeof size);
    upc_params_return(to, summary, sizeof *summary, sizeof *summary);
}

static void add_up(upc_tune *run, const upconv_tune_summary *summary, double *logs)
{
    upconv_tune_result *result = &run->result;
    result->tried += summary->tried;
    result->wrong += summary->wrong;
    result->crashed += summary->crashed;
    result->hung += summary->hung;
    result->stop = summary->stop;
    if (summary->best[0]) {
        result->problems++;
        *logs += summary->gain > 0 ? log(summary->gain) : 0;
    }
}

static upconv_status tune_all(upc_tune *run)
{
    upconv_tune_event event = {.kind = UPCONV_TUNE_RUN_BEGIN};
    upconv_status status = UPCONV_OK;
    double logs = 0;
    upc_tune_say(run, &event);
    for (run->at = 0; run->at < run->params.problem_count && !status; run->at++) {
        upconv_tune_summary summary = {.struct_size = sizeof summary, .stop = UPCONV_TUNE_STOP_CANCELLED};
        if (!run->cancelled)
            status = upc_tune_problem(run, &summary);
        give_summary(run, run->at, &summary);
        add_up(run, &summary, &logs);
    }
    run->result.gain = run->result.problems ? exp(logs / (double)run->result.problems) : 0;
    run->result.spent_ns = run->spent_ns;
    char sentence[512];
    snprintf(sentence, sizeof sentence, "%s", upc_last_error()); // the callback may call upconv
    run->at = run->params.problem_count;
    event = (upconv_tune_event){.kind = UPCONV_TUNE_RUN_END};
    upc_tune_say(run, &event);
    return status ? upc_fail(status, "%s", sentence) : UPCONV_OK;
}

upconv_status upconv_tune(upconv_context *context, const upconv_tune_params *params, upconv_tune_result *result)
{
    if (!context || !params)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", context ? "params" : "context");
    upc_tune run = {
        .context = context, .result = {.struct_size = sizeof run.result}, .output = {.lines = {.file = -1}}};
    upconv_status status = prepare(&run, params);
    if (!status) {
        status = tune_all(&run);
        if (result)
            upc_params_return(result, &run.result, sizeof run.result, sizeof run.result);
    }
    finish(&run);
    return status;
}
