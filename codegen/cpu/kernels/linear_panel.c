// Weights of a group in registers, decoded from their codes or read from a panel that was decoded
// before: gemm decodes once for many tokens.
#include "codegen/cpu/kernels/linear.h"

static bool is_real(const linear_t *l) { return l->k->spec->input == HONE_F32; }

static int items(const linear_t *l) { return is_real(l) ? HONE_GROUP : QUADS; }

static ir_type_t item_type(const linear_t *l) {
  kernel_t *k = l->k;
  return is_real(l) ? k->reals : ir_vector(k->b, IR_I8, k->isa->bytes);
}

static int64_t place_of(const linear_t *l, int v, int plane, int index) {
  return (int64_t)((v * l->weight.planes + plane) * items(l) + index) * l->k->isa->bytes;
}

int64_t linear_panel_bytes(const linear_t *l) { return place_of(l, l->vectors, 0, 0); }

static ir_value_t decode(linear_t *l, const linear_group_t *g, int v, int plane, int index) {
  const weight_t *w = &l->weight;
  int row = g->first + v, half = row % w->halves;
  ir_value_t codes = g->place[row / w->halves].codes;
  return is_real(l) ? weight_real(l->k, w, codes, half, plane, index)
                    : weight_quad(l->k, w, codes, half, plane, index);
}

ir_value_t linear_weight(linear_t *l, const linear_group_t *g, int v, int plane, int index) {
  if (!g->panel.ptr) return decode(l, g, v, plane, index);
  ir_value_t at = ir_advance(l->k->b, g->panel, place_of(l, v, plane, index));
  return ir_load(l->k->b, item_type(l), at, l->k->isa->bytes);
}

void linear_decode(linear_t *l, const linear_group_t *g, ir_value_t to) {
  for (int v = 0; v < l->vectors; v++) {
    for (int plane = 0; plane < l->weight.planes; plane++) {
      for (int i = 0; i < items(l); i++) {
        ir_value_t weights = decode(l, g, v, plane, i);
        ir_value_t at = ir_advance(l->k->b, to, place_of(l, v, plane, i));
        ir_store(l->k->b, weights, at, l->k->isa->bytes);
      }
    }
  }
}
