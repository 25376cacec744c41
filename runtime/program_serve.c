// --serve: the server side of base/serve.h, over standard input and output.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/serve.h"
#include "runtime/bandwidth.h"
#include "runtime/plan.h"
#include "runtime/program.h"

typedef struct server {
  hone_model_t *model;
  hone_session_t *session;
  const program_options_t *options;
  uint8_t *request;  // payload of the current request, heap
  uint64_t bytes;
} server_t;

static bool read_exactly(void *data, uint64_t bytes) {
  for (uint64_t done = 0; done < bytes;) {
    ssize_t n = read(STDIN_FILENO, (char *)data + done, bytes - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += (uint64_t)n;
  }
  return true;
}

static bool write_exactly(const void *data, uint64_t bytes) {
  for (uint64_t done = 0; done < bytes;) {
    ssize_t n = write(STDOUT_FILENO, (const char *)data + done, bytes - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += (uint64_t)n;
  }
  return true;
}

// False if the client went away.
static bool reply(uint32_t kind, const void *fixed, uint64_t fixed_bytes, const void *data, uint64_t data_bytes) {
  hone_serve_header_t header = {kind, HONE_OK, fixed_bytes + data_bytes};
  return write_exactly(&header, sizeof header) && write_exactly(fixed, fixed_bytes) && write_exactly(data, data_bytes);
}

static bool reply_error(uint32_t kind, const hone_status_t *status) {
  hone_serve_header_t header = {kind, (uint32_t)status->code, strlen(status->message)};
  return write_exactly(&header, sizeof header) && write_exactly(status->message, header.bytes);
}

// The request's fixed part; what follows it starts at server->request + bytes.
static bool read_fixed(const server_t *server, void *out, uint64_t bytes, hone_status_t *status) {
  if (server->bytes < bytes) return hone_fail(status, HONE_INVALID, "the request is shorter than its kind's");
  memcpy(out, server->request, bytes);
  return true;
}

// Weights read to decode one token: every tensor a launch reads, of the embedding one row.
static uint64_t count_token_bytes(const hone_plan_t *plan) {
  uint64_t total = 0;
  for (uint32_t t = 0; t < plan->tensor_count; ++t) {
    const hone_tensor_t *tensor = &hone_plan_tensors(plan)[t];
    bool is_read = false;
    for (uint32_t i = 0; i < plan->launch_count && !is_read; ++i) {
      const hone_launch_t *launch = &hone_plan_launches(plan)[i];
      bool is_embed = launch->operands[0].space == HONE_SPACE_IDS;
      for (int j = 0; j < HONE_KERNEL_POINTERS && !is_embed; ++j) {
        is_read |= launch->operands[j].space == HONE_SPACE_WEIGHTS && launch->operands[j].offset == tensor->offset;
      }
    }
    total += is_read ? tensor->bytes : tensor->bytes / hone_padded(tensor->N);
  }
  return total;
}

static bool serve_info(server_t *server, hone_status_t *status) {
  (void)status;
  const hone_plan_t *plan = server->model->plan;
  hone_serve_info_t info = {
      .vocab = plan->vocab, .width = plan->width, .layers = plan->layers, .heads = plan->heads,
      .kv_heads = plan->kv_heads, .head_dim = plan->head_dim, .context = server->session->context,
      .model_context = plan->context, .window = plan->window, .batch = plan->batch,
      .threads = server->session->threads, .has_tokenizer = server->model->tokenizer != NULL,
      .add_bos = plan->add_bos, .bos = plan->bos, .eos_count = plan->eos_count, .weight_bytes = plan->weight_bytes,
      .token_bytes = count_token_bytes(plan), .arena_bytes = plan->arena_bytes,
      .cache_bytes = server->session->cache_bytes / server->session->capacity * server->session->context,
  };
  memcpy(info.eos, plan->eos, sizeof info.eos);
  snprintf(info.isa, sizeof info.isa, "%s", server->model->isa->name);
  snprintf(info.family, sizeof info.family, "%s", hone_plan_string(plan, plan->family_name));
  return reply(HONE_SERVE_INFO, &info, sizeof info, NULL, 0);
}

static bool serve_tokenize(server_t *server, hone_status_t *status) {
  hone_serve_tokenize_t request;
  size_t count = 0;
  if (!read_fixed(server, &request, sizeof request, status)) return reply_error(HONE_SERVE_TOKENIZE, status);
  const char *text = (const char *)server->request + sizeof request;
  size_t bytes = server->bytes - sizeof request;
  int32_t *ids = NULL;
  bool ok = hone_model_tokenize(server->model, text, bytes, request.add_special != 0, NULL, 0, &count, status);
  if (ok) ids = malloc((count + 1) * sizeof *ids);
  if (ok && ids == NULL) ok = hone_fail(status, HONE_EXHAUSTED, "out of memory for %zu ids", count);
  ok = ok && hone_model_tokenize(server->model, text, bytes, request.add_special != 0, ids, count, &count, status);
  bool alive = ok ? reply(HONE_SERVE_TOKENIZE, NULL, 0, ids, count * sizeof *ids) : reply_error(HONE_SERVE_TOKENIZE, status);
  free(ids);
  return alive;
}

static bool serve_feed(server_t *server, hone_status_t *status) {
  hone_serve_feed_t request;
  float *logits = NULL;
  bool ok = read_fixed(server, &request, sizeof request, status);
  if (ok && server->bytes - sizeof request != (uint64_t)request.count * sizeof(int32_t)) {
    ok = hone_fail(status, HONE_INVALID, "the request does not hold its %u ids", request.count);
  }
  uint64_t row_bytes = (uint64_t)server->model->plan->vocab * sizeof(float);
  if (ok && request.wanted > (HONE_SERVE_LIMIT - sizeof(hone_serve_fed_t)) / row_bytes) {
    ok = hone_fail(status, HONE_INVALID, "logits of %u tokens are too many for one reply", request.wanted);
  }
  if (ok && request.wanted > 0) logits = malloc(request.wanted * row_bytes);
  if (ok && request.wanted > 0 && logits == NULL) ok = hone_fail(status, HONE_EXHAUSTED, "out of memory for logits");
  uint64_t start = hone_clock_ns();
  const int32_t *ids = (const int32_t *)(const void *)(server->request + sizeof request);
  ok = ok && hone_session_feed(server->session, ids, request.count, request.wanted, logits, status);
  bool alive;
  if (ok) {
    hone_serve_fed_t fed = {hone_clock_ns() - start, hone_session_position(server->session), request.wanted};
    alive = reply(HONE_SERVE_FEED, &fed, sizeof fed, logits, request.wanted * row_bytes);
  } else {
    alive = reply_error(HONE_SERVE_FEED, status);
  }
  free(logits);
  return alive;
}

static bool serve_rewind(server_t *server, hone_status_t *status) {
  hone_serve_rewind_t request;
  if (!read_fixed(server, &request, sizeof request, status)) return reply_error(HONE_SERVE_REWIND, status);
  hone_session_rewind(server->session, request.position);
  return reply(HONE_SERVE_REWIND, NULL, 0, NULL, 0);
}

static bool serve_bandwidth(server_t *server, hone_status_t *status) {
  hone_serve_bandwidth_t request;
  hone_bandwidth_t measured;
  if (!read_fixed(server, &request, sizeof request, status) ||
      !hone_bandwidth_measure(server->session, request.threads, &measured, status)) {
    return reply_error(HONE_SERVE_BANDWIDTH, status);
  }
  hone_serve_bandwidth_result_t result = {
      .bytes_per_second = (double)measured.bytes * 1e9 / (double)measured.elapsed_ns,
      .bytes = measured.bytes,
      .elapsed_ns = measured.elapsed_ns,
      .threads = measured.threads,
      .from_weights = measured.is_from_weights,
  };
  return reply(HONE_SERVE_BANDWIDTH, &result, sizeof result, NULL, 0);
}

static bool measure_bench(server_t *server, const hone_serve_bench_t *request, hone_serve_bench_result_t *result,
                          hone_status_t *status) {
  int32_t *ids = calloc(request->prompt + 1, sizeof *ids);
  if (ids == NULL) return hone_fail(status, HONE_EXHAUSTED, "out of memory for %u ids", request->prompt);
  for (uint32_t i = 0; i < request->prompt; ++i) ids[i] = (int32_t)((i * 7919u + 1) % server->model->plan->vocab);
  hone_session_rewind(server->session, 0);
  uint64_t start = hone_clock_ns();
  bool ok = hone_session_feed(server->session, ids, request->prompt, request->prompt > 0, NULL, status);
  *result = (hone_serve_bench_result_t){.prefill_ns = hone_clock_ns() - start, .decode_best_ns = UINT64_MAX};
  for (uint32_t i = 0; i < request->tokens && ok; ++i) {
    start = hone_clock_ns();
    ok = hone_session_feed(server->session, ids, 1, 1, NULL, status);
    uint64_t ns = hone_clock_ns() - start;
    result->decode_ns += ns;
    if (ns < result->decode_best_ns) result->decode_best_ns = ns;
  }
  hone_session_rewind(server->session, 0);
  free(ids);
  return ok;
}

static bool serve_bench(server_t *server, hone_status_t *status) {
  hone_serve_bench_t request;
  hone_serve_bench_result_t result;
  if (!read_fixed(server, &request, sizeof request, status) || !measure_bench(server, &request, &result, status)) {
    return reply_error(HONE_SERVE_BENCH, status);
  }
  return reply(HONE_SERVE_BENCH, &result, sizeof result, NULL, 0);
}

// One request. False ends the loop.
static bool serve_request(server_t *server, uint32_t kind) {
  hone_status_t status = {0};
  switch ((hone_serve_kind_t)kind) {
    case HONE_SERVE_INFO: return serve_info(server, &status);
    case HONE_SERVE_TOKENIZE: return serve_tokenize(server, &status);
    case HONE_SERVE_FEED: return serve_feed(server, &status);
    case HONE_SERVE_REWIND: return serve_rewind(server, &status);
    case HONE_SERVE_BANDWIDTH: return serve_bandwidth(server, &status);
    case HONE_SERVE_BENCH: return serve_bench(server, &status);
    case HONE_SERVE_QUIT: (void)reply(kind, NULL, 0, NULL, 0); return false;
    default:
      hone_fail(&status, HONE_UNSUPPORTED, "request kind %u is unknown to this program", kind);
      return reply_error(kind, &status);
  }
}

static int serve_loop(server_t *server) {
  for (;;) {
    hone_serve_header_t header;
    hone_status_t status = {0};
    if (!read_exactly(&header, sizeof header)) return PROGRAM_OK;
    if (header.bytes > HONE_SERVE_LIMIT) {
      hone_fail(&status, HONE_INVALID, "a request of %llu bytes is too large", (unsigned long long)header.bytes);
      (void)reply_error(header.kind, &status);
      return PROGRAM_FAILED;
    }
    server->request = malloc(header.bytes + 1);
    server->bytes = header.bytes;
    if (server->request == NULL || !read_exactly(server->request, header.bytes)) return PROGRAM_FAILED;
    bool go_on = serve_request(server, header.kind);
    free(server->request);
    server->request = NULL;
    if (!go_on) return PROGRAM_OK;
  }
}

int hone_program_serve(const program_options_t *options) {
  server_t server = {.options = options};
  hone_status_t status = {0};
  const hone_session_options_t session = {(uint32_t)options->context, (uint32_t)options->threads};
  int code = PROGRAM_FAILED;
  if (hone_model_open(&(hone_model_options_t){.isa = options->isa}, &server.model, &status) &&
      hone_session_create(server.model, &session, &server.session, &status)) {
    hone_serve_hello_t hello = {HONE_SERVE_MAGIC, HONE_SERVE_VERSION};
    if (reply(HONE_SERVE_HELLO, &hello, sizeof hello, NULL, 0)) code = serve_loop(&server);
  } else {
    (void)reply_error(HONE_SERVE_HELLO, &status);
  }
  free(server.request);
  hone_session_destroy(server.session);
  hone_model_close(server.model);
  return code;
}
