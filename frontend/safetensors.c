// The header of a safetensors file, parsed as a stream and checked; see the header file for the rules.
#include "frontend/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "frontend/safetensors_cursor.h"

enum { HEADER_LIMIT = 100000000 };

static const hone_dtype_t dtypes[] = {
#define DTYPE(name, bits, storage) {#name, bits, storage},
#include "frontend/dtypes.def"
#undef DTYPE
};

static const hone_dtype_t *find_dtype(const char *name) {
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
    if (!strcmp(dtypes[i].name, name)) return &dtypes[i];
  return NULL;
}

static bool read_shape(hone_cursor_t *c, hone_safetensors_entry_t *tensor) {
  bool more = true;
  tensor->rank = 0;
  if (!hone_cursor_expect(c, '[')) return false;
  if (hone_cursor_peek(c) == ']') return hone_cursor_expect(c, ']');
  while (more) {
    if (tensor->rank == HONE_SAFETENSORS_RANK_LIMIT)
      return hone_cursor_fail(c, "%.80s: more than %d dimensions", tensor->name, HONE_SAFETENSORS_RANK_LIMIT);
    if (!hone_cursor_u64(c, &tensor->shape[tensor->rank++]) || !hone_cursor_next(c, ']', &more)) return false;
  }
  return true;
}

static bool read_offsets(hone_cursor_t *c, hone_safetensors_entry_t *tensor) {
  return hone_cursor_expect(c, '[') && hone_cursor_u64(c, &tensor->begin) && hone_cursor_expect(c, ',') &&
         hone_cursor_u64(c, &tensor->end) && hone_cursor_expect(c, ']');
}

static bool read_field(hone_cursor_t *c, hone_safetensors_entry_t *tensor, const char *key, unsigned *seen) {
  static const char *const keys[] = {"dtype", "shape", "data_offsets"};
  for (unsigned i = 0; i < 3; i++) {
    if (strcmp(key, keys[i])) continue;
    if (*seen & (1u << i)) return hone_cursor_fail(c, "%.80s: key '%s' twice", tensor->name, key);
    *seen |= 1u << i;
    if (i == 1) return read_shape(c, tensor);
    if (i == 2) return read_offsets(c, tensor);
    const char *dtype;
    if (!hone_cursor_string(c, &dtype)) return false;
    tensor->dtype = find_dtype(dtype);
    return tensor->dtype || hone_cursor_fail(c, "%.80s: unknown dtype '%.40s'", tensor->name, dtype);
  }
  return hone_cursor_fail(c, "%.80s: unknown key '%.40s'", tensor->name, key);
}

// Bytes by dtype and shape against data_offsets.
static bool check_size(hone_cursor_t *c, const hone_safetensors_entry_t *tensor) {
  uint64_t bits = tensor->dtype->bits;
  for (uint32_t i = 0; i < tensor->rank; i++)
    if (!hone_checked_mul(bits, tensor->shape[i], &bits))
      return hone_cursor_fail(c, "%.80s: its shape overflows 64 bits", tensor->name);
  if (bits % 8) return hone_cursor_fail(c, "%.80s: its size is no whole number of bytes", tensor->name);
  if (tensor->end < tensor->begin || tensor->end - tensor->begin != bits / 8)
    return hone_cursor_fail(c, "%.80s: data_offsets [%llu, %llu] do not hold the %llu bytes of its dtype and shape",
                            tensor->name, (unsigned long long)tensor->begin, (unsigned long long)tensor->end,
                            (unsigned long long)(bits / 8));
  return true;
}

typedef HONE_LIST(hone_safetensors_entry_t) entries_t;

static bool read_tensor(hone_cursor_t *c, const char *name, entries_t *out) {
  hone_safetensors_entry_t tensor = {.name = name, .place = c->origin + c->at};
  unsigned seen = 0;
  bool more = true;
  if (!hone_cursor_expect(c, '{')) return false;
  while (more) {
    const char *key;
    if (!hone_cursor_string(c, &key) || !hone_cursor_expect(c, ':') || !read_field(c, &tensor, key, &seen) ||
        !hone_cursor_next(c, '}', &more))
      return false;
  }
  if (seen != 7) return hone_cursor_fail(c, "%.80s: needs dtype, shape and data_offsets", name);
  if (!check_size(c, &tensor)) return false;
  hone_list_push(c->arena, out, tensor);
  return true;
}

static bool read_metadata(hone_cursor_t *c) {
  bool more = true;
  if (!hone_cursor_expect(c, '{')) return false;
  if (hone_cursor_peek(c) == '}') return hone_cursor_expect(c, '}');
  while (more) {
    const char *key, *value;
    if (!hone_cursor_string(c, &key) || !hone_cursor_expect(c, ':') || !hone_cursor_string(c, &value) ||
        !hone_cursor_next(c, '}', &more))
      return false;
  }
  return true;
}

static bool read_header(hone_cursor_t *c, entries_t *out) {
  bool more = true, has_metadata = false;
  if (c->bytes == 0 || c->data[0] != '{') return hone_cursor_fail(c, "the header does not start with '{'");
  if (!hone_cursor_expect(c, '{')) return false;
  if (hone_cursor_peek(c) == '}') more = false, c->at++;
  while (more) {
    const char *name;
    if (!hone_cursor_string(c, &name) || !hone_cursor_expect(c, ':')) return false;
    bool is_metadata = !strcmp(name, "__metadata__");
    if (is_metadata && has_metadata) return hone_cursor_fail(c, "key '__metadata__' twice");
    has_metadata |= is_metadata;
    if (!(is_metadata ? read_metadata(c) : read_tensor(c, name, out)) || !hone_cursor_next(c, '}', &more))
      return false;
  }
  hone_cursor_skip_blanks(c);
  return c->at == c->bytes || hone_cursor_fail(c, "text after the header's object");
}

static int compare_places(const void *a, const void *b) {
  const hone_safetensors_entry_t *x = *(hone_safetensors_entry_t *const *)a, *y = *(hone_safetensors_entry_t *const *)b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return strcmp(x->name, y->name);
}

// Tensors tile the data: no hole, no overlap, nothing behind the last one. (Empty tensors may share an offset.) Offsets
// become those in the file.
static bool check_tiling(const char *path, hone_safetensors_t *file, uint64_t bytes, hone_arena_t *arena,
                         hone_status_t *status) {
  hone_safetensors_entry_t **order = HONE_NEW_ARRAY(arena, hone_safetensors_entry_t *, file->count);
  uint64_t data_bytes = bytes - file->header_bytes, at = 0;
  for (size_t i = 0; i < file->count; i++) order[i] = &file->entries[i];
  qsort(order, file->count, sizeof *order, compare_places);
  for (size_t i = 0; i < file->count; i++) {
    if (order[i]->begin != at)
      return hone_fail(status, HONE_INVALID, "%s: %.80s: its data begins at %llu, %s the data before it ends at %llu", path,
                       order[i]->name, (unsigned long long)order[i]->begin,
                       order[i]->begin < at ? "overlapping:" : "leaving a hole:", (unsigned long long)at);
    at = order[i]->end;
  }
  if (at > data_bytes)
    return hone_fail(status, HONE_INVALID, "%s: truncated: %.80s needs data up to byte %llu, the file has %llu", path,
                     order[file->count - 1]->name, (unsigned long long)(file->header_bytes + at), (unsigned long long)bytes);
  if (at < data_bytes)
    return hone_fail(status, HONE_INVALID, "%s: %llu bytes behind the last tensor belong to none", path,
                     (unsigned long long)(data_bytes - at));
  for (size_t i = 0; i < file->count; i++) {
    file->entries[i].begin += file->header_bytes;
    file->entries[i].end += file->header_bytes;
  }
  return true;
}

bool hone_safetensors_parse(const char *path, const uint8_t *data, uint64_t bytes, hone_arena_t *arena,
                            hone_safetensors_t *out, hone_status_t *status) {
  uint64_t header = 0;
  entries_t entries = {0};
  if (bytes < 8)
    return hone_fail(status, HONE_INVALID, "%s: too short for a safetensors file (%llu bytes)", path, (unsigned long long)bytes);
  for (int i = 7; i >= 0; i--) header = header << 8 | data[i];
  if (header > HEADER_LIMIT)
    return hone_fail(status, HONE_INVALID, "%s: byte 0: a header of %llu bytes exceeds the limit of %d; is it a safetensors file?",
                     path, (unsigned long long)header, HEADER_LIMIT);
  if (header > bytes - 8)
    return hone_fail(status, HONE_INVALID, "%s: truncated: its header of %llu bytes goes beyond the file's end", path,
                     (unsigned long long)header);
  hone_cursor_t cursor = {.path = path, .data = (const char *)data + 8, .bytes = header, .origin = 8, .arena = arena,
                          .status = status};
  if (!read_header(&cursor, &entries)) return false;
  *out = (hone_safetensors_t){8 + header, entries.items, entries.count};
  hone_map_t *names = hone_map_create(arena);
  for (size_t i = 0; i < out->count; i++)
    if (!hone_map_insert(names, out->entries[i].name, strlen(out->entries[i].name), out))
      return hone_fail(status, HONE_INVALID, "%s: byte %llu: tensor '%.80s' twice in the header", path,
                       (unsigned long long)out->entries[i].place, out->entries[i].name);
  return check_tiling(path, out, bytes, arena, status);
}
