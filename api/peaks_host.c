// Multiply-adds by the widest vectors that the processor has, whatever the rest of the library was compiled for, and
// copying.
#include "peaks.h"

#include <string.h>

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_X86 1
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { CHAINS = 12 }; // latency times units of any processor known; more would not stay in registers

// One round: CHAINS multiply-adds of vectors that do not wait for one another. Returns the sums' total, so that they
// are needed.
typedef float (*fma_fn)(int64_t rounds, float scale, float step);

typedef struct fma_kind {
    fma_fn run;
    int lanes;
} fma_kind;

static float run_scalar(int64_t rounds, float scale, float step)
{
    enum { LANES = 4 };
    float sums[CHAINS * LANES], total = 0;
    for (int i = 0; i < CHAINS * LANES; i++)
        sums[i] = step * (float)(i + 1);
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS * LANES; i++)
            sums[i] = sums[i] * scale + step;
    for (int i = 0; i < CHAINS * LANES; i++)
        total += sums[i];
    return total;
}

#ifdef HAVE_X86
__attribute__((target("avx2,fma"))) static float run_avx2(int64_t rounds, float scale, float step)
{
    const __m256 a = _mm256_set1_ps(scale), b = _mm256_set1_ps(step);
    __m256 sums[CHAINS], total = b;
    for (int i = 0; i < CHAINS; i++)
        sums[i] = _mm256_set1_ps(step * (float)(i + 1));
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sums[i] = _mm256_fmadd_ps(sums[i], a, b);
    }
    for (int i = 0; i < CHAINS; i++)
        total = _mm256_add_ps(total, sums[i]);
    return _mm256_cvtss_f32(total);
}

__attribute__((target("avx512f"))) static float run_avx512(int64_t rounds, float scale, float step)
{
    const __m512 a = _mm512_set1_ps(scale), b = _mm512_set1_ps(step);
    __m512 sums[CHAINS], total = b;
    for (int i = 0; i < CHAINS; i++)
        sums[i] = _mm512_set1_ps(step * (float)(i + 1));
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sums[i] = _mm512_fmadd_ps(sums[i], a, b);
    }
    for (int i = 0; i < CHAINS; i++)
        total = _mm512_add_ps(total, sums[i]);
    return _mm512_cvtss_f32(total);
}
#endif

#if defined(__aarch64__)
static float run_neon(int64_t rounds, float scale, float step)
{
    const float32x4_t a = vdupq_n_f32(scale), b = vdupq_n_f32(step);
    float32x4_t sums[CHAINS], total = b;
    for (int i = 0; i < CHAINS; i++)
        sums[i] = vdupq_n_f32(step * (float)(i + 1));
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sums[i] = vfmaq_f32(b, sums[i], a);
    }
    for (int i = 0; i < CHAINS; i++)
        total = vaddq_f32(total, sums[i]);
    return vgetq_lane_f32(total, 0);
}
#endif

static fma_kind widest(void)
{
#if defined(HAVE_X86)
    if (__builtin_cpu_supports("avx512f"))
        return (fma_kind){run_avx512, 16};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (fma_kind){run_avx2, 8};
#elif defined(__aarch64__)
    return (fma_kind){run_neon, 4};
#endif
    return (fma_kind){run_scalar, 4};
}

int64_t upc_peak_host_fmas(void) { return (int64_t)CHAINS * widest().lanes; }

typedef struct fma_job {
    fma_kind kind;
    int64_t rounds;
    _Atomic int unlikely; // a result that cannot be known beforehand decides whether it is counted
} fma_job;

static void fma_thread(void *data, int64_t index, int thread)
{
    fma_job *job = data;
    (void)thread;
    const float total = job->kind.run(job->rounds, 0.75f, 0.25f + (float)index);
    if (total != total)
        atomic_fetch_add(&job->unlikely, 1);
}

upconv_status upc_peak_host_fma(const upc_env *env, const void *arg, void *const *pointers)
{
    (void)env;
    (void)pointers;
    const upc_peak_work *work = arg;
    fma_job job = {.kind = widest(), .rounds = work->rounds};
    upc_parallel(work->threads, work->threads, fma_thread, &job);
    return UPCONV_OK;
}

typedef struct copy_job {
    const char *from;
    char *to;
    uint64_t bytes;
} copy_job;

enum { COPY_CHUNK = 1 << 20 };

static void copy_chunk(void *data, int64_t index, int thread)
{
    const copy_job *job = data;
    (void)thread;
    const uint64_t at = (uint64_t)index * COPY_CHUNK;
    memcpy(job->to + at, job->from + at, (size_t)UPC_MIN(job->bytes - at, (uint64_t)COPY_CHUNK));
}

upconv_status upc_peak_host_copy(const upc_env *env, const void *arg, void *const *pointers)
{
    (void)env;
    const upc_peak_work *work = arg;
    copy_job job = {pointers[0], pointers[1], work->bytes};
    upc_parallel(work->threads, upc_ceil_div((int64_t)work->bytes, COPY_CHUNK), copy_chunk, &job);
    return UPCONV_OK;
}
