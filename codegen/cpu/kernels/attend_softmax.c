// Scores of one step to weights. Keys that a row may not see get weight exactly 0, so that a step
// without any leaves it as it was. Two forms:
//   running  exp(score - largest score so far of the chunk); what was summed shrinks as that grows.
//   unified  exp(score), after FlashDecoding++ (Hong et al., 2024, section 3): the constant 0
//            replaces the largest score, which f32 has the range for. Only sums are checked, at the
//            end of a chunk: one too large had scores near overflow; one too small is all that is
//            left of scores of which some may have vanished. Such rows are computed again in the
//            running form. Whether a row is depends on its own scores alone: tiles of any size and
//            split heads give the same bits.
#include "codegen/cpu/kernels/attend.h"

// Sums between these are exact enough: exp(69) and exp(-39), where what exp takes for 0 is smaller
// by exp(-48).
static const double largest_total = 1e30, smallest_total = 1e-17;
static const double retry_peak = 1e29;  // marks a row whose sum is out of bounds

// The keys a row sees, as bounds relative to the step: [first, last].
typedef struct view {
  ir_value_t first, last;  // splat i32
} view_t;

// Rows that pad a block repeat the last token: of keys behind it, nothing is known.
static ir_value_t position_of(attend_t *a, const tile_t *tile, ir_value_t row) {
  ir_builder_t *b = a->k->b;
  ir_value_t heads = ir_i64(b, a->heads), last_token = kernel_plus(a->k, tile->count, -1);
  ir_value_t row_token = ir_op(b, divui, row, heads);
  ir_value_t token = ir_op(b, minsi, row_token, last_token);
  ir_value_t m = ir_op(b, addi, tile->from, token);
  return ir_op(b, addi, a->position, m);
}

static view_t view_of(attend_t *a, const tile_t *tile, ir_value_t row, ir_value_t start) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  view_t view = {0};
  ir_value_t position = position_of(a, tile, row);
  ir_value_t last = ir_op(b, subi, position, start);
  ir_value_t narrow = ir_cast(b, trunci, k->i32, last);
  view.last = ir_cast(b, broadcast, k->words, narrow);
  if (!k->spec->window) return view;
  ir_value_t first = kernel_plus(k, last, 1 - (int64_t)k->spec->window);
  ir_value_t low = ir_cast(b, trunci, k->i32, first);
  view.first = ir_cast(b, broadcast, k->words, low);
  return view;
}

// Which of the keys key .. key + lanes the row sees: i1 per lane.
static ir_value_t visible(attend_t *a, const view_t *view, ir_value_t key, int part) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  int32_t lane[16];
  for (int i = 0; i < 16; i++) lane[i] = part * k->lanes + i;
  ir_value_t narrow = ir_cast(b, trunci, k->i32, key);
  ir_value_t base = ir_cast(b, broadcast, k->words, narrow);
  ir_value_t lanes = ir_words(b, (size_t)k->lanes, lane);
  ir_value_t keys = ir_op(b, addi, base, lanes);
  ir_value_t inside = ir_op(b, sle, keys, view->last);
  if (!k->spec->window) return inside;
  ir_value_t not_before = ir_op(b, sge, keys, view->first);
  return ir_op(b, andi, inside, not_before);
}

// Hides what the row does not see and gives the largest score of the step and before, splat.
static ir_value_t new_peak(attend_t *a, const view_t *view, ir_value_t scores, ir_value_t keys,
                           ir_value_t peak) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t hidden = ir_real(b, k->reals, attend_hidden_score), trip = ir_i64(b, attend_span(a));
  ir_value_t largest[ATTEND_VECTORS];
  for (int p = 0; p < ATTEND_VECTORS; p++) largest[p] = peak;
  IR_FOR_CARRY (b, key, k->zero, keys, trip, largest, ATTEND_VECTORS) {
    ir_value_t at = kernel_at(k, scores, key, 4);
    for (int p = 0; p < ATTEND_VECTORS; p++) {
      ir_value_t inside = visible(a, view, key, p);
      ir_value_t raw = attend_load(a, at, p);
      ir_value_t score = ir_op(b, select, inside, raw, hidden);
      attend_put(a, score, at, p);
      largest[p] = math_max(k, score, largest[p]);
    }
  }
  for (int p = 1; p < ATTEND_VECTORS; p++) largest[0] = math_max(k, largest[p], largest[0]);
  ir_value_t top = math_maximum(k, largest[0]);
  return math_splat(k, top);
}

// What is known of q8 values: their scales, which hidden keys may not have.
static ir_value_t known_scales(attend_t *a, ir_value_t blocks, int part, ir_value_t inside) {
  ir_value_t scales = attend_scales(a, blocks, part);
  ir_value_t nothing = ir_real(a->k->b, a->k->reals, 0.0);
  return ir_op(a->k->b, select, inside, scales, nothing);
}

// Scores to weights; gives their sum per lane, added to `total`. Those of q8 values take in the
// values' scales. In the unified form there is no peak.
static ir_value_t weigh(attend_t *a, const view_t *view, ir_value_t scores, ir_value_t keys,
                        ir_value_t peak, ir_value_t values, ir_value_t total) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t trip = ir_i64(b, attend_span(a)), in_block = ir_i64(b, HONE_CACHE_BLOCK);
  ir_value_t lowest = ir_real(b, k->reals, attend_lowest_peak), nothing = ir_real(b, k->reals, 0.0);
  IR_FOR_CARRY (b, key, k->zero, keys, trip, &total, 1) {
    ir_value_t at = kernel_at(k, scores, key, 4);
    ir_value_t index = ir_op(b, divui, key, in_block);
    ir_value_t blocks = kernel_at(k, values, index, a->cache.block_bytes);
    for (int p = 0; p < ATTEND_VECTORS; p++) {
      ir_value_t score = attend_load(a, at, p), inside, weight;
      if (a->is_unified) {
        inside = visible(a, view, key, p);
        ir_value_t raised = math_exp(k, score);
        weight = ir_op(b, select, inside, raised, nothing);
      } else {
        inside = ir_op(b, ogt, score, lowest);
        ir_value_t below = ir_op(b, subf, score, peak);
        weight = math_exp(k, below);
      }
      total = ir_op(b, addf, total, weight);
      if (a->cache.has_scales) {
        ir_value_t known = known_scales(a, blocks, p, inside);
        weight = ir_op(b, mulf, weight, known);
      }
      attend_put(a, weight, at, p);
    }
  }
  return total;
}

static void weigh_running(attend_t *a, const view_t *view, ir_value_t row, ir_value_t keys,
                          ir_value_t values) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t scores = attend_row(a, a->scores, row, ATTEND_STEP);
  ir_value_t peak_at = attend_row(a, a->peaks, row, k->lanes);
  ir_value_t total_at = attend_row(a, a->totals, row, k->lanes);
  ir_value_t shrink_at = attend_row(a, a->shrinks, row, k->lanes);
  ir_value_t before = attend_load(a, peak_at, 0);
  ir_value_t peak = new_peak(a, view, scores, keys, before);
  ir_value_t drop = ir_op(b, subf, before, peak);
  ir_value_t shrink = math_exp(k, drop);
  ir_value_t old = attend_load(a, total_at, 0);
  ir_value_t kept = ir_op(b, mulf, old, shrink);
  ir_value_t total = weigh(a, view, scores, keys, peak, values, kept);
  attend_put(a, peak, peak_at, 0);
  attend_put(a, total, total_at, 0);
  attend_put(a, shrink, shrink_at, 0);
}

void attend_weights(attend_t *a, const tile_t *tile, ir_value_t start, ir_value_t keys,
                    ir_value_t values) {
  kernel_t *k = a->k;
  IR_FOR (k->b, row, k->zero, tile->row_count, k->one) {
    view_t view = view_of(a, tile, row, start);
    if (a->is_unified) {
      ir_value_t scores = attend_row(a, a->scores, row, ATTEND_STEP), none = {0};
      ir_value_t total_at = attend_row(a, a->totals, row, k->lanes);
      ir_value_t old = attend_load(a, total_at, 0);
      ir_value_t total = weigh(a, &view, scores, keys, none, values, old);
      attend_put(a, total, total_at, 0);
    } else {
      weigh_running(a, &view, row, keys, values);
    }
  }
}

// Whether a row sees any key of [start, end): i1.
static ir_value_t sees_any(attend_t *a, const tile_t *tile, ir_value_t row, ir_value_t start,
                           ir_value_t end) {
  kernel_t *k = a->k;
  ir_value_t position = position_of(a, tile, row);
  ir_value_t sees = ir_op(k->b, sle, start, position);
  if (!k->spec->window) return sees;
  ir_value_t oldest = kernel_plus(k, position, 1 - (int64_t)k->spec->window);
  ir_value_t reaches = ir_op(k->b, slt, oldest, end);
  return ir_op(k->b, andi, sees, reaches);
}

ir_value_t attend_settle(attend_t *a, const tile_t *tile, ir_value_t start, ir_value_t end) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t most = ir_real(b, k->real, largest_total), least = ir_real(b, k->real, smallest_total);
  ir_value_t usual = ir_real(b, k->real, 0.0), retry = ir_real(b, k->real, retry_peak);
  ir_value_t lowest = ir_real(b, k->real, attend_lowest_peak), failed = k->zero;
  IR_FOR_CARRY (b, row, k->zero, tile->row_count, k->one, &failed, 1) {
    ir_value_t total_at = attend_row(a, a->totals, row, k->lanes);
    ir_value_t peak_at = attend_row(a, a->peaks, row, k->lanes);
    ir_value_t lanes = attend_load(a, total_at, 0);
    ir_value_t total = math_sum(k, lanes);
    ir_value_t is_small = ir_op(b, olt, total, most), is_large = ir_op(b, ogt, total, least);
    ir_value_t is_good = ir_op(b, andi, is_small, is_large);  // false for NaN
    ir_value_t sees = sees_any(a, tile, row, start, end);
    ir_value_t one_more = kernel_plus(k, failed, 1);
    ir_value_t then = ir_op(b, select, is_good, failed, one_more);
    failed = ir_op(b, select, sees, then, failed);
    ir_value_t seen = ir_op(b, select, is_good, usual, retry);
    ir_value_t peak = ir_op(b, select, sees, seen, lowest);
    ir_value_t peaks = math_splat(k, peak);
    attend_put(a, peaks, peak_at, 0);
  }
  return failed;
}

static void copy_row(attend_t *a, ir_value_t to, ir_value_t from, ir_value_t row, int64_t floats) {
  kernel_t *k = a->k;
  ir_value_t target = attend_row(a, to, row, floats), source = attend_row(a, from, row, floats);
  for (int v = 0; v < floats / k->lanes; v++) {
    ir_value_t item = attend_load(a, source, v);
    attend_put(a, item, target, v);
  }
}

void attend_take(attend_t *a, const tile_t *tile, const attend_t *exact) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t retry = ir_real(b, k->real, retry_peak);
  IR_FOR (b, row, k->zero, tile->row_count, k->one) {
    ir_value_t peak_at = attend_row(a, a->peaks, row, k->lanes);
    ir_value_t peak = ir_load(b, k->real, peak_at, 0);
    ir_value_t is_bad = ir_op(b, oeq, peak, retry);
    IR_IF (b, is_bad) {
      copy_row(a, a->sums, exact->sums, row, a->columns);
      copy_row(a, a->peaks, exact->peaks, row, k->lanes);
      copy_row(a, a->totals, exact->totals, row, k->lanes);
    }
  }
}
