// Formats: text form there and back, groups, honest bits.
#include "base/format.h"

#include "tests/unit/unit.h"

static void test_text_there_and_back(void **state) {
  (void)state;
  for (size_t i = 0; i < hone_format_count(); i++) {
    hone_format_t format = hone_format_default(hone_format_at(i)->storage), found;
    hone_status_t status = {0};
    char text[24];
    assert_true(hone_format_parse(hone_format_text(format, text), &found, &status));
    assert_true(hone_format_equal(format, found));
  }
  assert_null(hone_format_at(hone_format_count()));
}

static void test_groups(void **state) {
  (void)state;
  static const struct {
    const char *text;
    hone_format_t want;
  } rows[] = {{"nf4", {HONE_NF4, 64}},        {"nf4<32>", {HONE_NF4, 32}},
              {"nf4:128", {HONE_NF4, 128}},   {"mxfp4", {HONE_MXFP4, 32}},
              {"nvfp4:16", {HONE_NVFP4, 16}}, {"b1", {HONE_B1, 128}},
              {"bcq2<64>", {HONE_BCQ2, 64}},  {"f32", {HONE_F32, 0}}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    hone_status_t status = {0};
    hone_format_t format;
    assert_true(hone_format_parse(rows[i].text, &format, &status));
    assert_true(hone_format_equal(format, rows[i].want));
  }
}

static void test_bad_text(void **state) {
  (void)state;
  static const struct {
    const char *text, *want;
    hone_code_t code;
  } rows[] = {
      {"nf5", "did you mean nf4?", HONE_INVALID},
      {"", "unknown format", HONE_INVALID},
      {"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "use one of f32, f16",
       HONE_INVALID},
      {"f32<64>", "f32 takes no group", HONE_INVALID},
      {"nf4<", "written as in nf4<64>", HONE_INVALID},
      {"nf4<>", "written as in nf4<64>", HONE_INVALID},
      {"nf4:", "written as in nf4<64>", HONE_INVALID},
      {"nf4<64", "written as in nf4<64>", HONE_INVALID},
      {"nf4<-64>", "written as in nf4<64>", HONE_INVALID},
      {"nf4<0>", "written as in nf4<64>", HONE_INVALID},
      {"nf4<99999999999999999999>", "written as in nf4<64>", HONE_INVALID},
      {"nf4:48", "a power of two from 32 to 128", HONE_UNSUPPORTED},
      {"nf4:256", "a power of two from 32 to 128", HONE_UNSUPPORTED},
      {"nvfp4:32", "the group of nvfp4 is always 16", HONE_UNSUPPORTED},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    hone_status_t status = {0};
    hone_format_t format;
    assert_false(hone_format_parse(rows[i].text, &format, &status));
    if (!strstr(status.message, rows[i].want))
      fail_msg("'%s' lacks '%s'", status.message, rows[i].want);
    assert_int_equal(status.code, rows[i].code);
  }
}

static void test_bits(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double bits;
  } rows[] = {{"f32", 32},
              {"bf16", 16},
              {"q8", 8.25},
              {"q6", 6.25},
              {"nf4", 4.25},
              {"nf4:32", 4.5},
              {"mxfp4", 4.25},
              {"nvfp4", 4.5},
              {"ternary", 2.125},
              {"b1", 1.125},
              {"bcq2", 2.25},
              {"bcq3", 3.375},
              {"nf4dq", 4.125 + 32.0 / 64 / 256}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    hone_status_t status = {0};
    hone_format_t format;
    assert_true(hone_format_parse(rows[i].text, &format, &status));
    assert_true(hone_format_bits(format) == rows[i].bits);
  }
  // 172 columns are three groups of 64; nvfp4 has a factor per tensor, nf4x a table.
  assert_int_equal(hone_format_tensor_bits((hone_format_t){HONE_NF4, 64}, 10, 172),
                   10 * (172 * 4 + 3 * 16));
  assert_int_equal(hone_format_tensor_bits((hone_format_t){HONE_NVFP4, 16}, 1, 64),
                   64 * 4 + 4 * 8 + 32);
  assert_int_equal(hone_format_tensor_bits((hone_format_t){HONE_NF4X, 64}, 1, 64),
                   64 * 4 + 16 + 128);
  // 300 scales are two blocks of 256; the offset is the tensor's.
  assert_int_equal(hone_format_tensor_bits((hone_format_t){HONE_NF4DQ, 64}, 100, 172),
                   100 * (172 * 4 + 3 * 8) + 2 * 32 + 32);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_text_there_and_back),
      cmocka_unit_test(test_groups),
      cmocka_unit_test(test_bad_text),
      cmocka_unit_test(test_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
