// Times: by the device's own clock, in turn with a fixed reference, so that a drift of clocks hits both alike.
#include "bed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PAIRS = 41, LEAST_PAIRS = 3, WINDOW = 5 };

static const double batch_us = 2000; // what a sample takes at least, if 64 submissions come to that
static const double settled = 0.02;  // difference of two windows of samples
static const uint64_t heat_steady_ns = 20000000000u, heat_most_ns = 180000000000u;

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_size);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static int batch_of(double us)
{
    const double wanted = us > 0 ? ceil(batch_us / us) : 1;
    return wanted < 1 ? 1 : wanted > 64 ? 64 : (int)wanted;
}

static upconv_status window(const upc_bed *bed, upconv_plan *plan, int batch, double *us)
{
    double times[WINDOW];
    upconv_status status = UPCONV_OK;
    for (int i = 0; i < WINDOW && !status; i++)
        status = upc_bed_run(bed, plan, batch, &times[i]);
    if (!status)
        *us = median(times, WINDOW);
    return status;
}

upconv_status upc_bench_settle(const upc_bed *bed, upconv_plan *plan, int64_t most_ns)
{
    const uint64_t start = upc_now_ns();
    double us, before = 0;
    upconv_status status = upc_bed_run(bed, plan, 1, &us);
    const int batch = batch_of(us);
    while (!status && !(status = window(bed, plan, batch, &us))) {
        if ((before > 0 && fabs(us - before) <= settled * before) || upc_now_ns() - start >= (uint64_t)most_ns)
            break;
        before = us;
    }
    return status;
}

upconv_status upc_bench_heat(const upc_bed *bed, upconv_plan *plan)
{
    const uint64_t start = upc_now_ns();
    uint64_t now = start, slowed = start;
    double us, slowest = 0;
    upconv_status status = upc_bed_run(bed, plan, 1, &us);
    const int batch = batch_of(us);
    while (!status && now - start < heat_most_ns && now - slowed < heat_steady_ns) {
        status = window(bed, plan, batch, &us);
        now = upc_now_ns();
        if (us > slowest * (1 + settled)) { // clocks fall step by step
            slowest = us;
            slowed = now;
        }
    }
    return status;
}

upconv_status upc_bench_pairs(const upc_bed *bed, upconv_plan *plan, upconv_plan *reference, const upc_rung *rung,
                              upc_outcome *outcome)
{
    double times[2][MOST_PAIRS], ratios[MOST_PAIRS], off[MOST_PAIRS], us[2];
    upconv_plan *const plans[2] = {plan, reference};
    upconv_status status = UPCONV_OK;
    for (int i = 0; i < 2 && !status; i++) // not counted
        status = upc_bed_run(bed, plans[i], 1, &us[i]);
    if (status)
        return status;
    const int batch[2] = {batch_of(us[0]), batch_of(us[1])};
    const uint64_t start = upc_now_ns();
    int count = 0;
    const int pairs = UPC_MIN(rung->pairs, MOST_PAIRS);
    while (count < pairs && (count < LEAST_PAIRS || upc_now_ns() - start < (uint64_t)rung->most_ns)) {
        for (int i = 0; i < 2; i++) { // each goes first every other time
            const int which = (i + count) % 2;
            if ((status = upc_bed_run(bed, plans[which], batch[which], &times[which][count])))
                return status;
        }
        ratios[count] = times[0][count] / UPC_MAX(times[1][count], 1e-3);
        count++;
    }
    outcome->ratio = median(ratios, count);
    for (int i = 0; i < count; i++)
        off[i] = fabs(ratios[i] - outcome->ratio);
    outcome->spread = outcome->ratio > 0 ? median(off, count) / outcome->ratio : 0;
    outcome->time_us = median(times[0], count);
    outcome->reference_us = median(times[1], count);
    outcome->samples = (uint32_t)count;
    return UPCONV_OK;
}
