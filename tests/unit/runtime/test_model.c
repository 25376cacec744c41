// Opening models: whole files, torn and edited ones, wrong CPUs and images.
#include "tests/unit/runtime/toy.h"

static bool open_toy(const toy_t *toy, const char *isa, hone_status_t *status) {
  *status = (hone_status_t){0};
  hone_model_t *model;
  bool ok = hone_model_open(
      &(hone_model_options_t){.image = &toy->image, .path = toy->path, .isa = isa}, &model, status);
  if (ok) {
    hone_model_close(model);
  } else {
    assert_null(model);
  }
  return ok;
}

static void expect_failure(const toy_t *toy, const char *words) {
  hone_status_t status;
  assert_false(open_toy(toy, NULL, &status));
  if (strstr(status.message, words) == NULL)
    fail_msg("expected '%s' in: %s", words, status.message);
}

static void opens_and_tells(void **state) {
  (void)state;
  toy_t toy;
  toy_create(&toy);
  hone_model_t *model = toy_open(&toy);
  hone_model_info_t info;
  hone_model_get_info(model, &info);
  assert_string_equal(info.family, "toy");
  assert_string_equal(info.isa, "avx2");
  assert_int_equal(info.vocab, TOY_VOCAB);
  assert_int_equal(info.context, TOY_CONTEXT);
  assert_int_equal(info.bos, 1);
  assert_string_equal(hone_model_manifest(model), "{\"toy\": true}");
  assert_true(hone_model_is_end(model, TOY_EOS));
  assert_false(hone_model_is_end(model, TOY_EOS + 1));
  size_t count;
  hone_status_t status = {0};
  assert_false(hone_model_tokenize(model, "x", 1, true, NULL, 0, &count, &status));
  assert_non_null(strstr(status.message, "--ids"));
  hone_model_close(model);
  toy_destroy(&toy);
}

static void refuses_torn_files(void **state) {
  (void)state;
  toy_t toy;
  toy_elf_t elf;
  toy_create(&toy);
  toy_make_elf(&toy, &elf);
  for (size_t bytes = 0; bytes < elf.count; bytes += 7) {
    toy_write_file(toy.path, elf.bytes, bytes);
    expect_failure(&toy, "truncated");
  }
  unlink(toy.path);
  expect_failure(&toy, "No such file");
}

static void refuses_edited_files_by_name(void **state) {
  (void)state;
  toy_t toy;
  toy_elf_t elf;
  toy_create(&toy);
  toy_make_elf(&toy, &elf);
  for (size_t at = 0; at < sizeof(toy_weights_t); at += 5) {
    elf.bytes[elf.weights_at + at] ^= 0x10;
    toy_write_file(toy.path, elf.bytes, elf.count);
    expect_failure(&toy, at < sizeof toy.weights.table ? "tensor table" : "tensor unused");
    elf.bytes[elf.weights_at + at] ^= 0x10;
  }
  toy_write_file(toy.path, elf.bytes, elf.count);
  toy.plan.plan.width += 1;  // another model's plan
  expect_failure(&toy, "plan does not match");
  toy_destroy(&toy);
}

static void refuses_files_of_other_models(void **state) {
  (void)state;
  toy_t toy;
  toy_elf_t elf;
  toy_create(&toy);
  toy_make_elf(&toy, &elf);
  Elf64_Shdr *sections = (Elf64_Shdr *)(void *)(elf.bytes + elf.headers_at);
  sections[1].sh_size -= 64;
  toy_write_file(toy.path, elf.bytes, elf.count);
  expect_failure(&toy, "not the file of this model");
  sections[1].sh_size += 64;
  sections[1].sh_offset += 4;
  toy_write_file(toy.path, elf.bytes, elf.count);
  expect_failure(&toy, "no longer aligned");
  sections[1].sh_offset -= 4;
  sections[2].sh_name = 0;
  toy_write_file(toy.path, elf.bytes, elf.count);
  expect_failure(&toy, HONE_SECTION_CHECKS);
  toy_destroy(&toy);
}

static void opens_without_a_manifest(void **state) {
  (void)state;
  toy_t toy;
  toy_elf_t elf;
  toy_create(&toy);
  toy_make_elf(&toy, &elf);
  ((Elf64_Shdr *)(void *)(elf.bytes + elf.headers_at))[3].sh_name = 0;
  toy_write_file(toy.path, elf.bytes, elf.count);
  hone_model_t *model = toy_open(&toy);
  assert_string_equal(hone_model_manifest(model), "");
  hone_model_close(model);
  toy_destroy(&toy);
}

static void refuses_bad_images(void **state) {
  (void)state;
  toy_t toy;
  hone_status_t status;
  toy_create(&toy);
  assert_false(open_toy(&toy, "avx512", &status));
  assert_non_null(strstr(status.message, "no avx512 kernels"));
  assert_true(open_toy(&toy, "avx2", &status));

  toy.image.isa[0].name = "avx1024";
  expect_failure(&toy, "lacks avx1024");
  static hone_kernel_fn *const holes[4] = {0};
  toy.image.isa[0] = (struct hone_image_isa){"avx2", holes};
  expect_failure(&toy, "image is damaged");
  toy.image.isa_count = 0;
  expect_failure(&toy, "image is damaged");
  toy.image.isa_count = 2;  // the plan has flows for one
  expect_failure(&toy, "image is damaged");
  toy.image.plan = NULL;
  expect_failure(&toy, "no plan");
  toy_destroy(&toy);

  hone_model_t *model;
  status = (hone_status_t){0};
  assert_false(hone_model_open(NULL, &model, &status));
  assert_non_null(strstr(status.message, "no compiled model"));
}

// Two levels with flows of their own: each needs the kernels that its own lead to, no others.
static void levels_have_their_own_flows(void **state) {
  (void)state;
  toy_t toy;
  hone_status_t status;
  toy_create(&toy);
  static hone_kernel_fn *const odd[4] = {NULL, toy_head, toy_argmax, toy_body};
  toy.plan.plan.isa_count = 2;
  toy.plan.flows[4] = toy.plan.flows[0];
  toy.plan.flows[4].kernel[0] = 3;
  for (int i = 5; i < 8; i++) toy.plan.flows[i] = toy.plan.flows[1];
  toy.image.isa_count = 2;
  toy.image.isa[0] = (struct hone_image_isa){"avx2", odd};
  toy.image.isa[1] = (struct hone_image_isa){"avx512", toy_kernels};
  toy_elf_t elf;
  toy_make_elf(&toy, &elf);
  toy_write_file(toy.path, elf.bytes, elf.count);
  expect_failure(&toy, "image is damaged");  // flows of level 0 lead to the hole
  toy.image.isa[0].kernels = toy_kernels;
  toy.image.isa[1].kernels = odd;
  assert_true(open_toy(&toy, "avx2", &status));  // flows of level 1 do not
  toy_destroy(&toy);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(opens_and_tells),
      cmocka_unit_test(refuses_torn_files),
      cmocka_unit_test(refuses_edited_files_by_name),
      cmocka_unit_test(refuses_files_of_other_models),
      cmocka_unit_test(opens_without_a_manifest),
      cmocka_unit_test(refuses_bad_images),
      cmocka_unit_test(levels_have_their_own_flows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
