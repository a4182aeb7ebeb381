// Products of four bytes at once: what a driver says of them is believed when a probe has found them right on this device, and they are
// used where the same probe has found them faster.
//
// The probe runs when the first problem comes that could have them on a device that is said to have instructions for them, and never
// otherwise. It compares sums of words with what they must be to the bit, the ends of the types in every byte among them; then a small
// problem's results with the definition's; and times that problem against the plain kernel, in turn. What it found stays with the
// context, and goes into the program cache, which remembers it for later contexts on the same device and driver.
#ifndef UPC_DOT_H
#define UPC_DOT_H

#include <pthread.h>

#include "../backends/backend.h"
#include "problem.h"

typedef struct upc_dot_verdict {
    upc_dot form;              // that was looked at last; NONE: none
    bool right, faster;
    double plain_us, dot_us;   // of the probe's problem; 0 where it was not timed
    char why[160];             // what is wrong; "" where it is right
} upc_dot_verdict;

// Of inputs of one type. What stands beside `known` is written once, before it.
typedef struct upc_dot_of_type {
    _Atomic bool known;
    bool remembered;           // by the program cache
    upc_dot_verdict verdict;
    upc_facts facts;           // the context's, with dot_takes and dot_used as was found
} upc_dot_of_type;

typedef struct upc_dots {
    pthread_mutex_t lock;      // while somebody looks
    upc_dot_of_type of[2];     // U8, I8
} upc_dots;

// Looks, where nobody has and the problem could have such products. What is wrong with them is no error; what loses the device is.
upconv_status upc_dot_decide(upconv_context *context, const upc_problem *problem);
// The device as solvers are to see it for this problem: the context's facts, with what was found.
const upc_facts *upc_facts_for(const upconv_context *context, const upc_problem *problem);
// A sentence for upconv_explain; nothing for problems that cannot have such products.
void upc_dot_explain(const upconv_context *context, const upc_problem *problem, upc_text *text);
// Takes a form for right, and for faster, without looking: for tests, and where nothing can be executed.
void upc_dot_assume(upconv_context *context, upconv_type type, upc_dot form);

// The probe itself: sums of words to the bit, then the problem. Statuses as of plans; verdict->form is given.
upconv_status upc_dot_probe(upconv_context *context, upconv_type type, upc_dot_verdict *verdict);

#endif
