// IEEE 754 half precision in 16-bit integers, for host memory. Rounds to nearest, ties to even; subnormals, infinities
// and NaN come through (a NaN quiet, with the upper bits of its payload); what is too large becomes infinity.
#ifndef UPC_HALF_H
#define UPC_HALF_H

#include <stddef.h>
#include <stdint.h>

uint16_t upc_half_from(float value);
float upc_half_to(uint16_t half);

// `count` of them, in vectors where the compiler can; to and from must not overlap.
void upc_half_from_many(uint16_t *to, const float *from, size_t count);
void upc_half_to_many(float *to, const uint16_t *from, size_t count);

#endif
