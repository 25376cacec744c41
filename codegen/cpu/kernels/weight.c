// Packed weights (layouts: base/artefact.h) as vectors in registers. It knows formats, not what is
// done with them.
#include "codegen/cpu/kernels/kernels.h"
#include "base/packed.h"
#include "quant/grid.h"

weight_layout_t weight_layout(const hone_kernel_spec_t *spec) {
  int64_t Np = (int64_t)hone_padded(spec->N), Kp = (int64_t)hone_padded(spec->K);
  weight_layout_t layout = {
      .storage = spec->weight.storage, .groups = Kp / HONE_GROUP, .tiles = Np / HONE_TILE_ROWS};
  layout.tile_bytes = (int64_t)hone_packed_tile_code_bytes(spec->weight, spec->K);
  layout.group_bytes = layout.tile_bytes / layout.groups;
  switch (spec->weight.storage) {
    case HONE_F32: layout.row_bytes = 16 * 4; break;
    case HONE_F16:
    case HONE_BF16: layout.row_bytes = 16 * 2; break;
    case HONE_NF4: layout.row_bytes = HONE_GROUP / 2; break;
    default: layout.row_bytes = HONE_GROUP; break;
  }
  layout.scaled = hone_format_is_quantized(spec->weight.storage);
  layout.scale_offset = (int64_t)hone_packed_scale_offset(spec->weight, spec->N, spec->K);
  layout.scale_tile_bytes = layout.groups * HONE_TILE_ROWS * 2;
  return layout;
}

weight_tables_t weight_tables_real(kernel_t *k, hone_storage_t storage) {
  weight_tables_t tables = {0};
  if (storage != HONE_NF4) return tables;
  tables.low = ir_floats(k->b, (size_t)k->lanes, hone_grid_get(storage)->level);
  if (k->lanes < 16) tables.high = ir_floats(k->b, (size_t)k->lanes, hone_grid_get(storage)->level + k->lanes);
  return tables;
}

// With vpdpbusd weights are the unsigned factor, so the table is shifted by 128 (q8 codes: by
// flipping their sign bit).
weight_tables_t weight_tables_code(kernel_t *k, hone_storage_t storage) {
  weight_tables_t tables = {0};
  if (storage == HONE_NF4) {
    int8_t bytes[64];
    for (int i = 0; i < 64; i++) {
      float value = hone_grid_get(storage)->level[i % 16] * 127.0f;
      int code = (int)(value < 0 ? value - 0.5f : value + 0.5f);
      bytes[i] = (int8_t)(uint8_t)(k->isa->vnni ? code + 128 : code);
    }
    tables.codes = ir_bytes(k->b, k->isa->bytes, bytes);
  }
  tables.nibble = ir_int(k->b, ir_vector(k->b, IR_I8, k->isa->bytes), 15);
  return tables;
}

weight_tables_t weight_tables_scale(kernel_t *k, const weight_tables_t *tables, ir_value_t scale) {
  weight_tables_t scaled = *tables;
  if (tables->low.ptr) scaled.low = ir_op(k->b, mulf, tables->low, scale);
  if (tables->high.ptr) scaled.high = ir_op(k->b, mulf, tables->high, scale);
  return scaled;
}

// 16 entries by index; the index's upper bits are ignored.
static ir_value_t look_up(kernel_t *k, const weight_tables_t *tables, ir_value_t index) {
  ir_builder_t *b = k->b;
  if (k->lanes == 16)
    return ir_intrinsic(b, "llvm.x86.avx512.permvar.sf.512", k->reals, tables->low, index);
  ir_value_t low = ir_intrinsic(b, "llvm.x86.avx2.permps", k->reals, tables->low, index);
  ir_value_t high = ir_intrinsic(b, "llvm.x86.avx2.permps", k->reals, tables->high, index);
  ir_value_t places = ir_int(b, k->words, 28);
  ir_value_t sign = ir_op(b, shli, index, places);  // bit 3 of the index as the sign
  ir_value_t nothing = ir_int(b, k->words, 0);
  ir_value_t upper = ir_op(b, slt, sign, nothing);
  return ir_op(b, select, upper, high, low);
}

static ir_value_t nf4_reals(kernel_t *k, const weight_tables_t *tables, ir_value_t row,
                            int vector) {
  ir_builder_t *b = k->b;
  int first =
      vector *
      k->lanes;  // elements 0..31 are the low nibbles of bytes 0..31, the others the high ones
  ir_value_t at = ir_advance(b, row, first % 32);
  ir_value_t bytes = ir_load(b, ir_vector(b, IR_I8, k->lanes), at, 0);
  ir_value_t index = ir_cast(b, extui, k->words, bytes);
  if (first >= 32) {
    ir_value_t places = ir_int(b, k->words, 4);
    index = ir_op(b, shrui, index, places);
  }
  return look_up(k, tables, index);
}

// Byte offset of element `first` of a group row for plain floats: 16-element blocks, four lanes of
// a tile each.
static int64_t plain_offset(int first, int64_t bytes) {
  return (int64_t)(first / 16 * 16 * HONE_TILE_ROWS + first % 16) * bytes;
}

ir_value_t weight_reals(kernel_t *k, const weight_layout_t *layout, const weight_tables_t *tables,
                        ir_value_t row, int vector, ir_value_t scale) {
  ir_builder_t *b = k->b;
  int first = vector * k->lanes;
  switch (layout->storage) {
    case HONE_F32: {
      ir_value_t at = ir_advance(b, row, plain_offset(first, 4));
      return ir_load(b, k->reals, at, 0);
    }
    case HONE_F16: {
      ir_value_t at = ir_advance(b, row, plain_offset(first, 2));
      ir_value_t halves = ir_load(b, ir_vector(b, IR_F16, k->lanes), at, 0);
      return math_half(k, halves);
    }
    case HONE_BF16: {
      ir_value_t at = ir_advance(b, row, plain_offset(first, 2));
      ir_value_t shorts = ir_load(b, ir_vector(b, IR_I16, k->lanes), at, 0);
      return math_bfloat(k, shorts);
    }
    case HONE_Q8: {
      ir_value_t at = ir_advance(b, row, first);
      ir_value_t codes = ir_load(b, ir_vector(b, IR_I8, k->lanes), at, 0);
      ir_value_t words = ir_cast(b, extsi, k->words, codes);
      ir_value_t reals = ir_cast(b, sitofp, k->reals, words);
      return ir_op(b, mulf, reals, scale);
    }
    case HONE_NF4: return nf4_reals(k, tables, row, vector);
    default:
      ir_reject(b, "weight storage %d has no loader", (int)layout->storage);
      return (ir_value_t){0};
  }
}

ir_value_t weight_scales(kernel_t *k, ir_value_t pointer) {
  ir_value_t halves = ir_load(k->b, ir_vector(k->b, IR_F16, HONE_TILE_ROWS), pointer, 2);
  return math_half(k, halves);
}
