// Rotary frequencies, against values of transformers' modeling_rope_utils (5.x, f32).
#include "frontend/rope.h"

#include <math.h>

#include "tests/unit/frontend/fixture.h"

enum { HEAD_DIM = 32, COUNT = HEAD_DIM / 2 };

static const double llama3[COUNT] = {
    1.0,
    0.440366626,
    0.193922758,
    0.0853971019,
    0.0376060307,
    0.0165604409,
    0.00729266508,
    0.00321144611,
    0.000429556705,
    1.94616387e-05,
    8.57025589e-06,
    3.77405445e-06,
    1.66196742e-06,
    7.31874934e-07,
    3.22293289e-07,
    1.41927202e-07,
};
static const double linear[COUNT] = {
    0.25,           0.127131864,    0.0646500364,   0.0328763165,   0.0167185087,   0.00850181933,
    0.00432340847,  0.00219857157,  0.00111803401,  0.000568550953, 0.000289123738, 0.000147027356,
    7.47674421e-05, 3.80212914e-05, 1.93348696e-05, 9.83231166e-06,
};

#define SCALE3                                                                          \
  "\"factor\":32,\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_" \
  "embeddings\":8192"

static bool read(fixture_t *f, const char *text, double *out) {
  hone_config_t config;
  assert_ok(f, hone_config_parse("config.json", text, strlen(text), &config, &f->status));
  bool ok = hone_rope_frequencies(&config, 10000, HEAD_DIM, 8192, out, &f->status);
  hone_config_close(&config);
  return ok;
}

static void check(fixture_t *f, const char *text, const double *expected) {
  double got[COUNT];
  assert_ok(f, read(f, text, got));
  for (int i = 0; i < COUNT; i++) {
    if (!(fabs(got[i] / expected[i] - 1) < 1e-6))
      fail_msg("%s: frequency %d is %.9g, expected %.9g", text, i, got[i], expected[i]);
  }
}

static void test_kinds(void **state) {
  fixture_t *f = *state;
  double plain[COUNT];
  for (int i = 0; i < COUNT; i++) plain[i] = pow(10000, -i / 16.0);
  check(f, "{}", plain);
  check(f, "{\"rope_theta\":10000.0,\"rope_scaling\":null}", plain);
  check(f, "{\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":10000}}", plain);
  // Both spellings, and both names of the kind.
  check(f, "{\"rope_theta\":50000,\"rope_scaling\":{\"type\":\"linear\",\"factor\":4.0}}", linear);
  check(f, "{\"rope_parameters\":{\"rope_type\":\"linear\",\"rope_theta\":50000.0,\"factor\":4}}",
        linear);
  check(f, "{\"rope_theta\":500000,\"rope_scaling\":{\"rope_type\":\"llama3\"," SCALE3 "}}",
        llama3);
  check(f, "{\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":500000," SCALE3 "}}",
        llama3);
  // The original context defaults to the model's, 8192 here.
  check(f,
        "{\"rope_theta\":500000,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":32,\"low_"
        "freq_factor\":1,"
        "\"high_freq_factor\":4}}",
        llama3);
}

static void test_refusals(void **state) {
  fixture_t *f = *state;
  static const struct {
    const char *text;
    hone_code_t code;
    const char *message;
  } rows[] = {
      {"{\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4}}", HONE_UNSUPPORTED,
       "key 'rope_scaling.rope_type': rope of type 'yarn' is not supported"},
      {"{\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4}}", HONE_UNSUPPORTED,
       "'rope_scaling.type': rope of type 'dynamic'"},
      {"{\"rope_parameters\":{\"rope_type\":\"longrope\"}}", HONE_UNSUPPORTED,
       "rope of type 'longrope'"},
      {"{\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}}", HONE_UNSUPPORTED,
       "per kind of layer"},
      {"{\"partial_rotary_factor\":0.5}", HONE_UNSUPPORTED, "key 'partial_rotary_factor'"},
      {"{\"rope_parameters\":{\"partial_rotary_factor\":0.25}}", HONE_UNSUPPORTED,
       "key 'rope_parameters.partial_rotary_factor'"},
      {"{\"rope_theta\":-1}", HONE_INVALID, "key 'rope_theta': -1 is outside"},
      {"{\"rope_theta\":\"x\"}", HONE_INVALID, "key 'rope_theta': expected a number"},
      {"{\"rope_scaling\":[]}", HONE_INVALID, "key 'rope_scaling': expected an object"},
      {"{\"rope_scaling\":{\"type\":\"linear\"}}", HONE_INVALID,
       "key 'rope_scaling.factor' is missing"},
      {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}}", HONE_INVALID,
       "key 'rope_scaling.factor': 0 is outside"},
      {"{\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_"
       "factor\":4}}",
       HONE_INVALID, "key 'rope_scaling.high_freq_factor': 4 must be above low_freq_factor"},
  };
  double out[COUNT];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_refuses(f, read(f, rows[i].text, out), rows[i].code, rows[i].message);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_kinds, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_refusals, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
