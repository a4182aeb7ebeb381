// What the solvers of gradients have in common. The gradient of a transposed convolution's filter is
//     dw[i][o][k] = sum over images and inputs p of x[i][p] * dy[o][p * stride + k * dilation - pad],
// that of its bias the sum of dy over images and positions. Both are long sums with few results: they are cut into shares, each of which
// is added up by itself, and the shares then by total.kernel, in their order, so that two runs give the same bits. All in f32.
#ifndef UPC_GRAD_H
#define UPC_GRAD_H

#include "../solver.h"

// Adds the steps that write the output from `shares` parts of `count` elements, which stand in the workspace from byte `at`.
upconv_status upc_total_cook(const upc_facts *facts, uint64_t at, int64_t count, int64_t shares, upc_recipe *recipe);

// The run-time arguments of a kernel whose grid may be cut along all axes: X_N Y_N Z_N items from X_0 Y_0 Z_0 on.
void upc_grad_grid_args(upc_program_desc *program);

// Adds the steps of such a program for a grid of items that make `macs` multiply-adds between them, as many as the device's limits ask
// for. They are like `like`, which says what is bound and the arguments behind those six.
upconv_status upc_grad_grid(const upc_facts *facts, const upc_program_desc *program, const int64_t items[3],
                            double macs, const upc_step *like, upc_recipe *recipe);

// Elements and bytes of one binding that a window may surely cover, wherever it begins.
static inline int64_t upc_grad_room(const upc_facts *facts)
{
    return (int64_t)facts->info.limits.binding_bytes - (int64_t)facts->info.offset_alignment;
}

// Work-groups of one row of items: neighbours along x.
void upc_grad_row(const upc_facts *facts, uint32_t local[3]);

#endif
