// What the library makes of products of four bytes at once, on a device that is taken to have instructions for them: right ones are used
// where they are faster, wrong ones never, and each time a plan's explanation says so.
//   dots BACKEND SHADERS STAND-IN      SHADERS: the folder of the kernels, of which changed copies are used
// Where the device has no such products (OpenCL without the extensions) the functions of the file STAND-IN are put in front of the shell.
#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char notation[] = "ic16oc8_ih5oh10kh4sh2ph1+i8+nhwc+zero:3";

// Added to the shells. Sums that saturate at 16 bits are right but for a few.
static const char saturating[] = "\n#ifdef DOT\n#if DOT == 2\nuint planted(uint x, uint w) { const uint p = "
                                 "PRODUCTS4(x, w); return p > 65535u ? 65535u : p; }\n#else\n"
                                 "uint planted(uint x, uint w) { const int p = AS_SIGNED(PRODUCTS4(x, w)); return "
                                 "AS_UINT(p > 65535 ? 65535 : p); }\n#endif\n"
                                 "#undef PRODUCTS4\n#define PRODUCTS4(x, w) planted(x, w)\n#endif\n";
static const char slow[] =
    "\n#ifdef DOT\nuint planted(uint x, uint w)\n{\n    uint s = 0u;\n    for (uint i = 0u; i < 20u; i++)\n"
    "        s = s * 5u + ((x ^ i) % 7u) + (w % (i + 3u));\n"
    "    return s == 0x12345678u ? 1u : PRODUCTS4(x, w);\n}\n#undef PRODUCTS4\n#define PRODUCTS4(x, w) planted(x, "
    "w)\n#endif\n";
static const char refused[] = "\n#ifdef DOT\nplanted;\n#endif\n";

typedef struct tried {
    upconv_backend backend;
    const char *shaders, *stand_in;
    char folder[64];
    uint64_t passed, failed;
} tried;

static void check(tried *t, bool good, const char *what)
{
    good ? t->passed++ : t->failed++;
    if (!good)
        printf("FAILED %s (%s)\n", what, upconv_last_error());
}

static bool copy(const char *from, FILE *to)
{
    upc_env env;
    size_t size = 0;
    upc_env_init(&env, NULL);
    char *text = upc_read_file(&env, from, &size);
    const bool copied = text && fwrite(text, 1, size, to) == size;
    upc_free(&env, text);
    return copied;
}

// The shell with something behind it, where the library looks for it; NULL: as it is.
static bool plant(tried *t, const char *behind, bool needs_stand_in)
{
    const char *name = t->backend == UPCONV_BACKEND_OPENCL ? "shell.cl" : "shell.glsl";
    char from[1024], to[128];
    unsetenv("UPCONV_SHADERS");
    if (!behind && !needs_stand_in)
        return true;
    snprintf(from, sizeof from, "%s/%s", t->shaders, name);
    snprintf(to, sizeof to, "%s/%s", t->folder, name);
    FILE *file = fopen(to, "w");
    const bool written = file && (!needs_stand_in || copy(t->stand_in, file)) && copy(from, file) &&
                         (!behind || fputs(behind, file) >= 0);
    return file && !fclose(file) && written && !setenv("UPCONV_SHADERS", t->folder, 1);
}

// A context on a device that says it is fast.
static upconv_context *open_limited(tried *t, const char *behind, const upconv_limits *limits)
{
    upconv_context *context = NULL;
    bool stand = false;
    for (int again = 0; again < 2 && !context; again++) {
        if (!plant(t, behind, stand) || test_context_create(t->backend, limits, &context))
            return NULL;
        if (!context->facts.dot_takes && t->backend == UPCONV_BACKEND_OPENCL && !stand) {
            stand = true;
            upconv_context_destroy(context);
            context = NULL;
        }
    }
    if (stand)
        context->facts.dot_takes = (1u << UPC_DOT_COUNT) - 2;
    context->facts.dot_fast = context->facts.dot_takes;
    return context;
}

static upconv_context *open(tried *t, const char *behind) { return open_limited(t, behind, NULL); }

static upconv_status make(upconv_context *context, const char *solver, char *config, size_t size)
{
    static const int8_t weights[16 * 8 * 16] = {1, 2, 3};
    static const double scale = 0.01;
    const upconv_problem problem = test_problem(notation);
    const upconv_plan_params params = {.struct_size = sizeof params, .weights = weights, .weights_type = UPCONV_I8, .scales = &scale,
                                       .scale_count = 1, .solver = solver};
    upconv_plan_info info = {.struct_size = sizeof info};
    upconv_plan *plan = NULL;
    const upconv_status status = upconv_plan_create(context, &problem, &params, &plan);
    if (!status && !upconv_plan_info_get(plan, &info))
        snprintf(config, size, "%s:%s", info.solver, info.config);
    upconv_plan_destroy(plan);
    return status;
}

static bool says(upconv_context *context, const char *what, char *text, size_t size)
{
    const upconv_problem problem = test_problem(notation);
    return !upconv_explain(context, &problem, NULL, text, size, NULL) && strstr(text, what);
}

static bool explained(upconv_context *context, const char *what)
{
    static char text[8192];
    if (says(context, what, text, sizeof text))
        return true;
    printf("no \"%s\" in:\n%s", what, text);
    return false;
}

static void test_arguments(tried *t, upconv_context *context)
{
    char text[256], cut[8];
    size_t length = 0;
    check(t, upconv_int8_dot(NULL, UPCONV_I8, text, sizeof text, NULL) == UPCONV_ERROR_INVALID, "no context");
    check(t, upconv_int8_dot(context, UPCONV_I16, text, sizeof text, NULL) == UPCONV_ERROR_INVALID, "no bytes");
    check(t, upconv_int8_dot(context, UPCONV_I8, NULL, 1, NULL) == UPCONV_ERROR_INVALID, "no text");
    check(t, !upconv_int8_dot(context, UPCONV_I8, text, sizeof text, &length) && length == strlen(text), text);
    check(t, !upconv_int8_dot(context, UPCONV_I8, cut, sizeof cut, NULL) && !strncmp(cut, text, 7) && strlen(cut) == 7,
          "cut");
}

static int append(void *user, const void *data, size_t size)
{
    upc_string *to = user;
    upc_string_add_bytes(to, data, size);
    return to->failed;
}

// What was found out goes with the program cache: the next context does not look again.
static void remembered(tried *t, upconv_context *context)
{
    upc_string kept;
    static char text[8192];
    upc_string_init(&kept, &context->env);
    upconv_context *other = open(t, NULL);
    check(t,
          other && !upconv_cache_export(context, append, &kept) && !upconv_cache_import(other, kept.data, kept.length),
          "cache");
    const upc_problem like = {.type = UPCONV_I8};
    if (other && !other->env.shaders) {
        const upc_dot_verdict *mine = &context->dots.of[1].verdict, *theirs = &other->dots.of[1].verdict;
        const uint64_t before = other->env.counts.submissions;
        check(t, explained(other, "as the program cache remembers") && before == other->env.counts.submissions,
              "nothing runs again");
        check(t, mine->right == theirs->right && mine->form == theirs->form && mine->dot_us == theirs->dot_us,
              "the same verdict");
        check(t, upc_facts_for(other, &like)->dot_used == upc_facts_for(context, &like)->dot_used, "the same use");
    }
    upconv_context_destroy(other);
    // but one with limits of its own does, for they may be what the verdict came from
    const upconv_limits limits = {.struct_size = sizeof limits, .binding_bytes = 256};
    other = open_limited(t, NULL, &limits);
    check(t, other && !upconv_cache_import(other, kept.data, kept.length), "cache under limits");
    check(t, other && says(other, "products of four bytes: ", text, sizeof text) && !strstr(text, "remembers"),
          "limits look again");
    upc_string_finish(&kept);
    upconv_context_destroy(other);
}

static void test_right(tried *t)
{
    char config[256] = "";
    upconv_context *context = open(t, NULL);
    if (!context) {
        check(t, false, "no context");
        return;
    }
    if (!context->facts.dot_takes) {
        printf("%s has no products of four bytes\n", context->facts.info.name);
        upconv_context_destroy(context);
        return;
    }
    check(t, explained(context, "both signed: right, "), "it is found right");
    const upc_dot_verdict *verdict = &context->dots.of[1].verdict;
    check(t, verdict->right && verdict->plain_us > 0 && verdict->dot_us > 0 && !*verdict->why, "verdict");
    check(t, verdict->faster == (verdict->dot_us < 0.95 * verdict->plain_us), "faster");
    printf("products of four bytes: %.0f us where the plain kernel takes %.0f\n", verdict->dot_us, verdict->plain_us);
    check(t, !make(context, "phase_q", config, sizeof config), "plan");
    check(t, strstr(config, verdict->faster ? "dot=1" : "dot=0") != NULL, config);
    test_arguments(t, context);
    remembered(t, context);
    upconv_context_destroy(context);
}

// Neither by default nor by name, and plans are made all the same.
static void test_never(tried *t, const char *behind, const char *why)
{
    char config[256] = "";
    upconv_context *context = open(t, behind);
    check(t, context && explained(context, why), why);
    const upc_problem like = {.type = UPCONV_I8};
    check(t, context && !upc_facts_for(context, &like)->dot_takes && !upc_facts_for(context, &like)->dot_used,
          "none is left");
    check(t, context && !make(context, "phase_q", config, sizeof config) && strstr(config, "dot=0"), "a plan without");
    check(t, context && make(context, "phase_q:dot=1", config, sizeof config) == UPCONV_ERROR_UNSUPPORTED &&
                 strstr(upconv_last_error(), "gets them wrong"), "not by name");
    upconv_context_destroy(context);
}

// By name alone.
static void test_slow(tried *t)
{
    char config[256] = "";
    upconv_context *context = open(t, slow);
    check(t, context && explained(context, "not used: both signed: right, "), "right but slow");
    check(t, context && !make(context, "phase_q", config, sizeof config) && strstr(config, "dot=0"), "a plan without");
    upconv_context_destroy(context);
}

int main(int argc, char **argv)
{
    tried t = {.shaders = argc == 4 ? argv[2] : "", .stand_in = argc == 4 ? argv[3] : ""};
    char why[256], path[128];
    if (argc != 4 || !test_backend_parse(argv[1], &t.backend)) {
        fprintf(stderr, "usage: dots BACKEND SHADERS STAND-IN\n");
        return 2;
    }
    if (!test_backend_present(t.backend, why, sizeof why)) {
        printf("%s\n", why);
        return test_report(0, 0, 1);
    }
    snprintf(t.folder, sizeof t.folder, "dots.%ld", (long)getpid());
    check(&t, !mkdir(t.folder, 0777), "folder");
    test_right(&t);
    if (t.passed > 1) {
        test_never(&t, saturating, "wrong: 0x");
        test_never(&t, refused, "the kernel products4");
        test_slow(&t);
    }
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", t.folder, i ? "shell.cl" : "shell.glsl");
        unlink(path);
    }
    rmdir(t.folder);
    return test_report(t.passed, t.failed, t.passed <= 1 && !t.failed);
}
