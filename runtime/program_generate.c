// Generation: the prompt, then one token after the other, as text or ids on standard output; statistics on standard error.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "runtime/bandwidth.h"
#include "runtime/program.h"

typedef struct generation {
  const hone_model_t *model;
  const program_options_t *options;
  hone_session_t *session;
  hone_decoder_t *decoder;
  int32_t *ids;  // the prompt
  size_t count;
  uint64_t prefill_ns, decode_ns, made;
  const char *end;  // why it ended
  bool has_broken_pipe;
} generation_t;

static bool tokenize(generation_t *g, const char *text, size_t bytes, hone_status_t *status) {
  size_t count = 0;
  if (!hone_model_tokenize(g->model, text, bytes, true, NULL, 0, &count, status)) return false;
  g->ids = malloc((count + 1) * sizeof *g->ids);
  if (g->ids == NULL) return hone_fail(status, HONE_EXHAUSTED, "out of memory for the prompt");
  return hone_model_tokenize(g->model, text, bytes, true, g->ids, count, &g->count, status);
}

static bool read_prompt(generation_t *g, int *out_code, hone_status_t *status) {
  const char *prompt = g->options->prompt != NULL ? g->options->prompt : "";
  char *input = NULL;
  size_t bytes = strlen(prompt);
  if (strcmp(prompt, "-") == 0) {
    if (!hone_program_read_stdin(&input, &bytes, status)) return false;
    prompt = input;
  }
  bool ok;
  if (g->options->ids) {
    ok = hone_program_parse_ids(prompt, bytes, &g->ids, &g->count, status);
    if (!ok) *out_code = PROGRAM_USAGE;
  } else {
    ok = tokenize(g, prompt, bytes, status);
  }
  free(input);
  if (ok && g->count == 0) ok = hone_fail(status, HONE_INVALID, "the prompt is empty, and this model has no start token");
  return ok;
}

// A closed pipe ends generation without a message; other failures are errors.
static bool write_out(generation_t *g, const void *data, size_t bytes, hone_status_t *status) {
  if (bytes == 0 || (fwrite(data, 1, bytes, stdout) == bytes && fflush(stdout) == 0)) return true;
  g->has_broken_pipe = errno == EPIPE;
  return hone_fail(status, HONE_IO, "cannot write to standard output: %s", strerror(errno));
}

static bool write_token(generation_t *g, int32_t id, hone_status_t *status) {
  if (g->options->ids) {
    char text[16];
    int length = snprintf(text, sizeof text, "%s%d", g->made > 0 ? " " : "", (int)id);
    return write_out(g, text, (size_t)length, status);
  }
  size_t bytes;
  const char *text = hone_decoder_add(g->decoder, id, &bytes);
  return write_out(g, text, bytes, status);
}

static bool echo_prompt(generation_t *g, hone_status_t *status) {
  for (size_t i = 0; i < g->count && !g->options->ids; ++i) {
    size_t bytes;
    const char *text = hone_decoder_add(g->decoder, g->ids[i], &bytes);
    if (g->options->echo && !write_out(g, text, bytes, status)) return false;
  }
  return true;
}

static bool feed(generation_t *g, const int32_t *ids, size_t count, uint64_t *ns, hone_status_t *status) {
  uint64_t start = hone_clock_ns();
  bool ok = hone_session_feed(g->session, ids, count, 1, NULL, status);
  *ns += hone_clock_ns() - start;
  return ok;
}

static bool generate(generation_t *g, uint32_t context, hone_status_t *status) {
  const hone_sampling_t sampling = {(float)g->options->temperature, (float)g->options->top_p, (uint64_t)g->options->seed};
  if (g->count >= context) {
    return hone_fail(status, HONE_EXHAUSTED, "the prompt has %zu tokens; the context of %u tokens has no room for an answer",
                     g->count, context);
  }
  if (!echo_prompt(g, status) || !feed(g, g->ids, g->count, &g->prefill_ns, status)) return false;
  g->end = "token limit";
  while ((int64_t)g->made < g->options->tokens) {
    int32_t id;
    if (!hone_session_sample(g->session, &sampling, &id, status)) return false;
    if (hone_model_is_end(g->model, id)) {
      g->end = "end of text";
      break;
    }
    if (!write_token(g, id, status)) return false;
    g->made += 1;
    if ((int64_t)g->made == g->options->tokens) break;
    if (hone_session_position(g->session) >= context) {
      g->end = "context is full";
      break;
    }
    if (!feed(g, &id, 1, &g->decode_ns, status)) return false;
  }
  return true;
}

static double rate(uint64_t count, uint64_t ns) { return ns > 0 ? (double)count * 1e9 / (double)ns : 0; }

static void print_statistics(const generation_t *g) {
  uint64_t steps = g->made > 0 ? g->made - 1 : 0;
  if (!g->options->json) {
    fprintf(stderr, "prompt %zu tokens, %.1f tokens/s; made %llu tokens, %.1f tokens/s (%s)\n", g->count,
            rate(g->count, g->prefill_ns), (unsigned long long)g->made, rate(steps, g->decode_ns), g->end);
    return;
  }
  hone_buffer_t text = {0};
  hone_json_t json = {.out = &text, .compact = true};
  hone_json_object_begin(&json, NULL);
  hone_json_u64(&json, "prompt_tokens", g->count);
  hone_json_f64(&json, "prefill_tokens_per_second", rate(g->count, g->prefill_ns));
  hone_json_u64(&json, "tokens", g->made);
  hone_json_f64(&json, "decode_tokens_per_second", rate(steps, g->decode_ns));
  hone_json_string(&json, "end", g->end);
  hone_json_object_end(&json);
  fprintf(stderr, "%s\n", hone_buffer_cstr(&text));
  hone_buffer_deinit(&text);
}

static bool run(generation_t *g, hone_model_t *model, int *out_code, hone_status_t *status) {
  const hone_session_options_t session = {(uint32_t)g->options->context, (uint32_t)g->options->threads};
  hone_model_info_t info;
  hone_model_get_info(model, &info);
  if (!read_prompt(g, out_code, status)) return false;
  if (!g->options->ids && !hone_decoder_create(model, &g->decoder, status)) return false;
  if (!hone_session_create(model, &session, &g->session, status)) return false;
  hone_program_watch(g->session);
  bool ok = generate(g, session.context != 0 ? session.context : info.context, status);
  hone_program_watch(NULL);
  size_t bytes = 0;
  const char *tail = ok && g->decoder != NULL ? hone_decoder_flush(g->decoder, &bytes) : "";
  if (ok) ok = write_out(g, tail, bytes, status) && write_out(g, "\n", 1, status);
  return ok;
}

int hone_program_generate(hone_model_t *model, const program_options_t *options, hone_status_t *status) {
  generation_t g = {.model = model, .options = options, .end = "stopped"};
  int code = PROGRAM_FAILED;
  bool ok = run(&g, model, &code, status);
  int number = hone_program_interrupted();
  if (number != 0) {
    fputc('\n', stdout);
    fflush(stdout);
  }
  if (ok || number != 0) print_statistics(&g);
  hone_session_destroy(g.session);
  hone_decoder_destroy(g.decoder);
  free(g.ids);
  if (number != 0) return PROGRAM_SIGNAL + number;
  if (g.has_broken_pipe) return PROGRAM_BROKEN_PIPE;
  return ok ? PROGRAM_OK : code;
}
