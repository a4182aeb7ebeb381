// Faults on purpose, one for each word of the command line: a read past the end of what was allocated (bounds), a sum beyond its type
// (overflow), memory that nobody frees (leak), two threads that write the same place (race). Shows that a sanitizer is at work before
// its silence is taken as proof: tests/sees.sh. Exit code 0 where nobody objects.
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int place;
static volatile int one = 1;

static int bounds(void) // by a function of the C library, which the undefined-behaviour sanitizer does not look into
{
    char *const text = malloc((size_t)one * 16);
    if (!text)
        return 2;
    memset(text, 'x', (size_t)one * 16);
    place = (int)strlen(text);
    free(text);
    return 0;
}

static int overflow(void)
{
    place = INT_MAX - 1 + one;
    place = place + one;
    return 0;
}

static int leak(void)
{
    char *volatile lost = malloc(100);
    if (lost)
        lost[0] = 'x';
    lost = NULL;
    return 0;
}

static void *write_often(void *user)
{
    (void)user;
    for (int i = 0; i < 10000; i++)
        place = place % 1000 + 1;
    return NULL;
}

static int race(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, write_often, NULL))
            return 2;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*commit)(void);
    } faults[] = {{"bounds", bounds}, {"overflow", overflow}, {"leak", leak}, {"race", race}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults && argc == 2; i++)
        if (!strcmp(argv[1], faults[i].name))
            return faults[i].commit();
    fprintf(stderr, "usage: control_sanitizers bounds|overflow|leak|race\n");
    return 2;
}
