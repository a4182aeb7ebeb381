// What a journal knows, between its halves: reading (journal_read.c) and writing (journal.c).
#ifndef UPC_TUNE_JOURNAL_STATE_H
#define UPC_TUNE_JOURNAL_STATE_H

#include <cjson/cJSON.h>

#include "../records.h"
#include "journal.h"

typedef struct upc_journal_item { // an outcome
    uint64_t key;                 // of problem, candidate and rung
    char *problem, *candidate;
    int rung;
    bool here; // of this mode; else only culprits count
    upc_outcome outcome;
} upc_journal_item;

typedef struct upc_journal_pending { // begun, and not ended when the process died
    char *problem, *candidate;
    char stage[16], boot[48];
    bool compiling, watched;
    int rung, attempts;
    int64_t pid;
} upc_journal_pending;

typedef struct upc_journal_begun {
    char *problem, *base, *guesses, *seeds;
    upc_journal_start seen; // points to the above
} upc_journal_begun;

struct upc_journal {
    const upc_env *env;
    upc_journal_params params;
    upc_lines lines;
    upc_journal_item *items;
    size_t item_count, item_capacity;
    size_t *failed; // indices in items
    size_t failed_count, failed_capacity;
    uint32_t *slots; // hash table of 1 + index in items, 0 where free; at most half full
    size_t slot_count;
    upc_journal_pending *pending;
    size_t pending_count, pending_capacity;
    upc_journal_begun *starts;
    size_t start_count, start_capacity;
    upconv_peaks peaks;
    bool has_peaks;
    int peaks_begun;                   // times that measuring them was begun here, since it last came to its end
    bool any;                          // of whichever device: for who blames
    bool reading_here, reading_device; // the lines now read are of this mode; of this device
    size_t open;                       // index in pending of what is being tried, or SIZE_MAX
    char boot[48];
};

void upc_journal_free(upc_journal *journal); // what is in memory, and itself
// Takes in a line, or a text of lines. HOST_MEMORY; false likewise.
bool upc_journal_read_line(upc_journal *journal, const cJSON *line);
upconv_status upc_journal_read_text(upc_journal *journal, const char *text, size_t size);
const upc_journal_item *upc_journal_find(const upc_journal *journal, const char *problem, const char *candidate,
                                         int rung);
// Appends `"key":value,` of all that is known of an outcome.
void upc_journal_write_outcome(upc_string *line, const upc_outcome *outcome);

#endif
