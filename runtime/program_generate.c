// Generates: reads the prompt, feeds it, samples and prints token by token, then reports on
// standard error.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "runtime/bandwidth.h"
#include "runtime/program.h"

enum { FLUSH_NS = 50 * 1000 * 1000 };  // a pipe's reader waits for text no longer than this

typedef struct generation {
  const program_options_t *options;
  hone_model_t *model;
  hone_model_info_t info;
  hone_session_t *session;
  hone_decoder_t *decoder;  // NULL with --ids
  int32_t *ids;             // the prompt
  size_t count;
  uint32_t context;
  bool is_terminal, has_output;
  int write_error;  // errno of the first failed write
  uint64_t flushed_ns;
  // statistics
  uint64_t prefill_ns, decode_ns;
  uint64_t made_count, step_count;  // tokens sampled; steps fed after the prompt
  const char *stopped;              // "tokens", "end", "context", "interrupted"
} generation_t;

static void write_bytes(generation_t *run, const char *data, size_t bytes) {
  if (bytes == 0 || run->write_error != 0) return;
  run->has_output = true;
  if (fwrite(data, 1, bytes, stdout) != bytes) run->write_error = errno != 0 ? errno : EIO;
}

static void flush_output(generation_t *run, bool always) {
  uint64_t now = hone_clock_ns();
  if (run->write_error != 0 || (!always && !run->is_terminal && now - run->flushed_ns < FLUSH_NS))
    return;
  run->flushed_ns = now;
  if (fflush(stdout) != 0) run->write_error = errno != 0 ? errno : EIO;
}

// Prints what a token adds to the text. `is_shown` false only brings the decoder up to date.
static void print_token(generation_t *run, int32_t id, bool is_shown) {
  if (run->decoder != NULL) {
    size_t bytes;
    const char *text = hone_decoder_add(run->decoder, id, &bytes);
    if (is_shown) write_bytes(run, text, bytes);
  } else if (is_shown) {
    char text[16];
    int n = snprintf(text, sizeof text, "%s%d", run->has_output ? " " : "", id);
    write_bytes(run, text, (size_t)n);
  }
}

static bool tokenize(generation_t *run, const char *text, size_t bytes, hone_status_t *status) {
  if (run->options->ids) return hone_program_parse_ids(text, bytes, &run->ids, &run->count, status);
  size_t limit = bytes + 16;  // rarely more than a token a byte, but special normalisations may
  for (int attempt = 0; attempt < 2; ++attempt) {
    run->ids = malloc(limit * sizeof *run->ids);
    if (run->ids == NULL) return hone_fail(status, HONE_EXHAUSTED, "out of memory for the prompt");
    if (!hone_model_tokenize(run->model, text, bytes, true, run->ids, limit, &run->count, status))
      return false;
    if (run->count <= limit) return true;
    limit = run->count;
    free(run->ids);
    run->ids = NULL;
  }
  return hone_fail(status, HONE_INTERNAL, "the tokenizer gave two different counts");
}

static bool read_prompt(generation_t *run, hone_status_t *status) {
  const char *text = run->options->prompt != NULL ? run->options->prompt : "";
  size_t bytes = strlen(text);
  char *input = NULL;
  if (strcmp(text, "-") == 0) {
    if (!hone_program_read_stdin(&input, &bytes, status)) return false;
    text = input;
  }
  bool ok = tokenize(run, text, bytes, status);
  free(input);
  if (!ok) return false;
  if (run->count == 0) {
    if (run->info.bos < 0) {
      return hone_fail(status, HONE_INVALID,
                       "the prompt is empty, and the model has no start token to begin with");
    }
    int32_t *ids = realloc(run->ids, sizeof *ids);
    if (ids == NULL) return hone_fail(status, HONE_EXHAUSTED, "out of memory for the prompt");
    ids[0] = run->info.bos;
    run->ids = ids;
    run->count = 1;
  }
  if (run->count > run->context) {
    return hone_fail(
        status, HONE_EXHAUSTED, "the prompt has %zu tokens, but the context holds %u; %s",
        run->count, run->context,
        run->context < run->info.context ? "shorten it or raise --context" : "shorten it");
  }
  return true;
}

static bool feed(generation_t *run, const int32_t *ids, size_t count, uint64_t *out_ns,
                 hone_status_t *status) {
  uint64_t start = hone_clock_ns();
  bool ok = hone_session_feed(run->session, ids, count, 1, NULL, status);
  *out_ns += hone_clock_ns() - start;
  return ok;
}

static bool make_tokens(generation_t *run, hone_status_t *status) {
  const program_options_t *options = run->options;
  hone_sampling_t sampling = {.temperature = (float)options->temperature,
                              .top_p = (float)options->top_p,
                              .seed = (uint64_t)options->seed};
  run->stopped = "tokens";
  while (run->made_count < (uint64_t)options->tokens && run->write_error == 0) {
    if (hone_program_interrupted() != 0) return hone_fail(status, HONE_CANCELLED, "interrupted");
    uint64_t start = hone_clock_ns();
    int32_t id;
    if (!hone_session_sample(run->session, &sampling, &id, status)) return false;
    run->decode_ns += hone_clock_ns() - start;
    if (hone_model_is_end(run->model, id)) {
      run->stopped = "end";
      break;
    }
    run->made_count += 1;
    print_token(run, id, true);
    flush_output(run, false);
    if (run->made_count == (uint64_t)options->tokens) break;
    if (hone_session_position(run->session) == run->context) {
      run->stopped = "context";
      break;
    }
    if (!feed(run, &id, 1, &run->decode_ns, status)) return false;
    run->step_count += 1;
  }
  return true;
}

static double per_second(uint64_t count, uint64_t ns) {
  return ns > 0 ? (double)count * 1e9 / (double)ns : 0;
}

static void report(const generation_t *run) {
  double prefill = per_second(run->count, run->prefill_ns),
         decode = per_second(run->step_count, run->decode_ns);
  if (run->options->json) {
    hone_buffer_t out = {0};
    hone_json_t json = {.out = &out, .compact = true};
    hone_json_object_begin(&json, NULL);
    hone_json_u64(&json, "prompt_tokens", run->count);
    hone_json_u64(&json, "prefill_ns", run->prefill_ns);
    hone_json_f64(&json, "prefill_tokens_per_second", prefill);
    hone_json_u64(&json, "tokens", run->made_count);
    hone_json_u64(&json, "decode_steps", run->step_count);
    hone_json_u64(&json, "decode_ns", run->decode_ns);
    hone_json_f64(&json, "decode_tokens_per_second", decode);
    hone_json_string(&json, "stopped", run->stopped);
    hone_json_object_end(&json);
    fprintf(stderr, "%s\n", hone_buffer_cstr(&out));
    hone_buffer_deinit(&out);
    return;
  }
  fprintf(stderr, "prompt %zu tokens, %.1f tok/s; text %" PRIu64 " tokens, %.1f tok/s", run->count,
          prefill, run->made_count, decode);
  if (strcmp(run->stopped, "context") == 0) {
    fprintf(stderr, "; stopped: the context of %u tokens is full", run->context);
  } else if (strcmp(run->stopped, "interrupted") == 0) {
    fprintf(stderr, "; interrupted");
  }
  fprintf(stderr, "\n");
}

static bool setup(generation_t *run, hone_status_t *status) {
  const program_options_t *options = run->options;
  hone_model_get_info(run->model, &run->info);
  run->context = options->context != 0 ? (uint32_t)options->context : run->info.context;
  run->is_terminal = isatty(STDOUT_FILENO) == 1;
  hone_session_options_t session = {.context = run->context, .threads = (uint32_t)options->threads};
  if (!options->ids && !hone_decoder_create(run->model, &run->decoder, status)) return false;
  if (!hone_session_create(run->model, &session, &run->session, status)) return false;
  return read_prompt(run, status);
}

static bool generate(generation_t *run, hone_status_t *status) {
  run->stopped = "interrupted";
  for (size_t i = 0; i < run->count; ++i) print_token(run, run->ids[i], run->options->echo);
  flush_output(run, true);
  return feed(run, run->ids, run->count, &run->prefill_ns, status) && make_tokens(run, status);
}

// Ends the line, reports, and turns how it went into the exit code.
static int finish(generation_t *run, bool is_done, hone_status_t *status) {
  int signal_number = hone_program_interrupted();
  bool is_interrupted = !is_done && status->code == HONE_CANCELLED && signal_number != 0;
  if (!is_done && !is_interrupted) {
    flush_output(run, true);
    return PROGRAM_FAILED;
  }
  if (is_interrupted) run->stopped = "interrupted";
  if (run->decoder != NULL) {
    size_t bytes;
    const char *text = hone_decoder_flush(run->decoder, &bytes);
    write_bytes(run, text, bytes);
  }
  write_bytes(run, "\n", 1);
  flush_output(run, true);
  if (run->write_error == EINTR && signal_number != 0) return PROGRAM_SIGNAL + signal_number;
  if (run->write_error == EPIPE) return PROGRAM_BROKEN_PIPE;
  if (run->write_error != 0) {
    *status = (hone_status_t){0};
    hone_fail(status, HONE_IO, "cannot write to standard output: %s", strerror(run->write_error));
    return PROGRAM_FAILED;
  }
  report(run);
  return is_interrupted ? PROGRAM_SIGNAL + signal_number : PROGRAM_OK;
}

int hone_program_generate(hone_model_t *model, const program_options_t *options,
                          hone_status_t *status) {
  generation_t run = {.options = options, .model = model};
  int code = PROGRAM_FAILED;
  if (setup(&run, status)) {
    hone_program_watch(run.session);
    code = finish(&run, generate(&run, status), status);
    hone_program_watch(NULL);
  }
  hone_session_destroy(run.session);
  hone_decoder_destroy(run.decoder);
  free(run.ids);
  return code;
}
