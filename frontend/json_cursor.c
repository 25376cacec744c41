// The JSON cursor: white space, punctuation, strings and whole numbers. Other values have no place
// in the documents it reads.
#include "frontend/json_cursor.h"

#include <stdio.h>
#include <string.h>

bool hone_json_fail(hone_json_cursor_t *c, size_t at, const char *format, ...) {
  char message[512];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  char subject[160] = "";
  int shown = c->name.bytes < 100 ? (int)c->name.bytes : 100;
  if (c->subject && shown)
    snprintf(subject, sizeof subject, "%s '%.*s%s': ", c->subject, shown, c->name.data,
             c->name.bytes > 100 ? "..." : "");
  else if (c->subject)
    snprintf(subject, sizeof subject, "%s: ", c->subject);
  return hone_fail(c->status, HONE_INVALID, "%.300s: byte %llu: %s%s", c->path,
                   (unsigned long long)(c->base + at), subject, message);
}

char hone_json_peek(hone_json_cursor_t *c) {
  while (c->at < c->bytes) {
    char byte = c->text[c->at];
    if (byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t') return byte;
    c->at++;
  }
  return '\0';
}

bool hone_json_accept(hone_json_cursor_t *c, char byte) {
  if (hone_json_peek(c) != byte || c->at == c->bytes) return false;
  c->at++;
  return true;
}

bool hone_json_expect(hone_json_cursor_t *c, char byte, const char *what) {
  if (hone_json_accept(c, byte)) return true;
  if (c->at == c->bytes)
    return hone_json_fail(c, c->at, "the header ends where %s is expected", what);
  return hone_json_fail(c, c->at, "expected %s", what);
}

static bool read_hex4(hone_json_cursor_t *c, uint32_t *out) {
  *out = 0;
  for (int i = 0; i < 4; i++, c->at++) {
    if (c->at == c->bytes) return false;
    char digit = c->text[c->at], lower = (char)(digit | 0x20);
    if (digit >= '0' && digit <= '9') {
      *out = *out * 16 + (uint32_t)(digit - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      *out = *out * 16 + (uint32_t)(lower - 'a' + 10);
    } else {
      return false;
    }
  }
  return true;
}

// The code point after "\u", the second half of a surrogate pair included.
static bool read_unicode_escape(hone_json_cursor_t *c, uint32_t *out) {
  if (!read_hex4(c, out) || (*out >= 0xDC00 && *out < 0xE000)) return false;
  if (*out < 0xD800 || *out >= 0xDC00) return true;
  uint32_t low;
  if (c->bytes - c->at < 2 || c->text[c->at] != '\\' || c->text[c->at + 1] != 'u') return false;
  c->at += 2;
  if (!read_hex4(c, &low) || low < 0xDC00 || low >= 0xE000) return false;
  *out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
  return true;
}

// One escape, the cursor behind its backslash, to UTF-8 at `out`. Returns its length, 0 if it is
// bad. It never writes more than it read.
static size_t read_escape(hone_json_cursor_t *c, char *out) {
  static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  if (c->at == c->bytes) return 0;
  char letter = c->text[c->at++];
  if (letter == 'u') {
    uint32_t code;
    char utf8[4];
    if (!read_unicode_escape(c, &code)) return 0;
    size_t length = hone_utf8_encode(code, utf8);
    memcpy(out, utf8, length);
    return length;
  }
  const char *found = letter ? strchr(letters, letter) : NULL;
  if (!found) return 0;
  *out = values[found - letters];
  return 1;
}

bool hone_json_read_string(hone_json_cursor_t *c, hone_slice_t *out) {
  if (!hone_json_expect(c, '"', "a string")) return false;
  size_t begin = c->at, escapes = 0, end = begin;
  for (; end < c->bytes && c->text[end] != '"'; end++) {
    if ((unsigned char)c->text[end] < 0x20)
      return hone_json_fail(c, end, "control character in a string");
    if (c->text[end] != '\\') continue;
    escapes++;
    end++;
  }
  if (end >= c->bytes) return hone_json_fail(c, begin - 1, "string without an end");
  if (!escapes) {
    *out = (hone_slice_t){c->text + begin, end - begin};
    c->at = end + 1;
    return true;
  }
  char *text = hone_arena_alloc(c->arena, end - begin);  // decoding never lengthens
  size_t length = 0;
  while (c->at < end) {
    char byte = c->text[c->at++];
    if (byte != '\\') {
      text[length++] = byte;
      continue;
    }
    size_t place = c->at - 1, added = read_escape(c, text + length);
    if (!added || c->at > end) return hone_json_fail(c, place, "bad escape in a string");
    length += added;
  }
  c->at = end + 1;
  *out = (hone_slice_t){text, length};
  return true;
}

bool hone_json_read_count(hone_json_cursor_t *c, uint64_t *out) {
  char first = hone_json_peek(c);
  size_t begin = c->at;
  uint64_t value = 0;
  for (; c->at < c->bytes && c->text[c->at] >= '0' && c->text[c->at] <= '9'; c->at++) {
    if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
        __builtin_add_overflow(value, (uint64_t)(c->text[c->at] - '0'), &value) ||
        value > INT64_MAX)
      return hone_json_fail(c, begin, "number above 2^63 - 1");
  }
  if (c->at == begin) return hone_json_fail(c, begin, "expected a whole number from 0");
  if (first == '0' && c->at - begin > 1)
    return hone_json_fail(c, begin, "number with a leading zero");
  if (c->at < c->bytes && strchr(".eE", c->text[c->at]) && c->text[c->at])
    return hone_json_fail(c, begin, "expected a whole number");
  *out = value;
  return true;
}

size_t hone_json_utf8_check(const char *text, size_t bytes) {
  size_t at = 0;
  while (at < bytes) {
    uint64_t word;
    if (bytes - at >= sizeof word) {  // eight ASCII bytes at a time
      memcpy(&word, text + at, sizeof word);
      if (!(word & 0x8080808080808080u)) {
        at += sizeof word;
        continue;
      }
    }
    uint32_t code;
    size_t length = hone_utf8_decode(text + at, bytes - at, &code);
    if (!length) return at;
    at += length;
  }
  return bytes;
}

bool hone_json_is_printable(hone_slice_t text) {
  for (size_t at = 0; at < text.bytes;) {
    if (text.data[at] >= 0x20 && text.data[at] < 0x7F) {
      at++;
      continue;
    }
    uint32_t code;
    size_t length = hone_utf8_decode(text.data + at, text.bytes - at, &code);
    if (!length || code < 0xA0) return false;
    at += length;
  }
  return true;
}
