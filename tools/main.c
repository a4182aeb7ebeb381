// The program `upconv`: what people run. It uses nothing but the public API.
#include <stdio.h>
#include <string.h>

#include <upconv/upconv.h>

#include "commands.h"

static const tool_command *const commands[] = {&info_command, &explain_command, &bench_command,
                                               &tune_command, &records_command, &train_command,
                                               &upscale_command};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_usage(FILE *file)
{
    fprintf(file, "upconv COMMAND [arguments]\n\n"
                  "Transposed convolution on GPUs through Vulkan and OpenCL, and on the CPU.\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(file, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(file, "\n  upconv COMMAND --help   what the command does and takes\n"
                  "  upconv --version        the version\n\n"
                  "Environment: UPCONV_BACKEND, UPCONV_DEVICE, UPCONV_SOLVER, UPCONV_SHADERS and UPCONV_LOG "
                  "(1 errors to\n"
                  "4 everything, on standard error), as in upconv/upconv.h.\n");
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return TOOL_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        (strcmp(argv[1], "help") == 0 && argc == 2)) {
        print_usage(stdout);
        return TOOL_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("upconv %s\n", upconv_version());
        return TOOL_OK;
    }
    bool help = strcmp(argv[1], "help") == 0;
    const char *name = argv[help ? 2 : 1];
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) != 0)
            continue;
        char ask[] = "--help", *only[] = {ask, NULL};
        return help ? commands[i]->run(1, only) : commands[i]->run(argc - 2, argv + 2);
    }
    fprintf(stderr, "upconv: there is no command '%s'\nTry: upconv --help\n", name);
    return TOOL_USAGE;
}

int main(int argc, char **argv)
{
    int code = dispatch(argc, argv);
    // A full disk or a closed pipe must not look like success.
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == TOOL_OK) {
        fprintf(stderr, "upconv: standard output could not be written\n");
        code = TOOL_FAILURE;
    }
    return code;
}
