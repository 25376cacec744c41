// JSON writer: deterministic order (as written), shortest decimal form that reads back to the same
// double, strings escaped and invalid UTF-8 replaced by U+FFFD. Two-space indentation, no new line
// at the end. It writes only; readers of configuration use jansson, safetensors headers have their
// own streaming parser. Thread rule: one thread.
#ifndef HONE_BASE_JSON_H
#define HONE_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

typedef struct hone_json {
  hone_buffer_t *out;
  int depth;
  bool compact;      // one line, no spaces
  bool needs_comma;  // private
} hone_json_t;

// `key` is NULL inside arrays and for the outermost value. A NaN or infinity is written as null.
void hone_json_object_begin(hone_json_t *json, const char *key);
void hone_json_object_end(hone_json_t *json);
void hone_json_array_begin(hone_json_t *json, const char *key);
void hone_json_array_end(hone_json_t *json);
void hone_json_string(hone_json_t *json, const char *key,
                      const char *value);  // NULL value writes null
void hone_json_slice(hone_json_t *json, const char *key, hone_slice_t value);
void hone_json_i64(hone_json_t *json, const char *key, int64_t value);
void hone_json_u64(hone_json_t *json, const char *key, uint64_t value);
void hone_json_f64(hone_json_t *json, const char *key, double value);
// At most `digits` significant digits (1..17), for measurements whose last bits mean nothing.
void hone_json_f64_digits(hone_json_t *json, const char *key, double value, int digits);
void hone_json_bool(hone_json_t *json, const char *key, bool value);

#endif
