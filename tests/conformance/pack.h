// Weights packed by plain C from the layouts of base/packed.h, and activation rows from
// base/artefact.h, with the values they stand for beside them. Independent of the compiler's own
// packers and tables.
#ifndef HONE_TESTS_CONFORMANCE_PACK_H
#define HONE_TESTS_CONFORMANCE_PACK_H

#include "tests/conformance/harness.h"

typedef struct packed {
  region_t region;
  double *values;       // (N, K): what the codes mean, by the exact levels
  double *values_int8;  // (N, K): by the levels rounded to integers, as q8 rows are multiplied
} packed_t;
packed_t pack_weight(hone_format_t format, uint32_t N, uint32_t K, uint64_t *random);
void packed_destroy(packed_t *packed);

// Every format with every group it allows, in the table's order; returns how many.
enum { FORMAT_LIMIT = 64 };
size_t list_formats(hone_format_t out[FORMAT_LIMIT]);

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
