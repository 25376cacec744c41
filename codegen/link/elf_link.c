// Runs ld.lld 22 on objects and the runtime archives. Deterministic: no build id, no debug
// information with its paths, fixed order.
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codegen/link/link.h"
#include "codegen/link/link_paths.h"

extern char **environ;

typedef struct command {
  hone_arena_t *arena;
  HONE_LIST(const char *) argv;
} command_t;

static void add(command_t *command, const char *argument) {
  hone_list_push(command->arena, &command->argv, argument);
}

// Into the scratch folder: nothing there has to outlive this process.
static bool write_file(const char *path, hone_slice_t data, hone_status_t *status) {
  FILE *file = fopen(path, "wb");
  bool ok = file && fwrite(data.data, 1, data.bytes, file) == data.bytes;
  int error = errno;
  if (file && fclose(file)) ok = false, error = errno;
  return ok || hone_fail(status, error == ENOSPC || error == EDQUOT ? HONE_EXHAUSTED : HONE_IO,
                         "cannot write '%s': %s", path, strerror(error));
}

// Only the public API leaves a library. ld.lld refuses names that the runtime does not define.
static bool write_exports(const hone_link_job_t *job, hone_arena_t *arena, const char **out_path,
                          hone_status_t *status) {
  hone_buffer_t text = {0};
  hone_header_exports(&text);
  *out_path = hone_path_join(arena, job->scratch, "exports");
  bool ok = write_file(*out_path, (hone_slice_t){text.data, text.bytes}, status);
  hone_buffer_deinit(&text);
  return ok;
}

static bool check_exists(const char *path, hone_status_t *status) {
  if (hone_file_exists(path)) return true;
  return hone_fail(
      status, HONE_NOT_FOUND,
      "%s is missing: programs cannot be linked; is hone installed whole, and libc6-dev?", path);
}

static void add_sanitizers(command_t *command, hone_arena_t *arena) {
  hone_slice_t rest = hone_slice(HONE_LINK_SANITIZERS);
  while (rest.data && rest.bytes) {
    hone_slice_t item = hone_slice_cut(&rest, ':');
    add(command, hone_arena_strndup(arena, item.data, item.bytes));
  }
}

static bool compose(const hone_link_job_t *job, hone_arena_t *arena, const char *output,
                    command_t *command, hone_status_t *status) {
  const char *runtime = hone_path_join(arena, job->runtime_folder, "libhone_rt.a");
  const char *program = hone_path_join(arena, job->runtime_folder, "libhone_program.a"), *exports;
  const char *needed[] = {HONE_LINK_LLD, runtime, program, HONE_LINK_CRT1, HONE_LINK_LIBC};
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
    if (!check_exists(needed[i], status)) return false;
  const char *const common[] = {HONE_LINK_LLD,
                                "-o",
                                output,
                                "--build-id=none",
                                "--hash-style=gnu",
                                "--gc-sections",
                                "--strip-debug",
                                "-z",
                                "relro",
                                "-z",
                                "now",
                                "-z",
                                "noexecstack",
                                "--eh-frame-hdr"};
  for (size_t i = 0; i < sizeof common / sizeof *common; i++) add(command, common[i]);
  if (job->is_library) {
    if (!write_exports(job, arena, &exports, status)) return false;
    add(command, "-shared");
    add(command, hone_arena_format(arena, "--soname=%s", job->name));
    add(command, hone_arena_format(arena, "--version-script=%s", exports));
    add(command, HONE_LINK_CRTI);
  } else {
    add(command, "-pie");
    add(command, "--dynamic-linker=/lib64/ld-linux-x86-64.so.2");
    add(command, HONE_LINK_CRT1);
    add(command, HONE_LINK_CRTI);
    add(command, program);
  }
  add_sanitizers(command, arena);
  for (size_t i = 0; i < job->object_count; i++) {
    const char *path = hone_arena_format(arena, "%s/object%zu.o", job->scratch, i);
    if (!write_file(path, job->objects[i], status)) return false;
    add(command, path);
  }
  if (job->is_library) add(command, "--whole-archive");
  add(command, runtime);
  if (job->is_library) add(command, "--no-whole-archive");
  const char *const tail[] = {"--as-needed", HONE_LINK_LIBM, HONE_LINK_LIBC, HONE_LINK_LIBGCC,
                              HONE_LINK_CRTN};
  for (size_t i = 0; i < sizeof tail / sizeof *tail; i++) add(command, tail[i]);
  add(command, NULL);
  return true;
}

static bool run(command_t *command, const char *messages, hone_arena_t *arena,
                hone_status_t *status) {
  posix_spawn_file_actions_t actions;
  char *const *argv = (char *const *)command->argv.items;
  pid_t pid;
  int result;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, messages, O_WRONLY | O_CREAT | O_TRUNC,
                                   0600);
  int error = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error) return hone_fail(status, HONE_IO, "cannot run %s: %s", argv[0], strerror(error));
  while (waitpid(pid, &result, 0) < 0)
    if (errno != EINTR) return hone_fail(status, HONE_IO, "lost the linker: %s", strerror(errno));
  if (WIFEXITED(result) && WEXITSTATUS(result) == 0) return true;
  char *text = NULL;
  size_t bytes;
  hone_status_t ignored = {0};
  if (!hone_file_read(messages, 1 << 20, arena, &text, &bytes, &ignored))
    text = hone_arena_strdup(arena, "");
  for (char *at = text; *at; at++)
    if (*at == '\n') *at = ' ';
  if (WIFSIGNALED(result) || strstr(text, "No space left") || strstr(text, "File too large"))
    return hone_fail(status, HONE_EXHAUSTED,
                     "the linker could not write its output: is the disk of %s full? %.300s",
                     messages, text);
  return hone_fail(status, HONE_INTERNAL, "the linker failed: %.600s", text);
}

bool hone_link_run(const hone_link_job_t *job, hone_arena_t *arena, const char **out_path,
                   hone_status_t *status) {
  command_t command = {.arena = arena};
  *out_path = hone_path_join(arena, job->scratch, "linked");
  return compose(job, arena, *out_path, &command, status) &&
         run(&command, hone_path_join(arena, job->scratch, "messages"), arena, status);
}

// Kernels are hidden symbols: the linker script that names the objects gives each an exported
// alias.
bool hone_link_kernels(const hone_link_kernels_t *job, hone_arena_t *arena, const char **out_path,
                       hone_status_t *status) {
  hone_buffer_t script = {0};
  const char *path = hone_path_join(arena, job->scratch, "kernels.ld");
  bool ok = check_exists(HONE_LINK_LLD, status);
  for (size_t i = 0; i < job->object_count && ok; i++) {
    const char *object = hone_arena_format(arena, "%s/kernels%zu.o", job->scratch, i);
    ok = write_file(object, job->objects[i], status);
    hone_buffer_format(&script, "INPUT(\"%s\")\n", object);
  }
  for (size_t i = 0; i < job->symbol_count; i++)
    hone_buffer_format(&script, "kernel_%zu = %s;\n", i, job->symbols[i]);
  ok = ok && write_file(path, (hone_slice_t){script.data, script.bytes}, status);
  hone_buffer_deinit(&script);
  *out_path = hone_path_join(arena, job->scratch, job->name);
  const char *const arguments[] = {HONE_LINK_LLD,   "-shared", "-z", "defs",   "-z",
                                   "separate-code", path,      "-o", *out_path};
  command_t command = {.arena = arena};
  for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) add(&command, arguments[i]);
  return ok && run(&command, hone_path_join(arena, job->scratch, "messages"), arena, status);
}
