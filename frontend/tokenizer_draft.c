// The draft of a tokenizer: tokens by id and by name while a file is read. Not the layout of the
// blob.
#include <string.h>

#include "frontend/tokenizer_internal.h"

void hone_draft_init(hone_tokenizer_draft_t *draft, hone_arena_t *arena, const char *name,
                     int64_t vocab) {
  *draft = (hone_tokenizer_draft_t){
      .arena = arena, .name = name, .vocab = vocab, .bos = -1, .eos = -1, .unknown = -1};
  if (draft->vocab > HONE_TOKENIZER_SYMBOL_LIMIT / 2) {
    draft->vocab = HONE_TOKENIZER_SYMBOL_LIMIT / 2;
  }
  for (int i = 0; i < 256; i++) draft->byte_ids[i] = -1;
  draft->names = hone_map_create(arena);
}

const char *hone_draft_quote(const hone_tokenizer_draft_t *draft, hone_slice_t text) {
  enum { SHOWN = 48 };
  char out[SHOWN * 4 + 16];
  size_t used = 0;
  out[used++] = '"';
  for (size_t i = 0; i < text.bytes && i < SHOWN; i++) {
    unsigned char c = (unsigned char)text.data[i];
    if (c < 0x20 || c == 0x7F || c == '"' || c == '\\') {
      static const char digits[] = "0123456789abcdef";
      out[used++] = '\\';
      out[used++] = 'x';
      out[used++] = digits[c >> 4];
      out[used++] = digits[c & 15];
    } else {
      out[used++] = (char)c;
    }
  }
  out[used++] = '"';
  if (text.bytes > SHOWN) {
    memcpy(out + used, "...", 3);
    used += 3;
  }
  return hone_arena_strndup(draft->arena, out, used);
}

bool hone_draft_token_add(hone_tokenizer_draft_t *draft, int64_t id, hone_slice_t name,
                          hone_draft_token_t token, hone_status_t *status) {
  const char *quoted;
  if (id >= 0 && id < draft->vocab && name.bytes > 0 && name.bytes <= HONE_TOKENIZER_TOKEN_LIMIT) {
    while (draft->tokens.count <= (size_t)id) {
      hone_list_push(draft->arena, &draft->tokens, (hone_draft_token_t){0});
    }
    hone_draft_token_t *place = &draft->tokens.items[id];
    if (place->type == HONE_TOKEN_NONE &&
        hone_map_insert(draft->names, name.data, name.bytes, hone_id_box((uint32_t)id))) {
      *place = token;
      return true;
    }
    quoted = hone_draft_quote(draft, name);
    if (place->type != HONE_TOKEN_NONE) {
      return hone_fail(status, HONE_INVALID, "%s: token %s has id %lld, which another token has",
                       draft->name, quoted, (long long)id);
    }
    return hone_fail(status, HONE_INVALID, "%s: token %s is there twice, ids %lld and %lld",
                     draft->name, quoted, (long long)hone_draft_find(draft, name), (long long)id);
  }
  quoted = hone_draft_quote(draft, name);
  if (name.bytes == 0) {
    return hone_fail(status, HONE_INVALID, "%s: token %lld is empty", draft->name, (long long)id);
  }
  if (name.bytes > HONE_TOKENIZER_TOKEN_LIMIT) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: token %s has %zu bytes, the limit is %d",
                     draft->name, quoted, name.bytes, HONE_TOKENIZER_TOKEN_LIMIT);
  }
  return hone_fail(status, HONE_INVALID,
                   "%s: token %s has id %lld, but the model's vocabulary has ids 0 to %lld",
                   draft->name, quoted, (long long)id, (long long)draft->vocab - 1);
}

int32_t hone_draft_find(const hone_tokenizer_draft_t *draft, hone_slice_t name) {
  const void *value = hone_map_find(draft->names, name.data, name.bytes);
  return value == NULL ? -1 : (int32_t)hone_id_unbox(value);
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int hone_byte_piece(hone_slice_t name) {
  if (name.bytes != 6 || memcmp(name.data, "<0x", 3) != 0 || name.data[5] != '>') return -1;
  int high = hex_digit(name.data[3]), low = hex_digit(name.data[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool hone_slice_is_utf8(hone_slice_t text) {
  uint32_t code;
  for (size_t at = 0; at < text.bytes;) {
    size_t length = hone_utf8_decode(text.data + at, text.bytes - at, &code);
    if (length == 0) return false;
    at += length;
  }
  return true;
}
