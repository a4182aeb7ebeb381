// One tuning record as a line of JSON (docs/records.md), and what a look-up needs to know of it.
#ifndef UPC_RECORDS_H
#define UPC_RECORDS_H

#include "internal.h"
#include "kin.h"

enum {
    UPC_RECORD_LINE = 65536, // bytes of the longest line that is read
    UPC_RECORD_REASON = 320, // bytes of a sentence on why a line is not
};

typedef struct upc_record_fields {
    uint64_t device, driver; // hashes of who measured: compare with upc_record_device, upc_record_driver
    upc_kin kin;             // of that device
    uint64_t problem_key;    // of problem and type: equal problems, equal keys
    uint64_t class_key;      // of what problems must have in common to learn from each other; 0: unknown
    uint64_t config_key[2];  // of solver, version and knobs
    upc_problem problem;
    const upc_solver
        *solver; // NULL: not in this build, in another version, or not with such knobs; kept but not used
    upc_config config;
    double time_us, reference_us; // reference 0: not known
    bool ok;       // verdict "ok": it may be used as a plan
    bool verified; // verdict "verified": right under this driver, not timed there
    char date[11]; // "" where the record has none
} upc_record_fields;

// Reads a line without its line feed. false: `reason` says why it is no record.
bool upc_record_read(const char *line, size_t length, upc_record_fields *fields,
                     char reason[UPC_RECORD_REASON]);

// What a record says about a measurement made now. Appends one line, without a line feed.
typedef struct upc_measurement {
    const upc_problem *problem;
    const upconv_device_info *info;
    const upc_solver *solver;
    const upc_config *config;
    double time_us, reference_us, spread; // 0 or less where unknown, as every time of a candidate that failed
    const char *verdict;                  // NULL: "ok"; else "verified", or what went wrong: docs/records.md
} upc_measurement;
void upc_record_write(upc_string *line, const upc_measurement *measurement);

// A line of JSON as records have it, read the same in every locale. NULL: `reason` says why it is none. cJSON_Delete it.
struct cJSON *upc_json_read(const char *line, size_t length, char reason[UPC_RECORD_REASON]);
// Append `"key":value,`, written the same in every locale.
void upc_json_text(upc_string *line, const char *key, const char *value);    // UTF-8
void upc_json_cleaned(upc_string *line, const char *key, const char *value); // any bytes: what is no text becomes '?'
void upc_json_number(upc_string *line, const char *key, double value);

// Likewise a device and its driver, by which they are known.
void upc_record_write_device(upc_string *line, const upconv_device_info *info);
upconv_backend upc_record_backend(const char *name); // ANY for an unknown one
uint64_t upc_record_kernels(void);                   // hash of the built-in kernels

// Writes it, and keeps it in memory like an imported line. INVALID, HOST_MEMORY. (api/tuning.c)
upconv_status upc_tuning_keep(struct upc_tuning *tuning, const upc_measurement *measurement);

uint64_t upc_record_device(const upconv_device_info *info);
uint64_t upc_record_driver(const upconv_device_info *info);
uint64_t upc_record_problem(const upc_problem *problem);
// Of the axes' number, kernels, strides and dilations, types, layouts, and kind of groups (one, depthwise, others).
uint64_t upc_record_class(const upc_problem *problem);
void upc_record_kin(const upconv_device_info *info, upc_kin *kin);
uint64_t upc_record_device_named(const char *backend, const char *name, uint32_t vendor_id, uint32_t device_id);
uint64_t upc_record_driver_named(const char *driver);

// A device's identity, as files know it: backend, vendor and device number, name, and (with `driver`) the
// driver.
uint64_t upc_identity_hash(const upconv_device_info *info, bool driver, uint64_t seed);

// TIMEOUT once the device hangs: such a context can only be destroyed. A lost device still gives its records
// away.
upconv_status upc_context_usable(const upconv_context *context);

#endif
