#include "packing.h"

#include <string.h>

#include "../host.h"
#include "../util/half.h"

// A tile of a panel (some taps, some inner) is what a thread does at a time; it is small enough for the first cache.
// Within it, lines of the result are written whole one after the other, because distances in weights are often powers
// of two, for which a cache keeps few lines at a time.
enum {
    TILE = 4096, // most elements, of a buffer
    MOST_TAPS = 16,
    MOST_INNER = 64,
    FEW_INNER = 16,            // where each is a piece of its own in the source
    LINE = 16,                 // elements of a cache's line
    THREAD_BYTES = 512 * 1024, // that make another thread worth its start
};

// What the source has side by side.
typedef enum along { ALONG_TAPS, ALONG_INNER, ALONG_COLUMNS, ALONG_NOTHING } along;

typedef struct job {
    const upc_pack_map *p;
    const float *from;
    void *to;
    along along;
    bool inner_first;           // the source's rows are inner: panels go within tiles of inner
    int64_t inner, inner_tiles; // of a tile; how many
    int64_t tap_tiles;
} job;

typedef struct tile {
    int64_t group, panel, tap, taps, inner, inners; // first, count
} tile;

static const float zeros[UPC_MAX(MOST_TAPS, MOST_INNER)];

// ----------------------------------------------------------------------------------------------------- vectors of four

typedef float vec4 __attribute__((vector_size(16), aligned(4), may_alias));

#if defined(__clang__) || __GNUC__ >= 12
#define MIX(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t index4 __attribute__((vector_size(16)));
#define MIX(a, b, i, j, k, l) __builtin_shuffle(a, b, (index4){i, j, k, l})
#endif

// r-th of the results = (a[r], b[r], c[r], d[r]).
static inline void transpose4(const float *a, const float *b, const float *c, const float *d, float *to0, float *to1,
                              float *to2, float *to3)
{
    const vec4 w = *(const vec4 *)a, x = *(const vec4 *)b, y = *(const vec4 *)c, z = *(const vec4 *)d;
    const vec4 wx_low = MIX(w, x, 0, 4, 1, 5), wx_high = MIX(w, x, 2, 6, 3, 7);
    const vec4 yz_low = MIX(y, z, 0, 4, 1, 5), yz_high = MIX(y, z, 2, 6, 3, 7);
    *(vec4 *)to0 = MIX(wx_low, yz_low, 0, 1, 4, 5);
    *(vec4 *)to1 = MIX(wx_low, yz_low, 2, 3, 6, 7);
    *(vec4 *)to2 = MIX(wx_high, yz_high, 0, 1, 4, 5);
    *(vec4 *)to3 = MIX(wx_high, yz_high, 2, 3, 6, 7);
}

static inline void gather4(const float *a, const float *b, const float *c, const float *d, float *to)
{
    *(vec4 *)to = (vec4){*a, *b, *c, *d};
}

// --------------------------------------------------------------------------------------------------------------- tiles

static const int64_t *columns_of(const upc_pack_map *p, const tile *t) { return p->column + t->panel * p->columns; }

// Inner number t->inner of tap 0 and column 0.
static const float *source_of(const job *j, const tile *t)
{
    return j->from + t->group * j->p->from_group + t->inner * j->p->from_inner;
}

static const uint8_t *missing_of(const upc_pack_map *p, const tile *t, int64_t tap)
{
    const uint8_t *row = p->missing ? p->missing + (tap * p->panels + t->panel) * p->columns : NULL;
    return row && memchr(row, 1, (size_t)p->columns) ? row : NULL;
}

// One tap of a tile, wherever its elements are.
static void gather_any(const job *j, const tile *t, int64_t tap, float *to, int64_t step)
{
    const upc_pack_map *p = j->p;
    const int64_t *column = columns_of(p, t);
    const uint8_t *missing = missing_of(p, t, tap);
    const float *from = source_of(j, t) + p->tap[tap].from;
    bool holes = missing != NULL;
    for (int64_t c = 0; c < p->columns; c++)
        holes = holes || column[c] < 0;
    for (int64_t i = 0; i < t->inners; i++, from += p->from_inner, to += step)
        if (holes)
            for (int64_t c = 0; c < p->columns; c++)
                to[c] = column[c] < 0 || (missing && missing[c]) ? 0 : from[column[c]];
        else
            for (int64_t c = 0; c < p->columns; c++)
                to[c] = from[column[c]];
}

// The same where a column's inner are side by side.
static void gather_inner(const job *j, const tile *t, int64_t tap, float *to, int64_t step)
{
    const upc_pack_map *p = j->p;
    const int64_t *column = columns_of(p, t);
    const uint8_t *missing = missing_of(p, t, tap);
    const float *from = source_of(j, t) + p->tap[tap].from;
    for (int64_t c = 0; c < p->columns; c += 4) {
        const float *at[4];
        for (int64_t k = c; k < c + 4; k++)
            at[k - c] = column[k] < 0 || (missing && missing[k]) ? zeros : from + column[k];
        const float *w = at[0], *x = at[1], *y = at[2], *z = at[3];
        float *row = to + c;
        int64_t i = 0;
        for (; i + 4 <= t->inners; i += 4, row += 4 * step)
            transpose4(w + i, x + i, y + i, z + i, row, row + step, row + 2 * step, row + 3 * step);
        for (; i < t->inners; i++, row += step)
            gather4(w + i, x + i, y + i, z + i, row);
    }
}

// The same where columns are side by side.
static void gather_columns(const job *j, const tile *t, int64_t tap, float *to, int64_t step)
{
    const upc_pack_map *p = j->p;
    const float *from = source_of(j, t) + p->tap[tap].from + columns_of(p, t)[0];
    for (int64_t i = 0; i < t->inners; i++, from += p->from_inner)
        memcpy(to + i * step, from, (size_t)p->columns * sizeof *to);
}

// The distance between the columns of a panel where it is the same for all, and none is zeros; else 0.
static int64_t spacing(const upc_pack_map *p, const int64_t *column)
{
    const int64_t step = column[1] - column[0];
    bool even = column[0] >= 0 && step > 0;
    for (int64_t c = 1; c < p->columns && even; c++)
        even = column[c] == column[c - 1] + step;
    return even ? step : 0;
}

// Four taps of some inner of a tile, where a column's taps are side by side; to: one of each tap.
static void gather_taps4(const upc_pack_map *p, const int64_t *column, int64_t apart, const float *from, int64_t inners,
                         float *const to[4], int64_t step)
{
    float *r0 = to[0], *r1 = to[1], *r2 = to[2], *r3 = to[3];
    for (int64_t i = 0; i < inners; i++, from += p->from_inner, r0 += step, r1 += step, r2 += step, r3 += step) {
        const float *at = from + column[0];
        if (apart) {
            for (int64_t c = 0; c < p->columns; c += 4, at += 4 * apart)
                transpose4(at, at + apart, at + 2 * apart, at + 3 * apart, r0 + c, r1 + c, r2 + c, r3 + c);
            continue;
        }
        for (int64_t c = 0; c < p->columns; c += 4) {
            const float *each[4];
            for (int64_t k = c; k < c + 4; k++)
                each[k - c] = column[k] < 0 ? zeros : from + column[k];
            transpose4(each[0], each[1], each[2], each[3], r0 + c, r1 + c, r2 + c, r3 + c);
        }
    }
}

// Rows of the source that come next: short pieces far apart, which no processor foresees. They may lie beyond the
// source's end, so they are counted as numbers: no pointer may point there, even if it is only asked for.
static void ask_ahead(const upc_pack_map *p, const int64_t *column, const float *from, int64_t first, int64_t inners,
                      int64_t taps)
{
    const int64_t skip = UPC_MAX(LINE / taps, 1); // columns of a line
    for (int64_t i = first; i < first + inners; i++)
        for (int64_t c = 0; c < p->columns; c += skip) {
            const uintptr_t at = (uintptr_t)from + (uintptr_t)(i * p->from_inner + column[c]) * sizeof *from;
            __builtin_prefetch((const void *)at);
        }
}

// All taps of a tile, four or more, where a column's taps are side by side. As many inner at a time as fill whole lines
// of the result. The last four taps may overlap those before.
static void gather_taps(const job *j, const tile *t, float *const to[MOST_TAPS], int64_t step)
{
    const upc_pack_map *p = j->p;
    const int64_t *column = columns_of(p, t), apart = spacing(p, column), lines = UPC_MAX(LINE / p->columns, 1);
    const float *from = source_of(j, t) + p->tap[t->tap].from;
    for (int64_t i = 0; i < t->inners; i += lines) {
        ask_ahead(p, column, from, i + lines, lines, t->taps);
        for (int64_t k = 0; k < t->taps; k += 4) {
            const int64_t first = UPC_MIN(k, t->taps - 4);
            float *const row[4] = {to[first] + i * step, to[first + 1] + i * step, to[first + 2] + i * step,
                                   to[first + 3] + i * step};
            gather_taps4(p, column, apart, from + i * p->from_inner + first, UPC_MIN(lines, t->inners - i), row, step);
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ one tile

static int64_t result_at(const upc_pack_map *p, const tile *t, int64_t tap)
{
    return t->group * p->to_group + t->panel * p->to_panel + p->tap[tap].to + t->inner * p->to_inner;
}

// A tap's [inner][column] from a buffer to where it belongs, as halves.
static void put(const job *j, const tile *t, int64_t tap, const float *from)
{
    const upc_pack_map *p = j->p;
    const bool whole = p->to_inner == p->columns;
    const size_t count = (size_t)(whole ? t->inners * p->columns : p->columns);
    uint16_t *to = (uint16_t *)j->to + result_at(p, t, tap);
    for (int64_t i = 0; i < (whole ? 1 : t->inners); i++, to += p->to_inner, from += p->columns)
        upc_half_from_many(to, from, count);
}

// Whether columns of this tap and panel are side by side, none of them zeros.
static bool unbroken(const upc_pack_map *p, const tile *t, int64_t tap)
{
    const int64_t *column = columns_of(p, t);
    return column[0] >= 0 && column[p->columns - 1] == column[0] + p->columns - 1 && !missing_of(p, t, tap);
}

static void pack_tap(const job *j, const tile *t, int64_t tap, float *to, int64_t step)
{
    if (j->along == ALONG_COLUMNS && unbroken(j->p, t, tap))
        gather_columns(j, t, tap, to, step);
    else if (j->along == ALONG_INNER)
        gather_inner(j, t, tap, to, step);
    else
        gather_any(j, t, tap, to, step);
}

static void pack_tile(const job *j, const tile *t)
{
    float buffer[TILE];
    const upc_pack_map *p = j->p;
    const bool taps = j->along == ALONG_TAPS && t->taps >= 4;
    const int64_t step = p->half ? p->columns : p->to_inner;
    float *to[MOST_TAPS];
    for (int64_t k = 0; k < t->taps; k++)
        to[k] = p->half ? buffer + (taps ? k : 0) * t->inners * step : (float *)j->to + result_at(p, t, t->tap + k);
    if (taps)
        gather_taps(j, t, to, step);
    for (int64_t k = 0; k < t->taps; k++) {
        if (!taps)
            pack_tap(j, t, t->tap + k, to[k], step);
        if (p->half)
            put(j, t, t->tap + k, to[k]);
    }
}

// ----------------------------------------------------------------------------------------------------------------- all

static void work(void *data, int64_t index, int thread)
{
    (void)thread;
    const job *j = data;
    const upc_pack_map *p = j->p;
    tile t = {0};
    int64_t inner;
    t.tap = index % j->tap_tiles * MOST_TAPS;
    index /= j->tap_tiles;
    if (j->inner_first) {
        t.panel = index % p->panels;
        inner = index / p->panels % j->inner_tiles;
    } else {
        inner = index % j->inner_tiles;
        t.panel = index / j->inner_tiles % p->panels;
    }
    t.group = index / j->inner_tiles / p->panels;
    t.inner = inner * j->inner;
    t.inners = UPC_MIN(j->inner, p->inner - t.inner);
    t.taps = UPC_MIN(MOST_TAPS, p->taps - t.tap);
    pack_tile(j, &t);
}

static along along_of(const upc_pack_map *p)
{
    const bool fours = p->columns % 4 == 0;
    bool taps = fours && p->taps >= 4 && !p->missing && p->columns <= TILE / MOST_TAPS, columns = p->columns > 1;
    for (int64_t k = 1; k < p->taps && taps; k++)
        taps = p->tap[k].from == p->tap[k - 1].from + 1;
    // judged by the first panel: one that differs, at a group's end, is gathered one by one
    for (int64_t c = 1; c < p->columns && columns; c++)
        columns = p->column[c] == p->column[c - 1] + 1;
    if (columns)
        return ALONG_COLUMNS;
    if (fours && p->from_inner == 1)
        return ALONG_INNER;
    return taps ? ALONG_TAPS : ALONG_NOTHING;
}

void upc_pack_run(const upc_pack_map *p, const float *from, void *to)
{
    job j = {.p = p, .from = from, .to = to, .along = along_of(p)};
    const int64_t taps = j.along == ALONG_TAPS ? UPC_MIN(p->taps, MOST_TAPS) : 1;
    j.inner = UPC_MAX(UPC_MIN(j.along == ALONG_INNER ? MOST_INNER : FEW_INNER, TILE / (taps * p->columns)), 1);
    j.inner_tiles = upc_ceil_div(p->inner, j.inner);
    j.tap_tiles = upc_ceil_div(p->taps, MOST_TAPS);
    j.inner_first = p->panels * p->columns > 1 && p->from_inner > UPC_MAX(p->column[1], 0);
    const int64_t bytes = p->groups * p->panels * p->columns * p->taps * p->inner * (int64_t)sizeof(float);
    const int64_t threads = UPC_MAX(UPC_MIN(upc_processors(), bytes / THREAD_BYTES), 1);
    upc_parallel((int)threads, p->groups * p->panels * j.inner_tiles * j.tap_tiles, work, &j);
}
