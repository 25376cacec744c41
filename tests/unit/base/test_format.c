// Formats: text form there and back, groups, honest bits.
#include "base/format.h"

#include "base/packed.h"
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

// Every format and group, by a table of its own: what a tensor stores is codes, the scales of every
// begun group, and what is there once. Where nothing is padded, that is what lies in memory.
static void test_all_bits_count(void **state) {
  (void)state;
  static const struct {
    const char *name;
    uint64_t code, scale, once;  // bits: of a weight, of a group, of a tensor
    bool nested;                 // 32 more for every 256 groups
  } rows[] = {{"f32", 32, 0, 0, false},   {"f16", 16, 0, 0, false},    {"bf16", 16, 0, 0, false},
              {"q8", 8, 16, 0, false},    {"nf4", 4, 16, 0, false},    {"q6", 6, 16, 0, false},
              {"int4", 4, 16, 0, false},  {"fp4", 4, 16, 0, false},    {"mxfp4", 4, 8, 0, false},
              {"nvfp4", 4, 8, 32, false}, {"nf4x", 4, 16, 128, false}, {"ternary", 2, 16, 0, false},
              {"b1", 1, 16, 0, false},    {"bcq2", 2, 32, 0, false},   {"bcq3", 3, 48, 0, false},
              {"iq4nl", 4, 16, 0, false}, {"nf4dq", 4, 8, 32, true},   {"bcq2p", 2, 16, 0, false},
              {"bcq3p", 3, 24, 0, false}};
  static const uint64_t shapes[][2] = {{13, 172}, {13, 192}, {1, 1}, {64, 256}};
  assert_int_equal(sizeof rows / sizeof *rows, hone_format_count());
  for (size_t i = 0; i < hone_format_count(); i++) {
    const hone_format_info_t *info = hone_format_at(i);
    assert_string_equal(rows[i].name, info->name);
    for (uint32_t group = info->narrowest; group <= info->widest; group = group ? 2 * group : 1) {
      hone_format_t format = {info->storage, group};
      for (size_t s = 0; s < 4; s++) {
        uint64_t N = shapes[s][0], K = shapes[s][1];
        uint64_t groups = group ? N * ((K + group - 1) / group) : 0;
        uint64_t want = N * K * rows[i].code + groups * rows[i].scale + rows[i].once;
        if (rows[i].nested) want += (groups + 255) / 256 * 32;
        assert_int_equal(hone_format_tensor_bits(format, N, K), want);
        assert_true(hone_packed_bytes(format, N, K) * 8 >= want);
      }
      uint64_t body = hone_packed_parameter_offset(format, 64, 256) * 8;
      uint64_t groups = group ? 64 * (256 / group) : 0;
      assert_int_equal(body, 64 * 256 * rows[i].code + groups * rows[i].scale);
      assert_int_equal(hone_packed_parameter_bytes(format, 64, 256) > 0, rows[i].once > 0);
      if (!group) break;
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_text_there_and_back),
      cmocka_unit_test(test_groups),
      cmocka_unit_test(test_bad_text),
      cmocka_unit_test(test_bits),
      cmocka_unit_test(test_all_bits_count),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
