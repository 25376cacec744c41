// embed: rows of a packed (V, K) weight, as f32, by token id.
#include "codegen/cpu/kernels/kernels.h"

void emit_embed(kernel_t *k) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  weight_layout_t layout = weight_layout(spec);
  weight_tables_t tables = weight_tables_real(k, spec->weight.storage);
  ir_value_t ids = kernel_pointer(k, 0), weight = kernel_pointer(k, 1), out = kernel_pointer(k, 2);
  ir_value_t plane = ir_advance(b, weight, layout.scaled ? layout.scale_offset : 0);
  ir_value_t groups = ir_i64(b, layout.groups), rows = ir_i64(b, HONE_TILE_ROWS);
  IR_FOR (b, m, k->begin, k->end, k->one) {
    ir_value_t id_at = kernel_at(k, ids, m, 4);
    ir_value_t id = ir_load(b, k->i32, id_at, 0);
    ir_value_t n = ir_cast(b, extui, k->i64, id);
    ir_value_t tile = ir_op(b, divui, n, rows);
    ir_value_t lane = ir_op(b, remui, n, rows);
    ir_value_t tile_codes = kernel_at(k, weight, tile, layout.tile_bytes);
    ir_value_t codes = kernel_at(k, tile_codes, lane, layout.row_bytes);
    ir_value_t tile_scales = kernel_at(k, plane, tile, layout.scale_tile_bytes);
    ir_value_t scales = kernel_at(k, tile_scales, lane, 2);
    ir_value_t to = kernel_at(k, out, m, (int64_t)hone_row_bytes(HONE_F32, spec->K));
    IR_FOR (b, g, k->zero, groups, k->one) {
      ir_value_t row = kernel_at(k, codes, g, layout.group_bytes), scale = {0};
      if (layout.scaled) {
        ir_value_t at = kernel_at(k, scales, g, HONE_TILE_ROWS * 2);
        ir_value_t half = ir_load(b, ir_type(b, IR_F16), at, 0);
        ir_value_t single = ir_cast(b, broadcast, ir_vector(b, IR_F16, k->lanes), half);
        scale = math_half(k, single);
      }
      weight_tables_t scaled = weight_tables_scale(k, &tables, scale);
      ir_value_t group_out = kernel_at(k, to, g, HONE_GROUP * 4);
      for (int v = 0; v < HONE_GROUP / k->lanes; v++) {
        ir_value_t reals = weight_reals(k, &layout, &scaled, row, v, scale);
        ir_value_t at = ir_advance(b, group_out, (int64_t)v * k->lanes * 4);
        ir_store(b, reals, at, 0);
      }
    }
  }
}
