// Import of llama and mistral checkpoints: every fixture becomes a verified model of the expected
// operations, and configurations that lie about the tensors, or ask for what hone lacks, are
// refused.
#include "tests/unit/frontend/fixture.h"

#include "frontend/import.h"

typedef struct imported {
  ir_session_t *session;
  ir_model_t model;
  hone_checkpoint_t *checkpoint;
} imported_t;

static bool import(fixture_t *f, const char *path, imported_t *out) {
  *out = (imported_t){0};
  assert_ok(f, ir_session_create(NULL, &out->session, &f->status));
  if (hone_import(out->session, path, &out->model, &out->checkpoint, &f->status)) return true;
  assert_null(out->checkpoint);
  assert_true(mlirModuleIsNull(out->model.module));
  ir_session_destroy(out->session);
  return false;
}

static void release(imported_t *in) {
  ir_model_destroy(&in->model);
  hone_checkpoint_close(in->checkpoint);
  ir_session_destroy(in->session);
}

static const struct {
  const char *name;
  hone_storage_t storage;
  int64_t heads, kv_heads, head_dim, window;
  bool tied, attention_bias, ffn_bias;
  const char *activation;
  size_t eos_count;
  size_t sub_norms;       // in a block, beside the first norm
  hone_storage_t inputs;  // of the linears in blocks; HONE_F32: as they come
} fixtures[] = {
    {"llama-mha-untied-f32", HONE_F32, 4, 4, 12, 0, false, false, false, "silu", 1},
    {"llama-gqa-tied-bf16", HONE_BF16, 6, 2, 16, 0, true, false, false, "silu", 3},
    {"llama-bias", HONE_F32, 4, 2, 12, 0, true, true, true, "silu", 1},
    {"llama-rope-llama3", HONE_BF16, 4, 2, 16, 0, true, false, false, "silu", 1},
    {"llama-rope-linear", HONE_BF16, 4, 2, 16, 0, true, false, false, "silu", 1},
    {"llama-headdim", HONE_BF16, 4, 2, 24, 0, true, false, false, "silu", 1},
    {"llama-gelu", HONE_BF16, 4, 2, 16, 0, true, false, false, "gelu_tanh", 1},
    {"llama-sharded", HONE_BF16, 4, 2, 16, 0, false, false, false, "silu", 1},
    {"llama-f16", HONE_F16, 4, 1, 16, 0, true, false, false, "silu", 1},
    {"mistral-window", HONE_BF16, 4, 2, 16, 16, true, false, false, "silu", 1},
    {"bitnet-bitlinear", HONE_TERNARY, 4, 2, 16, 0, true, false, false, "relu2", 1, .sub_norms = 1},
    {"quest-w1a1", HONE_B1, 4, 4, 32, 0, true, false, false, "silu", 1, .inputs = HONE_B1},
};
enum { FIXTURE_COUNT = sizeof fixtures / sizeof *fixtures };

// Ops of a block by kind; attributes of the interesting ones are checked on the way.
static void check_block(const ir_block_t *block, size_t fixture, ir_session_t *session) {
  size_t counts[16] = {0}, biases = 0;
  MlirRegion body = mlirOperationGetRegion(block->function, 0);
  MlirOperation op = mlirBlockGetFirstOperation(mlirRegionGetFirstBlock(body));
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    ir_op_kind_t kind = ir_op_kind(op);
    counts[kind]++;
    ir_attention_t attention;
    if (kind == IR_OP_LINEAR) biases += !ir_value_is_null(ir_op_operand(op, 2));
    if (kind == IR_OP_GLU)
      assert_string_equal(ir_op_string(op, "activation", session), fixtures[fixture].activation);
    if (kind != IR_OP_ATTEND) continue;
    assert_true(ir_op_attention(op, session, &attention));
    assert_int_equal(attention.heads, fixtures[fixture].heads);
    assert_int_equal(attention.kv_heads, fixtures[fixture].kv_heads);
    assert_int_equal(attention.head_dim, fixtures[fixture].head_dim);
    assert_int_equal(attention.window, fixtures[fixture].window);
  }
  bool attention = !strcmp(block->kind, "attention"), ffn = !strcmp(block->kind, "ffn");
  bool embed = !strcmp(block->kind, "embed");
  assert_int_equal(counts[IR_OP_EMBED], embed);
  bool in_stack = attention || ffn;
  assert_int_equal(counts[IR_OP_NORM], !embed + (in_stack ? fixtures[fixture].sub_norms : 0));
  bool makes_rows = in_stack && fixtures[fixture].inputs != HONE_F32;
  assert_int_equal(counts[IR_OP_QUANTIZE], makes_rows ? counts[IR_OP_LINEAR] : 0);
  assert_int_equal(counts[IR_OP_LINEAR], attention ? 4 : ffn ? 3 : embed ? 0 : 1);
  assert_int_equal(counts[IR_OP_ROPE], attention ? 2 : 0);
  assert_int_equal(counts[IR_OP_ATTEND], attention);
  assert_int_equal(counts[IR_OP_GLU], ffn);
  assert_int_equal(counts[IR_OP_ADD], attention || ffn);
  assert_int_equal(biases, attention && fixtures[fixture].attention_bias ? 4
                           : ffn && fixtures[fixture].ffn_bias           ? 3
                                                                         : 0);
}

static void check_recipes(fixture_t *f, const imported_t *in, size_t fixture) {
  size_t per_layer = 9 + 2 * fixtures[fixture].sub_norms +
                     (fixtures[fixture].attention_bias ? 4 : 0) +
                     (fixtures[fixture].ffn_bias ? 3 : 0);
  assert_int_equal(ir_recipe_count(&in->model), 2 + 2 * per_layer + !fixtures[fixture].tied);
  for (size_t i = 0; i < ir_recipe_count(&in->model); i++) {
    ir_recipe_t recipe;
    int64_t N, K;
    hone_storage_t storage;
    assert_true(ir_recipe_at(&in->model, i, &recipe));
    assert_ok(
        f, hone_checkpoint_shape(in->checkpoint, recipe.sources[0], &N, &K, &storage, &f->status));
    assert_true(N == recipe.N && K == recipe.K);
    bool is_trained = hone_format_is_quantized(fixtures[fixture].storage) && K > 1;
    bool is_embed = !strcmp(recipe.name, "embed.weight");
    hone_storage_t want = is_trained && is_embed ? HONE_BF16 : fixtures[fixture].storage;
    assert_int_equal(recipe.format.storage, K == 1 ? HONE_F32 : want);
    assert_int_equal(recipe.rotate, is_trained && !is_embed && fixtures[fixture].inputs ? 128 : 0);
  }
}

static void test_fixtures(void **state) {
  fixture_t *f = *state;
  for (size_t i = 0; i < FIXTURE_COUNT; i++) {
    imported_t in;
    ir_config_t config;
    print_message("%s\n", fixtures[i].name);
    assert_ok(f, import(f, checkpoint_folder(f, fixtures[i].name), &in));
    assert_ok(f, ir_model_verify(&in.model, &f->status));
    assert_ok(f, ir_model_config(&in.model, &config, &f->status));
    assert_int_equal(config.bos, 1);
    assert_true(config.add_bos);
    assert_int_equal(config.eos_count, fixtures[i].eos_count);
    assert_int_equal(config.eos[0], 2);
    assert_int_equal(config.context, 128);
    assert_true(config.checkpoint[0] == '/');
    assert_int_equal(ir_block_count(&in.model), 6);
    for (size_t b = 0; b < 6; b++) {
      ir_block_t block;
      assert_true(ir_block_at(&in.model, b, &block));
      check_block(&block, i, in.session);
    }
    check_recipes(f, &in, i);
    release(&in);
  }
}

static void test_names(void **state) {
  fixture_t *f = *state;
  static const char *const blocks[] = {
      "embed", "layers.0.attention", "layers.0.ffn", "layers.1.attention", "layers.1.ffn", "head"};
  static const char *const recipes[] = {"embed.weight",
                                        "layers.0.attention.norm",
                                        "layers.0.attention.q",
                                        "layers.1.attention.o",
                                        "layers.1.ffn.gate",
                                        "layers.0.ffn.norm",
                                        "head.norm",
                                        "head.weight"};
  imported_t in;
  assert_ok(f, import(f, checkpoint_folder(f, "llama-sharded"), &in));
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
    ir_block_t block;
    assert_true(ir_block_at(&in.model, i, &block));
    assert_string_equal(block.name, blocks[i]);
  }
  for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
    ir_recipe_t recipe;
    assert_ok(f, ir_recipe_get(&in.model, recipes[i], &recipe, &f->status));
  }
  release(&in);
}

// Changes to copies of llama-gqa-tied-bf16 (mistral-window where it says so): text of a file, old
// and new.
static const struct {
  const char *fixture, *file, *old, *new;
  hone_code_t code;
  const char *message;
} edits[] = {
    // tensors that are missing, of another shape, or left over
    {"llama-gqa-tied-bf16", "model.safetensors", "layers.1.self_attn.k_proj",
     "layers.1.self_attn.K_proj", HONE_NOT_FOUND,
     "tensor 'model.layers.1.self_attn.k_proj.weight' is missing; config.json asks for one of "
     "shape [32, 96]"},
    {"llama-gqa-tied-bf16", "config.json", "\"intermediate_size\": 112",
     "\"intermediate_size\": 111", HONE_INVALID,
     "model.safetensors: tensor 'model.layers.0.mlp.gate_proj.weight' has shape [112, 96]; "
     "config.json asks for [111, 96]"},
    {"llama-gqa-tied-bf16", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1",
     HONE_INVALID, "tensor 'model.layers.1."},
    {"llama-gqa-tied-bf16", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3",
     HONE_NOT_FOUND, "tensor 'model.layers.2.input_layernorm.weight' is missing"},
    {"llama-gqa-tied-bf16", "config.json", "\"tie_word_embeddings\": true",
     "\"tie_word_embeddings\": false", HONE_NOT_FOUND, "tensor 'lm_head.weight' is missing"},
    {"llama-bias", "config.json", "\"mlp_bias\": true", "\"mlp_bias\": false", HONE_INVALID,
     "mlp.down_proj.bias' of shape [48] has no place"},
    {"llama-gqa-tied-bf16", "config.json", "\"attention_bias\": false", "\"attention_bias\": true",
     HONE_NOT_FOUND,
     "tensor 'model.layers.0.self_attn.q_proj.bias' is missing; config.json asks for one of shape "
     "[96]"},
    // families and methods
    {"llama-gqa-tied-bf16", "config.json", "\"llama\"", "\"gpt5\"", HONE_UNSUPPORTED,
     "key 'model_type': unknown family 'gpt5'; known are: llama, mistral"},
    {"llama-gqa-tied-bf16", "config.json", "\"model_type\"", "\"model_kind\"", HONE_INVALID,
     "key 'model_type' is missing"},
    {"llama-gqa-tied-bf16", "config.json", "{",
     "{\"quantization_config\": {\"quant_method\": \"hqq\", \"bits\": 4},", HONE_UNSUPPORTED,
     "quant_method 'hqq'"},
    {"llama-gqa-tied-bf16", "config.json", "\"hidden_act\": \"silu\"", "\"hidden_act\": \"relu\"",
     HONE_UNSUPPORTED, "key 'hidden_act': 'relu' is not supported"},
    {"llama-gqa-tied-bf16", "config.json", "\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"",
     HONE_UNSUPPORTED, "rope of type 'yarn'"},
    // absurd values
    {"llama-gqa-tied-bf16", "config.json", "\"num_hidden_layers\": 2",
     "\"num_hidden_layers\": 100000", HONE_INVALID,
     "key 'num_hidden_layers': 100000 is outside 1 to 10000"},
    {"llama-gqa-tied-bf16", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0",
     HONE_INVALID, "0 is outside"},
    {"llama-gqa-tied-bf16", "config.json", "\"num_attention_heads\": 6",
     "\"num_attention_heads\": 0", HONE_INVALID, "key 'num_attention_heads': 0 is outside"},
    {"llama-gqa-tied-bf16", "config.json", "\"num_key_value_heads\": 2",
     "\"num_key_value_heads\": 4", HONE_INVALID, "key 'num_key_value_heads': 4 does not divide"},
    {"llama-gqa-tied-bf16", "config.json", "\"head_dim\": 16", "\"head_dim\": 15", HONE_INVALID,
     "key 'head_dim': 15 must be even"},
    {"llama-gqa-tied-bf16", "config.json", "\"head_dim\": 16", "\"head_dim\": 65536", HONE_INVALID,
     "tensor 'model.layers.0.self_attn.q_proj.weight' has shape [96, 96]; config.json asks for "
     "[393216, 96]"},
    {"llama-gqa-tied-bf16", "config.json", "\"vocab_size\": 128", "\"vocab_size\": 99999999999",
     HONE_INVALID, "key 'vocab_size': 99999999999 is outside"},
    {"llama-gqa-tied-bf16", "config.json", "\"bos_token_id\": 1", "\"bos_token_id\": 128",
     HONE_INVALID, "key 'bos_token_id': 128 is outside 0 to 127"},
    {"llama-gqa-tied-bf16", "config.json", "\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": \"1e-05\"",
     HONE_INVALID, "key 'rms_norm_eps': expected a number"},
    {"llama-gqa-tied-bf16", "generation_config.json", "\"eos_token_id\": [",
     "\"eos_token_id\": [-1,", HONE_INVALID,
     "generation_config.json: key 'eos_token_id': -1 is outside"},
    {"llama-gqa-tied-bf16", "generation_config.json", "{", "", HONE_INVALID,
     "generation_config.json: line 2"},
    {"llama-gqa-tied-bf16", "config.json", "{", "[", HONE_INVALID, "config.json: line"},
    {"mistral-window", "config.json", "\"sliding_window\": 16", "\"sliding_window\": 0",
     HONE_INVALID, "key 'sliding_window': 0 is outside"},
};

static void test_refusals(void **state) {
  fixture_t *f = *state;
  for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
    imported_t in;
    const char *folder = copy_checkpoint(f, edits[i].fixture, "copy");
    edit_file(f, hone_path_join(f->arena, "copy", edits[i].file), edits[i].old, edits[i].new);
    assert_refuses(f, import(f, folder, &in), edits[i].code, edits[i].message);
  }
}

static void test_missing_config(void **state) {
  fixture_t *f = *state;
  imported_t in;
  const char *folder = copy_checkpoint(f, "llama-f16", "copy");
  assert_int_equal(remove(fixture_path(f, "copy/config.json")), 0);
  assert_refuses(f, import(f, folder, &in), HONE_NOT_FOUND, "has weights but no config.json");
  assert_refuses(f, import(f, fixture_path(f, "absent"), &in), HONE_NOT_FOUND, "does not exist");
}

// Absent keys take the defaults of transformers' classes; null is not absent.
static void test_defaults(void **state) {
  fixture_t *f = *state;
  imported_t in;
  const char *folder = copy_checkpoint(f, "mistral-window", "copy");
  ir_block_t block;
  ir_config_t config;
  edit_file(f, "copy/config.json", "\"sliding_window\": 16", "\"sliding_window\": null");
  edit_file(f, "copy/config.json", "\"bos_token_id\": 1", "\"bos_token_id\": null");
  edit_file(f, "copy/config.json", "\"eos_token_id\": 2", "\"eos_token_id\": [3, 2, 3]");
  edit_file(f, "copy/generation_config.json", "\"eos_token_id\": 2", "\"eos_token_id\": [2, 9]");
  assert_ok(f, import(f, folder, &in));
  assert_ok(f, ir_model_config(&in.model, &config, &f->status));
  assert_int_equal(config.bos, -1);
  assert_false(config.add_bos);
  assert_int_equal(config.eos_count, 3);
  assert_true(config.eos[0] == 3 && config.eos[1] == 2 && config.eos[2] == 9);
  assert_true(ir_block_at(&in.model, 1, &block));
  MlirOperation op = mlirBlockGetFirstOperation(
      mlirRegionGetFirstBlock(mlirOperationGetRegion(block.function, 0)));
  while (ir_op_kind(op) != IR_OP_ATTEND) op = mlirOperationGetNextInBlock(op);
  assert_int_equal(ir_op_int(op, "window", -1), 0);
  release(&in);
  edit_file(f, "copy/config.json", "\"sliding_window\": null,", "");
  fixture_text(f, "copy/tokenizer_config.json", "{\"add_bos_token\": false}");
  assert_ok(f, import(f, folder, &in));
  assert_true(ir_block_at(&in.model, 1, &block));
  op = mlirBlockGetFirstOperation(
      mlirRegionGetFirstBlock(mlirOperationGetRegion(block.function, 0)));
  while (ir_op_kind(op) != IR_OP_ATTEND) op = mlirOperationGetNextInBlock(op);
  assert_int_equal(ir_op_int(op, "window", -1), 4096);
  release(&in);
}

// A tied model that stores a head all the same: tied if the two are equal, untied if not.
static void test_tied_with_head(void **state) {
  fixture_t *f = *state;
  imported_t in;
  ir_recipe_t recipe;
  const char *folder = copy_checkpoint(f, "llama-sharded", "copy");
  edit_file(f, "copy/config.json", "\"tie_word_embeddings\": false",
            "\"tie_word_embeddings\": true");
  assert_ok(f, import(f, folder, &in));
  assert_ok(f, ir_recipe_get(&in.model, "head.weight", &recipe, &f->status));
  release(&in);
  // Make the head equal: both are (128, 64) bf16, alone in a file of their own.
  hone_slice_t head = read_file(f, fixture_path(f, "copy/model-00005-of-00005.safetensors"));
  hone_checkpoint_t *checkpoint;
  hone_checkpoint_tensor_t tensor;
  float *rows = hone_arena_alloc(f->arena, 128 * 64 * sizeof *rows);
  assert_ok(f, hone_checkpoint_open(folder, &checkpoint, &f->status));
  assert_true(hone_checkpoint_find(checkpoint, "lm_head.weight", &tensor));
  assert_int_equal(tensor.bytes, 128 * 64 * 2);
  assert_ok(f, hone_checkpoint_read_rows(checkpoint, "model.embed_tokens.weight", 0, 128, rows,
                                         &f->status));
  hone_checkpoint_close(checkpoint);
  uint16_t *halves = hone_arena_alloc(f->arena, 128 * 64 * sizeof *halves);
  for (int i = 0; i < 128 * 64; i++) {
    uint32_t bits;
    memcpy(&bits, rows + i, 4);
    halves[i] = (uint16_t)(bits >> 16);
  }
  uint64_t length;
  memcpy(&length, head.data, 8);
  const char *at = strstr(memmem(head.data, head.bytes, "lm_head", 7), "data_offsets");
  unsigned begin;
  assert_int_equal(sscanf(at, "data_offsets\":[%u", &begin), 1);
  memcpy((char *)(uintptr_t)head.data + 8 + length + begin, halves, 128 * 64 * 2);
  fixture_write(f, "copy/model-00005-of-00005.safetensors", head.data, head.bytes);
  assert_ok(f, import(f, folder, &in));
  assert_false(ir_recipe_get(&in.model, "head.weight", &recipe, &f->status));
  f->status = (hone_status_t){0};
  release(&in);
}

// Recipes of quantized tensors keep the format; floats, and blocks that cross rows, stay floats.
static void test_native_formats(void **state) {
  fixture_t *f = *state;
  static const struct {
    const char *recipe, *format;
  } rows[] = {{"layers.0.attention.q", "nf4dq<64>"}, {"layers.1.attention.v", "nf4dq<64>"},
              {"layers.0.ffn.up", "nf4dq<64>"},      {"layers.0.ffn.down", "f32"},
              {"layers.0.ffn.norm", "f32"},          {"embed.weight", "f32"}};
  imported_t in;
  char text[24];
  assert_ok(f, import(f, checkpoint_folder(f, "llama-bnb-nf4"), &in));
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ir_recipe_t recipe;
    assert_ok(f, ir_recipe_get(&in.model, rows[i].recipe, &recipe, &f->status));
    assert_string_equal(hone_format_text(recipe.format, text), rows[i].format);
  }
  assert_non_null(strstr(hone_checkpoint_remark(in.checkpoint), "2 of 14 quantized tensors"));
  release(&in);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_fixtures, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_names, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_refusals, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_missing_config, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_defaults, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_tied_with_head, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_native_formats, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
