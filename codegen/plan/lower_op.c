// Ops to launches: the kernel specification of each op and the meaning of its operands, in the
// order of codegen/families.def. The families to choose from come from the attribute hone.dataflow.
#include <inttypes.h>
#include <string.h>

#include "codegen/plan/plan_internal.h"

// The families an op may choose from, as a set of bits.
#define IN(family) (1u << HONE_FAMILY_##family)

static bool read_level(hone_lower_t *lower, const char *text, uint32_t families,
                       hone_lower_choices_t *out) {
  if (!hone_flow_parse(text, out->items, &out->count, lower->status)) return false;
  for (size_t i = 0; i < out->count; i++) {
    if (families & 1u << out->items[i].family) continue;
    return hone_fail(lower->status, HONE_INVALID, "dataflow '%s': family %s does not do this op",
                     text, hone_family_name(out->items[i].family));
  }
  return true;
}

// A slip in a level's name must not go unnoticed.
static bool check_levels(hone_lower_t *lower, MlirOperation op) {
  static const char prefix[] = "hone.dataflow.";
  for (intptr_t i = 0; i < mlirOperationGetNumAttributes(op); i++) {
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetAttribute(op, i).name);
    hone_slice_t level = {name.data + sizeof prefix - 1, name.length - (sizeof prefix - 1)};
    bool known = name.length < sizeof prefix || memcmp(name.data, prefix, sizeof prefix - 1);
    for (size_t isa = 0; !known && isa < lower->options->known_count; isa++)
      known = hone_slice_is(level, lower->options->known[isa]);
    if (!known)
      return hone_fail(lower->status, HONE_INVALID,
                       "%.*s names no instruction set level of the target", (int)name.length,
                       name.data);
  }
  return true;
}

// Of each level: the attribute hone.dataflow.LEVEL, or hone.dataflow.
static bool read_flow(hone_lower_t *lower, MlirOperation op, uint32_t families,
                      hone_lower_choices_t *out) {
  ir_session_t *session = lower->model->session;
  const char *common = ir_op_string(op, "hone.dataflow", session);
  if (!check_levels(lower, op)) return false;
  for (size_t isa = 0; isa < lower->options->isa_count; isa++) {
    const char *own = ir_op_string(
        op, hone_arena_format(lower->arena, "hone.dataflow.%s", lower->options->isas[isa]),
        session);
    if (!own && !common)
      return hone_fail(lower->status, HONE_INVALID,
                       "no attribute hone.dataflow: the phase dataflow has not run");
    if (!read_level(lower, own ? own : common, families, &out[isa])) return false;
  }
  return true;
}

typedef struct shape {
  hone_format_t format;
  hone_storage_t storage;
  int64_t rows, columns;
} shape_t;

static bool read_shape(hone_lower_t *lower, ir_value_t value, shape_t *out_shape) {
  hone_format_t format;
  if (!ir_value_shape(value, &format, &out_shape->rows, &out_shape->columns))
    return hone_fail(lower->status, HONE_INVALID, "an operand is no tensor of a known format");
  out_shape->format = format;
  out_shape->storage = format.storage;
  return true;
}

static bool expect_f32(hone_lower_t *lower, ir_value_t value, const char *what) {
  shape_t shape;
  if (!read_shape(lower, value, &shape)) return false;
  if (shape.storage == HONE_F32) return true;
  return hone_fail(lower->status, HONE_UNSUPPORTED, "%s must be f32, not %s", what,
                   hone_format_info(shape.storage)->name);
}

enum { ROPE_COUNT = 3 };  // table of angles, keys and values of the attention that comes next
enum { X, WEIGHT, BIAS, RESIDUAL, OUT, ROPE, PARTS = ROPE + ROPE_COUNT, LINEAR_COUNT };

// Launch of an op with one spec: flow from the attribute, operand `out` is the result; those of
// linears get room for their parts.
static bool launch(hone_lower_t *lower, MlirOperation op, const char *part, uint32_t families,
                   const hone_kernel_spec_t *spec, hone_operand_t *operands, size_t out,
                   size_t count) {
  hone_lower_choices_t choices[HONE_ISA_LIMIT];
  if (!read_flow(lower, op, families, choices)) return false;
  uint32_t flow = hone_lower_flow(lower, spec, choices);
  if (hone_family_is_linear(spec->family) &&
      !hone_lower_parts(lower, spec, choices, &operands[PARTS]))
    return false;
  if (!hone_lower_result(lower, op, &operands[out])) return false;
  hone_lower_launch(lower, part, flow, operands, count);
  return true;
}

// The same where the result is the last operand.
static bool finish(hone_lower_t *lower, MlirOperation op, const char *part, uint32_t families,
                   const hone_kernel_spec_t *spec, hone_operand_t *operands, size_t count) {
  return launch(lower, op, part, families, spec, operands, count - 1, count);
}

static bool lower_embed(hone_lower_t *lower, MlirOperation op) {
  hone_operand_t operands[3];
  shape_t weight;
  if (!hone_lower_operand(lower, ir_op_operand(op, 0), &operands[0])) return false;
  if (operands[0].space != HONE_SPACE_IDS)
    return hone_fail(lower->status, HONE_UNSUPPORTED, "only the model's token ids can be embedded");
  if (!hone_lower_weight(lower, ir_op_operand(op, 1), &operands[1])) return false;
  if (!read_shape(lower, ir_op_operand(op, 1), &weight)) return false;
  hone_kernel_spec_t spec = {
      .weight = weight.format, .N = (uint32_t)weight.rows, .K = (uint32_t)weight.columns};
  return finish(lower, op, "embed", IN(EMBED), &spec, operands, 3);
}

static bool lower_norm(hone_lower_t *lower, MlirOperation op) {
  hone_operand_t operands[3] = {0};
  shape_t x, out;
  ir_value_t gain = ir_op_operand(op, 1);
  const char *kind = ir_op_string(op, "kind", lower->model->session);
  if (!kind || strcmp(kind, "rms"))
    return hone_fail(lower->status, HONE_UNSUPPORTED, "norm kind '%s' has no kernel; use rms",
                     kind ? kind : "");
  if (!expect_f32(lower, ir_op_operand(op, 0), "the normed activation")) return false;
  if (!read_shape(lower, ir_op_operand(op, 0), &x)) return false;
  if (!read_shape(lower, mlirOperationGetResult(op, 0), &out)) return false;
  if (!hone_lower_operand(lower, ir_op_operand(op, 0), &operands[0])) return false;
  if (!ir_value_is_null(gain) && !hone_lower_weight(lower, gain, &operands[1])) return false;
  hone_kernel_spec_t spec = {
      .output = out.storage,
      .K = (uint32_t)x.columns,
      .gain = !ir_value_is_null(gain),
      .rotate = (uint8_t)ir_op_int(op, "rotate", 0),
      .epsilon = (float)ir_op_float(op, "epsilon", 0),
  };
  return finish(lower, op, "norm", IN(NORM), &spec, operands, 3);
}

static bool lower_quantize(hone_lower_t *lower, MlirOperation op) {
  hone_operand_t operands[2];
  shape_t out;
  if (!expect_f32(lower, ir_op_operand(op, 0), "the quantized activation")) return false;
  if (!read_shape(lower, mlirOperationGetResult(op, 0), &out)) return false;
  if (out.storage != HONE_Q8 && out.storage != HONE_B1)
    return hone_fail(lower->status, HONE_UNSUPPORTED,
                     "activations can be quantized to q8 and b1 only");
  if (!hone_lower_operand(lower, ir_op_operand(op, 0), &operands[0])) return false;
  hone_kernel_spec_t spec = {.output = out.storage,
                             .K = (uint32_t)out.columns,
                             .rotate = (uint8_t)ir_op_int(op, "rotate", 0)};
  return finish(lower, op, "quantize", IN(QUANTIZE), &spec, operands, 2);
}

static bool read_activation(hone_lower_t *lower, hone_slice_t name, uint8_t *out_activation) {
  hone_activation_t activation;
  if (!hone_activation_find(name, &activation))
    return hone_fail(lower->status, HONE_UNSUPPORTED, "activation '%.*s' has no kernel",
                     (int)name.bytes, name.data ? name.data : "");
  *out_activation = (uint8_t)activation;
  return true;
}

static bool read_attention(hone_lower_t *lower, MlirOperation op, ir_attention_t *out) {
  return (ir_op_attention(op, lower->model->session, out) && out->frequencies) ||
         hone_fail(lower->status, HONE_INVALID, "its attributes are incomplete");
}

// The heads of the attention that reads the linear's result.
static bool read_rope(hone_lower_t *lower, MlirOperation op, hone_kernel_spec_t *spec) {
  MlirOpOperand use = mlirValueGetFirstUse(mlirOperationGetResult(op, 0));
  ir_attention_t attention;
  if (!read_attention(lower, mlirOpOperandGetOwner(use), &attention)) return false;
  spec->rope = 1;
  spec->heads = (uint32_t)attention.heads;
  spec->kv_heads = (uint32_t)attention.kv_heads;
  spec->head_dim = (uint32_t)attention.head_dim;
  spec->cache = lower->cache;
  return true;
}

static bool read_epilogue(hone_lower_t *lower, MlirOperation op, hone_kernel_spec_t *spec) {
  const char *name = ir_op_string(op, "epilogue", lower->model->session);
  if (!name || !strcmp(name, "none")) return true;
  if (!strcmp(name, "rope_kv")) return read_rope(lower, op, spec);
  if (!hone_text_ends(name, "_glu"))
    return hone_fail(lower->status, HONE_UNSUPPORTED, "epilogue '%s' has no kernel", name);
  hone_slice_t activation = {name, strlen(name) - strlen("_glu")};
  spec->glu = 1;
  return read_activation(lower, activation, &spec->activation);
}

// "layers.3.attention.qkv" -> "qkv": what a launch of a linear is called within its block.
static const char *last_part(const char *recipe) {
  const char *dot = recipe ? strrchr(recipe, '.') : NULL;
  return dot ? dot + 1 : recipe ? recipe : "linear";
}

static const uint32_t linear_families = IN(GEMV) | IN(FLAT) | IN(GEMM);
static const uint32_t attend_families = IN(ATTEND_DECODE) | IN(ATTEND_PREFILL);

static bool describe_linear(hone_lower_t *lower, MlirOperation op, hone_kernel_spec_t *out_spec) {
  shape_t x, weight, out;
  if (!read_shape(lower, ir_op_operand(op, X), &x)) return false;
  if (!read_shape(lower, ir_op_operand(op, WEIGHT), &weight)) return false;
  *out_spec = (hone_kernel_spec_t){
      .family = HONE_FAMILY_GEMV,
      .weight = weight.format,
      .input = x.storage,
      .N = (uint32_t)weight.rows,
      .K = (uint32_t)weight.columns,
      .bias = !ir_value_is_null(ir_op_operand(op, BIAS)),
      .residual = !ir_value_is_null(ir_op_operand(op, RESIDUAL)),
  };
  if (!read_shape(lower, mlirOperationGetResult(op, 0), &out)) return false;
  out_spec->output = out.storage;
  out_spec->rotate = (uint8_t)ir_op_int(op, "rotate", 0);
  return read_epilogue(lower, op, out_spec);
}

static void rope_operands(const hone_lower_t *lower, uint32_t head_dim,
                          hone_operand_t out[ROPE_COUNT]) {
  uint64_t layer = lower->draft->header.layers;
  out[0] =
      (hone_operand_t){.space = HONE_SPACE_ROPE, .row_bytes = head_dim * (uint32_t)sizeof(float)};
  out[1] = (hone_operand_t){.space = HONE_SPACE_KEYS, .offset = layer};
  out[2] = (hone_operand_t){.space = HONE_SPACE_VALUES, .offset = layer};
}

static bool lower_linear(hone_lower_t *lower, MlirOperation op) {
  hone_operand_t operands[LINEAR_COUNT] = {0};
  hone_kernel_spec_t spec;
  ir_value_t bias = ir_op_operand(op, BIAS), residual = ir_op_operand(op, RESIDUAL);
  if (!describe_linear(lower, op, &spec)) return false;
  if (!hone_lower_operand(lower, ir_op_operand(op, X), &operands[X])) return false;
  if (!hone_lower_weight(lower, ir_op_operand(op, WEIGHT), &operands[WEIGHT])) return false;
  if (spec.bias && !hone_lower_weight(lower, bias, &operands[BIAS])) return false;
  if (spec.residual && !expect_f32(lower, residual, "the residual")) return false;
  if (spec.residual && !hone_lower_operand(lower, residual, &operands[RESIDUAL])) return false;
  const char *recipe = ir_value_recipe(ir_op_operand(op, WEIGHT), lower->model->session);
  if (spec.rope) rope_operands(lower, spec.head_dim, &operands[ROPE]);
  return launch(lower, op, last_part(recipe), linear_families, &spec, operands, OUT, LINEAR_COUNT);
}

// All layers share head counts and rope: the plan has one cache shape and one table of frequencies.
static bool note_attention(hone_lower_t *lower, const ir_attention_t *a) {
  hone_plan_t *header = &lower->draft->header;
  size_t count = (size_t)a->head_dim / 2;
  if (!lower->rope_block) {
    lower->rope_block = lower->block.name;
    lower->draft->rope = a->frequencies;
    header->rope_count = (uint32_t)count;
    header->rope_scale = (float)a->rope_scale;
    header->heads = (uint32_t)a->heads;
    header->kv_heads = (uint32_t)a->kv_heads;
    header->head_dim = (uint32_t)a->head_dim;
    header->window = (uint32_t)a->window;
    return true;
  }
  if (header->heads != a->heads || header->kv_heads != a->kv_heads ||
      header->head_dim != a->head_dim)
    return hone_fail(lower->status, HONE_UNSUPPORTED,
                     "@%s has other head counts or another head size than @%s; they must be equal",
                     lower->block.name, lower->rope_block);
  if (header->rope_scale != (float)a->rope_scale ||
      memcmp(lower->draft->rope, a->frequencies, count * sizeof *a->frequencies))
    return hone_fail(lower->status, HONE_UNSUPPORTED,
                     "@%s has other rope frequencies than @%s; layers must share them",
                     lower->block.name, lower->rope_block);
  return true;
}

// The form of softmax is the model's: all its kernels must give the same bits.
static bool read_softmax(hone_lower_t *lower, bool *out_unified) {
  MlirOperation module = mlirModuleGetOperation(lower->model->module);
  const char *form = ir_op_string(module, "hone.softmax", lower->model->session);
  *out_unified = form && !strcmp(form, "unified");
  return !form || *out_unified || !strcmp(form, "running") ||
         hone_fail(lower->status, HONE_INVALID,
                   "hone.softmax is '%s'; it can be running or unified", form);
}

static bool describe_attention(hone_lower_t *lower, MlirOperation op, const ir_attention_t *a,
                               hone_kernel_spec_t *out_spec) {
  shape_t out;
  bool unified;
  if (!read_shape(lower, mlirOperationGetResult(op, 0), &out)) return false;
  if (!read_softmax(lower, &unified)) return false;
  *out_spec = (hone_kernel_spec_t){
      .output = out.storage,
      .unified = unified,
      .family = HONE_FAMILY_ATTEND_DECODE,
      .heads = (uint32_t)a->heads,
      .kv_heads = (uint32_t)a->kv_heads,
      .head_dim = (uint32_t)a->head_dim,
      .cache = lower->cache,
      .window = (uint32_t)a->window,
      .scale = (float)a->scale,
  };
  return true;
}

// Whether the linear that makes q, k and v has turned and cached them already. A block has one
// attention (ir/verify_op.c), so the layer that was next when the linear was lowered is still.
static bool is_rope_done(const hone_lower_t *lower, MlirOperation op) {
  ir_value_t qkv = ir_op_operand(op, 0);
  if (!mlirValueIsAOpResult(qkv)) return false;
  MlirOperation linear = mlirOpResultGetOwner(qkv);
  return ir_op_kind(linear) == IR_OP_LINEAR &&
         ir_op_epilogue(linear, lower->model->session) == IR_EPILOGUE_ROPE_KV;
}

static void lower_rope(hone_lower_t *lower, const hone_kernel_spec_t *attend,
                       const hone_operand_t *qkv) {
  hone_kernel_spec_t spec = *attend;
  spec.family = HONE_FAMILY_ROPE_KV;
  spec.output = HONE_F32;
  spec.window = 0;
  spec.scale = 0;
  spec.unified = 0;
  hone_operand_t operands[1 + ROPE_COUNT] = {*qkv};
  rope_operands(lower, spec.head_dim, &operands[1]);
  hone_lower_launch(lower, "rope_kv", hone_lower_only(lower, &spec), operands, 1 + ROPE_COUNT);
}

// Whether some rows have their heads split; the plan gets room for the most of them.
static bool note_split(hone_lower_t *lower, const hone_lower_choices_t *levels) {
  hone_plan_t *header = &lower->draft->header;
  uint32_t rows = hone_lower_split_rows(lower, levels);
  if (rows > header->split_rows) header->split_rows = rows;
  return rows > 0;
}

// attend_packed -> rope_kv (rotates q in place, fills the cache), if the linear before it has not
// done that, then attention over the cache.
static bool lower_attend_packed(hone_lower_t *lower, MlirOperation op) {
  ir_attention_t attention;
  hone_operand_t qkv, out, counters = {0}, chunks = {0};
  hone_kernel_spec_t spec;
  hone_lower_choices_t choices[HONE_ISA_LIMIT];
  if (!read_attention(lower, op, &attention)) return false;
  if (!note_attention(lower, &attention)) return false;
  if (!expect_f32(lower, ir_op_operand(op, 0), "packed q, k and v")) return false;
  if (!describe_attention(lower, op, &attention, &spec)) return false;
  if (!hone_lower_operand(lower, ir_op_operand(op, 0), &qkv)) return false;
  if (!is_rope_done(lower, op)) lower_rope(lower, &spec, &qkv);
  if (!read_flow(lower, op, attend_families, choices)) return false;
  uint32_t attend_flow = hone_lower_flow(lower, &spec, choices);
  if (!hone_lower_result(lower, op, &out)) return false;
  uint64_t layer = lower->draft->header.layers++;
  hone_operand_t keys = {.space = HONE_SPACE_KEYS, .offset = layer};
  hone_operand_t values = {.space = HONE_SPACE_VALUES, .offset = layer};
  if (note_split(lower, choices)) {
    counters.space = HONE_SPACE_COUNTERS;
    chunks.space = HONE_SPACE_CHUNKS;
  }
  hone_lower_launch(lower, "attend", attend_flow,
                    (hone_operand_t[]){qkv, keys, values, out, counters, chunks}, 6);
  return true;
}

bool hone_plan_choices(const ir_model_t *model, MlirOperation op, const char *cache,
                       hone_kernel_spec_t *out_spec, uint32_t *out_families,
                       hone_status_t *status) {
  hone_lower_t lower = {.model = model, .status = status};
  ir_attention_t attention;
  *out_families = 0;
  switch (ir_op_kind(op)) {
    case IR_OP_LINEAR:
      *out_families = linear_families;
      if (!hone_lower_cache(model, cache, &lower.cache, status)) return false;
      return describe_linear(&lower, op, out_spec);
    case IR_OP_ATTEND_PACKED:
      if (!hone_lower_cache(model, cache, &lower.cache, status)) return false;
      if (!read_attention(&lower, op, &attention)) return false;
      *out_families = attend_families;
      return describe_attention(&lower, op, &attention, out_spec);
    default: return true;
  }
}

static bool lower_binary(hone_lower_t *lower, MlirOperation op, bool is_glu) {
  hone_operand_t operands[3];
  shape_t shape;
  for (size_t i = 0; i < 2; i++) {
    if (!expect_f32(lower, ir_op_operand(op, i), "an operand")) return false;
    if (!hone_lower_operand(lower, ir_op_operand(op, i), &operands[i])) return false;
  }
  if (!read_shape(lower, ir_op_operand(op, 0), &shape)) return false;
  hone_kernel_spec_t spec = {.K = (uint32_t)shape.columns};
  if (!is_glu) return finish(lower, op, "add", IN(ADD), &spec, operands, 3);
  const char *activation = ir_op_string(op, "activation", lower->model->session);
  if (!read_activation(lower, hone_slice(activation ? activation : ""), &spec.activation))
    return false;
  return finish(lower, op, "glu", IN(GLU), &spec, operands, 3);
}

bool hone_lower_op(hone_lower_t *lower, MlirOperation op) {
  switch (ir_op_kind(op)) {
    case IR_OP_EMBED: return lower_embed(lower, op);
    case IR_OP_NORM: return lower_norm(lower, op);
    case IR_OP_QUANTIZE: return lower_quantize(lower, op);
    case IR_OP_LINEAR: return lower_linear(lower, op);
    case IR_OP_ATTEND_PACKED: return lower_attend_packed(lower, op);
    case IR_OP_GLU: return lower_binary(lower, op, true);
    case IR_OP_ADD: return lower_binary(lower, op, false);
    case IR_OP_ROPE:
    case IR_OP_ATTEND:
      return hone_fail(lower->status, HONE_UNSUPPORTED,
                       "only packed attention has kernels: run the pass fuse (it needs q, k and v "
                       "to be linears of one input, with weights of one format)");
    default: return hone_fail(lower->status, HONE_UNSUPPORTED, "this op has no kernel family");
  }
}
