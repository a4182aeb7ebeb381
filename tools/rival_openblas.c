// OpenBLAS: a product of large square matrices, as a yardstick of what the processor can do with f32. The same for
// every problem, timed anew beside each.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rival_engine.h"

enum { SIZE = 1024, ROW_MAJOR = 101, NO_TRANSPOSE = 111 };

static const char library[] = "libopenblas.so.0";

typedef void (*sgemm_fn)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                         const float *b, int ldb, float beta, float *c, int ldc);

typedef struct openblas {
    sgemm_fn sgemm;
    float *a, *b, *c;
} openblas;

#if defined(__x86_64__) && defined(__GNUC__)
// The cores of x86 processors that OpenBLAS knows, by the vectors that their kernels use. It picks by the model's
// number, and for one that it does not know something far too old.
static const char *const avx512_cores[] = {"SkylakeX", "Cooperlake", "SapphireRapids", NULL};
static const char *const avx2_cores[] = {"Haswell",        "Zen", "Excavator", "SkylakeX", "Cooperlake",
                                         "SapphireRapids", NULL};

static bool among(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(*list, name))
            return true;
    return false;
}

// The core to ask for, NULL where the library's own choice has the processor's vectors.
static const char *better_core(const char *chosen)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return among(chosen, avx512_cores) ? NULL : "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return among(chosen, avx2_cores) ? NULL : "Haswell";
    return NULL;
}
#else
static const char *better_core(const char *chosen)
{
    (void)chosen; // elsewhere it picks well
    return NULL;
}
#endif

// What the library would choose, found out in a process of its own: it chooses once, when it is loaded.
static void force_core(void)
{
    int ends[2];
    char name[64] = "";
    if (getenv("OPENBLAS_CORETYPE") || pipe(ends))
        return;
    pid_t child = fork();
    if (child == 0) {
        void *blas = dlopen(library, RTLD_NOW | RTLD_LOCAL);
        char *(*core)(void) = NULL;
        if (blas)
            *(void **)&core = dlsym(blas, "openblas_get_corename");
        const char *chosen = core ? core() : "";
        _exit(write(ends[1], chosen, strlen(chosen)) < 0);
    }
    close(ends[1]);
    ssize_t length = child > 0 ? read(ends[0], name, sizeof name - 1) : 0;
    close(ends[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
    name[length > 0 ? length : 0] = 0;
    const char *better = *name ? better_core(name) : NULL;
    if (better)
        setenv("OPENBLAS_CORETYPE", better, 1);
}

static void *open_blas(char *text, size_t size)
{
    force_core();
    void *blas = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!blas) {
        snprintf(text, size, "%s", dlerror());
        return NULL;
    }
    openblas *o = calloc(1, sizeof *o);
    char *(*core)(void), *(*config)(void);
    int (*threads)(void);
    *(void **)&core = dlsym(blas, "openblas_get_corename");
    *(void **)&config = dlsym(blas, "openblas_get_config");
    *(void **)&threads = dlsym(blas, "openblas_get_num_threads");
    if (o) {
        *(void **)&o->sgemm = dlsym(blas, "cblas_sgemm");
        o->a = malloc(sizeof(float) * SIZE * SIZE);
        o->b = malloc(sizeof(float) * SIZE * SIZE);
        o->c = malloc(sizeof(float) * SIZE * SIZE);
    }
    if (!o || !o->a || !o->b || !o->c || !o->sgemm || !core || !config || !threads) {
        snprintf(text, size, "%s", o && !o->sgemm ? "libopenblas has no cblas_sgemm" : "no memory");
        return NULL;
    }
    rival_fill(o->a, SIZE * SIZE);
    rival_fill(o->b, SIZE * SIZE);
    const char *version = config();
    size_t words = strcspn(version, " ");
    words += version[words] ? 1 + strcspn(version + words + 1, " ") : 0;
    snprintf(text, size, "%.*s, core type %s%s, %d threads, sgemm of %d x %d x %d", (int)words, version, core(),
             getenv("OPENBLAS_CORETYPE") ? " (forced)" : "", threads(), SIZE, SIZE, SIZE);
    return o;
}

static bool prepare(void *state, const upconv_problem *problem, char *text, size_t size)
{
    (void)state;
    (void)problem;
    snprintf(text, size, "sgemm");
    return true;
}

static bool run(void *state, char *text, size_t size)
{
    const openblas *o = state;
    (void)text;
    (void)size;
    o->sgemm(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, SIZE, SIZE, SIZE, 1.0f, o->a, SIZE, o->b, SIZE, 0.0f, o->c, SIZE);
    return true;
}

const rival_engine rival_openblas = {"openblas", 2.0 * SIZE *SIZE *SIZE, open_blas, prepare, run};
