// A cursor over JSON text; see the header.
#include "frontend/safetensors_cursor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool hone_cursor_fail(hone_cursor_t *c, const char *format, ...) {
  char message[256];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  return hone_fail(c->status, HONE_INVALID, "%s: byte %llu: %s", c->path,
                   (unsigned long long)(c->origin + c->at), message);
}

void hone_cursor_skip_blanks(hone_cursor_t *c) {
  while (c->at < c->bytes && (c->data[c->at] == ' ' || c->data[c->at] == '\t' ||
                              c->data[c->at] == '\n' || c->data[c->at] == '\r'))
    c->at++;
}

char hone_cursor_peek(hone_cursor_t *c) {
  hone_cursor_skip_blanks(c);
  return c->at < c->bytes ? c->data[c->at] : '\0';
}

bool hone_cursor_expect(hone_cursor_t *c, char wanted) {
  char got = hone_cursor_peek(c);
  if (c->at >= c->bytes) return hone_cursor_fail(c, "the header ends where '%c' is expected", wanted);
  if (got != wanted) return hone_cursor_fail(c, "'%c' expected", wanted);
  c->at++;
  return true;
}

bool hone_cursor_next(hone_cursor_t *c, char close, bool *out_more) {
  char got = hone_cursor_peek(c);
  if (c->at >= c->bytes) return hone_cursor_fail(c, "the header ends where ',' or '%c' is expected", close);
  if (got != ',' && got != close) return hone_cursor_fail(c, "',' or '%c' expected", close);
  c->at++;
  *out_more = got == ',';
  return true;
}

static bool read_hex(hone_cursor_t *c, uint32_t *out_code) {
  uint32_t code = 0;
  if (c->bytes - c->at < 4) return hone_cursor_fail(c, "the header ends inside \\u");
  for (int i = 0; i < 4; i++) {
    char digit = c->data[c->at++];
    uint32_t value = digit >= '0' && digit <= '9'   ? (uint32_t)(digit - '0')
                     : digit >= 'a' && digit <= 'f' ? (uint32_t)(digit - 'a' + 10)
                     : digit >= 'A' && digit <= 'F' ? (uint32_t)(digit - 'A' + 10)
                                                    : 16;
    if (value == 16) return hone_cursor_fail(c, "bad \\u escape");
    code = code * 16 + value;
  }
  *out_code = code;
  return true;
}

// \uXXXX, or a surrogate pair of them; c->at is behind "\u".
static bool read_unicode(hone_cursor_t *c, hone_buffer_t *out) {
  uint32_t code, low;
  char utf8[4];
  if (!read_hex(c, &code)) return false;
  if (code >= 0xD800 && code < 0xDC00) {
    if (c->bytes - c->at < 2 || c->data[c->at] != '\\' || c->data[c->at + 1] != 'u')
      return hone_cursor_fail(c, "half a surrogate pair");
    c->at += 2;
    if (!read_hex(c, &low)) return false;
    if (low < 0xDC00 || low > 0xDFFF) return hone_cursor_fail(c, "half a surrogate pair");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  } else if (code >= 0xDC00 && code <= 0xDFFF) {
    return hone_cursor_fail(c, "half a surrogate pair");
  }
  if (code == 0) return hone_cursor_fail(c, "a NUL character in a string");
  hone_buffer_add(out, utf8, hone_utf8_encode(code, utf8));
  return true;
}

static bool read_escape(hone_cursor_t *c, hone_buffer_t *out) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (c->at >= c->bytes) return hone_cursor_fail(c, "the header ends inside a string");
  char kind = c->data[c->at++];
  if (kind == 'u') return read_unicode(c, out);
  const char *found = kind ? strchr(from, kind) : NULL;
  if (!found) return hone_cursor_fail(c, "unknown escape in a string");
  hone_buffer_add(out, &to[found - from], 1);
  return true;
}

static bool read_characters(hone_cursor_t *c, hone_buffer_t *out) {
  for (;;) {
    if (c->at >= c->bytes) return hone_cursor_fail(c, "the header ends inside a string");
    unsigned char first = (unsigned char)c->data[c->at];
    uint32_t code;
    if (first == '"') {
      c->at++;
      return true;
    }
    if (first < 0x20) return hone_cursor_fail(c, "a control character in a string");
    if (first == '\\') {
      c->at++;
      if (!read_escape(c, out)) return false;
      continue;
    }
    size_t length = hone_utf8_decode(c->data + c->at, (size_t)(c->bytes - c->at), &code);
    if (!length) return hone_cursor_fail(c, "invalid UTF-8");
    hone_buffer_add(out, c->data + c->at, length);
    c->at += length;
  }
}

bool hone_cursor_string(hone_cursor_t *c, const char **out_text) {
  hone_buffer_t text = {0};
  if (!hone_cursor_expect(c, '"')) return false;
  bool ok = read_characters(c, &text);
  if (ok) *out_text = hone_arena_strndup(c->arena, hone_buffer_cstr(&text), text.bytes);
  hone_buffer_deinit(&text);
  return ok;
}

bool hone_cursor_u64(hone_cursor_t *c, uint64_t *out_value) {
  char first = hone_cursor_peek(c);
  uint64_t value = 0, start = c->at;
  if (first < '0' || first > '9') return hone_cursor_fail(c, "a whole number expected");
  for (; c->at < c->bytes && c->data[c->at] >= '0' && c->data[c->at] <= '9'; c->at++) {
    uint64_t digit = (uint64_t)(c->data[c->at] - '0');
    if (value > (UINT64_MAX - digit) / 10) return hone_cursor_fail(c, "a number beyond 64 bits");
    value = value * 10 + digit;
  }
  if (first == '0' && c->at > start + 1) return hone_cursor_fail(c, "a number with a leading zero");
  if (c->at < c->bytes && strchr(".eE", c->data[c->at]) && c->data[c->at])
    return hone_cursor_fail(c, "a whole number expected");
  *out_value = value;
  return true;
}
