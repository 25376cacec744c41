// Fuses ops so that fewer, larger kernels run: q/k/v into one linear, which rotates and caches
// heads, and one packed attention, gate and up into one linear with a gated epilogue, residual adds
// into the linear before them, norms, gated linears and attention with the quantization after them.
// Needs: formats chosen (quantize, quantize-acts): only weights of one format merge. Changes: ops,
// recipes (merged ones replace their parts). Keeps: the value of every block up to the rounding of
// one addition.
#include <string.h>

#include "ir/simplify.h"
#include "passes/pass_internal.h"

typedef struct fuse {
  ir_model_t *model;
  const char *block;  // name, for messages
  hone_status_t *status;
} fuse_t;

// ---- merged recipes

// A linear whose inputs and weight can be merged with others': one source, no residual, no
// epilogue.
typedef struct part {
  MlirOperation linear;
  ir_recipe_t weight, bias;
  bool has_bias;
} part_t;

static bool read_part(fuse_t *f, ir_value_t value, part_t *part) {
  MlirOperation op = hone_value_owner(value);
  if (ir_op_kind(op) != IR_OP_LINEAR || hone_value_uses(value) != 1) return false;
  if (!ir_value_is_null(ir_op_operand(op, 3))) return false;
  if (ir_op_epilogue(op, f->model->session) != IR_EPILOGUE_NONE) return false;
  *part = (part_t){.linear = op, .has_bias = !ir_value_is_null(ir_op_operand(op, 2))};
  hone_status_t ignored = {0};
  const char *weight = ir_value_recipe(ir_op_operand(op, 1), f->model->session);
  if (!weight || !ir_recipe_get(f->model, weight, &part->weight, &ignored)) return false;
  if (!part->has_bias) return part->weight.combine == IR_SINGLE;
  const char *bias = ir_value_recipe(ir_op_operand(op, 2), f->model->session);
  return part->weight.combine == IR_SINGLE && bias &&
         ir_recipe_get(f->model, bias, &part->bias, &ignored) && part->bias.combine == IR_SINGLE;
}

static bool same_gain(const ir_recipe_t *a, const ir_recipe_t *b) {
  return a->gain && b->gain ? !strcmp(a->gain, b->gain) : a->gain == b->gain;
}

// Same input; weights of one K, gain, rotation and format; biases, where both have one, of one
// format.
static bool parts_match(const part_t *a, const part_t *b) {
  bool biases = !a->has_bias || !b->has_bias || hone_format_equal(a->bias.format, b->bias.format);
  return mlirValueEqual(ir_op_operand(a->linear, 0), ir_op_operand(b->linear, 0)) &&
         a->weight.K == b->weight.K && hone_format_equal(a->weight.format, b->weight.format) &&
         a->weight.rotate == b->weight.rotate && same_gain(&a->weight, &b->weight) && biases;
}

static bool same_recipe(const ir_recipe_t *a, const ir_recipe_t *b) {
  bool same = a->combine == b->combine && a->source_count == b->source_count && a->N == b->N &&
              a->K == b->K && a->rotate == b->rotate && same_gain(a, b) &&
              hone_format_equal(a->format, b->format);
  for (size_t i = 0; same && i < a->source_count; i++) same = !strcmp(a->sources[i], b->sources[i]);
  return same;
}

// The name of a recipe that merges `recipes`: "layers.0.attention.q" and "qkv" give
// "layers.0.attention.qkv", or "...qkv.2" if another recipe has that name. Blocks that share their
// parts share the merged recipe too.
static const char *merge_recipes(fuse_t *f, const ir_recipe_t *const *recipes, size_t count,
                                 ir_combine_t combine, const char *last) {
  ir_recipe_t merged = *recipes[0], taken;
  merged.combine = combine;
  merged.source_count = count;
  for (size_t i = 1; i < count; i++) {
    merged.sources[i] = recipes[i]->sources[0];
    merged.N += recipes[i]->N;
  }
  hone_arena_t *arena = ir_session_arena(f->model->session);
  const char *dot = strrchr(merged.name, '.');
  size_t stem = dot ? (size_t)(dot - merged.name) + 1 : 0;
  const char *base = hone_arena_format(arena, "%.*s%s", (int)stem, merged.name, last);
  merged.name = base;
  for (int i = 2;; i++) {
    hone_status_t absent = {0};
    if (!ir_recipe_get(f->model, merged.name, &taken, &absent)) break;
    if (same_recipe(&taken, &merged)) return merged.name;
    merged.name = hone_arena_format(arena, "%s.%d", base, i);
  }
  ir_recipe_add(f->model, &merged);
  return merged.name;
}

// linear(x, Wa), linear(x, Wb), ...  ->  linear(x, [Wa; Wb; ...]), emitted into the rewrite.
static ir_value_t merge_parts(fuse_t *f, hone_rewrite_t *rewrite, const part_t *parts, size_t count,
                              ir_combine_t combine, const char *last, ir_epilogue_t epilogue) {
  const ir_recipe_t *weights[IR_SOURCE_LIMIT], *biases[IR_SOURCE_LIMIT];
  for (size_t i = 0; i < count; i++) {
    weights[i] = &parts[i].weight;
    biases[i] = &parts[i].bias;
  }
  ir_builder_t *b = &rewrite->builder;
  const char *name = merge_recipes(f, weights, count, combine, last);
  ir_value_t x = ir_op_operand(parts[0].linear, 0), bias = {0}, none = {0};
  ir_value_t weight = ir_weight(b, f->model, name);
  if (parts[0].has_bias) {
    const char *bias_last = hone_arena_format(ir_session_arena(f->model->session), "%s_bias", last);
    const char *bias_name = merge_recipes(f, biases, count, combine, bias_last);
    bias = ir_weight(b, f->model, bias_name);
  }
  return ir_linear(b, x, weight, bias, none, epilogue);
}

// ---- the rules; each looks at one op, and rewrites it if it fits; false means failed

// rope of a linear, or the linear itself
static ir_value_t behind_rope(ir_value_t value, MlirOperation *out_rope) {
  MlirOperation op = hone_value_owner(value);
  *out_rope = (MlirOperation){0};
  if (ir_op_kind(op) != IR_OP_ROPE || hone_value_uses(value) != 1) return value;
  *out_rope = op;
  return ir_op_operand(op, 0);
}

static bool same_rope(MlirOperation a, MlirOperation b) {
  static const char *const names[] = {"frequencies", "scale", "head_dim"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    MlirStringRef name = mlirStringRefCreateFromCString(names[i]);
    if (!mlirAttributeEqual(mlirOperationGetAttributeByName(a, name),
                            mlirOperationGetAttributeByName(b, name)))
      return false;
  }
  return true;
}

// The attention that one packed op does: q and k turned by the same rope, of the attention's heads.
static bool match_rope(fuse_t *f, MlirOperation attend, MlirOperation q_rope, MlirOperation k_rope,
                       ir_attention_t *out_attention) {
  if (mlirOperationIsNull(q_rope) || mlirOperationIsNull(k_rope) || !same_rope(q_rope, k_rope))
    return false;
  if (!ir_op_attention(attend, f->model->session, out_attention)) return false;
  out_attention->frequencies = ir_op_frequencies(q_rope, f->model->session);
  out_attention->rope_scale = ir_op_float(q_rope, "scale", 1);
  return out_attention->frequencies && ir_op_int(q_rope, "head_dim", 0) == out_attention->head_dim;
}

// attend(rope(x Wq), rope(x Wk), x Wv)  ->  attend_packed(x [Wq; Wk; Wv])
// The linear turns and caches its heads itself where tiles of its rows do not cut them.
// Attention that does not match stays as it is; lowering says then what packed attention needs.
static bool fuse_attention(fuse_t *f, MlirOperation attend) {
  part_t parts[3];
  MlirOperation q_rope, k_rope;
  ir_attention_t attention;
  ir_value_t q = behind_rope(ir_op_operand(attend, 0), &q_rope);
  ir_value_t k = behind_rope(ir_op_operand(attend, 1), &k_rope), v = ir_op_operand(attend, 2);
  if (!match_rope(f, attend, q_rope, k_rope, &attention)) return true;
  if (!read_part(f, q, &parts[0]) || !read_part(f, k, &parts[1]) || !read_part(f, v, &parts[2]))
    return true;
  if (!parts_match(&parts[0], &parts[1]) || !parts_match(&parts[0], &parts[2])) return true;
  if (parts[0].has_bias != parts[1].has_bias || parts[0].has_bias != parts[2].has_bias)
    return hone_fail(
        f->status, HONE_UNSUPPORTED,
        "@%s: some of q, k and v have a bias and some have none; give all or none a bias",
        f->block);
  hone_rewrite_t rewrite;
  hone_rewrite_begin(&rewrite, f->model, attend, f->status);
  ir_epilogue_t epilogue =
      attention.head_dim % HONE_TILE_ROWS ? IR_EPILOGUE_NONE : IR_EPILOGUE_ROPE_KV;
  ir_value_t qkv = merge_parts(f, &rewrite, parts, 3, IR_CONCAT, "qkv", epilogue);
  ir_value_t fused = ir_attend_packed(&rewrite.builder, qkv, &attention);
  if (!hone_rewrite_end(&rewrite)) return false;
  hone_op_replace(attend, fused);
  return true;
}

// glu(x Wg, x Wu)  ->  glu-epilogue(x W), W's rows alternating between Wg and Wu
static bool fuse_glu(fuse_t *f, MlirOperation glu) {
  part_t parts[2];
  if (!read_part(f, ir_op_operand(glu, 0), &parts[0]) ||
      !read_part(f, ir_op_operand(glu, 1), &parts[1]))
    return true;
  if (!parts_match(&parts[0], &parts[1]) || parts[0].weight.N != parts[1].weight.N) return true;
  if (parts[0].has_bias != parts[1].has_bias) return true;
  ir_epilogue_t epilogue = ir_op_epilogue(glu, f->model->session);
  hone_rewrite_t rewrite;
  hone_rewrite_begin(&rewrite, f->model, glu, f->status);
  ir_value_t fused = merge_parts(f, &rewrite, parts, 2, IR_INTERLEAVE, "gate_up", epilogue);
  if (!hone_rewrite_end(&rewrite)) return false;
  hone_op_replace(glu, fused);
  return true;
}

// A linear that can take `other` as its residual.
static bool takes_residual(ir_value_t value) {
  MlirOperation op = hone_value_owner(value);
  return ir_op_kind(op) == IR_OP_LINEAR && hone_value_uses(value) == 1 &&
         ir_value_is_null(ir_op_operand(op, 3));
}

// add(r, x W) or add(x W, r)  ->  linear(x, W, residual r)
static bool fuse_residual(fuse_t *f, MlirOperation add) {
  ir_value_t a = ir_op_operand(add, 0), c = ir_op_operand(add, 1);
  ir_value_t sum = takes_residual(c) ? c : a, residual = takes_residual(c) ? a : c;
  if (!takes_residual(sum)) return true;
  MlirOperation linear = hone_value_owner(sum);
  ir_epilogue_t epilogue = ir_op_epilogue(linear, f->model->session);
  hone_rewrite_t rewrite;
  hone_rewrite_begin(&rewrite, f->model, add, f->status);
  ir_value_t x = ir_op_operand(linear, 0), weight = ir_op_operand(linear, 1),
             bias = ir_op_operand(linear, 2);
  ir_value_t fused = ir_linear(&rewrite.builder, x, weight, bias, residual, epilogue);
  if (!hone_rewrite_end(&rewrite)) return false;
  hone_op_replace(add, fused);
  return true;
}

// Whether an op can write quantized rows by itself: a norm, or, to q8, a linear that gates and
// attention on heads of whole groups.
static bool can_quantize(fuse_t *f, MlirOperation op, MlirOperation quantize) {
  hone_format_t format;
  int64_t M, K, rotate = ir_op_int(quantize, "rotate", 0);
  if (ir_op_kind(op) == IR_OP_NORM) return true;
  if (!ir_value_shape(mlirOperationGetResult(quantize, 0), &format, &M, &K)) return false;
  if (format.storage != HONE_Q8) return false;
  if (ir_op_kind(op) == IR_OP_ATTEND_PACKED)
    return !rotate && ir_op_int(op, "head_dim", 0) % HONE_GROUP == 0;
  // A group of columns is one unit of work, which cannot rotate more than that.
  return ir_op_kind(op) == IR_OP_LINEAR && ir_value_is_null(ir_op_operand(op, 3)) &&
         ir_epilogue_is_gated(ir_op_epilogue(op, f->model->session)) && rotate <= HONE_GROUP;
}

// quantize(norm(x, g))  ->  norm(x, g) with a quantized result, if nobody reads the f32 one;
// quantize(linear(x, W) gated)  ->  the same; quantize(attend_packed(qkv))  ->  the same
static bool fuse_quantize(fuse_t *f, MlirOperation quantize) {
  ir_value_t value = ir_op_operand(quantize, 0);
  MlirOperation op = hone_value_owner(value);
  if (hone_value_uses(value) != 1 || !can_quantize(f, op, quantize)) return true;
  int64_t rotate = ir_op_int(quantize, "rotate", 0);
  mlirValueSetType(value, mlirValueGetType(mlirOperationGetResult(quantize, 0)));
  if (rotate) hone_op_set_int(op, "rotate", rotate);
  hone_op_replace(quantize, value);
  return true;
}

static bool apply_rules(fuse_t *f, MlirOperation op) {
  switch (ir_op_kind(op)) {
    case IR_OP_ATTEND: return fuse_attention(f, op);
    case IR_OP_GLU: return fuse_glu(f, op);
    case IR_OP_ADD: return fuse_residual(f, op);
    case IR_OP_QUANTIZE: return fuse_quantize(f, op);
    default: return true;
  }
}

bool hone_pass_fuse(ir_model_t *model, const char *options, hone_status_t *status) {
  (void)options;
  for (size_t i = 0; i < ir_block_count(model); i++) {
    ir_block_t block;
    if (!ir_block_at(model, i, &block)) continue;
    fuse_t f = {.model = model, .block = block.name, .status = status};
    for (MlirOperation op = hone_block_first(&block), next; !mlirOperationIsNull(op); op = next) {
      next = mlirOperationGetNextInBlock(op);  // a rule erases `op` and nothing after it
      if (!apply_rules(&f, op)) return false;
    }
  }
  ir_dce(model);
  ir_recipes_prune(model);
  return true;
}
