// Text: borrowed slices, and a growable heap buffer that is always NUL-terminated.
// Thread rule: values; a buffer belongs to one thread.
#ifndef HONE_BASE_TEXT_H
#define HONE_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_slice {
  const char *data;  // not NUL-terminated
  size_t bytes;
} hone_slice_t;

#define HONE_SLICE(literal) ((hone_slice_t){(literal), sizeof(literal) - 1})
hone_slice_t hone_slice(const char *text);  // strlen; NULL gives an empty slice
bool hone_slice_equal(hone_slice_t a, hone_slice_t b);
bool hone_slice_is(hone_slice_t a, const char *text);
// Cuts *rest at the first `separator` and returns the part before it; at the end *rest becomes
// {NULL, 0}.
hone_slice_t hone_slice_cut(hone_slice_t *rest, char separator);
hone_slice_t hone_slice_trim(hone_slice_t a);  // blanks and tabs on both sides
// One to nine decimal digits and nothing else.
bool hone_slice_number(hone_slice_t text, uint32_t *out_value);

bool hone_text_starts(const char *text, const char *prefix);
bool hone_text_ends(const char *text, const char *suffix);
// Strict whole-string numbers: false on an empty string, a stray character, or overflow.
bool hone_text_parse_i64(const char *text, int64_t *out_value);
bool hone_text_parse_f64(const char *text, double *out_value);
// The candidate closest to `text` by edit distance, or NULL if none is close ("did you mean").
const char *hone_text_closest(const char *text, const char *const *candidates, size_t count);
// "1.5 MB", "96.0 MB", "1.23 GB" (powers of 1000); `out` holds at least 16 bytes.
const char *hone_text_bytes(uint64_t bytes, char out[16]);
// "3.51×10⁻⁵", "10³": a power of ten with `digits` (1..9) significant digits before it; a factor of
// 1 is left out, and so are zeros at its end when `is_short`. Empty unless finite; `out` holds at
// least 40 bytes.
const char *hone_text_power(double value, int digits, bool is_short, char out[40]);
// Length in bytes (1..4) of the UTF-8 sequence at `data`, 0 if it is invalid or cut off at `bytes`;
// code point in *out_code where valid. Overlong forms, surrogates and values above U+10FFFF are
// invalid.
size_t hone_utf8_decode(const char *data, size_t bytes, uint32_t *out_code);
size_t hone_utf8_encode(uint32_t code, char out[4]);  // bytes written

typedef struct hone_buffer {  // zero is the empty buffer
  char *data;  // heap; NUL-terminated once anything was added; may be NULL while empty
  size_t bytes, capacity;
} hone_buffer_t;

void hone_buffer_deinit(hone_buffer_t *buffer);
void hone_buffer_reserve(hone_buffer_t *buffer, size_t extra_bytes);
void hone_buffer_add(hone_buffer_t *buffer, const void *data, size_t bytes);
void hone_buffer_text(hone_buffer_t *buffer, const char *text);
void hone_buffer_format(hone_buffer_t *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void hone_buffer_align(hone_buffer_t *buffer, size_t alignment);  // appends zero bytes
const char *hone_buffer_cstr(const hone_buffer_t *buffer);        // "" while empty

#endif
