// What drivers print while they compile. Mesa's driver for Mali says only there whether a shader spills.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tune.h"

enum { MOST = 1 << 16 }; // the end of more than that is read

static void read_line(char *line, tune_words *words)
{
    const char *shader = strstr(line, "SHADER-DB:"), *counts = NULL;
    for (const char *at = shader; at && (at = strstr(at, ", ")); at += 2)
        counts = at + 2;
    double spills = 0, fills = 0;
    if (counts && strstr(counts, "spills:fills") && sscanf(counts, "%lf:%lf", &spills, &fills) == 2) {
        words->spills += spills;
        words->fills += fills;
    }
    if (shader || !*line)
        return;
    for (char *at = line; *at; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
            *at = '?';
    snprintf(words->last, sizeof words->last, "%s", line);
}

void tune_words_read(int errors, int64_t from, tune_words *words)
{
    struct stat file;
    *words = (tune_words){0};
    if (errors < 0 || fstat(errors, &file) != 0 || file.st_size <= from)
        return;
    if (file.st_size - from > MOST)
        from = file.st_size - MOST;
    char *text = malloc(MOST + 1);
    const ssize_t size = text ? pread(errors, text, MOST, from) : -1;
    if (size > 0) {
        text[size] = 0;
        for (char *rest = NULL, *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
            read_line(line, words);
    }
    free(text);
}
