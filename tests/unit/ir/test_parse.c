// Parsing: errors carry file, line and column; hostile text is refused, not crashed on.
#include "tests/unit/ir/fixture.h"

static void refused(fixture_t *f, const char *text, const char *want) {
  fixture_reset(f);
  ir_model_t model = {0};
  if (ir_model_parse(f->session, text, "m.mlir", &model, &f->status)) {
    fail_msg("accepted: %.80s", text);
  }
  assert_int_equal(f->status.code, HONE_INVALID);
  assert_contains(f->status.message, want);
}

static void test_places(void **state) {
  fixture_t *f = *state;
  refused(f, "", "m.mlir: source must contain a single top-level operation");
  refused(f, "module {\n  func.func @f( {\n}", "m.mlir:2:");
  refused(f, "module {\n\n   \"hone.nope\"() : () -> ()\n}", "m.mlir:3:4: ");
  refused(f, "module {\n func.func @f(%x: !hone.q9<64>) { return }\n}", "m.mlir:2:");
  refused(f, "module {\n func.func @f(%x: tensor<4x!hone.q8<\"a\">>) { return }\n}", "m.mlir:2:");
  refused(f, "module { func.func @f() { return } func.func @f() { return } }",
          "redefinition of symbol");
}

static void test_only_a_module_is_a_model(void **state) {
  fixture_t *f = *state;
  refused(f, "func.func @f() { return }", "one module");
  refused(f, "module {} module {}", "m.mlir");
  refused(f, "\"hone.recipe\"() : () -> ()", "m.mlir:1:1");
}

// A recipe and a function of one name: MLIR's symbol table refuses them.
static void test_one_name_space(void **state) {
  fixture_t *f = *state;
  refused(f, replaced(f->arena, unfused_text, "sym_name = \"gate\"", "sym_name = \"head\""),
          "redefinition of symbol named 'head'");
}

static char *nested(hone_arena_t *arena, const char *before, const char *part, size_t count,
                    const char *after) {
  hone_buffer_t text = {0};
  hone_buffer_text(&text, before);
  for (size_t i = 0; i < count; i++) hone_buffer_text(&text, part);
  hone_buffer_text(&text, after);
  char *kept = hone_arena_strdup(arena, hone_buffer_cstr(&text));
  hone_buffer_deinit(&text);
  return kept;
}

static void test_deep_nesting_is_refused(void **state) {
  fixture_t *f = *state;
  enum { DEEP = 200000 };
  const char *want = "nest more than 64 deep";
  refused(f, nested(f->arena, "module attributes {a = ", "[", DEEP, ""), want);
  refused(f, nested(f->arena, "module attributes {a = ", "{a = ", DEEP, ""), want);
  refused(f, nested(f->arena, "", "module {", DEEP, ""), want);
  refused(f, nested(f->arena, "module attributes {a = ", "tuple<", DEEP, ""), want);
  refused(f, nested(f->arena, "module attributes {a = ", "tuple<() -> ", DEEP, ""), want);
  refused(f, nested(f->arena, "module attributes {a = ", "(", DEEP, ""), want);
  refused(f, nested(f->arena, "module { func.func @f() { \"a.b\"() (", "{ \"a.b\"() (", DEEP, ""),
          want);
  refused(f, nested(f->arena, "module { \"x\\\"\" // \"\n", "{", DEEP, ""), want);
  refused(f, nested(f->arena, "module attributes {a = affine_map<(d0) -> (", "-", DEEP, "d0)>} {}"),
          "affine maps and sets");
}

static void test_brackets_in_strings_do_not_count(void **state) {
  fixture_t *f = *state;
  ir_model_t model;
  const char *text =
      nested(f->arena, "module attributes {hone.a = \"\\\"", "[", 1000, "\"} {} // [[[\n");
  assert_ok(f, ir_model_parse(f->session, text, "m.mlir", &model, &f->status));
  ir_model_destroy(&model);
}

// Every prefix of a model and every single-byte deletion: an error or a model, never a crash; what
// parses can be read by the accessors and verified.
static void exercise(fixture_t *f, const char *text) {
  fixture_reset(f);
  ir_model_t model;
  if (!ir_model_parse(f->session, text, "m.mlir", &model, &f->status)) {
    assert_true(f->status.message[0] != '\0');
    return;
  }
  ir_config_t config;
  ir_recipe_t recipe;
  ir_block_t block;
  hone_status_t ignored = {0};
  (void)!ir_model_config(&model, &config, &ignored);
  for (size_t i = 0; i < ir_recipe_count(&model); i++) ir_recipe_at(&model, i, &recipe);
  for (size_t i = 0; i < ir_block_count(&model); i++) ir_block_at(&model, i, &block);
  (void)!ir_model_verify(&model, &f->status);
  ir_model_destroy(&model);
}

static void test_truncated(void **state) {
  fixture_t *f = *state;
  const char *text = fused_text;
  for (size_t bytes = 0; bytes < strlen(text); bytes += 3) {
    exercise(f, hone_arena_strndup(f->arena, text, bytes));
  }
}

static void test_damaged(void **state) {
  fixture_t *f = *state;
  static const char junk[] = "0}\">-%@!x,9\n";
  char *text = hone_arena_strdup(f->arena, fused_text);
  size_t bytes = strlen(text);
  for (size_t i = 0; i < bytes; i += 2) {
    char kept = text[i];
    text[i] = junk[(i / 2) % (sizeof junk - 1)];
    exercise(f, text);
    text[i] = kept;
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_places),
      TEST(test_only_a_module_is_a_model),
      TEST(test_one_name_space),
      TEST(test_deep_nesting_is_refused),
      TEST(test_brackets_in_strings_do_not_count),
      TEST(test_truncated),
      TEST(test_damaged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
