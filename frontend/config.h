// config.json: values by key, with errors that name file, key and what is expected. jansson reads it; duplicate keys are
// refused. Thread rule: one thread.
#ifndef HONE_FRONTEND_CONFIG_H
#define HONE_FRONTEND_CONFIG_H

#include "base/arena.h"
#include "hone/status.h"

struct json_t;

typedef struct hone_config {  // a JSON object and where it came from
  const char *path;
  const char *scope;  // "" or "rope_scaling."
  struct json_t *object;
} hone_config_t;

// `text` of `bytes` bytes; the arena keeps the path. Close with hone_config_close.
HONE_MUST_CHECK bool hone_config_parse(const char *path, const char *text, size_t bytes, hone_config_t *out_config,
                                       hone_status_t *status);
HONE_MUST_CHECK bool hone_config_open(const char *path, hone_arena_t *arena, hone_config_t *out_config, hone_status_t *status);
void hone_config_close(hone_config_t *config);

// Absent and null are the same. Each reader fails on another type or a value outside [low, high].
bool hone_config_has(const hone_config_t *config, const char *key);
HONE_MUST_CHECK bool hone_config_int(const hone_config_t *config, const char *key, int64_t low, int64_t high,
                                     int64_t *out_value, hone_status_t *status);  // required
HONE_MUST_CHECK bool hone_config_int_or(const hone_config_t *config, const char *key, int64_t fallback, int64_t low,
                                        int64_t high, int64_t *out_value, hone_status_t *status);
HONE_MUST_CHECK bool hone_config_real_or(const hone_config_t *config, const char *key, double fallback, double low,
                                         double high, double *out_value, hone_status_t *status);
HONE_MUST_CHECK bool hone_config_bool_or(const hone_config_t *config, const char *key, bool fallback, bool *out_value,
                                         hone_status_t *status);
HONE_MUST_CHECK bool hone_config_text_or(const hone_config_t *config, const char *key, const char *fallback,
                                         const char **out_text, hone_status_t *status);  // lives as long as the config
// An integer or a list of integers.
HONE_MUST_CHECK bool hone_config_ints(const hone_config_t *config, const char *key, int64_t *values, size_t limit,
                                      size_t *out_count, hone_status_t *status);
// A nested object, borrowed; false (without failing) if absent. `out` must not be closed.
HONE_MUST_CHECK bool hone_config_object(const hone_config_t *config, const char *key, const char *scope, hone_config_t *out,
                                        bool *out_found, hone_status_t *status);

#endif
