// See dataflow.h. A candidate's time at M is its prior times a factor: the ratio of measured to
// predicted where it was measured, between two such M a geometric mean by log M, beyond them the
// nearest one's. Where some candidates of a problem were measured, those of their families that
// were not are out; families without any are scaled as the measured ones are on average, so that
// measurements and predictions compare. What was measured at other M than the next ones is out,
// too: a prediction from afar must not win against a measurement.
#include "codegen/cpu/dataflow.h"

#include <math.h>
#include <string.h>

#include "codegen/cpu/kernel_emit.h"
#include "codegen/cpu/linear_block.h"
#include "codegen/cpu/space.h"

enum { CANDIDATE_LIMIT = 256, GRID_LIMIT = 96, FIELD_LIMIT = 9 };
// By how much the next choice must win against the one before it: beyond noise at M that both were
// measured for, beyond what a prior can tell elsewhere.
static const double measured_gain = 0.02, prior_gain = 0.05;
static const double decode_share = 4;
// What an entry more must save to be worth a kernel: 3 % from some M to twice as many.
static const double switch_price = 0.02;

typedef struct candidate {
  hone_kernel_spec_t spec;
  size_t row_count;  // measured rows, ordered by M
  double factor;     // without rows
  double ns[GRID_LIMIT];
} candidate_t;

typedef struct table {
  const hone_cpu_dataflow_job_t *job;
  uint32_t threads;
  candidate_t *candidates;
  size_t count;
  size_t *owners;             // of each measured row: its candidate, or SIZE_MAX
  uint32_t grid[GRID_LIMIT];  // M
  size_t grid_count;
  size_t chosen[GRID_LIMIT];  // candidate of each point
  hone_status_t refusal;
} table_t;

// ---- candidates

static candidate_t *find(table_t *table, const hone_kernel_spec_t *spec) {
  for (size_t i = 0; i < table->count; i++)
    if (hone_cpu_same_kernel(&table->candidates[i].spec, spec, table->job->isa))
      return &table->candidates[i];
  return NULL;
}

static void add(table_t *table, const hone_kernel_spec_t *spec) {
  if (table->count == CANDIDATE_LIMIT || find(table, spec)) return;
  table->candidates[table->count++] = (candidate_t){.spec = *spec, .factor = 1};
}

static hone_kernel_spec_t spec_of(const table_t *table, hone_family_t family,
                                  const hone_schedule_t *schedule) {
  hone_kernel_spec_t spec = *table->job->problem;
  spec.family = family;
  spec.schedule = *schedule;
  return spec;
}

static double prior_ns(const table_t *table, const hone_kernel_spec_t *spec, uint32_t M) {
  return hone_cpu_cost(spec, table->job->isa, table->job->facts, M, table->threads).ns;
}

static bool prior_knows(hone_family_t family, hone_schedule_field_t field) {
  return field == HONE_SCHEDULE_tokens || field == HONE_SCHEDULE_prefetch ||
         field == HONE_SCHEDULE_split ||
         (field == HONE_SCHEDULE_rows && family != HONE_FAMILY_FLAT);
}

// The next schedule of a family's space: counts through the values of its axes, "not given" before
// the first of each; fields that the prior knows nothing of stay so. False after the last.
static bool next_schedule(hone_family_t family, size_t digits[FIELD_LIMIT],
                          hone_schedule_t *schedule) {
  for (size_t i = 0, digit = 0; i < hone_cpu_axis_count(); i++) {
    const hone_cpu_axis_t *axis = hone_cpu_axis_at(i);
    if (axis->family != family || !prior_knows(family, axis->field)) continue;
    bool carry = digits[digit] == axis->count;
    digits[digit] = carry ? 0 : digits[digit] + 1;
    hone_schedule_set(schedule, axis->field, carry ? 0 : axis->values[digits[digit] - 1]);
    if (!carry) return true;
    digit++;
  }
  return false;
}

// Whether a context is too short for every part of a split head to get keys.
static bool is_idle(const hone_cpu_dataflow_job_t *job, const hone_kernel_spec_t *spec) {
  return hone_family_is_attention(spec->family) && job->context && spec->schedule.split > 1 &&
         spec->schedule.split > hone_chunk_count(spec->window, job->context);
}

// The best schedules of a family by the prior, one for each of some M.
static void add_shortlist(table_t *table, hone_family_t family) {
  static const uint32_t probes[] = {1, 2, 3, 4, 6, 8, 16, 32, 128, 512};
  enum { PROBES = sizeof probes / sizeof *probes };
  hone_kernel_spec_t best[PROBES];
  double best_ns[PROBES];
  size_t digits[FIELD_LIMIT] = {0}, found = 0;
  hone_schedule_t schedule = {0};
  do {
    hone_kernel_spec_t spec = spec_of(table, family, &schedule);
    hone_status_t refusal = {0};
    if (is_idle(table->job, &spec)) continue;
    if (!hone_cpu_kernel_check(&spec, table->job->isa, &refusal)) {
      table->refusal = refusal;
      continue;
    }
    for (size_t i = 0; i < PROBES; i++) {
      double ns = prior_ns(table, &spec, probes[i]);
      if (found && ns >= best_ns[i] * (1 - 1e-9)) continue;
      best[i] = spec;
      best_ns[i] = ns;
    }
    found++;
  } while (next_schedule(family, digits, &schedule));
  for (size_t i = 0; found && i < PROBES; i++) add(table, &best[i]);
}

// ---- measured rows

// Rows of one number of threads are compared: the largest there is.
static uint32_t most_threads(const hone_cpu_dataflow_job_t *job) {
  uint32_t most = 0;
  for (size_t i = 0; i < job->row_count; i++)
    if (job->rows[i].threads > most) most = job->rows[i].threads;
  return most ? most : job->facts->threads;
}

static bool is_row_of(const table_t *table, const hone_measured_t *row,
                      const hone_kernel_spec_t *spec) {
  hone_kernel_spec_t other = spec_of(table, row->family, &row->schedule);
  return row->threads == table->threads && row->M > 0 && row->ns > 0 &&
         hone_cpu_same_kernel(&other, spec, table->job->isa);
}

static bool add_measured(table_t *table, hone_family_t family) {
  bool found = false;
  for (size_t i = 0; i < table->job->row_count; i++) {
    const hone_measured_t *row = &table->job->rows[i];
    hone_status_t ignored = {0};
    hone_kernel_spec_t spec = spec_of(table, row->family, &row->schedule);
    if (row->family != family || !is_row_of(table, row, &spec)) continue;
    if (!hone_cpu_kernel_check(&spec, table->job->isa, &ignored)) continue;
    add(table, &spec);
    found = true;
  }
  return found;
}

static double log_ratio(const table_t *table, const hone_kernel_spec_t *spec,
                        const hone_measured_t *row) {
  return log(row->ns / prior_ns(table, spec, row->M));
}

// The rows of a candidate at or next below and next above M; NULL where there is none.
static void neighbours(const table_t *table, const candidate_t *c, uint32_t M,
                       const hone_measured_t **below, const hone_measured_t **above) {
  *below = *above = NULL;
  for (size_t i = 0; i < table->job->row_count && c->row_count; i++) {
    const hone_measured_t *row = &table->job->rows[i];
    if (table->owners[i] == SIZE_MAX || &table->candidates[table->owners[i]] != c) continue;
    if (row->M <= M && (!*below || row->M > (*below)->M)) *below = row;
    if (row->M >= M && (!*above || row->M < (*above)->M)) *above = row;
  }
}

// Whether the candidate was measured at one of the M next to this one that any was measured at.
static bool is_near(const table_t *table, const candidate_t *c, uint32_t M) {
  uint32_t low = 0, high = UINT32_MAX;
  for (size_t i = 0; i < table->job->row_count; i++) {
    uint32_t at = table->job->rows[i].M;
    if (table->owners[i] == SIZE_MAX) continue;
    if (at <= M && at > low) low = at;
    if (at >= M && at < high) high = at;
  }
  for (size_t i = 0; i < table->job->row_count; i++) {
    if (table->owners[i] == SIZE_MAX || &table->candidates[table->owners[i]] != c) continue;
    uint32_t at = table->job->rows[i].M;
    if (at == low || at == high) return true;
  }
  return false;
}

static double expected_ns(const table_t *table, const candidate_t *c, uint32_t M) {
  double prior = prior_ns(table, &c->spec, M);
  const hone_measured_t *below, *above;
  if (!c->row_count) return prior * c->factor;
  neighbours(table, c, M, &below, &above);
  if (!below || !above || below->M == above->M)
    return prior * exp(log_ratio(table, &c->spec, below ? below : above));
  double low = log((double)below->M), part = (log((double)M) - low) / (log((double)above->M) - low);
  return prior * exp((1 - part) * log_ratio(table, &c->spec, below) +
                     part * log_ratio(table, &c->spec, above));
}

// What measurements say of those that were not measured.
static void scale_others(table_t *table) {
  double sum = 0, count = 0;
  for (size_t j = 0; j < table->job->row_count; j++) {
    const hone_measured_t *row = &table->job->rows[j];
    table->owners[j] = SIZE_MAX;
    for (size_t i = 0; i < table->count; i++) {
      candidate_t *c = &table->candidates[i];
      if (!is_row_of(table, row, &c->spec)) continue;
      table->owners[j] = i;
      c->row_count++;
      sum += log_ratio(table, &c->spec, row);
      count++;
      break;
    }
  }
  for (size_t i = 0; count > 0 && i < table->count; i++)
    table->candidates[i].factor = exp(sum / count);
}

// ---- intervals

// Every M of decode and small batches, then coarser: block sizes make costs jump there.
static void make_grid(table_t *table) {
  for (uint32_t M = 1; M <= HONE_CPU_DATAFLOW_ROWS; M += M < 32 ? 1 : M < 128 ? 4 : 16)
    table->grid[table->grid_count++] = M;
  for (size_t i = 0; i < table->count; i++) {
    candidate_t *c = &table->candidates[i];
    for (size_t g = 0; g < table->grid_count; g++) {
      uint32_t M = table->grid[g];
      bool is_out = c->row_count && !table->job->is_static && !is_near(table, c, M);
      c->ns[g] = is_out ? INFINITY : expected_ns(table, c, M);
    }
  }
}

static size_t best_at(const table_t *table, size_t g) {
  size_t best = 0;
  for (size_t i = 1; i < table->count; i++)
    if (table->candidates[i].ns[g] < table->candidates[best].ns[g]) best = i;
  return best;
}

static bool was_measured(const table_t *table, const candidate_t *c, uint32_t M) {
  const hone_measured_t *below, *above;
  if (!c->row_count) return false;
  neighbours(table, c, M, &below, &above);
  return below && below->M == M;
}

// Weight of a point: its share of log M; of one row, which is decoding, more.
static double share_of(const table_t *table, size_t g) {
  if (g == 0) return decode_share;
  double step = g + 1 < table->grid_count ? table->grid[g + 1] - table->grid[g] : 1;
  return step / table->grid[g];
}

// How much slower than the best a candidate is at a point, relative and weighted.
static double loss_at(const table_t *table, size_t g, size_t candidate) {
  double best = table->candidates[best_at(table, g)].ns[g];
  return (table->candidates[candidate].ns[g] / best - 1) * share_of(table, g);
}

static bool may_switch(const table_t *table, size_t g, size_t from, size_t to) {
  const candidate_t *a = &table->candidates[from], *b = &table->candidates[to];
  bool is_measured =
      was_measured(table, a, table->grid[g]) && was_measured(table, b, table->grid[g]);
  return b->ns[g] < a->ns[g] * (1 - (is_measured ? measured_gain : prior_gain));
}

// Dynamic programming over points and candidates: the least sum of losses and of `price` per
// switch, among tables that switch only where that wins.
static void choose(table_t *table, double price) {
  static const size_t none = SIZE_MAX;
  double sum[CANDIDATE_LIMIT], next[CANDIDATE_LIMIT];
  size_t from[GRID_LIMIT][CANDIDATE_LIMIT], last = 0;
  for (size_t i = 0; i < table->count; i++) sum[i] = loss_at(table, 0, i);
  for (size_t g = 1; g < table->grid_count; g++) {
    for (size_t i = 0; i < table->count; i++) {
      size_t before = none;
      for (size_t j = 0; j < table->count; j++) {
        double total = sum[j] + (j != i ? price : 0);
        if (before != none && total >= next[i]) continue;
        if (j != i && !may_switch(table, g, j, i)) continue;
        before = j;
        next[i] = total;
      }
      next[i] += loss_at(table, g, i);
      from[g][i] = before;
    }
    memcpy(sum, next, table->count * sizeof *sum);
  }
  for (size_t i = 1; i < table->count; i++)
    if (sum[i] < sum[last]) last = i;
  for (size_t g = table->grid_count; g-- > 0; last = g ? from[g][last] : last)
    table->chosen[g] = last;
}

static double static_loss(const table_t *table, size_t candidate) {
  double sum = 0;
  for (size_t g = 0; g < table->grid_count; g++) sum += loss_at(table, g, candidate);
  return sum;
}

static void choose_static(table_t *table) {
  size_t best = 0;
  for (size_t i = 1; i < table->count; i++)
    if (static_loss(table, i) < static_loss(table, best)) best = i;
  for (size_t g = 0; g < table->grid_count; g++) table->chosen[g] = best;
}

static size_t end_of(const table_t *table, size_t begin) {
  size_t end = begin + 1;
  while (end < table->grid_count && table->chosen[end] == table->chosen[begin]) end++;
  return end;
}

static size_t count_intervals(const table_t *table) {
  size_t count = 0;
  for (size_t g = 0; g < table->grid_count; g = end_of(table, g)) count++;
  return count;
}

// ---- evidence

static hone_flow_choice_t choice_of(const candidate_t *c, uint32_t below) {
  return (hone_flow_choice_t){c->spec.family, c->spec.schedule, below};
}

// A measured M of the interval if there is one, else a power of two near its middle.
static uint32_t evidence_rows(const table_t *table, const candidate_t *c, uint32_t first,
                              uint32_t last, const hone_measured_t **out_row) {
  double middle = (log((double)first) + log((double)last)) / 2, best = INFINITY;
  *out_row = NULL;
  for (size_t i = 0; i < table->job->row_count; i++) {
    const hone_measured_t *row = &table->job->rows[i];
    if (!is_row_of(table, row, &c->spec) || row->M < first || row->M > last) continue;
    double distance = fabs(log((double)row->M) - middle);
    if (distance >= best) continue;
    best = distance;
    *out_row = row;
  }
  if (*out_row) return (*out_row)->M;
  uint32_t M = 1;
  while (log(2.0 * M) <= middle + 1e-9) M *= 2;
  return M < first ? first : M > last ? last : M;
}

// The best of another family, or of another schedule where all are of one.
static const candidate_t *rival_of(const table_t *table, const candidate_t *c, uint32_t M,
                                   double *out_ns) {
  const candidate_t *best = NULL;
  for (int other_family = 1; !best && other_family >= 0; other_family--) {
    for (size_t i = 0; i < table->count; i++) {
      const candidate_t *rival = &table->candidates[i];
      if (rival == c || (other_family && rival->spec.family == c->spec.family)) continue;
      if (rival->row_count && !table->job->is_static && !is_near(table, rival, M)) continue;
      double ns = expected_ns(table, rival, M);
      if (best && ns >= *out_ns) continue;
      best = rival;
      *out_ns = ns;
    }
  }
  return best;
}

static hone_cpu_interval_t make_interval(const table_t *table, size_t begin, size_t end) {
  const candidate_t *c = &table->candidates[table->chosen[begin]];
  bool is_last = end == table->grid_count;
  uint32_t below = is_last ? UINT32_MAX : table->grid[end];
  uint32_t last = is_last ? HONE_CPU_DATAFLOW_ROWS : below - 1;
  const hone_measured_t *row;
  hone_cpu_interval_t interval = {.choice = choice_of(c, below)};
  interval.M = evidence_rows(table, c, table->grid[begin], last, &row);
  hone_cpu_cost_t cost =
      hone_cpu_cost(&c->spec, table->job->isa, table->job->facts, interval.M, table->threads);
  interval.ns = expected_ns(table, c, interval.M);
  interval.memory_ns = cost.memory_ns;
  interval.compute_ns = cost.compute_ns;
  interval.is_measured = row != NULL;
  interval.spread_ns = row ? row->spread_ns : 0;
  const candidate_t *rival = rival_of(table, c, interval.M, &interval.rival_ns);
  interval.has_rival = rival != NULL;
  if (rival) interval.rival = choice_of(rival, UINT32_MAX);
  return interval;
}

// ---- entry points

static bool open_table(table_t *table, const hone_cpu_dataflow_job_t *job, hone_arena_t *arena) {
  *table = (table_t){.job = job, .threads = most_threads(job)};
  table->candidates = HONE_NEW_ARRAY(arena, candidate_t, CANDIDATE_LIMIT);
  table->owners = HONE_NEW_ARRAY(arena, size_t, job->row_count + 1);
  for (int family = 0; family < HONE_FAMILY_COUNT; family++) {
    if (!(job->families & 1u << family)) continue;
    if (!add_measured(table, (hone_family_t)family)) add_shortlist(table, (hone_family_t)family);
  }
  scale_others(table);
  return table->count > 0;
}

bool hone_cpu_dataflow_select(const hone_cpu_dataflow_job_t *job, hone_cpu_dataflow_t *out,
                              hone_status_t *status) {
  hone_arena_t *arena = hone_arena_create();
  table_t table;
  bool ok = open_table(&table, job, arena);
  *out = (hone_cpu_dataflow_t){.threads = table.threads};
  if (!ok) {
    *status = table.refusal;
  } else {
    make_grid(&table);
    if (job->is_static) choose_static(&table);
    double price = switch_price;
    for (bool fits = job->is_static; !fits; price *= 1.5) {
      choose(&table, price);
      fits = count_intervals(&table) <= HONE_FLOW_LIMIT;
    }
    for (size_t g = 0; g < table.grid_count; g = end_of(&table, g))
      out->intervals[out->count++] = make_interval(&table, g, end_of(&table, g));
  }
  hone_arena_destroy(arena);
  return ok;
}

double hone_cpu_dataflow_ns(const hone_cpu_dataflow_job_t *job, const hone_flow_choice_t *choice,
                            uint32_t M) {
  hone_arena_t *arena = hone_arena_create();
  table_t table;
  open_table(&table, job, arena);
  hone_kernel_spec_t spec = spec_of(&table, choice->family, &choice->schedule);
  candidate_t *known = find(&table, &spec), other = {.spec = spec, .factor = 1};
  double ns = expected_ns(&table, known ? known : &other, M);
  hone_arena_destroy(arena);
  return ns;
}

void hone_cpu_dataflow_write(const hone_cpu_dataflow_t *flow, hone_buffer_t *out) {
  for (size_t i = 0; i < flow->count; i++) {
    const hone_flow_choice_t *choice = &flow->intervals[i].choice;
    hone_buffer_format(out, "%s%s", i ? ", " : "", hone_family_name(choice->family));
    hone_schedule_write(&choice->schedule, out);
    if (choice->below != UINT32_MAX) hone_buffer_format(out, " < %u", choice->below);
  }
}
