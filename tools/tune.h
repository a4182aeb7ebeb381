// `upconv tune`: what was asked for, and what is known so far. A supervisor holds both; a worker process opens the
// device, calls upconv_tune and tells what happens, so that a driver that crashes or hangs takes nothing with it.
#ifndef TOOL_TUNE_H
#define TOOL_TUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <upconv/upconv_tune.h>

#include "problems.h"
#include "session.h"

typedef struct tune_options {
    session_options where;
    const char *records, *replay, *strategy, *space, *report; // NULL: none, or the default
    char *journal;                                            // NULL: none
    int64_t budget_ns;                                        // of upconv_tune_params
    int seed, most;
    double run_timeout, compile_timeout; // seconds
    bool resume, dry_run, verify_only, sustained, json;
    bool progress; // standard error is a terminal
} tune_options;

// A candidate of a problem, as last heard of.
typedef struct tune_point {
    char *candidate, *reason;
    upconv_tune_verdict verdict;
    bool heard, known; // known: from an earlier run's journal
    uint32_t samples;
    double time_us, reference_us, ratio, spread, predicted_us, compile_ms, spills;
    double temperature_c, frequency_mhz;
    double spent; // seconds of the budget when it was first heard of
} tune_point;

typedef struct tune_layer {
    const named_problem *item;
    upconv_tune_summary summary;
    bool begun, ended;
    tune_point *points; // in the order in which they were heard of
    size_t count, capacity;
    size_t *slots; // hash table of 1 + position in points, 0 where free; at most half full
    size_t slot_count;
} tune_layer;

typedef struct tune_state {
    upconv_device_info device; // name "" until a worker has said which
    upconv_peaks peaks;        // zeros where they are not known
    tune_layer *layers;
    size_t count, at;               // at: the problem that is being tuned
    char candidate[256], stage[16]; // what the worker is about; "" when nothing
    int64_t words;                  // where what the driver says of it begins, in the file of what the worker prints
    int64_t spent_ns, budget_ns;
    double heard; // when that was
    double temperature_c, frequency_mhz;
    size_t restarts;
    bool interrupted, finished; // finished: a worker came to the end
    upconv_tune_result result;  // where finished
    upconv_status status;       // of the worker that ended last
    char error[512];            // why the run failed, "" when it did not
} tune_state;

// What a worker says, one line of JSON each; `kind` is a upconv_tune_event_kind or one of these.
enum { TUNE_SAYS_DEVICE = 100, TUNE_SAYS_END = 101 };

bool tune_state_init(tune_state *state, const problem_list *list); // false without memory
void tune_state_finish(tune_state *state);

// What a line of a worker changed.
typedef struct tune_news {
    int kind;          // -1: the line made no sense
    tune_layer *layer; // NULL where it is about none
    tune_point *point; // TRIED, LISTED
    bool first;        // of this candidate nothing was heard before, or not that it fails
} tune_news;
tune_news tune_state_hear(tune_state *state, const char *line);
// The same of a worker that died: the verdict on what it was about.
tune_news tune_state_blame(tune_state *state, const char *candidate, upconv_tune_verdict verdict, const char *reason);

bool tune_point_fails(const tune_point *point); // wrong, crashed or hung
// The geometric mean of the gains, and of how many layers; 0 of none.
double tune_state_gain(const tune_state *state, size_t *count);

// tune_worker.c: the life of the worker process; does not return. `line`: a socket to the supervisor. `errors`: a file
// that standard output and error go to.
void tune_worker(const tune_options *options, const upconv_problem *problems, size_t count, int line, int errors)
    __attribute__((noreturn));

// tune_supervise.c: runs workers until the search has ended, nothing can be done any more, or a signal asks to end.
void tune_supervise(const tune_options *options, const upconv_problem *problems, tune_state *state);

// tune_show.c
void tune_show_progress(const tune_options *options, const tune_state *state);
void tune_show_nothing(const tune_options *options); // takes the progress line away
void tune_show_news(const tune_options *options, const tune_state *state, const tune_news *news);
bool tune_show_end(const tune_options *options, const tune_state *state); // false without memory

// tune_report.c: the page of HTML. false: a sentence is in error.
bool tune_report_write(const tune_options *options, const tune_state *state, char *error, size_t size);

// tune_words.c: what a driver said while a candidate was compiled, in the file `errors` from byte `from` on.
typedef struct tune_words {
    double spills, fills; // of Mesa's lines SHADER-DB, the only place where panvk says them
    char last[256];       // the last other line
} tune_words;
void tune_words_read(int errors, int64_t from, tune_words *words);

#endif
