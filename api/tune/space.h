// The candidates for a problem on a device: solvers, each with the values of its knobs. A space is also made of a
// recorded file, so that whoever searches it cannot tell.
#ifndef UPC_TUNE_SPACE_H
#define UPC_TUNE_SPACE_H

#include "../internal.h"

enum { UPC_CANDIDATE_TEXT = 256 };

typedef struct upc_candidate {
    int solver; // index in the space
    upc_config config;
} upc_candidate;

typedef struct upc_space_solver {
    char name[32];
    const upc_solver *solver; // NULL: of a recorded space
    bool searched;            // else only its guess is of interest
    int knob_count;
    char knob_name[UPC_MAX_KNOBS][16];
    int32_t *values[UPC_MAX_KNOBS]; // in increasing order; owned
    int value_count[UPC_MAX_KNOBS];
    bool guessed; // whether the guess is a candidate
    upc_config guess;
    double guess_us;
} upc_space_solver;

typedef struct upc_space {
    const upc_env *env;
    upc_space_solver *solver;
    int solver_count;
    bool (*legal)(const struct upc_space *space, const upc_candidate *candidate);
    double (*predict)(const struct upc_space *space, const upc_candidate *candidate); // us; 0: not known
    void *user;
    void (*finish)(void *user); // may be NULL
    double size;                // legal candidates where `counted`, else combinations of knobs
    bool counted;
} upc_space;

// Of every solver that does not refuse the problem. keep: upconv_tune_params.space. INVALID (keep), UNSUPPORTED,
// HOST_MEMORY.
upconv_status upc_space_live(const upconv_context *context, const upc_problem *problem,
                             const upconv_plan_params *params, const char *keep, upc_space *space);
void upc_space_finish(upc_space *space); // also of a zeroed one

// Narrows a space to what `keep` says: "wide:x=1;phase:x=8|16,spec=1".
upconv_status upc_space_keep(upc_space *space, const char *keep);
// Sets size and counted.
void upc_space_count(upc_space *space);

void upc_candidate_print(const upc_space *space, const upc_candidate *candidate, char text[UPC_CANDIDATE_TEXT]);
// Every knob must be there, in any order, with any value. false: no such solver or knob.
bool upc_candidate_parse(const upc_space *space, const char *text, upc_candidate *candidate);
bool upc_candidate_equal(const upc_candidate *a, const upc_candidate *b);

// The guesses in order of their predicted times, the first of them the default. Returns how many.
int upc_space_guesses(const upc_space *space, upc_candidate *list, int room);
// Counts up through all legal candidates; begin with candidate->solver = -1. false: that was the last.
bool upc_space_next(const upc_space *space, upc_candidate *candidate);
// The candidate with the knob moved to the next legal value up (+1) or down (-1). false: there is none.
bool upc_space_move(const upc_space *space, const upc_candidate *from, int knob, int direction, upc_candidate *to);

#endif
