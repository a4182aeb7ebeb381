// What every part of the library leans on: memory, log lines, errors, text, hashes, time. Nothing clever.
#ifndef UPC_UTIL_H
#define UPC_UTIL_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <upconv/upconv.h>

#define UPC_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UPC_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define UPC_MIN(a, b) ((a) < (b) ? (a) : (b))
#define UPC_MAX(a, b) ((a) > (b) ? (a) : (b))

struct upc_cache;

typedef struct upc_counts {
    _Atomic uint64_t source_compiles, binary_loads, programs_shared, submissions, dispatches, host_steps, records_used,
        skipped_blobs;
} upc_counts;

// What a context gives to all its parts. Lives as long as the context; enumeration uses a temporary one.
typedef struct upc_env {
    upconv_allocator allocator;
    upconv_log_fn log;
    void *log_user;
    int stderr_level;         // UPCONV_LOG; 0: nothing
    char *shaders;            // UPCONV_SHADERS, or NULL
    bool statistics;          // pipelines are made with compile statistics
    struct upc_cache *cache;  // compiled programs; NULL while enumerating
    upc_counts counts;
} upc_env;

// Fills in allocator (NULL: malloc) and log; reads UPCONV_LOG. Cannot fail.
void upc_env_init(upc_env *env, const upconv_context_params *params);

// Zeroed memory, or NULL. Sizes of 0 give a valid pointer.
void *upc_alloc(const upc_env *env, size_t size);
void *upc_alloc_array(const upc_env *env, size_t count, size_t size); // NULL also when the product overflows
void upc_free(const upc_env *env, void *memory);
char *upc_strdup(const upc_env *env, const char *text);
// Makes *array of *capacity items of `size` hold at least `needed`; false, with everything as it was, without memory.
bool upc_grow(const upc_env *env, void **array, size_t *capacity, size_t needed, size_t size);

void upc_log(const upc_env *env, upconv_log_level level, const char *format, ...) UPC_PRINTF(3, 4);

// Sets the thread's error sentence and returns `status`: `return upc_fail(UPCONV_ERROR_INVALID, "stride[1] is %d; ...", s);`
upconv_status upc_fail(upconv_status status, const char *format, ...) UPC_PRINTF(2, 3);
upconv_status upc_no_memory(size_t bytes); // HOST_MEMORY, with a sentence
const char *upc_last_error(void);

// Text of bounded size: appends what fits, always terminated, and counts the length that the whole would have.
typedef struct upc_text {
    char *data; // may be NULL when size is 0
    size_t size, length;
} upc_text;
void upc_text_add(upc_text *text, const char *format, ...) UPC_PRINTF(2, 3);

// Text that grows. `failed` is set, and stays, when memory ran out.
typedef struct upc_string {
    const upc_env *env;
    char *data; // terminated; NULL while empty
    size_t length, capacity;
    bool failed;
} upc_string;
void upc_string_init(upc_string *string, const upc_env *env);
void upc_string_add(upc_string *string, const char *format, ...) UPC_PRINTF(2, 3);
void upc_string_add_bytes(upc_string *string, const char *bytes, size_t size);
void upc_string_finish(upc_string *string);

// Numbers read and written the same in every locale: the shortest form that reads back as the same number.
void upc_print_float(char *text, size_t size, float value);
void upc_print_double(char *text, size_t size, double value);
const char *upc_parse_float(const char *text, float *value); // the first character after the number, or NULL if none
const char *upc_parse_double(const char *text, double *value);

uint64_t upc_hash(const void *data, size_t size, uint64_t seed);
bool upc_mul_u64(uint64_t *product, uint64_t a, uint64_t b); // false on overflow
uint64_t upc_now_ns(void);                                   // monotonic
int upc_processors(void);

// A whole file in memory (terminated with a 0 that *size does not count), or NULL. upc_free it.
char *upc_read_file(const upc_env *env, const char *path, size_t *size);

static inline int64_t upc_floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
static inline int64_t upc_ceil_div(int64_t a, int64_t b) { return -upc_floor_div(-a, b); }
static inline int64_t upc_gcd(int64_t a, int64_t b) // of numbers above 0
{
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}
static inline uint64_t upc_round_up(uint64_t a, uint64_t to) { return (a + to - 1) / to * to; }

// Copies a params struct of the caller's size into a zeroed one of ours. INVALID when a tail that we do not know is not zero.
// `first` is the size that struct_size 0 stands for.
upconv_status upc_params_copy(void *ours, size_t our_size, const void *theirs, size_t first, const char *name);
// Copies our filled-in out-struct to the caller's, no further than its struct_size (0: first).
void upc_params_return(void *theirs, const void *ours, size_t our_size, size_t first);

#endif
