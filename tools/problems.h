// A list of named problems, from the command line and from files of one problem a line.
#ifndef TOOL_PROBLEMS_H
#define TOOL_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct named_problem {
    char *name; // "" where there is none
    char *text;
} named_problem;

typedef struct problem_list {
    named_problem *items;
    size_t count, capacity;
} problem_list;

bool problem_list_add(problem_list *list, const char *name, const char *text); // false without memory
// Adds the problems of a file: `name problem` or `problem` a line; what follows a # is a remark. On failure a
// sentence is in error, and the list may have grown.
bool problem_list_read(problem_list *list, const char *path, char *error, size_t error_size);
void problem_list_finish(problem_list *list);

#endif
