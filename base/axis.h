// Axes of a plot: a range with nice ends, its ticks and their labels. Ticks are 1, 2 or 5 times a
// power of ten; on a logarithmic axis powers of ten where there is room for them. No drawing here.
// Thread rule: values.
#ifndef HONE_BASE_AXIS_H
#define HONE_BASE_AXIS_H

#include <stdbool.h>
#include <stddef.h>

enum { HONE_AXIS_TICKS = 16, HONE_AXIS_LABEL_BYTES = 40 };

typedef struct hone_axis {
  bool is_log;
  double low, high;  // low < high; both positive on a logarithmic axis
  double ticks[HONE_AXIS_TICKS];
  size_t tick_count;  // at least 2
  double step;        // between linear ticks
  int decimals;       // of labels, all alike; -1: as short as each can be
} hone_axis_t;

// Covers [low, high], widened to ticks, with about `wanted` (2..12) of them. Whatever comes in, a
// usable axis comes out: bounds that are not finite, are swapped or equal, or not positive on a
// logarithmic axis are replaced.
void hone_axis_init(hone_axis_t *axis, bool is_log, double low, double high, size_t wanted);
// Place of a value: 0 at low, 1 at high, beyond outside. NaN for what has none (NaN, an infinity;
// zero and less on a logarithmic axis).
double hone_axis_place(const hone_axis_t *axis, double value);
// Short text of a tick: "0.25", "1500", "10⁻⁵".
const char *hone_axis_label(const hone_axis_t *axis, double tick, char out[HONE_AXIS_LABEL_BYTES]);

#endif
