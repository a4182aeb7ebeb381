// Whatever text is parsed: an error points into it, and what is taken prints to a text that gives the same
// problem back, whole and cut short.
#include "../../api/problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void check_round_trip(const upconv_problem *problem)
{
    char text[768], again_text[768];
    size_t length = 0;
    require(upconv_problem_print(problem, text, sizeof text, &length) == UPCONV_OK,
            "a parsed problem prints");
    require(length == strlen(text), "the length is the text's");
    upconv_problem again = {.struct_size = sizeof again};
    require(upconv_problem_parse(text, &again, NULL) == UPCONV_OK, "what was printed parses");
    require(!memcmp(problem, &again, sizeof again), "what was printed is the same problem");
    require(upconv_problem_print(&again, again_text, sizeof again_text, NULL) == UPCONV_OK,
            "it prints again");
    require(!strcmp(text, again_text), "it prints the same");
    char cut[40];
    size_t whole = 0;
    require(upconv_problem_print(problem, cut, sizeof cut, &whole) == UPCONV_OK, "it prints when cut");
    require(whole == length && strlen(cut) < sizeof cut && !strncmp(cut, text, strlen(cut)),
            "a cut text is a beginning");
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    require(upconv_problem_sizes(problem, &sizes) == UPCONV_OK, "a parsed problem is legal");
    require(sizes.output_bytes && sizes.output_bytes <= UPCONV_MAX_TENSOR_BYTES,
            "its output is within bounds");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    upconv_problem problem = {.struct_size = sizeof problem};
    size_t error_at = SIZE_MAX;
    const upconv_status status = upconv_problem_parse(text, &problem, &error_at);
    if (status == UPCONV_OK) {
        check_round_trip(&problem);
    } else {
        require(status == UPCONV_ERROR_INVALID, "the only error is INVALID");
        require(error_at <= strlen(text), "the error points into the text");
        require(upconv_last_error()[0] != 0, "there is a sentence");
    }
    free(text);
    return 0;
}
