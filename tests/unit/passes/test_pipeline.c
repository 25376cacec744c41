// The walk over the phases, with an import and a target of the test's own: order, --to, --dump,
// --emit ir, failures that name their phase, and clean-up.
#include "tests/unit/passes/fixture.h"

#include <unistd.h>

typedef struct trace {  // what ran, a letter each: i(mport) d(ataflow) k(ernels) w(eights) l(ink)
  char ran[16];
  bool fail_kernels;
  int closed;
} trace_t;

static trace_t *trace_of(hone_compile_t *compile) { return compile->source; }

static bool note_run(hone_compile_t *compile, const char *letter) {
  strcat(trace_of(compile)->ran, letter);
  return true;
}

static bool import(hone_compile_t *compile, hone_status_t *status) {
  char *text;
  size_t bytes;
  return note_run(compile, "i") &&
         hone_file_read(compile->options.model, 1 << 24, compile->arena, &text, &bytes, status) &&
         ir_model_parse(compile->session, text, "tiny.mlir", &compile->model, status);
}

static bool dataflow(hone_compile_t *compile, hone_status_t *status) {
  (void)status;
  return note_run(compile, "d");
}

static bool kernels(hone_compile_t *compile, hone_status_t *status) {
  if (trace_of(compile)->fail_kernels)
    return hone_fail(status, HONE_UNSUPPORTED, "no such machine");
  return note_run(compile, "k");
}

static bool weights(hone_compile_t *compile, hone_status_t *status) {
  (void)status;
  return note_run(compile, "w");
}

static bool artefact(hone_compile_t *compile, hone_status_t *status) {
  (void)status;
  return note_run(compile, "l");
}

static const hone_target_t target = {.name = "test",
                                     .select_dataflow = dataflow,
                                     .build_kernels = kernels,
                                     .pack_weights = weights,
                                     .link = artefact};

static void close_source(void *source) { ((trace_t *)source)->closed++; }

typedef struct job {
  hone_arena_t *arena;
  char *folder;
  trace_t trace;
  hone_status_t status;
} job_t;

static int setup(void **state) {
  job_t *job = calloc(1, sizeof *job);
  job->arena = hone_arena_create();
  *state = job;
  return hone_scratch_create(job->arena, &job->folder, &job->status) ? 0 : -1;
}

static int teardown(void **state) {
  job_t *job = *state;
  hone_scratch_remove(job->folder);
  hone_arena_destroy(job->arena);
  free(job);
  return 0;
}

static bool run(job_t *job, hone_compile_options_t options) {
  hone_diagnostics_t diagnostics = {.arena = job->arena};
  job->trace.ran[0] = '\0';
  job->status = (hone_status_t){0};
  options.model = hone_path_join(job->arena, getenv("HONE_SOURCE_DIR"), "samples/tiny.mlir");
  hone_compile_t compile = {.options = options,
                            .import = import,
                            .target = &target,
                            .arena = job->arena,
                            .diagnostics = &diagnostics,
                            .source = &job->trace,
                            .source_close = close_source};
  bool ok = ir_session_create(&diagnostics, &compile.session, &job->status) &&
            hone_compile_run(&compile, &job->status);
  hone_compile_deinit(&compile);
  hone_compile_deinit(&compile);  // twice is harmless
  return ok;
}

static const char *path_in(job_t *job, const char *name) {
  return hone_path_join(job->arena, job->folder, name);
}

static const char *read_text(job_t *job, const char *name) {
  char *text;
  size_t bytes;
  if (!hone_file_read(path_in(job, name), 1 << 24, job->arena, &text, &bytes, &job->status))
    fail_msg("%s", job->status.message);
  return text;
}

static void ten_phases_in_order(void **state) {
  static const char *const names[] = {"import",   "canonical", "calibrate", "transform", "fuse",
                                      "dataflow", "memory",    "kernels",   "weights",   "link"};
  job_t *job = *state;
  assert_int_equal(hone_phase_count(), 10);
  for (size_t i = 0; i < 10; i++) assert_string_equal(hone_phase_at(i)->name, names[i]);
  if (!run(job, (hone_compile_options_t){0})) fail_msg("%s", job->status.message);
  assert_string_equal(job->trace.ran, "idkwl");
  assert_int_equal(job->trace.closed, 1);
}

static void to_stops_after_its_phase(void **state) {
  job_t *job = *state;
  assert_true(run(job, (hone_compile_options_t){.to = "import"}));
  assert_string_equal(job->trace.ran, "i");
  assert_true(run(job, (hone_compile_options_t){.to = "kernels"}));
  assert_string_equal(job->trace.ran, "idk");
  assert_false(run(job, (hone_compile_options_t){.to = "kernals"}));
  assert_string_equal(job->trace.ran, "");
  assert_contains(job->status.message, "unknown phase 'kernals'; did you mean 'kernels'?");
}

static void dump_writes_a_file_per_phase(void **state) {
  job_t *job = *state;
  const char *all = hone_arena_format(job->arena, "all:%s", path_in(job, "all"));
  assert_true(run(job, (hone_compile_options_t){.dump = all, .to = "memory", .weights = "nf4"}));
  assert_null(strstr(read_text(job, "all/0-import.mlir"), "nf4"));
  assert_non_null(strstr(read_text(job, "all/3-transform.mlir"), "!hone.nf4<64"));
  assert_non_null(strstr(read_text(job, "all/4-fuse.mlir"), "hone.attend_packed"));
  assert_non_null(strstr(read_text(job, "all/6-memory.mlir"), "hone.arena_bytes"));
  assert_false(hone_file_exists(path_in(job, "all/7-kernels.mlir")));
  const char *one = hone_arena_format(job->arena, "fuse:%s", path_in(job, "one"));
  assert_true(run(job, (hone_compile_options_t){.dump = one}));
  assert_true(hone_file_exists(path_in(job, "one/4-fuse.mlir")));
  assert_false(hone_file_exists(path_in(job, "one/3-transform.mlir")));
}

static void bad_dumps_are_refused_before_anything_runs(void **state) {
  static const char *const rows[][2] = {
      {"fuse", "PHASE:DIR"},
      {"fuse:", "PHASE:DIR"},
      {"fuze:x", "did you mean 'fuse'?"},
      {"link:x", "the last phase to run is memory"},
      {"all:/proc/no/such", "cannot make folder /proc/no/such"},
  };
  job_t *job = *state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_false(run(job, (hone_compile_options_t){.dump = rows[i][0], .to = "memory"}));
    assert_contains(job->status.message, rows[i][1]);
    assert_string_equal(job->trace.ran, "");
  }
}

static void emit_ir_writes_the_scheduled_model(void **state) {
  job_t *job = *state;
  hone_compile_options_t options = {.emit = "ir", .output = path_in(job, "out.mlir")};
  if (!run(job, options)) fail_msg("%s", job->status.message);
  assert_string_equal(job->trace.ran, "id");
  assert_non_null(strstr(read_text(job, "out.mlir"), "hone.arena_bytes"));
}

static void failures_name_the_phase_and_leave_nothing(void **state) {
  job_t *job = *state;
  job->trace.fail_kernels = true;
  assert_false(run(job, (hone_compile_options_t){.output = path_in(job, "out")}));
  assert_contains(job->status.message, "phase kernels: no such machine");
  assert_int_equal(job->status.code, HONE_UNSUPPORTED);
  assert_int_equal(job->trace.closed, 1);
  assert_false(hone_file_exists(path_in(job, "out")));
  assert_false(run(job, (hone_compile_options_t){.weights = "bf16", .acts = "q8"}));
  assert_contains(job->status.message, "phase transform: pass quantize-acts: @layers.0.attention");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(ten_phases_in_order, setup, teardown),
      cmocka_unit_test_setup_teardown(to_stops_after_its_phase, setup, teardown),
      cmocka_unit_test_setup_teardown(dump_writes_a_file_per_phase, setup, teardown),
      cmocka_unit_test_setup_teardown(bad_dumps_are_refused_before_anything_runs, setup, teardown),
      cmocka_unit_test_setup_teardown(emit_ir_writes_the_scheduled_model, setup, teardown),
      cmocka_unit_test_setup_teardown(failures_name_the_phase_and_leave_nothing, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
