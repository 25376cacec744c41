// How near the CPU kernels come to the machine: gemv in GB/s of packed weights against a loop that
// only reads memory, gemm in GFLOP/s against a loop that only multiplies and adds, on one thread,
// in thread CPU time, best of several. Every format at its default
// group. Usage: bench_kernels [N K [FORMAT]]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/packed.h"
#include "tests/bench/machine.h"
#include "tests/conformance/pack.h"

enum { GEMM_ROWS = 96, COLD_BYTES = 192 << 20 };

typedef struct timing {
  const bench_t *bench;
  size_t isa, kernel;
  hone_kernel_args_t args;
  const region_t *weights;  // `copies` matrices, one after the other
  size_t matrix_bytes, copies;
} timing_t;

// Time of one call in ns, walking over the copies of the matrix.
static double call_ns(timing_t *t) {
  int64_t units = bench_units(&t->bench->specs.items[t->kernel], t->args.M);
  hone_kernel_fn *kernel = t->bench->isa[t->isa].kernels[t->kernel];
  double best = 1e30;
  for (int r = 0; r < MACHINE_REPEATS; r++) {
    double start = machine_now_ns();
    long calls = 0;
    do {
      for (size_t i = 0; i < t->copies; i++, calls++) {
        t->args.ptr[1] = t->weights->data + i * t->matrix_bytes;
        kernel(&t->args, 0, units);
      }
    } while (machine_now_ns() - start < machine_shortest_ns);
    double time = (machine_now_ns() - start) / (double)calls;
    best = time < best ? time : best;
  }
  return best;
}

static void bench_format(const bench_t *bench, size_t isa, size_t format, double peak) {
  size_t gemv = 2 * format, gemm = gemv + 1;
  const hone_kernel_spec_t *spec = &bench->specs.items[gemv];
  uint64_t random = 1;
  size_t bytes = hone_packed_bytes(spec->weight, spec->N, spec->K), copies = COLD_BYTES / bytes;
  region_t cold = region_create(bytes * copies),
           out = region_create(hone_row_bytes(HONE_F32, spec->N) * GEMM_ROWS);
  packed_t weight = pack_weight(spec->weight, spec->N, spec->K, &random);
  for (size_t i = 0; i < copies; i++) memcpy(cold.data + i * bytes, weight.region.data, bytes);
  rows_t x = pack_rows(spec->input, GEMM_ROWS, spec->K, &random);
  timing_t t = {.bench = bench,
                .isa = isa,
                .kernel = gemv,
                .weights = &cold,
                .matrix_bytes = bytes,
                .copies = 1};
  t.args = (hone_kernel_args_t){.ptr = {x.region.data, NULL, NULL, NULL, out.data}, .M = 1};
  double hot_rate = (double)bytes / call_ns(&t), hot_read = machine_read_gbs(cold.data, bytes);
  t.copies = copies;
  double cold_rate = (double)bytes / call_ns(&t),
         cold_read = machine_read_gbs(cold.data, bytes * copies);
  t.copies = 1, t.kernel = gemm, t.args.M = GEMM_ROWS;
  double gflops = 2.0 * spec->N * spec->K * GEMM_ROWS / call_ns(&t);
  char name[24];
  printf("%-7s %-11s x %-3s | %6.1f %6.1f %5.2f | %6.1f %6.1f %5.2f | %7.1f %7.1f %5.2f\n",
         bench->isa[isa].isa->name, hone_format_text(spec->weight, name),
         hone_format_info(spec->input)->name, hot_rate, hot_read, hot_rate / hot_read, cold_rate,
         cold_read, cold_rate / cold_read, gflops, peak, gflops / peak);
  fflush(stdout);
  region_destroy(&cold);
  region_destroy(&out);
  packed_destroy(&weight);
  rows_destroy(&x);
}

// Kernel 2 i is the gemv, 2 i + 1 the gemm of one format on one kind of rows.
static void add_format(bench_t *bench, const hone_format_info_t *info, uint32_t N, uint32_t K) {
  static const hone_storage_t inputs[] = {HONE_F32, HONE_Q8, HONE_B1};
  int count = info->grid == HONE_GRID_PLANES ? 3 : hone_format_is_quantized(info->storage) ? 2 : 1;
  for (int i = 0; i < count; i++) {
    hone_kernel_spec_t spec = {
        .weight = hone_format_default(info->storage), .input = inputs[i], .N = N, .K = K};
    spec.family = HONE_FAMILY_GEMV, spec.schedule.prefetch = 64;
    bench_add(bench, &spec);
    spec.family = inputs[i] == HONE_B1 ? HONE_FAMILY_FLAT : HONE_FAMILY_GEMM;
    spec.schedule.prefetch = 0;
    bench_add(bench, &spec);
  }
}

int main(int argc, char **argv) {
  uint32_t N = argc > 2 ? (uint32_t)atoi(argv[1]) : 2048,
           K = argc > 2 ? (uint32_t)atoi(argv[2]) : 2048;
  bench_t *bench = bench_create();
  for (size_t f = 0; f < hone_format_count(); f++) {
    const hone_format_info_t *info = hone_format_at(f);
    if (argc <= 3 || strcmp(argv[3], info->name) == 0) add_format(bench, info, N, K);
  }
  bench_build(bench);
  printf("N = %u, K = %u, gemm of %d rows\n", N, K, GEMM_ROWS);
  printf(
      "                          | gemv in cache GB/s   | gemv in memory GB/s  | gemm GFLOP/s\n");
  printf(
      "level   weight            |   gemv   read ratio  |   gemv   read ratio  |    gemm    peak "
      "ratio\n");
  for (size_t isa = 0; isa < bench->isa_count; isa++) {
    if (!bench->isa[isa].present) continue;
    double peak = machine_peak_gflops(bench->isa[isa].isa->lanes == 16);
    for (size_t f = 0; f < bench->specs.count / 2; f++) bench_format(bench, isa, f, peak);
  }
  bench_destroy(bench);
  return 0;
}
