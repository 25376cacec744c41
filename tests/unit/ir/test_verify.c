// The verifier: for every rule a model that breaks only it, and the message that names op, function
// and weight.
#include "tests/unit/ir/fixture.h"

typedef struct row {
  const char *text, *from, *to, *want;
} row_t;

static void check_rows(fixture_t *f, const row_t *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    fixture_reset(f);
    ir_model_t model;
    const char *text = replaced(f->arena, rows[i].text, rows[i].from, rows[i].to);
    if (ir_model_parse(f->session, text, "t.mlir", &model, &f->status)) {
      if (ir_model_verify(&model, &f->status)) fail_msg("accepted: %s", rows[i].to);
      ir_model_destroy(&model);
    }
    assert_int_equal(f->status.code, HONE_INVALID);
    assert_true(f->diagnostics.error_count > 0);
    assert_contains(f->status.message, rows[i].want);
    assert_contains(f->status.message, "t.mlir:");
  }
}
#define CHECK_ROWS(f, rows) check_rows((f), (rows), sizeof(rows) / sizeof *(rows))

static void test_fixtures_are_valid(void **state) {
  fixture_t *f = *state;
  const char *texts[] = {unfused_text, fused_text};
  for (size_t i = 0; i < 2; i++) {
    ir_model_t model;
    assert_ok(f, ir_model_parse(f->session, texts[i], "t.mlir", &model, &f->status));
    assert_ok(f, ir_model_verify(&model, &f->status));
    assert_int_equal(f->diagnostics.list.count, 0);
    ir_model_destroy(&model);
  }
}

static void test_config(void **state) {
  static const row_t rows[] = {
      {unfused_text, "hone.model = {", "hone.other = {", "no attribute hone.model"},
      {unfused_text, "family = \"llama\", ", "", "entry family, a string"},
      {unfused_text, "vocab = 96", "vocab = \"96\"", "entry vocab, an i64"},
      {unfused_text, "vocab = 96", "vocab = 96 : i32", "entry vocab, an i64"},
      {unfused_text, "vocab = 96", "vocab = 123456789012345678901 : i128", "entry vocab"},
      {unfused_text, "vocab = 96", "vocab = 0", "vocab is 0; it must be from 1"},
      {unfused_text, "width = 64, context", "width = -1, context", "width is -1"},
      {unfused_text, "context = 32", "context = 9999999999", "context is 9999999999"},
      {unfused_text, "bos = 1,", "bos = 96,", "bos is 96; it must be from -1 to 95"},
      {fused_text, "add_bos = false", "add_bos = true", "add_bos is true, but there is no bos"},
      {unfused_text, "add_bos = true", "add_bos = 1", "entry add_bos, true or false"},
      {unfused_text, "eos = array<i64: 2>", "eos = array<i64: 2, 96>", "eos is 96"},
      {unfused_text, "eos = array<i64: 2>", "eos = array<i32: 2>", "entry eos, array<i64"},
      {unfused_text, "eos = array<i64: 2>",
       "eos = array<i64: 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0>", "at most 16"},
      {unfused_text, "family = \"llama\"", "family = \"\"", "family is not a name"},
      {unfused_text, "checkpoint = \"c\"", "checkpoint = 1", "entry checkpoint, a string"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

#define RECIPE_GATE "sources = [\"g\"], combine = \"single\", type = tensor<172x64x!hone.nf4<64>>"

static void test_recipes(void **state) {
  static const row_t rows[] = {
      {unfused_text, "sym_name = \"gate\"", "sym_name = \"a b\"", "sym_name must be"},
      {unfused_text, "sym_name = \"gate\"", "sym_name = \"g\\00te\"", "sym_name must be"},
      {unfused_text, "sym_name = \"gate\"", "sym_name = \"norm\"", "redefinition of symbol"},
      {unfused_text, "sources = [\"g\"]", "sources = []",
       "recipe @gate needs 1 to 4 sources, not 0"},
      {unfused_text, "sources = [\"g\"]", "sources = [\"g\", \"g\", \"g\", \"g\", \"g\"]", "not 5"},
      {unfused_text, "sources = [\"g\"]", "sources = [7]", "source 0 is not the name of a tensor"},
      {unfused_text, "sources = [\"g\"]", "sources = [\"\"]", "source 0 is not the name"},
      {unfused_text, "sources = [\"g\"]", "sources = [\"g\\00x\"]", "source 0 is not the name"},
      {unfused_text, "sources = [\"g\"]", "sources = [\"g\", \"h\"]",
       "recipe @gate combines \"single\", which does not go with 2"},
      {fused_text, "sources = [\"g\", \"u\"]", "sources = [\"g\", \"u\", \"w\"]",
       "recipe @gu combines \"interleave\", which does not go with 3"},
      {fused_text, "sources = [\"q\", \"k\", \"v\"]", "sources = [\"q\"]", "combines \"concat\""},
      {fused_text, "\"interleave\", type = tensor<344x64x!hone.nf4<64>>",
       "\"interleave\", type = tensor<343x64x!hone.nf4<64>>", "343 rows must be even"},
      {unfused_text, RECIPE_GATE, "sources = [\"g\"], combine = \"single\", type = f32",
       "recipe @gate has the type f32"},
      {unfused_text, RECIPE_GATE,
       "sources = [\"g\"], combine = \"single\", type = tensor<?x64xf32>",
       "it must be a static tensor"},
      {unfused_text, RECIPE_GATE,
       "sources = [\"g\"], combine = \"single\", type = tensor<0x64xf32>",
       "it must be a static tensor"},
      {unfused_text, RECIPE_GATE,
       "sources = [\"g\"], combine = \"single\", type = tensor<4x4x4xf32>",
       "it must be a static tensor"},
      {unfused_text, RECIPE_GATE, "sources = [\"g\"], combine = \"single\", type = tensor<*xf32>",
       "it must be a static tensor"},
      {unfused_text, RECIPE_GATE,
       "sources = [\"g\"], combine = \"single\", type = tensor<9223372036854775807x64xf32>",
       "it must be a static tensor"},
      {unfused_text, RECIPE_GATE, "sources = [\"g\"], combine = \"single\", type = tensor<4x4xi32>",
       "it must be a static tensor"},
      {unfused_text, RECIPE_GATE,
       "sources = [\"g\"], combine = \"single\", type = tensor<4x4xf32, \"e\">",
       "encodings are not supported"},
      {unfused_text, RECIPE_GATE,
       "sources = [\"g\"], combine = \"single\", type = tensor<172x64x!hone.nf4<48>>",
       "its group is not one that the format allows"},
      {unfused_text, "type = tensor<64xf32>", "type = tensor<64xbf16>",
       "recipe @norm is a vector, so it must be f32"},
      {unfused_text, "combine = \"single\", type = tensor<64xf32>",
       "combine = \"sum\", type = tensor<64xf32>", "does not satisfy the constraint"},
      {unfused_text, "  return %l : tensor<?x96xf32>\n",
       "  \"hone.recipe\"() {sym_name = \"z\", sources = [\"z\"], combine = \"single\", type = "
       "tensor<64xf32>} : () -> ()\n  return %l : tensor<?x96xf32>\n",
       "'hone.recipe' in @head: recipes belong to the module"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

static void test_functions(void **state) {
  static const row_t rows[] = {
      {unfused_text, "@forward(", "@backward(", "no function @forward"},
      {unfused_text, "hone.kind = \"ffn\"", "hone.kind = \"fnn\"", "unknown block kind \"fnn\""},
      {unfused_text, "hone.kind = \"ffn\", ", "", "needs the attribute hone.kind"},
      {unfused_text, "hone.kind = \"ffn\", hone.layer = 0", "hone.kind = \"ffn\"",
       "block of kind \"ffn\" needs hone.layer"},
      {unfused_text, "hone.kind = \"head\"", "hone.kind = \"head\", hone.layer = 0",
       "block of kind \"head\" has no hone.layer"},
      {unfused_text, "hone.kind = \"ffn\", hone.layer = 0", "hone.kind = \"ffn\", hone.layer = -1",
       "hone.layer must be an integer from 0"},
      {unfused_text, "hone.kind = \"ffn\", hone.layer = 0",
       "hone.kind = \"ffn\", hone.layer = \"0\"", "hone.layer must be an integer from 0"},
      {unfused_text, "  %1 = call @layers.0.attention(%0)", "  %1 = call @nowhere(%0)", "nowhere"},
      {unfused_text, "call @layers.0.ffn(%1)", "call @layers.0.ffn(%0)",
       "must be applied to the result of the call before it"},
      {unfused_text, "  return %3 : tensor<?x96xf32>\n",
       "  %4 = call @forward(%ids) : (tensor<?xi32>) -> tensor<?x96xf32>\n  return %3 : "
       "tensor<?x96xf32>\n",
       "@forward calls itself"},
      {unfused_text, "  %2 = call @layers.0.ffn(%1) : (tensor<?x64xf32>) -> tensor<?x64xf32>\n",
       "  %2 = call @layers.0.ffn(%1) : (tensor<?x64xf32>) -> tensor<?x64xf32>\n"
       "  %z = arith.constant 0 : i32\n",
       "@forward holds calls of blocks and a return only"},
      {unfused_text, "  return %d : tensor<?x64xf32>\n",
       "  %c = call @layers.0.ffn(%d) : (tensor<?x64xf32>) -> tensor<?x64xf32>\n"
       "  return %c : tensor<?x64xf32>\n",
       "'func.call' in @layers.0.ffn: a block calls nothing"},
      {unfused_text, "  return %d : tensor<?x64xf32>\n",
       "  %c = arith.addf %d, %d : tensor<?x64xf32>\n  return %c : tensor<?x64xf32>\n",
       "'arith.addf' in @layers.0.ffn: a block holds ops of the hone dialect only"},
      {unfused_text, "  return %d : tensor<?x64xf32>\n",
       "  cf.br ^b\n^b:\n  return %d : tensor<?x64xf32>\n", "one basic block"},
      {unfused_text, "func.func @forward(",
       "func.func private @ext(tensor<?xi32>) -> f32 attributes {hone.kind = \"embed\"}\n"
       "func.func @forward(",
       "'func.func' in @ext: a block function has a body"},
      {unfused_text, "func.func @forward(",
       "func.func private @two(%a: f32, %b: f32) -> f32 attributes {hone.kind = \"embed\"} {\n"
       "  return %a : f32\n}\nfunc.func @forward(",
       "a block has one argument and one result"},
      {unfused_text, "func.func @forward(", "module {}\nfunc.func @forward(",
       "a model holds hone.recipe and func.func only"},
      {unfused_text, "func.func @forward(",
       "func.func private @\"a b\"() { return }\nfunc.func @forward(", "sym_name must be"},
      {unfused_text, "vocab = 96", "vocab = 97",
       "weight @embed.weight has 96 rows, but vocab is 97"},
      {unfused_text, "  return %3 : tensor<?x96xf32>\n}\n}\n",
       "  return %3 : tensor<?x96xf32>\n}\nfunc.func private @head2(%x: tensor<?x64xf32>) -> "
       "tensor<?x96xf32>\n}\n",
       "hone.kind"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

static void test_forward_shape(void **state) {
  fixture_t *f = *state;
  // An empty chain, and a forward that takes activations.
  static const char *const rows[][2] = {
      {"func.func @forward(%ids: tensor<?x96xf32>) -> tensor<?x96xf32> { return %ids : "
       "tensor<?x96xf32> }",
       "@forward takes one tensor<?xi32>"},
      {"func.func @forward(%ids: tensor<?xi32>) -> tensor<?xi32> { return %ids : tensor<?xi32> }",
       "@forward must return one tensor<?x96xf32>"},
      {"func.func private @forward(tensor<?xi32>) -> tensor<?x96xf32>", "@forward has a body"},
      {"func.func @forward() { return }", "@forward takes one tensor<?xi32>"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fixture_reset(f);
    ir_model_t model;
    const char *text =
        hone_arena_format(f->arena,
                          "module attributes {hone.model = {family = \"llama\", vocab = 96, width "
                          "= 64, context = 32, bos = -1,"
                          " add_bos = false, eos = array<i64>, checkpoint = \"\"}} { %s }",
                          rows[i][0]);
    assert_ok(f, ir_model_parse(f->session, text, "t.mlir", &model, &f->status));
    assert_false(ir_model_verify(&model, &f->status));
    assert_contains(f->status.message, rows[i][1]);
    ir_model_destroy(&model);
  }
}

static void test_weights(void **state) {
  static const row_t rows[] = {
      {unfused_text, "{ref = @gate}", "{ref = @gates}",
       "'hone.weight' in @layers.0.ffn: there is no recipe @gates"},
      {unfused_text, "{ref = @gate}", "{ref = @gate::@x}", "ref must be the name of a recipe"},
      {unfused_text, "{ref = @gate}", "{ref = @head}", "there is no recipe @head"},
      {unfused_text, "{ref = @gate}", "{ref = \"gate\"}", "builtin.symbol_ref"},
      {unfused_text, RECIPE_GATE,
       "sources = [\"g\"], combine = \"single\", type = tensor<172x64xf32>",
       "but recipe @gate makes tensor<172x64xf32>"},
      {unfused_text, "(%ids, %w) : (tensor<?xi32>, tensor<96x64xf32>)",
       "(%w, %w) : (tensor<96x64xf32>, tensor<96x64xf32>)",
       "'hone.embed' in @embed: ids are tensor<96x64xf32>"},
      {unfused_text, "vocab = 96, width = 64", "vocab = 96, width = 65",
       "weight @embed.weight has 64 columns, but width is 65"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

static void test_norm(void **state) {
  static const row_t rows[] = {
      {unfused_text, "epsilon = 1.0e-5", "epsilon = -1.0", "epsilon must be an f64"},
      {unfused_text, "epsilon = 1.0e-5", "epsilon = 0x7FF0000000000000 : f64", "epsilon must be"},
      {unfused_text,
       "\"hone.norm\"(%x, %g) {kind = \"rms\", epsilon = 1.0e-5} : (tensor<?x64xf32>, "
       "tensor<64xf32>)",
       "\"hone.norm\"(%x, %x) {kind = \"rms\", epsilon = 1.0e-5} : (tensor<?x64xf32>, "
       "tensor<?x64xf32>)",
       "'hone.norm' in @layers.0.attention: gain must be the result of hone.weight"},
      {unfused_text,
       "{ref = @norm} : () -> tensor<64xf32>\n  %n = \"hone.norm\"(%x, %g) {kind = \"rms\", "
       "epsilon = 1.0e-5} : (tensor<?x64xf32>, tensor<64xf32>)",
       "{ref = @embed.weight} : () -> tensor<96x64xf32>\n  %n = \"hone.norm\"(%x, %g) {kind = "
       "\"rms\", "
       "epsilon = 1.0e-5} : (tensor<?x64xf32>, tensor<96x64xf32>)",
       "gain @embed.weight is tensor<96x64xf32>; it must be a vector"},
      {fused_text,
       "{ref = @norm} : () -> tensor<64xf32>\n  %n = \"hone.norm\"(%x, %g) {kind = \"rms\", "
       "epsilon = 1.0e-5} : (tensor<?x64xf32>, tensor<64xf32>)",
       "{ref = @qkv.bias} : () -> tensor<128xf32>\n  %n = \"hone.norm\"(%x, %g) {kind = \"rms\", "
       "epsilon = 1.0e-5} : (tensor<?x64xf32>, tensor<128xf32>)",
       "gain @qkv.bias has 128 elements; it must have 64"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

static void test_gain(void **state) {
  static const row_t rows[] = {
      {fused_text, "tensor<128x64x!hone.nf4<64>>} : () -> ()",
       "tensor<128x64x!hone.nf4<64>>, gain = 3} : () -> ()",
       "recipe @qkv: gain is not the name of a tensor"},
      {fused_text, "tensor<128x64x!hone.nf4<64>>} : () -> ()",
       "tensor<128x64x!hone.nf4<64>>, gain = \"\"} : () -> ()",
       "recipe @qkv: gain is not the name of a tensor"},
      {fused_text, "type = tensor<64xf32>}", "type = tensor<64xf32>, gain = \"g\"}",
       "recipe @norm: a vector has no columns for a gain"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

static void test_corrects(void **state) {
  static const row_t rows[] = {
      {fused_text, "tensor<128x64x!hone.nf4<64>>} : () -> ()",
       "tensor<128x64x!hone.nf4<64>>, corrects = \"qkv\"} : () -> ()",
       "recipe @qkv: only a vector can correct a linear"},
      {fused_text, "type = tensor<128xf32>}", "type = tensor<128xf32>, corrects = 7}",
       "recipe @qkv.bias: corrects is not the name of a recipe"},
      {fused_text, "type = tensor<128xf32>}", "type = tensor<128xf32>, corrects = \"gu\"}",
       "bias @qkv.bias corrects @gu, but the weight is @qkv"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

static void test_linear(void **state) {
  static const row_t rows[] = {
      {unfused_text,
       "(%u, %wd, %x) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, 0, 1>} : "
       "(tensor<?x172xf32>, tensor<64x172x!hone.q8<64>>, tensor<?x64xf32>)",
       "(%x, %wd, %x) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, 0, 1>} : "
       "(tensor<?x64xf32>, tensor<64x172x!hone.q8<64>>, tensor<?x64xf32>)",
       "'hone.linear' in @layers.0.ffn: x has 64 columns, but weight @down is (64, 172)"},
      {unfused_text,
       "(%u, %wd, %x) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, 0, 1>} : "
       "(tensor<?x172xf32>, tensor<64x172x!hone.q8<64>>, tensor<?x64xf32>)",
       "(%u, %wd, %u) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, 0, 1>} : "
       "(tensor<?x172xf32>, tensor<64x172x!hone.q8<64>>, tensor<?x172xf32>)",
       "residual has 172 columns; it must have 64"},
      {unfused_text,
       "(%u, %wd, %x) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, 0, 1>} : "
       "(tensor<?x172xf32>, tensor<64x172x!hone.q8<64>>, tensor<?x64xf32>)",
       "(%u, %wd, %x) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, 1, 0>} : "
       "(tensor<?x172xf32>, tensor<64x172x!hone.q8<64>>, tensor<?x64xf32>)",
       "bias must be the result of hone.weight"},
      {unfused_text, "(%u, %wd, %x) {epilogue = \"none\"", "(%u, %wd, %x) {epilogue = \"silu_glu\"",
       "the result has 64 columns; it must have 32"},
      {fused_text,
       "%q = \"hone.linear\"(%n, %w, %b) {epilogue = \"none\", operandSegmentSizes = array<i32: "
       "1, 1, 1, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<128x64x!hone.nf4<64>>, tensor<128xf32>)",
       "%q = \"hone.linear\"(%n, %w, %g) {epilogue = \"none\", operandSegmentSizes = array<i32: "
       "1, 1, 1, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<128x64x!hone.nf4<64>>, tensor<64xf32>)",
       "bias @norm has 64 elements; it must have 128"},
      {unfused_text,
       "\"hone.linear\"(%x, %hw) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, 0, "
       "0>} : (tensor<?x64xf32>, tensor<96x64xf32>)",
       "\"hone.linear\"(%hw, %hw) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, 0, "
       "0>} : (tensor<96x64xf32>, tensor<96x64xf32>)",
       "x is tensor<96x64xf32>; an activation is tensor<?xWIDTHxf32>"},
      {fused_text, "\"hone.linear\"(%z, %gw) {epilogue = \"silu_glu\"",
       "\"hone.linear\"(%z, %gw) {epilogue = \"none\"",
       "the result has 172 columns; it must have 344"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

static void test_rope_kv(void **state) {
  static const row_t rows[] = {
      {fused_text, "(%n, %w, %b) {epilogue = \"none\"", "(%n, %w, %b) {epilogue = \"rope_kv\"",
       "epilogue rope_kv needs a head_dim that is a multiple of 16, not 8"},
      {unfused_text, "(%n, %wq) {epilogue = \"none\"", "(%n, %wq) {epilogue = \"rope_kv\"",
       "epilogue rope_kv is for one hone.attend_packed"},
      {unfused_text, "(%u, %wd, %x) {epilogue = \"none\"", "(%u, %wd, %x) {epilogue = \"rope_kv\"",
       "epilogue rope_kv is for one hone.attend_packed"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

static void test_odd_glu(void **state) {
  fixture_t *f = *state;
  char *text = replaced(
      f->arena, unfused_text,
      "(%u, %wd, %x) {epilogue = \"none\", operandSegmentSizes = "
      "array<i32: 1, 1, 0, 1>} : (tensor<?x172xf32>, tensor<64x172x!hone.q8<64>>, "
      "tensor<?x64xf32>)",
      "(%u, %wd, %x) {epilogue = \"silu_glu\", operandSegmentSizes = array<i32: 1, 1, 0, 1>} : "
      "(tensor<?x172xf32>, tensor<65x172x!hone.q8<64>>, tensor<?x64xf32>)");
  text = replaced(f->arena, text, "type = tensor<64x172x!hone.q8<64>>",
                  "type = tensor<65x172x!hone.q8<64>>");
  text = replaced(f->arena, text, "() -> tensor<64x172x!hone.q8<64>>",
                  "() -> tensor<65x172x!hone.q8<64>>");
  ir_model_t model;
  assert_ok(f, ir_model_parse(f->session, text, "t.mlir", &model, &f->status));
  assert_false(ir_model_verify(&model, &f->status));
  assert_contains(f->status.message, "pairs rows, but weight @down has 65 of them");
  ir_model_destroy(&model);
}

static void test_attention(void **state) {
  static const row_t rows[] = {
      {unfused_text, "kv_heads = 4", "kv_heads = 3",
       "'hone.attend' in @layers.0.attention: 8 heads cannot share 3 kv_heads"},
      {unfused_text, "kv_heads = 4", "kv_heads = 0", "kv_heads must be an i64 from 1"},
      {unfused_text, "kv_heads = 4", "kv_heads = 4 : i32", "kv_heads must be an i64 from 1"},
      {unfused_text, "kv_heads = 4", "kv_heads = 8", "k has 32 columns; it must have 64"},
      {unfused_text, "heads = 8, kv_heads", "heads = 16, kv_heads",
       "q has 64 columns; it must have 128"},
      {unfused_text, "window = 0", "window = -1", "window must be an i64 from 0"},
      {unfused_text, "scale = 0.35", "scale = 0.0", "scale must be a positive f64"},
      {unfused_text, "scale = 0.35", "scale = 0x7FF8000000000000 : f64",
       "scale must be a positive f64"},
      {unfused_text, "\"hone.rope\"(%q) {heads = 8", "\"hone.rope\"(%q) {heads = 4",
       "'hone.rope' in @layers.0.attention: x has 64 columns; it must have 32"},
      {unfused_text, "0.01, 0.001>", "0.01>", "there are 3 frequencies; a head_dim of 8 needs 4"},
      {unfused_text, "array<f64: 1.0, 0.1, 0.01, 0.001>", "array<f32: 1.0, 0.1, 0.01, 0.001>",
       "frequencies must be array<f64"},
      {unfused_text, "0.01, 0.001>", "0.01, -0.001>", "frequency 3 is negative"},
      {unfused_text, "\"hone.rope\"(%q) {heads = 8, head_dim = 8",
       "\"hone.rope\"(%q) {heads = 64, head_dim = 1", "head_dim must be an i64 from 2"},
      {fused_text, "0.01, 0.001>", "0.01>",
       "'hone.attend_packed' in @layers.0.attention: there are 3"},
      {fused_text, "kv_heads = 4", "kv_heads = 2", "qkv has 128 columns; it must have 96"},
      {fused_text, "rope_scale = 1.0", "rope_scale = -1.0", "rope_scale must be a positive f64"},
      {fused_text, "-> tensor<?x64xf32>\n  return %a", "-> tensor<?x64x!hone.q8<64>>\n  return %x",
       "head_dim is 8; q8 results need a multiple of 64"},
      {fused_text, "-> tensor<?x64xf32>\n  return %a", "-> tensor<?x64x!hone.b1<64>>\n  return %x",
       "the result is b1; attention makes f32 or q8"},
      {fused_text, "hone.kind = \"attention\", hone.layer = 0", "hone.kind = \"embed\"",
       "attention needs a block with hone.layer"},
      {unfused_text, "  return %d : tensor<?x64xf32>\n",
       "  %a = \"hone.attend\"(%x, %x, %x) {heads = 8, kv_heads = 8, head_dim = 8, window = 0, "
       "scale = "
       "1.0} : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>\n"
       "  return %d : tensor<?x64xf32>\n",
       "layer 0 already has attention, in @layers.0.attention"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

static void test_elementwise(void **state) {
  static const row_t rows[] = {
      {unfused_text,
       "\"hone.glu\"(%g, %g) {activation = \"silu\"} : (tensor<?x172xf32>, tensor<?x172xf32>)",
       "\"hone.glu\"(%g, %x) {activation = \"silu\"} : (tensor<?x172xf32>, tensor<?x64xf32>)",
       "'hone.glu' in @layers.0.ffn: up has 64 columns; it must have 172"},
      {unfused_text, "\"hone.add\"(%x, %a) : (tensor<?x64xf32>, tensor<?x64xf32>)",
       "\"hone.add\"(%x, %k) : (tensor<?x64xf32>, tensor<?x32xf32>)",
       "b has 32 columns; it must have 64"},
      {fused_text, "%z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n",
       "%y = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>\n"
       "  %z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n",
       "the result is not quantized"},
      {fused_text, "%z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n",
       "%y = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.nf4<64>>\n"
       "  %z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n",
       "it must be f32, q8 or b1"},
      {fused_text, "%z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n",
       "%y = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<32>>\n"
       "  %z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n",
       "activations have groups of 64"},
      {fused_text, "%z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n",
       "%z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n"
       "  %y = \"hone.quantize\"(%z) : (tensor<?x64x!hone.q8<64>>) -> tensor<?x64x!hone.q8<64>>\n",
       "x is tensor<?x64x!hone.q8<64 : i64>>; it must be f32"},
      {fused_text, "%z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n",
       "%z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n"
       "  %y = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x128x!hone.q8<64>>\n",
       "the result has 128 columns, but x has 64"},
      {unfused_text,
       "\"hone.add\"(%x, %a) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>\n",
       "\"hone.add\"(%x, %a) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>\n"
       "  %s = \"hone.add\"(%x, %a) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xbf16>\n",
       "the result is tensor<?x64xbf16>; it must be f32"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

// All that is wrong is listed in one run, up to a limit, and the status holds the first.
static void test_every_error_is_listed(void **state) {
  fixture_t *f = *state;
  char *text = replaced(f->arena, unfused_text, "kv_heads = 4", "kv_heads = 3");
  text = replaced(f->arena, text, "{ref = @gate}", "{ref = @lost}");
  ir_model_t model;
  assert_ok(f, ir_model_parse(f->session, text, "t.mlir", &model, &f->status));
  assert_false(ir_model_verify(&model, &f->status));
  assert_int_equal(f->diagnostics.error_count, 2);
  assert_contains(f->status.message, "kv_heads");
  assert_contains(f->diagnostics.list.items[1].message, "@lost");
  assert_contains(f->diagnostics.list.items[1].place, "t.mlir:");
  ir_model_destroy(&model);
}

static void test_rotate(void **state) {
  static const row_t rows[] = {
      {fused_text, "tensor<128x64x!hone.nf4<64>>} : () -> ()",
       "tensor<128x64x!hone.nf4<64>>, rotate = 16} : () -> ()",
       "recipe @qkv: rotate must be an i64 of 32, 64 or 128"},
      {fused_text, "tensor<128x64x!hone.nf4<64>>} : () -> ()",
       "tensor<128x64x!hone.nf4<64>>, rotate = \"64\"} : () -> ()",
       "recipe @qkv: rotate must be an i64 of 32, 64 or 128"},
      {fused_text, "tensor<128x64x!hone.nf4<64>>} : () -> ()",
       "tensor<128x64x!hone.nf4<64>>, rotate = 128} : () -> ()",
       "recipe @qkv is rotated, but 128 does not divide its 64 columns"},
      {fused_text, "type = tensor<64xf32>}", "type = tensor<64xf32>, rotate = 64}",
       "recipe @norm is rotated, but 64 does not divide its 1 columns"},
      {unfused_text, "type = tensor<64x172x!hone.q8<64>>}",
       "type = tensor<64x172x!hone.q8<64>>, rotate = 64}",
       "recipe @down is rotated, but 64 does not divide its 172 columns"},
      {fused_text, "tensor<128x64x!hone.nf4<64>>} : () -> ()",
       "tensor<128x64x!hone.nf4<64>>, rotate = 64} : () -> ()",
       "'hone.linear' in @layers.0.attention: weight @qkv is rotated, but x is not"},
      {fused_text, "epsilon = 1.0e-5}", "epsilon = 1.0e-5, rotate = 64}",
       "x is rotated, but weight @qkv is not: both must have rotate = 64, or none"},
      {fused_text, "epsilon = 1.0e-5}", "epsilon = 1.0e-5, rotate = 16}",
       "'hone.norm' in @layers.0.attention: the result: rotate must be an i64 of 32, 64 or 128"},
      {unfused_text, "epsilon = 1.0e-5}", "epsilon = 1.0e-5, rotate = 64}",
       "rotate goes with a q8 or b1 result"},
      {fused_text, "\"hone.quantize\"(%x)", "\"hone.quantize\"(%x) {rotate = 64}",
       "x is rotated, but weight @gu is not"},
      {fused_text, "tensor<96x64xf32>} : () -> ()", "tensor<96x64xf32>, rotate = 64} : () -> ()",
       "weight @w is rotated; the rows of an embedding must not be"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

static void test_two_rotations(void **state) {
  fixture_t *f = *state;
  const char *text =
      replaced(f->arena, fused_text, "epsilon = 1.0e-5}", "epsilon = 1.0e-5, rotate = 64}");
  const row_t row = {text, "tensor<128x64x!hone.nf4<64>>} : () -> ()",
                     "tensor<128x64x!hone.nf4<64>>, rotate = 32} : () -> ()",
                     "x has rotate = 64, but weight @qkv has rotate = 32: both must have the same"};
  check_rows(f, &row, 1);
}

static void test_signs(void **state) {
#define QUANTIZE "%z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n"
#define SIGNS(group) \
  "%y = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.b1<" group ">>\n  "
  static const row_t rows[] = {
      {fused_text, QUANTIZE, SIGNS("32") QUANTIZE,
       "b1 activations have one group, the row, of a multiple of 64 columns"},
      {fused_text, QUANTIZE, SIGNS("128") QUANTIZE,
       "b1 activations have one group, the row, of a multiple of 64 columns"},
      {fused_text, QUANTIZE,
       SIGNS("64") "%v = \"hone.linear\"(%y, %gw) {epilogue = \"none\", operandSegmentSizes = "
                   "array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.b1<64>>, "
                   "tensor<344x64x!hone.nf4<64>>) -> tensor<?x344xf32>\n  " QUANTIZE,
       "x is b1, which goes with weights of binary planes (b1, bcq2, ...); weight @gu is nf4"},
      {fused_text, QUANTIZE,
       QUANTIZE "%hv = \"hone.weight\"() {ref = @w} : () -> tensor<96x64xf32>\n"
                "%v = \"hone.linear\"(%z, %hv) {epilogue = \"none\", operandSegmentSizes = "
                "array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<96x64xf32>) -> "
                "tensor<?x96xf32>\n",
       "x is q8, which goes with quantized weights; weight @w is f32"},
  };
  CHECK_ROWS((fixture_t *)*state, rows);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_fixtures_are_valid),
      TEST(test_config),
      TEST(test_recipes),
      TEST(test_functions),
      TEST(test_forward_shape),
      TEST(test_weights),
      TEST(test_norm),
      TEST(test_gain),
      TEST(test_corrects),
      TEST(test_linear),
      TEST(test_rope_kv),
      TEST(test_odd_glu),
      TEST(test_attention),
      TEST(test_elementwise),
      TEST(test_rotate),
      TEST(test_two_rotations),
      TEST(test_signs),
      TEST(test_every_error_is_listed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
