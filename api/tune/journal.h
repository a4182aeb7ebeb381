// What a run is about to do and what came of it, line by line in a file that outlives a crash (docs/records.md).
#ifndef UPC_TUNE_JOURNAL_H
#define UPC_TUNE_JOURNAL_H

#include "search.h"

struct cJSON;

typedef struct upc_journal upc_journal;

typedef struct upc_journal_params {
    const char *path; // NULL: in memory only
    const upconv_device_info *info;
    uint64_t identity; // of device, driver and kernels: culprits count for it
    uint64_t mode;     // of what else outcomes depend on
    const char *strategy;
    uint64_t seed;
    bool fresh, supervised;
    bool unlocked;  // whoever else has it open does nothing any more
    bool rehearsal; // a replay: nothing can crash, and nothing is worth waiting for the disk
} upc_journal_params;

// Reads what is there, names culprits, and begins a run. DATA (the file cannot be read or written, or another run has
// it), HOST_MEMORY.
upconv_status upc_journal_open(const upc_env *env, const upc_journal_params *params, upc_journal **journal);
void upc_journal_close(upc_journal *journal);

// What is known of a candidate on a rung, or NULL. A culprit has the same outcome on all of them.
const upc_outcome *upc_journal_outcome(const upc_journal *journal, const char *problem, const char *candidate,
                                       int rung);
// Distinct other problems on which this candidate crashed or hung here.
int upc_journal_failures(const upc_journal *journal, const char *problem, const char *candidate);

typedef struct upc_journal_about {
    const char *problem, *candidate, *stage;
    bool compiling;
    int rung;
} upc_journal_about;
// DATA, HOST_MEMORY.
upconv_status upc_journal_begin_candidate(upc_journal *journal, const upc_journal_about *about);
// The outcome is given back as it will be read: rounded. Verdict NONE: nothing is known, it is to be tried again.
upconv_status upc_journal_end_candidate(upc_journal *journal, const upc_journal_about *about, upc_outcome *outcome);

// What a problem's search begins with: the same when it is resumed. Texts of candidates, separated by line feeds.
typedef struct upc_journal_start {
    const char *base, *guesses, *seeds;
    double space;
    bool counted;
} upc_journal_start;
const upc_journal_start *upc_journal_start_of(const upc_journal *journal,
                                              const char *problem); // NULL: it has not begun
upconv_status upc_journal_begin_problem(upc_journal *journal, const char *problem, const upc_journal_start *start);
upconv_status upc_journal_end_problem(upc_journal *journal, const char *problem, upconv_tune_stop stop,
                                      const char *best, double ratio);
// The device's peaks as they were measured when the journal was begun. false: they were not.
bool upc_journal_peaks(const upc_journal *journal, upconv_peaks *peaks);
// Before they are. *twice: that was begun two times here and ended the process each time, and is better left.
upconv_status upc_journal_begin_peaks(upc_journal *journal, bool *twice);
upconv_status upc_journal_add_peaks(upc_journal *journal, const upconv_peaks *peaks);

// Of a line of a journal or a tuning record. false: it has no verdict.
bool upc_journal_read_outcome(const struct cJSON *line, upc_outcome *outcome, int *rung);

// Appends lines to a file, each whole or not at all: what a process that was killed left of its last one is closed
// first.
typedef struct upc_lines {
    int file;     // -1: none
    bool careful; // waits for the disk
} upc_lines;
// exclusive: fails where another process has it open so. DATA.
upconv_status upc_lines_open(const char *path, bool careful, bool exclusive, upc_lines *lines);
upconv_status upc_lines_add(const upc_lines *lines, const upc_string *line); // without its line feed
void upc_lines_close(upc_lines *lines);

#endif
