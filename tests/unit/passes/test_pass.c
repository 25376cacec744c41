// The registry and pipelines as text: what runs, what is refused and in which words; and what
// passes do together that no single pass shows: repeated calls, shared weights, a second run.
#include "tests/unit/passes/fixture.h"

static void names_are_unique_and_documented(void **state) {
  (void)state;
  assert_true(hone_pass_count() >= 7);
  for (size_t i = 0; i < hone_pass_count(); i++) {
    const hone_pass_t *pass = hone_pass_at(i);
    assert_true(strlen(pass->summary) > 10);
    assert_non_null(pass->run);
    for (size_t j = 0; j < i; j++) assert_string_not_equal(pass->name, hone_pass_at(j)->name);
  }
}

static void pipelines_that_run(void **state) {
  static const char *const pipelines[] = {
      "",
      "canonical",
      " canonical , fuse ",
      "quantize{}",
      "quantize{ weights=nf4   head=q8<64> }",
      "symbol-dce,func.func(cse),canonicalize{max-iterations=2}",
      "plan-memory{batch=1}"};
  (void)state;
  for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++) {
    fixture_t f;
    fixture_open(&f, pipelines[i]);
    fixture_close(&f);
  }
}

static void pipelines_that_are_refused(void **state) {
  static const struct {
    const char *pipeline, *message;
  } rows[] = {
      {"canonnical", "unknown pass 'canonnical'; did you mean 'canonical'?"},
      {"xyz", "unknown pass 'xyz'; see 'hone list passes'"},
      {"fuse,,fuse", "empty pass name in 'fuse,,fuse'"},
      {"fuse,", "empty pass name"},
      {"fuse{", "pass fuse: '{' without '}'"},
      {"fuse{x=1}", "pass fuse takes no options, not 'x'"},
      {"quantize{wieghts=q8}", "pass quantize has no option 'wieghts'; did you mean 'weights'?"},
      {"quantize{zzzzzz=q8}", "has no option 'zzzzzz'; it takes weights=FMT head=FMT"},
      {"quantize{weights}", "pass quantize: option 'weights' needs a value"},
      {"quantize{weights=}", "pass quantize: option 'weights' needs a value"},
      {"quantize{head=q8 head=f32}", "pass quantize: option 'head' is given twice"},
      {"quantize{weights=nf5}", "pass quantize: weights=nf5: "},
      {"quantize-acts{acts=q8}", "need quantized weights, not f32"},
      {"quantize-acts{acts=int4}", "acts=int4: activations are f32, q8 or b1"},
      {"plan-memory{batch=many}", "batch=many"},
      {"cse{x=1}", "MLIR pass 'cse{x=1}'"},
      {"select-dataflow", "select-dataflow needs a target"},
  };
  (void)state;
  fixture_t f;
  fixture_open(&f, "");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    hone_status_t status = {0};
    assert_false(hone_passes_run(&f.model, rows[i].pipeline, &status));
    assert_contains(status.message, rows[i].message);
    assert_int_not_equal(status.code, HONE_INTERNAL);
  }
  fixture_close(&f);
}

static void the_model_is_verified_after_every_pass(void **state) {
  (void)state;
  fixture_t f;
  hone_status_t status = {0};
  fixture_open(&f, "");
  assert_false(hone_passes_run(&f.model, "symbol-privatize,symbol-dce", &status));
  assert_contains(status.message, "after pass symbol-dce: ");  // nothing is left
  assert_contains(status.message, "no function @forward");
  fixture_close(&f);
}

// tiny.mlir with its second layer calling the functions of the first: weights shared by layers.
static void open_shared(fixture_t *f) {
  fixture_begin(f);
  char *text = fixture_text(f), *forward = strstr(text, "func.func @forward");
  assert_non_null(forward);
  int calls = 0;
  for (char *at = forward; (at = strstr(at, "@layers.1.")); calls++) at[strlen("@layers.")] = '0';
  assert_int_equal(calls, 2);
  fixture_parse(f, text);
}

static void repeated_calls_become_layers(void **state) {
  (void)state;
  fixture_t f;
  open_shared(&f);
  if (!hone_passes_run(&f.model, "canonical", &f.status)) fail_msg("%s", f.status.message);
  static const struct {
    const char *name;
    int64_t layer;
  } rows[] = {{"embed", -1},         {"layers.0.attention", 0},
              {"layers.0.ffn", 0},   {"layers.0.attention.2", 1},
              {"layers.0.ffn.2", 1}, {"head", -1}};
  assert_int_equal(ir_block_count(&f.model), sizeof rows / sizeof *rows);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ir_block_t block;
    assert_true(ir_block_at(&f.model, i, &block));
    assert_string_equal(block.name, rows[i].name);
    assert_int_equal(block.layer, rows[i].layer);
  }
  for (size_t i = 0; i < ir_recipe_count(&f.model); i++) {  // of @layers.1.*, which nobody calls
    ir_recipe_t recipe;
    assert_true(ir_recipe_at(&f.model, i, &recipe));
    assert_false(hone_text_starts(recipe.name, "layers.1."));
  }
  fixture_close(&f);
}

static void layers_that_share_weights_share_merged_ones(void **state) {
  (void)state;
  fixture_t f;
  open_shared(&f);
  if (!hone_passes_run(&f.model, "canonical,fuse", &f.status)) fail_msg("%s", f.status.message);
  size_t merged = 0;
  for (size_t i = 0; i < ir_recipe_count(&f.model); i++) {
    ir_recipe_t recipe;
    assert_true(ir_recipe_at(&f.model, i, &recipe));
    merged += recipe.source_count > 1;
  }
  assert_int_equal(merged, 2);  // qkv and gate_up, once
  fixture_close(&f);
}

static void a_second_run_changes_nothing(void **state) {
  static const char pipeline[] =
      "canonical,quantize{weights=nf4},quantize-acts,fuse,plan-memory{batch=8}";
  (void)state;
  fixture_t f;
  hone_buffer_t first = {0}, second = {0};
  fixture_open(&f, pipeline);
  ir_model_print(&f.model, &first);
  if (!hone_passes_run(&f.model, pipeline, &f.status)) fail_msg("%s", f.status.message);
  ir_model_print(&f.model, &second);
  assert_string_equal(hone_buffer_cstr(&first), hone_buffer_cstr(&second));
  hone_buffer_deinit(&first);
  hone_buffer_deinit(&second);
  fixture_close(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_unique_and_documented),
      cmocka_unit_test(pipelines_that_run),
      cmocka_unit_test(pipelines_that_are_refused),
      cmocka_unit_test(the_model_is_verified_after_every_pass),
      cmocka_unit_test(repeated_calls_become_layers),
      cmocka_unit_test(layers_that_share_weights_share_merged_ones),
      cmocka_unit_test(a_second_run_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
