// Cost and dataflow selection: costs move the right way; every M has an entry; switches win by more
// than noise; measurements move breakpoints; limits and refusals.
#include "tests/unit/codegen/test.h"

#include <math.h>

#include "codegen/cpu/dataflow.h"
#include "codegen/cpu/linear_block.h"

enum { LINEARS = 1 << HONE_FAMILY_GEMV | 1 << HONE_FAMILY_FLAT | 1 << HONE_FAMILY_GEMM };

static hone_kernel_spec_t linear(hone_storage_t weight, hone_storage_t input, uint32_t N,
                                 uint32_t K) {
  return (hone_kernel_spec_t){.family = HONE_FAMILY_GEMV,
                              .weight = hone_format_default(weight),
                              .input = input,
                              .N = N,
                              .K = K};
}

static hone_cpu_dataflow_job_t job_of(const hone_kernel_spec_t *spec, size_t isa) {
  return (hone_cpu_dataflow_job_t){.problem = spec,
                                   .families = LINEARS,
                                   .isa = hone_cpu_isa_at(isa),
                                   .facts = hone_cpu_facts_default()};
}

static hone_cpu_dataflow_t select_flow(const hone_cpu_dataflow_job_t *job) {
  hone_cpu_dataflow_t flow;
  hone_status_t status = {0};
  assert_works(hone_cpu_dataflow_select(job, &flow, &status), &status);
  return flow;
}

static const hone_flow_choice_t *choice_at(const hone_cpu_dataflow_t *flow, uint32_t M) {
  size_t i = 0;
  while (i + 1 < flow->count && M >= flow->intervals[i].choice.below) i++;
  return &flow->intervals[i].choice;
}

static double cost(const hone_kernel_spec_t *spec, size_t isa, uint64_t M, uint32_t threads) {
  return hone_cpu_cost(spec, hone_cpu_isa_at(isa), hone_cpu_facts_default(), M, threads).ns;
}

// ---- cost

static void costs_move_the_right_way(void **state) {
  (void)state;
  static const hone_family_t families[] = {HONE_FAMILY_GEMV, HONE_FAMILY_FLAT, HONE_FAMILY_GEMM};
  for (size_t isa = 0; isa < HONE_CPU_ISA_COUNT; isa++) {
    for (int f = 0; f < 3; f++) {
      hone_kernel_spec_t spec = linear(HONE_NF4, HONE_Q8, 2048, 2048), larger = spec, wide = spec;
      spec.family = larger.family = wide.family = families[f];
      larger.N *= 2;
      wide.weight = hone_format_default(HONE_Q8);
      for (uint64_t M = 1; M <= 512; M *= 2) {
        assert_true(cost(&spec, isa, M, 1) > 0);
        assert_true(cost(&spec, isa, 2 * M, 1) >= cost(&spec, isa, M, 1));
        assert_true(cost(&larger, isa, M, 1) > cost(&spec, isa, M, 1));
        assert_true(cost(&spec, isa, M, 2) < cost(&spec, isa, M, 1) * 1.01);
      }
      assert_true(cost(&wide, isa, 1, 2) > cost(&spec, isa, 1, 2));  // twice the bytes
    }
  }
}

static void asking_ahead_pays_while_memory_bounds(void **state) {
  (void)state;
  hone_kernel_spec_t spec = linear(HONE_NF4, HONE_Q8, 2048, 2048), asked = spec;
  asked.schedule.prefetch = 64;
  hone_cpu_cost_t plain = hone_cpu_cost(&spec, hone_cpu_isa_at(0), hone_cpu_facts_default(), 1, 1);
  assert_true(plain.memory_ns > plain.compute_ns);
  assert_true(cost(&asked, 0, 1, 1) < plain.ns);
  asked.schedule.prefetch = (uint32_t)hone_cpu_facts_default()->ahead_lines;
  double best = cost(&asked, 0, 1, 1);
  hone_kernel_spec_t beside = asked;
  beside.schedule.rows = 64;  // four tiles side by side, if registers have room
  for (size_t isa = 0; isa < hone_cpu_isa_count(); isa++) {
    bool has_room = hone_cpu_isa_at(isa)->registers == 32;
    assert_int_equal(cost(&beside, isa, 1, 1) < cost(&asked, isa, 1, 1), has_room);
  }
  for (uint32_t off = 0; off < 2; off++) {
    asked.schedule.prefetch = (uint32_t)hone_cpu_facts_default()->ahead_lines * (off ? 4 : 1) / 2;
    assert_true(cost(&asked, 0, 1, 1) > best);
  }
}

// Every format that is multiplied has constants: no cost is free.
static void every_format_has_constants(void **state) {
  (void)state;
  for (size_t i = 0; i < hone_format_count(); i++) {
    const hone_format_info_t *info = hone_format_at(i);
    for (size_t isa = 0; isa < HONE_CPU_ISA_COUNT; isa++) {
      for (int q8 = 0; q8 < 2; q8++) {
        if (q8 && !hone_format_is_quantized(info->storage)) continue;
        hone_kernel_spec_t spec = linear(info->storage, q8 ? HONE_Q8 : HONE_F32, 256, 256);
        hone_cpu_cost_t one =
            hone_cpu_cost(&spec, hone_cpu_isa_at(isa), hone_cpu_facts_default(), 1, 1);
        if (!(one.compute_ns > 0 && one.memory_ns > 0)) fail_msg("%s costs nothing", info->name);
      }
    }
  }
}

// The tile level's own kernels are those that multiply q8 rows for many tokens: they win early. All
// others are those of the level below, which costs the same there.
static void tiles_are_for_many_tokens(void **state) {
  (void)state;
  const hone_cpu_isa_t *amx = hone_cpu_isa_at(HONE_CPU_ISA_AMX), *base = amx->base;
  static const hone_format_t formats[] = {
      {HONE_NF4, 64}, {HONE_Q8, 64}, {HONE_NVFP4, 16}, {HONE_BCQ3, 128}};
  assert_ptr_equal(base, hone_cpu_isa_at(HONE_CPU_ISA_AVX512));
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    hone_kernel_spec_t spec = linear(formats[i].storage, HONE_Q8, 2048, 2048);
    spec.weight = formats[i];
    hone_cpu_dataflow_job_t job = job_of(&spec, HONE_CPU_ISA_AMX);
    hone_cpu_dataflow_t flow = select_flow(&job);
    assert_int_equal(choice_at(&flow, 1)->family, HONE_FAMILY_GEMV);
    assert_int_equal(choice_at(&flow, 64)->family, HONE_FAMILY_GEMM);
    for (int f = HONE_FAMILY_GEMV; f <= HONE_FAMILY_GEMM; f++) {
      spec.family = (hone_family_t)f;
      bool is_own = f == HONE_FAMILY_GEMM;
      assert_ptr_equal(hone_cpu_kernel_level(&spec, amx), is_own ? amx : base);
      assert_ptr_equal(hone_cpu_kernel_level(&spec, base), base);
      for (uint64_t M = 1; M <= 256; M *= 4) {
        double own = cost(&spec, HONE_CPU_ISA_AMX, M, 1);
        double other = cost(&spec, HONE_CPU_ISA_AVX512, M, 1);
        assert_true(is_own ? M < 16 || own < other : own == other);
      }
    }
  }
  hone_kernel_spec_t floats = linear(HONE_NF4, HONE_F32, 2048, 2048);
  floats.family = HONE_FAMILY_GEMM;
  assert_ptr_equal(hone_cpu_kernel_level(&floats, amx), base);
}

// ---- tables

static void check_table(const hone_cpu_dataflow_job_t *job) {
  hone_cpu_dataflow_t flow = select_flow(job);
  hone_flow_choice_t choices[HONE_FLOW_LIMIT];
  size_t count;
  hone_status_t status = {0};
  assert_in_range(flow.count, 1, HONE_FLOW_LIMIT);
  assert_int_equal(flow.intervals[flow.count - 1].choice.below, UINT32_MAX);
  uint32_t from = 1;
  for (size_t i = 0; i < flow.count; i++) {
    const hone_cpu_interval_t *interval = &flow.intervals[i];
    assert_true(interval->choice.below > from);
    assert_true(interval->M >= from && interval->M < interval->choice.below);
    assert_true(interval->ns > 0 && isfinite(interval->ns));
    assert_true(job->families & 1u << interval->choice.family);
    if (interval->has_rival) assert_true(interval->rival_ns > 0);
    from = interval->choice.below;
  }
  hone_buffer_t text = {0};
  hone_cpu_dataflow_write(&flow, &text);
  assert_works(hone_flow_parse(text.data, choices, &count, &status), &status);
  assert_int_equal(count, flow.count);
  for (size_t i = 0; i < count; i++)
    assert_memory_equal(&choices[i], &flow.intervals[i].choice, sizeof choices[i]);
  hone_buffer_deinit(&text);
}

// Columns are split where threads outnumber units, and only there.
static void columns_are_split_for_many_threads(void **state) {
  (void)state;
  hone_cpu_facts_t many = *hone_cpu_facts_default();
  many.threads = 64;
  many.socket_gbs = 300;
  for (size_t isa = 0; isa < HONE_CPU_ISA_COUNT; isa++) {
    hone_kernel_spec_t few = linear(HONE_NF4, HONE_Q8, 256, 8192);
    hone_kernel_spec_t enough = linear(HONE_NF4, HONE_Q8, 16384, 8192);
    hone_kernel_spec_t narrow = linear(HONE_NF4, HONE_Q8, 256, 1024);  // one fold
    hone_cpu_dataflow_job_t job = job_of(&few, isa);
    hone_cpu_dataflow_t two = select_flow(&job);
    assert_int_equal(choice_at(&two, 1)->schedule.split, 0);
    job.facts = &many;
    hone_cpu_dataflow_t flow = select_flow(&job);
    assert_in_range(choice_at(&flow, 1)->schedule.split, 4, 8);
    job.problem = &enough;
    flow = select_flow(&job);
    assert_int_equal(choice_at(&flow, 1)->schedule.split, 0);
    job.problem = &narrow;
    flow = select_flow(&job);
    assert_int_equal(choice_at(&flow, 1)->schedule.split, 0);
  }
}

static void every_row_count_has_an_entry(void **state) {
  (void)state;
  static const uint32_t shapes[][2] = {{64, 64}, {512, 2048}, {2048, 2048}, {128256, 2048}};
  for (size_t f = 0; f < hone_format_count(); f++) {
    hone_storage_t storage = hone_format_at(f)->storage;
    hone_storage_t input = hone_format_is_quantized(storage) ? HONE_Q8 : HONE_F32;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
      for (size_t isa = 0; isa < HONE_CPU_ISA_COUNT; isa++) {
        hone_kernel_spec_t spec = linear(storage, input, shapes[i][0], shapes[i][1]);
        hone_cpu_dataflow_job_t job = job_of(&spec, isa);
        check_table(&job);
      }
    }
  }
  hone_kernel_spec_t attend = {.family = HONE_FAMILY_ATTEND_DECODE,
                               .heads = 32,
                               .kv_heads = 8,
                               .head_dim = 64,
                               .cache = HONE_F16,
                               .scale = 0.125f};
  hone_cpu_dataflow_job_t job = job_of(&attend, 0);
  job.families = 1 << HONE_FAMILY_ATTEND_DECODE | 1 << HONE_FAMILY_ATTEND_PREFILL;
  check_table(&job);
}

// Few kv heads leave threads without work, unless heads are split; enough of them are left whole,
// and so are heads of a context that has too few chunks.
static void heads_split_where_threads_wait(void **state) {
  (void)state;
  hone_cpu_facts_t many = *hone_cpu_facts_default();
  many.threads = 16;
  many.socket_gbs *= 8;
  static const struct {
    uint32_t kv_heads, threads, context, split;
  } cases[] = {{1, 2, 4096, 2}, {8, 2, 4096, 0},   {2, 2, 4096, 0},    {1, 2, 256, 0},
               {1, 1, 4096, 0}, {1, 16, 8192, 16}, {4, 16, 131072, 4}, {1, 16, 1024, 4}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    many.threads = cases[i].threads;
    hone_kernel_spec_t attend = {.family = HONE_FAMILY_ATTEND_DECODE,
                                 .heads = 16,
                                 .kv_heads = cases[i].kv_heads,
                                 .head_dim = 64,
                                 .cache = HONE_F16,
                                 .scale = 0.125f};
    hone_cpu_dataflow_job_t job = job_of(&attend, 0);
    job.families = 1 << HONE_FAMILY_ATTEND_DECODE | 1 << HONE_FAMILY_ATTEND_PREFILL;
    job.facts = &many;
    job.context = cases[i].context;
    hone_cpu_dataflow_t flow = select_flow(&job);
    assert_int_equal(choice_at(&flow, 1)->family, HONE_FAMILY_ATTEND_DECODE);
    assert_int_equal(choice_at(&flow, 1)->schedule.split, cases[i].split);
    assert_int_equal(choice_at(&flow, 256)->schedule.split, 0);
  }
}

// Where the table switches, the new choice wins; the old one would not have a row earlier.
static void switches_win_by_more_than_noise(void **state) {
  (void)state;
  for (size_t isa = 0; isa < HONE_CPU_ISA_COUNT; isa++) {
    hone_kernel_spec_t spec = linear(HONE_NF4, HONE_Q8, 2048, 8192);
    hone_cpu_dataflow_job_t job = job_of(&spec, isa);
    hone_cpu_dataflow_t flow = select_flow(&job);
    assert_true(flow.count > 1);
    for (size_t i = 1; i < flow.count; i++) {
      uint32_t M = flow.intervals[i - 1].choice.below;
      double before = hone_cpu_dataflow_ns(&job, &flow.intervals[i - 1].choice, M);
      assert_true(hone_cpu_dataflow_ns(&job, &flow.intervals[i].choice, M) < before * 0.98);
    }
  }
}

// What one row is best done with is not what 512 are best done with.
static void decode_and_prefill_differ(void **state) {
  (void)state;
  hone_kernel_spec_t spec = linear(HONE_NF4, HONE_F32, 2048, 2048);
  hone_cpu_dataflow_job_t job = job_of(&spec, HONE_CPU_ISA_AVX2);
  hone_cpu_dataflow_t flow = select_flow(&job);
  assert_int_equal(choice_at(&flow, 1)->family, HONE_FAMILY_GEMV);
  assert_int_equal(choice_at(&flow, 512)->family, HONE_FAMILY_GEMM);
}

static void selection_repeats(void **state) {
  (void)state;
  hone_kernel_spec_t spec = linear(HONE_BCQ3, HONE_Q8, 2048, 2048);
  hone_cpu_dataflow_job_t job = job_of(&spec, 0);
  hone_cpu_dataflow_t a = select_flow(&job), b = select_flow(&job);
  assert_int_equal(a.count, b.count);
  for (size_t i = 0; i < a.count; i++)
    assert_memory_equal(&a.intervals[i].choice, &b.intervals[i].choice,
                        sizeof a.intervals[i].choice);
}

static void a_static_flow_is_one_kernel(void **state) {
  (void)state;
  hone_kernel_spec_t spec = linear(HONE_NF4, HONE_Q8, 2048, 2048);
  hone_cpu_dataflow_job_t job = job_of(&spec, 0);
  job.is_static = true;
  for (int family = HONE_FAMILY_GEMV; family <= HONE_FAMILY_GEMM; family++) {
    job.families = 1u << family;
    hone_cpu_dataflow_t flow = select_flow(&job);
    assert_int_equal(flow.count, 1);
    assert_int_equal(flow.intervals[0].choice.family, family);
  }
}

static void what_no_family_does_is_refused(void **state) {
  (void)state;
  hone_kernel_spec_t spec = linear(HONE_B1, HONE_B1, 256, 256);
  hone_cpu_dataflow_job_t job = job_of(&spec, 0);
  hone_cpu_dataflow_t flow;
  hone_status_t status = {0};
  job.families = 1 << HONE_FAMILY_GEMM;
  assert_fails(hone_cpu_dataflow_select(&job, &flow, &status), &status, HONE_UNSUPPORTED, "gemm");
  job.families = LINEARS;  // the others do
  check_table(&job);
}

// ---- measured times

static hone_measured_t row(hone_family_t family, uint32_t M, double ns) {
  return (hone_measured_t){.family = family, .M = M, .threads = 2, .ns = ns, .spread_ns = ns / 50};
}

// Two families measured so that they cross between 16 and 64 rows, far from where the prior has it.
static void measurements_move_a_breakpoint(void **state) {
  (void)state;
  hone_kernel_spec_t spec = linear(HONE_NF4, HONE_Q8, 2048, 2048);
  const hone_measured_t rows[] = {
      row(HONE_FAMILY_GEMV, 1, 1e5),   row(HONE_FAMILY_FLAT, 1, 2e5),
      row(HONE_FAMILY_GEMV, 16, 1e6),  row(HONE_FAMILY_FLAT, 16, 2e6),
      row(HONE_FAMILY_GEMV, 64, 8e6),  row(HONE_FAMILY_FLAT, 64, 4e6),
      row(HONE_FAMILY_GEMV, 512, 8e7), row(HONE_FAMILY_FLAT, 512, 2e7),
  };
  hone_cpu_dataflow_job_t job = job_of(&spec, 0);
  job.families = 1 << HONE_FAMILY_GEMV | 1 << HONE_FAMILY_FLAT;
  uint32_t prior = select_flow(&job).intervals[0].choice.below;
  assert_true(prior < 16);
  job.rows = rows, job.row_count = sizeof rows / sizeof *rows;
  check_table(&job);
  hone_cpu_dataflow_t flow = select_flow(&job);
  assert_int_equal(flow.count, 2);
  assert_int_equal(flow.intervals[0].choice.family, HONE_FAMILY_GEMV);
  assert_in_range(flow.intervals[0].choice.below, 17, 64);
  for (size_t i = 0; i < job.row_count; i++) {  // at a measured M: that time
    hone_flow_choice_t choice = {.family = rows[i].family};
    double ns = hone_cpu_dataflow_ns(&job, &choice, rows[i].M);
    assert_true(fabs(ns / rows[i].ns - 1) < 1e-9);
  }
  assert_true(flow.intervals[1].is_measured);
  assert_true(fabs(flow.intervals[1].spread_ns * 50 / flow.intervals[1].ns - 1) < 1e-9);
  assert_int_equal(flow.threads, 2);
}

static void between_measurements_lies_between(void **state) {
  (void)state;
  hone_kernel_spec_t spec = linear(HONE_NF4, HONE_Q8, 2048, 2048);
  hone_cpu_dataflow_job_t job = job_of(&spec, 0);
  hone_flow_choice_t choice = {.family = HONE_FAMILY_GEMM};
  double at8 = hone_cpu_dataflow_ns(&job, &choice, 8),
         at16 = hone_cpu_dataflow_ns(&job, &choice, 16),
         at32 = hone_cpu_dataflow_ns(&job, &choice, 32);
  const hone_measured_t rows[] = {row(HONE_FAMILY_GEMM, 8, 2 * at8),
                                  row(HONE_FAMILY_GEMM, 32, 8 * at32)};
  job.rows = rows, job.row_count = 2;
  assert_true(fabs(hone_cpu_dataflow_ns(&job, &choice, 16) / at16 - 4) < 1e-6);
  double at1 = hone_cpu_dataflow_ns(&job, &choice, 1);
  job.row_count = 0;
  assert_true(fabs(at1 / hone_cpu_dataflow_ns(&job, &choice, 1) - 2) < 1e-6);
}

// Noise does not move a table: a schedule that measures 1 % better is not switched to.
static void noise_changes_nothing(void **state) {
  (void)state;
  hone_kernel_spec_t spec = linear(HONE_NF4, HONE_Q8, 2048, 2048);
  hone_measured_t rows[8];
  for (int i = 0; i < 8; i++) {
    rows[i] = row(HONE_FAMILY_GEMM, 1u << i / 2 * 3, 1e5 * (1 << i / 2 * 3));
    if (i % 2) rows[i].schedule.chunk = 8, rows[i].ns *= i == 1 ? 1.1 : 0.99;
  }
  hone_cpu_dataflow_job_t job = job_of(&spec, 0);
  job.families = 1 << HONE_FAMILY_GEMM;
  job.rows = rows, job.row_count = 8;
  hone_cpu_dataflow_t flow = select_flow(&job);
  assert_int_equal(flow.count, 1);
  assert_int_equal(flow.intervals[0].choice.schedule.chunk, 0);
  for (int i = 3; i < 8; i += 2) rows[i].ns *= 0.9;  // more than noise
  flow = select_flow(&job);
  assert_int_equal(flow.count, 2);
  assert_int_equal(flow.intervals[1].choice.schedule.chunk, 8);
}

// A schedule that was measured to be fast at 2 rows says little of 128, where others were measured.
static void predictions_from_afar_do_not_win(void **state) {
  (void)state;
  hone_kernel_spec_t spec = linear(HONE_NF4, HONE_Q8, 2048, 2048);
  hone_cpu_dataflow_job_t job = job_of(&spec, 0);
  hone_measured_t rows[] = {row(HONE_FAMILY_FLAT, 2, 0), row(HONE_FAMILY_GEMM, 2, 0),
                            row(HONE_FAMILY_FLAT, 128, 0), row(HONE_FAMILY_GEMM, 128, 0)};
  rows[0].schedule.tokens = 2;
  rows[2].schedule.tokens = 12;
  for (int i = 0; i < 4; i++) {
    hone_flow_choice_t choice = {.family = rows[i].family, .schedule = rows[i].schedule};
    rows[i].ns = hone_cpu_dataflow_ns(&job, &choice, rows[i].M);
  }
  rows[0].ns /= 50;
  rows[3].ns = rows[2].ns / 2;
  job.rows = rows, job.row_count = 4;
  hone_cpu_dataflow_t flow = select_flow(&job);
  assert_int_equal(choice_at(&flow, 2)->schedule.tokens, 2);
  assert_int_equal(choice_at(&flow, 128)->family, HONE_FAMILY_GEMM);
  assert_int_equal(choice_at(&flow, 512)->family, HONE_FAMILY_GEMM);
}

// An exhaustive search leaves hundreds of rows; the best one may be the last.
static void every_measured_candidate_counts(void **state) {
  (void)state;
  static const uint32_t tokens[] = {2, 3, 4, 6, 8, 12}, prefetch[] = {0, 32, 64, 128};
  hone_kernel_spec_t spec = linear(HONE_NF4, HONE_Q8, 2048, 2048);
  hone_measured_t rows[6 * 4 * 3 + 1];
  size_t count = 0;
  for (int i = 0; i < 6 * 4 * 3; i++) {
    rows[count] = row(HONE_FAMILY_FLAT, 128, 1e6 + i);
    rows[count].schedule = (hone_schedule_t){
        .tokens = tokens[i % 6], .prefetch = prefetch[i / 6 % 4], .chunk = 64u << i / 24};
    count++;
  }
  rows[count++] = row(HONE_FAMILY_GEMM, 128, 5e5);
  hone_cpu_dataflow_job_t job = job_of(&spec, 0);
  job.rows = rows, job.row_count = count;
  hone_cpu_dataflow_t flow = select_flow(&job);
  assert_int_equal(choice_at(&flow, 128)->family, HONE_FAMILY_GEMM);
}

// More good choices than entries: the least missed ones go.
static void the_limit_holds(void **state) {
  (void)state;
  enum { SCHEDULES = 6, COUNTS = 10 };
  static const uint32_t tokens[SCHEDULES] = {2, 3, 4, 6, 8, 10};
  hone_kernel_spec_t spec = linear(HONE_NF4, HONE_Q8, 2048, 2048);
  hone_measured_t rows[SCHEDULES * COUNTS];
  for (int m = 0; m < COUNTS; m++) {
    for (int i = 0; i < SCHEDULES; i++) {
      rows[m * SCHEDULES + i] = row(HONE_FAMILY_FLAT, 1u << m, 1e5 * (1 << m));
      rows[m * SCHEDULES + i].schedule.tokens = tokens[i];
      if (i != m % SCHEDULES) rows[m * SCHEDULES + i].ns *= 1.5;
    }
  }
  hone_cpu_dataflow_job_t job = job_of(&spec, 0);
  job.rows = rows, job.row_count = SCHEDULES * COUNTS;
  check_table(&job);
  assert_in_range(select_flow(&job).count, HONE_FLOW_LIMIT / 2, HONE_FLOW_LIMIT);
}

// Rows that are not of this machine's kernels or make no sense do not count.
static void bad_rows_do_not_count(void **state) {
  (void)state;
  hone_kernel_spec_t spec = linear(HONE_NF4, HONE_Q8, 2048, 2048);
  hone_measured_t rows[] = {row(HONE_FAMILY_FLAT, 0, 1), row(HONE_FAMILY_FLAT, 4, 0),
                            row(HONE_FAMILY_NORM, 4, 1), row(HONE_FAMILY_FLAT, 8, 1)};
  rows[3].schedule.rows = 7;
  hone_cpu_dataflow_job_t job = job_of(&spec, 0);
  hone_cpu_dataflow_t before = select_flow(&job);
  job.rows = rows, job.row_count = sizeof rows / sizeof *rows;
  check_table(&job);
  hone_cpu_dataflow_t after = select_flow(&job);
  assert_int_equal(before.count, after.count);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(costs_move_the_right_way),
      cmocka_unit_test(asking_ahead_pays_while_memory_bounds),
      cmocka_unit_test(every_format_has_constants),
      cmocka_unit_test(columns_are_split_for_many_threads),
      cmocka_unit_test(tiles_are_for_many_tokens),
      cmocka_unit_test(every_row_count_has_an_entry),
      cmocka_unit_test(heads_split_where_threads_wait),
      cmocka_unit_test(switches_win_by_more_than_noise),
      cmocka_unit_test(decode_and_prefill_differ),
      cmocka_unit_test(selection_repeats),
      cmocka_unit_test(a_static_flow_is_one_kernel),
      cmocka_unit_test(what_no_family_does_is_refused),
      cmocka_unit_test(measurements_move_a_breakpoint),
      cmocka_unit_test(between_measurements_lies_between),
      cmocka_unit_test(noise_changes_nothing),
      cmocka_unit_test(predictions_from_afar_do_not_win),
      cmocka_unit_test(every_measured_candidate_counts),
      cmocka_unit_test(the_limit_holds),
      cmocka_unit_test(bad_rows_do_not_count),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
