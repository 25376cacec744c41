// hone.irdl.mlir and the tables agree: every op with its operands and attributes, every grouped
// format.
#include "tests/unit/ir/fixture.h"

typedef struct op_row {
  const char *name, *operands, *attributes;
} op_row_t;

static const op_row_t ops[] = {
#define OP(name, ENUM, pure, operands, attributes, summary) {#name, operands, attributes},
#include "ir/ops.def"
#undef OP
};
enum { OP_COUNT = sizeof ops / sizeof *ops };

// The text of "irdl.KIND @NAME { ... }", or NULL.
static char *section(hone_arena_t *arena, const char *kind, const char *name) {
  const char *head = hone_arena_format(arena, "irdl.%s @%s {", kind, name);
  const char *at = strstr(ir_dialect_text(), head);
  if (!at) return NULL;
  const char *end = strstr(at, "\n  }");
  return hone_arena_strndup(arena, at, (size_t)(end - at));
}

static size_t count_of(const char *text, const char *part) {
  size_t count = 0;
  for (const char *at = strstr(text, part); at; at = strstr(at + 1, part)) count++;
  return count;
}

// "irdl.operands(x: %x, bias: optional %bias)" as "x bias?".
static const char *operands_of(hone_arena_t *arena, const char *text) {
  const char *at = strstr(text, "irdl.operands(");
  if (!at) return "";
  at += strlen("irdl.operands(");
  hone_slice_t rest = {at, strcspn(at, ")")};
  hone_buffer_t out = {0};
  while (rest.data) {
    hone_slice_t item = hone_slice_cut(&rest, ',');
    hone_slice_t name = hone_slice_trim(hone_slice_cut(&item, ':'));
    hone_slice_t constraint = hone_slice_trim(item);
    bool optional = constraint.bytes > 9 && memcmp(constraint.data, "optional ", 9) == 0;
    hone_buffer_format(&out, "%s%.*s%s", out.bytes > 0 ? " " : "", (int)name.bytes, name.data,
                       optional ? "?" : "");
  }
  const char *kept = hone_arena_strdup(arena, hone_buffer_cstr(&out));
  hone_buffer_deinit(&out);
  return kept;
}

// irdl.attributes {"kind" = %kind, "epsilon" = %epsilon} as "kind epsilon".
static const char *attributes_of(hone_arena_t *arena, const char *text) {
  const char *at = strstr(text, "irdl.attributes {");
  if (!at) return "";
  hone_buffer_t out = {0};
  for (at = strchr(at, '"'); at; at = strchr(at, '"')) {
    size_t bytes = strcspn(at + 1, "\"");
    hone_buffer_format(&out, "%s%.*s", out.bytes > 0 ? " " : "", (int)bytes, at + 1);
    at += bytes + 2;
  }
  const char *kept = hone_arena_strdup(arena, hone_buffer_cstr(&out));
  hone_buffer_deinit(&out);
  return kept;
}

static void test_ops_agree(void **state) {
  fixture_t *f = *state;
  assert_int_equal(count_of(ir_dialect_text(), "irdl.operation @"), OP_COUNT);
  for (size_t i = 0; i < OP_COUNT; i++) {
    char *text = section(f->arena, "operation", ops[i].name);
    if (!text) fail_msg("hone.irdl.mlir lacks the op %s of ops.def", ops[i].name);
    assert_string_equal(operands_of(f->arena, text), ops[i].operands);
    assert_string_equal(attributes_of(f->arena, text), ops[i].attributes);
  }
}

static void test_formats_agree(void **state) {
  fixture_t *f = *state;
  size_t grouped = 0;
  for (size_t i = 0; i < hone_format_count(); i++) {
    const hone_format_info_t *info = hone_format_at(i);
    if (!hone_format_is_quantized(info->storage)) continue;
    grouped++;
    if (!section(f->arena, "type", info->name)) {
      fail_msg("hone.irdl.mlir lacks the type %s of formats.def", info->name);
    }
  }
  assert_int_equal(count_of(ir_dialect_text(), "irdl.type @"), grouped);
}

static void test_embedded_text_is_the_file(void **state) {
  fixture_t *f = *state;
  assert_string_equal(ir_dialect_text(), read_source_file(f->arena, "ir/hone.irdl.mlir"));
}

// A variadic group or an optional operand beside another needs operandSegmentSizes of as many
// numbers.
static void test_irdl_rejects(void **state) {
  fixture_t *f = *state;
  static const struct {
    const char *text, *from, *to, *want;
  } rows[] = {
      {unfused_text, "kind = \"rms\"", "kind = \"layer\"", "expected '\"rms\"'"},
      {unfused_text, "epsilon = 1.0e-5", "epsilonn = 1.0e-5", "\"epsilon\" is expected"},
      {unfused_text, "epsilon = 1.0e-5", "epsilon = \"a\"", "builtin.float"},
      {unfused_text, "activation = \"silu\"", "activation = \"relu\"", "does not satisfy"},
      {unfused_text, "0, 1>}", "0, 0>}", "operand"},
      {unfused_text, "0, 1>}", "0, 1000000>}", "operand"},
      {unfused_text, "0, 1>}", "0, -1>}", "operand"},
      {unfused_text, "0, 1>}", "0>}", "operand"},
      {unfused_text, "operandSegmentSizes = array<i32: 1, 1, 0, 1>", "x = 1", "operand"},
      {unfused_text, "operandSegmentSizes = array<i32: 1, 1, 0, 1>", "operandSegmentSizes = 1",
       "operand"},
      {unfused_text, "array<i32: 1, 1, 0, 1>", "array<i64: 1, 1, 0, 1>", "operand"},
      {fused_text, "\"hone.quantize\"(%x) :", "\"hone.quantize\"(%x) <{a = 1}> :", ""},
      {fused_text, "\"hone.quantize\"(%x) :", "\"hone.quantize\"(%x) ({}) :", "region"},
      {fused_text, "\"hone.quantize\"(%x) :", "hone.quantize %x :", "generic form"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fixture_reset(f);
    ir_model_t model;
    const char *text = replaced(f->arena, rows[i].text, rows[i].from, rows[i].to);
    if (ir_model_parse(f->session, text, "t.mlir", &model, &f->status)) {
      fail_msg("row %zu (%s) was accepted", i, rows[i].to);
    }
    assert_contains(f->status.message, rows[i].want);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_ops_agree, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_formats_agree, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_embedded_text_is_the_file, fixture_setup,
                                      fixture_teardown),
      cmocka_unit_test_setup_teardown(test_irdl_rejects, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
