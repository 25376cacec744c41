// JSON writer. It does not check that the caller balances begin and end, nor that keys are unique.
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_quoted(hone_buffer_t *out, hone_slice_t text) {
  hone_buffer_text(out, "\"");
  for (size_t at = 0; at < text.bytes;) {
    unsigned char c = (unsigned char)text.data[at];
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *escape = c ? strchr(plain, c) : NULL;
    uint32_t code;
    size_t length = hone_utf8_decode(text.data + at, text.bytes - at, &code);
    if (escape) {
      hone_buffer_format(out, "\\%c", letters[escape - plain]);
    } else if (c < 0x20 || c == 0x7f) {
      hone_buffer_format(out, "\\u%04x", c);
    } else if (length == 0) {
      hone_buffer_text(out, "\xef\xbf\xbd");  // U+FFFD, one for every invalid byte
    } else {
      hone_buffer_add(out, text.data + at, length);
    }
    at += length ? length : 1;
  }
  hone_buffer_text(out, "\"");
}

static void new_line(hone_json_t *json) {
  if (json->compact) return;
  hone_buffer_text(json->out, "\n");
  for (int i = 0; i < json->depth; i++) hone_buffer_text(json->out, "  ");
}

// What comes before a value: comma, new line, key.
static void begin_value(hone_json_t *json, const char *key) {
  if (json->depth > 0) {
    if (json->needs_comma) hone_buffer_text(json->out, ",");
    new_line(json);
  }
  if (key) {
    add_quoted(json->out, hone_slice(key));
    hone_buffer_text(json->out, json->compact ? ":" : ": ");
  }
  json->needs_comma = true;
}

static void begin(hone_json_t *json, const char *key, const char *bracket) {
  begin_value(json, key);
  hone_buffer_text(json->out, bracket);
  json->depth++;
  json->needs_comma = false;
}

static void end(hone_json_t *json, const char *bracket) {
  bool is_empty = !json->needs_comma;
  json->depth--;
  if (!is_empty) new_line(json);
  hone_buffer_text(json->out, bracket);
  json->needs_comma = true;
}

void hone_json_object_begin(hone_json_t *json, const char *key) { begin(json, key, "{"); }
void hone_json_object_end(hone_json_t *json) { end(json, "}"); }
void hone_json_array_begin(hone_json_t *json, const char *key) { begin(json, key, "["); }
void hone_json_array_end(hone_json_t *json) { end(json, "]"); }

static void add_raw(hone_json_t *json, const char *key, const char *text) {
  begin_value(json, key);
  hone_buffer_text(json->out, text);
}

void hone_json_slice(hone_json_t *json, const char *key, hone_slice_t value) {
  begin_value(json, key);
  add_quoted(json->out, value);
}

void hone_json_string(hone_json_t *json, const char *key, const char *value) {
  if (value) {
    hone_json_slice(json, key, hone_slice(value));
  } else {
    add_raw(json, key, "null");
  }
}

void hone_json_i64(hone_json_t *json, const char *key, int64_t value) {
  char text[32];
  snprintf(text, sizeof text, "%" PRId64, value);
  add_raw(json, key, text);
}

void hone_json_u64(hone_json_t *json, const char *key, uint64_t value) {
  char text[32];
  snprintf(text, sizeof text, "%" PRIu64, value);
  add_raw(json, key, text);
}

static void add_number(hone_json_t *json, const char *key, double value, int fewest, int most) {
  char text[40] = "null";
  if (isfinite(value)) {
    for (int digits = fewest; digits <= most; digits++) {
      snprintf(text, sizeof text, "%.*g", digits, value);
      if (strtod(text, NULL) == value) break;
    }
    char *comma = strchr(text, ',');  // a host program's locale
    if (comma) *comma = '.';
  }
  add_raw(json, key, text);
}

void hone_json_f64(hone_json_t *json, const char *key, double value) {
  add_number(json, key, value, 15, 17);  // 17 always suffice
}

void hone_json_f64_digits(hone_json_t *json, const char *key, double value, int digits) {
  add_number(json, key, value, digits, digits);
}

void hone_json_bool(hone_json_t *json, const char *key, bool value) {
  add_raw(json, key, value ? "true" : "false");
}
