// The corpus' cases of max unpooling: which indices they have, run and compared. Values are only copied, so results are
// exact.
#ifndef CONFORMANCE_UNPOOL_H
#define CONFORMANCE_UNPOOL_H

#include "execute.h"

// Whether the case is one.
bool unpool_case(const corpus_case *item);
// The problem that it is. false: item->why.
bool unpool_map(corpus_case *item, upconv_problem *problem);
// Runs it. CASE_SKIPPED: the solver that was asked for does not unpool.
case_verdict unpool_execute(corpus_case *item, const case_runner *runner);

#endif
