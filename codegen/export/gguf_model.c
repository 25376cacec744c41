// The configuration of llama.cpp's architecture "llama" (src/models/llama.cpp there), from the
// blocks of the unfused model. It has no sliding window: context_length is cut to the window,
// within which both are the same. Rotary frequencies that are no plain power of theta, nor such
// divided by one factor, go into rope_freqs.weight: llama.cpp divides theta^(-2i/d) by it.
#include <math.h>
#include <string.h>

#include "codegen/export/gguf_internal.h"

typedef struct reader {
  hone_gguf_model_t *model;
  ir_session_t *session;
  const double *frequencies;
  int64_t head_dim;  // of rope
  bool has_attention, has_epsilon;
  hone_status_t *status;
} reader_t;

static bool refuse(const reader_t *reader, const char *what) {
  return hone_fail(reader->status, HONE_UNSUPPORTED, "GGUF's architecture 'llama' cannot say %s",
                   what);
}

static bool read_rope(reader_t *reader, MlirOperation op) {
  const double *frequencies = ir_op_frequencies(op, reader->session);
  int64_t head_dim = ir_op_int(op, "head_dim", 0);
  if (ir_op_float(op, "scale", 1) != 1) return refuse(reader, "a factor on rotary embeddings");
  if (!reader->frequencies) {
    reader->frequencies = frequencies;
    reader->head_dim = head_dim;
  }
  size_t bytes = (size_t)head_dim / 2 * sizeof *frequencies;
  return (frequencies && head_dim == reader->head_dim &&
          !memcmp(frequencies, reader->frequencies, bytes)) ||
         refuse(reader, "rotary frequencies that differ between layers");
}

static bool read_attention(reader_t *reader, MlirOperation op) {
  ir_attention_t attention, *known = &reader->model->attention;
  if (!ir_op_attention(op, reader->session, &attention))
    return refuse(reader, "this kind of attention");
  if (!reader->has_attention) *known = attention;
  reader->has_attention = true;
  reader->model->layers++;
  double scale = 1 / sqrt((double)attention.head_dim);
  if (fabs(attention.scale - scale) > 1e-6 * scale)
    return refuse(reader, "an attention scale other than 1 / sqrt(head_dim)");
  return (attention.heads == known->heads && attention.kv_heads == known->kv_heads &&
          attention.head_dim == known->head_dim && attention.window == known->window) ||
         refuse(reader, "attention that differs between layers");
}

static bool read_op(reader_t *reader, MlirOperation op) {
  switch (ir_op_kind(op)) {
    case IR_OP_ROPE: return read_rope(reader, op);
    case IR_OP_ATTEND: return read_attention(reader, op);
    case IR_OP_ATTEND_PACKED: return refuse(reader, "a fused model");
    case IR_OP_NORM: {
      double epsilon = ir_op_float(op, "epsilon", 0);
      if (!reader->has_epsilon) reader->model->epsilon = epsilon;
      reader->has_epsilon = true;
      return epsilon == reader->model->epsilon || refuse(reader, "norms of different epsilons");
    }
    case IR_OP_GLU: {
      const char *activation = ir_op_string(op, "activation", reader->session);
      int64_t rows;
      hone_format_t format;
      if (!activation || strcmp(activation, "silu"))
        return refuse(reader, "an activation other than silu");
      return ir_value_shape(ir_op_operand(op, 0), &format, &rows, &reader->model->ffn);
    }
    default: return true;
  }
}

static bool matches(const double *frequencies, int64_t head_dim, float theta, double factor) {
  for (int64_t i = 0; i < head_dim / 2; i++) {
    double plain = pow((double)theta, -2.0 * (double)i / (double)head_dim) / factor;
    if (fabs(frequencies[i] - plain) > 1e-6 * plain) return false;
  }
  return true;
}

// theta from the two fastest frequencies, which scalings leave alone or divide alike. Where they do
// not (tiny models), theta is not the model's, and the factors make up for it.
static void read_theta(const hone_export_t *export, reader_t *reader) {
  const double *f = reader->frequencies;
  int64_t head_dim = reader->head_dim, count = head_dim / 2;
  hone_gguf_model_t *model = reader->model;
  model->theta = 10000;
  model->linear_factor = 1;
  if (count > 1 && f[1] < f[0]) model->theta = (float)pow(f[0] / f[1], (double)head_dim / 2);
  if (matches(f, head_dim, model->theta, 1)) return;
  model->linear_factor = 1 / f[0];
  if (matches(f, head_dim, model->theta, model->linear_factor)) return;
  model->linear_factor = 1;
  model->rope_factors = HONE_NEW_ARRAY(export->arena, float, (size_t)count);
  for (int64_t i = 0; i < count; i++)
    model->rope_factors[i] =
        (float)(pow((double)model->theta, -2.0 * (double)i / (double)head_dim) / f[i]);
}

bool hone_gguf_model_read(const hone_export_t *export, hone_gguf_model_t *out_model,
                          hone_status_t *status) {
  const ir_model_t *ir = &export->compile->model;
  const char *family = export->config.family;
  *out_model = (hone_gguf_model_t){0};
  reader_t reader = {.model = out_model, .session = export->compile->session, .status = status};
  if (strcmp(family, "llama") && strcmp(family, "mistral"))
    return hone_fail(status, HONE_UNSUPPORTED,
                     "family %s: GGUF is written for llama and mistral so far", family);
  for (size_t i = 0; i < ir_block_count(ir); i++) {
    ir_block_t block;
    if (!ir_block_at(ir, i, &block)) continue;
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(block.function, 0));
    MlirOperation op = mlirBlockGetFirstOperation(body);
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op))
      if (!read_op(&reader, op)) return hone_note(status, "@%s", block.name);
  }
  if (!reader.has_attention || !reader.frequencies || !out_model->ffn)
    return refuse(&reader, "a model without attention, rotary embedding or feed-forward network");
  if (reader.head_dim != out_model->attention.head_dim)
    return refuse(&reader, "rotary embeddings of a part of the head");
  read_theta(export, &reader);
  return true;
}

void hone_gguf_model_write(const hone_export_t *export, const hone_gguf_model_t *model,
                           hone_gguf_metadata_t *data) {
  const ir_attention_t *attention = &model->attention;
  int64_t context = export->config.context;
  if (attention->window > 0 && attention->window < context) context = attention->window;
  const struct {
    const char *key;
    int64_t value;
  } numbers[] = {{"llama.vocab_size", export->config.vocab},
                 {"llama.context_length", context},
                 {"llama.embedding_length", export->config.width},
                 {"llama.block_count", model->layers},
                 {"llama.feed_forward_length", model->ffn},
                 {"llama.attention.head_count", attention->heads},
                 {"llama.attention.head_count_kv", attention->kv_heads},
                 {"llama.attention.key_length", attention->head_dim},
                 {"llama.attention.value_length", attention->head_dim},
                 {"llama.rope.dimension_count", attention->head_dim}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    hone_gguf_u32(data, numbers[i].key, (uint32_t)numbers[i].value);
  hone_gguf_f32(data, "llama.attention.layer_norm_rms_epsilon", (float)model->epsilon);
  hone_gguf_f32(data, "llama.rope.freq_base", model->theta);
  if (model->linear_factor == 1) return;
  hone_gguf_string(data, "llama.rope.scaling.type", "linear");
  hone_gguf_f32(data, "llama.rope.scaling.factor", (float)model->linear_factor);
}

const char *hone_gguf_tensor_name(const hone_gguf_model_t *model, hone_arena_t *arena,
                                  const char *recipe, int64_t *out_heads) {
  static const struct {
    const char *ours, *theirs;
  } globals[] = {{"embed.weight", "token_embd.weight"},
                 {"head.norm", "output_norm.weight"},
                 {"head.weight", "output.weight"}},
    layered[] = {
        {"attention.norm", "attn_norm"}, {"attention.q", "attn_q"},      {"attention.k", "attn_k"},
        {"attention.v", "attn_v"},       {"attention.o", "attn_output"}, {"ffn.norm", "ffn_norm"},
        {"ffn.gate", "ffn_gate"},        {"ffn.up", "ffn_up"},           {"ffn.down", "ffn_down"}};
  *out_heads = 0;
  for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
    if (!strcmp(recipe, globals[i].ours)) return globals[i].theirs;
  if (!hone_text_starts(recipe, "layers.")) return NULL;
  hone_slice_t rest = hone_slice(recipe + strlen("layers."));
  hone_slice_t layer = hone_slice_cut(&rest, '.');
  const char *kind = "weight";
  if (rest.bytes > 5 && !memcmp(rest.data + rest.bytes - 5, ".bias", 5)) {
    kind = "bias";
    rest.bytes -= 5;
  }
  for (size_t i = 0; i < sizeof layered / sizeof *layered; i++) {
    if (!hone_slice_is(rest, layered[i].ours)) continue;
    if (hone_slice_is(rest, "attention.q")) *out_heads = model->attention.heads;
    if (hone_slice_is(rest, "attention.k")) *out_heads = model->attention.kv_heads;
    return hone_arena_format(arena, "blk.%.*s.%s.%s", (int)layer.bytes, layer.data,
                             layered[i].theirs, kind);
  }
  return NULL;
}
