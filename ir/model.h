// The model IR: a module of the hone dialect, its builder and accessors. See docs/ir.md for the
// dialect.
//
//   module attributes {hone.model = {family = "llama", vocab = 512, width = 64, context = 512, bos
//   = 1, add_bos = true,
//                                    eos = array<i64: 2>, checkpoint = "stories260k"}} {
//     "hone.recipe"() {sym_name = "embed.weight", sources = ["model.embed_tokens.weight"], combine
//     = "single",
//                      type = tensor<512x64xf32>} : () -> ()
//     func.func private @embed(%ids: tensor<?xi32>) -> tensor<?x64xf32> attributes {hone.kind =
//     "embed"} {...} func.func private @layers.0.attention(%x: tensor<?x64xf32>) ->
//     tensor<?x64xf32>
//         attributes {hone.kind = "attention", hone.layer = 0} {...}
//     func.func @forward(%ids: tensor<?xi32>) -> tensor<?x512xf32> { calls, in order, of every
//     block }
//   }
// Recipes and functions share one name space (MLIR refuses a recipe @embed beside a function
// @embed), so a recipe is named "<block>.<weight>": layers.0.attention.q, layers.0.ffn.down,
// head.norm. `checkpoint` is the folder of the weights and tokenizer, relative to the IR file it is
// written in (absolute after import). Thread rule: the session's thread.
#ifndef HONE_IR_MODEL_H
#define HONE_IR_MODEL_H

#include "base/text.h"
#include "ir/format.h"
#include "ir/session.h"

enum {
  IR_EOS_LIMIT = 16,
  IR_DIMENSION_LIMIT = 1 << 28,  // of a tensor, a head count, a context
};

typedef struct ir_config {
  const char *family;
  int64_t vocab, width, context;
  int64_t bos;  // -1: none
  bool add_bos;
  int64_t eos[IR_EOS_LIMIT];
  size_t eos_count;
  const char *checkpoint;  // folder
} ir_config_t;

typedef enum ir_combine { IR_SINGLE, IR_CONCAT, IR_INTERLEAVE } ir_combine_t;
// How a weight comes to be. CONCAT: sources' rows one after the other. INTERLEAVE: two sources of
// equal shape; row 2i is the first's row i, row 2i + 1 the second's (gate and up of a gated ffn).
enum { IR_SOURCE_LIMIT = 4 };
typedef struct ir_recipe {
  const char *name;  // symbol
  const char *sources[IR_SOURCE_LIMIT];
  size_t source_count;
  ir_combine_t combine;
  hone_format_t format;
  int64_t N, K;          // K == 1 and rank 1 in the type for vectors
  const char *corrects;  // of a vector: the weight whose linear's mean error is added to the
                         // sources (there may be none); NULL: nothing is
  const char *gain;  // source vector (K): element k multiplies column k of all sources; NULL: none
  int64_t rotate;    // size of the Hadamard blocks that rows (times gain) are multiplied by; 0: as
                     // they are
} ir_recipe_t;

typedef struct ir_model {
  ir_session_t *session;
  MlirModule module;
} ir_model_t;

// ---- life cycle
HONE_MUST_CHECK bool ir_model_create(ir_session_t *session, const ir_config_t *config,
                                     ir_model_t *out_model, hone_status_t *status);
HONE_MUST_CHECK bool ir_model_parse(ir_session_t *session, const char *text, const char *name,
                                    ir_model_t *out_model, hone_status_t *status);
void ir_model_destroy(ir_model_t *model);
void ir_model_print(const ir_model_t *model, hone_buffer_t *out);  // deterministic
// Our verifier, after MLIR's: shapes, formats, group divisibility, dangling symbols, call order,
// duplicated recipes. Every error is a diagnostic naming the op and the tensor; status carries the
// first.
HONE_MUST_CHECK bool ir_model_verify(const ir_model_t *model, hone_status_t *status);

// ---- module level (strings live in the session's arena)
HONE_MUST_CHECK bool ir_model_config(const ir_model_t *model, ir_config_t *out_config,
                                     hone_status_t *status);
void ir_model_set_checkpoint(ir_model_t *model, const char *folder);
void ir_recipe_add(ir_model_t *model, const ir_recipe_t *recipe);  // appended after earlier recipes
HONE_MUST_CHECK bool ir_recipe_get(const ir_model_t *model, const char *name,
                                   ir_recipe_t *out_recipe, hone_status_t *status);
size_t ir_recipe_count(const ir_model_t *model);
bool ir_recipe_at(const ir_model_t *model, size_t index, ir_recipe_t *out_recipe);
void ir_recipe_remove(ir_model_t *model, const char *name);
// Changes a weight's format everywhere: the recipe's type and the result types of every hone.weight
// that refers to it.
void ir_recipe_set_format(ir_model_t *model, const char *name, hone_format_t format);
// Sets ir_recipe_t.rotate; what enters the weight's linears must be rotated likewise.
void ir_recipe_set_rotate(ir_model_t *model, const char *name, int64_t rotate);
// Sets ir_recipe_t.gain; what enters the weight's linears must be without it.
void ir_recipe_set_gain(ir_model_t *model, const char *name, const char *gain);

// ---- blocks: the functions that @forward calls, in call order
typedef struct ir_block {
  MlirOperation function;
  MlirOperation call;
  const char *name, *kind;
  int64_t layer;
} ir_block_t;  // layer -1: none
size_t ir_block_count(const ir_model_t *model);
bool ir_block_at(const ir_model_t *model, size_t index, ir_block_t *out_block);

// Building a block: begin, emit ops into the returned builder, end with its result. The block is
// appended to the module and to @forward (created by the first block from ids; a block's argument
// is the previous block's result).
HONE_MUST_CHECK bool ir_block_begin(ir_model_t *model, const char *name, const char *kind,
                                    int64_t layer, ir_builder_t *out_builder,
                                    ir_value_t *out_argument, hone_status_t *status);
HONE_MUST_CHECK bool ir_block_end(ir_model_t *model, ir_builder_t *b, ir_value_t result);
HONE_MUST_CHECK bool ir_model_finish(ir_model_t *model,
                                     hone_status_t *status);  // returns from @forward, verifies

// ---- ops (ir/ops.def); null values for absent optional operands
typedef enum ir_epilogue {
  IR_EPILOGUE_NONE,
#define ACTIVATION(name, ENUM, summary) IR_EPILOGUE_##ENUM##_GLU,
#include "ir/activations.def"
#undef ACTIVATION
  IR_EPILOGUE_ROPE_KV,  // q and k of the attention that reads the result are turned, k and v cached
  IR_EPILOGUE_COUNT
} ir_epilogue_t;
typedef struct ir_attention {
  int64_t heads, kv_heads, head_dim, window;  // window 0: none
  double scale;
  const double *frequencies;  // head_dim / 2 inverse frequencies of rope, or NULL for no rope
                              // (unfused attention)
  double rope_scale;          // factor on cos and sin, 1 normally
} ir_attention_t;

ir_value_t ir_weight(ir_builder_t *b, ir_model_t *model, const char *recipe);
ir_value_t ir_embed(ir_builder_t *b, ir_value_t ids, ir_value_t weight);
// kind "rms"; gain may be null
ir_value_t ir_norm(ir_builder_t *b, ir_value_t x, ir_value_t gain, double epsilon);
ir_value_t ir_linear(ir_builder_t *b, ir_value_t x, ir_value_t weight, ir_value_t bias,
                     ir_value_t residual, ir_epilogue_t epilogue);
ir_value_t ir_rope(ir_builder_t *b, ir_value_t x, int64_t heads, int64_t head_dim,
                   const double *frequencies, double rope_scale);
ir_value_t ir_attend(ir_builder_t *b, ir_value_t q, ir_value_t k, ir_value_t v,
                     const ir_attention_t *attention);  // rope applied before
ir_value_t ir_attend_packed(
    ir_builder_t *b, ir_value_t qkv,
    const ir_attention_t *attention);  // rope + cache + attention; made by fuse
ir_value_t ir_glu(ir_builder_t *b, ir_value_t gate, ir_value_t up,
                  const char *activation);  // a name of activations.def
ir_value_t ir_add(ir_builder_t *b, ir_value_t a, ir_value_t c);
// Activations to q8<64>, or b1 with the row as its group; `rotate` as in ir_recipe_t.
ir_value_t ir_quantize(ir_builder_t *b, ir_value_t x, hone_format_t format, int64_t rotate);

// ---- reading ops
typedef enum ir_op_kind {
  IR_OP_OTHER,
#define OP(name, ENUM, ...) IR_OP_##ENUM,
#include "ir/ops.def"
#undef OP
} ir_op_kind_t;
ir_op_kind_t ir_op_kind(MlirOperation op);
// The epilogue of an op hone.linear; with a glu, the one that computes hone.glu of this activation.
ir_epilogue_t ir_op_epilogue(MlirOperation op, ir_session_t *session);
bool ir_epilogue_is_gated(ir_epilogue_t epilogue);
const char *ir_op_string(MlirOperation op, const char *attribute,
                         ir_session_t *session);  // NULL if absent
int64_t ir_op_int(MlirOperation op, const char *attribute, int64_t fallback);
double ir_op_float(MlirOperation op, const char *attribute, double fallback);
// Optional operands by position in ops.def (linear: 0 x, 1 weight, 2 bias, 3 residual); null value
// if absent.
ir_value_t ir_op_operand(MlirOperation op, size_t position);
// The inverse frequencies of a rope op (head_dim / 2 of them), or NULL.
const double *ir_op_frequencies(MlirOperation op, ir_session_t *session);
bool ir_op_attention(MlirOperation op, ir_session_t *session, ir_attention_t *out_attention);
bool ir_value_shape(ir_value_t value, hone_format_t *out_format, int64_t *out_rows,
                    int64_t *out_columns);  // -1 dynamic; vectors have columns 1
// The recipe a value made by hone.weight refers to, or NULL.
const char *ir_value_recipe(ir_value_t value, ir_session_t *session);
bool ir_value_is_null(ir_value_t value);

#endif
