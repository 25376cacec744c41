// Models: built through the API, printed and parsed back, read by the accessors; recipes changed
// and removed.
#include "tests/unit/ir/fixture.h"

static const double frequencies[4] = {1.0, 0.1, 0.01, 0.001};
static const ir_attention_t attention = {.heads = 8,
                                         .kv_heads = 4,
                                         .head_dim = 8,
                                         .scale = 0.35355339059327379,
                                         .rope_scale = 1,
                                         .frequencies = frequencies};

static void add_recipe(ir_model_t *model, const char *name, const char *source, int64_t N,
                       int64_t K) {
  ir_recipe_add(model, &(ir_recipe_t){.name = name,
                                      .sources = {source},
                                      .source_count = 1,
                                      .format = {.storage = HONE_F32},
                                      .N = N,
                                      .K = K});
}

static void add_layer_recipes(fixture_t *f, ir_model_t *model, int layer) {
  static const struct {
    const char *name, *source;
    int64_t N, K;
  } rows[] = {
      {"attention.norm", "input_layernorm", 64, 1}, {"attention.q", "self_attn.q_proj", 64, 64},
      {"attention.k", "self_attn.k_proj", 32, 64},  {"attention.v", "self_attn.v_proj", 32, 64},
      {"attention.o", "self_attn.o_proj", 64, 64},  {"ffn.norm", "post_attention_layernorm", 64, 1},
      {"ffn.gate", "mlp.gate_proj", 172, 64},       {"ffn.up", "mlp.up_proj", 172, 64},
      {"ffn.down", "mlp.down_proj", 64, 172},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    add_recipe(model, hone_arena_format(f->arena, "layers.%d.%s", layer, rows[i].name),
               hone_arena_format(f->arena, "model.layers.%d.%s.weight", layer, rows[i].source),
               rows[i].N, rows[i].K);
  }
}

typedef struct scope {
  fixture_t *f;
  ir_model_t *model;
  ir_builder_t *b;
  const char *prefix;
} scope_t;

static ir_value_t weight(scope_t s, const char *name) {
  return ir_weight(s.b, s.model, hone_arena_format(s.f->arena, "%s.%s", s.prefix, name));
}

static ir_value_t linear(scope_t s, ir_value_t x, const char *name) {
  ir_value_t none = {0};
  ir_value_t w = weight(s, name);
  return ir_linear(s.b, x, w, none, none, IR_EPILOGUE_NONE);
}

static ir_value_t norm(scope_t s, ir_value_t x, const char *name) {
  ir_value_t gain = weight(s, name);
  return ir_norm(s.b, x, gain, 1e-5);
}

static void build_attention(fixture_t *f, ir_model_t *model, int layer) {
  ir_builder_t b;
  ir_value_t x;
  const char *name = hone_arena_format(f->arena, "layers.%d.attention", layer);
  assert_ok(f, ir_block_begin(model, name, "attention", layer, &b, &x, &f->status));
  scope_t s = {f, model, &b, name};
  ir_value_t n = norm(s, x, "norm");
  ir_value_t q = linear(s, n, "q");
  ir_value_t k = linear(s, n, "k");
  ir_value_t v = linear(s, n, "v");
  q = ir_rope(&b, q, 8, 8, frequencies, 1);
  k = ir_rope(&b, k, 4, 8, frequencies, 1);
  ir_value_t a = ir_attend(&b, q, k, v, &attention);
  ir_value_t o = linear(s, a, "o");
  ir_value_t r = ir_add(&b, x, o);
  assert_ok(f, ir_block_end(model, &b, r));
}

static void build_ffn(fixture_t *f, ir_model_t *model, int layer) {
  ir_builder_t b;
  ir_value_t x;
  const char *name = hone_arena_format(f->arena, "layers.%d.ffn", layer);
  assert_ok(f, ir_block_begin(model, name, "ffn", layer, &b, &x, &f->status));
  scope_t s = {f, model, &b, name};
  ir_value_t n = norm(s, x, "norm");
  ir_value_t gate = linear(s, n, "gate");
  ir_value_t up = linear(s, n, "up");
  ir_value_t g = ir_glu(&b, gate, up, "silu");
  ir_value_t d = linear(s, g, "down");
  ir_value_t r = ir_add(&b, x, d);
  assert_ok(f, ir_block_end(model, &b, r));
}

static const ir_config_t config = {.family = "llama",
                                   .vocab = 512,
                                   .width = 64,
                                   .context = 512,
                                   .bos = 1,
                                   .add_bos = true,
                                   .eos = {2},
                                   .eos_count = 1,
                                   .checkpoint = "stories260k"};

// The model of samples/tiny.mlir.
static ir_model_t build_tiny(fixture_t *f) {
  ir_model_t model;
  assert_ok(f, ir_model_create(f->session, &config, &model, &f->status));
  add_recipe(&model, "embed.weight", "model.embed_tokens.weight", 512, 64);
  for (int layer = 0; layer < 2; layer++) add_layer_recipes(f, &model, layer);
  ir_builder_t b;
  ir_value_t x;
  assert_ok(f, ir_block_begin(&model, "embed", "embed", -1, &b, &x, &f->status));
  ir_value_t table = ir_weight(&b, &model, "embed.weight");
  ir_value_t embedded = ir_embed(&b, x, table);
  assert_ok(f, ir_block_end(&model, &b, embedded));
  for (int layer = 0; layer < 2; layer++) {
    build_attention(f, &model, layer);
    build_ffn(f, &model, layer);
  }
  add_recipe(&model, "head.norm", "model.norm.weight", 64, 1);
  assert_ok(f, ir_block_begin(&model, "head", "head", -1, &b, &x, &f->status));
  ir_value_t n = norm((scope_t){f, &model, &b, "head"}, x, "norm");
  ir_value_t tied = ir_weight(&b, &model, "embed.weight");
  ir_value_t none = {0};
  ir_value_t logits = ir_linear(&b, n, tied, none, none, IR_EPILOGUE_NONE);
  assert_ok(f, ir_block_end(&model, &b, logits));
  assert_ok(f, ir_model_finish(&model, &f->status));
  return model;
}

static char *printed(fixture_t *f, const ir_model_t *model) {
  hone_buffer_t text = {0};
  ir_model_print(model, &text);
  char *kept = hone_arena_strdup(f->arena, hone_buffer_cstr(&text));
  hone_buffer_deinit(&text);
  return kept;
}

static ir_model_t parsed(fixture_t *f, const char *text) {
  ir_model_t model;
  assert_ok(f, ir_model_parse(f->session, text, "t.mlir", &model, &f->status));
  assert_ok(f, ir_model_verify(&model, &f->status));
  return model;
}

static void test_built_model_is_the_sample(void **state) {
  fixture_t *f = *state;
  ir_model_t built = build_tiny(f);
  ir_model_t sample = parsed(f, read_source_file(f->arena, "samples/tiny.mlir"));
  assert_string_equal(printed(f, &built), printed(f, &sample));
  ir_model_destroy(&built);
  ir_model_destroy(&sample);
}

static void test_print_parse_print(void **state) {
  fixture_t *f = *state;
  const char *texts[] = {unfused_text, fused_text, read_source_file(f->arena, "samples/tiny.mlir")};
  for (size_t i = 0; i < 3; i++) {
    ir_model_t first = parsed(f, texts[i]);
    ir_model_t second = parsed(f, printed(f, &first));
    assert_string_equal(printed(f, &first), printed(f, &second));
    ir_model_destroy(&first);
    ir_model_destroy(&second);
  }
}

static void test_config(void **state) {
  fixture_t *f = *state;
  ir_model_t model;
  ir_config_t in = {.family = "mistral",
                    .vocab = 9,
                    .width = 8,
                    .context = 7,
                    .bos = -1,
                    .eos = {2, 5, 8},
                    .eos_count = 3,
                    .checkpoint = "a/b \"c\""},
              out;
  assert_ok(f, ir_model_create(f->session, &in, &model, &f->status));
  assert_ok(f, ir_model_config(&model, &out, &f->status));
  assert_string_equal(out.family, "mistral");
  assert_int_equal(out.vocab + out.width * 10 + out.context * 100, 789);
  assert_int_equal(out.bos, -1);
  assert_false(out.add_bos);
  assert_int_equal(out.eos_count, 3);
  assert_int_equal(out.eos[2], 8);
  assert_string_equal(out.checkpoint, "a/b \"c\"");
  ir_model_set_checkpoint(&model, "/else/where");
  assert_ok(f, ir_model_config(&model, &out, &f->status));
  assert_string_equal(out.checkpoint, "/else/where");
  assert_int_equal(out.vocab, 9);
  ir_model_destroy(&model);
  in.eos_count = IR_EOS_LIMIT + 1;
  assert_false(ir_model_create(f->session, &in, &model, &f->status));
  assert_int_equal(f->status.code, HONE_UNSUPPORTED);
}

static void test_blocks(void **state) {
  fixture_t *f = *state;
  ir_model_t model = build_tiny(f);
  static const struct {
    const char *name, *kind;
    int64_t layer;
  } want[] = {
      {"embed", "embed", -1},     {"layers.0.attention", "attention", 0},
      {"layers.0.ffn", "ffn", 0}, {"layers.1.attention", "attention", 1},
      {"layers.1.ffn", "ffn", 1}, {"head", "head", -1},
  };
  ir_block_t block;
  assert_int_equal(ir_block_count(&model), 6);
  for (size_t i = 0; i < 6; i++) {
    assert_true(ir_block_at(&model, i, &block));
    assert_string_equal(block.name, want[i].name);
    assert_string_equal(block.kind, want[i].kind);
    assert_int_equal(block.layer, want[i].layer);
  }
  assert_false(ir_block_at(&model, 6, &block));
  ir_model_destroy(&model);
}

static MlirOperation find_op(const ir_model_t *model, size_t block_index, ir_op_kind_t kind) {
  ir_block_t block;
  assert_true(ir_block_at(model, block_index, &block));
  MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(block.function, 0));
  MlirOperation op = mlirBlockGetFirstOperation(body);
  while (!mlirOperationIsNull(op) && ir_op_kind(op) != kind) op = mlirOperationGetNextInBlock(op);
  assert_false(mlirOperationIsNull(op));
  return op;
}

static void test_reading_ops(void **state) {
  fixture_t *f = *state;
  ir_model_t model = parsed(f, unfused_text);
  hone_format_t format;
  int64_t rows, columns;
  ir_attention_t a;

  MlirOperation embed = find_op(&model, 0, IR_OP_EMBED);
  assert_string_equal(ir_value_recipe(ir_op_operand(embed, 1), f->session), "embed.weight");
  assert_null(ir_value_recipe(ir_op_operand(embed, 0), f->session));
  assert_false(ir_value_shape(ir_op_operand(embed, 0), &format, &rows, &columns));

  MlirOperation norm_op = find_op(&model, 1, IR_OP_NORM);
  assert_true(ir_op_float(norm_op, "epsilon", 0) == 1e-5);
  assert_string_equal(ir_op_string(norm_op, "kind", f->session), "rms");
  assert_null(ir_op_string(norm_op, "nothing", f->session));
  assert_true(ir_value_shape(ir_op_operand(norm_op, 1), &format, &rows, &columns));
  assert_int_equal(rows, 64);
  assert_int_equal(columns, 1);

  MlirOperation attend = find_op(&model, 1, IR_OP_ATTEND);
  assert_true(ir_op_attention(attend, f->session, &a));
  assert_int_equal(a.heads * 100 + a.kv_heads * 10 + a.head_dim, 848);
  assert_null(a.frequencies);
  assert_false(ir_op_attention(embed, f->session, &a));
  assert_int_equal(ir_op_int(attend, "window", -7), 0);
  assert_int_equal(ir_op_int(attend, "nothing", -7), -7);

  MlirOperation linear_op = find_op(&model, 2, IR_OP_LINEAR);
  assert_true(ir_value_is_null(ir_op_operand(linear_op, 2)));
  assert_true(ir_value_is_null(ir_op_operand(linear_op, 3)));
  assert_true(ir_value_is_null(ir_op_operand(linear_op, 4)));
  MlirOperation down = mlirOperationGetNextInBlock(mlirOperationGetNextInBlock(linear_op));
  assert_true(ir_value_is_null(ir_op_operand(down, 2)));
  assert_true(mlirValueIsABlockArgument(ir_op_operand(down, 3)));
  assert_true(ir_value_shape(ir_op_operand(down, 1), &format, &rows, &columns));
  assert_true(hone_format_equal(format, (hone_format_t){HONE_Q8, 64}));
  assert_int_equal(rows, 64);
  assert_int_equal(columns, 172);
  assert_int_equal(ir_op_kind((MlirOperation){0}), IR_OP_OTHER);
  ir_model_destroy(&model);

  model = parsed(f, fused_text);
  assert_true(ir_op_attention(find_op(&model, 1, IR_OP_ATTEND_PACKED), f->session, &a));
  assert_int_equal(a.window, 16);
  assert_true(a.frequencies[3] == 0.001);
  ir_model_destroy(&model);
}

static void test_recipes(void **state) {
  fixture_t *f = *state;
  ir_model_t model = parsed(f, fused_text);
  ir_recipe_t recipe;
  assert_int_equal(ir_recipe_count(&model), 5);
  assert_true(ir_recipe_at(&model, 2, &recipe));
  assert_string_equal(recipe.name, "qkv");
  assert_int_equal(recipe.combine, IR_CONCAT);
  assert_int_equal(recipe.source_count, 3);
  assert_string_equal(recipe.sources[2], "v");
  assert_int_equal(recipe.N * 1000 + recipe.K, 128064);
  assert_false(ir_recipe_at(&model, 5, &recipe));
  assert_ok(f, ir_recipe_get(&model, "qkv.bias", &recipe, &f->status));
  assert_int_equal(recipe.K, 1);
  assert_false(ir_recipe_get(&model, "nope", &recipe, &f->status));
  assert_int_equal(f->status.code, HONE_NOT_FOUND);
  assert_contains(f->status.message, "@nope");
  fixture_reset(f);

  ir_recipe_add(&model, &(ir_recipe_t){.name = "extra",
                                       .sources = {"x", "y"},
                                       .source_count = 2,
                                       .combine = IR_INTERLEAVE,
                                       .format = {HONE_NF4, 64},
                                       .N = 8,
                                       .K = 70});
  assert_true(ir_recipe_at(&model, 5, &recipe));
  assert_string_equal(recipe.name, "extra");
  assert_true(hone_format_equal(recipe.format, (hone_format_t){HONE_NF4, 64}));
  assert_ok(f, ir_model_verify(&model, &f->status));
  ir_recipe_remove(&model, "extra");
  ir_recipe_remove(&model, "extra");
  assert_int_equal(ir_recipe_count(&model), 5);
  ir_model_destroy(&model);
}

static void test_gain_and_rotation_of_a_recipe(void **state) {
  fixture_t *f = *state;
  ir_model_t model = parsed(f, fused_text);
  ir_recipe_t recipe = {.name = "turned",
                        .sources = {"x"},
                        .source_count = 1,
                        .format = {HONE_NF4, 64},
                        .N = 8,
                        .K = 128,
                        .gain = "g",
                        .rotate = HONE_ROTATION};
  ir_recipe_add(&model, &recipe);
  ir_recipe_set_format(&model, "turned", (hone_format_t){HONE_Q8, 64});
  assert_ok(f, ir_model_verify(&model, &f->status));
  assert_contains(printed(f, &model), "gain = \"g\", rotate = 64 : i64");
  assert_ok(f, ir_recipe_get(&model, "turned", &recipe, &f->status));
  assert_int_equal(recipe.rotate, HONE_ROTATION);
  assert_string_equal(recipe.gain, "g");
  ir_recipe_set_gain(&model, "turned", "other");
  assert_ok(f, ir_recipe_get(&model, "turned", &recipe, &f->status));
  assert_string_equal(recipe.gain, "other");
  ir_recipe_set_gain(&model, "turned", NULL);
  assert_null(strstr(printed(f, &model), "gain"));
  ir_recipe_set_rotate(&model, "turned", 0);
  ir_recipe_set_rotate(&model, "nobody", HONE_ROTATION);
  assert_null(strstr(printed(f, &model), "rotate"));
  assert_ok(f, ir_recipe_get(&model, "turned", &recipe, &f->status));
  assert_int_equal(recipe.rotate, 0);
  ir_model_destroy(&model);
}

static void test_set_format_changes_every_use(void **state) {
  fixture_t *f = *state;
  ir_model_t model = build_tiny(f);
  ir_recipe_set_format(&model, "embed.weight",
                       (hone_format_t){HONE_Q8, 64});  // used by embed and head
  ir_recipe_set_format(&model, "layers.1.ffn.down", (hone_format_t){HONE_NF4, 64});
  ir_recipe_set_format(&model, "nobody", (hone_format_t){HONE_NF4, 64});
  assert_ok(f, ir_model_verify(&model, &f->status));
  ir_recipe_t recipe;
  assert_ok(f, ir_recipe_get(&model, "embed.weight", &recipe, &f->status));
  assert_true(hone_format_equal(recipe.format, (hone_format_t){HONE_Q8, 64}));
  assert_contains(printed(f, &model), "() -> tensor<64x172x!hone.nf4<64 : i64>>");
  ir_model_destroy(&model);
}

// Ops of passes: every verb makes what the verifier accepts.
static void test_fused_verbs(void **state) {
  fixture_t *f = *state;
  ir_model_t model;
  ir_config_t small = {.family = "llama", .vocab = 96, .width = 64, .context = 8, .bos = -1};
  assert_ok(f, ir_model_create(f->session, &small, &model, &f->status));
  add_recipe(&model, "w", "w", 96, 64);
  add_recipe(&model, "qkv", "qkv", 128, 64);
  add_recipe(&model, "bias", "bias", 128, 1);
  add_recipe(&model, "gu", "gu", 128, 64);
  ir_recipe_set_format(&model, "qkv", (hone_format_t){HONE_NF4, 64});
  ir_recipe_set_rotate(&model, "qkv", 32);
  ir_builder_t b;
  ir_value_t x, none = {0};
  assert_ok(f, ir_block_begin(&model, "embed", "embed", -1, &b, &x, &f->status));
  ir_value_t w = ir_weight(&b, &model, "w");
  x = ir_embed(&b, x, w);
  assert_ok(f, ir_block_end(&model, &b, x));
  assert_ok(f, ir_block_begin(&model, "a", "attention", 0, &b, &x, &f->status));
  ir_value_t z = ir_quantize(&b, x, (hone_format_t){HONE_Q8, 64}, 32);
  ir_value_t qkv = ir_weight(&b, &model, "qkv");
  ir_value_t bias = ir_weight(&b, &model, "bias");
  ir_value_t q = ir_linear(&b, z, qkv, bias, none, IR_EPILOGUE_NONE);
  ir_value_t a = ir_attend_packed(&b, q, &attention);
  ir_value_t gu = ir_weight(&b, &model, "gu");
  ir_value_t g = ir_linear(&b, a, gu, none, x, IR_EPILOGUE_GELU_TANH_GLU);
  assert_ok(f, ir_block_end(&model, &b, g));
  assert_ok(f, ir_block_begin(&model, "head", "head", -1, &b, &x, &f->status));
  w = ir_weight(&b, &model, "w");
  ir_value_t logits = ir_linear(&b, x, w, none, none, IR_EPILOGUE_NONE);
  assert_ok(f, ir_block_end(&model, &b, logits));
  assert_ok(f, ir_model_finish(&model, &f->status));
  ir_model_destroy(&model);
}

static void test_building_errors(void **state) {
  fixture_t *f = *state;
  ir_model_t model;
  ir_builder_t b;
  ir_value_t x, none = {0};
  assert_ok(f, ir_model_create(f->session, &config, &model, &f->status));
  assert_false(ir_model_finish(&model, &f->status));
  assert_contains(f->status.message, "no blocks");
  fixture_reset(f);
  assert_false(ir_block_begin(&model, "a", "ffnn", 0, &b, &x, &f->status));
  assert_contains(f->status.message, "unknown kind 'ffnn'");
  fixture_reset(f);
  assert_false(ir_block_begin(&model, "a", "ffn", -1, &b, &x, &f->status));
  assert_contains(f->status.message, "needs a layer number");
  fixture_reset(f);
  assert_false(ir_block_begin(&model, "a b", "ffn", 0, &b, &x, &f->status));
  assert_contains(f->status.message, "cannot be the name");
  fixture_reset(f);
  add_recipe(&model, "taken", "t", 512, 64);
  assert_false(ir_block_begin(&model, "taken", "embed", -1, &b, &x, &f->status));
  assert_contains(f->status.message, "@taken is taken");
  fixture_reset(f);

  // The first failure sticks; what follows does nothing and returns null values.
  assert_ok(f, ir_block_begin(&model, "embed", "embed", -1, &b, &x, &f->status));
  ir_value_t w = ir_weight(&b, &model, "missing");
  assert_true(ir_value_is_null(w));
  ir_value_t y = ir_embed(&b, x, w);
  y = ir_norm(&b, y, w, 1);
  y = ir_linear(&b, y, w, none, none, IR_EPILOGUE_NONE);
  y = ir_rope(&b, y, 1, 2, frequencies, 1);
  y = ir_attend(&b, y, y, y, &attention);
  y = ir_attend_packed(&b, y, &attention);
  y = ir_glu(&b, y, y, "silu");
  y = ir_add(&b, y, y);
  y = ir_quantize(&b, y, (hone_format_t){HONE_Q8, 64}, 0);
  assert_false(ir_block_end(&model, &b, y));
  assert_contains(f->status.message, "hone.weight in @embed: there is no recipe @missing");
  assert_int_equal(f->status.code, HONE_NOT_FOUND);
  ir_model_destroy(&model);
}

// A built model that is wrong: the error names the block and the op's number in it.
static void test_built_model_is_verified(void **state) {
  fixture_t *f = *state;
  ir_model_t model;
  ir_builder_t b;
  ir_value_t x, none = {0};
  assert_ok(f, ir_model_create(f->session, &config, &model, &f->status));
  add_recipe(&model, "e", "e", 512, 64);
  add_recipe(&model, "h", "h", 512, 32);
  assert_ok(f, ir_block_begin(&model, "embed", "embed", -1, &b, &x, &f->status));
  ir_value_t w = ir_weight(&b, &model, "e");
  x = ir_embed(&b, x, w);
  assert_ok(f, ir_block_end(&model, &b, x));
  assert_ok(f, ir_block_begin(&model, "head", "head", -1, &b, &x, &f->status));
  w = ir_weight(&b, &model, "h");
  x = ir_linear(&b, x, w, none, none, IR_EPILOGUE_NONE);
  assert_ok(f, ir_block_end(&model, &b, x));
  assert_false(ir_model_finish(&model, &f->status));
  assert_string_equal(
      f->status.message,
      "head:3:1: 'hone.linear' in @head: x has 64 columns, but weight @h is (512, 32)");
  ir_model_destroy(&model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_built_model_is_the_sample),
      TEST(test_print_parse_print),
      TEST(test_config),
      TEST(test_blocks),
      TEST(test_reading_ops),
      TEST(test_recipes),
      TEST(test_gain_and_rotation_of_a_recipe),
      TEST(test_set_format_changes_every_use),
      TEST(test_fused_verbs),
      TEST(test_building_errors),
      TEST(test_built_model_is_verified),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
