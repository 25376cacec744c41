// Plan validation: every field that could lead outside is refused, and damage of any byte is
// survived.
#include "runtime/plan.h"

#include "tests/unit/runtime/toy.h"

static bool check(const toy_plan_t *plan, hone_status_t *status) {
  *status = (hone_status_t){0};
  return hone_plan_check(&plan->plan, sizeof *plan, status);
}

static void accepts_the_toy(void **state) {
  (void)state;
  toy_plan_t plan;
  hone_status_t status;
  toy_fill_plan(&plan);
  if (!check(&plan, &status)) fail_msg("%s", status.message);
  assert_string_equal(hone_plan_string(&plan.plan, plan.plan.family_name), "toy");
}

#define REFUSES(change, words)                                                 \
  do {                                                                         \
    toy_plan_t plan;                                                           \
    hone_status_t status;                                                      \
    toy_fill_plan(&plan);                                                      \
    change;                                                                    \
    assert_false(check(&plan, &status));                                       \
    if (strstr(status.message, words) == NULL) fail_msg("%s", status.message); \
  } while (0)

static void refuses_bad_headers(void **state) {
  (void)state;
  REFUSES(plan.plan.magic = 5, "magic");
  REFUSES(plan.plan.version = 99, "compile it again");
  REFUSES(plan.plan.bytes = sizeof plan + 1, "bytes");
  REFUSES(plan.plan.bytes = 8, "bytes");
  REFUSES(plan.plan.launches = UINT64_MAX - 7, "launches");
  REFUSES(plan.plan.launches = 4, "launches");
  REFUSES(plan.plan.tensor_count = UINT32_MAX, "tensors");
  REFUSES(plan.plan.strings = sizeof plan, "family_name");
  REFUSES(plan.plan.family_name = UINT64_MAX, "family_name");
  REFUSES(plan.plan.vocab = 0, "vocab");
  REFUSES(plan.plan.batch = 1u << 30, "batch");
  REFUSES(plan.plan.kv_heads = TOY_HEADS + 1, "kv_heads");
  REFUSES((plan.plan.heads = 3, plan.plan.kv_heads = 2), "kv_heads");
  REFUSES(plan.plan.cache_storage = HONE_NF4, "cache_storage");
  REFUSES(plan.plan.rope_count = 3, "rope_count");
  REFUSES(plan.rope[1] = NAN, "rope");
  REFUSES(plan.plan.eos_count = 17, "eos_count");
  REFUSES(plan.plan.bos = TOY_VOCAB, "bos");
  REFUSES(plan.plan.split_rows = plan.plan.batch + 1, "split_rows");
  REFUSES(plan.plan.body_count = 3, "body_count");
  REFUSES(plan.plan.argmax_flow = 4, "argmax_flow");
}

static void refuses_bad_references(void **state) {
  (void)state;
  REFUSES(plan.launches[0].flow = 4, "flow");
  REFUSES(plan.launches[0].operands[5].offset = 64, "operand 5 of launch body");
  REFUSES(plan.launches[0].operands[5].row_bytes = UINT32_MAX, "operand 5 of launch body");
  REFUSES(plan.launches[0].operands[1].offset = sizeof(toy_weights_t), "operand 1 of launch body");
  REFUSES(plan.launches[0].operands[3].offset = TOY_LAYERS, "operand 3 of launch body");
  REFUSES(plan.launches[1].operands[7].space = 99, "operand 7 of launch head");
  REFUSES(plan.flows[1].kernel[0] = 4, "flow");
  REFUSES(plan.flows[1].count = 0, "flow");
  REFUSES(plan.flows[1].count = HONE_FLOW_LIMIT + 1, "flow");
  REFUSES(plan.plan.isa_count = 0, "isa_count");
  REFUSES(plan.plan.isa_count = HONE_ISA_LIMIT + 1, "isa_count");
  REFUSES(plan.plan.isa_count = 2, "flow");  // those of the second are zeros
  REFUSES((plan.plan.isa_count = 4, plan.plan.flow_count = 1u << 30), "flows");
  REFUSES(plan.flows[1].below[0] = 7, "flow");
  REFUSES(plan.tensors[1].bytes = 257, "tensor unused");
  REFUSES(plan.tensors[1].offset = UINT64_MAX - 63, "tensor unused");
  REFUSES(plan.kernels[2].name = 9999, "kernel");
  REFUSES(memset(plan.strings, 'x', sizeof plan.strings), "family_name");
}

static void survives_damage_of_any_byte(void **state) {
  (void)state;
  toy_plan_t plan;
  hone_status_t status;
  static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
  toy_fill_plan(&plan);
  uint8_t *bytes = (uint8_t *)&plan;
  for (size_t at = 0; at < sizeof plan; ++at) {
    uint8_t before = bytes[at];
    for (size_t i = 0; i < sizeof values; ++i) {
      bytes[at] = values[i];
      if (!check(&plan, &status)) assert_true(status.message[0] != 0);
    }
    bytes[at] = before;
  }
  for (size_t limit = 0; limit < sizeof plan; ++limit) {
    status = (hone_status_t){0};
    assert_false(hone_plan_check(&plan.plan, limit, &status));
  }
}

static void looks_up_flows(void **state) {
  (void)state;
  hone_flow_t flow = {
      .count = 3, .below = {2, 9, UINT32_MAX}, .unit_count = {10, 5, 3}, .unit_rows = {0, 4, 1}};
  assert_int_equal(hone_flow_entry(&flow, 1), 0);
  assert_int_equal(hone_flow_entry(&flow, 2), 1);
  assert_int_equal(hone_flow_entry(&flow, 8), 1);
  assert_int_equal(hone_flow_entry(&flow, 9), 2);
  assert_int_equal(hone_flow_units(&flow, 0, 1), 10);
  assert_int_equal(hone_flow_units(&flow, 1, 8), 10);
  assert_int_equal(hone_flow_units(&flow, 1, 5), 10);
  assert_int_equal(hone_flow_units(&flow, 2, 9), 27);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accepts_the_toy),        cmocka_unit_test(refuses_bad_headers),
      cmocka_unit_test(refuses_bad_references), cmocka_unit_test(survives_damage_of_any_byte),
      cmocka_unit_test(looks_up_flows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
