// What dataflow selection wins: every family of a linear is timed for M = 1 ... 512 with caches as
// decode finds them (a call reads another copy of the matrix each time), in thread CPU time, best
// of several. Printed per M: the static dataflow of each family (--dataflow FAMILY: one kernel for
// every M), what selection takes by its prior, and what it takes when it is given these
// measurements.
// Usage: bench_dataflow FORMAT [N K [INPUT [LEVEL]]] [candidates]
// With "candidates" it prints every schedule's times instead: what cost.def is fitted to.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/packed.h"
#include "codegen/cpu/dataflow.h"
#include "codegen/cpu/space.h"
#include "tests/conformance/pack.h"

enum { REPEATS = 3, COLD_BYTES = 192 << 20, KERNEL_LIMIT = 128, FAMILIES = 3, ROWS = 512 };
static const double shortest_ns = 3e6;
static const uint32_t counts[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
enum { COUNTS = sizeof counts / sizeof *counts, SUMMED = 8 };  // the bar is over M = 1 ... 128
static const hone_family_t linears[FAMILIES] = {HONE_FAMILY_GEMV, HONE_FAMILY_FLAT,
                                                HONE_FAMILY_GEMM};

typedef struct study {
  bench_t *bench;
  hone_kernel_spec_t problem;
  region_t weights, out;
  size_t matrix_bytes, copies, next;
  rows_t x;
  double ns[KERNEL_LIMIT][COUNTS];  // of each kernel on the level being timed
} study_t;

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double time_call(study_t *s, size_t isa, size_t kernel, uint32_t M) {
  hone_kernel_args_t args = {.ptr = {s->x.region.data, NULL, NULL, NULL, s->out.data}, .M = M};
  int64_t units = bench_units(&s->bench->specs.items[kernel], M);
  hone_kernel_fn *call = s->bench->isa[isa].kernels[kernel];
  double best = 1e30;
  for (int r = 0; r < REPEATS; r++) {
    double start = now_ns(), spent;
    long calls = 0;
    do {
      args.ptr[1] = s->weights.data + s->next++ % s->copies * s->matrix_bytes;
      call(&args, 0, units);
      calls++;
      spent = now_ns() - start;
    } while (spent < shortest_ns);
    best = spent / (double)calls < best ? spent / (double)calls : best;
  }
  return best;
}

// ---- kernels

static size_t add_kernel(study_t *s, hone_family_t family, const hone_schedule_t *schedule) {
  hone_kernel_spec_t spec = s->problem;
  spec.family = family;
  spec.schedule = *schedule;
  const char *name = hone_kernel_spec_name(&spec, s->bench->arena);
  for (size_t i = 0; i < s->bench->specs.count; i++)
    if (!strcmp(name, hone_kernel_spec_name(&s->bench->specs.items[i], s->bench->arena))) return i;
  if (s->bench->specs.count == KERNEL_LIMIT) {
    fprintf(stderr, "more than %d kernels\n", KERNEL_LIMIT);
    exit(1);
  }
  return bench_add(s->bench, &spec);
}

static hone_cpu_dataflow_job_t job_of(const study_t *s, size_t isa, uint32_t families) {
  return (hone_cpu_dataflow_job_t){
      .problem = &s->problem,
      .families = families,
      .isa = s->bench->isa[isa].isa ? s->bench->isa[isa].isa : hone_cpu_isa_at(isa),
      .facts = hone_cpu_facts_default()};
}

static uint32_t family_bits(const study_t *s) {
  uint32_t bits = 0;
  for (int f = 0; f < FAMILIES; f++)
    if (linears[f] != HONE_FAMILY_GEMM || s->problem.input != HONE_B1) bits |= 1u << linears[f];
  return bits;
}

static void add_flow(study_t *s, const hone_cpu_dataflow_job_t *job) {
  hone_cpu_dataflow_t flow;
  hone_status_t status = {0};
  if (!hone_cpu_dataflow_select(job, &flow, &status)) {
    fprintf(stderr, "%s\n", status.message);
    exit(1);
  }
  for (size_t i = 0; i < flow.count; i++)
    add_kernel(s, flow.intervals[i].choice.family, &flow.intervals[i].choice.schedule);
}

// Each field of a family's schedule on its own, the others not given.
static void add_axes(study_t *s) {
  const hone_schedule_t plain = {0};
  for (int f = 0; f < FAMILIES; f++) {
    if (!(family_bits(s) & 1u << linears[f])) continue;
    add_kernel(s, linears[f], &plain);
    for (size_t a = 0; a < hone_cpu_axis_count(); a++) {
      const hone_cpu_axis_t *axis = hone_cpu_axis_at(a);
      for (size_t v = 0; axis->family == linears[f] && v < axis->count; v++) {
        hone_schedule_t schedule = {0};
        hone_schedule_set(&schedule, axis->field, axis->values[v]);
        add_kernel(s, linears[f], &schedule);
      }
    }
  }
}

// ---- reports

static double choice_ns(study_t *s, const hone_cpu_dataflow_t *flow, size_t m,
                        const hone_flow_choice_t **out_choice) {
  size_t i = 0;
  while (i + 1 < flow->count && counts[m] >= flow->intervals[i].choice.below) i++;
  *out_choice = &flow->intervals[i].choice;
  return s->ns[add_kernel(s, (*out_choice)->family, &(*out_choice)->schedule)][m];
}

static void select_flow(const hone_cpu_dataflow_job_t *job, hone_cpu_dataflow_t *flow) {
  hone_status_t status = {0};
  if (hone_cpu_dataflow_select(job, flow, &status)) return;
  fprintf(stderr, "%s\n", status.message);
  exit(1);
}

enum { STATICS = FAMILIES, PRIOR = STATICS, MEASURED, FLOWS };

static void report(study_t *s, size_t isa, const hone_measured_t *rows, size_t row_count) {
  static const char *const names[FLOWS] = {"gemv", "flat", "gemm", "prior", "measured"};
  hone_cpu_dataflow_t flow[FLOWS] = {0};
  double sum[FLOWS] = {0}, mean[FLOWS] = {0};
  int best = -1, best_mean = -1;
  for (int f = 0; f < FLOWS; f++) {
    uint32_t families = f < STATICS ? family_bits(s) & 1u << linears[f] : family_bits(s);
    hone_cpu_dataflow_job_t job = job_of(s, isa, families);
    job.is_static = f < STATICS;
    if (f == MEASURED) job.rows = rows, job.row_count = row_count;
    if (families) select_flow(&job, &flow[f]);
  }
  printf("\n%s, microseconds of one call on one thread\n%5s", s->bench->isa[isa].isa->name, "M");
  for (int f = 0; f < FLOWS; f++) printf(" %10s", names[f]);
  printf("  taken by prior; when measured\n");
  for (size_t m = 0; m < COUNTS; m++) {
    const hone_flow_choice_t *taken[FLOWS] = {0};
    double ns[FLOWS] = {0}, least = 1e30;
    printf("%5u", counts[m]);
    for (int f = 0; f < FLOWS; f++) {
      if (!flow[f].count) {
        printf(" %10s", "-");
        continue;
      }
      ns[f] = choice_ns(s, &flow[f], m, &taken[f]);
      least = ns[f] < least ? ns[f] : least;
      printf(" %10.1f", ns[f] / 1e3);
    }
    for (int f = 0; f < FLOWS && m < SUMMED; f++)
      sum[f] += ns[f], mean[f] += ns[f] / least / SUMMED;
    hone_buffer_t text = {0};
    for (int f = PRIOR; f < FLOWS; f++) {
      hone_buffer_format(&text, "%s%s", f == PRIOR ? "" : "; ", hone_family_name(taken[f]->family));
      hone_schedule_write(&taken[f]->schedule, &text);
    }
    printf("  %s\n", text.data);
    hone_buffer_deinit(&text);
  }
  for (int f = 0; f < STATICS; f++) {
    if (!flow[f].count) continue;
    if (best < 0 || sum[f] < sum[best]) best = f;
    if (best_mean < 0 || mean[f] < mean[best_mean]) best_mean = f;
  }
  printf(
      "M = 1 ... 128, best static / selected: summed times %.3f by prior, %.3f when measured (%s); "
      "each M alike %.3f, %.3f (%s)\n",
      sum[best] / sum[PRIOR], sum[best] / sum[MEASURED], names[best], mean[best_mean] / mean[PRIOR],
      mean[best_mean] / mean[MEASURED], names[best_mean]);
}

static void list_times(const study_t *s, size_t isa) {
  printf("\n%s, nanoseconds of one call on one thread\n%-44s", s->bench->isa[isa].isa->name, "");
  for (size_t m = 0; m < COUNTS; m++) printf(" %9u", counts[m]);
  printf("\n");
  for (size_t i = 0; i < s->bench->specs.count; i++) {
    const hone_kernel_spec_t *spec = &s->bench->specs.items[i];
    hone_buffer_t text = {0};
    hone_buffer_text(&text, hone_family_name(spec->family));
    hone_schedule_write(&spec->schedule, &text);
    for (int row = 0; row < 2; row++) {
      printf("%-35s %8s", row ? "" : text.data, row ? "prior" : "measured");
      for (size_t m = 0; m < COUNTS; m++) {
        double prior =
            hone_cpu_cost(spec, s->bench->isa[isa].isa, hone_cpu_facts_default(), counts[m], 1).ns;
        printf(" %9.0f", row ? prior : s->ns[i][m]);
      }
      printf("\n");
    }
    hone_buffer_deinit(&text);
  }
}

static void time_level(study_t *s, size_t isa, bool lists) {
  static hone_measured_t rows[KERNEL_LIMIT * COUNTS];
  size_t count = 0;
  for (size_t i = 0; i < s->bench->specs.count; i++) {
    for (size_t m = 0; m < COUNTS; m++) {
      s->ns[i][m] = time_call(s, isa, i, counts[m]);
      rows[count++] = (hone_measured_t){.family = s->bench->specs.items[i].family,
                                        .schedule = s->bench->specs.items[i].schedule,
                                        .M = counts[m],
                                        .threads = 1,
                                        .ns = s->ns[i][m]};
    }
  }
  if (lists)
    list_times(s, isa);
  else
    report(s, isa, rows, count);
}

int main(int argc, char **argv) {
  bool lists = argc > 1 && !strcmp(argv[argc - 1], "candidates");
  if (lists) argc--;
  hone_format_t format, input = {HONE_Q8, 64};
  hone_status_t status = {0};
  if (argc < 2 || !hone_format_parse(argv[1], &format, &status)) {
    fprintf(stderr, "usage: bench_dataflow FORMAT [N K [INPUT [LEVEL]]] [candidates]\n");
    return 2;
  }
  if (!hone_format_is_quantized(format.storage)) input.storage = HONE_F32;
  if (argc > 4 && !hone_format_parse(argv[4], &input, &status)) return 2;
  uint64_t random = 1;
  study_t s = {.bench = bench_create()};
  s.problem = (hone_kernel_spec_t){.family = HONE_FAMILY_GEMV,
                                   .weight = format,
                                   .input = input.storage,
                                   .N = argc > 3 ? (uint32_t)atoi(argv[2]) : 2048,
                                   .K = argc > 3 ? (uint32_t)atoi(argv[3]) : 2048};
  for (size_t isa = 0; isa < hone_cpu_isa_count(); isa++) {
    hone_cpu_dataflow_job_t job = job_of(&s, isa, family_bits(&s));
    add_flow(&s, &job);
    for (int f = 0; f < FAMILIES; f++) {
      job.families = family_bits(&s) & 1u << linears[f];
      job.is_static = true;
      if (job.families) add_flow(&s, &job);
    }
  }
  if (lists) add_axes(&s);
  bench_build(s.bench);
  packed_t weight = pack_weight(format, s.problem.N, s.problem.K, &random);
  s.matrix_bytes = hone_packed_bytes(format, s.problem.N, s.problem.K);
  s.copies = COLD_BYTES / s.matrix_bytes + 1;
  s.weights = region_create(s.matrix_bytes * s.copies);
  for (size_t i = 0; i < s.copies; i++)
    memcpy(s.weights.data + i * s.matrix_bytes, weight.region.data, s.matrix_bytes);
  s.out = region_create(hone_row_bytes(HONE_F32, s.problem.N) * ROWS);
  s.x = pack_rows(input.storage, ROWS, s.problem.K, &random);
  for (size_t isa = 0; isa < s.bench->isa_count; isa++) {
    bool wanted = argc <= 5 || !strcmp(argv[5], s.bench->isa[isa].isa->name);
    if (s.bench->isa[isa].present && wanted) time_level(&s, isa, lists);
  }
  region_destroy(&s.weights);
  region_destroy(&s.out);
  packed_destroy(&weight);
  rows_destroy(&s.x);
  bench_destroy(s.bench);
  return 0;
}
