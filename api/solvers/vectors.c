#include "vectors.h"

#include <stdio.h>

const int32_t upc_vector_widths[UPC_VECTOR_WIDTHS] = {4, 8, 16};

int32_t upc_vector_guess(const upc_facts *facts)
{
    if (facts->info.backend != UPCONV_BACKEND_OPENCL)
        return 4;
    return facts->vector_floats >= 16 ? 16 : facts->vector_floats >= 8 ? 8 : 4;
}

int32_t upc_vector_group(const upc_facts *facts, int64_t items)
{
    int32_t group = 1;
    char sentence[UPC_SENTENCE];
    while (group < 8 && group < items && !upc_group_legal(facts, group * 2, 1, sentence))
        group *= 2;
    return group;
}

const char *upc_vector_legal(const upc_facts *facts, int32_t width, char *sentence)
{
    if (width == 4 || facts->info.backend == UPCONV_BACKEND_OPENCL)
        return NULL;
    snprintf(sentence, UPC_SENTENCE, "vectors of %d elements are OpenCL's; here they have 4", width);
    return sentence;
}

const char *upc_vector_refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    if (facts->info.backend == UPCONV_BACKEND_CPU) {
        snprintf(sentence, UPC_SENTENCE, "it has no plain C version");
        return sentence;
    }
    return upc_gather_refuse(problem, true, sentence);
}

void upc_vector_surround(const upc_problem *problem, int64_t tile, int64_t front[3], int64_t back[3])
{
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        int64_t q0, q1, least, most;
        upc_taps_range(axis, &q0, &q1);
        upc_taps_reach(axis, q0, a == 2 ? q0 + upc_ceil_div(q1 - q0 + 1, tile) * tile - 1 : q1, &least, &most);
        front[a] = UPC_MAX(0, -least);
        back[a] = UPC_MAX(0, most - (axis->in - 1));
    }
}

bool upc_vector_dense(const upc_problem *problem) { return problem->in.pack == 1 && problem->in.axis[2] == 1; }

enum {
    CYCLES_PER_US = 3000,
    BYTES_PER_US = 16000, // of a core, from the cache that all share or from memory
    COPIED_PER_US = 4000,
    CACHE = 384 << 10,    // of a core's own, what a kernel can count on
};

double upc_vector_us(const upc_facts *facts, const upc_vector_work *work)
{
    const double cores = facts->info.compute_units ? (double)facts->info.compute_units : 1;
    const double computing = work->items * work->cycles / CYCLES_PER_US, reading = work->read_bytes / BYTES_PER_US;
    // half of what is read hides behind the arithmetic, or the other way round
    const double both = UPC_MAX(computing, reading) + UPC_MIN(computing, reading) / 2;
    const double copying = work->staged_bytes > 0 ? work->staged_bytes / COPIED_PER_US / cores + 10 : 0;
    // items go to cores in whole work-groups
    return both / UPC_MIN(cores, UPC_MAX(work->items / 8, 1)) + copying + 15;
}

double upc_vector_spills(const upc_facts *facts, int32_t width, double sums)
{
    const int32_t own = upc_vector_guess(facts);
    const double parts = width > own ? (double)(width / own) : 1, most = own == 16 ? 24 : 12;
    const double wasted = width < own ? (double)(own / width) : 1;
    return parts * (sums * parts > most ? 1.2 * sums * parts / most : 1) * UPC_MIN(wasted, 1.05);
}

double upc_vector_traffic(const upc_problem *problem, int order, double passes, double lines)
{
    const double in = (double)upc_input_elements(problem) * 4, out = (double)upc_output_elements(problem) * 4;
    const double weights = (double)upc_weights_elements(problem) * 4;
    if (order == 0)
        return weights + out + (in > CACHE ? in * passes : in);
    return in + out + (weights > CACHE ? weights * lines : weights);
}
