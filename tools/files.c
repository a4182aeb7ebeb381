#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// What an interrupted program leaves to be removed. Read by the signal handler, so it is set up completely
// before `pending_set` says so.
static char pending[4096];
static volatile sig_atomic_t pending_set;

static void interrupted(int number)
{
    if (pending_set)
        unlink(pending);
    signal(number, SIG_DFL);
    raise(number);
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { SIGNALS = sizeof signals / sizeof *signals };

static void pending_watch(const char *temporary)
{
    if (strlen(temporary) >= sizeof pending)
        return;
    strcpy(pending, temporary);
    pending_set = 1;
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction now;
        // What is ignored stays ignored (nohup).
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            signal(signals[i], interrupted);
    }
}

bool file_exists(const char *path) { return access(path, F_OK) == 0; }

bool file_read(const char *path, char **text, size_t *size, char *error, size_t error_size)
{
    enum { STEP = 1 << 16, MOST = 1 << 30 };
    char *data = NULL;
    size_t length = 0;
    FILE *file = fopen(path, "rb");
    if (!file) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return false;
    }
    for (;;) {
        char *more = realloc(data, length + STEP);
        if (!more) {
            snprintf(error, error_size, "no memory to read %s", path);
            break;
        }
        data = more;
        size_t got = fread(data + length, 1, STEP - 1, file);
        length += got;
        if (length > MOST) { // a device, perhaps, which never ends
            snprintf(error, error_size, "%s has more than %d bytes", path, (int)MOST);
            break;
        }
        if (got == STEP - 1)
            continue;
        if (ferror(file)) {
            snprintf(error, error_size, "%s: %s", path, strerror(errno));
            break;
        }
        fclose(file);
        data[length] = 0;
        *text = data;
        *size = length;
        return true;
    }
    fclose(file);
    free(data);
    return false;
}

static void forget(file_writer *writer)
{
    pending_set = 0;
    free(writer->path);
    free(writer->temporary);
    *writer = (file_writer){0};
}

// A new file of that name, watched from its first moment on; -1 with errno.
static int create_watched(const char *name)
{
    sigset_t ours, before;
    sigemptyset(&ours);
    for (int i = 0; i < SIGNALS; i++)
        sigaddset(&ours, signals[i]);
    sigprocmask(SIG_BLOCK, &ours, &before);
    int descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), problem = errno;
    if (descriptor >= 0)
        pending_watch(name);
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = problem;
    return descriptor;
}

// Opens a new file beside writer->path, with the access rights that the target has or would get.
static bool open_temporary(file_writer *writer, const struct stat *old)
{
    size_t size = strlen(writer->path) + 32;
    int descriptor = -1;
    writer->temporary = malloc(size);
    if (!writer->temporary)
        return false;
    errno = EEXIST;
    for (int attempt = 0; descriptor < 0 && errno == EEXIST && attempt < 100; attempt++) {
        snprintf(writer->temporary, size, "%s.%ld-%d.tmp", writer->path, (long)getpid(), attempt);
        descriptor = create_watched(writer->temporary);
    }
    if (descriptor < 0)
        return false;
    if (old && fchmod(descriptor, old->st_mode & 07777) != 0)
        errno = 0; // the rights stay those of a new file
    writer->file = fdopen(descriptor, "wb");
    if (writer->file)
        return true;
    close(descriptor);
    unlink(writer->temporary);
    return false;
}

bool file_writer_open(file_writer *writer, const char *path, char *error, size_t error_size)
{
    struct stat old;
    *writer = (file_writer){0};
    bool exists = stat(path, &old) == 0;
    writer->path = exists ? realpath(path, NULL) : strdup(path);
    if (exists && S_ISDIR(old.st_mode)) {
        errno = EISDIR;
    } else if (exists && !S_ISREG(old.st_mode)) {
        writer->file = fopen(path, "wb");
    } else if (exists && access(path, W_OK) != 0) {
        // A file that must not be written is not replaced either.
    } else if (writer->path) {
        open_temporary(writer, exists ? &old : NULL);
    }
    if (writer->file)
        return true;
    snprintf(error, error_size, "%s cannot be written: %s", path, strerror(errno ? errno : EIO));
    forget(writer);
    return false;
}

bool file_writer_close(file_writer *writer, char *error, size_t error_size)
{
    errno = 0;
    bool fine = fflush(writer->file) == 0 && !ferror(writer->file);
    // A board may lose its power at any time: the contents before the name.
    if (fine && writer->temporary)
        fine = fsync(fileno(writer->file)) == 0;
    fine = fclose(writer->file) == 0 && fine;
    if (fine && writer->temporary)
        fine = rename(writer->temporary, writer->path) == 0;
    if (!fine) {
        snprintf(error, error_size, "%s cannot be written: %s", writer->path,
                 errno ? strerror(errno) : "an earlier write failed");
        if (writer->temporary)
            unlink(writer->temporary);
    }
    forget(writer);
    return fine;
}

void file_writer_abandon(file_writer *writer)
{
    if (writer->file)
        fclose(writer->file);
    if (writer->temporary)
        unlink(writer->temporary);
    forget(writer);
}
