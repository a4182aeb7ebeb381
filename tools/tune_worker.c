// The worker of `upconv tune`: it opens the device, tunes, and says on a line to the supervisor what it is about to do
// and what came of it. It ends when the line breaks, so that no worker outlives its supervisor.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "files.h"
#include "tune.h"
#include "tune_line.h"

typedef struct worker {
    const tune_options *options;
    int line, errors;
    int64_t read; // how far it was read for spills
    int64_t mark; // where what the driver says of the candidate at hand begins
    atomic_bool stop;
} worker;

static void say(const worker *w, cJSON *object)
{
    char *text = object ? cJSON_PrintUnformatted(object) : NULL;
    const size_t length = text ? strlen(text) : 0;
    if (!text)
        _exit(1);        // without memory: the supervisor starts another
    text[length] = '\n'; // in place of the terminating zero
    for (size_t sent = 0; sent <= length;) {
        const ssize_t count = send(w->line, text + sent, length + 1 - sent, MSG_NOSIGNAL);
        if (count <= 0)
            _exit(1);
        sent += (size_t)count;
    }
    cJSON_free(text);
    cJSON_Delete(object);
}

// The supervisor's side of the line: a byte asks to end cleanly; its end is the supervisor's.
static void *listen_to_supervisor(void *user)
{
    worker *w = user;
    char byte;
    while (recv(w->line, &byte, 1, 0) == 1)
        atomic_store(&w->stop, true);
    _exit(1);
}

static int64_t words_end(const worker *w)
{
    struct stat file;
    return w->errors >= 0 && fstat(w->errors, &file) == 0 ? file.st_size : 0;
}

// What the driver has printed about spills and fills since this was called last.
static double printed_spills(void *user)
{
    worker *w = user;
    tune_words words;
    tune_words_read(w->errors, w->read, &words);
    w->read = words_end(w);
    return words.spills + words.fills;
}

static int tell(void *user, const upconv_tune_event *given)
{
    worker *w = user;
    const upconv_tune_event event = *given;
    cJSON *object = cJSON_CreateObject();
    int answer = atomic_load(&w->stop) ? 1 : 0;
    if (event.kind == UPCONV_TUNE_COMPILING)
        w->mark = words_end(w);
    bool fine = object && tune_fields_write(&tune_event_fields, &event, object) &&
                cJSON_AddNumberToObject(object, "words", (double)w->mark);
    if (fine && event.summary) {
        cJSON *summary = cJSON_AddObjectToObject(object, "summary");
        fine = summary && tune_fields_write(&tune_summary_fields, event.summary, summary);
    }
    if (fine && event.peaks && (event.kind == UPCONV_TUNE_PROBLEM_BEGIN || event.kind == UPCONV_TUNE_PROBLEM_END)) {
        cJSON *peaks = cJSON_AddObjectToObject(object, "peaks");
        fine = peaks && tune_fields_write(&tune_peaks_fields, event.peaks, peaks);
    }
    say(w, fine ? object : NULL);
    return answer;
}

static void say_device(const worker *w, const upconv_device_info *info)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *device = object ? cJSON_AddObjectToObject(object, "device") : NULL;
    const bool fine = device && cJSON_AddNumberToObject(object, "kind", TUNE_SAYS_DEVICE) &&
                      tune_fields_write(&tune_device_fields, info, device);
    say(w, fine ? object : NULL);
}

static void say_end(const worker *w, upconv_status status, const char *error, const upconv_tune_result *result)
{
    cJSON *object = cJSON_CreateObject();
    const bool fine = object && cJSON_AddNumberToObject(object, "kind", TUNE_SAYS_END) &&
                      cJSON_AddNumberToObject(object, "status", status) && session_json_text(object, "error", error) &&
                      tune_fields_write(&tune_result_fields, result, object);
    say(w, fine ? object : NULL);
}

// What is known from earlier runs is where the search begins. again: the run goes on, so the file is certainly its own.
static bool import_records(const char *path, bool again, upconv_context *context, char *error, size_t size)
{
    char *text = NULL;
    size_t length = 0;
    if (!path || !file_exists(path))
        return true;
    if (!file_read(path, &text, &length, error, size))
        return false;
    upconv_status status = session_import(context, text, length);
    if (status == UPCONV_ERROR_DATA && again)
        status = UPCONV_OK;
    free(text);
    if (status != UPCONV_OK)
        snprintf(error, size, "%s: %s", path, upconv_last_error());
    return status == UPCONV_OK;
}

static upconv_tune_params make_params(worker *w, const upconv_problem *problems, size_t count)
{
    const tune_options *o = w->options;
    return (upconv_tune_params){
        .struct_size = sizeof(upconv_tune_params),
        .problems = problems,
        .problem_count = count,
        .budget_ns = o->budget_ns,
        .strategy = o->strategy,
        .seed = (uint64_t)o->seed,
        .space = o->space,
        .most = (uint32_t)o->most,
        .journal = o->journal,
        .records = o->dry_run ? NULL : o->records,
        .replay = o->replay,
        .fresh = !o->resume,
        .supervised = 1,
        .verify_only = o->verify_only,
        .dry_run = o->dry_run,
        .sustained = o->sustained,
        .run_timeout_ns = (int64_t)(o->run_timeout * 1e9),
        .compile_timeout_ns = (int64_t)(o->compile_timeout * 1e9),
        .event = tell,
        .user = w,
        .printed_spills = printed_spills,
    };
}

static void work(worker *w, const upconv_problem *problems, size_t count)
{
    char error[512] = "";
    upconv_context *context = NULL;
    upconv_device_info info = {.struct_size = sizeof info};
    upconv_tune_result result = {.struct_size = sizeof result};
    const upconv_tune_params params = make_params(w, problems, count);
    upconv_status status = session_open(&w->options->where, &context, &info);
    if (status == UPCONV_OK) {
        say_device(w, &info);
        if (!import_records(w->options->records, w->options->resume, context, error, sizeof error))
            status = UPCONV_ERROR_DATA;
        else if ((status = upconv_tune(context, &params, &result)) != UPCONV_OK)
            snprintf(error, sizeof error, "%s", upconv_last_error());
    } else {
        snprintf(error, sizeof error, "%s", upconv_last_error());
    }
    say_end(w, status, error, &result);
}

// Where printing goes: what a driver says there is kept, and the worker's line stays clean.
static void redirect(int errors)
{
    const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing >= 0)
        dup2(nothing, STDIN_FILENO);
    dup2(errors >= 0 ? errors : nothing, STDOUT_FILENO);
    dup2(errors >= 0 ? errors : nothing, STDERR_FILENO);
}

void tune_worker(const tune_options *options, const upconv_problem *problems, size_t count, int line, int errors)
{
    worker w = {.options = options, .line = line, .errors = errors};
    pthread_t listener;
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL); // for what stops the listener too
#endif
    redirect(errors);
    // panvk then prints spills; others do not know it. What comes from Mesa's files was not compiled, and prints nothing.
    setenv("BIFROST_MESA_DEBUG", "shaderdb", 0);
    setenv("MESA_SHADER_CACHE_DISABLE", "true", 0);
    if (pthread_create(&listener, NULL, listen_to_supervisor, &w) != 0)
        _exit(1);
    work(&w, problems, count);
    // Not destroyed and no exit handlers: a driver that has just lost its device, or has none, may hang or crash there.
    _exit(0);
}
