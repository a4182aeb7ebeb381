// Files that are there whole or not at all.
#ifndef TOOL_FILES_H
#define TOOL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

bool file_exists(const char *path);
// The whole file, up to 1 GB, to be freed. false: a sentence is in error.
bool file_read(const char *path, char **text, size_t *size, char *error, size_t error_size);

// Writes beside the target and takes its place at close; what was there before stays until then. One at a
// time.
typedef struct file_writer {
    FILE *file;
    char *path;      // where it will be, symbolic links followed
    char *temporary; // NULL where the target is no regular file (a pipe, a device): that is written directly
} file_writer;

bool file_writer_open(file_writer *writer, const char *path, char *error, size_t error_size);
// Both end the writer. close: false, with the old target in place, when not everything could be written.
bool file_writer_close(file_writer *writer, char *error, size_t error_size);
void file_writer_abandon(file_writer *writer);

#endif
