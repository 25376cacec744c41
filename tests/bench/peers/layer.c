// Quantizes one matrix whose inputs are known, as `hone compile --calibrate` would: for studies of
// single layers of models that hone does not compile (layers.py).
//
//   layer FOLDER FORMAT SOLVER OUT
//
// FOLDER is a checkpoint with `weight` (N, K) and `moments` (K, K), the mean of x x^T over inputs
// x; SOLVER is none, scales, descent or gptq. Writes the (N, K) weights that the codes stand for to
// OUT as raw f32 and prints their bits per weight.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/pack/encode.h"
#include "frontend/checkpoint.h"

enum { ROWS = 256 };  // solved together

static const hone_tensor_reader_t reader = {.shape = hone_checkpoint_shape,
                                            .read_rows = hone_checkpoint_read_rows,
                                            .native = hone_checkpoint_native};

typedef struct layer {
  int64_t N, K;
  float *moments;       // (K, K)
  float *mean_squares;  // (K)
} layer_t;

static bool get_mean_squares(void *self, const char *source, const float **out,
                             hone_status_t *status) {
  (void)source, (void)status;
  *out = ((layer_t *)self)->mean_squares;
  return true;
}

static bool get_moments(void *self, const ir_recipe_t *recipe, hone_moment_set_t *out,
                        hone_status_t *status) {
  uint64_t K = (uint64_t)recipe->K;
  *out = (hone_moment_set_t){.second = malloc(K * K * sizeof(float))};
  if (!out->second) return hone_fail(status, HONE_EXHAUSTED, "no memory for the moments");
  memcpy(out->second, ((layer_t *)self)->moments, K * K * sizeof(float));
  return true;
}

static void replace_row(void *self, const char *source, int64_t row, const float *values) {
  (void)self, (void)source, (void)row, (void)values;  // nothing follows this layer
}

static bool open_layer(hone_checkpoint_t *checkpoint, layer_t *out, hone_status_t *status) {
  int64_t rows, columns;
  hone_storage_t storage;
  if (!hone_checkpoint_shape(checkpoint, "weight", &out->N, &out->K, &storage, status) ||
      !hone_checkpoint_shape(checkpoint, "moments", &rows, &columns, &storage, status))
    return false;
  if (rows != out->K || columns != out->K)
    return hone_fail(status, HONE_INVALID, "moments: (%lld, %lld) is expected", (long long)out->K,
                     (long long)out->K);
  uint64_t K = (uint64_t)out->K;
  out->moments = malloc(K * K * sizeof(float));
  out->mean_squares = malloc(K * sizeof(float));
  if (!out->moments || !out->mean_squares)
    return hone_fail(status, HONE_EXHAUSTED, "no memory for the moments");
  if (!hone_checkpoint_read_rows(checkpoint, "moments", 0, out->K, out->moments, status))
    return false;
  for (uint64_t k = 0; k < K; k++) out->mean_squares[k] = out->moments[k * K + k];
  return true;
}

static bool read_solver(const char *name, hone_solver_t *out, hone_status_t *status) {
  static const char *const names[] = {"scales", "descent", "gptq"};
  if (!strcmp(name, "none")) {
    out->statistics = NULL;
    return true;
  }
  for (int i = 0; i < 3; i++)
    if (!strcmp(name, names[i])) {
      out->method = i;
      return true;
    }
  return hone_fail(status, HONE_INVALID, "solver %s: none, scales, descent or gptq", name);
}

// Encodes all rows and writes what they stand for.
static bool write_rows(const hone_encoder_t *encoder, const hone_rows_t *rows, FILE *file,
                       hone_status_t *status) {
  const hone_quantizer_t *q = &encoder->quantizer;
  uint64_t per_row = (uint64_t)q->scale_count * q->planes;
  float *values = aligned_alloc(64, ROWS * q->Kp * sizeof *values);
  float *decoded = malloc(q->Kp * sizeof *decoded);
  uint8_t *codes = malloc(ROWS * q->Kp);
  uint16_t *scales = malloc(ROWS * per_row * sizeof *scales);
  hone_quant_error_t error = {0};
  bool ok = values && decoded && codes && scales;
  if (!ok) hone_fail(status, HONE_EXHAUSTED, "no memory for %d rows", ROWS);
  for (int64_t first = 0; first < rows->N && ok; first += ROWS) {
    int64_t count = rows->N - first < ROWS ? rows->N - first : ROWS;
    memset(values, 0, ROWS * q->Kp * sizeof *values);
    for (int64_t i = 0; i < count && ok; i++)
      ok = hone_rows_read(rows, first + i, 1, values + (uint64_t)i * q->Kp, status);
    if (ok && hone_encoder_rows(encoder, first, values, count, codes, scales, &error) != -1)
      ok = hone_fail(status, HONE_INVALID, "a scale overflows, or memory ran out");
    for (int64_t i = 0; i < count && ok; i++) {
      hone_quantizer_decode(q, (uint64_t)(first + i), codes + (uint64_t)i * q->Kp,
                            scales + (uint64_t)i * per_row, decoded);
      ok = fwrite(decoded, sizeof *decoded, q->K, file) == q->K ||
           hone_fail(status, HONE_IO, "cannot write");
    }
  }
  free(values);
  free(decoded);
  free(codes);
  free(scales);
  return ok;
}

static bool run(char **argv, hone_status_t *status) {
  hone_checkpoint_t *checkpoint = NULL;
  layer_t layer = {0};
  hone_statistics_t statistics = {.self = &layer,
                                  .mean_squares = get_mean_squares,
                                  .moments = get_moments,
                                  .replace = replace_row};
  hone_solver_t solver = {.statistics = &statistics, .sweeps = -1, .threads = 1};
  ir_recipe_t recipe = {.name = "weight", .sources = {"weight"}, .source_count = 1};
  hone_rows_t rows;
  hone_encoder_t encoder;
  bool ok =
      hone_format_parse(argv[2], &recipe.format, status) && read_solver(argv[3], &solver, status) &&
      hone_checkpoint_open(argv[1], &checkpoint, status) && open_layer(checkpoint, &layer, status);
  recipe.N = layer.N, recipe.K = layer.K;
  ok = ok && hone_rows_open(&reader, checkpoint, &recipe, &rows, status) &&
       hone_encoder_prepare(&rows, recipe.format, &solver, &encoder, status);
  if (ok) {
    FILE *file = fopen(argv[4], "wb");
    ok = file ? write_rows(&encoder, &rows, file, status)
              : hone_fail(status, HONE_IO, "cannot open %s", argv[4]);
    if (file && fclose(file) && ok) ok = hone_fail(status, HONE_IO, "cannot write %s", argv[4]);
    hone_encoder_deinit(&encoder);
    double bits =
        (double)hone_format_tensor_bits(recipe.format, (uint64_t)layer.N, (uint64_t)layer.K);
    printf("%.6f\n", bits / (double)(layer.N * layer.K));
  }
  free(layer.moments);
  free(layer.mean_squares);
  hone_checkpoint_close(checkpoint);
  return ok;
}

int main(int argc, char **argv) {
  hone_status_t status = {0};
  if (argc != 5) {
    fprintf(stderr, "usage: layer FOLDER FORMAT none|scales|descent|gptq OUT\n");
    return 2;
  }
  if (run(argv, &status)) return 0;
  fprintf(stderr, "layer: %s\n", status.message);
  return 1;
}
