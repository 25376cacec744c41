// Quantizers of every format: error on random weights against published and plain rules, exactness
// on weights that are on the grid already, and groups that are zero, constant, tiny or huge.
#include "quant/quantizer.h"

#include "quant/real.h"
#include "tests/unit/quant/test.h"

enum { K = 2048, ROWS = 24 };

typedef struct bench {
  hone_quantizer_t q;
  float *importance, *decoded;
  uint8_t *codes;
  uint16_t *scales;
  float *second;  // of one block
} bench_t;

static hone_format_t format_of(const char *text) {
  hone_format_t format;
  hone_status_t status = {0};
  assert_works(hone_format_parse(text, &format, &status), &status);
  return format;
}

static bench_t bench_of(hone_format_t format, uint64_t columns, const float *mean_squares,
                        float largest) {
  bench_t b = {0};
  uint64_t Kp = hone_padded(columns);
  b.importance = aligned_alloc(64, Kp * sizeof(float));
  b.decoded = malloc(Kp * sizeof(float));
  b.codes = malloc(Kp);
  hone_importance_fill(mean_squares, columns, b.importance);
  hone_quantizer_init(&b.q, format, columns, b.importance);
  hone_quantizer_set_factor(&b.q, largest);
  b.second = malloc(sizeof *b.second);
  *b.second = largest;
  hone_packed_second_t places;
  assert_true(hone_packed_second_init(&places, format, columns, (uint64_t[]){1}, 1, false));
  hone_quantizer_set_second(&b.q, b.second, &places);
  b.scales = malloc((size_t)b.q.scale_count * b.q.planes * sizeof(uint16_t));
  return b;
}

static void bench_end(bench_t *b) {
  free(b->importance);
  free(b->decoded);
  free(b->codes);
  free(b->scales);
  free(b->second);
}

// Quantizes a padded row and decodes it; false: overflow.
static bool round_trip_at(bench_t *b, uint64_t n, const float *row) {
  if (!hone_quantizer_row(&b->q, n, row, b->codes, b->scales)) return false;
  hone_quantizer_decode(&b->q, n, b->codes, b->scales, b->decoded);
  return true;
}

static bool round_trip(bench_t *b, const float *row) { return round_trip_at(b, 0, row); }

// Relative squared error over random rows; normal numbers, or Student's t with 5 degrees.
static double relative_error(const char *text, bool heavy, const float *h) {
  float *rows = aligned_alloc(64, sizeof(float) * ROWS * K), largest = 0;
  uint64_t seed = 20240 + heavy;
  for (int i = 0; i < ROWS * K; i++) {
    double x = test_normal(&seed), chi = 0;
    for (int j = 0; j < 5 && heavy; j++) chi += pow(test_normal(&seed), 2);
    rows[i] = (float)(0.02 * (heavy ? x / sqrt(chi / 5) : x));
    largest = fmaxf(largest, fabsf(rows[i]));
  }
  bench_t b = bench_of(format_of(text), K, h, largest);
  float *second = test_second(&b.q, rows, ROWS);
  double noise = 0, signal = 0;
  for (int n = 0; n < ROWS; n++) {
    assert_true(round_trip_at(&b, (uint64_t)n, rows + n * K));
    for (int k = 0; k < K; k++) {
      double w = (double)rows[n * K + k], weight = h ? (double)h[k] : 1;
      noise += weight * pow(w - (double)b.decoded[k], 2);
      signal += weight * w * w;
    }
  }
  bench_end(&b);
  free(second);
  free(rows);
  return noise / signal;
}

// Bounds: a percent or two above what the best search reaches on such weights; far below the plain
// rules (nf4 by max|w| .00846 and .01099, nvfp4 by max / 6 .00904, mxfp4 by the floor rule .01328).
static void errors_are_near_the_optimum(void **state) {
  (void)state;
  static const struct {
    const char *format;
    double normal, heavy;
  } rows[] = {{"q8", 4.5e-5, 8e-5},    {"q6", 6e-4, 1.2e-3},      {"nf4:32", .0059, .0071},
              {"nf4", .0070, .0096},   {"nf4:128", .0080, .0126}, {"int4:32", .0067, .0110},
              {"int4", .0082, .0154},  {"fp4", .0130, .0213},     {"mxfp4", .0126, .0153},
              {"nvfp4", .0067, .0071}, {"ternary", .190, .275},   {"b1", .365, .47},
              {"bcq2", .116, .178},    {"bcq3", .0360, .0575},    {"nf4x", .0071, .0096},
              {"nf4dq", .0071, .0097}, {"bcq2p", .140, .192},     {"bcq3p", .0490, .0700}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    double normal = relative_error(rows[i].format, false, NULL),
           heavy = relative_error(rows[i].format, true, NULL);
    if (!(normal < rows[i].normal) || !(heavy < rows[i].heavy))
      fail_msg("%s: %.6f and %.6f, expected below %.6f and %.6f", rows[i].format, normal, heavy,
               rows[i].normal, rows[i].heavy);
  }
}

// Double quantization costs about a hundredth of the error at most: groups that are narrow, and
// scales that differ much within 256 groups, are the worst.
static void nested_scales_cost_little(void **state) {
  (void)state;
  static const char *const groups[] = {"32", "64", "128"};
  static const double bounds[3][2] = {{1.007, 1.022}, {1.004, 1.013}, {1.003, 1.007}};
  for (size_t i = 0; i < 3; i++) {
    char plain[16], nested[16];
    snprintf(plain, sizeof plain, "nf4:%s", groups[i]);
    snprintf(nested, sizeof nested, "nf4dq:%s", groups[i]);
    for (int heavy = 0; heavy < 2; heavy++) {
      double ratio = relative_error(nested, heavy, NULL) / relative_error(plain, heavy, NULL);
      if (!(ratio < bounds[i][heavy]))
        fail_msg("%s, heavy %d: %.5f times nf4", nested, heavy, ratio);
    }
  }
}

static void importance_pays_where_it_is(void **state) {
  (void)state;
  static const char *const formats[] = {"nf4", "mxfp4", "nvfp4", "int4", "ternary", "bcq2", "b1"};
  float h[K];
  uint64_t seed = 5;
  for (int k = 0; k < K; k++) h[k] = (float)exp(1.5 * test_normal(&seed));
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    bench_t plain = bench_of(format_of(formats[i]), K, NULL, 1),
            weighted = bench_of(format_of(formats[i]), K, h, 1);
    double errors[2] = {0};
    float *row = aligned_alloc(64, sizeof(float) * K);
    for (int n = 0; n < 8; n++) {
      for (int k = 0; k < K; k++) row[k] = (float)(0.1 * test_normal(&seed));
      assert_true(round_trip(&plain, row) && round_trip(&weighted, row));
      for (int k = 0; k < K; k++) {
        errors[0] += (double)h[k] * pow((double)row[k] - (double)plain.decoded[k], 2);
        errors[1] += (double)h[k] * pow((double)row[k] - (double)weighted.decoded[k], 2);
      }
    }
    if (!(errors[1] < errors[0]))
      fail_msg("%s: %g weighted, %g plain", formats[i], errors[1], errors[0]);
    free(row);
    bench_end(&plain);
    bench_end(&weighted);
  }
}

// Codes at random, with the largest level in every group; scales as an absmax rule would store
// them.
static void weights_on_the_grid_come_back(void **state) {
  (void)state;
  uint64_t seed = 77;
  for (size_t f = 0; f < hone_format_count(); f++) {
    hone_format_t format = hone_format_default(hone_format_at(f)->storage);
    if (!hone_format_is_quantized(format.storage) || hone_format_at(f)->planes > 1) continue;
    bench_t b = bench_of(format, 512, NULL, 3.0f);
    float *row = aligned_alloc(64, 512 * sizeof(float));
    for (int n = 0; n < 40; n++) {
      float scale[1] = {0};
      for (uint64_t k = 0; k < 512; k++) {
        if (k % format.group == 0) {
          bool overflow = false;
          hone_scale_t kind = hone_format_at(f)->scale;
          int code = kind == HONE_SCALE_E8M0 ? 110 + (int)(test_random(&seed) * 20)
                                             : 30 + (int)(test_random(&seed) * 90);
          float half =
              hone_f32_from_f16(hone_f16_from_f32((float)test_random(&seed) + .01f, &overflow));
          scale[0] = kind == HONE_SCALE_F16 ? half : hone_quantizer_scale(&b.q, 0, (uint16_t)code);
        }
        int count = b.q.levels.count;
        float level = count ? b.q.levels.value[(int)(test_random(&seed) * count)]
                            : (float)((int)(test_random(&seed) * 61) - 30);
        float top =
            count ? b.q.levels.value[fabsf(b.q.levels.value[0]) > fabsf(b.q.levels.value[count - 1])
                                         ? 0
                                         : count - 1]
            : format.storage == HONE_Q8 ? 127.0f
                                        : 31.0f;
        row[k] = (k % format.group == 3 ? top : level) * scale[0];
      }
      assert_true(round_trip(&b, row));
      for (uint64_t k = 0; k < 512; k++)
        if (fabsf(b.decoded[k] - row[k]) > 2e-7f * fabsf(row[k]))
          fail_msg("%s: %.9g became %.9g", hone_format_at(f)->name, (double)row[k],
                   (double)b.decoded[k]);
    }
    free(row);
    bench_end(&b);
  }
}

static void zero_groups_are_zero(void **state) {
  (void)state;
  for (size_t f = 0; f < hone_format_count(); f++) {
    hone_format_t format = hone_format_default(hone_format_at(f)->storage);
    if (!hone_format_is_quantized(format.storage)) continue;
    bench_t b = bench_of(format, 172, NULL, 0);
    float *row = aligned_alloc(64, 192 * sizeof(float));
    for (int k = 0; k < 192; k++) row[k] = 0;
    assert_true(round_trip(&b, row));
    for (uint32_t s = 0; s < b.q.scale_count * b.q.planes; s++) assert_int_equal(b.scales[s], 0);
    for (int k = 0; k < 192; k++) assert_true(b.decoded[k] == 0);
    free(row);
    bench_end(&b);
  }
}

// A constant is a level times a scale; what remains is the rounding of the scale.
static void constant_groups_are_as_good_as_the_scale(void **state) {
  (void)state;
  const float constants[] = {1, -2.5f, 0.3f, -1e-3f, 700};
  for (size_t f = 0; f < hone_format_count(); f++) {
    hone_format_t format = hone_format_default(hone_format_at(f)->storage);
    hone_scale_t kind = hone_format_at(f)->scale;
    if (!hone_format_is_quantized(format.storage)) continue;
    for (size_t c = 0; c < sizeof constants / sizeof *constants; c++) {
      bench_t b = bench_of(format, 128, NULL, fabsf(constants[c]));
      float *row = aligned_alloc(64, 128 * sizeof(float));
      for (int k = 0; k < 128; k++) row[k] = constants[c];
      assert_true(round_trip(&b, row));
      double bound = kind == HONE_SCALE_F16 ? 1.0 / 1024 : kind == HONE_SCALE_E4M3 ? 0.04 : 0.26;
      for (int k = 0; k < 128; k++)
        if (fabs((double)b.decoded[k] / (double)constants[c] - 1) > bound)
          fail_msg("%s: %g became %g", hone_format_at(f)->name, (double)constants[c],
                   (double)b.decoded[k]);
      free(row);
      bench_end(&b);
    }
  }
}

// Calls a check for every format of the table with every group it allows.
typedef void format_fn(hone_format_t format, const char *text);

static void each_format(format_fn *check) {
  char text[24];
  for (size_t f = 0; f < hone_format_count(); f++) {
    const hone_format_info_t *info = hone_format_at(f);
    if (!hone_format_is_quantized(info->storage)) continue;
    for (uint32_t group = info->narrowest; group <= info->widest; group *= 2) {
      hone_format_t format = {info->storage, group};
      check(format, hone_format_text(format, text));
    }
  }
}

// What a short last group becomes does not depend on what stands before it: it equals a whole row
// of its own, whether it is as long as half a group or has one element.
static void check_ragged(hone_format_t format, const char *text) {
  static const uint64_t widths[] = {172, 1, 5, 31, 33, 63, 65, 127, 130, 300};
  for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
    uint64_t columns = widths[w], seed = 9 + w, Kp = hone_padded(columns);
    uint64_t begin = (columns - 1) / format.group * format.group, left = columns - begin;
    float *row = aligned_alloc(64, Kp * sizeof(float)),
          *tail = aligned_alloc(64, hone_padded(left) * sizeof(float));
    for (uint64_t k = 0; k < Kp; k++) row[k] = k < columns ? (float)test_normal(&seed) : 0;
    for (uint64_t k = 0; k < hone_padded(left); k++) tail[k] = k < left ? row[begin + k] : 0;
    bench_t b = bench_of(format, columns, NULL, 4), c = bench_of(format, left, NULL, 4);
    if (!round_trip(&b, row) || !round_trip(&c, tail)) fail_msg("%s: overflow", text);
    if (memcmp(b.decoded + begin, c.decoded, left * sizeof(float)))
      fail_msg("%s: %d columns, the last %d", text, (int)columns, (int)left);
    for (uint64_t k = 0; k < columns; k++)
      if (!isfinite(b.decoded[k])) fail_msg("%s: column %d of %d", text, (int)k, (int)columns);
    double noise = 0, signal = 0;
    for (uint64_t k = 0; k < columns; k++) {
      noise += pow((double)row[k] - (double)b.decoded[k], 2);
      signal += pow((double)row[k], 2);
    }
    if (!(noise < 0.6 * signal))
      fail_msg("%s: %d columns, error %g", text, (int)columns, noise / signal);
    free(row);
    free(tail);
    bench_end(&b);
    bench_end(&c);
  }
}

static void ragged_rows_ignore_their_pads(void **state) {
  (void)state;
  each_format(check_ragged);
}

// NaN and Inf never reach a quantizer from a file (the reader names their place); a row that holds
// one all the same, as in a corrected tensor, is refused, and so are weights that have no scale.
static void check_not_finite(hone_format_t format, const char *text) {
  static const float values[] = {NAN, INFINITY, -INFINITY};
  for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
    for (uint64_t place = 0; place < 172; place += 57) {
      bench_t b = bench_of(format, 172, NULL, 4);
      float *row = aligned_alloc(64, 192 * sizeof(float));
      uint64_t seed = 4;
      for (uint64_t k = 0; k < 192; k++) row[k] = k < 172 ? (float)test_normal(&seed) : 0;
      row[place] = values[v];
      if (round_trip(&b, row)) fail_msg("%s: %g at %d", text, (double)values[v], (int)place);
      free(row);
      bench_end(&b);
    }
  }
}

static void what_is_not_finite_is_refused(void **state) {
  (void)state;
  each_format(check_not_finite);
}

static void extreme_weights(void **state) {
  (void)state;
  const float sizes[] = {1e-42f, 1e-30f, 1e-9f, 6e4f};
  for (size_t f = 0; f < hone_format_count(); f++) {
    hone_format_t format = hone_format_default(hone_format_at(f)->storage);
    if (!hone_format_is_quantized(format.storage)) continue;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      uint64_t seed = 3;
      bench_t b = bench_of(format, 128, NULL, sizes[s]);
      float *row = aligned_alloc(64, 128 * sizeof(float));
      for (int k = 0; k < 128; k++) row[k] = sizes[s] * (float)(2 * test_random(&seed) - 1);
      assert_true(round_trip(&b, row));
      for (int k = 0; k < 128; k++) {
        assert_true(isfinite(b.decoded[k]));
        assert_true(fabsf(b.decoded[k]) <= 2.1f * sizes[s] + 1e-6f);
      }
      free(row);
      bench_end(&b);
    }
  }
  // 3e38 has no f16 scale: an error, not an infinity. Powers of two reach it.
  float *row = aligned_alloc(64, 128 * sizeof(float));
  for (int k = 0; k < 128; k++) row[k] = k == 5 ? 3e38f : 1;
  bench_t nf4 = bench_of(format_of("nf4"), 128, NULL, 3e38f),
          mx = bench_of(format_of("mxfp4"), 128, NULL, 3e38f);
  assert_false(round_trip(&nf4, row));
  assert_true(round_trip(&mx, row));
  assert_true(isfinite(mx.decoded[5]));
  free(row);
  bench_end(&nf4);
  bench_end(&mx);
}

static void nearest_is_what_rows_use(void **state) {
  (void)state;
  uint64_t seed = 12;
  for (size_t f = 0; f < hone_format_count(); f++) {
    hone_format_t format = hone_format_default(hone_format_at(f)->storage);
    if (!hone_format_is_quantized(format.storage)) continue;
    bench_t b = bench_of(format, 256, NULL, 5);
    float *row = aligned_alloc(64, 256 * sizeof(float));
    for (int k = 0; k < 256; k++) row[k] = (float)test_normal(&seed);
    assert_true(round_trip(&b, row));
    float scales[3][256] = {{0}}, value[256];  // one for every weight
    uint8_t codes[256];
    for (uint32_t p = 0; p < b.q.planes; p++)
      for (uint64_t k = 0; k < 256; k++)
        scales[p][k] = hone_quantizer_scale(&b.q, 0, b.scales[k / format.group * b.q.planes + p]);
    hone_quantizer_nearest(&b.q, scales[0], 256, row, 256, codes, value);
    for (uint64_t k = 0; k < 256; k++) {
      float group[3] = {scales[0][k], scales[1][k], scales[2][k]};
      assert_int_equal(codes[k], b.codes[k]);
      assert_true(value[k] == b.decoded[k]);
      assert_true(value[k] == hone_quantizer_value(&b.q, group, codes[k]));
    }
    free(row);
    bench_end(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(errors_are_near_the_optimum),
      cmocka_unit_test(nested_scales_cost_little),
      cmocka_unit_test(importance_pays_where_it_is),
      cmocka_unit_test(weights_on_the_grid_come_back),
      cmocka_unit_test(zero_groups_are_zero),
      cmocka_unit_test(constant_groups_are_as_good_as_the_scale),
      cmocka_unit_test(ragged_rows_ignore_their_pads),
      cmocka_unit_test(what_is_not_finite_is_refused),
      cmocka_unit_test(extreme_weights),
      cmocka_unit_test(nearest_is_what_rows_use),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
