// The notation of problems: what notation.c, which reads and prints its fields, and notation_suffixes.c share.
#ifndef UPC_NOTATION_H
#define UPC_NOTATION_H

#include "ops.h"

enum { UPC_NOTATION_FIELDS = 4 + 6 * 3 }; // see notation.c

// What a suffix says; each may be said once.
enum {
    UPC_SAYS_ACT, UPC_SAYS_TYPE, UPC_SAYS_SUM, UPC_SAYS_IN, UPC_SAYS_OUT, UPC_SAYS_RESIDUAL, UPC_SAYS_IN_PITCH,
    UPC_SAYS_OUT_PITCH, UPC_SAYS_MODE, UPC_SAYS_COORDINATES, UPC_SAYS_ROUNDING, UPC_SAYS_COEFFICIENT, UPC_SAYS_EXCLUDE,
    UPC_SAYS_STEPS, UPC_SAYS_SCALE, UPC_SAYS_ORDER, UPC_SAYS_INDEX, UPC_SAYS_SPACE, UPC_SAYS_REQUANT, UPC_SAYS_ZERO,
    UPC_SAYS_RANGE, UPC_SAYINGS
};

typedef struct upc_reader {
    const char *text;
    size_t at, error_at;
    upconv_op op;
    bool named;
    bool set[UPC_NOTATION_FIELDS];
    int32_t value[UPC_NOTATION_FIELDS];
    size_t where[UPC_NOTATION_FIELDS]; // of the number
    bool said[UPC_SAYINGS];
    size_t said_at[UPC_SAYINGS];       // behind the plus
    upconv_problem suffix;             // what the suffixes say
} upc_reader;

// Fails with a sentence and the place in the text, which is kept for the app.
upconv_status upc_fail_at(upc_reader *r, size_t at, const char *format, ...) UPC_PRINTF(3, 4);

// Every suffix from r->at on, into r->suffix, r->said and r->said_at; and the way back.
upconv_status upc_notation_read_suffixes(upc_reader *r);
void upc_notation_print_suffixes(const upc_problem *problem, upc_text *text);

static inline bool upc_is_letter(char c) { return c >= 'a' && c <= 'z'; }
static inline bool upc_is_digit(char c) { return c >= '0' && c <= '9'; }

#endif
