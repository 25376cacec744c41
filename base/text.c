// Text: slices, strict number parsing, UTF-8 and the growable buffer. It knows nothing of locales:
// hone never calls setlocale, and where a host program did, the decimal point is put right.
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

hone_slice_t hone_slice(const char *text) {
  return text ? (hone_slice_t){text, strlen(text)} : (hone_slice_t){0};
}

bool hone_slice_equal(hone_slice_t a, hone_slice_t b) {
  return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

bool hone_slice_is(hone_slice_t a, const char *text) {
  return hone_slice_equal(a, hone_slice(text));
}

hone_slice_t hone_slice_cut(hone_slice_t *rest, char separator) {
  hone_slice_t part = *rest;
  const char *found = rest->bytes ? memchr(rest->data, separator, rest->bytes) : NULL;
  if (!found) {
    *rest = (hone_slice_t){0};
    return part;
  }
  part.bytes = (size_t)(found - rest->data);
  rest->data += part.bytes + 1;
  rest->bytes -= part.bytes + 1;
  return part;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

hone_slice_t hone_slice_trim(hone_slice_t a) {
  while (a.bytes && is_blank(a.data[0])) a.data++, a.bytes--;
  while (a.bytes && is_blank(a.data[a.bytes - 1])) a.bytes--;
  return a;
}

bool hone_text_starts(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool hone_text_ends(const char *text, const char *suffix) {
  size_t text_bytes = strlen(text), suffix_bytes = strlen(suffix);
  return text_bytes >= suffix_bytes && strcmp(text + text_bytes - suffix_bytes, suffix) == 0;
}

bool hone_slice_number(hone_slice_t text, uint32_t *out_value) {
  uint32_t value = 0;
  if (text.bytes == 0 || text.bytes > 9) return false;
  for (size_t i = 0; i < text.bytes; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    value = value * 10 + (uint32_t)(text.data[i] - '0');
  }
  *out_value = value;
  return true;
}

bool hone_text_parse_i64(const char *text, int64_t *out_value) {
  size_t sign = text[0] == '-' || text[0] == '+';
  size_t digits = strspn(text + sign, "0123456789");
  if (digits == 0 || text[sign + digits] != '\0') return false;
  errno = 0;
  long long value = strtoll(text, NULL, 10);
  if (errno == ERANGE) return false;
  *out_value = value;
  return true;
}

// Length of [+-] digits [. digits] [e [+-] digits] at `text`, at least one digit in the mantissa; 0
// if it is none.
static size_t decimal_length(const char *text) {
  size_t at = text[0] == '-' || text[0] == '+';
  size_t whole = strspn(text + at, "0123456789"), fraction = 0;
  at += whole;
  if (text[at] == '.') {
    fraction = strspn(text + at + 1, "0123456789");
    at += 1 + fraction;
  }
  if (whole + fraction == 0) return 0;
  if (text[at] == 'e' || text[at] == 'E') {
    size_t sign = text[at + 1] == '-' || text[at + 1] == '+';
    size_t digits = strspn(text + at + 1 + sign, "0123456789");
    if (digits == 0) return 0;
    at += 1 + sign + digits;
  }
  return at;
}

bool hone_text_parse_f64(const char *text, double *out_value) {
  size_t length = decimal_length(text);
  if (length == 0 || text[length] != '\0') return false;
  char *end;
  double value = strtod(text, &end);
  if (*end == '.') {  // a host program's locale wants a comma
    char *copy = strdup(text);
    if (!copy) hone_out_of_memory();
    copy[end - text] = ',';
    value = strtod(copy, &end);
    bool whole = *end == '\0';
    free(copy);
    if (!whole) return false;
  }
  if (isinf(value)) return false;
  *out_value = value;
  return true;
}

enum { CLOSEST_BYTES = 63 };  // longer words get no hint

// Optimal string alignment distance (insert, delete, replace, swap neighbours), case ignored.
static size_t edit_distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
  size_t rows[3][CLOSEST_BYTES + 1];
  size_t *before = rows[0], *last = rows[1], *row = rows[2];
  for (size_t j = 0; j <= b_bytes; j++) last[j] = j;
  for (size_t i = 1; i <= a_bytes; i++) {
    row[0] = i;
    for (size_t j = 1; j <= b_bytes; j++) {
      int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
      size_t best = last[j - 1] + (ca != cb);
      if (last[j] + 1 < best) best = last[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
          cb == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < best)
        best = before[j - 2] + 1;
      row[j] = best;
    }
    size_t *spare = before;
    before = last, last = row, row = spare;
  }
  return last[b_bytes];
}

const char *hone_text_closest(const char *text, const char *const *candidates, size_t count) {
  size_t bytes = strlen(text);
  if (bytes == 0 || bytes > CLOSEST_BYTES) return NULL;
  const char *best = NULL;
  size_t best_distance = 1 + bytes / 4;  // more is no hint
  for (size_t i = 0; i < count; i++) {
    size_t candidate_bytes = strlen(candidates[i]);
    if (candidate_bytes == 0 || candidate_bytes > CLOSEST_BYTES) continue;
    size_t distance = edit_distance(text, bytes, candidates[i], candidate_bytes);
    bool allowed =
        distance < bytes && (best ? distance < best_distance : distance <= best_distance);
    if (allowed) best = candidates[i], best_distance = distance;
  }
  for (size_t i = 0; !best && bytes >= 3 && i < count;
       i++)  // a word cut short: --verb for --verbose
    if (hone_text_starts(candidates[i], text)) best = candidates[i];
  return best;
}

const char *hone_text_bytes(uint64_t bytes, char out[16]) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) {
    snprintf(out, 16, "%u B", (unsigned)bytes);
    return out;
  }
  double value = (double)bytes;
  size_t unit = 0;
  for (int digits; (digits = unit >= 3 ? 2 : 1, value >= (digits == 2 ? 999.995 : 999.95)); unit++)
    value /= 1000;
  snprintf(out, 16, "%.*f %s", unit >= 3 ? 2 : 1, value, units[unit]);
  return out;
}

size_t hone_utf8_decode(const char *data, size_t bytes, uint32_t *out_code) {
  if (bytes == 0) return 0;
  const unsigned char *s = (const unsigned char *)data;
  if (s[0] < 0x80) {
    *out_code = s[0];
    return 1;
  }
  size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
  if (s[0] < 0xc2 || s[0] > 0xf4 || length > bytes) return 0;
  uint32_t code = s[0] & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (s[i] & 0x3fu);
  }
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  *out_code = code;
  return length;
}

size_t hone_utf8_encode(uint32_t code, char out[4]) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = length; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
  out[0] = (char)(lead[length] | code);
  return length;
}

void hone_buffer_deinit(hone_buffer_t *buffer) {
  free(buffer->data);
  *buffer = (hone_buffer_t){0};
}

void hone_buffer_reserve(hone_buffer_t *buffer, size_t extra_bytes) {
  size_t wanted;  // one more for the NUL
  if (__builtin_add_overflow(buffer->bytes, extra_bytes, &wanted) || wanted >= PTRDIFF_MAX)
    hone_out_of_memory();
  if (wanted + 1 <= buffer->capacity) return;
  size_t capacity = buffer->capacity ? buffer->capacity : 64;
  while (capacity < wanted + 1) capacity = capacity > PTRDIFF_MAX / 2 ? wanted + 1 : capacity * 2;
  char *data = realloc(buffer->data, capacity);
  if (!data) hone_out_of_memory();
  data[buffer->bytes] = '\0';
  buffer->data = data;
  buffer->capacity = capacity;
}

void hone_buffer_add(hone_buffer_t *buffer, const void *data, size_t bytes) {
  hone_buffer_reserve(buffer, bytes);
  if (bytes) memcpy(buffer->data + buffer->bytes, data, bytes);
  buffer->bytes += bytes;
  buffer->data[buffer->bytes] = '\0';
}

void hone_buffer_text(hone_buffer_t *buffer, const char *text) {
  hone_buffer_add(buffer, text, strlen(text));
}

void hone_buffer_format(hone_buffer_t *buffer, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (length > 0) {
    hone_buffer_reserve(buffer, (size_t)length);
    vsnprintf(buffer->data + buffer->bytes, (size_t)length + 1, format, again);
    buffer->bytes += (size_t)length;
  }
  va_end(again);
}

void hone_buffer_align(hone_buffer_t *buffer, size_t alignment) {
  size_t extra = (alignment - buffer->bytes % alignment) % alignment;
  hone_buffer_reserve(buffer, extra);
  memset(buffer->data + buffer->bytes, 0, extra + 1);
  buffer->bytes += extra;
}

const char *hone_buffer_cstr(const hone_buffer_t *buffer) {
  return buffer->data ? buffer->data : "";
}

const char *hone_text_power(double value, int digits, bool is_short, char out[40]) {
  static const char *const raised[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  char plain[32];
  out[0] = '\0';
  if (!isfinite(value)) return out;
  snprintf(plain, sizeof plain, "%.*e", digits - 1, value);
  char *factor = plain, *exponent = strchr(plain, 'e');
  *exponent++ = '\0';
  bool is_negative = *factor == '-';
  if (is_negative) factor++;
  if (is_short && strchr(factor, '.')) {
    char *last = factor + strlen(factor) - 1;
    while (*last == '0') *last-- = '\0';
    if (*last == '.') *last = '\0';
  }
  bool is_one = is_short && !strcmp(factor, "1");
  size_t used = (size_t)snprintf(out, 40, "%s%s%s10", is_negative ? "−" : "", is_one ? "" : factor,
                                 is_one ? "" : "×");
  int power = atoi(exponent);
  if (power < 0) used += (size_t)snprintf(out + used, 40 - used, "⁻");
  snprintf(plain, sizeof plain, "%d", abs(power));
  for (const char *c = plain; *c; c++)
    used += (size_t)snprintf(out + used, 40 - used, "%s", raised[*c - '0']);
  return out;
}
