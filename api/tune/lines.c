// Lines that are appended to a file.
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static upconv_status cannot(const char *what, const char *path)
{
    static const struct {
        int error;
        const char *words;
    } known[] = {{EWOULDBLOCK, "another run has it open"}, {ENOSPC, "the disk is full"},
                 {ENOENT, "there is no such folder"},      {EACCES, "it is not allowed"},
                 {EROFS, "the disk is read-only"},         {EISDIR, "it is a folder"}};
    char text[128];
    const int error = errno;
    snprintf(text, sizeof text, "error %d", error);
    for (size_t i = 0; i < UPC_COUNT(known); i++)
        if (error == known[i].error)
            snprintf(text, sizeof text, "%s", known[i].words);
    return upc_fail(UPCONV_ERROR_DATA, "%s %s: %s", what, path, text);
}

static bool write_all(int file, const char *bytes, size_t size)
{
    while (size) {
        const ssize_t written = write(file, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        size -= (size_t)written;
    }
    return true;
}

// Whether the last line lacks its end.
static bool torn(int file)
{
    struct stat status;
    char last = '\n';
    return !fstat(file, &status) && status.st_size > 0 && pread(file, &last, 1, status.st_size - 1) == 1 &&
           last != '\n';
}

// Waits half a second: a process that was killed, or what its driver had started, may hold the file a moment longer.
static bool lock(int file)
{
    enum { TRIES = 50, PAUSE_MS = 10 };
    for (int tries = 0; flock(file, LOCK_EX | LOCK_NB); tries++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || tries == TRIES)
            return false;
        poll(NULL, 0, PAUSE_MS);
    }
    return true;
}

upconv_status upc_lines_open(const char *path, bool careful, bool exclusive, upc_lines *lines)
{
    const int file = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0)
        return cannot("cannot open", path);
    upconv_status status = UPCONV_OK;
    if (exclusive && !lock(file))
        status = cannot("cannot lock", path);
    else if (torn(file) && !write_all(file, "\n", 1))
        status = cannot("cannot write", path);
    if (status)
        close(file);
    else
        *lines = (upc_lines){file, careful};
    return status;
}

upconv_status upc_lines_add(const upc_lines *lines, const upc_string *line)
{
    if (line->failed)
        return upc_no_memory(line->length + 1);
    if (lines->file < 0)
        return UPCONV_OK;
    // one call for a line and its end, so that processes that append to one file do not mix theirs
    upc_string whole;
    upc_string_init(&whole, line->env);
    if (torn(lines->file)) // by another process that was killed, or when the disk was full
        upc_string_add_bytes(&whole, "\n", 1);
    upc_string_add_bytes(&whole, line->data, line->length);
    upc_string_add_bytes(&whole, "\n", 1);
    upconv_status status = UPCONV_OK;
    if (whole.failed)
        status = upc_no_memory(line->length + 2);
    else if (!write_all(lines->file, whole.data, whole.length) ||
             (lines->careful && fsync(lines->file) && errno != EINVAL))
        status = cannot("cannot write", "a line of the journal or the records");
    upc_string_finish(&whole);
    return status;
}

void upc_lines_close(upc_lines *lines)
{
    if (lines->file >= 0)
        close(lines->file);
    lines->file = -1;
}
