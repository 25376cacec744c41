// Linears that turn their heads and write the caches themselves: the bytes that the plain linear
// and rope_kv after it leave in the row of q, k and v and in both caches, for every family, head
// sizes with and without whole units, f32, f16 and q8 caches.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the headers above first.
#include <cmocka.h>

#include "tests/conformance/pack.h"

static const struct {
  uint32_t heads, kv_heads, head_dim, K, rows;
  hone_storage_t input, cache;
  uint8_t bias;
} layers[] = {
    {3, 1, 16, 200, 0, HONE_F32, HONE_F32, 1},   // tiles after the last head; heads of one tile
    {4, 2, 16, 64, 64, HONE_Q8, HONE_F16, 0},    // several heads in a unit
    {2, 1, 48, 128, 32, HONE_Q8, HONE_Q8, 1},    // blocks that cut heads
    {4, 2, 64, 128, 0, HONE_Q8, HONE_F16, 0},    // as most models have them
    {2, 2, 64, 72, 16, HONE_F32, HONE_Q8, 0},    //
    {2, 1, 80, 64, 64, HONE_Q8, HONE_F32, 0},    // one unit for all heads
    {2, 1, 128, 128, 32, HONE_Q8, HONE_F16, 1},  //
};
static const struct {
  uint32_t M, position, spare;  // spare: capacity past the last token
} steps[] = {{1, 0, 0}, {1, 37, 3}, {5, 14, 0}, {37, 45, 40}, {131, 0, 0}};

enum {
  LAYERS = sizeof layers / sizeof *layers,
  STEPS = sizeof steps / sizeof *steps,
  FAMILIES = 3
};

typedef struct rope_case {
  hone_kernel_spec_t spec;  // of the plain linear
  size_t plain, rope, fused[FAMILIES];
} rope_case_t;

typedef struct state {  // what is written
  region_t qkv, keys, values;
} state_t;

static rope_case_t make_case(bench_t *bench, size_t i) {
  rope_case_t c = {.spec = {.family = HONE_FAMILY_GEMV,
                            .weight = {HONE_NF4, 64},
                            .input = layers[i].input,
                            .K = layers[i].K,
                            .bias = layers[i].bias}};
  hone_kernel_spec_t rope = {.family = HONE_FAMILY_ROPE_KV,
                             .heads = layers[i].heads,
                             .kv_heads = layers[i].kv_heads,
                             .head_dim = layers[i].head_dim,
                             .cache = layers[i].cache};
  c.spec.N = (rope.heads + 2 * rope.kv_heads) * rope.head_dim;
  c.plain = bench_add(bench, &c.spec);
  c.rope = bench_add(bench, &rope);
  for (int f = 0; f < FAMILIES; f++) {
    hone_kernel_spec_t spec = c.spec;
    spec.family = HONE_FAMILY_GEMV + (hone_family_t)f;
    spec.rope = 1;
    spec.heads = rope.heads, spec.kv_heads = rope.kv_heads;
    spec.head_dim = rope.head_dim, spec.cache = rope.cache;
    spec.schedule.rows = layers[i].rows;
    c.fused[f] = bench_add(bench, &spec);
  }
  return c;
}

static state_t make_state(const bench_t *bench, const rope_case_t *c, uint32_t M,
                          uint32_t capacity) {
  const hone_kernel_spec_t *rope = &bench->specs.items[c->rope];
  size_t blocks = (size_t)rope->kv_heads * (capacity / HONE_CACHE_BLOCK);
  size_t bytes = blocks * hone_cache_block_bytes(rope->cache, rope->head_dim);
  return (state_t){region_create(hone_row_bytes(HONE_F32, c->spec.N) * M), region_create(bytes),
                   region_create(bytes)};
}

static void destroy_state(state_t *state) {
  region_destroy(&state->qkv);
  region_destroy(&state->keys);
  region_destroy(&state->values);
}

static void check_equal(const region_t *got, const region_t *want, const char *what,
                        const char *name, uint32_t M) {
  if (memcmp(got->data, want->data, want->bytes) != 0)
    fail_msg("%s, M = %u: %s differ from those of rope_kv", name, M, what);
}

static void run_fused(const bench_t *bench, size_t isa, size_t kernel, hone_kernel_args_t args,
                      const state_t *want, state_t *got) {
  args.ptr[4] = got->qkv.data, args.ptr[6] = got->keys.data, args.ptr[7] = got->values.data;
  bench_run(bench, isa, kernel, &args,
            &(outputs_t){3, {4, 6, 7}, {&got->qkv, &got->keys, &got->values}});
  const char *name = bench_name(bench, isa, kernel);
  check_equal(&got->qkv, &want->qkv, "q, k and v", name, (uint32_t)args.M);
  check_equal(&got->keys, &want->keys, "keys", name, (uint32_t)args.M);
  check_equal(&got->values, &want->values, "values", name, (uint32_t)args.M);
}

static void run_case(const bench_t *bench, size_t isa, const rope_case_t *c, size_t step) {
  const hone_kernel_spec_t *rope = &bench->specs.items[c->rope];
  uint32_t M = steps[step].M, end = steps[step].position + M + steps[step].spare;
  uint32_t capacity = (end + HONE_CACHE_STEP - 1) / HONE_CACHE_STEP * HONE_CACHE_STEP;
  uint64_t random = step * 1000 + c->spec.N;
  packed_t weight = pack_weight(c->spec.weight, c->spec.N, c->spec.K, &random);
  rows_t x = pack_rows(c->spec.input, M, c->spec.K, &random);
  rows_t angles = pack_rows(HONE_F32, 1, M * rope->head_dim, &random);
  region_t bias = pack_vector(c->spec.N, &random);
  state_t want = make_state(bench, c, M, capacity);
  hone_kernel_args_t args = {.M = M, .position = steps[step].position, .capacity = capacity};
  args.ptr[0] = x.region.data, args.ptr[1] = weight.region.data;
  args.ptr[2] = c->spec.bias ? bias.data : NULL;
  args.ptr[4] = want.qkv.data, args.ptr[5] = angles.region.data;
  bench_run(bench, isa, c->plain, &args, &(outputs_t){1, {4}, {&want.qkv}});
  hone_kernel_args_t turn = args;
  turn.ptr[0] = want.qkv.data, turn.ptr[1] = angles.region.data;
  turn.ptr[2] = want.keys.data, turn.ptr[3] = want.values.data;
  bench_run(bench, isa, c->rope, &turn,
            &(outputs_t){3, {0, 2, 3}, {&want.qkv, &want.keys, &want.values}});
  for (int f = 0; f < FAMILIES; f++) {
    state_t got = make_state(bench, c, M, capacity);
    run_fused(bench, isa, c->fused[f], args, &want, &got);
    destroy_state(&got);
  }
  destroy_state(&want);
  packed_destroy(&weight);
  rows_destroy(&x);
  rows_destroy(&angles);
  region_destroy(&bias);
}

static void test_rope(void **state) {
  (void)state;
  bench_t *bench = bench_create();
  rope_case_t cases[LAYERS];
  for (size_t i = 0; i < LAYERS; i++) cases[i] = make_case(bench, i);
  bench_build(bench);
  for (size_t isa = 0; isa < bench->isa_count; isa++) {
    if (!bench->isa[isa].present) continue;
    for (size_t i = 0; i < LAYERS; i++) {
      for (size_t step = 0; step < STEPS; step++) run_case(bench, isa, &cases[i], step);
    }
  }
  bench_destroy(bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rope)};
  return cmocka_run_group_tests_name("rope", tests, NULL, NULL);
}
