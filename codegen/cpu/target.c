// The cpu target: x86-64 programs and libraries. Every instruction set level of isa.def is built
// into one artefact, which levels share what kernels they can; the runtime picks the best one the
// machine has.
//
// The ELF code is linked at the start of the weights phase, so that packed weights stream straight
// into the output behind it; the link phase then writes checksums, manifest and section headers,
// and makes the output appear.
#include <string.h>

#include "base/hash.h"
#include "codegen/cpu/build.h"
#include "codegen/cpu/linear_block.h"
#include "codegen/cpu/select.h"
#include "codegen/link/link.h"
#include "codegen/target.h"

enum { PAGE_BYTES = 4096, KERNEL_CACHE_BYTES = 256 << 20 };

typedef struct cpu_state {
  hone_arena_t *arena;
  hone_cpu_levels_t levels;
  hone_cpu_selection_t selection;
  hone_draft_t draft;
  hone_buffer_t plan;
  hone_cpu_build_t *kernels;  // (kernel_count): one after the other, level after level
  size_t kernel_count;
  hone_buffer_t image;
  char *scratch;
  hone_output_t *output;
  hone_elf_writer_t *writer;
  uint64_t *hashes;
  hone_quant_error_t *errors;
} cpu_state_t;

// ---- phase dataflow

static void close_state(void *data) {
  cpu_state_t *state = data;
  if (!state) return;
  hone_output_destroy(state->output);
  if (state->scratch) hone_scratch_remove(state->scratch);
  hone_buffer_deinit(&state->plan);
  for (size_t i = 0; i < state->kernel_count; i++) hone_buffer_deinit(&state->kernels[i].object);
  hone_buffer_deinit(&state->image);
}

static bool check_levels(const char *levels, hone_status_t *status) {
  hone_cpu_levels_t ignored;
  return hone_cpu_levels_read(levels, &ignored, status);
}

static bool select_dataflow(hone_compile_t *compile, hone_status_t *status) {
  cpu_state_t *state = HONE_NEW(compile->arena, cpu_state_t);
  state->arena = compile->arena;
  compile->target_state = state;  // nothing to close yet: other targets select by this one too
  return hone_cpu_levels_read(compile->options.levels, &state->levels, status) &&
         hone_cpu_select(compile, &state->levels, &state->selection, status);
}

// ---- phase kernels

static bool emits(const hone_compile_t *compile, const char *kind) {
  return compile->options.emit && !strcmp(compile->options.emit, kind);
}

static bool writes_artefact(const hone_compile_t *compile) {
  return !compile->options.emit || emits(compile, "exe") || emits(compile, "lib");
}

// NULL for kernels that no flow of the level leads to: they are not built for it.
static const char *const *kernel_symbols(cpu_state_t *state, size_t isa_index) {
  size_t count = state->draft.kernels.count;
  const hone_cpu_isa_t *isa = state->levels.items[isa_index];
  const char **symbols = HONE_NEW_ARRAY(state->arena, const char *, count);
  for (size_t i = 0; i < count; i++) {
    const hone_draft_kernel_t *kernel = &state->draft.kernels.items[i];
    if (!(kernel->isas & 1u << isa_index)) continue;
    symbols[i] = hone_cpu_symbol(hone_cpu_kernel_level(&kernel->spec, isa), kernel->spec.family,
                                 kernel->name, state->arena);
  }
  return symbols;
}

// Levels share the kernels of the level they build on: whether this one is built as one of `level`.
static bool is_built(const cpu_state_t *state, const hone_draft_kernel_t *kernel,
                     const hone_cpu_isa_t *level) {
  for (size_t isa = 0; isa < state->levels.count; isa++)
    if (kernel->isas & 1u << isa &&
        hone_cpu_kernel_level(&kernel->spec, state->levels.items[isa]) == level)
      return true;
  return false;
}

static bool build_objects(hone_compile_t *compile, hone_status_t *status) {
  cpu_state_t *state = compile->target_state;
  size_t count = state->draft.kernels.count;
  state->kernels = HONE_NEW_ARRAY(state->arena, hone_cpu_build_t, count * HONE_CPU_ISA_COUNT);
  for (size_t isa = 0; isa < HONE_CPU_ISA_COUNT; isa++) {
    const hone_cpu_isa_t *level = hone_cpu_isa_at(isa);
    for (size_t i = 0; i < count; i++) {
      const hone_draft_kernel_t *kernel = &state->draft.kernels.items[i];
      if (!is_built(state, kernel, level)) continue;
      state->kernels[state->kernel_count++] = (hone_cpu_build_t){
          .isa = level,
          .spec = kernel->spec,
          .name = kernel->name,
          .symbol = hone_cpu_symbol(level, kernel->spec.family, kernel->name, state->arena),
      };
    }
  }
  const hone_cpu_build_job_t job = {
      .session = compile->session,
      .items = state->kernels,
      .count = state->kernel_count,
      .threads = compile->options.threads,
      .cache = compile->options.kernel_cache,
      .cache_bytes = KERNEL_CACHE_BYTES,
      .diagnostics = compile->diagnostics,
  };
  return hone_cpu_build_run(&job, status);
}

// All kernels of a level in one module, to be read.
static bool build_text(hone_compile_t *compile, size_t isa, hone_cpu_emit_t form,
                       hone_buffer_t *out, hone_status_t *status) {
  cpu_state_t *state = compile->target_state;
  const hone_cpu_isa_t *level = hone_cpu_isa_at(isa);
  size_t count = 0;
  hone_cpu_kernel_t *kernels =
      HONE_NEW_ARRAY(state->arena, hone_cpu_kernel_t, state->draft.kernels.count);
  for (size_t i = 0; i < state->draft.kernels.count; i++) {
    const hone_draft_kernel_t *kernel = &state->draft.kernels.items[i];
    if (!is_built(state, kernel, level)) continue;
    const char *symbol = hone_cpu_symbol(level, kernel->spec.family, kernel->name, state->arena);
    kernels[count++] = (hone_cpu_kernel_t){kernel->spec, symbol};
  }
  if (!count) return true;
  hone_buffer_format(out, "%s %s: %s\n", form == HONE_CPU_EMIT_ASM ? "#" : ";", level->name,
                     level->summary);
  return hone_cpu_object_build(compile->session, level, kernels, count, form, out, status);
}

static bool write_text(hone_compile_t *compile, hone_cpu_emit_t form, hone_status_t *status) {
  hone_buffer_t text = {0};
  hone_output_t *output = NULL;
  bool ok = true;
  for (size_t i = 0; i < hone_cpu_isa_count() && ok; i++)
    ok = build_text(compile, i, form, &text, status);
  ok = ok && hone_output_create(compile->options.output, 0644, &output, status) &&
       hone_output_write(output, text.data, text.bytes, status) &&
       hone_output_commit(output, status);
  hone_output_destroy(output);
  hone_buffer_deinit(&text);
  return ok;
}

static bool build_image(hone_compile_t *compile, hone_status_t *status) {
  cpu_state_t *state = compile->target_state;
  hone_image_spec_t spec = {
      .triple = hone_cpu_isa_at(0)->triple,
      .plan = {state->plan.data, state->plan.bytes},
      .tokenizer = {compile->tokenizer.data, compile->tokenizer.bytes},
      .isa_count = state->levels.count,
      .kernel_count = state->draft.kernels.count,
  };
  for (size_t i = 0; i < spec.isa_count; i++) {
    spec.isa_names[i] = state->levels.items[i]->name;
    spec.symbols[i] = kernel_symbols(state, i);
  }
  hone_cpu_llvm_initialise();
  return hone_image_build(&spec, &state->image, status);
}

static bool build_kernels(hone_compile_t *compile, hone_status_t *status) {
  cpu_state_t *state = compile->target_state;
  compile->target_state_close = close_state;
  const hone_plan_options_t options = hone_cpu_plan_options(compile->options.cache, &state->levels);
  if (!hone_plan_lower(&compile->model, &options, compile->arena, &state->draft, status))
    return false;
  hone_plan_serialise(&state->draft, compile->arena, &state->plan);
  if (!writes_artefact(compile)) return true;  // the link phase builds them as text
  return build_objects(compile, status) && build_image(compile, status);
}

// ---- phases weights and link

static bool pack_weights(hone_compile_t *compile, hone_status_t *status) {
  cpu_state_t *state = compile->target_state;
  const char *linked;
  if (!writes_artefact(compile)) return true;
  if (!compile->options.output)
    return hone_fail(status, HONE_INVALID,
                     "no output: give -o OUT, or stop before the weights with --to kernels");
  if (!hone_output_create(compile->options.output, 0755, &state->output, status)) return false;
  if (!hone_scratch_create(compile->arena, &state->scratch, status)) return false;
  hone_slice_t *objects = HONE_NEW_ARRAY(compile->arena, hone_slice_t, state->kernel_count + 1);
  for (size_t i = 0; i < state->kernel_count; i++)
    objects[i] = (hone_slice_t){state->kernels[i].object.data, state->kernels[i].object.bytes};
  objects[state->kernel_count] = (hone_slice_t){state->image.data, state->image.bytes};
  hone_link_job_t link = {
      .runtime_folder = compile->options.runtime_folder,
      .scratch = state->scratch,
      .name = hone_path_base(compile->options.output),
      .objects = objects,
      .object_count = state->kernel_count + 1,
      .is_library = emits(compile, "lib"),
  };
  if (!hone_link_run(&link, compile->arena, &linked, status)) return false;
  if (!hone_elf_writer_create(linked, state->output, compile->arena, &state->writer, status))
    return false;
  state->hashes = HONE_NEW_ARRAY(compile->arena, uint64_t, state->draft.tensors.count);
  state->errors = HONE_NEW_ARRAY(compile->arena, hone_quant_error_t, state->draft.tensors.count);
  hone_pack_job_t pack = {
      .reader = compile->reader,
      .source = compile->source,
      .output = state->output,
      .base = hone_elf_writer_reserve(state->writer, HONE_SECTION_WEIGHTS,
                                      state->draft.header.weight_bytes, PAGE_BYTES),
      .items = state->draft.tensors.items,
      .count = state->draft.tensors.count,
      .threads = compile->options.threads,
      .progress = compile->options.progress,
  };
  return hone_solver_read(compile, "pack", &pack.solver, status) &&
         hone_pack_run(&pack, state->hashes, state->errors, status);
}

static bool write_checks(hone_compile_t *compile, hone_status_t *status) {
  cpu_state_t *state = compile->target_state;
  size_t count = state->draft.tensors.count,
         bytes = sizeof(hone_checks_t) + count * sizeof(uint64_t);
  hone_checks_t *checks = hone_arena_alloc(compile->arena, bytes);
  checks->magic = HONE_PLAN_MAGIC;
  checks->count = (uint32_t)count;
  checks->plan = hone_hash64(state->plan.data, state->plan.bytes);
  if (compile->tokenizer.bytes)
    checks->tokenizer = hone_hash64(compile->tokenizer.data, compile->tokenizer.bytes);
  memcpy(checks->tensor, state->hashes, count * sizeof(uint64_t));
  uint64_t offset = hone_elf_writer_reserve(state->writer, HONE_SECTION_CHECKS, bytes, 8);
  return hone_output_write_at(state->output, offset, checks, bytes, status);
}

static void write_dataflow(void *user, hone_json_t *json) {
  const cpu_state_t *state = user;
  hone_cpu_selection_write(&state->selection, &state->draft, state->arena, json);
}

static bool write_manifest(hone_compile_t *compile, hone_status_t *status) {
  cpu_state_t *state = compile->target_state;
  const char *names[HONE_CPU_ISA_COUNT];
  hone_buffer_t text = {0};
  for (size_t i = 0; i < state->levels.count; i++) names[i] = state->levels.items[i]->name;
  hone_manifest_spec_t spec = {
      .compile = compile,
      .draft = &state->draft,
      .hashes = state->hashes,
      .errors = state->errors,
      .isa_count = state->levels.count,
      .isa_names = names,
      .write_dataflow = write_dataflow,
      .user = state,
  };
  hone_manifest_write(&spec, &text);
  uint64_t offset = hone_elf_writer_reserve(state->writer, HONE_SECTION_MANIFEST, text.bytes, 1);
  bool ok = hone_output_write_at(state->output, offset, text.data, text.bytes, status);
  hone_buffer_deinit(&text);
  return ok;
}

static bool link_artefact(hone_compile_t *compile, hone_status_t *status) {
  cpu_state_t *state = compile->target_state;
  if (emits(compile, "llvm")) return write_text(compile, HONE_CPU_EMIT_LLVM, status);
  if (emits(compile, "asm")) return write_text(compile, HONE_CPU_EMIT_ASM, status);
  if (!writes_artefact(compile)) return true;
  if (!write_checks(compile, status) || !write_manifest(compile, status) ||
      !hone_elf_writer_finish(state->writer, status) || !hone_output_commit(state->output, status))
    return false;
  return !emits(compile, "lib") ||
         hone_header_write(compile->options.output, compile->arena, status);
}

#define ISA(name, ...) " " #name
static const char summary[] = "x86-64; levels, all in one artefact or those that are named:"
#include "codegen/cpu/isa.def"
    ;
#undef ISA

const hone_target_t hone_target_cpu = {
    .name = "cpu",
    .summary = summary,
    .check_levels = check_levels,
    .select_dataflow = select_dataflow,
    .build_kernels = build_kernels,
    .pack_weights = pack_weights,
    .link = link_artefact,
};
