// hone bench: how fast an artefact runs, against what this machine's memory allows in the same
// minute.
//
// Every decoded token must read every weight once (of an embedding that is not also the head, one
// row) and the KV cache up to its position. Achieved GB/s is those bytes over the time; the ceiling
// is a plain read loop over memory by as many threads, measured before and after, the better one
// taken.
#include <stdlib.h>

#include "base/file.h"
#include "tools/client.h"
#include "tools/verb.h"

typedef struct fields {
  const char *artefact;
  int64_t prompt, tokens, threads, repeats;
  bool json;
} fields_t;

#define FIELD(member) offsetof(fields_t, member)
static const hone_option_t options[] = {
    {HONE_OPTION_POSITIONAL, "ARTEFACT", .field = FIELD(artefact),
     .help = "a program made by hone compile"},
    {HONE_OPTION_INT, "--prompt", NULL, "N", FIELD(prompt), .low = 1, .high = 1 << 20,
     .help = "prompt tokens; default: 128"},
    {HONE_OPTION_INT, "--tokens", NULL, "N", FIELD(tokens), .low = 1, .high = 1 << 20,
     .help = "decoded tokens; default: 64"},
    {HONE_OPTION_INT, "--threads", NULL, "N", FIELD(threads), .low = 0, .high = 1024,
     .help = "default: all CPUs"},
    {HONE_OPTION_INT, "--repeats", NULL, "N", FIELD(repeats), .low = 1, .high = 1000,
     .help = "runs; the median is printed; default: 3"},
    {HONE_OPTION_FLAG, "--json", .field = FIELD(json), .help = "print JSON"},
    {0}};
const hone_verb_t hone_verb_bench = {
    "bench", "tokens/s, bytes per token and share of the memory bandwidth", NULL,
    "  hone bench llama --prompt 512 --tokens 64 --threads 2\n", options};

typedef struct result {
  double prefill_rate, decode_rate;           // tokens per second, medians
  double bytes_per_token, achieved, ceiling;  // bytes, bytes/s, bytes/s
} result_t;

static int compare_rates(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static bool measure_ceiling(hone_client_t *client, result_t *result, hone_status_t *status) {
  double rate;
  if (!hone_client_bandwidth(client, &rate, status)) return false;
  if (rate > result->ceiling) result->ceiling = rate;
  return true;
}

static bool measure(hone_tool_t *tool, const fields_t *fields, hone_client_t *client,
                    const hone_client_info_t *info, result_t *result, hone_status_t *status) {
  size_t n = (size_t)fields->repeats;
  double *prefill = HONE_NEW_ARRAY(tool->arena, double, n),
         *decode = HONE_NEW_ARRAY(tool->arena, double, n);
  if (!measure_ceiling(client, result, status)) return false;
  for (size_t i = 0; i < n; i++) {
    uint64_t prefill_ns, decode_ns;
    if (!hone_client_bench(client, (uint32_t)fields->prompt, (uint32_t)fields->tokens, &prefill_ns,
                           &decode_ns, status))
      return false;
    prefill[i] = (double)fields->prompt * 1e9 / (double)prefill_ns;
    decode[i] = (double)fields->tokens * 1e9 / (double)decode_ns;
  }
  if (!measure_ceiling(client, result, status)) return false;
  qsort(prefill, n, sizeof *prefill, compare_rates);
  qsort(decode, n, sizeof *decode, compare_rates);
  result->prefill_rate = prefill[n / 2];
  result->decode_rate = decode[n / 2];
  double cached = (double)fields->prompt + (double)(fields->tokens + 1) / 2;  // mean positions read
  result->bytes_per_token =
      (double)info->token_bytes + cached * (double)info->cache_bytes / info->context;
  result->achieved = result->bytes_per_token * result->decode_rate;
  return true;
}

static bool print_result(hone_tool_t *tool, const fields_t *fields, const hone_client_info_t *info,
                         const result_t *result, hone_status_t *status) {
  hone_buffer_t text = {0};
  if (fields->json) {
    hone_json_t json = {.out = &text};
    hone_json_object_begin(&json, NULL);
    hone_json_string(&json, "schema", "hone.bench/1");
    hone_json_string(&json, "isa", info->isa);
    hone_json_u64(&json, "threads", info->threads);
    hone_json_i64(&json, "prompt", fields->prompt);
    hone_json_i64(&json, "tokens", fields->tokens);
    hone_json_f64(&json, "prefill_tokens_per_second", result->prefill_rate);
    hone_json_f64(&json, "decode_tokens_per_second", result->decode_rate);
    hone_json_u64(&json, "weight_bytes_per_token", info->token_bytes);
    hone_json_f64(&json, "bytes_per_token", result->bytes_per_token);
    hone_json_f64(&json, "achieved_bytes_per_second", result->achieved);
    hone_json_f64(&json, "ceiling_bytes_per_second", result->ceiling);
    hone_json_f64(&json, "share", result->achieved / result->ceiling);
    hone_json_object_end(&json);
    hone_buffer_text(&text, "\n");
  } else {
    char weights[16], total[16];
    hone_buffer_format(
        &text,
        "kernels    %s, %u threads\n"
        "prefill    %10.2f tokens/s  (%lld tokens)\n"
        "decode     %10.2f tokens/s  (%lld tokens after them)\n"
        "per token  %10s weights, %s with the KV cache\n"
        "achieved   %10.2f GB/s\n"
        "ceiling    %10.2f GB/s  (read loop, same threads, same run)\n"
        "share      %10.1f %%\n",
        info->isa, info->threads, result->prefill_rate, (long long)fields->prompt,
        result->decode_rate, (long long)fields->tokens, hone_text_bytes(info->token_bytes, weights),
        hone_text_bytes((uint64_t)result->bytes_per_token, total), result->achieved / 1e9,
        result->ceiling / 1e9, 100 * result->achieved / result->ceiling);
  }
  bool ok = hone_tool_print(tool, &text, status);
  hone_buffer_deinit(&text);
  return ok;
}

int hone_verb_bench_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {.prompt = 128, .tokens = 64, .repeats = 3};
  int code;
  if (!hone_tool_parse(tool, &hone_verb_bench, argc, argv, &fields, &code)) return code;
  hone_status_t status = {0};
  hone_client_t *client = NULL;
  hone_client_info_t info;
  result_t result = {0};
  hone_client_options_t start = {.threads = fields.threads};
  bool ok = hone_client_start(fields.artefact, &start, &client, &status) &&
            hone_client_info(client, &info, &status);
  if (ok && fields.prompt + fields.tokens > info.context)
    ok = hone_fail(&status, HONE_INVALID,
                   "--prompt %lld and --tokens %lld exceed the model's %u positions",
                   (long long)fields.prompt, (long long)fields.tokens, info.context);
  ok = ok && measure(tool, &fields, client, &info, &result, &status) &&
       print_result(tool, &fields, &info, &result, &status);
  hone_client_stop(client);
  return ok ? HONE_EXIT_OK : hone_tool_report(tool, &status);
}
