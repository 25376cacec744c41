// Names of kernels and how their units are counted. No code generation.
#include "codegen/kernel.h"

#include <string.h>

typedef enum unit_kind { UNIT_tiles, UNIT_rows, UNIT_spans, UNIT_heads } unit_kind_t;

static const struct {
  const char *name;
  unit_kind_t units;
} families[] = {
#define FAMILY(name, ENUM, operands, units, summary) {#name, UNIT_##units},
#include "codegen/families.def"
#undef FAMILY
};

static const char *const activations[] = {
    "none",
#define ACTIVATION(name, ENUM, summary) #name,
#include "ir/activations.def"
#undef ACTIVATION
};

bool hone_activation_find(hone_slice_t name, hone_activation_t *out_activation) {
  for (int i = 1; i < HONE_ACTIVATION_COUNT; i++) {
    if (!hone_slice_is(name, activations[i])) continue;
    *out_activation = (hone_activation_t)i;
    return true;
  }
  return false;
}

const char *hone_family_name(hone_family_t family) {
  return (unsigned)family < HONE_FAMILY_COUNT ? families[family].name : "unknown";
}

static const char *storage_name(hone_storage_t storage) {
  const hone_format_info_t *info = hone_format_info(storage);
  return info ? info->name : "unknown";
}

static void describe_heads(hone_buffer_t *text, const hone_kernel_spec_t *spec) {
  hone_buffer_format(text, ".%s heads=%u kv_heads=%u head_dim=%u", storage_name(spec->cache),
                     spec->heads, spec->kv_heads, spec->head_dim);
  if (spec->family == HONE_FAMILY_ROPE_KV || hone_family_is_linear(spec->family)) return;
  if (spec->window) hone_buffer_format(text, " window=%u", spec->window);
  hone_buffer_format(text, " scale=%.9g", (double)spec->scale);
  if (spec->unified) hone_buffer_text(text, " softmax=unified");
}

static const char *activation_name(uint8_t activation) {
  return activation < HONE_ACTIVATION_COUNT ? activations[activation] : "unknown";
}

static void describe_linear(hone_buffer_t *text, const hone_kernel_spec_t *spec) {
  char weight[24];
  hone_buffer_format(text, ".%s.%s N=%u K=%u", hone_format_text(spec->weight, weight),
                     storage_name(spec->input), spec->N, spec->K);
  if (spec->bias) hone_buffer_text(text, " bias");
  if (spec->glu) hone_buffer_format(text, " glu=%s", activation_name(spec->activation));
  if (spec->residual) hone_buffer_text(text, " residual");
}

static void describe_embed(hone_buffer_t *text, const hone_kernel_spec_t *spec) {
  char weight[24];
  hone_buffer_format(text, ".%s N=%u K=%u", hone_format_text(spec->weight, weight), spec->N,
                     spec->K);
}

bool hone_family_is_linear(hone_family_t family) {
  return family == HONE_FAMILY_GEMV || family == HONE_FAMILY_FLAT || family == HONE_FAMILY_GEMM;
}

bool hone_family_is_attention(hone_family_t family) {
  return family == HONE_FAMILY_ATTEND_DECODE || family == HONE_FAMILY_ATTEND_PREFILL;
}

static const char *problem_family(hone_family_t family) {
  if (hone_family_is_linear(family)) return "linear";
  return hone_family_is_attention(family) ? "attend" : hone_family_name(family);
}

static void describe(hone_buffer_t *text, const hone_kernel_spec_t *spec) {
  switch (spec->family) {
    case HONE_FAMILY_GEMV:
    case HONE_FAMILY_FLAT:
    case HONE_FAMILY_GEMM: describe_linear(text, spec); break;
    case HONE_FAMILY_EMBED: describe_embed(text, spec); break;
    case HONE_FAMILY_NORM:
      hone_buffer_format(text, ".%s K=%u epsilon=%.9g%s", storage_name(spec->output), spec->K,
                         (double)spec->epsilon, spec->gain ? "" : " no-gain");
      break;
    case HONE_FAMILY_ROPE_KV:
    case HONE_FAMILY_ATTEND_DECODE:
    case HONE_FAMILY_ATTEND_PREFILL: describe_heads(text, spec); break;
    case HONE_FAMILY_GLU:
      hone_buffer_format(text, " K=%u %s", spec->K, activation_name(spec->activation));
      break;
    case HONE_FAMILY_QUANTIZE:
      hone_buffer_format(text, ".%s K=%u", storage_name(spec->output), spec->K);
      break;
    default: hone_buffer_format(text, " K=%u", spec->K); break;
  }
  if (spec->rotate && !hone_family_is_linear(spec->family))
    hone_buffer_format(text, " rotate=%u", spec->rotate);
}

const char *hone_kernel_problem_name(const hone_kernel_spec_t *spec, hone_arena_t *arena) {
  hone_buffer_t text = {0};
  hone_buffer_text(&text, problem_family(spec->family));
  describe(&text, spec);
  char *name = hone_arena_strdup(arena, hone_buffer_cstr(&text));
  hone_buffer_deinit(&text);
  return name;
}

const char *hone_kernel_spec_name(const hone_kernel_spec_t *spec, hone_arena_t *arena) {
  hone_buffer_t text = {0};
  hone_buffer_text(&text, hone_family_name(spec->family));
  describe(&text, spec);
  bool is_chosen = hone_family_is_linear(spec->family) || hone_family_is_attention(spec->family);
  if (is_chosen && spec->output == HONE_Q8) hone_buffer_text(&text, " to=q8");
  if (hone_family_is_linear(spec->family) && spec->rotate)
    hone_buffer_format(&text, " rotate=%u", spec->rotate);
  if (hone_family_is_linear(spec->family) && spec->rope) {
    hone_buffer_text(&text, " rope");
    describe_heads(&text, spec);
  }
  hone_schedule_write(&spec->schedule, &text);
  char *name = hone_arena_strdup(arena, hone_buffer_cstr(&text));
  hone_buffer_deinit(&text);
  return name;
}

uint32_t hone_kernel_spec_span(const hone_kernel_spec_t *spec) {
  return spec->rotate > HONE_GROUP ? spec->rotate : HONE_GROUP;
}

uint32_t hone_kernel_spec_rows(const hone_kernel_spec_t *spec) {
  if (spec->output == HONE_Q8) return 2 * HONE_GROUP;  // gates and ups
  uint32_t block = spec->schedule.rows > HONE_TILE_ROWS ? spec->schedule.rows : HONE_TILE_ROWS;
  uint32_t rows = block;
  while (spec->rope && rows % spec->head_dim) rows += block;
  return rows;
}

void hone_kernel_spec_units(const hone_kernel_spec_t *spec, uint32_t *out_unit_count,
                            uint32_t *out_unit_rows) {
  *out_unit_count = 1;
  *out_unit_rows = 1;
  if ((unsigned)spec->family >= HONE_FAMILY_COUNT) return;
  switch (families[spec->family].units) {
    case UNIT_rows: break;
    case UNIT_tiles:
      *out_unit_rows = hone_kernel_spec_rows(spec);
      *out_unit_count = (uint32_t)((hone_padded(spec->N) + *out_unit_rows - 1) / *out_unit_rows);
      if (spec->schedule.split > 1) *out_unit_count *= spec->schedule.split;
      *out_unit_rows = 0;
      break;
    case UNIT_spans:  // the one scale of a b1 row wants all of it
      if (spec->output != HONE_B1)
        *out_unit_count = (uint32_t)(hone_padded(spec->K) / hone_kernel_spec_span(spec));
      break;
    case UNIT_heads:
      *out_unit_count = spec->kv_heads * (spec->schedule.split > 1 ? spec->schedule.split : 1);
      if (spec->family == HONE_FAMILY_ATTEND_PREFILL && spec->schedule.tokens)
        *out_unit_rows = spec->schedule.tokens;
      break;
  }
}
