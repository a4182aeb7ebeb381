// What wide and rows have in common: both fill wide vectors, one with output channels, the other with positions of a row. For
// processors: their models count cycles of one vector unit.
#ifndef UPC_VECTORS_H
#define UPC_VECTORS_H

#include "gather.h"

enum { UPC_VECTOR_WIDTHS = 3 };
extern const int32_t upc_vector_widths[UPC_VECTOR_WIDTHS];

// Elements of the vectors that a default has: the machine's own.
int32_t upc_vector_guess(const upc_facts *facts);
// NULL: kernels can have vectors of `width`. Else a sentence.
const char *upc_vector_legal(const upc_facts *facts, int32_t width, char *sentence);
// Items of a work-group along a row that has `items`: up to 8, and not more than the row needs.
int32_t upc_vector_group(const upc_facts *facts, int64_t items);
// NULL, or why neither solver is for this problem or device.
const char *upc_vector_refuse(const upc_problem *problem, const upc_facts *facts, char *sentence);

// Positions of zeros before and behind the input that items of `tile` positions read beyond it.
void upc_vector_surround(const upc_problem *problem, int64_t tile, int64_t front[3], int64_t back[3]);
// Whether positions along w lie side by side.
bool upc_vector_dense(const upc_problem *problem);

// A processor as the models see it.
typedef struct upc_vector_work {
    double items, cycles;        // all items, and of one
    double read_bytes;           // beyond the caches next to a core
    double staged_bytes;         // of a copy of the input; 0: none
} upc_vector_work;
double upc_vector_us(const upc_facts *facts, const upc_vector_work *work);
// Vector registers' worth of sums that stay in registers beside what they are made from, and how many instructions make one vector.
double upc_vector_spills(const upc_facts *facts, int32_t width, double sums);
// Bytes read from afar when lines pass faster than blocks (weights once, the input for each of `passes`), and when blocks pass faster
// than lines.
double upc_vector_traffic(const upc_problem *problem, int order, double passes, double lines);

#endif
