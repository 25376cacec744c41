// Rows of a recipe: reads the source tensors a weight is made of and puts their rows in the
// recipe's order (single, concatenated, interleaved), times its gain. What a correction adds comes
// later (pack.h). Values stay f32; nothing is
// quantized here.
// Thread rule: hone_rows_open on one thread, then any number of readers.
#ifndef HONE_CODEGEN_PACK_ROWS_H
#define HONE_CODEGEN_PACK_ROWS_H

#include "passes/pipeline.h"

typedef struct hone_rows {
  const hone_tensor_reader_t *reader;
  void *source;  // the opened checkpoint, for the reader
  const ir_recipe_t *recipe;
  int64_t N, K;
  int64_t source_rows[IR_SOURCE_LIMIT];
  float *gain;  // (K), multiplies all rows; NULL: none
} hone_rows_t;

// Checks that the sources exist and add up to the recipe's (N, K), and reads its gain. HONE_INVALID
// names recipe, tensor and both shapes.
HONE_MUST_CHECK bool hone_rows_open(const hone_tensor_reader_t *reader, void *source,
                                    const ir_recipe_t *recipe, hone_rows_t *out_rows,
                                    hone_status_t *status);

void hone_rows_close(hone_rows_t *rows);  // also of zeros

// Reads rows [first, first + count) into buffer (count, K); `first` and, when interleaving, `count`
// are even. Row i of the range is then at hone_rows_at: interleaved sources are read as two blocks,
// not shuffled.
HONE_MUST_CHECK bool hone_rows_read(const hone_rows_t *rows, int64_t first, int64_t count,
                                    float *buffer, hone_status_t *status);

// Where row `row` of the recipe comes from.
void hone_rows_source(const hone_rows_t *rows, int64_t row, const char **out_source,
                      int64_t *out_row);

static inline const float *hone_rows_at(const hone_rows_t *rows, const float *buffer, int64_t count,
                                        int64_t i) {
  if (rows->recipe->combine == IR_INTERLEAVE) i = (i & 1) * (count / 2) + i / 2;
  return buffer + i * rows->K;
}

#endif
