// Whatever bytes are imported as a program cache: nothing breaks, what was taken exports to a file that gives
// the same back, and a file of ours with some bytes changed never gives a wrong program.
#include "../fake_context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static void init(fake_context *fake)
{
    require(fake_context_init(fake, UPCONV_BACKEND_VULKAN, "fuzz", "1"), "a context");
}

static void taken_as_it_is(const uint8_t *data, size_t size)
{
    fake_context fake, again;
    fake_file one = {0}, two = {0};
    init(&fake);
    init(&again);
    const upconv_status status = upconv_cache_import(&fake.context, data, size);
    require(status == UPCONV_OK || status == UPCONV_ERROR_DATA, "OK or DATA");
    require(upconv_cache_export(&fake.context, fake_file_write, &one) == UPCONV_OK, "an export");
    require(upconv_cache_import(&again.context, one.data, one.size) == UPCONV_OK, "our own file");
    require(upconv_cache_export(&again.context, fake_file_write, &two) == UPCONV_OK, "an export");
    require(one.size == two.size && !memcmp(one.data, two.data, one.size), "the same file again");
    fake_file_finish(&one);
    fake_file_finish(&two);
    fake_context_finish(&fake);
    fake_context_finish(&again);
    require(atomic_load(&fake.live) == 0 && atomic_load(&again.live) == 0, "no leak");
}

// Three input bytes are one change: a place and what to flip there. A length first: the file is cut.
static void taken_as_changes(const uint8_t *data, size_t size)
{
    static const char *const programs[] = {"a program", "UPCE, a program of another size", ""};
    fake_context fake, fresh;
    fake_file file = {0};
    init(&fake);
    init(&fresh);
    for (uint64_t i = 0; i < UPC_COUNT(programs); i++)
        upc_cache_store(&fake.context.env, (uint64_t[2]){i, i * i}, programs[i], strlen(programs[i]));
    require(upconv_cache_export(&fake.context, fake_file_write, &file) == UPCONV_OK, "an export");
    for (size_t i = 1; i + 3 <= size && i < 96; i += 3)
        file.data[(data[i] | data[i + 1] << 8) % file.size] ^= data[i + 2];
    if (size && data[0])
        file.size = file.size * data[0] / 256;
    upconv_cache_import(&fresh.context, file.data, file.size);
    for (uint64_t i = 0; i < UPC_COUNT(programs); i++) {
        size_t found = 0;
        char *bytes = upc_cache_find(&fresh.context.env, (uint64_t[2]){i, i * i}, &found);
        require(!bytes || (found == strlen(programs[i]) && !memcmp(bytes, programs[i], found)),
                "the right program");
        upc_free(&fresh.context.env, bytes);
    }
    fake_file_finish(&file);
    fake_context_finish(&fake);
    fake_context_finish(&fresh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    taken_as_it_is(data ? data : (const uint8_t *)"", size);
    taken_as_changes(data, size);
    return 0;
}
