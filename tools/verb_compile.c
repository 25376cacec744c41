// hone compile: a checkpoint or a textual model becomes a program, a library, or IR.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "calibrate/calibrate.h"
#include "codegen/export/export.h"
#include "codegen/pack/store.h"
#include "codegen/target.h"
#include "nas/allocate.h"
#include "passes/pipeline.h"
#include "tools/import.h"
#include "tools/tuning.h"
#include "tools/verb.h"
#include "tools/version.h"

typedef struct fields {
  hone_compile_options_t compile;
  const char *target, *repro, *cache, *tuned;
  bool json, quiet;
} fields_t;

#define FIELD(member) offsetof(fields_t, member)

static const hone_option_t options[] = {
    {HONE_OPTION_POSITIONAL, "MODEL", .field = FIELD(compile.model),
     .help = "Hugging Face folder, or a textual model (.mlir)"},
    {HONE_OPTION_STRING, "--output", "-o", "OUT", FIELD(compile.output),
     .help = "path of the program, library, text, folder or file"},
    {HONE_OPTION_STRING, "--target", NULL, "TARGET", FIELD(target),
     .help = "cpu (default); see 'hone list targets'. cpu:LEVELS, such as cpu:avx2 or "
             "cpu:avx512,avx2: kernels of these instruction set levels only"},
    {HONE_OPTION_STRING, "--weights", NULL, "FMT", FIELD(compile.weights),
     .help = "format of linear weights; default: as in the checkpoint; see 'hone list formats'"},
    {HONE_OPTION_STRING, "--head", NULL, "FMT", FIELD(compile.head),
     .help =
         "format of embedding and head; default: q8 if weights are quantized, else as the weights"},
    {HONE_OPTION_CHOICE, "--acts", NULL, "FMT", FIELD(compile.acts), "f32|q8|b1",
     .help = "activations entering linears; default: what the weight format prefers. b1 is for "
             "models trained so"},
    {HONE_OPTION_FLAG, "--fold-norms", .field = FIELD(compile.fold_norms),
     .help = "fold the gains of norms into the weights behind them, before these are quantized"},
    {HONE_OPTION_FLAG, "--rotate", .field = FIELD(compile.rotate),
     .help = "rotate q8 activations and the weights they meet by block Hadamard matrices: fewer "
             "outliers, so less error at low bits"},
    {HONE_OPTION_CHOICE, "--rotate-block", NULL, "N", FIELD(compile.rotate_block), "32|64|128",
     .help = "inputs that one block of --rotate turns together; default: 64"},
    {HONE_OPTION_CHOICE, "--kv", NULL, "FMT", FIELD(compile.cache), "f32|f16|q8",
     .help =
         "KV cache; q8 has a scale per position and head; default: f32 for f32 weights, else f16"},
    {HONE_OPTION_CHOICE, "--dataflow", NULL, "FAMILY", FIELD(compile.dataflow),
     "auto|gemv|flat|gemm",
     .help =
         "kernel family of linears: selected for each number of rows (auto, default), or always "
         "the same one, for comparison"},
    {HONE_OPTION_CHOICE, "--softmax", NULL, "FORM", FIELD(compile.softmax), "auto|running|unified",
     .help = "attention's softmax: with the largest score so far (running), or without it wherever "
             "the range of f32 allows (unified; auto, default). running is faster for models whose "
             "scores mostly lie beyond +-40"},
    {HONE_OPTION_FLOAT, "--target-bpw", NULL, "X", FIELD(compile.target_bpw), .low = 1, .high = 32,
     .help =
         "choose a format for every tensor so that the whole model has X bits per weight; needs "
         "--calibrate"},
    {HONE_OPTION_INT, "--target-bytes", NULL, "N", FIELD(compile.target_bytes), .low = 1,
     .high = 9e15, .help = "the same for N bytes of packed weights"},
    {HONE_OPTION_STRING, "--formats", NULL, "LIST", FIELD(compile.formats),
     .help = "formats to choose from, comma-separated; default: "
             "b1,ternary,bcq2p,bcq2,bcq2:64,bcq3,bcq3:64,nf4:128,nf4,nf4:32,q6,q8, or what the "
             "container of an "
             "export holds"},
    {HONE_OPTION_INT, "--probe-tokens", NULL, "N", FIELD(compile.probe_tokens), .low = 1,
     .high = 1 << 24, .help = "tokens of TEXT to measure each sensitivity on; default: 2048"},
    {HONE_OPTION_STRING, "--calibrate", NULL, "TEXT", FIELD(compile.calibrate),
     .help = "text file to run the un-quantized model on: quantizers then weigh errors by what "
             "enters each linear"},
    {HONE_OPTION_INT, "--calibration-tokens", NULL, "N", FIELD(compile.calibration_tokens),
     .low = 256, .high = 1 << 24,
     .help = "tokens of TEXT to use, spread over it; default: 16384, fewer (at least 2048) for "
             "large models"},
    {HONE_OPTION_INT, "--calibration-context", NULL, "N", FIELD(compile.calibration_context),
     .low = 16, .high = 1 << 20, .help = "tokens per window of TEXT; default: 512"},
    {HONE_OPTION_INT, "--calibration-memory", NULL, "MIB", FIELD(compile.calibration_memory),
     .low = 1, .high = 1 << 20,
     .help = "keep the statistics of the whole model if they need no more; default: 512"},
    {HONE_OPTION_CHOICE, "--calibration-inputs", NULL, "OF", FIELD(compile.calibration_inputs),
     "original|quantized",
     .help = "whose inputs each block is fitted to: those that the blocks before it make as "
             "quantized (default), or the original model's"},
    {HONE_OPTION_CHOICE, "--solver", NULL, "NAME", FIELD(compile.solver), "scales|descent|gptq",
     .help =
         "how codes are found; default: gptq (with descent after it) if calibrated, else scales"},
    {HONE_OPTION_INT, "--sweeps", NULL, "N", FIELD(compile.sweeps), .low = 0, .high = 100,
     .help = "sweeps of coordinate descent over codes and scales; default: 1, or 4 below 4 bits"},
    {HONE_OPTION_FLAG, "--bias-correction", .field = FIELD(compile.bias_correction),
     .help = "add a bias to quantized linears that corrects the mean of their outputs; needs "
             "--calibrate. May help with --solver scales, little else"},
    {HONE_OPTION_STRING, "--work", NULL, "DIR", FIELD(compile.work),
     .help = "keep each calibrated tensor here once it is finished; run again, a compile that was "
             "cut off goes on from there"},
    {HONE_OPTION_CHOICE, "--emit", NULL, "KIND", FIELD(compile.emit),
     "exe|lib|ir|llvm|asm|checkpoint|gguf|gguf-tq1",
     .help =
         "what to write; default: exe. lib also writes OUT.h; checkpoint (a folder) and gguf are "
         "for other tools"},
    {HONE_OPTION_STRING, "--to", NULL, "PHASE", FIELD(compile.to),
     .help = "stop after this phase; writes nothing"},
    {HONE_OPTION_STRING, "--dump", NULL, "PHASE:DIR", FIELD(compile.dump),
     .help = "write the IR after a phase ('all' for each) into DIR"},
    {HONE_OPTION_FLAG, "--timing", .field = FIELD(compile.timing),
     .help = "print time and peak memory of each phase"},
    {HONE_OPTION_INT, "--threads", NULL, "N", FIELD(compile.threads), .low = 0, .high = 1024,
     .help = "threads that build kernels and pack weights; default: all CPUs"},
    {HONE_OPTION_STRING, "--cache", NULL, "DIR", FIELD(cache),
     .help = "folder that keeps built kernels for other compiles, or 'off'; default: "
             "$XDG_CACHE_HOME/hone or ~/.cache/hone. Holds at most 256 MiB"},
    {HONE_OPTION_STRING, "--tuned", NULL, "FILE", FIELD(tuned),
     .help = "tuning database to choose kernels by, or 'off'; default: that of hone tune, if there "
             "is one"},
    {HONE_OPTION_STRING, "--repro", NULL, "DIR", FIELD(repro),
     .help = "on failure save command line, message and IR into DIR for a bug report"},
    {HONE_OPTION_FLAG, "--json", .field = FIELD(json), .help = "print a JSON summary on stdout"},
    {HONE_OPTION_FLAG, "--quiet", "-q", .field = FIELD(quiet),
     .help = "no progress bar and no summary"},
    {0}};

const hone_verb_t hone_verb_compile = {
    "compile", "turn a checkpoint into one program",
    "Reads the model, runs the passes, builds the kernels and packs the weights, one tensor at a "
    "time. OUT appears "
    "only when it is complete. The same input gives the same bytes, wherever it is compiled.",
    "  hone compile samples/stories260k -o story\n"
    "  hone compile ./Llama-3.2-1B -o llama --weights nf4\n"
    "  hone compile ./Llama-3.2-1B -o llama.gguf --emit gguf --weights int4:32\n"
    "  hone compile ./Llama-3.2-1B --to fuse --dump all:ir\n",
    options};

static bool write_text(hone_tool_t *tool, const char *folder, const char *name,
                       const hone_buffer_t *text) {
  hone_status_t status = {0};
  FILE *file = fopen(hone_path_join(tool->arena, folder, name), "wb");
  bool ok = file && fwrite(hone_buffer_cstr(text), 1, text->bytes, file) == text->bytes;
  if (file && fclose(file)) ok = false;
  if (!ok) hone_fail(&status, HONE_IO, "cannot write %s/%s: %s", folder, name, strerror(errno));
  if (!ok) fprintf(stderr, "warning: %s\n", status.message);
  return ok;
}

// Saves what a bug report needs. The weights stay where they are: config and IR are enough to
// rebuild with others.
static void save_repro(hone_tool_t *tool, const char *folder, const hone_compile_t *compile,
                       const hone_status_t *status) {
  if (mkdir(folder, 0777) && errno != EEXIST) {
    fprintf(stderr, "warning: cannot make folder %s: %s\n", folder, strerror(errno));
    return;
  }
  hone_buffer_t text = {0};
  hone_buffer_format(&text, "hone %s\n%s: %s\nat %s:%d\n\ncommand:", HONE_VERSION,
                     hone_code_name(status->code), status->message,
                     status->file ? status->file : "?", status->line);
  for (int i = 0; i < tool->argc; i++) hone_buffer_format(&text, " '%s'", tool->argv[i]);
  hone_buffer_text(&text, "\n");
  bool ok = write_text(tool, folder, "report.txt", &text);
  text.bytes = 0;
  if (compile->model.session) {
    ir_model_print(&compile->model, &text);
    ok &= write_text(tool, folder, "model.mlir", &text);
  }
  hone_buffer_deinit(&text);
  if (ok) fprintf(stderr, "saved %s/report.txt and the model's IR for a bug report\n", folder);
}

static bool print_summary(hone_tool_t *tool, const fields_t *fields, hone_status_t *status) {
  struct stat info;
  const char *output = fields->compile.output;
  if (!output || stat(output, &info)) return true;  // stopped early by --to: nothing was written
  if (S_ISDIR(info.st_mode) &&
      stat(hone_path_join(tool->arena, output, "model.safetensors"), &info))
    return true;
  if (!fields->json) {
    char size[16];
    if (!fields->quiet)
      fprintf(stderr, "wrote %s (%s)\n", output, hone_text_bytes((uint64_t)info.st_size, size));
    return true;
  }
  hone_buffer_t text = {0};
  hone_json_t json = {.out = &text};
  hone_json_object_begin(&json, NULL);
  hone_json_string(&json, "schema", "hone.compile/1");
  hone_json_string(&json, "output", output);
  hone_json_i64(&json, "bytes", info.st_size);
  hone_json_object_end(&json);
  bool ok = hone_tool_print(tool, &text, status);
  hone_buffer_deinit(&text);
  return ok;
}

// What --target-bpw chose, as a table.
static void print_allocation(const hone_allocation_t *allocation) {
  char format[24];
  if (allocation->count == 0) return;
  fprintf(stderr, "%-36s %-12s %12s %10s %10s\n", "weights", "format", "count", "error", "loss");
  for (size_t i = 0; i < allocation->count; i++) {
    const hone_allocation_row_t *row = &allocation->rows[i];
    fprintf(stderr, "%-36s %-12s %12" PRIu64 " %10.6f %10.6f\n", row->name,
            hone_format_text(row->format, format), row->weights, row->error,
            row->error * row->sensitivity);
  }
  fprintf(stderr,
          "%.4f bits per weight; before calibrated solving the losses add up to %.6f nats, and are "
          "%.6f on %" PRIu64 " tokens held out\n",
          allocation->bits_per_weight, allocation->kl, allocation->measured_kl, allocation->tokens);
}

static bool check_target(const hone_compile_options_t *compile, hone_status_t *status) {
  bool has_target = compile->target_bpw > 0 || compile->target_bytes > 0;
  const char *name = compile->target_bytes > 0 ? "--target-bytes" : "--target-bpw";
  if (compile->target_bpw > 0 && compile->target_bytes > 0)
    return hone_fail(status, HONE_INVALID, "--target-bpw and --target-bytes: give one of them");
  if (has_target && (compile->weights || compile->head))
    return hone_fail(status, HONE_INVALID, "%s chooses all formats: leave out %s", name,
                     compile->weights ? "--weights" : "--head");
  if (has_target && !compile->calibrate)
    return hone_fail(status, HONE_INVALID,
                     "%s measures sensitivities on a text: give --calibrate TEXT", name);
  if (!has_target && (compile->formats || compile->probe_tokens))
    return hone_fail(status, HONE_INVALID, "%s needs --target-bpw or --target-bytes",
                     compile->formats ? "--formats" : "--probe-tokens");
  return true;
}

// Checks that do not need the model, so that a slip costs no time.
static bool check(const fields_t *fields, hone_status_t *status) {
  const hone_compile_options_t *compile = &fields->compile;
  hone_format_t format;
  if (!compile->output && !compile->to)
    return hone_fail(status, HONE_INVALID,
                     "nothing to write: give -o OUT (or --to PHASE to stop early)");
  if (compile->weights && !hone_format_parse(compile->weights, &format, status))
    return hone_note(status, "--weights");
  if (compile->head && !hone_format_parse(compile->head, &format, status))
    return hone_note(status, "--head");
  if (!check_target(compile, status)) return false;
  if (fields->cache && !*fields->cache)
    return hone_fail(status, HONE_INVALID, "--cache: name a folder, or 'off'");
  if (compile->work && !compile->calibrate)
    return hone_fail(status, HONE_INVALID,
                     "--work keeps calibrated tensors: it needs --calibrate TEXT");
  if (compile->bias_correction && !compile->calibrate)
    return hone_fail(status, HONE_INVALID,
                     "--bias-correction takes means of what enters linears: it needs --calibrate "
                     "TEXT");
  if (compile->bias_correction && (compile->target_bpw > 0 || compile->target_bytes > 0))
    return hone_fail(status, HONE_INVALID,
                     "--bias-correction with %s: the biases would come on top of the target; leave "
                     "one of them out",
                     compile->target_bpw > 0 ? "--target-bpw" : "--target-bytes");
  if (compile->bias_correction && compile->work)
    return hone_fail(status, HONE_INVALID,
                     "--bias-correction with --work: corrections are not kept there; leave one of "
                     "them out");
  if (hone_exporter_find(compile->emit) && (compile->acts || compile->cache || compile->rotate ||
                                            compile->fold_norms || compile->bias_correction))
    return hone_fail(status, HONE_INVALID,
                     "%s: a checkpoint holds weights only; whoever runs it chooses the rest",
                     compile->acts         ? "--acts"
                     : compile->cache      ? "--kv"
                     : compile->rotate     ? "--rotate"
                     : compile->fold_norms ? "--fold-norms"
                                           : "--bias-correction");
  if (compile->rotate && compile->acts && strcmp(compile->acts, "q8"))
    return hone_fail(status, HONE_INVALID,
                     "--rotate with --acts %s: rotation is done on the way to q8 activations; "
                     "leave one of them out",
                     compile->acts);
  if (compile->rotate_block && !compile->rotate)
    return hone_fail(status, HONE_INVALID, "--rotate-block is the size of --rotate: give both");
  return true;
}

// XDG base directory specification: a relative path there counts as unset.
static const char *cache_folder(hone_tool_t *tool, const fields_t *fields) {
  const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (fields->cache) return strcmp(fields->cache, "off") ? fields->cache : NULL;
  if (base && *base == '/') return hone_path_join(tool->arena, base, "hone");
  if (home && *home == '/') return hone_path_join(tool->arena, home, ".cache/hone");
  return NULL;
}

int hone_verb_compile_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {.target = "cpu", .compile = {.emit = "exe", .sweeps = -1}};
  int code = 0;
  if (!hone_tool_parse(tool, &hone_verb_compile, argc, argv, &fields, &code)) return code;
  hone_status_t status = {0};
  if (!check(&fields, &status)) {
    hone_tool_report(tool, &status);
    return HONE_EXIT_USAGE;
  }
  fields.compile.progress = tool->terminal && !fields.quiet;
  fields.compile.kernel_cache = cache_folder(tool, &fields);
  fields.compile.runtime_folder = hone_tool_runtime_folder(tool);
  hone_tool_tuned_t tuned = {0};
  hone_compile_t compile = {
      .options = fields.compile,
      .import = hone_tool_import,
      .calibrate = hone_calibrate,
      .allocate = hone_allocate,
      .arena = tool->arena,
      .diagnostics = tool->diagnostics,
  };
  compile.options.measured = &tuned.source;
  const hone_exporter_t *exporter = hone_exporter_find(fields.compile.emit);
  if (exporter) compile.write_export = exporter->write;
  if (exporter) compile.container = &exporter->container;
  bool ok = (!fields.compile.work || hone_store_check_folder(fields.compile.work, &status)) &&
            hone_tool_tuned_open(tool, fields.tuned, &tuned, &status) &&
            hone_target_find(fields.target, &compile.target, &compile.options.levels, &status) &&
            ir_session_create(tool->diagnostics, &compile.session, &status) &&
            hone_compile_run(&compile, &status);
  if (!ok && fields.repro) save_repro(tool, fields.repro, &compile, &status);
  if (ok && !fields.quiet && !fields.json) print_allocation(&compile.allocation);
  hone_compile_deinit(&compile);
  hone_tool_tuned_close(&tuned);
  if (ok) ok = print_summary(tool, &fields, &status);
  return ok ? HONE_EXIT_OK : hone_tool_report(tool, &status);
}
