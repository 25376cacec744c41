// The manifest: what went into an artefact, as JSON. No dates and no paths: the same input gives
// the same bytes anywhere.
#include <inttypes.h>
#include <llvm/Config/llvm-config.h>
#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "codegen/link/link.h"
#include "passes/pipeline.h"

static void write_model(hone_json_t *json, const hone_draft_t *draft) {
  const hone_plan_t *plan = &draft->header;
  hone_json_object_begin(json, "model");
  hone_json_string(json, "family", draft->family);
  const struct {
    const char *name;
    uint32_t value;
  } fields[] = {{"vocab", plan->vocab},       {"width", plan->width},
                {"layers", plan->layers},     {"heads", plan->heads},
                {"kv_heads", plan->kv_heads}, {"head_dim", plan->head_dim},
                {"context", plan->context},   {"window", plan->window},
                {"batch", plan->batch},       {"head_batch", plan->head_batch}};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    hone_json_u64(json, fields[i].name, fields[i].value);
  hone_json_string(json, "cache", hone_format_info((hone_storage_t)plan->cache_storage)->name);
  hone_json_u64(json, "arena_bytes", plan->arena_bytes);
  hone_json_u64(json, "weight_bytes", plan->weight_bytes);
  hone_json_object_end(json);
}

static void write_number(hone_json_t *json, const char *name, int64_t value, int64_t unset) {
  if (value == unset)
    hone_json_string(json, name, NULL);
  else
    hone_json_i64(json, name, value);
}

// What the user chose; null where a default was taken (its result shows in tensors and model).
static void write_options(hone_json_t *json, const hone_compile_options_t *options) {
  hone_json_object_begin(json, "options");
  hone_json_string(json, "weights", options->weights);
  hone_json_string(json, "head", options->head);
  hone_json_string(json, "acts", options->acts);
  hone_json_string(json, "kv", options->cache);
  hone_json_string(json, "dataflow", options->dataflow);
  hone_json_string(json, "softmax", options->softmax);
  hone_json_string(json, "solver", options->solver);
  if (options->calibrate) {
    hone_json_string(json, "calibrate", hone_path_base(options->calibrate));
    write_number(json, "calibration_tokens", options->calibration_tokens, 0);
    write_number(json, "calibration_context", options->calibration_context, 0);
    hone_json_string(json, "calibration_inputs", options->calibration_inputs);
    write_number(json, "sweeps", options->sweeps, -1);
  }
  if (options->target_bpw > 0) hone_json_f64(json, "target_bpw", options->target_bpw);
  if (options->target_bytes > 0) hone_json_i64(json, "target_bytes", options->target_bytes);
  if (options->bias_correction) hone_json_bool(json, "bias_correction", true);
  if (options->fold_norms) hone_json_bool(json, "fold_norms", true);
  if (options->rotate) hone_json_bool(json, "rotate", true);
  if (options->rotate_block) hone_json_string(json, "rotate_block", options->rotate_block);
  hone_json_object_end(json);
}

// What a target chose, and why.
static void write_allocation(hone_json_t *json, const hone_allocation_t *allocation) {
  char text[24];
  enum { DIGITS = 9 };
  if (allocation->count == 0) return;
  hone_json_object_begin(json, "allocation");
  hone_json_f64_digits(json, "bits_per_weight", allocation->bits_per_weight, DIGITS);
  hone_json_f64_digits(json, "predicted_kl", allocation->kl, DIGITS);
  hone_json_f64_digits(json, "measured_kl", allocation->measured_kl, DIGITS);
  hone_json_u64(json, "held_out_tokens", allocation->tokens);
  hone_json_array_begin(json, "units");
  for (size_t i = 0; i < allocation->count; i++) {
    const hone_allocation_row_t *row = &allocation->rows[i];
    hone_json_object_begin(json, NULL);
    hone_json_string(json, "name", row->name);
    hone_json_string(json, "format", hone_format_text(row->format, text));
    hone_json_u64(json, "weights", row->weights);
    hone_json_f64_digits(json, "sensitivity", row->sensitivity, DIGITS);
    hone_json_f64_digits(json, "error", row->error, DIGITS);
    hone_json_object_end(json);
  }
  hone_json_array_end(json);
  hone_json_object_end(json);
}

// What quantization did to a tensor; nothing for plain floats.
static void write_error(hone_json_t *json, const hone_pack_item_t *item,
                        const hone_quant_error_t *error) {
  enum { DIGITS = 9 };
  if (!hone_format_is_quantized(item->format.storage)) return;
  hone_json_f64_digits(json, "signal", error->signal, DIGITS);
  hone_json_f64_digits(json, "noise", error->noise, DIGITS);
  hone_json_f64_digits(json, "relative_mse", error->noise / error->signal, DIGITS);
  if (error->output.signal > 0)
    hone_json_f64_digits(json, "output_error", error->output.noise / error->output.signal, DIGITS);
}

static void write_tensors(hone_json_t *json, const hone_manifest_spec_t *spec) {
  char text[24];
  hone_json_array_begin(json, "tensors");
  for (size_t i = 0; i < spec->draft->tensors.count; i++) {
    const hone_pack_item_t *item = &spec->draft->tensors.items[i];
    uint64_t N = (uint64_t)item->recipe.N, K = (uint64_t)item->recipe.K;
    double bits = (double)hone_format_tensor_bits(item->format, N, K);
    hone_json_object_begin(json, NULL);
    hone_json_string(json, "name", item->recipe.name);
    hone_json_string(json, "format", hone_format_text(item->format, text));
    hone_json_i64(json, "N", item->recipe.N);
    hone_json_i64(json, "K", item->recipe.K);
    if (item->recipe.corrects) hone_json_string(json, "corrects", item->recipe.corrects);
    if (item->recipe.gain) hone_json_string(json, "gain", item->recipe.gain);
    if (item->recipe.rotate) hone_json_i64(json, "rotate", item->recipe.rotate);
    hone_json_u64(json, "offset", item->offset);
    hone_json_u64(json, "bytes", item->bytes);
    hone_json_f64_digits(json, "bits", bits / ((double)N * (double)K), 9);
    write_error(json, item, &spec->errors[i]);
    snprintf(text, sizeof text, "%016" PRIx64, spec->hashes[i]);
    hone_json_string(json, "xxh3", text);
    hone_json_array_begin(json, "sources");
    for (size_t s = 0; s < item->recipe.source_count; s++)
      hone_json_string(json, NULL, item->recipe.sources[s]);
    hone_json_array_end(json);
    hone_json_object_end(json);
  }
  hone_json_array_end(json);
}

// The import gives its sources as JSON text: it becomes the last member of the finished object as
// it is.
static void add_sources(const hone_buffer_t *sources, hone_buffer_t *out) {
  while (out->bytes && (out->data[out->bytes - 1] == '}' || out->data[out->bytes - 1] == '\n'))
    out->bytes--;
  hone_buffer_format(out, ",\n  \"sources\": %s\n}\n",
                     sources->bytes ? hone_buffer_cstr(sources) : "[]");
}

void hone_manifest_write(const hone_manifest_spec_t *spec, hone_buffer_t *out) {
  hone_json_t json = {.out = out};
  hone_json_object_begin(&json, NULL);
  hone_json_string(&json, "schema", "hone.artefact/1");
  hone_json_string(&json, "hone", HONE_VERSION);
  hone_json_u64(&json, "plan_version", HONE_PLAN_VERSION);
  hone_json_string(&json, "llvm", LLVM_VERSION_STRING);
  hone_json_string(&json, "target", spec->compile->target->name);
  hone_json_array_begin(&json, "isas");
  for (size_t i = 0; i < spec->isa_count; i++) hone_json_string(&json, NULL, spec->isa_names[i]);
  hone_json_array_end(&json);
  write_model(&json, spec->draft);
  write_options(&json, &spec->compile->options);
  write_allocation(&json, &spec->compile->allocation);
  write_tensors(&json, spec);
  hone_json_array_begin(&json, "kernels");
  for (size_t i = 0; i < spec->draft->kernels.count; i++)
    hone_json_string(&json, NULL, spec->draft->kernels.items[i].name);
  hone_json_array_end(&json);
  spec->write_dataflow(spec->user, &json);
  hone_json_array_begin(&json, "launches");
  for (size_t i = 0; i < spec->draft->launches.count; i++)
    hone_json_string(&json, NULL, spec->draft->launches.items[i].name);
  hone_json_array_end(&json);
  hone_json_object_end(&json);
  add_sources(&spec->compile->manifest_sources, out);
}
