// The pipeline: ten phases in order. Reading `phases` below is reading the compiler's table of
// contents; the rest of the file is how it is walked (--to, --dump, --emit ir, --timing). It knows
// no target and no file format: both come in through hone_compile_t.
#include "passes/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"

static bool run_import(hone_compile_t *compile, hone_status_t *status) {
  return compile->import(compile, status);
}

static bool run_canonical(hone_compile_t *compile, hone_status_t *status) {
  return hone_passes_run(&compile->model, "canonical", status);
}

static bool run_calibrate(hone_compile_t *compile, hone_status_t *status) {
  if (!compile->options.calibrate) return true;
  return compile->calibrate(compile, status);
}

static bool run_transform(hone_compile_t *compile, hone_status_t *status) {
  const hone_compile_options_t *o = &compile->options;
  const char *formats =
      hone_arena_format(compile->arena, "%squantize{%s%s %s%s}", o->fold_norms ? "fold-norms," : "",
                        o->weights ? "weights=" : "", o->weights ? o->weights : "",
                        o->head ? "head=" : "", o->head ? o->head : "");
  const char *rotate = !o->rotate ? ""
                                  : hone_arena_format(compile->arena, ",rotate{%s%s}",
                                                      o->rotate_block ? "block=" : "",
                                                      o->rotate_block ? o->rotate_block : "");
  const char *acts = hone_arena_format(compile->arena, "quantize-acts{%s%s}%s",
                                       o->acts ? "acts=" : "", o->acts ? o->acts : "", rotate);
  bool has_target = o->target_bpw > 0 || o->target_bytes > 0;
  return hone_passes_run(&compile->model, formats, status) &&
         (!has_target || compile->allocate(compile, status)) &&
         hone_passes_run(&compile->model, acts, status);
}

static bool run_fuse(hone_compile_t *compile, hone_status_t *status) {
  const hone_compile_options_t *o = &compile->options;
  bool is_reference = o->correct_all;
  const char *passes = is_reference         ? "fuse,correct-bias{of=all}"
                       : o->bias_correction ? "fuse,correct-bias"
                                            : "fuse";
  return hone_passes_run(&compile->model, passes, status);
}

static bool run_dataflow(hone_compile_t *compile, hone_status_t *status) {
  return compile->target->select_dataflow(compile, status) &&
         ir_model_verify(&compile->model, status);
}

static bool run_memory(hone_compile_t *compile, hone_status_t *status) {
  return hone_passes_run(&compile->model, "plan-memory", status);
}

static bool run_kernels(hone_compile_t *compile, hone_status_t *status) {
  return compile->target->build_kernels(compile, status);
}

static bool run_weights(hone_compile_t *compile, hone_status_t *status) {
  return compile->target->pack_weights(compile, status);
}

static bool run_link(hone_compile_t *compile, hone_status_t *status) {
  return compile->target->link(compile, status);
}

static const hone_phase_t phases[] = {
    {"import", "read the checkpoint or textual model", run_import},
    {"canonical", "one form for what importers may write in several", run_canonical},
    {"calibrate", "statistics from running text, for passes that ask for them", run_calibrate},
    {"transform", "replace blocks, prune tokens, sparsify, quantize", run_transform},
    {"fuse", "fewer, larger ops", run_fuse},
    {"dataflow", "kernel families for every op and number of rows", run_dataflow},
    {"memory", "a place for every activation", run_memory},
    {"kernels", "code for every kernel", run_kernels},
    {"weights", "quantize and pack the weights, tensor by tensor", run_weights},
    {"link", "one artefact", run_link},
};

size_t hone_phase_count(void) { return sizeof phases / sizeof *phases; }

const hone_phase_t *hone_phase_at(size_t index) { return &phases[index]; }

enum {
  LAST_EXPORT_PHASE = 3,  // "transform": formats are chosen, and tensors are still the checkpoint's
  LAST_IR_PHASE = 6,      // "memory": after it the IR does not change, so --emit ir stops there
};

static bool find_phase(const char *name, size_t *out_index, hone_status_t *status) {
  const char *names[sizeof phases / sizeof *phases];
  for (size_t i = 0; i < hone_phase_count(); i++) {
    names[i] = phases[i].name;
    *out_index = i;
    if (!strcmp(name, names[i])) return true;
  }
  const char *closest = hone_text_closest(name, names, hone_phase_count());
  return hone_fail(status, HONE_INVALID, "unknown phase '%s'%s%s%s; see 'hone list phases'", name,
                   closest ? "; did you mean '" : "", closest ? closest : "", closest ? "'?" : "");
}

// What --to, --dump and --emit mean for the walk over the phases.
typedef struct walk {
  size_t stop;              // last phase to run
  const char *dump_folder;  // NULL: no dumps
  size_t dump_first, dump_last;
  bool emit_ir;
} walk_t;

static bool read_dump(hone_compile_t *compile, walk_t *walk, hone_status_t *status) {
  const char *text = compile->options.dump;
  if (!text) return true;
  const char *colon = strchr(text, ':');
  if (!colon || colon == text || !colon[1])
    return hone_fail(status, HONE_INVALID, "--dump %s: PHASE:DIR or all:DIR is expected", text);
  const char *name = hone_arena_strndup(compile->arena, text, (size_t)(colon - text));
  walk->dump_folder = colon + 1;
  walk->dump_last = walk->stop;
  if (strcmp(name, "all")) {
    if (!find_phase(name, &walk->dump_first, status)) return hone_note(status, "--dump");
    if (walk->dump_first > walk->stop)
      return hone_fail(status, HONE_INVALID, "--dump %s: the last phase to run is %s", text,
                       phases[walk->stop].name);
    walk->dump_last = walk->dump_first;
  }
  if (mkdir(walk->dump_folder, 0777) && errno != EEXIST)
    return hone_fail(status, HONE_IO, "--dump: cannot make folder %s: %s", walk->dump_folder,
                     strerror(errno));
  return true;
}

static bool plan_walk(hone_compile_t *compile, walk_t *walk, hone_status_t *status) {
  const hone_compile_options_t *options = &compile->options;
  *walk = (walk_t){.stop = hone_phase_count() - 1};
  walk->emit_ir = options->emit && !strcmp(options->emit, "ir");
  if (walk->emit_ir) walk->stop = LAST_IR_PHASE;
  if (compile->write_export) walk->stop = LAST_EXPORT_PHASE;
  if (options->to) {
    size_t stop;
    if (!find_phase(options->to, &stop, status)) return hone_note(status, "--to");
    if (stop < walk->stop) walk->stop = stop;
  }
  return read_dump(compile, walk, status);
}

static bool write_ir(hone_compile_t *compile, const char *path, hone_status_t *status) {
  hone_buffer_t text = {0};
  hone_output_t *output = NULL;
  ir_model_print(&compile->model, &text);
  bool ok = hone_output_create(path, 0644, &output, status) &&
            hone_output_write(output, text.data, text.bytes, status) &&
            hone_output_commit(output, status);
  hone_output_destroy(output);
  hone_buffer_deinit(&text);
  return ok;
}

static bool dump_phase(hone_compile_t *compile, const walk_t *walk, size_t index,
                       hone_status_t *status) {
  if (!walk->dump_folder || index < walk->dump_first || index > walk->dump_last) return true;
  const char *name = hone_arena_format(compile->arena, "%zu-%s.mlir", index, phases[index].name);
  return write_ir(compile, hone_path_join(compile->arena, walk->dump_folder, name), status);
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void print_timing(const char *number, const char *name, double ms) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double peak_mb = (double)usage.ru_maxrss * 1024 / 1e6;  // ru_maxrss is in KiB
  fprintf(stderr, "%2s %-10s %10.1f ms  peak %8.1f MB\n", number, name, ms, peak_mb);
}

bool hone_compile_run(hone_compile_t *compile, hone_status_t *status) {
  walk_t walk;
  double begin = now_ms();
  if (!plan_walk(compile, &walk, status)) return false;
  for (size_t i = 0; i <= walk.stop; i++) {
    double start = now_ms();
    if (!phases[i].run(compile, status)) return hone_note(status, "phase %s", phases[i].name);
    const char *number = hone_arena_format(compile->arena, "%zu", i);
    if (compile->options.timing) print_timing(number, phases[i].name, now_ms() - start);
    if (!dump_phase(compile, &walk, i, status)) return hone_note(status, "--dump");
  }
  bool writes_export =
      compile->write_export && compile->options.output && walk.stop == LAST_EXPORT_PHASE;
  if (writes_export && !compile->write_export(compile, status))
    return hone_note(status, "--emit %s", compile->options.emit);
  if (compile->options.timing) print_timing("", "total", now_ms() - begin);
  bool writes_ir = walk.emit_ir && compile->options.output && walk.stop == LAST_IR_PHASE;
  return !writes_ir || write_ir(compile, compile->options.output, status);
}

void hone_compile_deinit(hone_compile_t *compile) {
  if (compile->statistics.self) compile->statistics.close(compile->statistics.self);
  if (compile->target_state_close) compile->target_state_close(compile->target_state);
  ir_model_destroy(&compile->model);
  if (compile->source_close) compile->source_close(compile->source);
  hone_buffer_deinit(&compile->tokenizer);
  hone_buffer_deinit(&compile->manifest_sources);
  ir_session_destroy(compile->session);
  *compile = (hone_compile_t){0};
}
