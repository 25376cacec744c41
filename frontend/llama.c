// The llama family as model IR, unfused: @embed, then @layers.N.attention and @layers.N.ffn, then
// @head. Names and shapes of the tensors are those of transformers' LlamaForCausalLM,
// MistralForCausalLM and BitNetForCausalLM.
#include "frontend/llama.h"

#include <math.h>
#include <string.h>

#include "base/map.h"

typedef struct importer {
  const hone_model_family_input_t *input;
  const hone_llama_t *llama;
  hone_arena_t *arena;  // the session's
  ir_model_t *model;
  hone_map_t *used;  // names of tensors
  hone_status_t *status;
} importer_t;

static const ir_value_t no_value = {NULL};

// ---- weights

// Makes recipe `name` from tensor `source`, which must be (N, K), or a vector of N if K is 0.
// Vectors are f32 in the artefact whatever the checkpoint has; matrices keep their format until a
// pass changes it.
static bool add_recipe(importer_t *im, const char *name, const char *source, int64_t N, int64_t K) {
  const char *folder = hone_checkpoint_folder(im->input->checkpoint);
  const uint64_t expected[] = {(uint64_t)N, (uint64_t)K};
  uint32_t rank = K ? 2 : 1;
  hone_checkpoint_tensor_t tensor;
  char wanted[96], found[96];
  hone_checkpoint_shape_text(rank, expected, wanted);
  if (!hone_checkpoint_find(im->input->checkpoint, source, &tensor))
    return hone_fail(im->status, HONE_NOT_FOUND,
                     "%.300s: tensor '%s' is missing; config.json asks for one of shape %s", folder,
                     source, wanted);
  if (tensor.rank != rank || memcmp(tensor.shape, expected, rank * sizeof *expected))
    return hone_fail(im->status, HONE_INVALID,
                     "%.300s/%.200s: tensor '%s' has shape %s; config.json asks for %s", folder,
                     tensor.file, source,
                     hone_checkpoint_shape_text(tensor.rank, tensor.shape, found), wanted);
  int64_t rows, columns;
  hone_storage_t storage;
  hone_native_t native;
  if (!hone_checkpoint_shape(im->input->checkpoint, source, &rows, &columns, &storage,
                             im->status) ||
      !hone_checkpoint_native(im->input->checkpoint, source, &native))
    return false;
  hone_map_insert(im->used, source, strlen(source), im);
  ir_recipe_t recipe = {
      .name = name,
      .sources = {source},
      .source_count = 1,
      .combine = IR_SINGLE,
      .format = rank == 1 ? (hone_format_t){.storage = HONE_F32} : native.format,
      .N = N,
      .K = rank == 1 ? 1 : K,
      .rotate = hone_checkpoint_inputs(im->input->checkpoint, source).rotate,
  };
  ir_recipe_add(im->model, &recipe);
  return true;
}

// Where a block's weights come from and go to: "model.layers.3.self_attn" and "layers.3.attention".
typedef struct place {
  const char *sources, *recipes;
} place_t;

// *x = norm(*x), `width` columns.
static bool emit_norm(importer_t *im, ir_builder_t *b, const char *recipe, const char *source,
                      int64_t width, ir_value_t *x) {
  if (!add_recipe(im, recipe, source, width, 0)) return false;
  ir_value_t gain = ir_weight(b, im->model, recipe);
  *x = ir_norm(b, *x, gain, im->llama->epsilon);
  return true;
}

// The norm before o or down, where the family has one.
static bool emit_sub_norm(importer_t *im, ir_builder_t *b, place_t place, const char *theirs,
                          int64_t width, ir_value_t *x) {
  if (!im->llama->sub_norms) return true;
  const char *recipe = hone_arena_format(im->arena, "%s.sub_norm", place.recipes);
  const char *source = hone_arena_format(im->arena, "%s.%s.weight", place.sources, theirs);
  return emit_norm(im, b, recipe, source, width, x);
}

// *out = x W^T (+ bias), W (N, K); x is quantized first where the model was trained so (the pass
// canonical merges what q, k and v, or gate and up, share).
static bool emit_linear(importer_t *im, ir_builder_t *b, place_t place, const char *ours,
                        const char *theirs, int64_t N, int64_t K, bool has_bias, ir_value_t x,
                        ir_value_t *out) {
  const char *recipe = hone_arena_format(im->arena, "%s.%s", place.recipes, ours);
  const char *matrix = hone_arena_format(im->arena, "%s.%s.weight", place.sources, theirs);
  if (!add_recipe(im, recipe, matrix, N, K)) return false;
  ir_value_t weight = ir_weight(b, im->model, recipe), bias = no_value;
  if (has_bias) {
    recipe = hone_arena_format(im->arena, "%s.bias", recipe);
    const char *source = hone_arena_format(im->arena, "%s.%s.bias", place.sources, theirs);
    if (!add_recipe(im, recipe, source, N, 0)) return false;
    bias = ir_weight(b, im->model, recipe);
  }
  hone_checkpoint_inputs_t inputs = hone_checkpoint_inputs(im->input->checkpoint, matrix);
  hone_format_t rows = {inputs.storage, inputs.storage == HONE_B1 ? (uint32_t)K : HONE_GROUP};
  if (inputs.storage != HONE_F32) x = ir_quantize(b, x, rows, inputs.rotate);
  *out = ir_linear(b, x, weight, bias, no_value, IR_EPILOGUE_NONE);
  return true;
}

// ---- blocks

static bool import_embed(importer_t *im) {
  ir_builder_t b;
  ir_value_t ids;
  if (!ir_block_begin(im->model, "embed", "embed", -1, &b, &ids, im->status) ||
      !add_recipe(im, "embed.weight", "model.embed_tokens.weight", im->llama->vocab,
                  im->llama->width))
    return false;
  ir_value_t weight = ir_weight(&b, im->model, "embed.weight");
  ir_value_t x = ir_embed(&b, ids, weight);
  return ir_block_end(im->model, &b, x);
}

// x + o(attend(rope(q(h)), rope(k(h)), v(h))), h = norm(x); o(norm(attend(...))) with sub-norms
static bool import_attention(importer_t *im, int64_t layer) {
  const hone_llama_t *llama = im->llama;
  place_t place = {hone_arena_format(im->arena, "model.layers.%lld.self_attn", (long long)layer),
                   hone_arena_format(im->arena, "layers.%lld.attention", (long long)layer)};
  const char *norm = hone_arena_format(im->arena, "%s.norm", place.recipes);
  const char *norm_source =
      hone_arena_format(im->arena, "model.layers.%lld.input_layernorm.weight", (long long)layer);
  int64_t width = llama->width, q_width = llama->heads * llama->head_dim,
          kv_width = llama->kv_heads * llama->head_dim;
  bool bias = llama->attention_bias;
  ir_builder_t b;
  ir_value_t x, h, q, k, v, o;
  if (!ir_block_begin(im->model, place.recipes, "attention", layer, &b, &x, im->status))
    return false;
  h = x;
  if (!emit_norm(im, &b, norm, norm_source, width, &h) ||
      !emit_linear(im, &b, place, "q", "q_proj", q_width, width, bias, h, &q) ||
      !emit_linear(im, &b, place, "k", "k_proj", kv_width, width, bias, h, &k) ||
      !emit_linear(im, &b, place, "v", "v_proj", kv_width, width, bias, h, &v))
    return false;
  q = ir_rope(&b, q, llama->heads, llama->head_dim, llama->frequencies, 1);
  k = ir_rope(&b, k, llama->kv_heads, llama->head_dim, llama->frequencies, 1);
  ir_attention_t attention = {
      .heads = llama->heads,
      .kv_heads = llama->kv_heads,
      .head_dim = llama->head_dim,
      .window = llama->window,
      .scale = 1 / sqrt((double)llama->head_dim),
      .rope_scale = 1,
  };
  ir_value_t attended = ir_attend(&b, q, k, v, &attention);
  if (!emit_sub_norm(im, &b, place, "attn_sub_norm", q_width, &attended) ||
      !emit_linear(im, &b, place, "o", "o_proj", width, q_width, bias, attended, &o))
    return false;
  ir_value_t sum = ir_add(&b, x, o);
  return ir_block_end(im->model, &b, sum);
}

// x + down(activation(gate(h)) * up(h)), h = norm(x); down(norm(...)) with sub-norms
static bool import_ffn(importer_t *im, int64_t layer) {
  const hone_llama_t *llama = im->llama;
  place_t place = {hone_arena_format(im->arena, "model.layers.%lld.mlp", (long long)layer),
                   hone_arena_format(im->arena, "layers.%lld.ffn", (long long)layer)};
  const char *norm = hone_arena_format(im->arena, "%s.norm", place.recipes);
  const char *norm_source = hone_arena_format(
      im->arena, "model.layers.%lld.post_attention_layernorm.weight", (long long)layer);
  int64_t width = llama->width, ffn = llama->ffn;
  bool bias = llama->ffn_bias;
  ir_builder_t b;
  ir_value_t x, h, gate, up, down;
  if (!ir_block_begin(im->model, place.recipes, "ffn", layer, &b, &x, im->status)) return false;
  h = x;
  if (!emit_norm(im, &b, norm, norm_source, width, &h) ||
      !emit_linear(im, &b, place, "gate", "gate_proj", ffn, width, bias, h, &gate) ||
      !emit_linear(im, &b, place, "up", "up_proj", ffn, width, bias, h, &up))
    return false;
  ir_value_t gated = ir_glu(&b, gate, up, llama->activation);
  if (!emit_sub_norm(im, &b, place, "ffn_sub_norm", ffn, &gated) ||
      !emit_linear(im, &b, place, "down", "down_proj", width, ffn, bias, gated, &down))
    return false;
  ir_value_t sum = ir_add(&b, x, down);
  return ir_block_end(im->model, &b, sum);
}

// A checkpoint may hold a head although the configuration ties it to the embedding. Like
// transformers 5, tie them only if they are equal.
static bool head_is_embedding(importer_t *im) {
  hone_checkpoint_tensor_t head;
  if (!im->llama->tied) return false;
  if (!hone_checkpoint_find(im->input->checkpoint, "lm_head.weight", &head)) return true;
  if (!hone_checkpoint_equal(im->input->checkpoint, "lm_head.weight", "model.embed_tokens.weight"))
    return false;
  hone_map_insert(im->used, head.name, strlen(head.name), im);
  return true;
}

static bool import_head(importer_t *im) {
  ir_builder_t b;
  ir_value_t x;
  const char *recipe = "embed.weight";
  if (!ir_block_begin(im->model, "head", "head", -1, &b, &x, im->status) ||
      !emit_norm(im, &b, "head.norm", "model.norm.weight", im->llama->width, &x))
    return false;
  if (!head_is_embedding(im)) {
    recipe = "head.weight";
    if (!add_recipe(im, recipe, "lm_head.weight", im->llama->vocab, im->llama->width)) return false;
  }
  ir_value_t weight = ir_weight(&b, im->model, recipe);
  ir_value_t logits = ir_linear(&b, x, weight, no_value, no_value, IR_EPILOGUE_NONE);
  return ir_block_end(im->model, &b, logits);
}

// ---- the whole

// Old checkpoints store the rotary frequencies, which follow from the configuration.
static bool is_harmless(const char *name) { return hone_text_ends(name, ".rotary_emb.inv_freq"); }

static bool check_leftovers(const importer_t *im) {
  const hone_checkpoint_t *checkpoint = im->input->checkpoint;
  for (size_t i = 0; i < hone_checkpoint_count(checkpoint); i++) {
    hone_checkpoint_tensor_t tensor;
    char shape[96];
    hone_checkpoint_at(checkpoint, i, &tensor);
    if (hone_map_get(im->used, tensor.name) || is_harmless(tensor.name)) continue;
    return hone_fail(im->status, HONE_INVALID,
                     "%.300s/%.200s: tensor '%.200s' of shape %s has no place in the %s model that "
                     "config.json describes; "
                     "compiling without it would give another model",
                     hone_checkpoint_folder(checkpoint), tensor.file, tensor.name,
                     hone_checkpoint_shape_text(tensor.rank, tensor.shape, shape),
                     im->input->family);
  }
  return true;
}

static bool import_blocks(importer_t *im) {
  if (!import_embed(im)) return false;
  for (int64_t layer = 0; layer < im->llama->layers; layer++) {
    if (!import_attention(im, layer) || !import_ffn(im, layer)) return false;
  }
  return import_head(im) && check_leftovers(im) && ir_model_finish(im->model, im->status);
}

bool hone_llama_import(const hone_model_family_input_t *input, ir_model_t *out_model,
                       hone_status_t *status) {
  hone_llama_t llama;
  hone_arena_t *arena = ir_session_arena(input->session);
  *out_model = (ir_model_t){0};
  if (!hone_llama_read(input->family, input->config, arena, &llama, status)) return false;
  ir_config_t config = {
      .family = input->family,
      .vocab = llama.vocab,
      .width = llama.width,
      .context = llama.context,
      .checkpoint = hone_checkpoint_folder(input->checkpoint),
  };
  if (!hone_model_family_special_ids(input, &config, status) ||
      !ir_model_create(input->session, &config, out_model, status))
    return false;
  importer_t im = {input, &llama, arena, out_model, hone_map_create(arena), status};
  if (import_blocks(&im)) return true;
  ir_model_destroy(out_model);
  *out_model = (ir_model_t){0};
  return false;
}
