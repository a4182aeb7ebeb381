// The writing half of a journal, its beginning, and who is to blame.
#include "journal_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ATTEMPTS = 3 }; // of a candidate whose process was killed from outside, before it is the culprit

// Which start of the machine this is; "" where the system does not say.
static void read_boot(char boot[48])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    boot[0] = 0;
    if (file && fgets(boot, 48, file))
        boot[strcspn(boot, "\n")] = 0;
    if (file)
        fclose(file);
}

// ------------------------------------------------------------------------------------------------------------- writing

static upconv_status add_line(upc_journal *journal, upc_string *line)
{
    while (line->length && line->data[line->length - 1] == ',')
        line->length--;
    upc_string_add(line, "}");
    if (line->failed)
        return upc_no_memory(line->length);
    char reason[UPC_RECORD_REASON];
    cJSON *object = upc_json_read(line->data, line->length, reason);
    if (!object)
        return upc_fail(UPCONV_ERROR_DATA, "a line for the journal is %s", reason);
    // read back as any other line: what is in use now is then certainly what the file will give
    const upconv_status status = upc_journal_read_line(journal, object) ? UPCONV_OK : upc_no_memory(line->length);
    cJSON_Delete(object);
    return status ? status : upc_lines_add(&journal->lines, line);
}

static upconv_status add_header(upc_journal *journal)
{
    const upc_journal_params *p = &journal->params;
    upc_string line;
    char date[32] = "";
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    upc_string_init(&line, journal->env);
    upc_string_add(&line, "{\"journal\":1,");
    upc_json_text(&line, "library", upconv_version());
    upc_string_add(&line, "\"identity\":\"%016llx\",\"mode\":\"%016llx\",", (unsigned long long)p->identity,
                   (unsigned long long)p->mode);
    if (p->info)
        upc_record_write_device(&line, p->info);
    upc_json_text(&line, "strategy", p->strategy ? p->strategy : "");
    upc_string_add(&line, "\"seed\":%llu,\"pid\":%ld,", (unsigned long long)p->seed, (long)getpid());
    upc_json_text(&line, "boot", journal->boot);
    upc_json_text(&line, "date", date);
    if (p->fresh)
        upc_string_add(&line, "\"fresh\":1,");
    const bool fresh = p->fresh;
    journal->params.fresh = false; // what comes now counts
    const upconv_status status = add_line(journal, &line);
    journal->params.fresh = fresh && status;
    upc_string_finish(&line);
    return status;
}

upconv_status upc_journal_begin_candidate(upc_journal *journal, const upc_journal_about *about)
{
    upc_string line;
    upc_string_init(&line, journal->env);
    upc_string_add(&line, "{\"about\":\"%s\",", about->compiling ? "compile" : "run");
    upc_json_text(&line, "stage", about->stage);
    upc_json_text(&line, "problem", about->problem);
    upc_json_text(&line, "candidate", about->candidate);
    upc_string_add(&line, "\"rung\":%d,\"pid\":%ld,\"watched\":%d,", about->rung, (long)getpid(),
                   journal->params.supervised);
    upc_json_text(&line, "boot", journal->boot);
    const upconv_status status = add_line(journal, &line);
    upc_string_finish(&line);
    return status;
}

upconv_status upc_journal_end_candidate(upc_journal *journal, const upc_journal_about *about, upc_outcome *outcome)
{
    upc_string line;
    upc_string_init(&line, journal->env);
    upc_string_add(&line, "{\"done\":\"%s\",", upconv_tune_verdict_name(outcome->verdict));
    upc_json_text(&line, "problem", about->problem);
    upc_json_text(&line, "candidate", about->candidate);
    upc_string_add(&line, "\"rung\":%d,", about->rung);
    upc_journal_write_outcome(&line, outcome);
    const upconv_status status = add_line(journal, &line);
    upc_string_finish(&line);
    const upc_journal_item *found = upc_journal_find(journal, about->problem, about->candidate, about->rung);
    if (!status && outcome->verdict != UPCONV_TUNE_NONE && found)
        *outcome = found->outcome;
    return status;
}

// -------------------------------------------------------------------------------------------------- problems and peaks

const upc_journal_start *upc_journal_start_of(const upc_journal *journal, const char *problem)
{
    for (size_t i = 0; i < journal->start_count; i++)
        if (!strcmp(journal->starts[i].problem, problem))
            return &journal->starts[i].seen;
    return NULL;
}

static void add_texts(upc_string *line, const char *key, const char *texts)
{
    upc_string_add(line, "\"%s\":[", key);
    for (const char *at = texts; *at;) {
        const int length = (int)strcspn(at, "\n");
        upc_string_add(line, "%s\"%.*s\"", at == texts ? "" : ",", length, at);
        at += length + (at[length] == '\n');
    }
    upc_string_add(line, "],");
}

upconv_status upc_journal_begin_problem(upc_journal *journal, const char *problem, const upc_journal_start *given)
{
    upc_string line;
    upc_string_init(&line, journal->env);
    upc_string_add(&line, "{");
    upc_json_text(&line, "begin", problem);
    upc_json_text(&line, "base", given->base);
    add_texts(&line, "guesses", given->guesses);
    add_texts(&line, "seeds", given->seeds);
    upc_string_add(&line, "\"space\":%.0f,\"counted\":%d,", given->space, given->counted);
    const upconv_status status = add_line(journal, &line);
    upc_string_finish(&line);
    return status;
}

upconv_status upc_journal_end_problem(upc_journal *journal, const char *problem, upconv_tune_stop stop,
                                      const char *best, double ratio)
{
    upc_string line;
    upc_string_init(&line, journal->env);
    upc_string_add(&line, "{");
    upc_json_text(&line, "end", problem);
    upc_json_text(&line, "stop", upconv_tune_stop_name(stop));
    upc_json_text(&line, "best", best);
    upc_json_number(&line, "ratio", ratio);
    const upconv_status status = add_line(journal, &line);
    upc_string_finish(&line);
    return status;
}

bool upc_journal_peaks(const upc_journal *journal, upconv_peaks *peaks)
{
    if (journal->has_peaks)
        *peaks = journal->peaks;
    return journal->has_peaks;
}

upconv_status upc_journal_begin_peaks(upc_journal *journal, bool *twice)
{
    upc_string line;
    *twice = journal->peaks_begun >= 2;
    if (*twice)
        return UPCONV_OK;
    upc_string_init(&line, journal->env);
    upc_string_add(&line, "{\"about\":\"peaks\",");
    const upconv_status status = add_line(journal, &line);
    upc_string_finish(&line);
    return status;
}

upconv_status upc_journal_add_peaks(upc_journal *journal, const upconv_peaks *peaks)
{
    upc_string line;
    upc_string_init(&line, journal->env);
    upc_string_add(&line, "{\"peaks\":1,");
    upc_json_number(&line, "f32_gflops", peaks->f32_gflops);
    upc_json_number(&line, "f16_gflops", peaks->f16_gflops);
    upc_json_number(&line, "copy_gbytes", peaks->copy_gbytes);
    const upconv_status status = add_line(journal, &line);
    upc_string_finish(&line);
    return status;
}

// --------------------------------------------------------------------------------------------------- opening, culprits

// Whether a candidate that was begun and never ended did it. Under a supervisor that lives, a crash has a verdict by
// now; one that was killed with its worker has not, and the candidate is innocent unless the machine went down, or it
// happens again and again.
static bool culprit(const upc_journal *journal, const upc_journal_pending *p)
{
    if (journal->params.rehearsal)
        return false;
    const bool same_boot = p->boot[0] && !strcmp(p->boot, journal->boot);
    return !p->watched || !same_boot || p->attempts >= ATTEMPTS;
}

static upconv_status name_culprits(upc_journal *journal)
{
    journal->open = SIZE_MAX;
    for (size_t i = 0; i < journal->pending_count;) {
        const upc_journal_pending p = journal->pending[i];
        if (!culprit(journal, &p)) {
            i++;
            continue;
        }
        char problem[640], candidate[UPC_CANDIDATE_TEXT]; // the entry goes as its verdict comes
        snprintf(problem, sizeof problem, "%s", p.problem);
        snprintf(candidate, sizeof candidate, "%s", p.candidate);
        const upc_journal_about about = {problem, candidate, p.stage, p.compiling, p.rung};
        upc_outcome outcome = {.verdict = UPCONV_TUNE_CRASHED};
        snprintf(outcome.reason, sizeof outcome.reason, "the process or the machine went down while it was %s",
                 p.compiling ? "compiled" : "run");
        upc_log(journal->env, UPCONV_LOG_WARNING, "journal: %s on %s: %s", candidate, problem, outcome.reason);
        const upconv_status status = upc_journal_end_candidate(journal, &about, &outcome);
        if (status)
            return status;
    }
    return UPCONV_OK;
}

static upconv_status load(upc_journal *journal)
{
    const char *path = journal->params.path;
    size_t size = 0;
    if (!path)
        return UPCONV_OK;
    upconv_status status =
        upc_lines_open(path, !journal->params.rehearsal, !journal->params.unlocked, &journal->lines);
    if (status)
        return status;
    char *text = upc_read_file(journal->env, path, &size);
    if (!text)
        return upc_fail(UPCONV_ERROR_DATA, "cannot read the journal %s", path);
    status = upc_journal_read_text(journal, text, size);
    upc_free(journal->env, text);
    return status;
}

upconv_status upc_journal_open(const upc_env *env, const upc_journal_params *params, upc_journal **journal)
{
    upc_journal *made = upc_alloc(env, sizeof *made);
    if (!made)
        return upc_no_memory(sizeof *made);
    made->env = env;
    made->params = *params;
    made->lines.file = -1;
    made->open = SIZE_MAX;
    read_boot(made->boot);
    upconv_status status = load(made);
    if (!status)
        status = add_header(made);
    if (!status)
        status = name_culprits(made);
    if (status) {
        upc_journal_close(made);
        return status;
    }
    *journal = made;
    return UPCONV_OK;
}

void upc_journal_close(upc_journal *journal)
{
    if (!journal)
        return;
    upc_lines_close(&journal->lines);
    upc_journal_free(journal);
}

// --------------------------------------------------------------------------------------------------------- supervisors

static upconv_status write_blame(upc_journal *journal, upconv_tune_verdict verdict, const char *reason,
                                 upconv_tune_culprit *culprit)
{
    if (journal->open == SIZE_MAX)
        return UPCONV_OK;
    const upc_journal_pending *p = &journal->pending[journal->open];
    snprintf(culprit->problem, sizeof culprit->problem, "%s", p->problem);
    snprintf(culprit->candidate, sizeof culprit->candidate, "%s", p->candidate);
    snprintf(culprit->stage, sizeof culprit->stage, "%s", p->stage);
    culprit->compiling = p->compiling;
    culprit->found = 1;
    culprit->pid = p->pid;
    const upc_journal_about about = {culprit->problem, culprit->candidate, culprit->stage, p->compiling, p->rung};
    upc_outcome outcome = {.verdict = verdict, .cost_ns = UPC_MAX(culprit->cost_ns, 0)};
    snprintf(outcome.reason, sizeof outcome.reason, "%s", reason ? reason : "");
    return upc_journal_end_candidate(journal, &about, &outcome);
}

upconv_status upconv_tune_blame(const char *path, upconv_tune_verdict verdict, const char *reason,
                                upconv_tune_culprit *culprit)
{
    upc_env env;
    upc_env_init(&env, NULL);
    if (!path || !culprit)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", path ? "culprit" : "journal");
    if (verdict != UPCONV_TUNE_NONE && verdict != UPCONV_TUNE_CRASHED && verdict != UPCONV_TUNE_HUNG)
        return upc_fail(UPCONV_ERROR_INVALID, "verdict is %d; a supervisor says crash, hang or none", (int)verdict);
    if (access(path, F_OK))
        return upc_fail(UPCONV_ERROR_DATA, "there is no journal %s", path);
    upc_journal *journal = upc_alloc(&env, sizeof *journal);
    if (!journal)
        return upc_no_memory(sizeof *journal);
    *journal = (upc_journal){.env = &env,
                             .params = {.path = path},
                             .lines = {.file = -1},
                             .open = SIZE_MAX,
                             .any = true,
                             .reading_device = true};
    upconv_tune_culprit given, found = {.struct_size = sizeof found};
    upconv_status status = upc_params_copy(&given, sizeof given, culprit, sizeof given, "culprit");
    found.cost_ns = given.cost_ns;
    found.stuck = given.stuck;
    journal->params.unlocked = given.stuck;
    if (!status)
        status = load(journal);
    if (!status)
        status = write_blame(journal, verdict, reason, &found);
    upc_journal_close(journal);
    if (!status)
        upc_params_return(culprit, &found, sizeof found, sizeof found);
    return status;
}
