// --serve: answers hone's own tools over standard input and output. The protocol is base/serve.h.
#include <errno.h>
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
  uint8_t *request;  // payload of the request at hand; heap, grows
  size_t request_bytes, request_capacity;
  bool is_lost;  // nobody reads our replies any more
} server_t;

// Reads exactly `bytes`; *out_got tells how many came before the end of input.
static bool read_exactly(void *data, size_t bytes, size_t *out_got) {
  *out_got = 0;
  while (*out_got < bytes) {
    ssize_t n = read(STDIN_FILENO, (char *)data + *out_got, bytes - *out_got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    *out_got += (size_t)n;
  }
  return true;
}

static void write_exactly(server_t *server, const void *data, size_t bytes) {
  const char *at = data;
  while (bytes > 0 && !server->is_lost) {
    ssize_t n = write(STDOUT_FILENO, at, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      server->is_lost = true;
      return;
    }
    at += n;
    bytes -= (size_t)n;
  }
}

// A reply of two parts: a fixed struct and an array; either may be empty.
static void reply(server_t *server, uint32_t kind, const void *fixed, size_t fixed_bytes,
                  const void *data, size_t data_bytes) {
  hone_serve_header_t header = {.kind = kind, .code = HONE_OK, .bytes = fixed_bytes + data_bytes};
  write_exactly(server, &header, sizeof header);
  write_exactly(server, fixed, fixed_bytes);
  write_exactly(server, data, data_bytes);
}

static void reply_failure(server_t *server, uint32_t kind, const hone_status_t *status) {
  size_t bytes = strlen(status->message);
  hone_serve_header_t header = {.kind = kind, .code = status->code, .bytes = bytes};
  write_exactly(server, &header, sizeof header);
  write_exactly(server, status->message, bytes);
}

static bool fail_malformed(const char *kind, hone_status_t *status) {
  return hone_fail(status, HONE_INVALID, "malformed %s request: its size is wrong", kind);
}

// Weights that decoding one token reads: every tensor some launch uses, but of an embedding one
// row.
static uint64_t token_weight_bytes(const hone_model_t *model) {
  const hone_plan_t *plan = model->plan;
  uint64_t total = 0;
  const hone_launch_t *launches = hone_plan_launches(plan);
  for (uint32_t t = 0; t < plan->tensor_count; ++t) {
    const hone_tensor_t *tensor = &hone_plan_tensors(plan)[t];
    bool is_read = false, is_embedding = false;
    for (uint32_t i = 0; i < plan->launch_count; ++i) {
      const hone_flow_t *flow = &model->flows[launches[i].flow];
      const hone_kernel_info_t *kernel =
          &hone_plan_kernels(plan)[flow->kernel[hone_flow_entry(flow, 1)]];
      bool is_embed = strcmp(hone_plan_string(plan, kernel->family), "embed") == 0;
      for (int j = 0; j < HONE_KERNEL_POINTERS; ++j) {
        const hone_operand_t *operand = &launches[i].operands[j];
        if (operand->space != HONE_SPACE_WEIGHTS || operand->offset < tensor->offset ||
            operand->offset - tensor->offset >= tensor->bytes) {
          continue;
        }
        if (is_embed) {
          is_embedding = true;
        } else {
          is_read = true;
        }
      }
    }
    if (is_read) {
      total += tensor->bytes;
    } else if (is_embedding && tensor->N > 0) {
      total += tensor->bytes / tensor->N;
    }
  }
  return total;
}

static bool serve_info(server_t *server, hone_status_t *status) {
  (void)status;
  const hone_session_t *session = server->session;
  const hone_plan_t *plan = session->model->plan;
  hone_serve_info_t info = {
      .vocab = plan->vocab,
      .width = plan->width,
      .layers = plan->layers,
      .heads = plan->heads,
      .kv_heads = plan->kv_heads,
      .head_dim = plan->head_dim,
      .context = session->context,
      .model_context = plan->context,
      .window = plan->window,
      .batch = plan->batch,
      .threads = session->threads,
      .has_tokenizer = session->model->tokenizer != NULL,
      .add_bos = plan->add_bos,
      .bos = plan->bos,
      .eos_count = plan->eos_count,
      .weight_bytes = plan->weight_bytes,
      .token_bytes = token_weight_bytes(session->model),
      .arena_bytes = plan->arena_bytes,
      .cache_bytes = session->cache_bytes,
  };
  memcpy(info.eos, plan->eos, sizeof info.eos);
  strncpy(info.isa, session->model->isa->name, sizeof info.isa - 1);
  strncpy(info.family, hone_plan_string(plan, plan->family_name), sizeof info.family - 1);
  reply(server, HONE_SERVE_INFO, &info, sizeof info, NULL, 0);
  return true;
}

static bool serve_tokenize(server_t *server, hone_status_t *status) {
  hone_serve_tokenize_t request;
  if (server->request_bytes < sizeof request) return fail_malformed("TOKENIZE", status);
  memcpy(&request, server->request, sizeof request);
  const char *text = (const char *)server->request + sizeof request;
  size_t bytes = server->request_bytes - sizeof request, count;
  size_t limit = bytes + 16;
  for (;;) {
    int32_t *ids = malloc(limit * sizeof *ids);
    if (ids == NULL)
      return hone_fail(status, HONE_EXHAUSTED, "out of memory for %zu token ids", limit);
    bool ok = hone_model_tokenize(server->model, text, bytes, request.add_special != 0, ids, limit,
                                  &count, status);
    if (ok && count > HONE_SERVE_LIMIT / sizeof *ids) {
      ok = hone_fail(status, HONE_EXHAUSTED, "the text has %zu tokens, too many for one reply",
                     count);
    }
    bool is_whole = ok && count <= limit;
    if (is_whole) reply(server, HONE_SERVE_TOKENIZE, NULL, 0, ids, count * sizeof *ids);
    free(ids);
    if (!ok || is_whole) return ok;
    limit = count;
  }
}

static bool serve_feed(server_t *server, hone_status_t *status) {
  hone_serve_feed_t request;
  if (server->request_bytes < sizeof request) return fail_malformed("FEED", status);
  memcpy(&request, server->request, sizeof request);
  if (server->request_bytes != sizeof request + (uint64_t)request.count * sizeof(int32_t)) {
    return fail_malformed("FEED", status);
  }
  const int32_t *ids = (const int32_t *)(const void *)(server->request + sizeof request);
  uint64_t bytes = (uint64_t)request.wanted * server->model->plan->vocab * sizeof(float);
  if (bytes > HONE_SERVE_LIMIT - sizeof(hone_serve_fed_t)) {
    return hone_fail(status, HONE_EXHAUSTED,
                     "logits of %u tokens are too much for one reply; feed in parts",
                     request.wanted);
  }
  if (request.wanted > request.count) {
    return hone_fail(status, HONE_INVALID, "logits of %u tokens wanted, but only %u are fed",
                     request.wanted, request.count);
  }
  float *logits = bytes > 0 ? malloc(bytes) : NULL;
  if (bytes > 0 && logits == NULL)
    return hone_fail(status, HONE_EXHAUSTED, "out of memory for logits");
  uint64_t start = hone_clock_ns();
  bool ok = hone_session_feed(server->session, ids, request.count, request.wanted, logits, status);
  hone_serve_fed_t fed = {.elapsed_ns = hone_clock_ns() - start,
                          .position = hone_session_position(server->session),
                          .rows = request.wanted};
  if (ok) reply(server, HONE_SERVE_FEED, &fed, sizeof fed, logits, bytes);
  free(logits);
  return ok;
}

static bool serve_rewind(server_t *server, hone_status_t *status) {
  hone_serve_rewind_t request;
  if (server->request_bytes != sizeof request) return fail_malformed("REWIND", status);
  memcpy(&request, server->request, sizeof request);
  uint32_t position = hone_session_position(server->session);
  if (request.position > position) {
    return hone_fail(status, HONE_INVALID, "cannot rewind to %u: the position is %u",
                     request.position, position);
  }
  hone_session_rewind(server->session, request.position);
  reply(server, HONE_SERVE_REWIND, NULL, 0, NULL, 0);
  return true;
}

static bool serve_bandwidth(server_t *server, hone_status_t *status) {
  hone_serve_bandwidth_t request;
  if (server->request_bytes != sizeof request) return fail_malformed("BANDWIDTH", status);
  memcpy(&request, server->request, sizeof request);
  hone_bandwidth_t measured;
  if (!hone_bandwidth_measure(server->session, request.threads, &measured, status)) return false;
  hone_serve_bandwidth_result_t result = {
      .bytes_per_second =
          measured.elapsed_ns > 0 ? (double)measured.bytes * 1e9 / (double)measured.elapsed_ns : 0,
      .bytes = measured.bytes,
      .elapsed_ns = measured.elapsed_ns,
      .threads = measured.threads,
      .from_weights = measured.is_from_weights,
  };
  reply(server, HONE_SERVE_BANDWIDTH, &result, sizeof result, NULL, 0);
  return true;
}

// Fixed ids that are all different for a while, and the same on every machine.
static int32_t bench_id(uint32_t index, uint32_t vocab) {
  return (int32_t)((index * 7919ull + 1) % vocab);
}

static bool run_bench(server_t *server, const hone_serve_bench_t *request, int32_t *ids,
                      hone_serve_bench_result_t *out_result, hone_status_t *status) {
  uint32_t vocab = server->model->plan->vocab;
  for (uint32_t i = 0; i < request->prompt; ++i) ids[i] = bench_id(i, vocab);
  hone_session_rewind(server->session, 0);
  uint64_t start = hone_clock_ns();
  size_t wanted = request->prompt > 0 ? 1 : 0;
  if (!hone_session_feed(server->session, ids, request->prompt, wanted, NULL, status)) return false;
  out_result->prefill_ns = hone_clock_ns() - start;
  for (uint32_t i = 0; i < request->tokens; ++i) {
    int32_t id = bench_id(request->prompt + i, vocab);
    start = hone_clock_ns();
    if (!hone_session_feed(server->session, &id, 1, 1, NULL, status)) return false;
    uint64_t elapsed_ns = hone_clock_ns() - start;
    out_result->decode_ns += elapsed_ns;
    if (i == 0 || elapsed_ns < out_result->decode_best_ns) out_result->decode_best_ns = elapsed_ns;
  }
  return true;
}

static bool serve_bench(server_t *server, hone_status_t *status) {
  hone_serve_bench_t request;
  hone_serve_bench_result_t result = {0};
  if (server->request_bytes != sizeof request) return fail_malformed("BENCH", status);
  memcpy(&request, server->request, sizeof request);
  if ((uint64_t)request.prompt + request.tokens > server->session->context) {
    return hone_fail(status, HONE_EXHAUSTED, "%u and %u tokens do not fit into a context of %u",
                     request.prompt, request.tokens, server->session->context);
  }
  int32_t *ids = malloc(((size_t)request.prompt + 1) * sizeof *ids);
  if (ids == NULL)
    return hone_fail(status, HONE_EXHAUSTED, "out of memory for %u token ids", request.prompt);
  bool ok = run_bench(server, &request, ids, &result, status);
  free(ids);
  hone_session_rewind(server->session, 0);
  if (ok) reply(server, HONE_SERVE_BENCH, &result, sizeof result, NULL, 0);
  return ok;
}

static void answer(server_t *server, uint32_t kind) {
  hone_status_t status = {0};
  bool ok = false;
  switch (kind) {
    case HONE_SERVE_INFO: ok = serve_info(server, &status); break;
    case HONE_SERVE_TOKENIZE: ok = serve_tokenize(server, &status); break;
    case HONE_SERVE_FEED: ok = serve_feed(server, &status); break;
    case HONE_SERVE_REWIND: ok = serve_rewind(server, &status); break;
    case HONE_SERVE_BANDWIDTH: ok = serve_bandwidth(server, &status); break;
    case HONE_SERVE_BENCH: ok = serve_bench(server, &status); break;
    case HONE_SERVE_QUIT:
      reply(server, kind, NULL, 0, NULL, 0);
      ok = true;
      break;
    default: hone_fail(&status, HONE_UNSUPPORTED, "unknown request kind %u", kind);
  }
  if (!ok) reply_failure(server, kind, &status);
}

// Reads the payload of a request; false if the frame is malformed or cut off.
static bool read_payload(server_t *server, const hone_serve_header_t *header) {
  hone_status_t status = {0};
  if (header->bytes > HONE_SERVE_LIMIT) {
    hone_fail(&status, HONE_INVALID, "malformed request: %llu bytes",
              (unsigned long long)header->bytes);
    reply_failure(server, header->kind, &status);
    return false;
  }
  if (header->bytes > server->request_capacity) {
    uint8_t *grown = realloc(server->request, header->bytes);
    if (grown == NULL) {
      hone_fail(&status, HONE_EXHAUSTED, "out of memory for a request of %llu bytes",
                (unsigned long long)header->bytes);
      reply_failure(server, header->kind, &status);
      return false;
    }
    server->request = grown;
    server->request_capacity = header->bytes;
  }
  server->request_bytes = header->bytes;
  size_t got;
  return read_exactly(server->request, header->bytes, &got);
}

static int serve_requests(server_t *server) {
  while (!server->is_lost) {
    hone_serve_header_t header;
    size_t got;
    if (!read_exactly(&header, sizeof header, &got)) return got == 0 ? PROGRAM_OK : PROGRAM_FAILED;
    if (!read_payload(server, &header)) return PROGRAM_FAILED;
    answer(server, header.kind);
    if (header.kind == HONE_SERVE_QUIT) return PROGRAM_OK;
  }
  return PROGRAM_FAILED;
}

int hone_program_answer(hone_model_t *model, hone_session_t *session) {
  server_t server = {.model = model, .session = session};
  int code = serve_requests(&server);
  free(server.request);
  return code;
}

int hone_program_serve(const program_options_t *options) {
  server_t server = {0};
  hone_status_t status = {0};
  hone_session_options_t session = {.context = (uint32_t)options->context,
                                    .threads = (uint32_t)options->threads};
  int code = PROGRAM_FAILED;
  if (hone_model_open(&(hone_model_options_t){.isa = options->isa}, &server.model, &status) &&
      hone_session_create(server.model, &session, &server.session, &status)) {
    hone_serve_hello_t hello = {.magic = HONE_SERVE_MAGIC, .version = HONE_SERVE_VERSION};
    reply(&server, HONE_SERVE_HELLO, &hello, sizeof hello, NULL, 0);
    code = hone_program_answer(server.model, server.session);
  } else {
    reply_failure(&server, HONE_SERVE_HELLO, &status);
  }
  hone_session_destroy(server.session);
  hone_model_close(server.model);
  return code;
}
