// Llama-type models as IR: unfused, one op per step of the paper, every weight with a recipe.
#include "frontend/llama.h"

#include <string.h>

#include "base/map.h"

typedef struct importer {
  ir_model_t *model;
  hone_checkpoint_t *checkpoint;
  const hone_llama_config_t *config;
  hone_arena_t *arena;
  hone_map_t *used;  // tensors that a recipe reads
  hone_status_t *status;
} importer_t;

// Adds the recipe `name` of one source tensor, which must have the shape (N, K).
static bool add_recipe(importer_t *im, const char *name, const char *source, int64_t N, int64_t K) {
  int64_t got_N, got_K;
  hone_storage_t storage;
  if (!hone_checkpoint_shape(im->checkpoint, source, &got_N, &got_K, &storage, im->status))
    return hone_note(im->status, "config.json asks for %s of shape (%lld, %lld)", source, (long long)N, (long long)K);
  if (got_N != N || got_K != K)
    return hone_fail(im->status, HONE_INVALID, "%s has the shape (%lld, %lld); config.json makes it (%lld, %lld)", source,
                     (long long)got_N, (long long)got_K, (long long)N, (long long)K);
  ir_recipe_t recipe = {.name = name, .sources = {source}, .source_count = 1, .format = {K == 1 ? HONE_F32 : storage, 0}, .N = N, .K = K};
  ir_recipe_add(im->model, &recipe);
  hone_map_put(im->used, source, im);
  return true;
}

// A weight of layer `layer`: recipe "layers.3.attention.q" from tensor "model.layers.3.self_attn.q_proj.weight".
static ir_value_t layer_weight(importer_t *im, ir_builder_t *b, int64_t layer, const char *name, const char *source,
                               int64_t N, int64_t K) {
  const char *recipe = hone_arena_format(im->arena, "layers.%lld.%s", (long long)layer, name);
  const char *tensor = hone_arena_format(im->arena, "model.layers.%lld.%s", (long long)layer, source);
  if (im->status->code || !add_recipe(im, recipe, tensor, N, K)) return (ir_value_t){0};
  return ir_weight(b, im->model, recipe);
}

// linear(x) with a weight (N, K) and, if asked, a bias (N): "attention.q" from "self_attn.q_proj".
static ir_value_t layer_linear(importer_t *im, ir_builder_t *b, int64_t layer, const char *name, const char *source,
                               ir_value_t x, int64_t N, int64_t K, bool has_bias) {
  ir_value_t bias = {0}, none = {0};
  const char *weight_source = hone_arena_format(im->arena, "%s.weight", source);
  ir_value_t weight = layer_weight(im, b, layer, name, weight_source, N, K);
  if (has_bias) {
    const char *bias_name = hone_arena_format(im->arena, "%s_bias", name);
    const char *bias_source = hone_arena_format(im->arena, "%s.bias", source);
    bias = layer_weight(im, b, layer, bias_name, bias_source, N, 1);
  }
  if (im->status->code) return none;
  return ir_linear(b, x, weight, bias, none, IR_EPILOGUE_NONE);
}

static bool import_attention(importer_t *im, int64_t layer) {
  const hone_llama_config_t *c = im->config;
  int64_t q_width = c->heads * c->head_dim, kv_width = c->kv_heads * c->head_dim;
  ir_builder_t b;
  ir_value_t x;
  const char *name = hone_arena_format(im->arena, "layers.%lld.attention", (long long)layer);
  if (!ir_block_begin(im->model, name, "attention", layer, &b, &x, im->status)) return false;
  ir_attention_t attention = {.heads = c->heads, .kv_heads = c->kv_heads, .head_dim = c->head_dim,
                              .window = c->window, .scale = 1 / __builtin_sqrt((double)c->head_dim), .rope_scale = 1};
  ir_value_t gain = layer_weight(im, &b, layer, "attention.norm", "input_layernorm.weight", c->width, 1);
  if (im->status->code) return false;
  ir_value_t h = ir_norm(&b, x, gain, c->epsilon);
  ir_value_t q = layer_linear(im, &b, layer, "attention.q", "self_attn.q_proj", h, q_width, c->width, c->attention_bias);
  ir_value_t k = layer_linear(im, &b, layer, "attention.k", "self_attn.k_proj", h, kv_width, c->width, c->attention_bias);
  ir_value_t v = layer_linear(im, &b, layer, "attention.v", "self_attn.v_proj", h, kv_width, c->width, c->attention_bias);
  if (im->status->code) return false;
  q = ir_rope(&b, q, c->heads, c->head_dim, c->frequencies, 1);
  k = ir_rope(&b, k, c->kv_heads, c->head_dim, c->frequencies, 1);
  ir_value_t mixed = ir_attend(&b, q, k, v, &attention);
  ir_value_t out = layer_linear(im, &b, layer, "attention.o", "self_attn.o_proj", mixed, c->width, q_width, c->attention_bias);
  if (im->status->code) return false;
  ir_value_t sum = ir_add(&b, x, out);
  return ir_block_end(im->model, &b, sum);
}

static bool import_ffn(importer_t *im, int64_t layer) {
  const hone_llama_config_t *c = im->config;
  ir_builder_t b;
  ir_value_t x;
  const char *name = hone_arena_format(im->arena, "layers.%lld.ffn", (long long)layer);
  if (!ir_block_begin(im->model, name, "ffn", layer, &b, &x, im->status)) return false;
  ir_value_t gain = layer_weight(im, &b, layer, "ffn.norm", "post_attention_layernorm.weight", c->width, 1);
  if (im->status->code) return false;
  ir_value_t h = ir_norm(&b, x, gain, c->epsilon);
  ir_value_t gate = layer_linear(im, &b, layer, "ffn.gate", "mlp.gate_proj", h, c->ffn, c->width, c->mlp_bias);
  ir_value_t up = layer_linear(im, &b, layer, "ffn.up", "mlp.up_proj", h, c->ffn, c->width, c->mlp_bias);
  if (im->status->code) return false;
  ir_value_t inner = ir_glu(&b, gate, up, c->activation);
  ir_value_t down = layer_linear(im, &b, layer, "ffn.down", "mlp.down_proj", inner, c->width, c->ffn, c->mlp_bias);
  if (im->status->code) return false;
  ir_value_t sum = ir_add(&b, x, down);
  return ir_block_end(im->model, &b, sum);
}

static bool import_embed(importer_t *im) {
  ir_builder_t b;
  ir_value_t ids;
  if (!add_recipe(im, "embed", "model.embed_tokens.weight", im->config->vocab, im->config->width)) return false;
  if (!ir_block_begin(im->model, "tokens", "embed", -1, &b, &ids, im->status)) return false;
  ir_value_t table = ir_weight(&b, im->model, "embed");
  ir_value_t x = ir_embed(&b, ids, table);
  return ir_block_end(im->model, &b, x);
}

static bool import_head(importer_t *im) {
  const hone_llama_config_t *c = im->config;
  ir_builder_t b;
  ir_value_t x, none = {0};
  const char *head = c->tied ? "embed" : "head";
  if (!add_recipe(im, "norm", "model.norm.weight", c->width, 1)) return false;
  if (!c->tied && !add_recipe(im, head, "lm_head.weight", c->vocab, c->width)) return false;
  if (!ir_block_begin(im->model, "logits", "head", -1, &b, &x, im->status)) return false;
  ir_value_t gain = ir_weight(&b, im->model, "norm");
  ir_value_t h = ir_norm(&b, x, gain, c->epsilon);
  ir_value_t weight = ir_weight(&b, im->model, head);
  ir_value_t logits = ir_linear(&b, h, weight, none, none, IR_EPILOGUE_NONE);
  return ir_block_end(im->model, &b, logits);
}

// Tensors that older checkpoints carry and that the configuration already determines.
static bool is_redundant(const importer_t *im, const char *name) {
  return hone_text_ends(name, "rotary_emb.inv_freq") || (im->config->tied && !strcmp(name, "lm_head.weight"));
}

static bool check_all_used(importer_t *im) {
  for (size_t i = 0; i < hone_checkpoint_count(im->checkpoint); i++) {
    hone_checkpoint_tensor_t tensor;
    hone_checkpoint_at(im->checkpoint, i, &tensor);
    if (hone_map_get(im->used, tensor.name) || is_redundant(im, tensor.name)) continue;
    return hone_fail(im->status, HONE_UNSUPPORTED,
                     "%s: tensor %.120s has no place in a %s model of this config.json; dropping it would change the model",
                     tensor.file, tensor.name, im->config->family);
  }
  return true;
}

bool hone_llama_import(ir_model_t *model, hone_checkpoint_t *checkpoint, const hone_llama_config_t *config,
                       hone_status_t *status) {
  hone_arena_t *arena = ir_session_arena(model->session);
  importer_t im = {.model = model, .checkpoint = checkpoint, .config = config, .arena = arena,
                   .used = hone_map_create(arena), .status = status};
  if (!import_embed(&im)) return false;
  for (int64_t layer = 0; layer < config->layers; layer++)
    if (!import_attention(&im, layer) || !import_ffn(&im, layer)) return hone_note(status, "layer %lld", (long long)layer);
  return import_head(&im) && check_all_used(&im) && ir_model_finish(model, status);
}
