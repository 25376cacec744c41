// What the tests of ir/ share: a session with a diagnostics sink, two small models as text (one as
// imported, one as passes leave it), and a Llama built through the API. Not a test.
#ifndef TESTS_UNIT_IR_FIXTURE_H
#define TESTS_UNIT_IR_FIXTURE_H

// cmocka wants these first.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ir/model.h"

typedef struct fixture {
  hone_arena_t *arena;
  hone_diagnostics_t diagnostics;
  ir_session_t *session;
  hone_status_t status;
} fixture_t;

static inline int fixture_setup(void **state) {
  fixture_t *f = calloc(1, sizeof *f);
  f->arena = hone_arena_create();
  f->diagnostics.arena = f->arena;
  if (!ir_session_create(&f->diagnostics, &f->session, &f->status)) return -1;
  *state = f;
  return 0;
}

static inline int fixture_teardown(void **state) {
  fixture_t *f = *state;
  ir_session_destroy(f->session);
  hone_arena_destroy(f->arena);
  free(f);
  return 0;
}

// Forgets earlier errors, between the rows of a table.
static inline void fixture_reset(fixture_t *f) {
  f->status = (hone_status_t){0};
  f->diagnostics = (hone_diagnostics_t){.arena = f->arena};
  ir_session_clear_error(f->session);
}

#define assert_ok(f, call)                                       \
  do {                                                           \
    if (!(call)) fail_msg("%s: %s", #call, (f)->status.message); \
  } while (0)

static inline void assert_contains(const char *text, const char *part) {
  if (!strstr(text, part)) fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

// `text` with its only occurrence of `from` replaced by `to`.
static inline char *replaced(hone_arena_t *arena, const char *text, const char *from,
                             const char *to) {
  const char *at = strstr(text, from);
  if (!at) {
    fail_msg("the fixture does not contain \"%s\"", from);
    return NULL;
  }
  if (strstr(at + 1, from)) fail_msg("the fixture contains \"%s\" twice", from);
  return hone_arena_format(arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static inline char *read_source_file(hone_arena_t *arena, const char *name) {
  const char *root = getenv("HONE_SOURCE_DIR");
  const char *path = hone_arena_format(arena, "%s/%s", root ? root : ".", name);
  FILE *file = fopen(path, "rb");
  if (!file) fail_msg("cannot open %s", path);
  char *text = hone_arena_alloc(arena, 1 << 20);
  size_t bytes = fread(text, 1, (1 << 20) - 1, file);
  fclose(file);
  text[bytes] = '\0';
  return text;
}

// One layer as a front end imports it: width 64, 8 heads of 8, 4 kv heads, ffn 172, vocabulary 96.
static const char unfused_text[] =
    "module attributes {hone.model = {family = \"llama\", vocab = 96, width = 64, context = 32,\n"
    "    bos = 1, add_bos = true, eos = array<i64: 2>, checkpoint = \"c\"}} {\n"
    "\"hone.recipe\"() {sym_name = \"embed.weight\", sources = [\"e\"], combine = \"single\",\n"
    "    type = tensor<96x64xf32>} : () -> ()\n"
    "\"hone.recipe\"() {sym_name = \"norm\", sources = [\"n\"], combine = \"single\", type = "
    "tensor<64xf32>} : () -> ()\n"
    "\"hone.recipe\"() {sym_name = \"q\", sources = [\"q\"], combine = \"single\", type = "
    "tensor<64x64xbf16>} : () -> ()\n"
    "\"hone.recipe\"() {sym_name = \"k\", sources = [\"k\"], combine = \"single\", type = "
    "tensor<32x64xf16>} : () -> ()\n"
    "\"hone.recipe\"() {sym_name = \"gate\", sources = [\"g\"], combine = \"single\", type = "
    "tensor<172x64x!hone.nf4<64>>} : () -> ()\n"
    "\"hone.recipe\"() {sym_name = \"down\", sources = [\"d\"], combine = \"single\", type = "
    "tensor<64x172x!hone.q8<64>>} : () -> ()\n"
    "func.func private @embed(%ids: tensor<?xi32>) -> tensor<?x64xf32>"
    " attributes {hone.kind = \"embed\"} {\n"
    "  %w = \"hone.weight\"() {ref = @embed.weight} : () -> tensor<96x64xf32>\n"
    "  %0 = \"hone.embed\"(%ids, %w) : (tensor<?xi32>, tensor<96x64xf32>) -> tensor<?x64xf32>\n"
    "  return %0 : tensor<?x64xf32>\n"
    "}\n"
    "func.func private @layers.0.attention(%x: tensor<?x64xf32>) -> tensor<?x64xf32>"
    " attributes {hone.kind = \"attention\", hone.layer = 0} {\n"
    "  %g = \"hone.weight\"() {ref = @norm} : () -> tensor<64xf32>\n"
    "  %n = \"hone.norm\"(%x, %g) {kind = \"rms\", epsilon = 1.0e-5}"
    " : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>\n"
    "  %wq = \"hone.weight\"() {ref = @q} : () -> tensor<64x64xbf16>\n"
    "  %wk = \"hone.weight\"() {ref = @k} : () -> tensor<32x64xf16>\n"
    "  %q = \"hone.linear\"(%n, %wq) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, "
    "0, "
    "0>} : (tensor<?x64xf32>, tensor<64x64xbf16>) -> tensor<?x64xf32>\n"
    "  %k = \"hone.linear\"(%n, %wk) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, "
    "0, "
    "0>} : (tensor<?x64xf32>, tensor<32x64xf16>) -> tensor<?x32xf32>\n"
    "  %qr = \"hone.rope\"(%q) {heads = 8, head_dim = 8, frequencies = array<f64: 1.0, 0.1, 0.01, "
    "0.001>, scale = 1.0} : (tensor<?x64xf32>) -> tensor<?x64xf32>\n"
    "  %a = \"hone.attend\"(%qr, %k, %k) {heads = 8, kv_heads = 4, head_dim = 8, window = 0, scale "
    "= "
    "0.35} : (tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x64xf32>\n"
    "  %r = \"hone.add\"(%x, %a) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>\n"
    "  return %r : tensor<?x64xf32>\n"
    "}\n"
    "func.func private @layers.0.ffn(%x: tensor<?x64xf32>) -> tensor<?x64xf32>"
    " attributes {hone.kind = \"ffn\", hone.layer = 0} {\n"
    "  %wg = \"hone.weight\"() {ref = @gate} : () -> tensor<172x64x!hone.nf4<64>>\n"
    "  %wd = \"hone.weight\"() {ref = @down} : () -> tensor<64x172x!hone.q8<64>>\n"
    "  %g = \"hone.linear\"(%x, %wg) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, "
    "0, "
    "0>} : (tensor<?x64xf32>, tensor<172x64x!hone.nf4<64>>) -> tensor<?x172xf32>\n"
    "  %u = \"hone.glu\"(%g, %g) {activation = \"silu\"} : (tensor<?x172xf32>, tensor<?x172xf32>) "
    "-> "
    "tensor<?x172xf32>\n"
    "  %d = \"hone.linear\"(%u, %wd, %x) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, "
    "1, "
    "0, 1>} : (tensor<?x172xf32>, tensor<64x172x!hone.q8<64>>, tensor<?x64xf32>) -> "
    "tensor<?x64xf32>\n"
    "  return %d : tensor<?x64xf32>\n"
    "}\n"
    "func.func private @head(%x: tensor<?x64xf32>) -> tensor<?x96xf32>"
    " attributes {hone.kind = \"head\"} {\n"
    "  %hw = \"hone.weight\"() {ref = @embed.weight} : () -> tensor<96x64xf32>\n"
    "  %l = \"hone.linear\"(%x, %hw) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, "
    "0, "
    "0>} : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>\n"
    "  return %l : tensor<?x96xf32>\n"
    "}\n"
    "func.func @forward(%ids: tensor<?xi32>) -> tensor<?x96xf32> {\n"
    "  %0 = call @embed(%ids) : (tensor<?xi32>) -> tensor<?x64xf32>\n"
    "  %1 = call @layers.0.attention(%0) : (tensor<?x64xf32>) -> tensor<?x64xf32>\n"
    "  %2 = call @layers.0.ffn(%1) : (tensor<?x64xf32>) -> tensor<?x64xf32>\n"
    "  %3 = call @head(%2) : (tensor<?x64xf32>) -> tensor<?x96xf32>\n"
    "  return %3 : tensor<?x96xf32>\n"
    "}\n"
    "}\n";

// The same size as passes leave it: packed qkv with a bias, gate and up interleaved, q8
// activations.
static const char fused_text[] =
    "module attributes {hone.model = {family = \"llama\", vocab = 96, width = 64, context = 32,\n"
    "    bos = -1, add_bos = false, eos = array<i64>, checkpoint = \"\"}} {\n"
    "\"hone.recipe\"() {sym_name = \"w\", sources = [\"e\"], combine = \"single\",\n"
    "    type = tensor<96x64xf32>} : () -> ()\n"
    "\"hone.recipe\"() {sym_name = \"norm\", sources = [\"n\"], combine = \"single\", type = "
    "tensor<64xf32>} : () -> ()\n"
    "\"hone.recipe\"() {sym_name = \"qkv\", sources = [\"q\", \"k\", \"v\"], combine = \"concat\", "
    "type "
    "= tensor<128x64x!hone.nf4<64>>} : () -> ()\n"
    "\"hone.recipe\"() {sym_name = \"qkv.bias\", sources = [\"a\", \"b\", \"c\"], combine = "
    "\"concat\", "
    "type = tensor<128xf32>} : () -> ()\n"
    "\"hone.recipe\"() {sym_name = \"gu\", sources = [\"g\", \"u\"], combine = \"interleave\", "
    "type = "
    "tensor<344x64x!hone.nf4<64>>} : () -> ()\n"
    "func.func private @embed(%ids: tensor<?xi32>) -> tensor<?x64xf32>"
    " attributes {hone.kind = \"embed\"} {\n"
    "  %w = \"hone.weight\"() {ref = @w} : () -> tensor<96x64xf32>\n"
    "  %0 = \"hone.embed\"(%ids, %w) : (tensor<?xi32>, tensor<96x64xf32>) -> tensor<?x64xf32>\n"
    "  return %0 : tensor<?x64xf32>\n"
    "}\n"
    "func.func private @layers.0.attention(%x: tensor<?x64xf32>) -> tensor<?x64xf32>"
    " attributes {hone.kind = \"attention\", hone.layer = 0} {\n"
    "  %g = \"hone.weight\"() {ref = @norm} : () -> tensor<64xf32>\n"
    "  %n = \"hone.norm\"(%x, %g) {kind = \"rms\", epsilon = 1.0e-5}"
    " : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64x!hone.q8<64>>\n"
    "  %w = \"hone.weight\"() {ref = @qkv} : () -> tensor<128x64x!hone.nf4<64>>\n"
    "  %b = \"hone.weight\"() {ref = @qkv.bias} : () -> tensor<128xf32>\n"
    "  %q = \"hone.linear\"(%n, %w, %b) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, "
    "1, "
    "1, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<128x64x!hone.nf4<64>>, tensor<128xf32>) -> "
    "tensor<?x128xf32>\n"
    "  %a = \"hone.attend_packed\"(%q) {heads = 8, kv_heads = 4, head_dim = 8, window = 16, scale "
    "= "
    "0.35, frequencies = array<f64: 1.0, 0.1, 0.01, 0.001>, rope_scale = 1.0} : "
    "(tensor<?x128xf32>) "
    "-> tensor<?x64xf32>\n"
    "  return %a : tensor<?x64xf32>\n"
    "}\n"
    "func.func private @head(%x: tensor<?x64xf32>) -> tensor<?x96xf32>"
    " attributes {hone.kind = \"head\"} {\n"
    "  %gw = \"hone.weight\"() {ref = @gu} : () -> tensor<344x64x!hone.nf4<64>>\n"
    "  %z = \"hone.quantize\"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>\n"
    "  %u = \"hone.linear\"(%z, %gw) {epilogue = \"silu_glu\", operandSegmentSizes = array<i32: 1, "
    "1, "
    "0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<344x64x!hone.nf4<64>>) -> tensor<?x172xf32>\n"
    "  %hw = \"hone.weight\"() {ref = @w} : () -> tensor<96x64xf32>\n"
    "  %l = \"hone.linear\"(%x, %hw) {epilogue = \"none\", operandSegmentSizes = array<i32: 1, 1, "
    "0, "
    "0>} : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>\n"
    "  return %l : tensor<?x96xf32>\n"
    "}\n"
    "func.func @forward(%ids: tensor<?xi32>) -> tensor<?x96xf32> {\n"
    "  %0 = call @embed(%ids) : (tensor<?xi32>) -> tensor<?x64xf32>\n"
    "  %1 = call @layers.0.attention(%0) : (tensor<?x64xf32>) -> tensor<?x64xf32>\n"
    "  %3 = call @head(%1) : (tensor<?x64xf32>) -> tensor<?x96xf32>\n"
    "  return %3 : tensor<?x96xf32>\n"
    "}\n"
    "}\n";

#endif
