// Lowering and serialising: the sample model through the passes, to a plan that the runtime's own
// checker accepts; what every launch touches; equal bytes on repeat; what cannot be lowered says
// why.
#include "tests/unit/codegen/test.h"

#include "base/file.h"
#include "codegen/cpu/select.h"
#include "codegen/target.h"
#include "runtime/plan.h"
#include "tests/edit.h"

typedef struct fixture {
  hone_arena_t *arena;
  hone_diagnostics_t diagnostics;
  hone_compile_t compile;
  hone_draft_t draft;
  hone_buffer_t blob;
  hone_status_t status;
} fixture_t;

// `text` with every occurrence of `from` from the `nth` on replaced by `to`; there is one.
static const char *edit(hone_arena_t *arena, const char *text, const char *from, const char *to,
                        int nth) {
  int found;
  const char *result = edit_text(arena, text, from, to, nth, &found);
  assert_true(found > nth);
  return result;
}

static const char *begin(fixture_t *f) {
  char *text;
  size_t bytes;
  *f = (fixture_t){.arena = hone_arena_create()};
  const char *path = hone_path_join(f->arena, getenv("HONE_SOURCE_DIR"), "samples/tiny.mlir");
  assert_ok(&f->status, hone_file_read(path, 1 << 24, f->arena, &text, &bytes, &f->status));
  return text;
}

static void open_text(fixture_t *f, const char *passes, const char *text) {
  f->diagnostics.arena = f->arena;
  f->compile = (hone_compile_t){
      .arena = f->arena, .target = &hone_target_cpu, .diagnostics = &f->diagnostics};
  assert_ok(&f->status, ir_session_create(&f->diagnostics, &f->compile.session, &f->status));
  assert_ok(&f->status,
            ir_model_parse(f->compile.session, text, "tiny.mlir", &f->compile.model, &f->status));
  assert_ok(&f->status, hone_passes_run(&f->compile.model, passes, &f->status));
  assert_ok(&f->status, hone_target_cpu.select_dataflow(&f->compile, &f->status));
}

// The sample, edited (from NULL: as it is), after `passes`.
static void open_model(fixture_t *f, const char *passes, const char *from, const char *to,
                       int nth) {
  const char *text = begin(f);
  open_text(f, passes, from ? edit(f->arena, text, from, to, nth) : text);
}

static bool lower(fixture_t *f, const char *cache) {
  const hone_plan_options_t options = hone_cpu_plan_options(cache, NULL);
  if (!hone_passes_run(&f->compile.model, "plan-memory{batch=32 head_batch=4}", &f->status))
    return false;
  return hone_plan_lower(&f->compile.model, &options, f->arena, &f->draft, &f->status);
}

static void close_model(fixture_t *f) {
  hone_buffer_deinit(&f->blob);
  ir_model_destroy(&f->compile.model);
  ir_session_destroy(f->compile.session);
  hone_arena_destroy(f->arena);
}

static const hone_plan_t *serialise(fixture_t *f) {
  hone_plan_serialise(&f->draft, f->arena, &f->blob);
  return (const hone_plan_t *)f->blob.data;
}

static const char *const pipelines[] = {
    "canonical,fuse",
    "canonical,quantize{weights=bf16},quantize-acts,fuse",
    "canonical,quantize{weights=nf4},quantize-acts,fuse",
    "canonical,quantize{weights=nf4},quantize-acts{acts=f32},fuse",
};

static void plans_pass_the_runtime_checks(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++) {
    fixture_t f;
    open_model(&f, pipelines[i], NULL, NULL, 0);
    assert_ok(&f.status, lower(&f, NULL));
    const hone_plan_t *plan = serialise(&f);
    assert_int_equal(plan->bytes, f.blob.bytes);
    assert_ok(&f.status, hone_plan_check(plan, f.blob.bytes, &f.status));
    assert_int_equal(plan->batch, 32);
    assert_int_equal(plan->head_batch, 4);
    assert_int_equal(plan->cache_storage, i == 0 ? HONE_F32 : HONE_F16);
    close_model(&f);
  }
}

static void the_blob_says_what_the_draft_says(void **state) {
  (void)state;
  fixture_t f;
  open_model(&f, pipelines[2], NULL, NULL, 0);
  assert_ok(&f.status, lower(&f, "f32"));
  const hone_plan_t *plan = serialise(&f);
  const hone_draft_t *draft = &f.draft;
  assert_int_equal(plan->cache_storage, HONE_F32);
  assert_int_equal(plan->launch_count, draft->launches.count);
  assert_int_equal(plan->tensor_count, draft->tensors.count);
  assert_string_equal(hone_plan_string(plan, plan->family_name), draft->family);
  for (size_t i = 0; i < draft->launches.count; i++) {
    const hone_launch_t *launch = &hone_plan_launches(plan)[i];
    assert_string_equal(hone_plan_string(plan, launch->name), draft->launches.items[i].name);
    assert_memory_equal(launch->operands, draft->launches.items[i].operands,
                        sizeof launch->operands);
    assert_int_equal(launch->flow, draft->launches.items[i].flow);
  }
  uint64_t end = 0;
  for (size_t i = 0; i < draft->tensors.count; i++) {
    const hone_tensor_t *tensor = &hone_plan_tensors(plan)[i];
    const hone_pack_item_t *item = &draft->tensors.items[i];
    assert_string_equal(hone_plan_string(plan, tensor->name), item->recipe.name);
    assert_int_equal(tensor->offset, end);  // no holes
    assert_int_equal(tensor->N, item->recipe.N);
    assert_int_equal(tensor->storage, item->format.storage);
    end += tensor->bytes;
  }
  assert_int_equal(end, plan->weight_bytes);
  for (size_t i = 0; i < draft->kernels.count; i++) {
    const hone_kernel_info_t *kernel = &hone_plan_kernels(plan)[i];
    assert_string_equal(hone_plan_string(plan, kernel->name), draft->kernels.items[i].name);
    for (size_t j = 0; j < i; j++)
      assert_string_not_equal(draft->kernels.items[i].name, draft->kernels.items[j].name);
  }
  for (uint32_t isa = 0; isa < plan->isa_count; isa++) {
    assert_int_equal(draft->flows[isa].count, plan->flow_count);
    assert_memory_equal(hone_plan_flows(plan, isa), draft->flows[isa].items,
                        plan->flow_count * sizeof(hone_flow_t));
  }
  assert_memory_equal(hone_plan_rope(plan), draft->rope, plan->rope_count * sizeof(double));
  close_model(&f);
}

static const hone_draft_launch_t *find_launch(const hone_draft_t *draft, const char *name) {
  for (size_t i = 0; i < draft->launches.count; i++)
    if (!strcmp(draft->launches.items[i].name, name)) return &draft->launches.items[i];
  fail_msg("no launch %s", name);
  return NULL;
}

static void launches_touch_what_their_family_says(void **state) {
  (void)state;
  fixture_t f;
  open_model(&f, pipelines[2], NULL, NULL, 0);
  assert_ok(&f.status, lower(&f, NULL));
  const hone_draft_t *draft = &f.draft;
  const hone_draft_launch_t *launches = draft->launches.items;
  assert_int_equal(launches[0].operands[0].space, HONE_SPACE_IDS);
  const hone_draft_launch_t *rope = find_launch(draft, "layers.1.attention/rope_kv");
  const hone_draft_launch_t *attend = find_launch(draft, "layers.1.attention/attend");
  const uint32_t rope_spaces[] = {HONE_SPACE_ARENA, HONE_SPACE_ROPE, HONE_SPACE_KEYS,
                                  HONE_SPACE_VALUES};
  const uint32_t attend_spaces[] = {HONE_SPACE_ARENA, HONE_SPACE_KEYS, HONE_SPACE_VALUES,
                                    HONE_SPACE_ARENA};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(rope->operands[i].space, rope_spaces[i]);
    assert_int_equal(attend->operands[i].space, attend_spaces[i]);
  }
  assert_int_equal(rope->operands[2].offset, 1);  // the layer
  assert_int_equal(rope->operands[0].offset, attend->operands[0].offset);
  assert_int_equal(draft->kernels.items[draft->flows[0].items[rope->flow].kernel[0]].spec.family,
                   HONE_FAMILY_ROPE_KV);
  const hone_draft_launch_t *head = &launches[draft->header.body_count],
                            *last = &launches[draft->launches.count - 1];
  assert_memory_equal(head->name, "head/", 5);
  assert_int_equal(head->operands[0].space, HONE_SPACE_ARENA);
  assert_int_equal(last->operands[4].space, HONE_SPACE_LOGITS);
  assert_int_equal(last->operands[4].row_bytes, hone_row_bytes(HONE_F32, draft->header.vocab));
  for (uint32_t i = 0; i < draft->header.body_count; i++)
    for (int j = 0; j < HONE_KERNEL_POINTERS; j++)
      assert_int_not_equal(launches[i].operands[j].space, HONE_SPACE_LOGITS);
  close_model(&f);
}

// Heads of 8 rows lie two in a tile of weights; those of 16 do not, and the linear of q, k and v
// does to them what else rope_kv does.
static void whole_heads_are_turned_by_their_linear(void **state) {
  (void)state;
  fixture_t f;
  const char *text = begin(&f);
  text = edit(f.arena, text, "%q) {heads = 8, head_dim = 8", "%q) {heads = 4, head_dim = 16", 0);
  text = edit(f.arena, text, "%k) {heads = 4, head_dim = 8", "%k) {heads = 2, head_dim = 16", 0);
  text = edit(f.arena, text, "{heads = 8, kv_heads = 4, head_dim = 8",
              "{heads = 4, kv_heads = 2, head_dim = 16", 0);
  text = edit(f.arena, text, "0.01, 0.001>", "0.01, 0.001, 0.1, 0.1, 0.1, 0.1>", 0);
  open_text(&f, pipelines[2], text);
  assert_ok(&f.status, lower(&f, "q8"));
  const hone_draft_t *draft = &f.draft;
  for (size_t i = 0; i < draft->launches.count; i++)
    assert_null(strstr(draft->launches.items[i].name, "rope"));
  const hone_draft_launch_t *qkv = find_launch(draft, "layers.1.attention/qkv");
  const hone_draft_launch_t *attend = find_launch(draft, "layers.1.attention/attend");
  const hone_kernel_spec_t *spec =
      &draft->kernels.items[draft->flows[0].items[qkv->flow].kernel[0]].spec;
  assert_true(spec->rope);
  assert_int_equal(spec->heads, 4);
  assert_int_equal(spec->kv_heads, 2);
  assert_int_equal(spec->head_dim, 16);
  assert_int_equal(spec->cache, HONE_Q8);
  assert_int_equal(qkv->operands[4].offset, attend->operands[0].offset);
  assert_int_equal(qkv->operands[5].space, HONE_SPACE_ROPE);
  assert_int_equal(qkv->operands[5].row_bytes, 16 * sizeof(float));
  for (int i = 0; i < 2; i++) {
    assert_int_equal(qkv->operands[6 + i].space, attend->operands[1 + i].space);
    assert_int_equal(qkv->operands[6 + i].offset, 1);  // the layer
    assert_int_equal(attend->operands[1 + i].offset, 1);
  }
  const hone_plan_t *plan = serialise(&f);
  assert_ok(&f.status, hone_plan_check(plan, f.blob.bytes, &f.status));
  close_model(&f);
}

// Linears of one shape whose columns are split share their parts; the checker knows where these
// end.
static void split_linears_have_parts(void **state) {
  (void)state;
  fixture_t f;
  open_model(&f, "canonical,fuse", "{epilogue",
             "{hone.dataflow = \"gemv split=2 < 4, flat\", epilogue", 0);
  assert_ok(&f.status, lower(&f, NULL));
  const hone_draft_launch_t *last = &f.draft.launches.items[f.draft.launches.count - 1];
  uint64_t bytes = hone_parts_bytes(f.draft.header.vocab, f.draft.header.width, 3);
  assert_int_equal(last->operands[8].space, HONE_SPACE_PARTS);
  assert_int_equal(last->operands[8].row_bytes, bytes);
  assert_int_equal(last->operands[8].offset + bytes, f.draft.header.parts_bytes);
  const hone_plan_t *plan = serialise(&f);
  assert_ok(&f.status, hone_plan_check(plan, f.blob.bytes, &f.status));
  hone_plan_t damaged = *plan;
  damaged.parts_bytes -= 64;
  memcpy(f.blob.data, &damaged, sizeof damaged);
  assert_false(hone_plan_check((const hone_plan_t *)f.blob.data, f.blob.bytes, &f.status));
  assert_contains(f.status.message, "operand 8");
  close_model(&f);
}

static void lowering_repeats_byte_for_byte(void **state) {
  (void)state;
  fixture_t a, b;
  open_model(&a, pipelines[2], NULL, NULL, 0);
  open_model(&b, pipelines[2], NULL, NULL, 0);
  assert_ok(&a.status, lower(&a, NULL));
  assert_ok(&b.status, lower(&b, NULL));
  serialise(&a);
  serialise(&b);
  assert_int_equal(a.blob.bytes, b.blob.bytes);
  assert_memory_equal(a.blob.data, b.blob.data, a.blob.bytes);
  close_model(&a);
  close_model(&b);
}

static void check_refused(fixture_t *f, const char *cache, const char *a, const char *b) {
  assert_false(lower(f, cache));
  assert_int_equal(f->status.code, HONE_UNSUPPORTED);
  assert_contains(f->status.message, a);
  assert_contains(f->status.message, b);
  close_model(f);
}

static void what_has_no_kernel_is_refused(void **state) {
  (void)state;
  fixture_t f;
  open_model(&f, "canonical", NULL, NULL, 0);
  check_refused(&f, NULL, "layers.0.attention", "fuse");
  open_model(&f, "canonical,fuse", "0.01, 0.001", "0.01, 0.002", 2);  // of the second layer
  check_refused(&f, NULL, "layers.1.attention", "rope frequencies");
  open_model(&f, "canonical,fuse", NULL, NULL, 0);
  check_refused(&f, "bf16", "bf16", "--kv");
}

static void phases_out_of_order_are_explained(void **state) {
  (void)state;
  fixture_t f;
  const hone_plan_options_t options = hone_cpu_plan_options(NULL, NULL);
  open_model(&f, "canonical,fuse", NULL, NULL, 0);
  assert_false(hone_plan_lower(&f.compile.model, &options, f.arena, &f.draft, &f.status));
  assert_contains(f.status.message, "plan-memory");
  close_model(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plans_pass_the_runtime_checks),
      cmocka_unit_test(the_blob_says_what_the_draft_says),
      cmocka_unit_test(launches_touch_what_their_family_says),
      cmocka_unit_test(whole_heads_are_turned_by_their_linear),
      cmocka_unit_test(split_linears_have_parts),
      cmocka_unit_test(lowering_repeats_byte_for_byte),
      cmocka_unit_test(what_has_no_kernel_is_refused),
      cmocka_unit_test(phases_out_of_order_are_explained),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
