// Rows of a recipe. Reading goes through the compile's tensor reader, which converts to f32 and
// rejects NaN and Inf.
#include "codegen/pack/rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool check_source(hone_rows_t *rows, size_t index, hone_status_t *status) {
  const ir_recipe_t *recipe = rows->recipe;
  const char *name = recipe->sources[index];
  int64_t N = 0, K = 0;
  hone_storage_t storage = HONE_F32;
  if (!rows->reader->shape(rows->source, name, &N, &K, &storage, status))
    return hone_note(status, "recipe %s", recipe->name);
  if (K != recipe->K)
    return hone_fail(status, HONE_INVALID,
                     "recipe %s: tensor %s has %" PRId64 " columns, the recipe wants %" PRId64,
                     recipe->name, name, K, recipe->K);
  rows->source_rows[index] = N;
  return true;
}

// All of it.
static bool read_gain(hone_rows_t *rows, hone_status_t *status) {
  const ir_recipe_t *recipe = rows->recipe;
  int64_t N = 0, K = 0;
  hone_storage_t storage = HONE_F32;
  if (!recipe->gain) return true;
  if (!rows->reader->shape(rows->source, recipe->gain, &N, &K, &storage, status))
    return hone_note(status, "recipe %s", recipe->name);
  if (K != 1 || N != recipe->K)
    return hone_fail(status, HONE_INVALID,
                     "recipe %s: gain %s is (%" PRId64 ", %" PRId64 "), the recipe has %" PRId64
                     " columns",
                     recipe->name, recipe->gain, N, K, recipe->K);
  rows->gain = malloc((size_t)recipe->K * sizeof *rows->gain);
  if (!rows->gain)
    return hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory for its gain", recipe->name);
  if (rows->reader->read_rows(rows->source, recipe->gain, 0, N, rows->gain, status)) return true;
  hone_rows_close(rows);
  return hone_note(status, "recipe %s", recipe->name);
}

void hone_rows_close(hone_rows_t *rows) {
  free(rows->gain);
  rows->gain = NULL;
}

bool hone_rows_open(const hone_tensor_reader_t *reader, void *source, const ir_recipe_t *recipe,
                    hone_rows_t *out_rows, hone_status_t *status) {
  hone_rows_t rows = {
      .reader = reader, .source = source, .recipe = recipe, .N = recipe->N, .K = recipe->K};
  size_t count = recipe->source_count;
  if (count == 0 && recipe->corrects) {  // zeros
    *out_rows = rows;
    return true;
  }
  if (count == 0 || count > IR_SOURCE_LIMIT || (recipe->combine == IR_SINGLE && count != 1) ||
      (recipe->combine == IR_INTERLEAVE && count != 2))
    return hone_fail(status, HONE_INVALID, "recipe %s: %zu sources do not fit its combination",
                     recipe->name, count);
  int64_t total = 0;
  for (size_t i = 0; i < count; i++) {
    if (!check_source(&rows, i, status)) return false;
    if (__builtin_add_overflow(total, rows.source_rows[i], &total))
      return hone_fail(status, HONE_INVALID, "recipe %s: too many rows", recipe->name);
  }
  if (total != recipe->N)
    return hone_fail(status, HONE_INVALID,
                     "recipe %s: its sources have %" PRId64 " rows, the recipe wants %" PRId64,
                     recipe->name, total, recipe->N);
  if (recipe->combine == IR_INTERLEAVE && rows.source_rows[0] != rows.source_rows[1])
    return hone_fail(status, HONE_INVALID,
                     "recipe %s interleaves %s (%" PRId64 " rows) and %s (%" PRId64
                     " rows): they must be equal",
                     recipe->name, recipe->sources[0], rows.source_rows[0], recipe->sources[1],
                     rows.source_rows[1]);
  if (!read_gain(&rows, status)) return false;
  *out_rows = rows;
  return true;
}

static bool read_source(const hone_rows_t *rows, size_t index, int64_t first, int64_t count,
                        float *buffer, hone_status_t *status) {
  const char *name = rows->recipe->sources[index];
  if (!rows->reader->read_rows(rows->source, name, first, count, buffer, status))
    return hone_note(status, "recipe %s", rows->recipe->name);
  for (int64_t i = 0; i < count && rows->gain; i++, buffer += rows->K)
    for (int64_t k = 0; k < rows->K; k++) buffer[k] *= rows->gain[k];
  return true;
}

bool hone_rows_read(const hone_rows_t *rows, int64_t first, int64_t count, float *buffer,
                    hone_status_t *status) {
  if (rows->recipe->source_count == 0)
    memset(buffer, 0, (size_t)(count * rows->K) * sizeof *buffer);
  if (rows->recipe->combine == IR_INTERLEAVE && rows->recipe->source_count > 0) {
    int64_t half = count / 2;
    return read_source(rows, 0, first / 2, half, buffer, status) &&
           read_source(rows, 1, first / 2, half, buffer + half * rows->K, status);
  }
  int64_t begin = 0;  // of the current source, in the recipe's rows
  for (size_t i = 0; i < rows->recipe->source_count && count > 0; i++) {
    int64_t end = begin + rows->source_rows[i];
    int64_t part = end - first < count ? end - first : count;
    if (part > 0) {
      if (!read_source(rows, i, first - begin, part, buffer, status)) return false;
      buffer += part * rows->K;
      first += part;
      count -= part;
    }
    begin = end;
  }
  return true;
}

void hone_rows_source(const hone_rows_t *rows, int64_t row, const char **out_source,
                      int64_t *out_row) {
  size_t source = 0;
  if (rows->recipe->combine == IR_INTERLEAVE) {
    source = (size_t)(row & 1);
    row /= 2;
  } else {
    while (row >= rows->source_rows[source]) row -= rows->source_rows[source++];
  }
  *out_source = rows->recipe->sources[source];
  *out_row = row;
}
