// The filter has a few dozen to a few thousand numbers, so the optimiser works on the host: what it does takes
// microseconds, and nothing but filter and gradient goes to and from the device. Its state is of double precision.
#include <math.h>

#include "train.h"

void train_adam_step(train_adam *adam, double rate, const float *gradient, float *weights)
{
    const double epsilon = 1e-8;
    adam->steps++;
    // Both means begin at zero; these divisors take out what that does to them.
    const double whole1 = 1 - pow(adam->beta1, (double)adam->steps), whole2 = 1 - pow(adam->beta2, (double)adam->steps);
    for (size_t i = 0; i < adam->count; i++) {
        const double g = (double)gradient[i], w = (double)weights[i];
        adam->mean[i] += (1 - adam->beta1) * (g - adam->mean[i]);
        adam->square[i] += (1 - adam->beta2) * (g * g - adam->square[i]);
        const double step = adam->mean[i] / whole1 / (sqrt(adam->square[i] / whole2) + epsilon);
        const double away = w - (adam->anchor ? (double)adam->anchor[i] : 0);
        weights[i] = (float)(w - rate * (step + adam->decay * away));
    }
}
