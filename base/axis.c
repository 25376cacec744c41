// See axis.h. The steps 1, 2, 5 follow P. Heckbert, "Nice numbers for graph labels" (Graphics Gems,
// 1990).
#include "base/axis.h"

#include <math.h>
#include <stdio.h>

#include "base/text.h"

static const double nice[] = {1, 2, 5, 10};
enum { NICE_COUNT = sizeof nice / sizeof *nice };

static void add_tick(hone_axis_t *axis, double value) {
  if (axis->tick_count < HONE_AXIS_TICKS) axis->ticks[axis->tick_count++] = value;
}

// The least of 1, 2, 5, 10 times a power of ten that is not under `value`.
static double nice_step(double value) {
  double power = pow(10, floor(log10(value)));
  for (size_t i = 0; i < NICE_COUNT; i++)
    if (nice[i] * power >= value * (1 - 1e-9)) return nice[i] * power;
  return 10 * power;
}

static void put_linear(hone_axis_t *axis, size_t wanted) {
  double step = nice_step((axis->high - axis->low) / (double)wanted);
  // Bounds on a tick up to rounding stay there.
  double first = floor(axis->low / step + 1e-9), last = ceil(axis->high / step - 1e-9);
  if (last <= first) last = first + 1;
  for (double i = first; i <= last; i++) add_tick(axis, i * step);
  axis->step = step;
  axis->decimals = (int)fmax(0, -floor(log10(step) + 1e-9));
}

// Powers of ten, every `stride`th.
static void put_decades(hone_axis_t *axis, double first, double last, size_t wanted) {
  double stride = fmax(1, ceil((last - first) / (double)wanted));
  last = first + ceil((last - first) / stride) * stride;
  for (double i = first; i <= last; i += stride) add_tick(axis, pow(10, i));
}

// 1, 2, 5 times powers of ten: for a range of about two decades.
static void put_log_steps(hone_axis_t *axis, double first) {
  for (double decade = first;; decade++)
    for (size_t i = 0; i + 1 < NICE_COUNT; i++) {
      double tick = nice[i] * pow(10, decade), next = nice[i + 1] * pow(10, decade);
      if (next > axis->low * (1 + 1e-9)) add_tick(axis, tick);
      if (axis->tick_count > 1 && tick >= axis->high * (1 - 1e-9)) return;
      if (axis->tick_count == HONE_AXIS_TICKS) return;
    }
}

static void put_log(hone_axis_t *axis, size_t wanted) {
  double first = floor(log10(axis->low) + 1e-9), last = ceil(log10(axis->high) - 1e-9);
  double decades = log10(axis->high / axis->low);
  if (decades > 2) {
    put_decades(axis, first, fmax(last, first + 1), wanted);
  } else if (decades > 0.5) {
    put_log_steps(axis, first);
  } else {
    put_linear(axis, wanted);  // the steps of a linear axis, at logarithmic places
  }
}

// Beyond these the arithmetic of steps could overflow or lose its digits.
static const double most = 1e300, least = 1e-300;

static void repair(hone_axis_t *axis) {
  if (!isfinite(axis->low) || !isfinite(axis->high)) axis->low = 0, axis->high = 1;
  if (axis->low > axis->high) {
    double swap = axis->low;
    axis->low = axis->high;
    axis->high = swap;
  }
  axis->low = fmax(axis->low, -most);
  axis->high = fmin(axis->high, most);
  if (axis->is_log && !(axis->high > least)) axis->low = 0.1, axis->high = 1;
  if (axis->is_log && !(axis->low > least)) axis->low = axis->high / 1000;
  // Too narrow for ticks that differ.
  double size = fmax(fabs(axis->low), fabs(axis->high));
  if (axis->high - axis->low > fmax(1e-9 * size, least)) return;
  double middle = size > least ? axis->low : 0;
  if (axis->is_log) {
    axis->low = axis->high / 2, axis->high *= 2;
  } else {
    double half = middle == 0 ? 0.5 : fabs(middle) / 2;
    axis->low = middle - half, axis->high = middle + half;
  }
}

void hone_axis_init(hone_axis_t *axis, bool is_log, double low, double high, size_t wanted) {
  if (wanted < 2) wanted = 2;
  if (wanted > 12) wanted = 12;
  *axis = (hone_axis_t){.is_log = is_log, .low = low, .high = high, .decimals = -1};
  repair(axis);
  if (is_log) {
    put_log(axis, wanted);
  } else {
    put_linear(axis, wanted);
  }
  // A linear step may round the low end of a logarithmic axis down to zero.
  if (is_log && !(axis->ticks[0] > 0)) axis->ticks[0] = axis->low;
  axis->low = axis->ticks[0];
  axis->high = axis->ticks[axis->tick_count - 1];
}

double hone_axis_place(const hone_axis_t *axis, double value) {
  if (!isfinite(value)) return NAN;
  if (!axis->is_log) return (value - axis->low) / (axis->high - axis->low);
  if (!(value > 0)) return NAN;
  return log(value / axis->low) / log(axis->high / axis->low);
}

const char *hone_axis_label(const hone_axis_t *axis, double tick, char out[HONE_AXIS_LABEL_BYTES]) {
  // What is left of a zero after adding steps.
  if (!axis->is_log && fabs(tick) < 1e-9 * (axis->high - axis->low)) tick = 0;
  double size = fabs(tick);
  double largest = axis->decimals < 0 ? size : fmax(fabs(axis->low), fabs(axis->high));
  const char *sign = tick < 0 ? "−" : "";
  if (size > 0 && (largest < 0.999e-3 || largest >= 1e6)) {
    // As many digits as tell a tick from the next.
    double digits = axis->decimals < 0 ? 3 : floor(log10(size)) + 1 - log10(axis->step);
    return hone_text_power(tick, (int)fmin(fmax(ceil(digits), 1), 9), true, out);
  }
  if (axis->decimals < 0) {
    snprintf(out, HONE_AXIS_LABEL_BYTES, "%s%.10g", sign, size);
  } else {
    snprintf(out, HONE_AXIS_LABEL_BYTES, "%s%.*f", sign, axis->decimals, size);
  }
  return out;
}
