// The supervisor of `upconv tune`. It opens no driver, so nothing that a driver does can end it: it starts a worker,
// limits how long each step may take, writes into the journal what a worker that died or hung was about, and starts the
// next one, which goes on behind that. The worker is a fork and no new program: it needs no /proc, and works under
// emulators and under loaders that are named on the command line.
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "tune.h"

static const double silence = 120; // seconds without a word when no candidate is at hand
static const double heating = 180; // that upconv_tune keeps a device busy with --sustained, at most
static const double grace = 15;    // that a worker has to end when it was asked to
static const double tick = 0.2;    // between two looks at the clock
enum {
    IDLE = 5,          // workers in a row that may die without having found anything out
    OUTSIDE = 50,      // and that may be killed by others
    SAME = 8,          // times that others may kill workers at one candidate before it is taken to be its doing
    LONGEST = 1 << 20, // bytes of a line
};

enum { STUCK = -2 }; // in place of a status: the kernel does not let the worker go

typedef enum ending { // why a worker is gone
    ENDED_BY_ITSELF,
    ENDED_LATE,    // killed: a step took too long
    ENDED_STOPPED, // killed: it was asked to end, and did not
} ending;

typedef struct watch {
    tune_options options; // of the next worker
    const upconv_problem *problems;
    tune_state *state;
    pid_t worker;
    int line, errors; // errors: what the worker prints, -1 where the system cannot keep it
    char *text;       // of lines that are not complete
    size_t length, capacity;
    int64_t shown; // how much of them was passed on
    double deadline;
    double allowed;    // seconds, of the step at hand
    double since;      // when the worker last said something else than what it is about
    int asked;         // signals that were passed on
    double end;        // asked: when the worker has ended at the latest
    bool begun, ended; // begun: the worker has its journal, and what stands open there is its doing
    int idle, outside, same;
    char last[256]; // the candidate at which a worker was killed by others
    bool quiet;     // what drivers print is not passed on
} watch;

static volatile sig_atomic_t stops, pauses;

static void on_stop(int number)
{
    (void)number;
    stops++;
}

static void on_pause(int number)
{
    (void)number;
    pauses = 1;
}

static const int stopping[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE}; // the last: nobody reads what is printed
enum { STOPPING = sizeof stopping / sizeof *stopping };

static void watch_signals(bool on)
{
    for (int i = 0; i <= STOPPING; i++) {
        const int number = i < STOPPING ? stopping[i] : SIGTSTP;
        void (*const ours)(int) = i < STOPPING ? on_stop : on_pause;
        struct sigaction now, next = {.sa_handler = on ? ours : SIG_DFL};
        // what is ignored stays ignored (nohup)
        if (sigaction(number, NULL, &now) == 0 && now.sa_handler == (on ? SIG_DFL : ours))
            sigaction(number, &next, NULL);
    }
}

// ------------------------------------------------------------------------------------------------------- worker

static void allow(watch *w, double seconds)
{
    w->allowed = seconds;
    w->deadline = session_seconds() + seconds;
    if (w->asked) // what it was still about to do when it was asked gives it no more time
        w->deadline = fmin(w->deadline, w->end);
}

// A file without a name. Where the system has none to give, what drivers print goes nowhere.
static int words_file(void)
{
#if defined(MFD_CLOEXEC)
    const int file = memfd_create("upconv tune", MFD_CLOEXEC);
    if (file >= 0)
        fcntl(file, F_SETFL, O_APPEND);
    return file;
#else
    return -1;
#endif
}

static bool start(watch *w)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        snprintf(w->state->error, sizeof w->state->error, "no line to a worker: %s", strerror(errno));
        return false;
    }
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    fflush(NULL); // the copy shall not print again what waits to be printed
    w->worker = fork();
    if (w->worker == 0) {
        setpgid(0, 0); // so that what its driver starts can be ended with it, and Ctrl-C comes to the supervisor alone
        watch_signals(false);
        close(ends[0]);
        tune_worker(&w->options, w->problems, w->state->count, ends[1], w->errors);
    }
    const int problem = errno;
    close(ends[1]);
    w->line = ends[0];
    w->length = 0;
    w->begun = w->ended = false;
    w->asked = 0;
    w->since = session_seconds();
    allow(w, silence);
    if (w->worker > 0) {
        setpgid(w->worker, w->worker); // also here: whoever comes first
        return true;
    }
    snprintf(w->state->error, sizeof w->state->error, "no worker: %s", strerror(problem));
    close(w->line);
    return false;
}

static int64_t words_end(const watch *w)
{
    struct stat file;
    return w->errors >= 0 && fstat(w->errors, &file) == 0 ? file.st_size : 0;
}

// What drivers print is passed on only when somebody debugs; it would tear the progress apart.
static void pass_on(watch *w)
{
    char bytes[4096];
    for (ssize_t got; !w->quiet && w->errors >= 0 && (got = pread(w->errors, bytes, sizeof bytes, w->shown)) > 0;
         w->shown += got) {
        tune_show_nothing(&w->options);
        fwrite(bytes, 1, (size_t)got, stderr);
    }
}

// Seconds that what a worker is about may take. How many executions a step has at most: two to verify; to time a slow
// candidate, six that settle and eight that count; to heat, three minutes of them.
static double limit_of(const watch *w, const tune_news *news)
{
    const char *stage = w->state->stage;
    if (news->kind == UPCONV_TUNE_COMPILING)
        return w->options.compile_timeout + 2;
    if (news->kind != UPCONV_TUNE_RUNNING)
        return silence;
    if (strcmp(stage, "heat") == 0)
        return heating + 6 * w->options.run_timeout + 10;
    return (strcmp(stage, "time") == 0 ? 14 : 3) * w->options.run_timeout + 10;
}

static void heard(watch *w, const tune_news *news)
{
    if (news->kind == UPCONV_TUNE_TRIED && news->point && !news->point->known)
        w->idle = w->outside = 0;
    w->ended = w->ended || news->kind == TUNE_SAYS_END;
    w->begun = w->begun || news->kind == UPCONV_TUNE_RUN_BEGIN;
    allow(w, limit_of(w, news));
    if (news->kind != UPCONV_TUNE_COMPILING && news->kind != UPCONV_TUNE_RUNNING)
        w->since = session_seconds();
    tune_show_news(&w->options, w->state, news);
}

// Reads what there is. false: the worker has closed its end.
static bool hear(watch *w)
{
    if (w->capacity - w->length < 2) {
        const size_t capacity = w->capacity ? 2 * w->capacity : 8192;
        char *text = capacity > LONGEST ? NULL : realloc(w->text, capacity);
        if (!text)
            return false;
        w->text = text;
        w->capacity = capacity;
    }
    const ssize_t got = recv(w->line, w->text + w->length, w->capacity - w->length - 1, 0);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (got <= 0)
        return false;
    w->length += (size_t)got;
    size_t begin = 0;
    for (char *end; (end = memchr(w->text + begin, '\n', w->length - begin)); begin = (size_t)(end - w->text) + 1) {
        *end = 0;
        const tune_news news = tune_state_hear(w->state, w->text + begin);
        heard(w, &news);
    }
    memmove(w->text, w->text + begin, w->length - begin);
    w->length -= begin;
    return true;
}

// Ctrl-Z holds the worker as well, and the time does not count.
static void pause_both(watch *w)
{
    const double since = session_seconds();
    pauses = 0;
    kill(-w->worker, SIGSTOP);
    raise(SIGSTOP);
    kill(-w->worker, SIGCONT);
    w->deadline += session_seconds() - since;
    w->end += session_seconds() - since;
    w->since += session_seconds() - since;
}

// The first signal asks the worker to end after what it is doing, the second ends it.
static bool pass_signals(watch *w)
{
    if (pauses)
        pause_both(w);
    if (stops <= w->asked)
        return true;
    const bool again = w->asked > 0;
    w->asked = stops;
    w->state->interrupted = true;
    if (again)
        return false;
    send(w->line, "s", 1, MSG_NOSIGNAL);
    w->end = session_seconds() + grace;
    w->deadline = fmin(w->deadline, w->end);
    tune_show_nothing(&w->options);
    fprintf(stderr, "upconv tune: ending after what runs now; once more ends it at once\n");
    return true;
}

static ending attend(watch *w)
{
    double shown = 0;
    for (;;) {
        struct pollfd wait = {.fd = w->line, .events = POLLIN};
        const int ready = poll(&wait, 1, (int)(tick * 1000));
        if (ready > 0 && !hear(w))
            return ENDED_BY_ITSELF;
        const double now = session_seconds();
        if (!pass_signals(w))
            return ENDED_STOPPED;
        if (w->state->interrupted && now > w->deadline)
            return ENDED_STOPPED;
        if (now > w->deadline)
            return ENDED_LATE;
        if (now - shown >= tick) {
            pass_on(w);
            tune_show_progress(&w->options, w->state);
            shown = now;
        }
    }
}

// Ends what is left of the worker. Returns its status as waitpid gives it; -1 where it is nobody's child any more, STUCK
// where the kernel does not let it go, which happens to processes that wait in a driver.
static int reap(watch *w, ending how)
{
    int status = -1;
    double end = session_seconds() + (how == ENDED_BY_ITSELF ? 2 : 5);
    if (how != ENDED_BY_ITSELF)
        kill(-w->worker, SIGKILL);
    close(w->line);
    for (int pass = 0; pass < 2; pass++) {
        while (session_seconds() < end) {
            const pid_t gone = waitpid(w->worker, &status, WNOHANG);
            if (gone == w->worker) {
                kill(-w->worker, SIGKILL); // what its driver started and left
                return status;
            }
            if (gone < 0 && errno != EINTR)
                return -1;
            poll(NULL, 0, 2);
        }
        kill(-w->worker, SIGKILL); // it has closed the line and does not end
        end = session_seconds() + 5;
    }
    return STUCK;
}

// --------------------------------------------------------------------------------------------------- and what then

static bool by_others(ending how, int status)
{
    static const int others[] = {SIGKILL, SIGTERM, SIGINT, SIGHUP};
    bool found = false;
    for (size_t i = 0;
         how == ENDED_BY_ITSELF && status >= 0 && WIFSIGNALED(status) && i < sizeof others / sizeof *others; i++)
        found = found || WTERMSIG(status) == others[i];
    return found;
}

static void describe(const watch *w, ending how, int status, char *text, size_t size)
{
    tune_words words;
    tune_words_read(w->errors, w->state->words, &words);
    if (how == ENDED_LATE)
        snprintf(text, size, "it did not end within %g s", w->allowed);
    else if (status == -1 || status == STUCK)
        snprintf(text, size, status == STUCK ? "the worker cannot be ended" : "the worker vanished");
    else if (WIFSIGNALED(status))
        snprintf(text, size, "the process was ended by signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "the process ended with exit code %d", WEXITSTATUS(status));
    const size_t length = strlen(text);
    if (*words.last)
        snprintf(text + length, size - length, "; it printed: %s", words.last);
}

// Whose fault it was. Others' kills are nobody's, unless they always come at the same candidate, as when memory runs
// short.
static upconv_tune_verdict judge(watch *w, ending how, int status)
{
    if (how == ENDED_STOPPED)
        return UPCONV_TUNE_NONE;
    if (how == ENDED_LATE || status == STUCK)
        return UPCONV_TUNE_HUNG;
    if (!by_others(how, status))
        return UPCONV_TUNE_CRASHED;
    w->outside++;
    w->same = strcmp(w->last, w->state->candidate) == 0 ? w->same + 1 : 1;
    snprintf(w->last, sizeof w->last, "%s", w->state->candidate);
    return *w->last && w->same >= SAME ? UPCONV_TUNE_CRASHED : UPCONV_TUNE_NONE;
}

// A worker that the kernel keeps holds the journal, and perhaps the device: no other can follow it.
static bool give_up(watch *w)
{
    tune_state *state = w->state;
    const bool kept = w->options.records && !w->options.dry_run && !w->options.verify_only;
    snprintf(
        state->error, sizeof state->error,
        "the worker, process %ld, waits inside the driver and cannot be ended; the run ends here%s", (long)w->worker,
        kept ? ": what was found is kept, and --resume goes on once that process is gone or the machine was started "
               "anew"
             : "");
    return false;
}

// Writes the verdict on a worker that did not come to its end. false: the run cannot go on; why is in state->error.
static bool blame(watch *w, ending how, int status)
{
    tune_state *state = w->state;
    upconv_tune_culprit culprit = {.struct_size = sizeof culprit,
                                   .cost_ns = (int64_t)((session_seconds() - w->since) * 1e9),
                                   .stuck = status == STUCK};
    char reason[512];
    describe(w, how, status, reason, sizeof reason);
    const upconv_tune_verdict verdict = judge(w, how, status);
    // a worker that died before it had a journal was about nothing
    if (w->options.journal && w->begun &&
        upconv_tune_blame(w->options.journal, verdict, reason, &culprit) != UPCONV_OK) {
        snprintf(state->error, sizeof state->error, "%s", upconv_last_error());
        return false;
    }
    if (culprit.found && verdict != UPCONV_TUNE_NONE) {
        const tune_news news = tune_state_blame(state, culprit.candidate, verdict, reason);
        tune_show_news(&w->options, state, &news);
        w->idle = w->outside = 0;
        return status != STUCK || give_up(w);
    }
    if (status == STUCK)
        return give_up(w);
    if (how != ENDED_STOPPED && !by_others(how, status)) {
        w->idle++;
        tune_show_nothing(&w->options);
        fprintf(stderr, "upconv tune: a worker that tried nothing ended: %s\n", reason);
    }
    if (w->idle < IDLE && w->outside < OUTSIDE && (w->options.journal || how == ENDED_STOPPED))
        return true;
    snprintf(state->error, sizeof state->error, "the worker cannot go on: %s", reason);
    return false;
}

// One worker, from its start to its end. false: there is to be no other.
static bool one_worker(watch *w)
{
    tune_state *state = w->state;
    state->candidate[0] = 0;
    state->words = words_end(w);
    if (!start(w))
        return false;
    const ending how = attend(w);
    const int status = reap(w, how);
    pass_on(w);
    w->options.resume = w->options.resume || w->begun; // whoever comes next goes on where this one was
    if (!w->ended)
        return blame(w, how, status) && !state->interrupted;
    if (state->status == UPCONV_OK) {
        state->finished = true;
        state->interrupted = state->interrupted || state->result.stop == UPCONV_TUNE_STOP_CANCELLED;
        return false;
    }
    if (status == STUCK)
        return give_up(w);
    // a candidate that hung or lost the device, which upconv_tune has already recorded: go on behind it
    if ((state->status == UPCONV_ERROR_TIMEOUT || state->status == UPCONV_ERROR_DEVICE_LOST) && w->options.journal &&
        !state->interrupted && (*state->result.culprit || ++w->idle < IDLE)) {
        state->error[0] = 0;
        return true;
    }
    return false;
}

void tune_supervise(const tune_options *options, const upconv_problem *problems, tune_state *state)
{
    const char *level = getenv("UPCONV_LOG");
    watch w = {
        .options = *options, .problems = problems, .state = state, .errors = words_file(), .quiet = !level || !*level};
    stops = pauses = 0;
    watch_signals(true);
    while (one_worker(&w))
        state->restarts++;
    tune_show_nothing(options);
    watch_signals(false);
    if (w.errors >= 0)
        close(w.errors);
    free(w.text);
}
