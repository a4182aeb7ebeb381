// upconv explain: which solver would run a problem, and why not the others.
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "session.h"

static int explain(upconv_context *context, const upconv_problem *problem, const char *solver)
{
    const upconv_plan_params params = {.struct_size = sizeof params, .solver = solver};
    size_t length = 0;
    char *text = NULL;
    int code = TOOL_OK;
    upconv_status status = upconv_explain(context, problem, &params, NULL, 0, &length);
    if (status == UPCONV_OK && !(text = malloc(length + 1)))
        return failure(&explain_command, "no memory for the text");
    if (status == UPCONV_OK)
        status = upconv_explain(context, problem, &params, text, length + 1, NULL);
    if (status == UPCONV_OK)
        printf("%s%s", text, length && text[length - 1] == '\n' ? "" : "\n");
    else
        code = failure(&explain_command, "%s", upconv_last_error());
    free(text);
    return code;
}

static int run(int argc, char **argv)
{
    session_options where = {0};
    const char *solver = NULL, *records = NULL;
    int operands = 0;
    const option options[] = {
        SESSION_OPTIONS(where),
        {"solver", OPTION_TEXT, &solver, "S",
         "Ask for this solver only, or for one configuration of it (phase:tile=4).", 0, 0, NULL},
        {"records", OPTION_TEXT, &records, "FILE",
         "Tuning records to look in, beside those that came with the library.", 0, 0, NULL},
        {NULL, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    int over = options_read(&explain_command, options, argc, argv, &operands);
    if (over >= 0)
        return over;
    if (operands != 1)
        return usage_error(&explain_command, operands ? "one problem at a time" : "which problem?");
    upconv_problem problem = {.struct_size = sizeof problem};
    if (!session_problem(&explain_command, argv[0], &problem))
        return TOOL_FAILURE;
    upconv_context *context = NULL;
    if (session_open(&where, &context, NULL) != UPCONV_OK)
        return failure(&explain_command, "%s", upconv_last_error());
    int code = session_records(&explain_command, context, records) ? explain(context, &problem, solver) : TOOL_FAILURE;
    upconv_context_destroy(context);
    return code;
}

const tool_command explain_command = {
    "explain", "PROBLEM [options]", "What every solver says of a problem, and what a plan would run.",
    "PROBLEM is one word in the notation of oneDNN's benchdnn for deconvolution, for example "
    "ic64oc32_ih32oh64kh4sh2ph1: g groups, mb batch, ic and oc channels, then i input, o output, k kernel, "
    "s stride, p front padding, d dilation minus one, each followed by d, h or w. upconv/upconv.h has the "
    "rest.\n"
    "Nothing runs on the device, unless it has instructions for products of four bytes and the problem is of 8 bits: "
    "whether\n"
    "those are right and faster is then found out, once.",
    run};
