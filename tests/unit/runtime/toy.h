// A toy model made by hand: a plan of two launches whose kernels are C functions, and an ELF file
// with its weights.
//
// What it computes: the body adds up token ids over the KV cache (causally) and adds the token's
// weight; the head's logits peak at (sum mod vocab). So every row of logits depends on all tokens
// before it, and a slip in batching, rewinding or cache addressing shows.
#ifndef HONE_TESTS_UNIT_RUNTIME_TOY_H
#define HONE_TESTS_UNIT_RUNTIME_TOY_H

#include <elf.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// cmocka wants the headers above first
#include <cmocka.h>

#include "base/artefact.h"
#include "base/hash.h"
#include "hone/hone.h"

enum {
  TOY_VOCAB = 50,
  TOY_BATCH = 4,
  TOY_HEAD_BATCH = 2,
  TOY_CONTEXT = 32,
  TOY_HEADS = 2,
  TOY_HEAD_DIM = 8,
  TOY_LAYERS = 2,
  TOY_ROW_BYTES = 256,
  TOY_EOS = 7,
};

typedef struct toy_plan {  // launches, flows, tensors, kernels, rope, strings follow the header in
                           // this order
  hone_plan_t plan;
  hone_launch_t launches[2];
  hone_flow_t flows[8];  // of one level, and room for another
  hone_tensor_t tensors[2];
  hone_kernel_info_t kernels[4];
  double rope[TOY_HEAD_DIM / 2];
  char strings[128];
} toy_plan_t;

typedef struct toy_weights {
  float table[64];  // added to the sum per token id
  float unused[64];
} toy_weights_t;

typedef struct toy {
  toy_plan_t plan;
  toy_weights_t weights;
  hone_image_t image;
  char path[64];  // the ELF file
} toy_t;

static int toy_body_calls,
    toy_head_calls;  // units run, over all threads (tests with one thread look at them)
static hone_session_t *toy_cancel_session;     // cancelled from inside a kernel when set
static float toy_rope_seen[2 * TOY_HEAD_DIM];  // the rope table of the last step's first two rows

// ptr: ids, table, rope, keys of layer 1, values of layer 1, out. Units: 1 (rows depend on each
// other's cache entries).
static inline void toy_body(const hone_kernel_args_t *args, int64_t begin, int64_t end) {
  const int32_t *ids = args->ptr[0];
  const float *table = args->ptr[1], *rope = args->ptr[2];
  float *keys = args->ptr[3], *values = args->ptr[4], *out = args->ptr[5];
  int64_t stride = hone_head_padded(TOY_HEAD_DIM);
  (void)begin;
  (void)end;
  toy_body_calls += 1;
  memcpy(toy_rope_seen, rope, sizeof toy_rope_seen);
  for (int64_t m = 0; m < args->M; ++m) {
    int64_t at = args->position + m;
    keys[(1 * args->capacity + at) * stride + stride - 1] =
        (float)ids[m];  // the last head, the last element
    values[at * stride] = table[ids[m]];
    float sum = 0;
    for (int64_t p = 0; p <= at; ++p) {
      sum += keys[(1 * args->capacity + p) * stride + stride - 1] + values[p * stride];
    }
    out[m * (TOY_ROW_BYTES / 4)] = sum;
  }
  if (toy_cancel_session != NULL && args->position >= TOY_BATCH)
    hone_session_cancel(toy_cancel_session);
}

// ptr: x, logits. Units: rows.
static inline void toy_head(const hone_kernel_args_t *args, int64_t begin, int64_t end) {
  const float *x = args->ptr[0];
  float *logits = args->ptr[1];
  for (int64_t m = begin; m < end; ++m) {
    toy_head_calls += 1;
    int64_t peak = (int64_t)x[m * (TOY_ROW_BYTES / 4)] % TOY_VOCAB;
    for (int64_t v = 0; v < TOY_VOCAB; ++v) logits[m * 64 + v] = -(float)llabs(v - peak);
  }
}

static inline void toy_argmax(const hone_kernel_args_t *args, int64_t begin, int64_t end) {
  const float *logits = args->ptr[0];
  int32_t *out = args->ptr[1];
  for (int64_t m = begin; m < end; ++m) {
    out[m] = 0;
    for (int32_t v = 1; v < TOY_VOCAB; ++v) {
      if (logits[m * 64 + v] > logits[m * 64 + out[m]]) out[m] = v;
    }
  }
}

static inline void toy_softmax(const hone_kernel_args_t *args, int64_t begin, int64_t end) {
  const float *logits = args->ptr[0];
  float *out = args->ptr[1];
  for (int64_t m = begin; m < end; ++m) {
    double sum = 0;
    for (int v = 0; v < TOY_VOCAB; ++v) sum += exp(logits[m * 64 + v] * args->scalar);
    for (int v = 0; v < 64; ++v) {
      out[m * 64 + v] = v < TOY_VOCAB ? (float)(exp(logits[m * 64 + v] * args->scalar) / sum) : 0;
    }
  }
}

static hone_kernel_fn *const toy_kernels[4] = {toy_body, toy_head, toy_argmax, toy_softmax};

static inline uint32_t toy_string(toy_plan_t *p, const char *text) {
  uint32_t at = 0;
  while (p->strings[at] != 0) at += (uint32_t)strlen(p->strings + at) + 1;
  strcpy(p->strings + at, text);
  return at;
}

static inline void toy_fill_plan(toy_plan_t *p) {
  memset(p, 0, sizeof *p);
  uint32_t body = toy_string(p, "body"), head = toy_string(p, "head"),
           table = toy_string(p, "table"), unused = toy_string(p, "unused"),
           family = toy_string(p, "toy");
  p->plan = (hone_plan_t){
      .magic = HONE_PLAN_MAGIC,
      .version = HONE_PLAN_VERSION,
      .bytes = sizeof *p,
      .vocab = TOY_VOCAB,
      .width = 64,
      .layers = TOY_LAYERS,
      .heads = TOY_HEADS,
      .kv_heads = TOY_HEADS,
      .head_dim = TOY_HEAD_DIM,
      .context = TOY_CONTEXT,
      .batch = TOY_BATCH,
      .head_batch = TOY_HEAD_BATCH,
      .cache_storage = HONE_F32,
      .bos = 1,
      .add_bos = 1,
      .eos_count = 1,
      .eos = {TOY_EOS},
      .arena_bytes = TOY_BATCH * TOY_ROW_BYTES,
      .weight_bytes = sizeof(toy_weights_t),
      .body_count = 1,
      .launch_count = 2,
      .flow_count = 4,
      .tensor_count = 2,
      .kernel_count = 4,
      .isa_count = 1,
      .argmax_flow = 2,
      .softmax_flow = 3,
      .rope_count = TOY_HEAD_DIM / 2,
      .rope_scale = 0.5f,
      .launches = offsetof(toy_plan_t, launches),
      .flows = offsetof(toy_plan_t, flows),
      .tensors = offsetof(toy_plan_t, tensors),
      .kernels = offsetof(toy_plan_t, kernels),
      .rope = offsetof(toy_plan_t, rope),
      .strings = offsetof(toy_plan_t, strings),
      .family_name = family,
  };
  p->launches[0] = (hone_launch_t){.name = body,
                                   .flow = 0,
                                   .operands = {{HONE_SPACE_IDS, 4, 0},
                                                {HONE_SPACE_WEIGHTS, 0, 0},
                                                {HONE_SPACE_ROPE, TOY_HEAD_DIM * 4, 0},
                                                {HONE_SPACE_KEYS, 0, 1},
                                                {HONE_SPACE_VALUES, 0, 1},
                                                {HONE_SPACE_ARENA, TOY_ROW_BYTES, 0}}};
  p->launches[1] = (hone_launch_t){
      .name = head,
      .flow = 1,
      .operands = {{HONE_SPACE_ARENA, TOY_ROW_BYTES, 0}, {HONE_SPACE_LOGITS, 256, 0}}};
  for (uint32_t i = 0; i < 4; ++i) {
    p->flows[i] = (hone_flow_t){.count = 1,
                                .below = {UINT32_MAX},
                                .kernel = {i},
                                .unit_count = {1},
                                .unit_rows = {i == 0 ? 0 : 1}};
    p->kernels[i] =
        (hone_kernel_info_t){.name = i == 0 ? body : head, .family = i == 0 ? body : head};
  }
  p->tensors[0] = (hone_tensor_t){.name = table, .offset = 0, .bytes = 256, .N = TOY_VOCAB, .K = 1};
  p->tensors[1] =
      (hone_tensor_t){.name = unused, .offset = 256, .bytes = 256, .N = TOY_VOCAB, .K = 1};
  for (int i = 0; i < TOY_HEAD_DIM / 2; ++i) p->rope[i] = 1.0 / (1 << i);
}

// An ELF file: header, weights (aligned), checks, manifest, names, section headers.
typedef struct toy_elf {
  uint8_t bytes[8192];
  size_t count;
  size_t weights_at, headers_at;
} toy_elf_t;

static inline size_t toy_append(toy_elf_t *elf, size_t alignment, const void *data, size_t bytes) {
  elf->count = (elf->count + alignment - 1) / alignment * alignment;
  size_t at = elf->count;
  assert_true(at + bytes <= sizeof elf->bytes);
  memcpy(elf->bytes + at, data, bytes);
  elf->count += bytes;
  return at;
}

static inline void toy_make_elf(const toy_t *toy, toy_elf_t *elf) {
  static const char names[] = "\0.hone.weights\0.hone.checks\0.hone.manifest\0.shstrtab";
  static const char manifest[] = "{\"toy\": true}";
  uint64_t check_words[(sizeof(hone_checks_t) + 2 * sizeof(uint64_t)) / sizeof(uint64_t)] = {0};
  hone_checks_t *checks = (hone_checks_t *)(void *)check_words;
  checks->magic = HONE_PLAN_MAGIC;
  checks->count = 2;
  checks->plan = hone_hash64(&toy->plan, sizeof toy->plan);
  checks->tensor[0] = hone_hash64(toy->weights.table, sizeof toy->weights.table);
  checks->tensor[1] = hone_hash64(toy->weights.unused, sizeof toy->weights.unused);
  memset(elf, 0, sizeof *elf);
  Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                       .e_type = ET_DYN,
                       .e_machine = EM_X86_64,
                       .e_ehsize = sizeof header,
                       .e_shentsize = sizeof(Elf64_Shdr),
                       .e_shnum = 5,
                       .e_shstrndx = 4};
  Elf64_Shdr sections[5] = {{0}};
  toy_append(elf, 1, &header, sizeof header);
  sections[1] = (Elf64_Shdr){.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_size = sizeof toy->weights};
  sections[1].sh_offset = elf->weights_at = toy_append(elf, 64, &toy->weights, sizeof toy->weights);
  sections[2] = (Elf64_Shdr){.sh_name = 15, .sh_type = SHT_PROGBITS, .sh_size = sizeof check_words};
  sections[2].sh_offset = toy_append(elf, 8, check_words, sizeof check_words);
  sections[3] =
      (Elf64_Shdr){.sh_name = 28, .sh_type = SHT_PROGBITS, .sh_size = sizeof manifest - 1};
  sections[3].sh_offset = toy_append(elf, 1, manifest, sizeof manifest - 1);
  sections[4] = (Elf64_Shdr){.sh_name = 43, .sh_type = SHT_STRTAB, .sh_size = sizeof names};
  sections[4].sh_offset = toy_append(elf, 1, names, sizeof names);
  elf->headers_at = toy_append(elf, 8, sections, sizeof sections);
  header.e_shoff = elf->headers_at;
  memcpy(elf->bytes, &header, sizeof header);
}

static inline void toy_write_file(const char *path, const void *data, size_t bytes) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  assert_int_equal(fclose(file), 0);
}

static inline void toy_create(toy_t *toy) {
  memset(toy, 0, sizeof *toy);
  toy_fill_plan(&toy->plan);
  for (int i = 0; i < TOY_VOCAB; ++i) toy->weights.table[i] = (float)(i * i % 5);
  toy->image =
      (hone_image_t){.plan = &toy->plan.plan, .isa_count = 1, .isa = {{"avx2", toy_kernels}}};
  snprintf(toy->path, sizeof toy->path, "/tmp/hone-toy-XXXXXX");
  int fd = mkstemp(toy->path);
  assert_true(fd >= 0);
  close(fd);
  toy_elf_t elf;
  toy_make_elf(toy, &elf);
  toy_write_file(toy->path, elf.bytes, elf.count);
}

static inline void toy_destroy(toy_t *toy) { unlink(toy->path); }

static inline hone_model_t *toy_open(const toy_t *toy) {
  hone_status_t status = {0};
  hone_model_t *model;
  bool ok = hone_model_open(&(hone_model_options_t){.image = &toy->image, .path = toy->path},
                            &model, &status);
  if (!ok) fail_msg("%s", status.message);
  return model;
}

// The peak of the logits after ids[0..count).
static inline int toy_expected(const toy_t *toy, const int32_t *ids, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += ids[i] + (double)toy->weights.table[ids[i]];
  return (int)((int64_t)sum % TOY_VOCAB);
}

#endif
