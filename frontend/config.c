// Typed access to a JSON object of jansson's. Every error names file, key and what is expected.
#include "frontend/config.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/file.h"
#include "frontend/json_cursor.h"

// ---- life cycle

static void set_path(hone_config_t *config, const char *path) {
  size_t length = strlen(path);
  const char *from = length < sizeof config->path ? path : path + length - sizeof config->path + 1;
  memcpy(config->path, from, strlen(from) + 1);
}

bool hone_config_parse(const char *path, const char *text, size_t bytes, hone_config_t *out_config,
                       hone_status_t *status) {
  *out_config = (hone_config_t){.section = ""};
  set_path(out_config, path);
  json_error_t error;
  json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
  if (!root) {
    for (char *at = error.text; *at; at++) {  // it quotes the file
      if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7F) *at = '?';
    }
    return hone_fail(status, HONE_INVALID, "%s: line %d, column %d: %s", out_config->path,
                     error.line, error.column, error.text);
  }
  if (!json_is_object(root)) {
    json_decref(root);
    return hone_fail(status, HONE_INVALID, "%s: line 1, column 1: expected an object",
                     out_config->path);
  }
  out_config->object = root;
  return true;
}

bool hone_config_open(const char *path, hone_config_t *out_config, hone_status_t *status) {
  *out_config = (hone_config_t){.section = ""};
  hone_arena_t *arena = hone_arena_create();
  char *text;
  size_t bytes;
  bool ok = hone_file_read(path, HONE_CONFIG_LIMIT_BYTES, arena, &text, &bytes, status) &&
            hone_config_parse(path, text, bytes, out_config, status);
  hone_arena_destroy(arena);
  return ok;
}

void hone_config_close(hone_config_t *config) {
  json_decref(config->object);
  *config = (hone_config_t){.section = ""};
}

// ---- values

static json_t *get(const hone_config_t *config, const char *key) {
  json_t *value = json_object_get(config->object, key);
  return json_is_null(value) ? NULL : value;
}

bool hone_config_has(const hone_config_t *config, const char *key) {
  return get(config, key) != NULL;
}

bool hone_config_is_null(const hone_config_t *config, const char *key) {
  return json_is_null(json_object_get(config->object, key));
}

static const char *type_text(const json_t *value) {
  static const char *const names[] = {
      [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",
      [JSON_STRING] = "a string",  [JSON_INTEGER] = "a whole number",
      [JSON_REAL] = "a fraction",  [JSON_TRUE] = "true",
      [JSON_FALSE] = "false",      [JSON_NULL] = "null",
  };
  return names[json_typeof(value)];
}

static bool fail_type(const hone_config_t *config, const char *key, const char *expected,
                      const json_t *value, hone_status_t *status) {
  return hone_fail(status, HONE_INVALID, "%s: key '%s%s': expected %s, found %s", config->path,
                   config->section, key, expected, type_text(value));
}

static bool fail_missing(const hone_config_t *config, const char *key, const char *expected,
                         hone_status_t *status) {
  return hone_fail(status, HONE_INVALID, "%s: key '%s%s' is missing; expected %s", config->path,
                   config->section, key, expected);
}

static bool read_int(const hone_config_t *config, const char *key, const json_t *value, int64_t low,
                     int64_t high, int64_t *out_value, hone_status_t *status) {
  if (!json_is_integer(value)) return fail_type(config, key, "a whole number", value, status);
  *out_value = json_integer_value(value);
  if (*out_value >= low && *out_value <= high) return true;
  return hone_fail(status, HONE_INVALID,
                   "%s: key '%s%s': %" PRId64 " is outside %" PRId64 " to %" PRId64, config->path,
                   config->section, key, *out_value, low, high);
}

bool hone_config_int(const hone_config_t *config, const char *key, int64_t low, int64_t high,
                     int64_t *out_value, hone_status_t *status) {
  json_t *value = get(config, key);
  if (!value) return fail_missing(config, key, "a whole number", status);
  return read_int(config, key, value, low, high, out_value, status);
}

bool hone_config_int_or(const hone_config_t *config, const char *key, int64_t fallback, int64_t low,
                        int64_t high, int64_t *out_value, hone_status_t *status) {
  json_t *value = get(config, key);
  *out_value = fallback;
  return !value || read_int(config, key, value, low, high, out_value, status);
}

static bool read_real(const hone_config_t *config, const char *key, const json_t *value, double low,
                      double high, double *out_value, hone_status_t *status) {
  if (!json_is_number(value)) return fail_type(config, key, "a number", value, status);
  *out_value = json_number_value(value);
  if (*out_value >= low && *out_value <= high) return true;
  return hone_fail(status, HONE_INVALID, "%s: key '%s%s': %g is outside %g to %g", config->path,
                   config->section, key, *out_value, low, high);
}

bool hone_config_real(const hone_config_t *config, const char *key, double low, double high,
                      double *out_value, hone_status_t *status) {
  json_t *value = get(config, key);
  if (!value) return fail_missing(config, key, "a number", status);
  return read_real(config, key, value, low, high, out_value, status);
}

bool hone_config_real_or(const hone_config_t *config, const char *key, double fallback, double low,
                         double high, double *out_value, hone_status_t *status) {
  json_t *value = get(config, key);
  *out_value = fallback;
  return !value || read_real(config, key, value, low, high, out_value, status);
}

bool hone_config_bool_or(const hone_config_t *config, const char *key, bool fallback,
                         bool *out_value, hone_status_t *status) {
  json_t *value = get(config, key);
  *out_value = value ? json_is_true(value) : fallback;
  if (!value || json_is_boolean(value)) return true;
  return fail_type(config, key, "true or false", value, status);
}

bool hone_config_text(const hone_config_t *config, const char *key, const char **out_text,
                      hone_status_t *status) {
  if (!get(config, key)) return fail_missing(config, key, "a string", status);
  return hone_config_text_or(config, key, NULL, out_text, status);
}

bool hone_config_text_or(const hone_config_t *config, const char *key, const char *fallback,
                         const char **out_text, hone_status_t *status) {
  json_t *value = get(config, key);
  *out_text = value ? json_string_value(value) : fallback;
  if (!value) return true;
  if (!json_is_string(value)) return fail_type(config, key, "a string", value, status);
  if (hone_json_is_printable(hone_slice(*out_text))) return true;
  return hone_fail(status, HONE_INVALID, "%s: key '%s%s': control character in a string",
                   config->path, config->section, key);
}

bool hone_config_int_set(const hone_config_t *config, const char *key, int64_t low, int64_t high,
                         size_t limit, int64_t *values, size_t *count, hone_status_t *status) {
  json_t *value = get(config, key);
  if (!value) return true;
  if (!json_is_integer(value) && !json_is_array(value))
    return fail_type(config, key, "a whole number or a list of them", value, status);
  size_t given = json_is_array(value) ? json_array_size(value) : 1;
  for (size_t i = 0; i < given; i++) {
    int64_t item;
    const json_t *element = json_is_array(value) ? json_array_get(value, i) : value;
    if (!read_int(config, key, element, low, high, &item, status)) return false;
    size_t at = 0;
    while (at < *count && values[at] != item) at++;
    if (at < *count) continue;
    if (at == limit)
      return hone_fail(status, HONE_UNSUPPORTED, "%s: key '%s%s': more than %zu values",
                       config->path, config->section, key, limit);
    values[(*count)++] = item;
  }
  return true;
}

bool hone_config_object(const hone_config_t *config, const char *key, const char *section,
                        hone_config_t *out, bool *out_found, hone_status_t *status) {
  json_t *value = get(config, key);
  *out_found = value != NULL;
  *out = (hone_config_t){.section = section, .object = value};
  set_path(out, config->path);
  return !value || json_is_object(value) || fail_type(config, key, "an object", value, status);
}
