// Encoding of rotated tensors: codes stand for rotated rows, statistics are rotated with them, and
// what the statistics are told is turned back. Corrections of the mean output, rotated or not.
#include "codegen/pack/encode.h"

#include <math.h>
#include <string.h>

#include "quant/hadamard.h"
#include "tests/unit/codegen/test.h"

enum { ROWS = 16, INPUTS = 128 };

// One weight matrix, and a calibration whose answers are known.
typedef struct world {
  float weight[ROWS][INPUTS];
  float wanted[ROWS][INPUTS];  // what the calibration makes of it
  float told[ROWS][INPUTS];
  float second[INPUTS][INPUTS];
  float residual[ROWS][INPUTS];
  float squares[INPUTS];
  float mean[INPUTS], original[INPUTS], gap[ROWS];
  float corrected[ROWS];  // as told
} world_t;

static bool shape(void *source, const char *name, int64_t *out_N, int64_t *out_K,
                  hone_storage_t *out_storage, hone_status_t *status) {
  (void)source, (void)name, (void)status;
  *out_N = ROWS, *out_K = INPUTS, *out_storage = HONE_F32;
  return true;
}

static bool read_rows(void *source, const char *name, int64_t row, int64_t count, float *out,
                      hone_status_t *status) {
  (void)name, (void)status;
  memcpy(out, ((world_t *)source)->weight[row], (size_t)count * INPUTS * sizeof *out);
  return true;
}

static const hone_tensor_reader_t reader = {.shape = shape, .read_rows = read_rows};

static bool get_squares(void *self, const char *source, const float **out, hone_status_t *status) {
  (void)source, (void)status;
  *out = ((world_t *)self)->squares;
  return true;
}

static float *copy(const void *from, size_t bytes) {
  float *matrix = malloc(bytes);
  assert_non_null(matrix);
  return memcpy(matrix, from, bytes);
}

static bool get_moments(void *self, const ir_recipe_t *recipe, hone_moment_set_t *out,
                        hone_status_t *status) {
  (void)recipe, (void)status;
  world_t *w = self;
  out->second = copy(w->second, sizeof w->second);
  out->residual = copy(w->residual, sizeof w->residual);
  return true;
}

static void replace(void *self, const char *source, int64_t row, const float *values) {
  (void)source;
  memcpy(((world_t *)self)->told[row], values, sizeof(float) * INPUTS);
}

static bool get_means(void *self, const char *source, hone_mean_set_t *out, hone_status_t *status) {
  (void)source, (void)status;
  world_t *w = self;
  out->input = copy(w->mean, sizeof w->mean);
  out->original = copy(w->original, sizeof w->original);
  out->gap = copy(w->gap, sizeof w->gap);
  return true;
}

static void correct(void *self, const char *source, int64_t row, float value) {
  (void)source;
  ((world_t *)self)->corrected[row] = value;
}

// H = I + u u^T, u uneven; the stream is off by E x, so the weights wanted are W + E.
static world_t *make_world(void) {
  world_t *w = calloc(1, sizeof *w);
  assert_non_null(w);
  uint64_t seed = 5;
  float u[INPUTS];
  for (int k = 0; k < INPUTS; k++) u[k] = (float)(test_random(&seed) - 0.2) * (k % 9 ? 0.2f : 1);
  for (int i = 0; i < INPUTS; i++)
    for (int j = 0; j < INPUTS; j++) w->second[i][j] = u[i] * u[j] + (i == j ? 1 : 0);
  for (int k = 0; k < INPUTS; k++) w->squares[k] = w->second[k][k];
  for (int n = 0; n < ROWS; n++) {
    float E[INPUTS];
    for (int k = 0; k < INPUTS; k++) {
      w->weight[n][k] = (float)(test_random(&seed) * 2 - 1);
      E[k] = (float)(test_random(&seed) * 2 - 1);
      w->wanted[n][k] = w->weight[n][k] + E[k];
    }
    for (int k = 0; k < INPUTS; k++)
      for (int j = 0; j < INPUTS; j++) w->residual[n][k] += E[j] * w->second[j][k];
  }
  return w;
}

// correction (ROWS): NULL for none.
static void encode_as(world_t *w, const hone_solver_t *solver, hone_format_t format, int64_t rotate,
                      float *correction, float out[ROWS][INPUTS], hone_quant_error_t *error) {
  hone_status_t status = {0};
  ir_recipe_t recipe = {.name = "m",
                        .sources = {"m"},
                        .source_count = 1,
                        .format = format,
                        .N = ROWS,
                        .K = INPUTS,
                        .rotate = rotate};
  hone_rows_t rows;
  hone_encoder_t encoder;
  float values[ROWS][INPUTS];
  uint8_t codes[ROWS][INPUTS];
  uint16_t scales[ROWS][INPUTS / 64];
  assert_ok(&status, hone_rows_open(&reader, w, &recipe, &rows, &status));
  assert_ok(&status, hone_encoder_prepare(&rows, recipe.format, solver, &encoder, &status));
  if (correction)
    assert_ok(&status,
              hone_encoder_correct(&encoder, &rows, solver->statistics, correction, &status));
  memcpy(values, w->weight, sizeof values);
  assert_int_equal(hone_encoder_rows(&encoder, 0, values[0], ROWS, codes[0], scales[0], error), -1);
  for (int n = 0; n < ROWS; n++)
    hone_quantizer_decode(&encoder.quantizer, (uint64_t)n, codes[n], scales[n], out[n]);
  hone_encoder_deinit(&encoder);
}

static void encode(world_t *w, const hone_solver_t *solver, float out[ROWS][INPUTS],
                   hone_quant_error_t *error) {
  encode_as(w, solver, (hone_format_t){HONE_Q8, 64}, HONE_ROTATION, NULL, out, error);
}

static void check_rows(const float got[ROWS][INPUTS], const float want[ROWS][INPUTS],
                       double tolerance) {
  for (int n = 0; n < ROWS; n++)
    for (int k = 0; k < INPUTS; k++)
      if (!(fabs((double)got[n][k] - (double)want[n][k]) <= tolerance))
        fail_msg("row %d column %d: %.6g, not %.6g", n, k, (double)got[n][k], (double)want[n][k]);
}

// w . E[y] + E[s - s'] = w' . E[x] + correction, for the rows as they are told; y is x and there is
// no gap where the solver does not fit to them.
static void corrections_make_up_for_the_mean(void **state) {
  (void)state;
  world_t *w = make_world();
  const hone_statistics_t statistics = {.self = w,
                                        .mean_squares = get_squares,
                                        .moments = get_moments,
                                        .replace = replace,
                                        .means = get_means,
                                        .correct = correct};
  uint64_t seed = 11;
  for (int k = 0; k < INPUTS; k++) w->mean[k] = (float)test_random(&seed);
  for (int k = 0; k < INPUTS; k++) w->original[k] = w->mean[k] + (float)test_random(&seed) / 8;
  for (int n = 0; n < ROWS; n++) w->gap[n] = (float)test_random(&seed) - 0.5f;
  for (int method = HONE_SOLVE_SCALES; method <= HONE_SOLVE_GPTQ; method++)
    for (int64_t rotate = 0; rotate <= HONE_ROTATION; rotate += HONE_ROTATION) {
      hone_solver_t solver = {
          .statistics = &statistics, .method = method, .sweeps = 1, .threads = 1};
      hone_quant_error_t error = {0};
      float out[ROWS][INPUTS], correction[ROWS] = {0};
      memset(w->told, 0, sizeof w->told);
      encode_as(w, &solver, (hone_format_t){HONE_NF4, 64}, rotate, correction, out, &error);
      assert_memory_equal(correction, w->corrected, sizeof correction);
      for (int n = 0; n < ROWS; n++) {
        bool is_fitted = method == HONE_SOLVE_GPTQ;
        double want = is_fitted ? (double)w->gap[n] : 0, got = (double)correction[n];
        for (int k = 0; k < INPUTS; k++) {
          double original = (double)(is_fitted ? w->original[k] : w->mean[k]);
          want += (double)w->weight[n][k] * original;
          got += (double)w->told[n][k] * (double)w->mean[k];
        }
        assert_true(fabs(got - want) < 1e-4);
      }
    }
  free(w);
}

static void codes_stand_for_rotated_rows(void **state) {
  (void)state;
  world_t *w = make_world();
  float out[ROWS][INPUTS], want[ROWS][INPUTS];
  hone_quant_error_t error = {0};
  encode(w, NULL, out, &error);
  memcpy(want, w->weight, sizeof want);
  hone_hadamard_columns(want[0], ROWS, INPUTS, HONE_ROTATION);
  check_rows(out, want, 0.02);
  hone_hadamard_columns(out[0], ROWS, INPUTS, HONE_ROTATION);
  check_rows(out, w->weight, 0.05);
  double signal = 0;  // lengths stay
  for (int n = 0; n < ROWS; n++)
    for (int k = 0; k < INPUTS; k++) signal += (double)w->weight[n][k] * (double)w->weight[n][k];
  assert_true(fabs(error.signal / signal - 1) < 1e-5);
  assert_true(error.noise / error.signal < 1e-4);
  free(w);
}

static void statistics_are_rotated(void **state) {
  (void)state;
  world_t *w = make_world();
  const hone_statistics_t statistics = {
      .self = w, .mean_squares = get_squares, .moments = get_moments, .replace = replace};
  float out[ROWS][INPUTS];
  for (int method = HONE_SOLVE_DESCENT; method <= HONE_SOLVE_GPTQ; method++) {
    hone_solver_t solver = {.statistics = &statistics, .method = method, .sweeps = 1, .threads = 1};
    hone_quant_error_t error = {0};
    memset(w->told, 0, sizeof w->told);
    encode(w, &solver, out, &error);
    hone_hadamard_columns(out[0], ROWS, INPUTS, HONE_ROTATION);
    check_rows(out, w->told, 1e-5);
    // Correcting needs the factor; the damping, a hundredth of H, is most of the tolerance.
    check_rows(out, method == HONE_SOLVE_GPTQ ? w->wanted : w->weight, 0.1);
    assert_true(error.output.noise / error.output.signal < 1e-4);
  }
  free(w);
}

static void mean_squares_of_a_block_are_shared(void **state) {
  (void)state;
  world_t *w = make_world();
  const hone_statistics_t statistics = {.self = w, .mean_squares = get_squares};
  const hone_solver_t solver = {.statistics = &statistics, .method = HONE_SOLVE_SCALES};
  float out[ROWS][INPUTS];
  hone_quant_error_t error = {0};
  encode(w, &solver, out, &error);
  hone_hadamard_columns(out[0], ROWS, INPUTS, HONE_ROTATION);
  check_rows(out, w->weight, 0.05);
  free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(codes_stand_for_rotated_rows),
      cmocka_unit_test(statistics_are_rotated),
      cmocka_unit_test(corrections_make_up_for_the_mean),
      cmocka_unit_test(mean_squares_of_a_block_are_shared),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
