// A candidate that never ends, in an app's own process: the wait times out, the context is given up without waiting,
// the journal names the culprit, and the next run goes on behind it.
//   tune_hang BACKEND SHADERS      SHADERS: the folder of the kernels
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <upconv/upconv_tune.h>

// Of the phase solver, only configurations with this unrolling hang.
static const char opencl_hang[] = "#if STEPS == 4\n    volatile int stay = 1;\n    while (stay)\n        ;\n#endif\n";
static const char space[] = "phase:tile=2|4,oc=4,x=8,y=1,spec=0,stage=0,texel=0";
static char folder[64], journal[128], records[128];

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    const bool written = file && fputs(text, file) >= 0;
    return file && !fclose(file) && written;
}

// llvmpipe ends an item's loops after 65,535 rounds, so there it is many loops.
static void write_hang(upc_string *text, upconv_backend backend)
{
    if (backend == UPCONV_BACKEND_OPENCL) {
        upc_string_add(text, "%s", opencl_hang);
        return;
    }
    upc_string_add(text, "#if STEPS == 4\n    int spin = GLOBAL_ID(0) + 1;\n");
    for (int i = 0; i < 600; i++)
        upc_string_add(text, "    for (int i%d = 0; i%d < 60000; i%d++) spin = (spin * 16807 + i%d) & 0x7fffffff;\n", i,
                       i, i, i);
    upc_string_add(text, "    if (spin == 0)\n        return;\n#endif\n");
}

static bool plant(const char *shaders, upconv_backend backend)
{
    upc_env env;
    char path[1024];
    size_t size = 0;
    upc_string text;
    upc_env_init(&env, NULL);
    upc_string_init(&text, &env);
    snprintf(path, sizeof path, "%s/phase.kernel", shaders);
    char *kernel = upc_read_file(&env, path, &size);
    char *entry = kernel ? strstr(kernel, "\nKERNEL(") : NULL, *body = entry ? strstr(entry, "\n{\n") : NULL;
    bool done = false;
    if (body) {
        upc_string_add_bytes(&text, kernel, (size_t)(body + 3 - kernel));
        write_hang(&text, backend);
        upc_string_add(&text, "%s", body + 3);
        snprintf(path, sizeof path, "%s/phase.kernel", folder);
        done = !text.failed && write_text(path, text.data);
    }
    upc_string_finish(&text);
    upc_free(&env, kernel);
    return done;
}

typedef struct seen {
    int hung, known_hung, tried;
} seen;

static int listen(void *user, const upconv_tune_event *event)
{
    seen *s = user;
    if (event->kind != UPCONV_TUNE_TRIED)
        return 0;
    s->tried++;
    s->hung += event->verdict == UPCONV_TUNE_HUNG && !event->known;
    s->known_hung += event->verdict == UPCONV_TUNE_HUNG && event->known;
    return 0;
}

// One start of the app. What it returns: 0 when the search came to its end, 1 when a candidate hung, 2 when something
// is wrong.
static int start(upconv_backend backend)
{
    upconv_context *context = NULL;
    seen s = {0};
    const upconv_problem problem = test_problem("ic4oc4_ih24oh48kh4sh2ph1");
    const upconv_tune_params params = {.struct_size = sizeof params,
                                       .problems = &problem,
                                       .problem_count = 1,
                                       .budget_ns = UPCONV_TUNE_EXHAUSTIVE,
                                       .space = space,
                                       .journal = journal,
                                       .records = records,
                                       .run_timeout_ns = 3000000000,
                                       .event = listen,
                                       .user = &s};
    upconv_tune_result result = {.struct_size = sizeof result};
    if (test_context_create(backend, NULL, &context))
        return 2;
    const upconv_status status = upconv_tune(context, &params, &result);
    const uint64_t before = upc_now_ns();
    upconv_context_destroy(context);
    const double closing = (double)(upc_now_ns() - before) / 1e9;
    printf("%s, %d hung, %d known to hang, of %d; %s; closed in %.1f s\n", upconv_status_name(status), s.hung,
           s.known_hung, s.tried, result.culprit, closing);
    if (closing > 5)
        return 2;
    if (status == UPCONV_ERROR_TIMEOUT)
        return s.hung == 1 && strstr(result.culprit, "unroll=4") && result.stop == UPCONV_TUNE_STOP_FAILED ? 1 : 2;
    return !status && s.known_hung == 2 && result.problems == 1 ? 0 : 2;
}

static int start_process(upconv_backend backend)
{
    int status = 0, code;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        _exit((code = start(backend), fflush(NULL), code)); // threads of the driver are still in the kernel
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

static int lines_with(const char *path, const char *text)
{
    char line[4096];
    int count = 0;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        count += strstr(line, text) != NULL;
    if (file)
        fclose(file);
    return count;
}

static void clear(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/phase.kernel", folder);
    unlink(path);
    unlink(journal);
    unlink(records);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    upconv_backend backend;
    char why[512];
    if (argc != 3 || !test_backend_parse(argv[1], &backend)) {
        printf("usage: tune_hang BACKEND SHADERS\n");
        return 2;
    }
    snprintf(folder, sizeof folder, "tune_hang.%ld", (long)getpid());
    snprintf(journal, sizeof journal, "%s/journal", folder);
    snprintf(records, sizeof records, "%s/records", folder);
    pid_t probe = fork(); // a driver may not be opened before a fork
    if (probe == 0)
        _exit(!test_backend_present(backend, why, sizeof why));
    int absent = 0;
    waitpid(probe, &absent, 0);
    if (absent) {
        printf("SKIPPED there is no device of this backend\n");
        return test_report(0, 0, 1);
    }
    int failed = mkdir(folder, 0777) || !plant(argv[2], backend) || setenv("UPCONV_SHADERS", folder, 1) ? 1 : 0;
    static const int expected[] = {1, 1, 0, 0}; // two candidates hang; then the search ends, and is known to have
    for (size_t i = 0; i < UPC_COUNT(expected) && !failed; i++) {
        const int found = start_process(backend);
        failed = found != expected[i];
        if (failed)
            printf("FAILED start %zu: %d in place of %d\n", i + 1, found, expected[i]);
    }
    if (!failed &&
        (lines_with(journal, "{\"done\":\"hang\"") != 2 || lines_with(records, "\"verdict\":\"hang\"") != 2 ||
         lines_with(records, "\"verdict\":\"ok\"") < 1)) {
        printf("FAILED the journal or the records do not say so\n");
        failed = 1;
    }
    if (!failed)
        clear();
    return test_report(!failed, (uint64_t)failed, 0);
}
