// See select.h. Equal problems are selected once.
#include "codegen/cpu/select.h"

#include <mlir-c/BuiltinAttributes.h>
#include <string.h>

// ---- forced families

static bool check_forced(const hone_compile_options_t *options, uint32_t families,
                         uint32_t *out_families, hone_status_t *status) {
  static const hone_family_t linears[] = {HONE_FAMILY_GEMV, HONE_FAMILY_FLAT, HONE_FAMILY_GEMM};
  const char *forced = options->dataflow;
  bool is_linear = families & 1u << HONE_FAMILY_GEMV;
  *out_families = families;
  if (!forced || !strcmp(forced, "auto")) return true;
  for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) {
    if (strcmp(forced, hone_family_name(linears[i]))) continue;
    if (is_linear) *out_families = 1u << linears[i];
    return true;
  }
  return hone_fail(status, HONE_INVALID, "dataflow '%s' is none of auto, gemv, flat, gemm", forced);
}

// ---- problems

static bool read_measured(const hone_compile_t *compile, const char *problem, const char *isa,
                          hone_cpu_dataflow_job_t *job, hone_status_t *status) {
  const hone_measured_source_t *source = compile->options.measured;
  if (!source || !source->read) return true;
  return source->read(source->user, problem, isa, compile->arena, &job->rows, &job->row_count,
                      status);
}

static bool read_context(const hone_compile_t *compile, uint32_t *out, hone_status_t *status) {
  ir_config_t config;
  if (!ir_model_config(&compile->model, &config, status)) return false;
  *out = (uint32_t)config.context;
  return true;
}

static bool select_level(hone_compile_t *compile, const hone_kernel_spec_t *spec, uint32_t families,
                         const hone_cpu_levels_t *levels, size_t isa, hone_cpu_selected_t *out,
                         hone_status_t *status) {
  hone_buffer_t text = {0};
  hone_cpu_dataflow_job_t job = {
      .problem = spec,
      .families = families,
      .is_static = (families & (families - 1)) == 0,
      .isa = levels->items[isa],
      .facts = hone_cpu_facts_default(),
  };
  if (!read_context(compile, &job.context, status)) return false;
  if (!read_measured(compile, out->problem, job.isa->name, &job, status)) return false;
  if (!hone_cpu_dataflow_select(&job, &out->flow[isa], status)) return false;
  hone_cpu_dataflow_write(&out->flow[isa], &text);
  out->text[isa] = hone_arena_strdup(compile->arena, hone_buffer_cstr(&text));
  hone_buffer_deinit(&text);
  return true;
}

static const hone_cpu_selected_t *find(const hone_cpu_selection_t *selection, const char *problem) {
  for (size_t i = 0; i < selection->list.count; i++)
    if (!strcmp(selection->list.items[i].problem, problem)) return &selection->list.items[i];
  return NULL;
}

static bool select_problem(hone_compile_t *compile, const hone_kernel_spec_t *spec,
                           uint32_t families, hone_cpu_selection_t *selection,
                           const hone_cpu_selected_t **out, hone_status_t *status) {
  hone_cpu_selected_t selected = {.problem = hone_kernel_problem_name(spec, compile->arena)};
  *out = find(selection, selected.problem);
  if (*out) return true;
  for (size_t isa = 0; isa < selection->levels.count; isa++)
    if (!select_level(compile, spec, families, &selection->levels, isa, &selected, status))
      return hone_note(status, "%s", selected.problem);
  hone_list_push(compile->arena, &selection->list, selected);
  *out = &selection->list.items[selection->list.count - 1];
  return true;
}

// ---- ops

static MlirAttribute get(MlirOperation op, const char *name) {
  return mlirOperationGetAttributeByName(op, mlirStringRefCreateFromCString(name));
}

static void set(MlirOperation op, const char *name, const char *text) {
  MlirAttribute value =
      mlirStringAttrGet(mlirOperationGetContext(op), mlirStringRefCreateFromCString(text));
  mlirOperationSetAttributeByName(op, mlirStringRefCreateFromCString(name), value);
}

// Ops that one family does.
static const char *only_family(ir_op_kind_t kind) {
  switch (kind) {
    case IR_OP_EMBED: return "embed";
    case IR_OP_NORM: return "norm";
    case IR_OP_QUANTIZE: return "quantize";
    case IR_OP_GLU: return "glu";
    case IR_OP_ADD: return "add";
    default: return NULL;
  }
}

static bool select_op(hone_compile_t *compile, MlirOperation op, hone_cpu_selection_t *selection,
                      hone_status_t *status) {
  hone_kernel_spec_t spec;
  uint32_t possible, families;
  const hone_cpu_selected_t *selected;
  const char *only = only_family(ir_op_kind(op));
  bool is_given = !mlirAttributeIsNull(get(op, "hone.dataflow"));
  if (only && !is_given) set(op, "hone.dataflow", only);
  if (!hone_plan_choices(&compile->model, op, compile->options.cache, &spec, &possible, status))
    return false;
  if (!possible) return true;
  if (!check_forced(&compile->options, possible, &families, status)) return false;
  if (is_given && families != possible)
    return hone_fail(
        status, HONE_INVALID,
        "the model gives a linear its dataflow, and --dataflow another: leave one out");
  if (is_given) return true;
  if (!select_problem(compile, &spec, families, selection, &selected, status)) {
    return families == possible ? false
                                : hone_note(status, "--dataflow %s", compile->options.dataflow);
  }
  set(op, "hone.dataflow", selected->text[0]);
  for (size_t isa = 1; isa < selection->levels.count; isa++) {
    const char *name =
        hone_arena_format(compile->arena, "hone.dataflow.%s", selection->levels.items[isa]->name);
    if (strcmp(selected->text[isa], selected->text[0]) && mlirAttributeIsNull(get(op, name)))
      set(op, name, selected->text[isa]);
  }
  return true;
}

// The form of softmax: one for the model, the unified one unless it or the user says otherwise.
static bool select_softmax(hone_compile_t *compile, hone_status_t *status) {
  const char *asked = compile->options.softmax;
  MlirOperation module = mlirModuleGetOperation(compile->model.module);
  const char *given = ir_op_string(module, "hone.softmax", compile->session);
  bool is_auto = !asked || !strcmp(asked, "auto");
  if (!is_auto && given && strcmp(asked, given))
    return hone_fail(status, HONE_INVALID,
                     "the model gives its softmax, and --softmax another: leave one out");
  if (!given) set(module, "hone.softmax", is_auto ? "unified" : asked);
  return true;
}

bool hone_cpu_select(hone_compile_t *compile, const hone_cpu_levels_t *levels,
                     hone_cpu_selection_t *out, hone_status_t *status) {
  if (!select_softmax(compile, status)) return false;
  *out = (hone_cpu_selection_t){.levels = *levels};
  for (size_t i = 0; i < ir_block_count(&compile->model); i++) {
    ir_block_t block;
    if (!ir_block_at(&compile->model, i, &block)) continue;
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(block.function, 0));
    MlirOperation op = mlirBlockGetFirstOperation(body);
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op))
      if (!select_op(compile, op, out, status)) return hone_note(status, "@%s", block.name);
  }
  return true;
}

hone_plan_options_t hone_cpu_plan_options(const char *cache, const hone_cpu_levels_t *levels) {
  hone_plan_options_t options = {.cache = cache, .known_count = hone_cpu_isa_count()};
  for (size_t i = 0; i < options.known_count; i++) options.known[i] = hone_cpu_isa_at(i)->name;
  options.isa_count = levels ? levels->count : options.known_count;
  for (size_t i = 0; i < options.isa_count; i++)
    options.isas[i] = levels ? levels->items[i]->name : options.known[i];
  return options;
}

// ---- manifest

enum { DIGITS = 4 };

static void write_choice(hone_json_t *json, const char *key, hone_family_t family,
                         const hone_schedule_t *schedule) {
  hone_buffer_t text = {0};
  hone_buffer_text(&text, hone_family_name(family));
  hone_schedule_write(schedule, &text);
  hone_json_string(json, key, hone_buffer_cstr(&text));
  hone_buffer_deinit(&text);
}

static void write_evidence(hone_json_t *json, const hone_cpu_interval_t *interval) {
  hone_json_string(json, "reason", interval->is_measured ? "measured" : "prior");
  hone_json_u64(json, "rows", interval->M);
  hone_json_f64_digits(json, "ns", interval->ns, DIGITS);
  if (interval->is_measured) hone_json_f64_digits(json, "spread_ns", interval->spread_ns, DIGITS);
  hone_json_f64_digits(json, "memory_ns", interval->memory_ns, DIGITS);
  hone_json_f64_digits(json, "compute_ns", interval->compute_ns, DIGITS);
  if (!interval->has_rival) return;
  write_choice(json, "rival", interval->rival.family, &interval->rival.schedule);
  hone_json_f64_digits(json, "rival_ns", interval->rival_ns, DIGITS);
}

static void write_level(hone_json_t *json, const hone_draft_t *draft, const hone_flow_t *flow,
                        const hone_cpu_isa_t *isa, const hone_cpu_dataflow_t *selected) {
  hone_json_object_begin(json, NULL);
  hone_json_string(json, "isa", isa->name);
  if (selected) hone_json_u64(json, "threads", selected->threads);
  hone_json_array_begin(json, "entries");
  for (uint32_t i = 0; i < flow->count; i++) {
    const hone_kernel_spec_t *spec = &draft->kernels.items[flow->kernel[i]].spec;
    const hone_cpu_interval_t *interval =
        selected && i < selected->count ? &selected->intervals[i] : NULL;
    bool is_selected = interval && interval->choice.family == spec->family &&
                       interval->choice.below == flow->below[i] &&
                       !memcmp(&interval->choice.schedule, &spec->schedule, sizeof spec->schedule);
    hone_json_object_begin(json, NULL);
    hone_json_u64(json, "from", i ? flow->below[i - 1] : 1);
    if (flow->below[i] == UINT32_MAX)
      hone_json_string(json, "to", NULL);
    else
      hone_json_u64(json, "to", flow->below[i] - 1);
    write_choice(json, "kernel", spec->family, &spec->schedule);
    if (is_selected)
      write_evidence(json, interval);
    else
      hone_json_string(json, "reason", "given");
    hone_json_object_end(json);
  }
  hone_json_array_end(json);
  hone_json_object_end(json);
}

static bool has_choice(hone_family_t family) {
  switch (family) {
    case HONE_FAMILY_GEMV:
    case HONE_FAMILY_FLAT:
    case HONE_FAMILY_GEMM:
    case HONE_FAMILY_ATTEND_DECODE:
    case HONE_FAMILY_ATTEND_PREFILL: return true;
    default: return false;
  }
}

static void write_group(hone_json_t *json, const hone_cpu_selection_t *selection,
                        const hone_draft_t *draft, uint32_t flow, const char *problem) {
  const hone_cpu_selected_t *selected = find(selection, problem);
  hone_json_object_begin(json, NULL);
  hone_json_string(json, "problem", problem);
  hone_json_array_begin(json, "launches");
  for (size_t i = 0; i < draft->launches.count; i++)
    if (draft->launches.items[i].flow == flow)
      hone_json_string(json, NULL, draft->launches.items[i].name);
  hone_json_array_end(json);
  hone_json_array_begin(json, "levels");
  for (size_t isa = 0; isa < selection->levels.count; isa++)
    write_level(json, draft, &draft->flows[isa].items[flow], selection->levels.items[isa],
                selected ? &selected->flow[isa] : NULL);
  hone_json_array_end(json);
  hone_json_object_end(json);
}

void hone_cpu_selection_write(const hone_cpu_selection_t *selection, const hone_draft_t *draft,
                              hone_arena_t *arena, hone_json_t *json) {
  hone_json_array_begin(json, "dataflow");
  for (uint32_t flow = 0; flow < draft->flows[0].count; flow++) {
    const hone_kernel_spec_t *spec =
        &draft->kernels.items[draft->flows[0].items[flow].kernel[0]].spec;
    if (!has_choice(spec->family)) continue;
    write_group(json, selection, draft, flow, hone_kernel_problem_name(spec, arena));
  }
  hone_json_array_end(json);
}
