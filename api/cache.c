// Compiled programs: a bag of (key, bytes) that lives with a context, and its form as a file
// (docs/records.md). A file is disposable: what is not certainly ours and whole is left out, and the programs
// concerned are compiled again.
#include "internal.h"
#include "records.h"

#include <string.h>

enum {
    FILE_FORMAT = 1,
    HEADER_BYTES = 40, // magic, format, library, device (16), checksum
    ENTRY_BYTES = 48,  // magic, kind, key (16), size, checksum of the bytes, checksum of the 40 bytes before
    KIND_PROGRAM = 1,
    KIND_DRIVER = 2, // the driver's own cache, at most one
};
static const char file_magic[8] = {'U', 'P', 'C', 'C', 'A', 'C', 'H', 'E'};
static const char entry_magic[4] = {'U', 'P', 'C', 'E'};

// Counted, so that an export can write without holding the lock while the bag changes under it.
typedef struct cache_entry {
    _Atomic int references;
    uint64_t key[2];
    size_t size;
    unsigned char bytes[];
} cache_entry;

struct upc_cache {
    pthread_mutex_t lock;
    cache_entry *
        *entries; // by key, increasing: look-ups are binary, and exports always come in the same order
    size_t count, capacity;
};

// --------------------------------------------------------------------------------------------------- the bag

upconv_status upc_cache_create(upc_env *env)
{
    struct upc_cache *cache = upc_alloc(env, sizeof *cache);
    if (!cache)
        return upc_no_memory(sizeof *cache);
    if (pthread_mutex_init(&cache->lock, NULL)) {
        upc_free(env, cache);
        return upc_fail(UPCONV_ERROR_HOST_MEMORY, "out of host memory: no mutex for the program cache");
    }
    env->cache = cache;
    return UPCONV_OK;
}

static void entry_release(const upc_env *env, cache_entry *entry)
{
    if (entry && atomic_fetch_sub(&entry->references, 1) == 1)
        upc_free(env, entry);
}

void upc_cache_destroy(upc_env *env)
{
    struct upc_cache *cache = env->cache;
    if (!cache)
        return;
    for (size_t i = 0; i < cache->count; i++)
        entry_release(env, cache->entries[i]);
    upc_free(env, cache->entries);
    pthread_mutex_destroy(&cache->lock);
    upc_free(env, cache);
    env->cache = NULL;
}

// Where the key is, or where it would go.
static size_t position(const struct upc_cache *cache, const uint64_t key[2], bool *found)
{
    size_t low = 0, high = cache->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const uint64_t *other = cache->entries[middle]->key;
        if (other[0] < key[0] || (other[0] == key[0] && other[1] < key[1]))
            low = middle + 1;
        else
            high = middle;
    }
    *found =
        low < cache->count && cache->entries[low]->key[0] == key[0] && cache->entries[low]->key[1] == key[1];
    return low;
}

static cache_entry *entry_create(const upc_env *env, const uint64_t key[2], const void *bytes, size_t size)
{
    cache_entry *entry = size <= SIZE_MAX - sizeof *entry ? upc_alloc(env, sizeof *entry + size) : NULL;
    if (!entry)
        return NULL;
    atomic_init(&entry->references, 1);
    entry->key[0] = key[0];
    entry->key[1] = key[1];
    entry->size = size;
    if (size)
        memcpy(entry->bytes, bytes, size);
    return entry;
}

// Takes the entry over. With `replace` an entry of the same key makes room; else it stays, and the new one is
// dropped.
static bool put(const upc_env *env, struct upc_cache *cache, cache_entry *entry, bool replace)
{
    bool found, ok = true;
    pthread_mutex_lock(&cache->lock);
    const size_t at = position(cache, entry->key, &found);
    if (found && replace) {
        cache_entry *old = cache->entries[at];
        cache->entries[at] = entry;
        entry = old;
    } else if (!found) {
        void *entries = cache->entries;
        ok = upc_grow(env, &entries, &cache->capacity, cache->count + 1, sizeof *cache->entries);
        cache->entries = entries;
        if (ok) {
            memmove(cache->entries + at + 1, cache->entries + at,
                    (cache->count - at) * sizeof *cache->entries);
            cache->entries[at] = entry;
            cache->count++;
            entry = NULL;
        }
    }
    pthread_mutex_unlock(&cache->lock);
    entry_release(env, entry);
    return ok;
}

void *upc_cache_find(upc_env *env, const uint64_t key[2], size_t *size)
{
    struct upc_cache *cache = env->cache;
    if (!cache)
        return NULL;
    cache_entry *entry = NULL;
    bool found;
    pthread_mutex_lock(&cache->lock);
    const size_t at = position(cache, key, &found);
    if (found) {
        entry = cache->entries[at];
        atomic_fetch_add(&entry->references, 1);
    }
    pthread_mutex_unlock(&cache->lock);
    if (!entry)
        return NULL;
    void *copy = upc_alloc(env, entry->size);
    if (copy) {
        memcpy(copy, entry->bytes, entry->size);
        *size = entry->size;
    }
    entry_release(env, entry);
    return copy;
}

void upc_cache_store(upc_env *env, const uint64_t key[2], const void *bytes, size_t size)
{
    if (!env->cache)
        return;
    cache_entry *entry = entry_create(env, key, bytes, size);
    if (!entry || !put(env, env->cache, entry, true))
        upc_log(env, UPCONV_LOG_WARNING,
                "out of host memory: a program of %zu bytes is not kept in the cache", size);
}

void upc_cache_drop(upc_env *env, const uint64_t key[2])
{
    struct upc_cache *cache = env->cache;
    if (!cache)
        return;
    cache_entry *entry = NULL;
    bool found;
    pthread_mutex_lock(&cache->lock);
    const size_t at = position(cache, key, &found);
    if (found) {
        entry = cache->entries[at];
        cache->count--;
        memmove(cache->entries + at, cache->entries + at + 1, (cache->count - at) * sizeof *cache->entries);
    }
    pthread_mutex_unlock(&cache->lock);
    entry_release(env, entry);
}

// -------------------------------------------------------------------------------------------------- the file

// Numbers in the file are little-endian on every machine.
static void put_number(unsigned char *at, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t get_number(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static uint32_t library_number(void)
{
    return UPCONV_VERSION_MAJOR * 1000000 + UPCONV_VERSION_MINOR * 1000 + UPCONV_VERSION_PATCH;
}

// The header that this context writes, and the only one that it reads. Its checksum is also the seed of the
// entries' checksums, so that entries of another device or version never pass for ours, wherever they lie in
// a file.
static uint64_t make_header(const upconv_context *context, unsigned char header[HEADER_BYTES])
{
    memcpy(header, file_magic, sizeof file_magic);
    put_number(header + 8, 4, FILE_FORMAT);
    put_number(header + 12, 4, library_number());
    put_number(header + 16, 8, upc_identity_hash(&context->facts.info, true, 1));
    put_number(header + 24, 8, upc_identity_hash(&context->facts.info, true, 2));
    const uint64_t checksum = upc_hash(header, 32, FILE_FORMAT);
    put_number(header + 32, 8, checksum);
    return checksum;
}

static void make_entry_header(unsigned char header[ENTRY_BYTES], int kind, const uint64_t key[2],
                              const void *bytes, size_t size, uint64_t seed)
{
    memcpy(header, entry_magic, sizeof entry_magic);
    put_number(header + 4, 4, (uint64_t)kind);
    put_number(header + 8, 8, key[0]);
    put_number(header + 16, 8, key[1]);
    put_number(header + 24, 8, size);
    put_number(header + 32, 8, upc_hash(bytes, size, seed));
    put_number(header + 40, 8, upc_hash(header, 40, seed));
}

// ---------------------------------------------------------------------------------------------------- export

static upconv_status write_entry(upconv_write_fn write, void *user, int kind, const uint64_t key[2],
                                 const void *bytes, size_t size, uint64_t seed)
{
    unsigned char header[ENTRY_BYTES];
    make_entry_header(header, kind, key, bytes, size, seed);
    if (write(user, header, sizeof header) || (size && write(user, bytes, size)))
        return upc_fail(UPCONV_ERROR_DATA, "the write callback stopped the export of the program cache");
    return UPCONV_OK;
}

static upconv_status write_driver_entry(upconv_context *context, upconv_write_fn write, void *user,
                                        uint64_t seed)
{
    static const uint64_t key[2] = {0, 0};
    if (!context->device || atomic_load(&context->device->state) != UPCONV_OK ||
        !context->backend->driver_cache_get)
        return UPCONV_OK;
    size_t size = 0;
    void *bytes = context->backend->driver_cache_get(context->device, &size);
    if (!bytes)
        return UPCONV_OK;
    const upconv_status status = write_entry(write, user, KIND_DRIVER, key, bytes, size, seed);
    upc_free(&context->env, bytes);
    return status;
}

// What the bag holds now, each entry with a reference.
static upconv_status snapshot(const upc_env *env, cache_entry ***entries, size_t *count)
{
    struct upc_cache *cache = env->cache;
    pthread_mutex_lock(&cache->lock);
    const size_t held = cache->count;
    cache_entry **copy = upc_alloc_array(env, held, sizeof *copy);
    for (size_t i = 0; copy && i < held; i++) {
        copy[i] = cache->entries[i];
        atomic_fetch_add(&copy[i]->references, 1);
    }
    pthread_mutex_unlock(&cache->lock);
    if (!copy)
        return upc_no_memory(held * sizeof *copy);
    *entries = copy;
    *count = held;
    return UPCONV_OK;
}

upconv_status upconv_cache_export(upconv_context *context, upconv_write_fn write, void *user)
{
    if (!context || !write)
        return upc_fail(UPCONV_ERROR_INVALID,
                        "%s is NULL; upconv_cache_export needs a context and a write callback",
                        context ? "write" : "context");
    upconv_status status = upc_context_usable(context);
    if (status != UPCONV_OK)
        return status;
    cache_entry **entries = NULL;
    size_t count = 0;
    if ((status = snapshot(&context->env, &entries, &count)) != UPCONV_OK)
        return status;
    unsigned char header[HEADER_BYTES];
    const uint64_t seed = make_header(context, header);
    if (write(user, header, sizeof header))
        status = upc_fail(UPCONV_ERROR_DATA, "the write callback stopped the export of the program cache");
    for (size_t i = 0; i < count; i++) {
        const cache_entry *entry = entries[i];
        if (status == UPCONV_OK)
            status = write_entry(write, user, KIND_PROGRAM, entry->key, entry->bytes, entry->size, seed);
        entry_release(&context->env, entries[i]);
    }
    upc_free(&context->env, entries);
    return status == UPCONV_OK ? write_driver_entry(context, write, user, seed) : status;
}

// ---------------------------------------------------------------------------------------------------- import

typedef struct cache_reader {
    upconv_context *context;
    const unsigned char *data;
    size_t size;
    uint64_t seed;
    size_t used, skipped; // entries
} cache_reader;

static void skip(cache_reader *reader, size_t at, const char *why)
{
    reader->skipped++;
    atomic_fetch_add(&reader->context->env.counts.skipped_blobs, 1);
    upc_log(&reader->context->env, UPCONV_LOG_WARNING, "program cache, byte %zu: %s; skipped", at, why);
}

// NULL when the header is ours, else why not.
static const char *refuse_header(cache_reader *reader)
{
    const unsigned char *data = reader->data;
    unsigned char ours[HEADER_BYTES];
    reader->seed = make_header(reader->context, ours);
    if (reader->size < HEADER_BYTES)
        return "shorter than a header";
    if (memcmp(data, ours, 8))
        return "not a program cache of upconv";
    if (memcmp(data + 8, ours + 8, 4))
        return "another format version";
    if (get_number(data + 32, 8) != upc_hash(data, 32, FILE_FORMAT))
        return "damaged header";
    if (memcmp(data + 12, ours + 12, 4))
        return "made by another version of upconv";
    if (memcmp(data + 16, ours + 16, 16))
        return "made for another device or driver";
    return NULL;
}

static bool entry_header_at(const cache_reader *reader, size_t at)
{
    const unsigned char *header = reader->data + at;
    return reader->size - at >= ENTRY_BYTES && !memcmp(header, entry_magic, sizeof entry_magic) &&
           get_number(header + 40, 8) == upc_hash(header, 40, reader->seed);
}

// After damage lengths mean nothing: the next entry is where a whole entry header is, or the end.
static size_t next_entry(const cache_reader *reader, size_t at)
{
    while (at < reader->size && !entry_header_at(reader, at)) {
        const unsigned char *found = memchr(reader->data + at + 1, entry_magic[0], reader->size - at - 1);
        at = found ? (size_t)(found - reader->data) : reader->size;
    }
    return at;
}

static void use_driver_entry(cache_reader *reader, size_t at, const unsigned char *bytes, size_t size)
{
    upconv_context *context = reader->context;
    const bool open = context->device && atomic_load(&context->device->state) == UPCONV_OK;
    if (open && context->backend->driver_cache_set &&
        context->backend->driver_cache_set(context->device, bytes, size))
        reader->used++;
    else
        skip(reader, at, "the driver does not take its own cache back");
}

// An entry whose header is whole. false: out of memory. *next is where to go on.
static bool use_entry(cache_reader *reader, size_t at, size_t *next)
{
    const unsigned char *header = reader->data + at, *bytes = header + ENTRY_BYTES;
    const uint64_t key[2] = {get_number(header + 8, 8), get_number(header + 16, 8)};
    const uint64_t kind = get_number(header + 4, 4), size = get_number(header + 24, 8);
    const bool cut = size > reader->size - at - ENTRY_BYTES;
    if (cut || upc_hash(bytes, (size_t)size, reader->seed) != get_number(header + 32, 8)) {
        skip(reader, at, cut ? "the file ends within an entry" : "the entry's checksum is wrong");
        *next = next_entry(reader, at + ENTRY_BYTES);
        return true;
    }
    *next = at + ENTRY_BYTES + (size_t)size;
    if (kind == KIND_DRIVER) {
        use_driver_entry(reader, at, bytes, (size_t)size);
        return true;
    }
    if (kind != KIND_PROGRAM) {
        skip(reader, at, "the entry is of an unknown kind");
        return true;
    }
    upc_env *env = &reader->context->env;
    cache_entry *entry = entry_create(env, key, bytes, (size_t)size);
    if (!entry || !put(env, env->cache, entry, false))
        return false;
    reader->used++;
    return true;
}

upconv_status upconv_cache_import(upconv_context *context, const void *data, size_t size)
{
    if (!context || !data)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL; upconv_cache_import needs a context and data",
                        context ? "data" : "context");
    const upconv_status status = upc_context_usable(context);
    if (status != UPCONV_OK)
        return status;
    cache_reader reader = {.context = context, .data = data, .size = size};
    const char *why = refuse_header(&reader);
    if (why) {
        skip(&reader, 0, why);
        return upc_fail(UPCONV_ERROR_DATA, "the program cache of %zu bytes cannot be used: %s", size, why);
    }
    for (size_t at = HEADER_BYTES; at < size;) {
        if (!entry_header_at(&reader, at)) {
            skip(&reader, at,
                 size - at < ENTRY_BYTES ? "the file ends within an entry" : "damaged entry header");
            at = next_entry(&reader, at);
        } else if (!use_entry(&reader, at, &at)) {
            return upc_no_memory(size);
        }
    }
    if (!reader.used && reader.skipped)
        return upc_fail(UPCONV_ERROR_DATA,
                        "none of the %zu entries of the program cache (%zu bytes) can be used",
                        reader.skipped, size);
    return UPCONV_OK;
}
