#include "problems.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool problem_list_add(problem_list *list, const char *name, const char *text)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        named_problem *items = realloc(list->items, capacity * sizeof *items);
        if (!items)
            return false;
        list->items = items;
        list->capacity = capacity;
    }
    named_problem item = {strdup(name), strdup(text)};
    if (!item.name || !item.text) {
        free(item.name);
        free(item.text);
        return false;
    }
    list->items[list->count++] = item;
    return true;
}

void problem_list_finish(problem_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        free(list->items[i].text);
    }
    free(list->items);
    *list = (problem_list){0};
}

// Cuts the line into words. Returns their number, at most most + 1.
static int split(char *line, char **words, int most)
{
    static const char blanks[] = " \t\r\n\v\f";
    int count = 0;
    line[strcspn(line, "#")] = 0;
    for (char *rest = NULL, *word = strtok_r(line, blanks, &rest); word && count <= most;
         word = strtok_r(NULL, blanks, &rest)) {
        if (count < most)
            words[count] = word;
        count++;
    }
    return count;
}

bool problem_list_read(problem_list *list, const char *path, char *error, size_t error_size)
{
    char *line = NULL, *words[2];
    size_t capacity = 0;
    bool fine = true;
    FILE *file = fopen(path, "r");
    if (!file) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return false;
    }
    for (int number = 1; fine && getline(&line, &capacity, file) >= 0; number++) {
        int count = split(line, words, 2);
        if (count > 2) {
            snprintf(error, error_size, "%s:%d: a line is a name and a problem, with remarks after a #", path,
                     number);
            fine = false;
        } else if (count > 0 && !problem_list_add(list, count == 2 ? words[0] : "", words[count - 1])) {
            snprintf(error, error_size, "no memory for the problems of %s", path);
            fine = false;
        }
    }
    if (fine && ferror(file)) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        fine = false;
    }
    free(line);
    fclose(file);
    return fine;
}
