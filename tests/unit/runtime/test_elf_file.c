// The ELF reader: finds sections, and says why it cannot for files cut or damaged at any byte.
#include "runtime/elf_file.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "tests/unit/runtime/toy.h"

static const char *const NAMES[] = {HONE_SECTION_WEIGHTS, HONE_SECTION_MANIFEST, ".absent"};

static int open_bytes(const void *data, size_t bytes) {
  int fd = memfd_create("elf", 0);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, bytes), bytes);
  return fd;
}

static bool find(const void *data, size_t bytes, hone_elf_section_t sections[3],
                 hone_status_t *status) {
  *status = (hone_status_t){0};
  int fd = open_bytes(data, bytes);
  bool ok = hone_elf_find(fd, "toy", NAMES, 3, sections, status);
  close(fd);
  return ok;
}

static void make(toy_elf_t *elf) {
  toy_t toy = {0};
  toy_fill_plan(&toy.plan);
  toy_make_elf(&toy, elf);
}

static void finds_sections(void **state) {
  (void)state;
  toy_elf_t elf;
  hone_elf_section_t sections[3];
  hone_status_t status;
  make(&elf);
  assert_true(find(elf.bytes, elf.count, sections, &status));
  assert_true(sections[0].found && sections[1].found && !sections[2].found);
  assert_int_equal(sections[0].offset, elf.weights_at);
  assert_int_equal(sections[0].bytes, sizeof(toy_weights_t));
  assert_memory_equal(elf.bytes + sections[1].offset, "{\"toy\"", 6);
}

static void says_truncated_at_every_length(void **state) {
  (void)state;
  toy_elf_t elf;
  hone_elf_section_t sections[3];
  hone_status_t status;
  make(&elf);
  for (size_t bytes = 0; bytes < elf.count; ++bytes) {
    assert_false(find(elf.bytes, bytes, sections, &status));
    assert_int_equal(status.code, HONE_INVALID);
    assert_non_null(strstr(status.message, "truncated"));
  }
}

// Any single damaged byte of the headers gives an error or a section inside the file, never a
// crash.
static void survives_damage(void **state) {
  (void)state;
  toy_elf_t elf;
  hone_elf_section_t sections[3];
  hone_status_t status;
  make(&elf);
  static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
  for (size_t at = 0; at < elf.count; ++at) {
    if (at >= sizeof(Elf64_Ehdr) && at < elf.headers_at) continue;
    uint8_t before = elf.bytes[at];
    for (size_t i = 0; i < sizeof values; ++i) {
      elf.bytes[at] = values[i];
      if (!find(elf.bytes, elf.count, sections, &status)) {
        assert_true(status.message[0] != 0);
        continue;
      }
      for (int j = 0; j < 3; ++j) {
        if (sections[j].found) assert_true(sections[j].offset + sections[j].bytes <= elf.count);
      }
    }
    elf.bytes[at] = before;
  }
}

static void refuses_other_files(void **state) {
  (void)state;
  toy_elf_t elf;
  hone_elf_section_t sections[3];
  hone_status_t status;
  char text[200];
  memset(text, 'x', sizeof text);
  assert_false(find(text, sizeof text, sections, &status));
  assert_non_null(strstr(status.message, "not an ELF file"));
  make(&elf);
  ((Elf64_Ehdr *)(void *)elf.bytes)->e_shoff = 0;
  assert_false(find(elf.bytes, elf.count, sections, &status));
  assert_non_null(strstr(status.message, "no section headers"));
  make(&elf);
  elf.bytes[EI_CLASS] = ELFCLASS32;
  assert_false(find(elf.bytes, elf.count, sections, &status));
  assert_non_null(strstr(status.message, "64-bit"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_sections),
      cmocka_unit_test(says_truncated_at_every_length),
      cmocka_unit_test(survives_damage),
      cmocka_unit_test(refuses_other_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
