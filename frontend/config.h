// config.json and its kin: values by key, with errors that name file, key and what is expected.
// jansson reads the text (duplicate keys are refused); what the values mean is the families'
// business. Thread rule: one thread.
#ifndef HONE_FRONTEND_CONFIG_H
#define HONE_FRONTEND_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

enum { HONE_CONFIG_LIMIT_BYTES = 16 << 20 };

struct json_t;

typedef struct hone_config {  // a JSON object and where it came from; zero is "closed"
  char path[256];             // the end of the path, for messages
  const char *section;        // "" or "rope_scaling."
  struct json_t *object;
} hone_config_t;

// Parses text, or the file at `path`. HONE_INVALID with line and column for bad JSON;
// HONE_NOT_FOUND for no file. Close the result with hone_config_close; after a failure there is
// nothing to close.
HONE_MUST_CHECK bool hone_config_parse(const char *path, const char *text, size_t bytes,
                                       hone_config_t *out_config, hone_status_t *status);
HONE_MUST_CHECK bool hone_config_open(const char *path, hone_config_t *out_config,
                                      hone_status_t *status);
void hone_config_close(hone_config_t *config);

// A key whose value is null counts as absent everywhere, except in hone_config_is_null.
bool hone_config_has(const hone_config_t *config, const char *key);
bool hone_config_is_null(const hone_config_t *config, const char *key);  // there, and null

// Each reader fails (HONE_INVALID) on a value of another type or outside [low, high]; the `_or`
// forms give the fallback when the key is absent, the others fail then.
HONE_MUST_CHECK bool hone_config_int(const hone_config_t *config, const char *key, int64_t low,
                                     int64_t high, int64_t *out_value, hone_status_t *status);
HONE_MUST_CHECK bool hone_config_int_or(const hone_config_t *config, const char *key,
                                        int64_t fallback, int64_t low, int64_t high,
                                        int64_t *out_value, hone_status_t *status);
// Whole numbers are fine too. NaN and infinities do not exist in JSON.
HONE_MUST_CHECK bool hone_config_real(const hone_config_t *config, const char *key, double low,
                                      double high, double *out_value, hone_status_t *status);
HONE_MUST_CHECK bool hone_config_real_or(const hone_config_t *config, const char *key,
                                         double fallback, double low, double high,
                                         double *out_value, hone_status_t *status);
HONE_MUST_CHECK bool hone_config_bool_or(const hone_config_t *config, const char *key,
                                         bool fallback, bool *out_value, hone_status_t *status);
// The text lives as long as the config, and holds no control characters.
HONE_MUST_CHECK bool hone_config_text(const hone_config_t *config, const char *key,
                                      const char **out_text, hone_status_t *status);
HONE_MUST_CHECK bool hone_config_text_or(const hone_config_t *config, const char *key,
                                         const char *fallback, const char **out_text,
                                         hone_status_t *status);
// A whole number or a list of them (eos_token_id): appends those that values[0 .. *count) does not
// hold yet. Absent: appends nothing. HONE_UNSUPPORTED if more than `limit` would be held.
HONE_MUST_CHECK bool hone_config_int_set(const hone_config_t *config, const char *key, int64_t low,
                                         int64_t high, size_t limit, int64_t *values, size_t *count,
                                         hone_status_t *status);
// A nested object, borrowed: do not close it. `section` is its key with a dot ("rope_scaling.") and
// must outlive it. Absent: *out is closed and *out_found false.
HONE_MUST_CHECK bool hone_config_object(const hone_config_t *config, const char *key,
                                        const char *section, hone_config_t *out, bool *out_found,
                                        hone_status_t *status);

#endif
