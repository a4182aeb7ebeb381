#include "rival.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "rival_engine.h"
#include "scripts.h"
#include "session.h"

enum { LONGEST_S = 180, ANSWER = 1 << 16 }; // PyTorch alone may need half a minute to start

typedef struct rival_kind {
    const char *name;
    const rival_engine *engine; // or
    const char *script;
} rival_kind;

static const rival_kind kinds[] = {
#ifndef UPC_STATIC
    {"onednn", &rival_onednn, NULL},
    {"openblas", &rival_openblas, NULL},
#endif
    {"ncnn", NULL, script_compare_ncnn},
    {"torch", NULL, script_compare_torch},
};

#ifdef UPC_STATIC
static const char there_are[] = "no library of this name; a fully static program has only ncnn and torch";
#else
static const char there_are[] = "no library of this name; there are onednn, openblas, ncnn and torch";
#endif

struct rival {
    const rival_kind *kind;
    pid_t child;
    int line; // a socket; -1 once the child has failed
    char about[512], how[512];
    char answer[ANSWER];
};

const char *rival_name(const rival *r) { return r->kind->name; }
const char *rival_about(const rival *r) { return r->about; }
const char *rival_how(const rival *r) { return r->how; }
double rival_flops(const rival *r) { return r->kind->engine ? r->kind->engine->flops : 0; }

// ---------------------------------------------------------------------------------------------------- process

static void child_main(const rival_kind *kind, const char *python, int line)
{
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL); // it may stand still when we are killed
#endif
    if (dup2(line, STDIN_FILENO) < 0 || dup2(line, STDOUT_FILENO) < 0)
        _exit(1);
    close(line);
    if (kind->engine) {
        rival_serve(kind->engine, stdin, stdout);
    } else {
        execlp(python, python, "-c", kind->script, (char *)NULL);
        printf("{\"refused\": \"%s cannot be started: %s\"}\n", python, strerror(errno));
        fflush(stdout);
    }
    _exit(0); // without what exit() does for libraries: some of them hang in it
}

rival *rival_start(const char *name, const char *python, char *error, size_t error_size)
{
    const rival_kind *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, name))
            kind = &kinds[i];
    rival *r = kind ? calloc(1, sizeof *r) : NULL;
    int ends[2];
    if (!r || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || fcntl(ends[0], F_SETFD, FD_CLOEXEC)) {
        snprintf(error, error_size, "%s: %s", name,
                 kind ? strerror(errno) : there_are);
        free(r);
        return NULL;
    }
    fflush(NULL); // the copy shall not print again what waits to be printed
    r->kind = kind;
    r->line = ends[0];
    r->child = fork();
    if (r->child == 0) {
        close(ends[0]);
        child_main(kind, python, ends[1]);
    }
    close(ends[1]);
    if (r->child > 0)
        return r;
    snprintf(error, error_size, "%s: %s", name, strerror(errno));
    close(ends[0]);
    free(r);
    return NULL;
}

static void give_up(rival *r)
{
    if (r->line < 0)
        return;
    close(r->line);
    r->line = -1;
    kill(r->child, SIGKILL);
    waitpid(r->child, NULL, 0);
}

void rival_stop(rival *r)
{
    if (!r)
        return;
    give_up(r); // it keeps nothing that would have to be written
    free(r);
}

// ------------------------------------------------------------------------------------------------------- talk

static bool fail(rival *r, char *error, size_t size, const char *why)
{
    snprintf(error, size, "%s: %s", r->kind->name, why);
    return false;
}

static bool send_line(rival *r, const cJSON *request)
{
    char *text = request ? cJSON_PrintUnformatted(request) : NULL;
    size_t length = text ? strlen(text) : 0;
    if (text)
        text[length++] = '\n'; // in place of the terminating zero
    bool fine = length > 0;
    for (size_t sent = 0; fine && sent < length;) {
        ssize_t count = send(r->line, text + sent, length - sent, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR)
            fine = false;
        sent += count > 0 ? (size_t)count : 0;
    }
    cJSON_free(text);
    return fine;
}

// One line into r->answer.
static bool receive_line(rival *r)
{
    double end = session_seconds() + LONGEST_S;
    size_t length = 0;
    while (length + 1 < sizeof r->answer) {
        struct pollfd wait = {r->line, POLLIN, 0};
        double left = end - session_seconds();
        if (left <= 0 || (poll(&wait, 1, (int)(left * 1000) + 1) < 0 && errno != EINTR))
            return false;
        if (!wait.revents)
            continue;
        ssize_t count = recv(r->line, r->answer + length, sizeof r->answer - 1 - length, 0);
        if (count == 0 || (count < 0 && errno != EINTR))
            return false;
        length += count > 0 ? (size_t)count : 0;
        if (length && r->answer[length - 1] == '\n') {
            r->answer[length - 1] = 0;
            return true;
        }
    }
    return false;
}

// Asks, and returns the answer's `key`. The child runs only while it is asked. NULL: a sentence is in error.
static cJSON *ask(rival *r, cJSON *request, const char *key, cJSON **whole, char *error, size_t size)
{
    *whole = NULL;
    if (r->line < 0) {
        fail(r, error, size, "it has ended");
        cJSON_Delete(request);
        return NULL;
    }
    kill(r->child, SIGCONT);
    bool heard = send_line(r, request) && receive_line(r);
    cJSON_Delete(request);
    if (!heard) {
        give_up(r);
        fail(r, error, size, "it gave no answer and was ended");
        return NULL;
    }
    kill(r->child, SIGSTOP);
    *whole = cJSON_Parse(r->answer);
    cJSON *value = cJSON_GetObjectItem(*whole, key);
    const char *refused = cJSON_GetStringValue(cJSON_GetObjectItem(*whole, "refused"));
    if (!value)
        fail(r, error, size, refused ? refused : "it gave an answer that makes no sense");
    return value;
}

bool rival_greet(rival *r, const upconv_device_info *device, char *error, size_t error_size)
{
    cJSON *request = cJSON_CreateObject(), *whole;
    cJSON *about = request ? cJSON_AddObjectToObject(request, "device") : NULL;
    bool gpu = device->kind == UPCONV_DEVICE_DISCRETE || device->kind == UPCONV_DEVICE_INTEGRATED;
    if (!about || !cJSON_AddStringToObject(about, "backend", backend_choices[device->backend]) ||
        !cJSON_AddBoolToObject(about, "gpu", gpu) || !session_json_text(about, "name", device->name)) {
        cJSON_Delete(request);
        return fail(r, error, error_size, "no memory");
    }
    const char *hello = cJSON_GetStringValue(ask(r, request, "hello", &whole, error, error_size));
    if (hello)
        snprintf(r->about, sizeof r->about, "%s", hello);
    cJSON_Delete(whole);
    return hello != NULL;
}

static bool add_numbers(cJSON *object, const char *key, const int32_t *values, int count, int32_t zero)
{
    cJSON *array = cJSON_AddArrayToObject(object, key);
    for (int i = 0; array && i < count; i++)
        if (!cJSON_AddItemToArray(array, cJSON_CreateNumber(values[i] ? values[i] : zero)))
            return false;
    return array != NULL;
}

static bool add_problem(cJSON *object, const upconv_problem *p, const char *text)
{
    int dims = p->dims ? p->dims : 2;
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    const char *type = p->type == UPCONV_F16 ? "f16" : "f32";
    return upconv_problem_sizes(p, &sizes) == UPCONV_OK && cJSON_AddStringToObject(object, "text", text) &&
           cJSON_AddStringToObject(object, "type", type) && cJSON_AddNumberToObject(object, "dims", dims) &&
           cJSON_AddNumberToObject(object, "batch", p->batch) &&
           cJSON_AddNumberToObject(object, "ic", p->in_channels) &&
           cJSON_AddNumberToObject(object, "oc", p->out_channels) &&
           cJSON_AddNumberToObject(object, "groups", p->groups ? p->groups : 1) &&
           add_numbers(object, "in", p->in, dims, 0) && add_numbers(object, "kernel", p->kernel, dims, 0) &&
           add_numbers(object, "stride", p->stride, dims, 1) && add_numbers(object, "dilation", p->dilation, dims, 1) &&
           add_numbers(object, "pad", p->pad, dims, 0) && add_numbers(object, "out", sizes.out, dims, 0);
}

bool rival_prepare(rival *r, const upconv_problem *problem, char *error, size_t error_size)
{
    if (problem->op != UPCONV_CONV_TRANSPOSE) {
        snprintf(error, error_size, "only transposed convolutions are compared");
        return false;
    }
    char *text = session_problem_text(problem);
    cJSON *request = cJSON_CreateObject(), *whole;
    cJSON *about = request ? cJSON_AddObjectToObject(request, "problem") : NULL;
    bool added = text && about && add_problem(about, problem, text);
    free(text);
    if (!added) {
        cJSON_Delete(request);
        return fail(r, error, error_size, "no memory");
    }
    const char *ready = cJSON_GetStringValue(ask(r, request, "ready", &whole, error, error_size));
    snprintf(r->how, sizeof r->how, "%s", ready ? ready : "");
    cJSON_Delete(whole);
    return ready != NULL;
}

bool rival_run(rival *r, double seconds, bool warm, samples *times, char *error, size_t error_size)
{
    cJSON *request = cJSON_CreateObject(), *whole;
    if (!request || !cJSON_AddNumberToObject(request, "run", seconds) ||
        !cJSON_AddBoolToObject(request, "warm", warm)) {
        cJSON_Delete(request);
        return fail(r, error, error_size, "no memory");
    }
    const cJSON *all = ask(r, request, "us", &whole, error, error_size), *one;
    bool fine = cJSON_IsArray(all) && cJSON_GetArraySize(all) > 0;
    cJSON_ArrayForEach(one, all) fine = fine && cJSON_IsNumber(one) && samples_add(times, one->valuedouble);
    cJSON_Delete(whole);
    return fine;
}
