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

static ir_value_t panel_step(linear_t *l, ir_value_t panel, ir_value_t step) {
  return kernel_at(l->k, panel, step, (int64_t)items(l) / STEPS * l->k->isa->bytes);
}

static int tile_of(const linear_t *l, const linear_group_t *g, int v) {
  return (g->first + v) / l->weight.halves;
}

linear_group_t linear_step(linear_t *l, const linear_group_t *g, ir_value_t step) {
  kernel_t *k = l->k;
  linear_group_t next = *g;
  next.x = kernel_at(k, g->x, step, STEP_COLUMNS * (is_real(l) ? 4 : 1));
  if (g->panel.ptr) {
    next.panel = panel_step(l, g->panel, step);
  } else {
    for (int i = tile_of(l, g, 0); i <= tile_of(l, g, l->vectors - 1); i++)
      next.place[i] = weight_step(k, &l->weight, &g->place[i], step);
  }
  return next;
}

void linear_steps(linear_t *l, const linear_group_t *g, int first, int count, int plane,
                  linear_step_fn *body, ir_value_t *values, size_t value_count) {
  ir_builder_t *b = l->k->b;
  if (count == 1 || l->k->spec->family == HONE_FAMILY_GEMV) {
    for (int i = first; i < first + count; i++) {
      ir_value_t index = ir_i64(b, i);
      linear_group_t at = linear_step(l, g, index);
      body(l, &at, plane, values);
    }
    return;
  }
  ir_value_t low = ir_i64(b, first), high = ir_i64(b, first + count);
  IR_FOR_CARRY (b, index, low, high, l->k->one, values, value_count) {
    linear_group_t at = linear_step(l, g, index);
    body(l, &at, plane, values);
  }
}

static ir_value_t decode(linear_t *l, const linear_group_t *step, int v, int plane, int index) {
  const weight_t *w = &l->weight;
  const weight_place_t *place = &step->place[tile_of(l, step, v)];
  int half = (step->first + v) % w->halves;
  return is_real(l) ? weight_real(l->k, w, place, half, plane, index)
                    : weight_quad(l->k, w, place, half, plane, index);
}

ir_value_t linear_weight(linear_t *l, const linear_group_t *step, int v, int plane, int index) {
  if (!step->panel.ptr) return decode(l, step, v, plane, index);
  ir_value_t at = ir_advance(l->k->b, step->panel, place_of(l, v, plane, index));
  return ir_load(l->k->b, item_type(l), at, l->k->isa->bytes);
}

void linear_decode(linear_t *l, const linear_group_t *g, ir_value_t to) {
  ir_builder_t *b = l->k->b;
  ir_value_t steps = ir_i64(b, STEPS);
  IR_FOR (b, index, l->k->zero, steps, l->k->one) {
    linear_group_t step = linear_step(l, g, index);
    ir_value_t panel = panel_step(l, to, index);
    for (int i = 0; i < l->vectors * l->weight.planes * items(l) / STEPS; i++) {
      int item = i % (items(l) / STEPS), plane = i / (items(l) / STEPS) % l->weight.planes;
      int v = i / (items(l) / STEPS) / l->weight.planes;
      ir_value_t weights = decode(l, &step, v, plane, item);
      ir_value_t at = ir_advance(b, panel, place_of(l, v, plane, item));
      ir_store(b, weights, at, l->k->isa->bytes);
    }
  }
}
