// config.json: typed values with errors that name the key.
#include "frontend/config.h"

#include <jansson.h>

#include "base/file.h"

enum { CONFIG_LIMIT = 16 << 20 };

bool hone_config_parse(const char *path, const char *text, size_t bytes, hone_config_t *out_config, hone_status_t *status) {
  json_error_t error;
  json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
  if (!root) return hone_fail(status, HONE_INVALID, "%s:%d:%d: %s", path, error.line, error.column, error.text);
  if (!json_is_object(root)) {
    json_decref(root);
    return hone_fail(status, HONE_INVALID, "%s: an object is expected", path);
  }
  *out_config = (hone_config_t){path, "", root};
  return true;
}

bool hone_config_open(const char *path, hone_arena_t *arena, hone_config_t *out_config, hone_status_t *status) {
  char *text;
  size_t bytes;
  if (!hone_file_read(path, CONFIG_LIMIT, arena, &text, &bytes, status)) return false;
  return hone_config_parse(hone_arena_strdup(arena, path), text, bytes, out_config, status);
}

void hone_config_close(hone_config_t *config) {
  json_decref(config->object);
  config->object = NULL;
}

static json_t *get(const hone_config_t *config, const char *key) {
  json_t *value = json_object_get(config->object, key);
  return json_is_null(value) ? NULL : value;
}

static bool wrong(const hone_config_t *config, const char *key, const char *expected, hone_status_t *status) {
  return hone_fail(status, HONE_INVALID, "%s: key '%s%s': %s expected", config->path, config->scope, key, expected);
}

bool hone_config_has(const hone_config_t *config, const char *key) { return get(config, key) != NULL; }

bool hone_config_int(const hone_config_t *config, const char *key, int64_t low, int64_t high, int64_t *out_value,
                     hone_status_t *status) {
  if (!get(config, key)) return hone_fail(status, HONE_INVALID, "%s: key '%s%s' is missing", config->path, config->scope, key);
  return hone_config_int_or(config, key, 0, low, high, out_value, status);
}

bool hone_config_int_or(const hone_config_t *config, const char *key, int64_t fallback, int64_t low, int64_t high,
                        int64_t *out_value, hone_status_t *status) {
  json_t *value = get(config, key);
  *out_value = fallback;
  if (!value) return true;
  if (!json_is_integer(value)) return wrong(config, key, "a whole number", status);
  *out_value = json_integer_value(value);
  if (*out_value >= low && *out_value <= high) return true;
  return hone_fail(status, HONE_INVALID, "%s: key '%s%s' is %lld; it must be within %lld and %lld", config->path,
                   config->scope, key, (long long)*out_value, (long long)low, (long long)high);
}

bool hone_config_real_or(const hone_config_t *config, const char *key, double fallback, double low, double high,
                         double *out_value, hone_status_t *status) {
  json_t *value = get(config, key);
  *out_value = fallback;
  if (!value) return true;
  if (!json_is_number(value)) return wrong(config, key, "a number", status);
  *out_value = json_number_value(value);
  if (*out_value >= low && *out_value <= high) return true;
  return hone_fail(status, HONE_INVALID, "%s: key '%s%s' is %g; it must be within %g and %g", config->path, config->scope,
                   key, *out_value, low, high);
}

bool hone_config_bool_or(const hone_config_t *config, const char *key, bool fallback, bool *out_value,
                         hone_status_t *status) {
  json_t *value = get(config, key);
  *out_value = value ? json_is_true(value) : fallback;
  return !value || json_is_boolean(value) || wrong(config, key, "true or false", status);
}

bool hone_config_text_or(const hone_config_t *config, const char *key, const char *fallback, const char **out_text,
                         hone_status_t *status) {
  json_t *value = get(config, key);
  *out_text = value ? json_string_value(value) : fallback;
  return !value || json_is_string(value) || wrong(config, key, "a string", status);
}

bool hone_config_ints(const hone_config_t *config, const char *key, int64_t *values, size_t limit, size_t *out_count,
                      hone_status_t *status) {
  json_t *value = get(config, key);
  size_t count = json_is_array(value) ? json_array_size(value) : 1;
  *out_count = 0;
  if (!value) return true;
  if (count > limit)
    return hone_fail(status, HONE_UNSUPPORTED, "%s: key '%s%s' has %zu values; at most %zu are supported", config->path,
                     config->scope, key, count, limit);
  for (size_t i = 0; i < count; i++) {
    json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
    if (!json_is_integer(item)) return wrong(config, key, "a whole number or a list of them", status);
    values[i] = json_integer_value(item);
  }
  *out_count = count;
  return true;
}

bool hone_config_object(const hone_config_t *config, const char *key, const char *scope, hone_config_t *out,
                        bool *out_found, hone_status_t *status) {
  json_t *value = get(config, key);
  *out_found = value != NULL;
  *out = (hone_config_t){config->path, scope, value};
  return !value || json_is_object(value) || wrong(config, key, "an object", status);
}
