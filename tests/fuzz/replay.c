// Runs a fuzz target over files: those named on the command line, and those in the folders named there. Links
// with any file that has LLVMFuzzerTestOneInput, where libFuzzer's own main is not wanted.
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(FILE *file, const char *path)
{
    // Grows by reading, so that pipes work; an exact allocation shows reads past the end to a sanitizer.
    uint8_t *data = NULL;
    size_t size = 0;
    uint8_t chunk[4096];
    for (size_t got; (got = fread(chunk, 1, sizeof chunk, file)) > 0; size += got) {
        uint8_t *larger = realloc(data, size + got);
        if (!larger) {
            fprintf(stderr, "%s: no memory\n", path);
            free(data);
            return 1;
        }
        data = larger;
        memcpy(data + size, chunk, got);
    }
    if (ferror(file)) {
        perror(path);
        free(data);
        return 1;
    }
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

static int replay(const char *path, unsigned *files);

static int replay_folder(DIR *folder, const char *path, unsigned *files)
{
    int failed = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner) {
            fprintf(stderr, "%s/%s: the path is too long\n", path, entry->d_name);
            failed = 1;
            continue;
        }
        failed |= replay(inner, files);
    }
    return failed;
}

static int replay(const char *path, unsigned *files)
{
    DIR *folder = opendir(path);
    if (folder) {
        const int failed = replay_folder(folder, path, files);
        closedir(folder);
        return failed;
    }
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    ++*files;
    const int failed = replay_file(file, path);
    fclose(file);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    unsigned files = 0;
    for (int i = 1; i < argc; i++)
        failed |= replay(argv[i], &files);
    printf("%u inputs replayed\n", files);
    return failed || !files;
}
