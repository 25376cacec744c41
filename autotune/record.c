// See record.h.
#include "autotune/record.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/json.h"

enum { ROWS_LIMIT = 1 << 24, THREADS_LIMIT = 1024, SAMPLES_LIMIT = 1 << 20 };
static const double longest_ns = 1e15;

void hone_tuning_record_write(const hone_tuning_record_t *record, hone_buffer_t *out) {
  char candidate[HONE_CANDIDATE_TEXT_BYTES];
  const hone_evidence_t *evidence = &record->evidence;
  hone_candidate_write(&record->candidate, candidate);
  hone_json_t json = {.out = out, .compact = true};
  hone_json_object_begin(&json, NULL);
  hone_json_string(&json, "problem", record->key.problem);
  hone_json_string(&json, "isa", record->key.isa);
  hone_json_u64(&json, "M", record->key.M);
  hone_json_u64(&json, "threads", record->key.threads);
  hone_json_string(&json, "cpu", record->key.cpu);
  hone_json_string(&json, "compiler", record->key.compiler);
  hone_json_string(&json, "candidate", candidate);
  hone_json_string(&json, "verdict", hone_verdict_name(evidence->verdict));
  if (evidence->verdict == HONE_VERDICT_OK) {
    hone_json_f64(&json, "median_ns", evidence->median_ns);
    hone_json_f64(&json, "mad_ns", evidence->mad_ns);
    hone_json_u64(&json, "samples", evidence->samples);
  } else {
    hone_json_string(&json, "reason", evidence->reason);
  }
  hone_json_object_end(&json);
}

static bool read_text(json_t *object, const char *name, hone_arena_t *arena, const char **out,
                      hone_status_t *status) {
  json_t *value = json_object_get(object, name);
  const char *text = json_string_value(value);
  size_t bytes = json_string_length(value);
  if (!text || bytes == 0 || bytes > HONE_TUNING_TEXT_LIMIT)
    return hone_fail(status, HONE_INVALID, "\"%s\" must be a text of 1 to %d bytes", name,
                     (int)HONE_TUNING_TEXT_LIMIT);
  *out = hone_arena_strndup(arena, text, bytes);
  return true;
}

static bool read_count(json_t *object, const char *name, uint32_t limit, uint32_t *out,
                       hone_status_t *status) {
  json_t *value = json_object_get(object, name);
  json_int_t number = json_integer_value(value);
  if (!json_is_integer(value) || number < 1 || number > limit)
    return hone_fail(status, HONE_INVALID, "\"%s\" must be an integer in 1..%u", name, limit);
  *out = (uint32_t)number;
  return true;
}

static bool read_time(json_t *object, const char *name, double least, double *out,
                      hone_status_t *status) {
  json_t *value = json_object_get(object, name);
  *out = json_number_value(value);
  if (json_is_number(value) && isfinite(*out) && *out >= least && *out <= longest_ns) return true;
  return hone_fail(status, HONE_INVALID, "\"%s\" must be a time in nanoseconds", name);
}

static bool read_evidence(json_t *object, hone_arena_t *arena, hone_evidence_t *evidence,
                          hone_status_t *status) {
  const char *verdict = NULL, *reason = NULL;
  if (!read_text(object, "verdict", arena, &verdict, status)) return false;
  if (!hone_verdict_find(verdict, &evidence->verdict))
    return hone_fail(status, HONE_INVALID, "there is no verdict '%.40s'", verdict);
  if (evidence->verdict == HONE_VERDICT_OK)
    return read_time(object, "median_ns", 1e-3, &evidence->median_ns, status) &&
           read_time(object, "mad_ns", 0, &evidence->mad_ns, status) &&
           read_count(object, "samples", SAMPLES_LIMIT, &evidence->samples, status);
  if (!read_text(object, "reason", arena, &reason, status)) return false;
  if (strlen(reason) >= HONE_REASON_BYTES)
    return hone_fail(status, HONE_INVALID, "\"reason\" is longer than %d bytes",
                     (int)HONE_REASON_BYTES - 1);
  memcpy(evidence->reason, reason, strlen(reason) + 1);
  return true;
}

static bool read_record(json_t *object, hone_arena_t *arena, hone_tuning_record_t *record,
                        hone_status_t *status) {
  const char *candidate = NULL;
  hone_tuning_key_t *key = &record->key;
  return read_text(object, "problem", arena, &key->problem, status) &&
         read_text(object, "isa", arena, &key->isa, status) &&
         read_count(object, "M", ROWS_LIMIT, &key->M, status) &&
         read_count(object, "threads", THREADS_LIMIT, &key->threads, status) &&
         read_text(object, "cpu", arena, &key->cpu, status) &&
         read_text(object, "compiler", arena, &key->compiler, status) &&
         read_text(object, "candidate", arena, &candidate, status) &&
         hone_candidate_parse(hone_slice(candidate), &record->candidate, status) &&
         read_evidence(object, arena, &record->evidence, status);
}

bool hone_tuning_record_parse(const char *line, size_t bytes, hone_arena_t *arena,
                              hone_tuning_record_t *out_record, hone_status_t *status) {
  json_error_t error;
  if (bytes > HONE_TUNING_LINE_LIMIT)
    return hone_fail(status, HONE_INVALID, "longer than %d bytes", (int)HONE_TUNING_LINE_LIMIT);
  json_t *object = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &error);
  if (!object) return hone_fail(status, HONE_INVALID, "no JSON: %s", error.text);
  *out_record = (hone_tuning_record_t){0};
  bool ok = json_is_object(object) || hone_fail(status, HONE_INVALID, "no JSON object");
  ok = ok && read_record(object, arena, out_record, status);
  json_decref(object);
  return ok;
}

bool hone_evidence_prevails(const hone_evidence_t *a, const hone_evidence_t *b) {
  if (a->verdict != b->verdict) {
    if (a->verdict == HONE_VERDICT_OK || b->verdict == HONE_VERDICT_OK)
      return b->verdict == HONE_VERDICT_OK;
    return a->verdict < b->verdict;
  }
  if (a->verdict != HONE_VERDICT_OK) return strcmp(a->reason, b->reason) < 0;
  if (a->samples != b->samples) return a->samples > b->samples;
  if (a->median_ns != b->median_ns) return a->median_ns < b->median_ns;
  return a->mad_ns < b->mad_ns;
}
