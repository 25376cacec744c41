// Safetensors headers: the grammar over a JSON cursor, then the layout (contiguous, in bounds,
// sized by the shapes).
#include "frontend/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/map.h"
#include "frontend/json_cursor.h"

static const hone_dtype_t dtypes[] = {
#define DTYPE(name, bits, storage) {#name, bits, storage},
#include "frontend/dtypes.def"
#undef DTYPE
};

typedef struct parser {
  hone_json_cursor_t cursor;
  hone_map_t *names;  // of tensors, to find duplicates
  HONE_LIST(hone_safetensors_entry_t) entries;
  bool has_metadata;
} parser_t;

static bool read_dtype(parser_t *p, hone_safetensors_entry_t *entry) {
  hone_slice_t text;
  hone_json_peek(&p->cursor);
  size_t place = p->cursor.at;
  if (!hone_json_read_string(&p->cursor, &text)) return false;
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
    if (!hone_slice_is(text, dtypes[i].name)) continue;
    entry->dtype = &dtypes[i];
    return true;
  }
  return hone_json_fail(&p->cursor, place, "unknown dtype; F32, F16 and BF16 can be read");
}

static bool read_shape(parser_t *p, hone_safetensors_entry_t *entry) {
  uint64_t shape[HONE_SAFETENSORS_RANK_LIMIT];
  uint32_t rank = 0;
  if (!hone_json_expect(&p->cursor, '[', "'[' of a shape")) return false;
  if (!hone_json_accept(&p->cursor, ']')) {
    do {
      if (rank == HONE_SAFETENSORS_RANK_LIMIT)
        return hone_json_fail(&p->cursor, p->cursor.at, "shape with more than %d dimensions",
                              HONE_SAFETENSORS_RANK_LIMIT);
      if (!hone_json_read_count(&p->cursor, &shape[rank++])) return false;
    } while (hone_json_accept(&p->cursor, ','));
    if (!hone_json_expect(&p->cursor, ']', "',' or ']' in a shape")) return false;
  }
  uint64_t *copy = hone_arena_array(p->cursor.arena, rank, sizeof *copy);
  if (rank) memcpy(copy, shape, rank * sizeof *copy);
  entry->shape = copy;
  entry->rank = rank;
  return true;
}

static bool read_offsets(parser_t *p, hone_safetensors_entry_t *entry) {
  return hone_json_expect(&p->cursor, '[', "'[' of data_offsets") &&
         hone_json_read_count(&p->cursor, &entry->begin) &&
         hone_json_expect(&p->cursor, ',', "',' between the two data_offsets") &&
         hone_json_read_count(&p->cursor, &entry->end) &&
         hone_json_expect(&p->cursor, ']', "']' after the two data_offsets");
}

// Bytes that dtype and shape ask for, against data_offsets.
static bool check_size(parser_t *p, const hone_safetensors_entry_t *entry, size_t place) {
  uint64_t bits = entry->dtype->bits;
  for (uint32_t i = 0; i < entry->rank; i++) {
    if (entry->shape[i] == 0) bits = 0;  // no elements, however large the other dimensions
  }
  for (uint32_t i = 0; bits && i < entry->rank; i++) {
    if (!hone_checked_mul(bits, entry->shape[i], &bits))
      return hone_json_fail(&p->cursor, place, "the product of its shape overflows");
  }
  if (bits % 8)
    return hone_json_fail(&p->cursor, place, "%" PRIu64 " elements of %s do not fill whole bytes",
                          bits / entry->dtype->bits, entry->dtype->name);
  if (entry->end < entry->begin)
    return hone_json_fail(&p->cursor, place, "data_offsets end before they begin");
  if (entry->end - entry->begin != bits / 8)
    return hone_json_fail(&p->cursor, place,
                          "data_offsets span %" PRIu64
                          " bytes, but its dtype and shape need %" PRIu64,
                          entry->end - entry->begin, bits / 8);
  return true;
}

static bool read_entry(parser_t *p, hone_safetensors_entry_t *entry, size_t place) {
  static const struct {
    const char *key;
    bool (*read)(parser_t *p, hone_safetensors_entry_t *entry);
  } fields[] = {{"dtype", read_dtype}, {"shape", read_shape}, {"data_offsets", read_offsets}};
  enum { FIELD_COUNT = sizeof fields / sizeof *fields };
  bool seen[FIELD_COUNT] = {false};
  if (!hone_json_expect(&p->cursor, '{', "'{' of a tensor's entry")) return false;
  do {
    hone_slice_t key;
    hone_json_peek(&p->cursor);
    size_t key_place = p->cursor.at, field = 0;
    if (!hone_json_read_string(&p->cursor, &key)) return false;
    while (field < FIELD_COUNT && !hone_slice_is(key, fields[field].key)) field++;
    if (field == FIELD_COUNT)
      return hone_json_fail(&p->cursor, key_place,
                            "unknown key; an entry has dtype, shape and data_offsets");
    if (seen[field])
      return hone_json_fail(&p->cursor, key_place, "duplicate key '%s'", fields[field].key);
    seen[field] = true;
    if (!hone_json_expect(&p->cursor, ':', "':'") || !fields[field].read(p, entry)) return false;
  } while (hone_json_accept(&p->cursor, ','));
  if (!hone_json_expect(&p->cursor, '}', "',' or '}' in a tensor's entry")) return false;
  for (size_t i = 0; i < FIELD_COUNT; i++) {
    if (!seen[i]) return hone_json_fail(&p->cursor, place, "missing key '%s'", fields[i].key);
  }
  return check_size(p, entry, place);
}

// {"KEY": "TEXT", ...}: checked, not kept.
static bool read_metadata(parser_t *p, size_t place) {
  if (p->has_metadata) return hone_json_fail(&p->cursor, place, "duplicate key '__metadata__'");
  p->has_metadata = true;
  p->cursor.subject = "__metadata__";
  p->cursor.name = (hone_slice_t){0};
  hone_map_t *keys = hone_map_create(p->cursor.arena);
  if (!hone_json_expect(&p->cursor, '{', "'{' (a map of strings)")) return false;
  if (hone_json_accept(&p->cursor, '}')) return true;
  do {
    hone_slice_t key, value;
    hone_json_peek(&p->cursor);
    size_t key_place = p->cursor.at;
    if (!hone_json_read_string(&p->cursor, &key) || !hone_json_expect(&p->cursor, ':', "':'") ||
        !hone_json_read_string(&p->cursor, &value))
      return false;
    if (!hone_map_insert(keys, key.data, key.bytes, p))
      return hone_json_fail(&p->cursor, key_place, "duplicate key");
  } while (hone_json_accept(&p->cursor, ','));
  return hone_json_expect(&p->cursor, '}', "',' or '}'");
}

// Names end up in messages and tables, so control characters are refused.
static bool check_name(parser_t *p, hone_slice_t name, size_t place) {
  if (name.bytes == 0) return hone_json_fail(&p->cursor, place, "tensor without a name");
  if (name.bytes > HONE_SAFETENSORS_NAME_LIMIT)
    return hone_json_fail(&p->cursor, place, "tensor name of %zu bytes; the limit is %d",
                          name.bytes, HONE_SAFETENSORS_NAME_LIMIT);
  return hone_json_is_printable(name) ||
         hone_json_fail(&p->cursor, place, "control character in a tensor name");
}

static bool read_member(parser_t *p) {
  hone_slice_t name;
  p->cursor.subject = NULL;
  hone_json_peek(&p->cursor);
  size_t place = p->cursor.at;
  if (!hone_json_read_string(&p->cursor, &name)) return false;
  if (hone_slice_is(name, "__metadata__"))
    return hone_json_expect(&p->cursor, ':', "':'") && read_metadata(p, place);
  if (!check_name(p, name, place)) return false;
  p->cursor.subject = "tensor";
  p->cursor.name = name;
  if (!hone_map_insert(p->names, name.data, name.bytes, p))
    return hone_json_fail(&p->cursor, place, "it is in the header twice");
  hone_safetensors_entry_t entry = {
      .name = hone_map_key(p->names, hone_map_count(p->names) - 1),
      .place = p->cursor.base + place,
  };
  if (!hone_json_expect(&p->cursor, ':', "':'") || !read_entry(p, &entry, place)) return false;
  hone_list_push(p->cursor.arena, &p->entries, entry);
  return true;
}

static bool read_header(parser_t *p) {
  if (!hone_json_expect(&p->cursor, '{', "'{'")) return false;
  if (!hone_json_accept(&p->cursor, '}')) {
    do {
      if (!read_member(p)) return false;
    } while (hone_json_accept(&p->cursor, ','));
    if (!hone_json_expect(&p->cursor, '}', "',' or '}' after an entry")) return false;
  }
  p->cursor.subject = NULL;
  hone_json_peek(&p->cursor);
  return p->cursor.at == p->cursor.bytes ||
         hone_json_fail(&p->cursor, p->cursor.at, "text after the header's end");
}

static int compare_entries(const void *a, const void *b) {
  const hone_safetensors_entry_t *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return x->place < y->place ? -1 : x->place > y->place;
}

// Offsets are relative to the data part here: they must tile it exactly.
static bool check_layout(parser_t *p, uint64_t data_bytes) {
  if (p->entries.count)
    qsort(p->entries.items, p->entries.count, sizeof *p->entries.items, compare_entries);
  uint64_t at = 0;
  for (size_t i = 0; i < p->entries.count; i++) {
    const hone_safetensors_entry_t *entry = &p->entries.items[i];
    if (entry->begin == at && entry->end <= data_bytes) {
      at = entry->end;
      continue;
    }
    size_t place = (size_t)(entry->place - p->cursor.base);
    p->cursor.subject = "tensor";
    p->cursor.name = hone_slice(entry->name);
    if (entry->begin < at)
      return hone_json_fail(&p->cursor, place, "its data overlaps that of tensor '%.100s'",
                            p->entries.items[i - 1].name);
    if (entry->begin > at)
      return hone_json_fail(&p->cursor, place, "%" PRIu64 " unused bytes before its data",
                            entry->begin - at);
    return hone_json_fail(&p->cursor, place,
                          "its data ends at %" PRIu64 ", but the file holds %" PRIu64
                          " bytes of data; the file is cut off or damaged",
                          entry->end, data_bytes);
  }
  return at == data_bytes ||
         hone_json_fail(&p->cursor, (size_t)(p->cursor.bytes + at),
                        "%" PRIu64 " bytes after the last tensor", data_bytes - at);
}

bool hone_safetensors_parse(const char *path, const uint8_t *data, size_t bytes,
                            hone_arena_t *arena, hone_safetensors_t *out, hone_status_t *status) {
  *out = (hone_safetensors_t){0};
  if (bytes < 8)
    return hone_fail(status, HONE_INVALID,
                     "%.300s: byte 0: %zu bytes are too few for a safetensors file", path, bytes);
  uint64_t length = 0;
  for (int i = 7; i >= 0; i--) length = length << 8 | data[i];
  if (length > HONE_SAFETENSORS_HEADER_LIMIT)
    return hone_fail(status, HONE_INVALID,
                     "%.300s: byte 0: header length %" PRIu64
                     " is above the limit of %d; this is not a safetensors file",
                     path, length, HONE_SAFETENSORS_HEADER_LIMIT);
  if (length > bytes - 8)
    return hone_fail(status, HONE_INVALID,
                     "%.300s: byte 0: header length %" PRIu64
                     ", but only %zu bytes follow; the file is cut off or damaged",
                     path, length, bytes - 8);
  parser_t p = {
      .cursor = {.path = path,
                 .text = (const char *)data + 8,
                 .bytes = (size_t)length,
                 .base = 8,
                 .arena = arena,
                 .status = status},
      .names = hone_map_create(arena),
  };
  if (length == 0 || data[8] != '{')
    return hone_json_fail(&p.cursor, 0, "the header does not start with '{'");
  size_t bad = hone_json_utf8_check(p.cursor.text, p.cursor.bytes);
  if (bad < p.cursor.bytes) return hone_json_fail(&p.cursor, bad, "the header is not valid UTF-8");
  if (!read_header(&p) || !check_layout(&p, bytes - 8 - length)) return false;
  for (size_t i = 0; i < p.entries.count; i++) {
    p.entries.items[i].begin += 8 + length;
    p.entries.items[i].end += 8 + length;
  }
  *out = (hone_safetensors_t){p.entries.items, p.entries.count, 8 + length};
  return true;
}
