// Max pooling and unpooling: what indices mean, and the definitions.
#ifndef UPC_POOLING_H
#define UPC_POOLING_H

#include "host.h"

// For the table of operations (api/ops.h).
upconv_status upc_pool_read(const upconv_problem *given, upc_problem *problem);
int64_t upc_pool_out(const upconv_problem *given, int i, const upc_axis *axis);
upconv_status upc_pool_check(upc_problem *problem);
void upc_pool_give(const upc_problem *problem, upconv_problem *given);
void upc_pool_print(const upc_problem *problem, upc_text *text);

// Whether indices are of a window.
static inline bool upc_pool_windowed(const upc_problem *problem)
{
    return problem->index == UPCONV_INDEX_WINDOW || problem->index == UPCONV_INDEX_WINDOW_COLUMNS;
}

// The index of a position that tap k of a window leads to, in image n and channel c.
int32_t upc_pool_index(const upc_problem *problem, int64_t n, int64_t c, const int64_t at[3], const int64_t k[3]);
// Unpooling: where the index of input position `from` leads. false: nowhere.
bool upc_pool_place(const upc_problem *problem, int64_t n, int64_t c, const int64_t from[3], int32_t index,
                    int64_t to[3]);

// Unpooling: indices to measure with. Each source's leads to a tap of its window, moved into the space where that lies
// outside.
void upc_pool_example(const upc_problem *problem, int32_t *indices);

upconv_status upc_host_pool(const upc_env *env, const void *arg, void *const *pointers);
upconv_status upc_host_unpool(const upc_env *env, const void *arg, void *const *pointers);
double upc_host_pool_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5]);
double upc_host_unpool_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5]);

#endif
