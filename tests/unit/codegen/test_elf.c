// Linking and the sections added to the linked file: read back with the runtime's reader and with
// readelf, run as a program, stripped by the strips there are. The image here has a plan but no
// kernels, so the program starts and refuses.
#include "tests/unit/codegen/test.h"

#include <fcntl.h>
#include <llvm-c/Target.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codegen/link/link.h"
#include "runtime/elf_file.h"

enum { WEIGHTS, CHECKS, MANIFEST, COUNT };
static const char *const names[COUNT] = {HONE_SECTION_WEIGHTS, HONE_SECTION_CHECKS,
                                         HONE_SECTION_MANIFEST};
static const uint64_t sizes[COUNT] = {70001, 48, 333}, alignments[COUNT] = {4096, 8, 1};

typedef struct fixture {
  hone_arena_t *arena;
  char *folder;
  const char *path;  // the artefact
  hone_status_t status;
} fixture_t;

static uint8_t pattern(int section, uint64_t i) {
  return (uint8_t)((uint64_t)(section + 1) * 97 + i * 31 + i / 251);
}

static const char *link_image(fixture_t *f, bool is_library) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  const char *linked = NULL;
  hone_buffer_t object = {0};
  const hone_image_spec_t image = {.triple = "x86_64-unknown-linux-gnu",
                                   .plan = HONE_SLICE("no plan, but something to see"),
                                   .tokenizer = HONE_SLICE("no tokenizer"),
                                   .isa_count = 1,
                                   .isa_names = {"avx2"}};
  assert_ok(&f->status, hone_image_build(&image, &object, &f->status));
  const hone_link_job_t job = {.runtime_folder = getenv("HONE_RUNTIME_FOLDER"),
                               .scratch = f->folder,
                               .name = "libx.so",
                               .objects = &(hone_slice_t){object.data, object.bytes},
                               .object_count = 1,
                               .is_library = is_library};
  assert_ok(&f->status, hone_link_run(&job, f->arena, &linked, &f->status));
  hone_buffer_deinit(&object);
  return linked;
}

static void open_fixture(fixture_t *f) {
  *f = (fixture_t){.arena = hone_arena_create()};
  assert_ok(&f->status, hone_scratch_create(f->arena, &f->folder, &f->status));
}

static void close_fixture(fixture_t *f) {
  hone_scratch_remove(f->folder);
  hone_arena_destroy(f->arena);
}

static void write_artefact(fixture_t *f) {
  hone_output_t *output = NULL;
  hone_elf_writer_t *writer = NULL;
  const char *linked = link_image(f, false);
  f->path = hone_path_join(f->arena, f->folder, "artefact");
  assert_ok(&f->status, hone_output_create(f->path, 0755, &output, &f->status));
  assert_ok(&f->status, hone_elf_writer_create(linked, output, f->arena, &writer, &f->status));
  for (int s = 0; s < COUNT; s++) {
    uint8_t *data = hone_arena_alloc(f->arena, sizes[s]);
    for (uint64_t i = 0; i < sizes[s]; i++) data[i] = pattern(s, i);
    uint64_t offset = hone_elf_writer_reserve(writer, names[s], sizes[s], alignments[s]);
    assert_int_equal(offset % alignments[s], 0);
    assert_ok(&f->status, hone_output_write_at(output, offset, data, sizes[s], &f->status));
  }
  assert_ok(&f->status, hone_elf_writer_finish(writer, &f->status));
  assert_ok(&f->status, hone_output_commit(output, &f->status));
  hone_output_destroy(output);
}

// The sections are where the runtime looks for them, with their alignment and contents.
static void check_sections(fixture_t *f, const char *path) {
  hone_elf_section_t sections[COUNT];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  assert_ok(&f->status, hone_elf_find(fd, path, names, COUNT, sections, &f->status));
  for (int s = 0; s < COUNT; s++) {
    uint8_t *data = hone_arena_alloc(f->arena, sizes[s]);
    assert_true(sections[s].found);
    assert_int_equal(sections[s].bytes, sizes[s]);
    assert_int_equal(sections[s].offset % alignments[s], 0);
    assert_int_equal(pread(fd, data, sizes[s], (off_t)sections[s].offset), sizes[s]);
    for (uint64_t i = 0; i < sizes[s]; i++) assert_int_equal(data[i], pattern(s, i));
  }
  close(fd);
}

// Exit status of a shell command; its output goes to a file that is returned.
static int run(fixture_t *f, const char *command, char **out_text) {
  const char *path = hone_path_join(f->arena, f->folder, "printed");
  size_t bytes;
  int result =
      system(hone_arena_format(f->arena, "cd '%s' && ( %s ) >printed 2>&1", f->folder, command));
  *out_text = hone_arena_strdup(f->arena, "");
  struct stat info;
  if (stat(path, &info) == 0 && info.st_size > 0)
    assert_ok(&f->status, hone_file_read(path, 1 << 20, f->arena, out_text, &bytes, &f->status));
  return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

static void sections_read_back(void **state) {
  (void)state;
  fixture_t f;
  char *text;
  open_fixture(&f);
  write_artefact(&f);
  check_sections(&f, f.path);
  const char *tool = getenv("HONE_LLVM_BIN");
  assert_int_equal(
      run(&f, hone_arena_format(f.arena, "%s/llvm-readelf -SlW artefact", tool), &text), 0);
  for (int s = 0; s < COUNT; s++) assert_contains(text, names[s]);
  assert_null(strstr(text, "warning"));
  close_fixture(&f);
}

static void programs_start_and_need_only_libc(void **state) {
  (void)state;
  fixture_t f;
  char *text;
  open_fixture(&f);
  write_artefact(&f);
  assert_int_equal(run(&f, "./artefact --prompt x", &text), 1);
  assert_contains(text, "plan");  // is damaged, says the runtime
  const char *tool = getenv("HONE_LLVM_BIN");
  assert_int_equal(run(&f, hone_arena_format(f.arena, "%s/llvm-readelf -d artefact", tool), &text),
                   0);
  for (char *at = text; (at = strstr(at, "Shared library: [")); at++) {
    const char *library = at + strlen("Shared library: [");
    bool is_known = !strncmp(library, "libc.so", 7) || !strncmp(library, "libm.so", 7) ||
                    !strncmp(library, "libasan", 7) || !strncmp(library, "libubsan", 8) ||
                    !strncmp(library, "ld-linux", 8);
    if (!is_known) fail_msg("needs %.30s", library);
  }
  close_fixture(&f);
}

static void strip_keeps_the_sections(void **state) {
  (void)state;
  fixture_t f;
  char *text;
  open_fixture(&f);
  write_artefact(&f);
  const char *const strips[] = {
      hone_arena_format(f.arena, "%s/llvm-strip", getenv("HONE_LLVM_BIN")), "strip"};
  for (int i = 0; i < 2; i++) {
    if (run(&f, hone_arena_format(f.arena, "command -v %s", strips[i]), &text) != 0)
      continue;  // not installed
    assert_int_equal(
        run(&f, hone_arena_format(f.arena, "cp artefact stripped && %s stripped", strips[i]),
            &text),
        0);
    check_sections(&f, hone_path_join(f.arena, f.folder, "stripped"));
    assert_int_equal(run(&f, "./stripped --prompt x", &text), 1);
    assert_contains(text, "plan");
  }
  close_fixture(&f);
}

static void libraries_export_the_public_functions(void **state) {
  (void)state;
  fixture_t f;
  char *text;
  hone_buffer_t exports = {0};
  open_fixture(&f);
  hone_header_exports(&exports);
  assert_contains(exports.data, " hone_model_open;");
  assert_contains(exports.data, " hone_session_feed;");
  assert_contains(exports.data, " hone_code_name;");
  assert_null(strstr(exports.data, "hone_model_t;"));
  link_image(&f, true);
  const char *tool = getenv("HONE_LLVM_BIN");
  assert_int_equal(
      run(&f, hone_arena_format(f.arena, "%s/llvm-nm -D --defined-only linked", tool), &text), 0);
  int count = 0;
  for (const char *at = text; (at = strstr(at, " T ")); at++, count++) {
    char name[80];
    assert_int_equal(sscanf(at, " T %78s", name), 1);
    assert_contains(exports.data, hone_arena_format(f.arena, " %s;", name));
  }
  assert_true(count > 15);
  assert_non_null(strstr(text, " hone_image\n"));  // data, for those who load several models
  hone_buffer_deinit(&exports);
  close_fixture(&f);
}

static void missing_runtimes_are_named(void **state) {
  (void)state;
  fixture_t f;
  const char *linked;
  open_fixture(&f);
  const hone_link_job_t job = {.runtime_folder = "/nonexistent", .scratch = f.folder, .name = "x"};
  assert_false(hone_link_run(&job, f.arena, &linked, &f.status));
  assert_int_equal(f.status.code, HONE_NOT_FOUND);
  assert_contains(f.status.message, "/nonexistent/libhone_rt.a");
  close_fixture(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sections_read_back),
      cmocka_unit_test(programs_start_and_need_only_libc),
      cmocka_unit_test(strip_keeps_the_sections),
      cmocka_unit_test(libraries_export_the_public_functions),
      cmocka_unit_test(missing_runtimes_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
