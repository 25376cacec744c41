// The one entry to the kernel families: checks a specification, opens the function and calls the
// family. The families themselves are in kernels/.
#include "codegen/cpu/kernel_emit.h"

#include <math.h>

#include "codegen/cpu/kernels/attend.h"
#include "codegen/cpu/linear_block.h"

enum {
  DIMENSION_LIMIT = 1 << 24,
  PREFILL_TOKENS_LIMIT = 64,
  ROWS_LIMIT = 64,
  SPLIT_LIMIT = 64,
};

// ---- checks
static const char *storage_name(hone_storage_t storage) {
  const hone_format_info_t *info = hone_format_info(storage);
  return info ? info->name : "unknown";
}

static bool refuse(const hone_kernel_spec_t *spec, const char *what, hone_status_t *status) {
  return hone_fail(status, HONE_UNSUPPORTED, "no cpu kernel %s for %s",
                   hone_family_name(spec->family), what);
}

static bool check_dimension(const hone_kernel_spec_t *spec, const char *name, uint32_t value,
                            hone_status_t *status) {
  if (value >= 1 && value <= DIMENSION_LIMIT) return true;
  return hone_fail(status, HONE_UNSUPPORTED, "no cpu kernel %s for %s = %u: it must be in 1..%d",
                   hone_family_name(spec->family), name, value, DIMENSION_LIMIT);
}

static bool check_weight(const hone_kernel_spec_t *spec, hone_status_t *status) {
  if (!check_dimension(spec, "N", spec->N, status)) return false;
  if (!hone_format_group_known(spec->weight)) return refuse(spec, "this weight format", status);
  return true;
}

// Pads of a b1 row would count as signs.
static bool check_signs(const hone_kernel_spec_t *spec, hone_storage_t rows,
                        hone_status_t *status) {
  if (rows != HONE_B1 || spec->K % HONE_GROUP == 0) return true;
  return refuse(spec, "b1 rows of columns that are no multiple of 64", status);
}

static bool check_output(const hone_kernel_spec_t *spec, hone_status_t *status) {
  bool is_code = spec->output == HONE_Q8 || spec->output == HONE_B1;
  if (!is_code && (spec->output != HONE_F32 || spec->family == HONE_FAMILY_QUANTIZE))
    return refuse(spec, "this output format", status);
  return check_signs(spec, spec->output, status);
}

static bool check_heads(const hone_kernel_spec_t *spec, hone_status_t *status) {
  if (!check_dimension(spec, "heads", spec->heads, status)) return false;
  if (!check_dimension(spec, "kv_heads", spec->kv_heads, status)) return false;
  if (spec->heads % spec->kv_heads != 0)
    return refuse(spec, "heads that kv_heads does not divide", status);
  if (spec->head_dim < 2 || spec->head_dim > HEAD_LIMIT || spec->head_dim % 2 != 0) {
    return hone_fail(status, HONE_UNSUPPORTED,
                     "no cpu kernel %s for head_dim = %u: it must be even and in 2..%d",
                     hone_family_name(spec->family), spec->head_dim, HEAD_LIMIT);
  }
  // The whole row is addressed with 64-bit arithmetic, but a layout that large is a broken model.
  if (((uint64_t)spec->heads + 2 * (uint64_t)spec->kv_heads) * spec->head_dim > DIMENSION_LIMIT) {
    return refuse(spec, "a qkv row that wide", status);
  }
  if (!hone_cache_item_bytes(spec->cache))
    return refuse(spec, "a cache that is not f32, f16 or q8", status);
  return true;
}

// Units are whole heads of whole tiles.
static bool check_rope(const hone_kernel_spec_t *spec, hone_status_t *status) {
  if (!spec->rope) return true;
  if (!check_heads(spec, status)) return false;
  if (spec->residual || spec->glu) return refuse(spec, "rope after glu or residual", status);
  if (spec->N != (spec->heads + 2 * spec->kv_heads) * spec->head_dim)
    return refuse(spec, "rope of rows that are not those of q, k and v", status);
  if (spec->head_dim % HONE_TILE_ROWS)
    return refuse(spec, "rope of a head_dim that is no multiple of 16", status);
  return true;
}

// Parts are whole folds, and gemm's panels serve too many rows for that.
static bool check_columns(const hone_kernel_spec_t *spec, hone_status_t *status) {
  uint32_t split = spec->schedule.split;
  if (split <= 1) return true;
  if (spec->family == HONE_FAMILY_GEMM)
    return refuse(spec, "split columns: use gemv or flat", status);
  if (split <= hone_fold_count(spec->K)) return true;
  return hone_fail(status, HONE_UNSUPPORTED,
                   "no cpu kernel %s for split = %u of %u columns: a part has %d at least",
                   hone_family_name(spec->family), split, spec->K, HONE_FOLD * HONE_GROUP);
}

static bool check_linear(const hone_kernel_spec_t *spec, hone_status_t *status) {
  if (!check_weight(spec, status)) return false;
  bool scaled = hone_format_is_quantized(spec->weight.storage);
  bool planes = hone_format_info(spec->weight.storage)->grid == HONE_GRID_PLANES;
  bool has_input = spec->input == HONE_F32 || (spec->input == HONE_Q8 && scaled) ||
                   (spec->input == HONE_B1 && planes);
  if (!has_input) {
    return hone_fail(status, HONE_UNSUPPORTED,
                     "no cpu kernel %s for %s weights with %s activations: use f32%s%s",
                     hone_family_name(spec->family), storage_name(spec->weight.storage),
                     storage_name(spec->input), scaled ? " or q8" : "", planes ? " or b1" : "");
  }
  if (!check_signs(spec, spec->input, status)) return false;
  if (spec->family == HONE_FAMILY_GEMM && spec->input == HONE_B1)
    return refuse(spec, "b1 rows, whose weights need no decoding: use flat", status);
  uint32_t rows = spec->schedule.rows;
  if (rows > ROWS_LIMIT || (rows & (rows - 1)) || (rows && rows < 8))
    return hone_fail(status, HONE_UNSUPPORTED,
                     "no cpu kernel %s for rows = %u: it must be a power of two in 8..%d",
                     hone_family_name(spec->family), rows, (int)ROWS_LIMIT);
  if (spec->output != HONE_F32 && (spec->output != HONE_Q8 || !spec->glu || spec->residual))
    return refuse(spec, "outputs that are quantized, but not to q8 right after glu", status);
  if (spec->rotate > HONE_GROUP) return refuse(spec, "outputs rotated in blocks of 128", status);
  if (spec->glu && spec->N % 2 != 0)
    return refuse(spec, "glu with an odd number of weight rows", status);
  if (spec->glu && spec->activation == HONE_ACTIVATION_NONE)
    return refuse(spec, "glu without activation", status);
  return check_columns(spec, status) && check_rope(spec, status);
}

// A part holds the states of all query heads of a kv head.
static bool check_parts(const hone_kernel_spec_t *spec, hone_status_t *status) {
  uint32_t split = spec->schedule.split;
  if (split <= 1) return true;
  if (split > SPLIT_LIMIT)
    return hone_fail(status, HONE_UNSUPPORTED,
                     "no cpu kernel %s for split = %u: it must be at most %d",
                     hone_family_name(spec->family), split, (int)SPLIT_LIMIT);
  if (spec->heads / spec->kv_heads <= ATTEND_ROWS_LIMIT) return true;
  return hone_fail(
      status, HONE_UNSUPPORTED,
      "no cpu kernel %s for a split of more than %d heads that share one kv head, here "
      "%u: leave split out",
      hone_family_name(spec->family), (int)ATTEND_ROWS_LIMIT, spec->heads / spec->kv_heads);
}

static bool check_attend_output(const hone_kernel_spec_t *spec, hone_status_t *status) {
  if (spec->output == HONE_F32) return true;
  if (spec->output != HONE_Q8) return refuse(spec, "outputs that are neither f32 nor q8", status);
  return spec->head_dim % HONE_GROUP == 0 ||
         refuse(spec, "q8 outputs of heads that are no whole groups of 64", status);
}

// Rotation is of whole blocks, on their way to q8 or b1.
static bool check_rotate(const hone_kernel_spec_t *spec, hone_status_t *status) {
  if (!spec->rotate) return true;
  if (!hone_rotation_known(spec->rotate))
    return refuse(spec, "a rotation that is not of 32, 64 or 128", status);
  bool is_linear = hone_family_is_linear(spec->family);
  if ((is_linear ? spec->N / 2 : spec->K) % spec->rotate)
    return refuse(spec, "a rotation that does not divide K", status);
  bool codes = spec->family == HONE_FAMILY_QUANTIZE ||
               ((is_linear || spec->family == HONE_FAMILY_NORM) && spec->output != HONE_F32);
  return codes || refuse(spec, "a rotation of rows that are not quantized", status);
}

bool hone_cpu_kernel_check(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa,
                           hone_status_t *status) {
  (void)isa;  // the levels differ in speed only
  if (spec->activation >= HONE_ACTIVATION_COUNT) return refuse(spec, "this activation", status);
  if (!check_rotate(spec, status)) return false;
  switch (spec->family) {
    case HONE_FAMILY_GEMV:
    case HONE_FAMILY_FLAT:
    case HONE_FAMILY_GEMM:
      return check_dimension(spec, "K", spec->K, status) && check_linear(spec, status);
    case HONE_FAMILY_EMBED:
      return check_dimension(spec, "K", spec->K, status) && check_weight(spec, status);
    case HONE_FAMILY_NORM:
      if (!check_dimension(spec, "K", spec->K, status)) return false;
      if (!check_output(spec, status)) return false;
      if (!isfinite(spec->epsilon) || spec->epsilon < 0)
        return refuse(spec, "a negative epsilon", status);
      return true;
    case HONE_FAMILY_ATTEND_PREFILL:
      if (spec->schedule.split > 1) return refuse(spec, "split heads: use attend_decode", status);
      if (spec->schedule.tokens < 1 || spec->schedule.tokens > PREFILL_TOKENS_LIMIT) {
        return hone_fail(status, HONE_UNSUPPORTED,
                         "no cpu kernel attend_prefill for tokens = %u: it must be in 1..%d",
                         spec->schedule.tokens, PREFILL_TOKENS_LIMIT);
      }
      return check_heads(spec, status) && check_attend_output(spec, status);
    case HONE_FAMILY_ATTEND_DECODE:
      return check_heads(spec, status) && check_parts(spec, status) &&
             check_attend_output(spec, status);
    case HONE_FAMILY_ROPE_KV: return check_heads(spec, status);
    case HONE_FAMILY_QUANTIZE:
      return check_dimension(spec, "K", spec->K, status) && check_output(spec, status);
    case HONE_FAMILY_GLU:
    case HONE_FAMILY_ADD:
    case HONE_FAMILY_ARGMAX:
    case HONE_FAMILY_SOFTMAX: return check_dimension(spec, "K", spec->K, status);
    default:
      return hone_fail(status, HONE_UNSUPPORTED, "no cpu kernel family %d", (int)spec->family);
  }
}

// ---- emission
static void emit_family(kernel_t *k) {
  switch (k->spec->family) {
    case HONE_FAMILY_EMBED: emit_embed(k); break;
    case HONE_FAMILY_NORM: emit_norm(k); break;
    case HONE_FAMILY_QUANTIZE: emit_quantize(k); break;
    case HONE_FAMILY_GEMV:
    case HONE_FAMILY_FLAT:
    case HONE_FAMILY_GEMM: emit_linear(k); break;
    case HONE_FAMILY_ROPE_KV: emit_rope(k); break;
    case HONE_FAMILY_ATTEND_DECODE:
    case HONE_FAMILY_ATTEND_PREFILL: emit_attend(k); break;
    case HONE_FAMILY_GLU: emit_glu(k); break;
    case HONE_FAMILY_ADD: emit_add(k); break;
    case HONE_FAMILY_ARGMAX: emit_argmax(k); break;
    case HONE_FAMILY_SOFTMAX: emit_softmax(k); break;
    case HONE_FAMILY_COUNT: break;
  }
}

bool hone_cpu_kernel_emit(ir_builder_t *b, const hone_kernel_spec_t *spec,
                          const hone_cpu_isa_t *isa, const char *symbol, hone_status_t *status) {
  if (!hone_cpu_kernel_check(spec, isa, status)) return false;
  kernel_t k = {.b = IR_AT(b),
                .spec = spec,
                .isa = hone_cpu_kernel_level(spec, isa),
                .lanes = (int)isa->lanes};
  k.i8 = ir_type(b, IR_I8);
  k.i32 = ir_type(b, IR_I32);
  k.i64 = ir_type(b, IR_I64);
  k.real = ir_type(b, IR_REAL32);
  k.reals = ir_vector(b, IR_REAL32, isa->lanes);
  k.words = ir_vector(b, IR_I32, isa->lanes);
  ir_type_t types[] = {ir_pointer(b), k.i64, k.i64};
  ir_value_t arguments[3] = {0};
  ir_function_t function = ir_function_begin(b, symbol, types, 3, arguments);
  k.args = arguments[0], k.begin = arguments[1], k.end = arguments[2];
  k.zero = ir_i64(b, 0);
  k.one = ir_i64(b, 1);
  emit_family(&k);
  ir_function_end(b, &function);
  if (!ir_failed(b)) return true;
  // The builder's status may be another one than ours, or the same.
  if (status != b->status && b->status) *status = *b->status;
  return hone_note(status, "while emitting kernel %s", symbol);
}
