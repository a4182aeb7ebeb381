// Quantised problems for tests: an oracle in integers of 128 bits that shares no code with the library, and cases drawn at random.
#ifndef UPC_QUANTISED_H
#define UPC_QUANTISED_H

#include "testing.h"

// The rule of upconv.h, word for word: from a sum with its bias to what the zero point is added to. scale: the real number of
// UPCONV_REQUANT_REAL, where multiplier and shift are not looked at.
int64_t quantised_back(upconv_requant scheme, int64_t sum, int32_t multiplier, int32_t shift, double scale);
// The same of a double whose product is rounded by C's own arithmetic in 128 bits.
void quantised_type(upconv_type type, int64_t limits[2]);

typedef struct quantised_case {
    upconv_problem problem; // complete
    upconv_sizes sizes;
    upconv_filter_order order;
    upconv_type weights_type;
    int32_t *input, *weights;     // input: dense NCHW; weights: in `order`
    int64_t *bias;                // NULL: none
    bool fours;                   // set before it is drawn: bytes, four input channels of which lie side by side
    bool bias_int64, real;        // real: scales are given, not multipliers and shifts
    int32_t scale_count;
    double *scales;
    int32_t *multipliers, *shifts;
    int64_t *expected; // dense NCHW
} quantised_case;

// Draws a problem of up to `size` outputs and what goes with it, and works out what must come of it; false: no memory, or a problem
// that the library refuses (a sentence is printed). Of *test, `fours` is read.
bool quantised_draw(quantised_case *test, int size, test_random *random);
// Other weights, and what must come of them; false: no memory.
bool quantised_redraw_weights(quantised_case *test, test_random *random);
void quantised_finish(quantised_case *test);

#endif
