// Weights and activation rows packed by plain C, from the layouts written in base/artefact.h, with
// the values they stand for beside them. Independent of the compiler's own packers.
#ifndef HONE_TESTS_CONFORMANCE_PACK_H
#define HONE_TESTS_CONFORMANCE_PACK_H

#include "tests/conformance/harness.h"

typedef struct packed {
  region_t region;
  double *values;       // (N, K): what the codes mean; nf4: by the exact table
  double *values_int8;  // (N, K): nf4 by its table rounded to 1/127, as the q8 path multiplies it;
                        // else = values
} packed_t;
packed_t pack_weight(hone_storage_t storage, uint32_t N, uint32_t K, uint64_t *random);
void packed_destroy(packed_t *packed);

typedef struct rows {
  region_t region;
  double *values;  // (M, K)
} rows_t;
rows_t pack_rows(hone_storage_t storage, uint32_t M, uint32_t K, uint64_t *random);
void rows_destroy(rows_t *rows);
// An f32 vector of K random values, padded with zeros.
region_t pack_vector(uint32_t K, uint64_t *random);

float half_to_float(uint16_t half);
uint16_t float_to_half(float value);  // nearest even; finite values in f16's range

#endif
