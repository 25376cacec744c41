// The produced program's parts over the toy model: command line errors, ids in and out, endings,
// full disk and broken pipe, and the --serve protocol.
#include "runtime/program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/serve.h"
#include "tests/unit/runtime/toy.h"

typedef struct result {
  int code;
  char out[4096], error[4096];
  size_t out_bytes;
} result_t;

typedef int child_fn(void *data);

// A temporary file in a stream, as plain descriptors: its contents are read back after the child
// ended.
static size_t slurp(FILE *file, char *out, size_t limit) {
  rewind(file);
  size_t bytes = fread(out, 1, limit - 1, file);
  out[bytes] = 0;
  fclose(file);
  return bytes;
}

// Runs fn in a child with the given input; `out_path` (or NULL: captured) is its standard output.
static void run_child(child_fn *fn, void *data, const void *input, size_t input_bytes,
                      const char *out_path, result_t *result) {
  memset(result, 0, sizeof *result);
  FILE *in = tmpfile(), *out = tmpfile(), *error = tmpfile();
  assert_true(in != NULL && out != NULL && error != NULL);
  assert_int_equal(fwrite(input, 1, input_bytes, in), input_bytes);
  rewind(in);
  fflush(stdout);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    dup2(fileno(in), STDIN_FILENO);
    dup2(out_path != NULL ? open(out_path, O_WRONLY) : fileno(out), STDOUT_FILENO);
    dup2(fileno(error), STDERR_FILENO);
    int code = fn(data);
    fflush(stdout);
    _exit(code);
  }
  int wait_status;
  assert_int_equal(waitpid(pid, &wait_status, 0), pid);
  result->code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -WTERMSIG(wait_status);
  fclose(in);
  result->out_bytes = slurp(out, result->out, sizeof result->out);
  slurp(error, result->error, sizeof result->error);
}

static int call_run(void *data) {
  char **argv = data;
  int argc = 0;
  while (argv[argc] != NULL) ++argc;
  return hone_program_run(argc, argv);
}

static char STORY[] = "story", HELP_FLAG[] = "--help", VERSION_FLAG[] = "--version";
static char *HELP[] = {STORY, HELP_FLAG, NULL}, *VERSION[] = {STORY, VERSION_FLAG, NULL};

static void command_line(void **state) {
  (void)state;
  static struct {  // not const: a program may change its argv
    const char *argv[4];
    int code;
    const char *words;
  } cases[] = {
      {{"story", "--tokenz", "3"}, PROGRAM_USAGE, "--tokens"},
      {{"story", "--tokens", "three"}, PROGRAM_USAGE, "--tokens"},
      {{"story", "--tokens", "-1"}, PROGRAM_USAGE, "--tokens"},
      {{"story", "--temp", "-0.5"}, PROGRAM_USAGE, "--temp"},
      {{"story", "--top-p", "1.5"}, PROGRAM_USAGE, "--top-p"},
      {{"story", "--isa", "mmx"}, PROGRAM_USAGE, "--isa"},
      {{"story", "--prompt"}, PROGRAM_USAGE, "--prompt"},
      {{"story", "stray"}, PROGRAM_USAGE, "stray"},
      {{"story", "--ids"}, PROGRAM_FAILED, "no compiled model"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    result_t result;
    run_child(call_run, (void *)(uintptr_t)cases[i].argv, "", 0, NULL, &result);
    if (result.code != cases[i].code || strstr(result.error, cases[i].words) == NULL) {
      fail_msg("%s %s: %d, %s", cases[i].argv[1], cases[i].argv[2], result.code, result.error);
    }
    assert_int_equal(result.out_bytes, 0);
  }
  result_t result;
  run_child(call_run, HELP, "", 0, NULL, &result);
  assert_int_equal(result.code, PROGRAM_OK);
  assert_non_null(strstr(result.out, "--prompt"));
  assert_null(strstr(result.out, "--serve"));
  run_child(call_run, VERSION, "", 0, NULL, &result);
  assert_non_null(strstr(result.out, "hone"));
  run_child(call_run, HELP, "", 0, "/dev/full", &result);
  assert_int_equal(result.code, PROGRAM_FAILED);
}

static void parses_ids(void **state) {
  (void)state;
  int32_t *ids;
  size_t count;
  hone_status_t status = {0};
  static const char text[] = "[1, 2,3]\n 2147483647\t40";
  assert_true(hone_program_parse_ids(text, sizeof text - 1, &ids, &count, &status));
  assert_int_equal(count, 5);
  assert_memory_equal(ids, ((int32_t[]){1, 2, 3, INT32_MAX, 40}), 20);
  free(ids);
  static const char *const bad[] = {"1 -2", "x", "1.5", "2147483648", "99999999999999999999",
                                    "1;2"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    status = (hone_status_t){0};
    assert_false(hone_program_parse_ids(bad[i], strlen(bad[i]), &ids, &count, &status));
    assert_non_null(strstr(status.message, "not a token id"));
  }
}

typedef struct job {
  toy_t *toy;
  program_options_t options;
} job_t;

static int generate(void *data) {
  job_t *job = data;
  hone_status_t status = {0};
  signal(SIGPIPE, SIG_IGN);
  hone_model_t *model = toy_open(job->toy);
  int code = hone_program_generate(model, &job->options, &status);
  if (code == PROGRAM_FAILED) fprintf(stderr, "%s\n", status.message);
  hone_model_close(model);
  return code;
}

static int interrupt_and_generate(void *data) {
  job_t *job = data;
  hone_status_t status = {0};
  hone_model_t *model = toy_open(job->toy);
  hone_session_t *session;
  if (!hone_session_create(model, NULL, &session, &status)) return 99;
  hone_program_watch(session);
  raise(SIGINT);
  int code = hone_program_generate(model, &job->options, &status);
  hone_session_destroy(session);
  hone_model_close(model);
  return code;
}

static void generates_ids(void **state) {
  (void)state;
  toy_t toy;
  toy_create(&toy);
  job_t job = {&toy, {.prompt = "3 14 15", .ids = true, .tokens = 4, .threads = 1}};
  result_t result;
  run_child(generate, &job, "", 0, NULL, &result);
  int32_t ids[8] = {3, 14, 15};
  char expected[64] = "";
  for (int i = 0; i < 4; ++i) {
    ids[3 + i] = toy_expected(&toy, ids, (size_t)(3 + i));
    snprintf(expected + strlen(expected), 16, "%s%d", i > 0 ? " " : "", ids[3 + i]);
  }
  strcat(expected, "\n");
  assert_int_equal(result.code, PROGRAM_OK);
  assert_string_equal(result.out, expected);
  assert_non_null(strstr(result.error, "prompt 3 tokens"));

  job.options.prompt = "-";
  job.options.json = job.options.echo = true;
  run_child(generate, &job, "3,14,15\n", 8, NULL, &result);
  assert_non_null(strstr(result.error, "\"tokens\":4"));
  assert_memory_equal(result.out, "3 14 15 ", 8);
  assert_string_equal(result.out + 8, expected);
  toy_destroy(&toy);
}

static void says_why_it_stops(void **state) {
  (void)state;
  toy_t toy;
  toy_create(&toy);
  job_t job = {&toy, {.prompt = "3 14 15", .ids = true, .tokens = 100, .context = 5, .threads = 1}};
  result_t result;
  run_child(generate, &job, "", 0, NULL, &result);
  assert_int_equal(result.code, PROGRAM_OK);
  assert_non_null(strstr(result.error, "the context of 5 tokens is full"));
  job.options.prompt = "1 1 1 1 1 1";
  run_child(generate, &job, "", 0, NULL, &result);
  assert_int_equal(result.code, PROGRAM_FAILED);
  assert_non_null(strstr(result.error, "the prompt has 6 tokens, but the context holds 5"));
  job.options.prompt = "50";
  run_child(generate, &job, "", 0, NULL, &result);
  assert_non_null(strstr(result.error, "outside the vocabulary"));
  job.options = (program_options_t){.prompt = "text", .tokens = 1};
  run_child(generate, &job, "", 0, NULL, &result);
  assert_int_equal(result.code, PROGRAM_FAILED);
  assert_non_null(strstr(result.error, "--ids"));
  job.options = (program_options_t){.ids = true, .tokens = 1};  // nothing: starts at BOS
  run_child(generate, &job, "", 0, NULL, &result);
  assert_int_equal(result.code, PROGRAM_OK);
  assert_non_null(strstr(result.error, "prompt 1 tokens"));
  toy.plan.plan.bos = -1;
  toy_elf_t elf;
  toy_make_elf(&toy, &elf);
  toy_write_file(toy.path, elf.bytes, elf.count);
  run_child(generate, &job, "", 0, NULL, &result);
  assert_non_null(strstr(result.error, "no start token"));
  toy_destroy(&toy);
}

static int generate_into_closed_pipe(void *data) {
  int ends[2];
  if (pipe(ends) != 0) return 99;
  close(ends[0]);
  dup2(ends[1], STDOUT_FILENO);
  return generate(data);
}

static void output_failures(void **state) {
  (void)state;
  toy_t toy;
  toy_create(&toy);
  job_t job = {&toy, {.prompt = "3", .ids = true, .tokens = 3, .threads = 1}};
  result_t result;
  run_child(generate, &job, "", 0, "/dev/full", &result);
  assert_int_equal(result.code, PROGRAM_FAILED);
  assert_non_null(strstr(result.error, "No space left on device"));
  run_child(generate_into_closed_pipe, &job, "", 0, NULL, &result);
  assert_int_equal(result.code, PROGRAM_BROKEN_PIPE);
  assert_string_equal(result.error, "");
  run_child(interrupt_and_generate, &job, "", 0, NULL, &result);
  assert_int_equal(result.code, PROGRAM_SIGNAL + SIGINT);
  assert_non_null(strstr(result.error, "interrupted"));
  assert_int_equal(result.out[result.out_bytes - 1], '\n');
  toy_destroy(&toy);
}

// ---- serve

static int serve(void *data) {
  toy_t *toy = data;
  hone_status_t status = {0};
  hone_session_t *session;
  hone_model_t *model = toy_open(toy);
  if (!hone_session_create(model, &(hone_session_options_t){.threads = 1}, &session, &status))
    return 99;
  int code = hone_program_answer(model, session);
  hone_session_destroy(session);
  hone_model_close(model);
  return code;
}

static size_t add_frame(uint8_t *out, size_t at, uint32_t kind, const void *data, size_t bytes) {
  hone_serve_header_t header = {.kind = kind, .bytes = bytes};
  memcpy(out + at, &header, sizeof header);
  if (bytes > 0) memcpy(out + at + sizeof header, data, bytes);
  return at + sizeof header + bytes;
}

// Reads the next reply; returns its payload.
static const char *next_reply(const result_t *result, size_t *at, hone_serve_header_t *out_header) {
  assert_true(*at + sizeof *out_header <= result->out_bytes);
  memcpy(out_header, result->out + *at, sizeof *out_header);
  const char *payload = result->out + *at + sizeof *out_header;
  *at += sizeof *out_header + out_header->bytes;
  assert_true(*at <= result->out_bytes);
  return payload;
}

static void serve_answers(void **state) {
  (void)state;
  toy_t toy;
  toy_create(&toy);
  uint8_t input[1024];
  struct {
    hone_serve_feed_t head;
    int32_t ids[5];
  } feed = {{5, 2}, {3, 14, 15, 9, 26}};
  hone_serve_rewind_t back = {.position = 1}, ahead = {.position = 99};
  hone_serve_bench_t bench = {.prompt = 10, .tokens = 5};
  size_t bytes = add_frame(input, 0, HONE_SERVE_INFO, NULL, 0);
  bytes = add_frame(input, bytes, HONE_SERVE_FEED, &feed, sizeof feed);
  bytes = add_frame(input, bytes, HONE_SERVE_REWIND, &ahead, sizeof ahead);
  bytes = add_frame(input, bytes, HONE_SERVE_REWIND, &back, sizeof back);
  bytes = add_frame(input, bytes, HONE_SERVE_FEED, &feed, sizeof feed - 4);
  bytes = add_frame(input, bytes, 77, NULL, 0);
  bytes = add_frame(input, bytes, HONE_SERVE_BENCH, &bench, sizeof bench);
  bytes = add_frame(input, bytes, HONE_SERVE_QUIT, NULL, 0);
  result_t result;
  run_child(serve, &toy, input, bytes, NULL, &result);
  assert_int_equal(result.code, PROGRAM_OK);

  size_t at = 0;
  hone_serve_header_t header;
  hone_serve_info_t info;
  memcpy(&info, next_reply(&result, &at, &header), sizeof info);
  assert_true(header.kind == HONE_SERVE_INFO && header.code == HONE_OK &&
              header.bytes == sizeof info);
  assert_int_equal(info.vocab, TOY_VOCAB);
  assert_int_equal(info.token_bytes, 256);
  assert_string_equal(info.family, "toy");
  hone_serve_fed_t fed;
  float logits[2 * TOY_VOCAB];
  const char *payload = next_reply(&result, &at, &header);
  assert_int_equal(header.bytes, sizeof fed + sizeof logits);
  memcpy(&fed, payload, sizeof fed);
  memcpy(logits, payload + sizeof fed, sizeof logits);
  assert_true(fed.position == 5 && fed.rows == 2);
  assert_true(logits[TOY_VOCAB + toy_expected(&toy, feed.ids, 5)] == 0);
  payload = next_reply(&result, &at, &header);
  assert_int_equal(header.code, HONE_INVALID);
  assert_memory_equal(payload, "cannot rewind to 99", 19);
  next_reply(&result, &at, &header);
  assert_true(header.kind == HONE_SERVE_REWIND && header.code == HONE_OK && header.bytes == 0);
  next_reply(&result, &at, &header);
  assert_true(header.kind == HONE_SERVE_FEED && header.code == HONE_INVALID);
  next_reply(&result, &at, &header);
  assert_true(header.kind == 77 && header.code == HONE_UNSUPPORTED);
  hone_serve_bench_result_t timed;
  memcpy(&timed, next_reply(&result, &at, &header), sizeof timed);
  assert_true(header.code == HONE_OK && timed.decode_best_ns <= timed.decode_ns);
  next_reply(&result, &at, &header);
  assert_int_equal(header.kind, HONE_SERVE_QUIT);
  assert_int_equal(at, result.out_bytes);
  toy_destroy(&toy);
}

static void serve_survives_bad_frames(void **state) {
  (void)state;
  toy_t toy;
  toy_create(&toy);
  uint8_t input[64];
  result_t result;
  size_t bytes = add_frame(input, 0, HONE_SERVE_FEED, NULL, 0);
  run_child(serve, &toy, input, bytes, NULL, &result);  // end of input between frames
  assert_int_equal(result.code, PROGRAM_OK);
  for (size_t cut = 1; cut < bytes; ++cut) {
    run_child(serve, &toy, input, cut, NULL, &result);
    assert_int_equal(result.code, PROGRAM_FAILED);
  }
  hone_serve_header_t huge = {.kind = HONE_SERVE_FEED, .bytes = UINT64_MAX};
  run_child(serve, &toy, &huge, sizeof huge, NULL, &result);
  assert_int_equal(result.code, PROGRAM_FAILED);
  assert_non_null(strstr(result.out + sizeof huge, "malformed request"));
  toy_destroy(&toy);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(command_line),
      cmocka_unit_test(parses_ids),
      cmocka_unit_test(generates_ids),
      cmocka_unit_test(says_why_it_stops),
      cmocka_unit_test(output_failures),
      cmocka_unit_test(serve_answers),
      cmocka_unit_test(serve_survives_bad_frames),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
