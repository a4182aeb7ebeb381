// What the tests of tuning records share: a fake device, a solver that takes the problem (whichever of the
// library's own comes first; nothing here knows its knobs), and lines made to order.
#ifndef UPC_TUNING_LINES_H
#define UPC_TUNING_LINES_H

#include "fake_context.h"

#include <setjmp.h>

#include <cmocka.h>

#define UP2X   "ic64oc32_ih32iw48_kh4sh2ph1"
#define TURNIP "turnip 22.3.6"

void tuning_setup(fake_context *fake);
void tuning_finish(fake_context *fake); // asserts that nothing was left behind
uint64_t tuning_skipped(fake_context *fake);

upc_problem tuning_problem(const char *notation);
const upc_solver *tuning_solver(const upc_problem *problem, const upc_facts *facts);
// The n-th configuration that is legal, in order of the knobs' values; false: there are fewer.
bool tuning_config(const upc_solver *solver, const upc_problem *problem, const upc_facts *facts, int n,
                   upc_config *config);

typedef struct line_spec { // NULL and 0: as the fake context has it
    const char *device, *driver, *problem, *solver, *verdict, *date, *extra, *knobs;
    const upc_config *config;
    double time_us;
    int version_step; // added to the solver's version
} line_spec;

void tuning_add_line(upc_string *text, const fake_context *fake, const line_spec *spec);
// From a copy that is exactly as long, for the sanitizer.
upconv_status tuning_import(fake_context *fake, const void *text, size_t size);
void tuning_import_specs(fake_context *fake, const line_spec *specs,
                         size_t count); // asserts that all are taken
// The time of the record found for `notation`, which tells records apart; 0: none.
double tuning_find(fake_context *fake, const char *notation, upconv_tier *tier);
void tuning_exported(fake_context *fake, fake_file *file); // as text
int tuning_lines(const fake_file *file);

#endif
