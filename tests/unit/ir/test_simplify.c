// CSE, DCE and pruning of recipes: what is equal merges, what is unused goes, the KV cache is left
// alone.
#include "ir/simplify.h"

#include "tests/unit/ir/fixture.h"

static ir_model_t parsed(fixture_t *f, const char *text) {
  ir_model_t model;
  assert_ok(f, ir_model_parse(f->session, text, "t.mlir", &model, &f->status));
  assert_ok(f, ir_model_verify(&model, &f->status));
  return model;
}

static size_t count_ops(const ir_model_t *model, const char *name) {
  hone_buffer_t text = {0};
  ir_model_print(model, &text);
  size_t count = 0;
  for (const char *at = strstr(hone_buffer_cstr(&text), name); at; at = strstr(at + 1, name))
    count++;
  hone_buffer_deinit(&text);
  return count;
}

#define RETURN_D "  return %d : tensor<?x64xf32>\n"
#define ADD(name, a, b)                    \
  "  %" name " = \"hone.add\"(%" a ", %" b \
  ") : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>\n"

static void test_nothing_to_do(void **state) {
  fixture_t *f = *state;
  ir_model_t model = parsed(f, unfused_text);
  assert_int_equal(ir_cse(&model), 0);
  assert_int_equal(ir_dce(&model), 0);
  assert_int_equal(ir_recipes_prune(&model), 0);
  ir_model_destroy(&model);
}

// Equal chains merge to the end in one run: s = d + x and t = d + x, then s + s and t + t.
static void test_cse_chains(void **state) {
  fixture_t *f = *state;
  ir_model_t model = parsed(
      f, replaced(f->arena, unfused_text, RETURN_D,
                  ADD("s", "d", "x") ADD("t", "d", "x") ADD("s2", "s", "s") ADD("t2", "t", "t")
                      ADD("r", "s2", "t2") "  return %r : tensor<?x64xf32>\n"));
  assert_int_equal(ir_cse(&model), 2);
  assert_ok(f, ir_model_verify(&model, &f->status));
  assert_int_equal(count_ops(&model, "\"hone.add\""), 1 + 3);
  assert_int_equal(ir_cse(&model), 0);
  ir_model_destroy(&model);
}

static void test_cse_tells_apart(void **state) {
  fixture_t *f = *state;
  // Other operand order, other attribute, other result type: not the same.
  ir_model_t model = parsed(
      f,
      replaced(
          f->arena, unfused_text, RETURN_D,
          ADD("s", "d", "x") ADD(
              "t", "x",
              "d") "  %z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> "
                   "tensor<?x64x!hone.q8<64>>\n"
                   "  %g1 = \"hone.glu\"(%x, %x) {activation = \"silu\"} : (tensor<?x64xf32>, "
                   "tensor<?x64xf32>) -> tensor<?x64xf32>\n"
                   "  %g2 = \"hone.glu\"(%x, %x) {activation = \"gelu_tanh\"} : (tensor<?x64xf32>, "
                   "tensor<?x64xf32>) -> tensor<?x64xf32>\n" RETURN_D));
  assert_int_equal(ir_cse(&model), 0);
  assert_int_equal(ir_dce(&model), 5);
  ir_model_destroy(&model);
}

// The same weight used twice in a block becomes one hone.weight; blocks do not share.
static void test_cse_weights(void **state) {
  fixture_t *f = *state;
  ir_model_t model = parsed(
      f, replaced(f->arena, unfused_text, RETURN_D,
                  "  %wh = \"hone.weight\"() {ref = @gate} : () -> tensor<172x64x!hone.nf4<64>>\n"
                  "  %h = \"hone.linear\"(%x, %wh) {epilogue = \"none\", operandSegmentSizes = "
                  "array<i32: 1, "
                  "1, 0, 0>} : (tensor<?x64xf32>, tensor<172x64x!hone.nf4<64>>) -> "
                  "tensor<?x172xf32>\n" RETURN_D));
  assert_int_equal(ir_cse(&model), 2);
  assert_ok(f, ir_model_verify(&model, &f->status));
  ir_model_destroy(&model);
}

static void test_attention_is_not_pure(void **state) {
  fixture_t *f = *state;
  // The result of attention is dropped: the cache is still written, and it needs q, k and v.
  ir_model_t model = parsed(f, replaced(f->arena, unfused_text, "  return %r : tensor<?x64xf32>\n",
                                        "  return %x : tensor<?x64xf32>\n"));
  assert_int_equal(ir_dce(&model), 1);  // the residual add
  assert_int_equal(count_ops(&model, "\"hone.attend\""), 1);
  assert_int_equal(count_ops(&model, "\"hone.rope\""), 1);
  ir_model_destroy(&model);
}

static void test_dce_chain_and_prune(void **state) {
  fixture_t *f = *state;
  ir_model_t model =
      parsed(f, replaced(f->arena, unfused_text, RETURN_D, "  return %x : tensor<?x64xf32>\n"));
  assert_int_equal(ir_dce(&model), 5);  // two weights, two linears, the glu
  assert_int_equal(ir_recipes_prune(&model), 2);
  assert_int_equal(ir_recipe_count(&model), 4);
  assert_int_equal(ir_dce(&model), 0);
  assert_ok(f, ir_model_verify(&model, &f->status));
  ir_model_destroy(&model);
}

// arith is pure too; other dialects are left alone.
static void test_arith(void **state) {
  fixture_t *f = *state;
  ir_model_t model;
  const char *text =
      "module { func.func @f(%x: f32, %m: memref<4xf32>, %i: index) -> f32 {\n"
      "  %a = arith.addf %x, %x : f32\n  %b = arith.addf %x, %x : f32\n"
      "  %c = arith.mulf %a, %b : f32\n  memref.store %c, %m[%i] : memref<4xf32>\n"
      "  %d = memref.load %m[%i] : memref<4xf32>\n  %e = arith.addf %x, %x fastmath<nnan> : f32\n"
      "  %g = arith.subf %a, %b : f32\n  return %a : f32\n} }";
  assert_ok(f, ir_model_parse(f->session, text, "t.mlir", &model, &f->status));
  assert_int_equal(ir_cse(&model), 1);
  assert_int_equal(ir_dce(&model), 2);
  assert_int_equal(count_ops(&model, "memref.load"), 1);
  ir_model_destroy(&model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_nothing_to_do),
      TEST(test_cse_chains),
      TEST(test_cse_tells_apart),
      TEST(test_cse_weights),
      TEST(test_attention_is_not_pure),
      TEST(test_dce_chain_and_prune),
      TEST(test_arith),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
