// Resizing and zero insertion for processors (shaders/strips.kernel): what api/solvers/sample.c must know to have its boxes
// made in strips of lines instead of output by output.
#ifndef UPC_STRIPS_H
#define UPC_STRIPS_H

#include "../sample.h"
#include "gather.h"

// What one dispatch makes. Positions are o[a], o[a] + step[a], ...
typedef struct upc_sample_box {
    int64_t n0, nn, c0, cn; // images, channels
    int64_t o[3], on[3], step[3];
    int64_t phase; // of a pixel shuffle, or -1: all of them
} upc_sample_box;

enum { UPC_STRIPS_ZIP = 4, UPC_STRIPS_ARGS = 19, UPC_STRIPS_STATICS = 4 };

typedef struct upc_strips {
    int32_t line;    // elements that an item makes before it stores them; 0: no strips
    int32_t vec;     // of a vector
    int32_t q;       // channels of an item where that is fixed, else 0
    int64_t q_most;  // the most it has
    bool inner;      // channels lie side by side
    int64_t run;     // positions of a strip
    int zip, zip_at; // outputs that follow each input, 0 where no such pattern is known; which of them is no zero
    int64_t zip_0, zip_end;
    int32_t starts[UPC_STRIPS_ZIP]; // where those begin to read, had they followed input 0
    uint32_t units;
    bool blend; // as api/solvers/blend.h says; then
    bool part;  // strips are no whole lines
    int kept;   // lines at a time
} upc_strips;

// How elements of input and output lie, where both lie alike.
typedef enum upc_strips_form {
    UPC_STRIPS_NONE,
    UPC_STRIPS_PLANES, // positions along w side by side
    UPC_STRIPS_PIXELS, // channels side by side
    UPC_STRIPS_BLOCKS, // blocks of four channels
} upc_strips_form;
upc_strips_form upc_strips_form_of(const upc_problem *problem);

// NULL, or why this problem cannot be made in strips on this device.
const char *upc_strips_refuse(const upc_problem *problem, const upc_facts *facts, char *sentence);
// The most channels that an item has, up to `most` where they lie side by side; and how many where that is fixed, else 0. One is fixed
// for planes only: pixels of one channel may lie apart, which is for the kernel of any number.
void upc_strips_channels(const upc_problem *problem, int64_t most, int64_t *q_most, int32_t *q);
void upc_strips_init(upc_strips *strips, const upc_problem *problem, const upc_facts *facts, int32_t line);
// Channels that a box must have in multiples.
int64_t upc_strips_step(const upc_strips *strips);
// Completes *strips with what the samples of w say.
void upc_strips_plan(upc_strips *strips, const upc_problem *problem, const upc_sample_axis *w);
// Appends the lists for w to the recipe's table; that of the pattern begins at upc_strips_zip_at there.
upconv_status upc_strips_table(const upc_strips *strips, const upc_problem *problem, const upc_sample_axis *w,
                               upc_recipe *recipe);
int64_t upc_strips_zip_at(const upc_problem *problem, int taps);
void upc_strips_grid(const upc_strips *strips, const upc_sample_box *box, int64_t items[3]);

// Beside what all programs of the solver have.
extern const char *const upc_strips_args[UPC_STRIPS_ARGS];
void upc_strips_values(const upc_strips *strips, const upc_problem *problem, const upc_sample_box *box,
                       const int64_t starts[4], int64_t values[UPC_STRIPS_ARGS]);
void upc_strips_describe(const upc_strips *strips, upc_program_desc *program);

#endif
