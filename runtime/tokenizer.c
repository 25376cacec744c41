// Tokenizer: checks a blob once and looks things up in it. Encoding and decoding are in files of
// their own.
#include "runtime/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/tokenizer_internal.h"

static bool damaged(hone_status_t *status, const char *what) {
  return hone_fail(status, HONE_INVALID,
                   "the artefact's tokenizer is damaged: %s; compile the model again", what);
}

// Start of a section of `count` items, or false if it does not lie inside the blob.
static bool section_get(const hone_tokenizer_blob_t *blob, hone_tokenizer_section_t section,
                        size_t item_bytes, const void **out_items, const char *name,
                        hone_status_t *status) {
  *out_items = NULL;
  if (section.count == 0) return true;
  if (section.offset % HONE_TOKENIZER_ALIGNMENT != 0 || section.offset < sizeof *blob ||
      section.offset > blob->bytes || section.count > (blob->bytes - section.offset) / item_bytes) {
    return damaged(status, name);
  }
  *out_items = (const char *)blob + section.offset;
  return true;
}

static bool is_power_of_two(uint64_t count) {
  return count != 0 && (count & (count - 1)) == 0 && count <= 1u << 30;
}

static bool check_header(const hone_tokenizer_blob_t *blob, size_t bytes, hone_status_t *status) {
  if (bytes < sizeof *blob || (uintptr_t)blob % HONE_TOKENIZER_ALIGNMENT != 0)
    return damaged(status, "size");
  if (blob->magic != HONE_TOKENIZER_MAGIC) return damaged(status, "magic number");
  if (blob->version != HONE_TOKENIZER_VERSION) {
    return hone_fail(status, HONE_UNSUPPORTED,
                     "the artefact's tokenizer has version %u, this runtime reads %d",
                     blob->version, HONE_TOKENIZER_VERSION);
  }
  if (blob->bytes != bytes) return damaged(status, "length");
  if (blob->kind != HONE_TOKENIZER_PIECES && blob->kind != HONE_TOKENIZER_BYTES)
    return damaged(status, "kind");
  if (blob->split > HONE_SPLIT_QWEN2 || blob->strip > HONE_STRIP_TOKEN)
    return damaged(status, "rules");
  if (blob->symbol_count > HONE_TOKENIZER_SYMBOL_LIMIT || blob->token_count > blob->symbol_count) {
    return damaged(status, "token count");
  }
  int64_t count = blob->token_count;
  if (blob->bos < -1 || blob->bos >= count || blob->eos < -1 || blob->eos >= count ||
      blob->unknown < -1 || blob->unknown >= count) {
    return damaged(status, "BOS, EOS or unknown token");
  }
  for (int i = 0; i < 256; i++) {
    int32_t id = blob->byte_ids[i];
    if (id < -1 || id >= count) return damaged(status, "byte tokens");
    if (id < 0 && (blob->flags & HONE_TOKENIZER_BYTE_FALLBACK))
      return damaged(status, "byte tokens");
  }
  return true;
}

static bool open_tokens(hone_tokenizer_t *tokenizer, hone_status_t *status) {
  const hone_tokenizer_blob_t *blob = tokenizer->blob;
  const void *offsets, *text, *types, *slots;
  if (!section_get(blob, blob->token_offsets, sizeof(uint32_t), &offsets, "token offsets",
                   status) ||
      !section_get(blob, blob->token_text, 1, &text, "token text", status) ||
      !section_get(blob, blob->token_types, 1, &types, "token types", status) ||
      !section_get(blob, blob->token_slots, sizeof(uint32_t), &slots, "token slots", status)) {
    return false;
  }
  tokenizer->token_offsets = offsets;
  tokenizer->token_text = text;
  tokenizer->token_types = types;
  tokenizer->token_slots = slots;
  if (blob->token_offsets.count != (uint64_t)blob->symbol_count + 1 ||
      blob->token_types.count != blob->token_count) {
    return damaged(status, "token table");
  }
  for (uint32_t i = 0; i < blob->symbol_count; i++) {
    uint32_t begin = tokenizer->token_offsets[i], end = tokenizer->token_offsets[i + 1];
    if (end < begin || end > blob->token_text.count) return damaged(status, "token offsets");
    if (end - begin > HONE_TOKENIZER_TOKEN_LIMIT) return damaged(status, "token length");
    if (end - begin > tokenizer->longest_token_bytes) tokenizer->longest_token_bytes = end - begin;
  }
  for (uint32_t i = 0; i < blob->token_count; i++) {
    if (tokenizer->token_types[i] > HONE_TOKEN_SPECIAL) return damaged(status, "token types");
  }
  if (slots == NULL) return true;
  if (!is_power_of_two(blob->token_slots.count)) return damaged(status, "token slots");
  tokenizer->token_mask = (uint32_t)blob->token_slots.count - 1;
  bool has_free = false;
  for (uint64_t i = 0; i < blob->token_slots.count; i++) {
    uint32_t id = tokenizer->token_slots[i];
    if (id == HONE_TOKENIZER_EMPTY) has_free = true;
    if (id != HONE_TOKENIZER_EMPTY && id >= blob->symbol_count)
      return damaged(status, "token slots");
  }
  return has_free || damaged(status, "token slots");
}

static bool open_merges(hone_tokenizer_t *tokenizer, hone_status_t *status) {
  const hone_tokenizer_blob_t *blob = tokenizer->blob;
  const void *items;
  if (!section_get(blob, blob->merges, sizeof(hone_merge_t), &items, "merges", status))
    return false;
  tokenizer->merges = items;
  if (items == NULL) return true;
  if (!is_power_of_two(blob->merges.count)) return damaged(status, "merges");
  tokenizer->merge_mask = (uint32_t)blob->merges.count - 1;
  bool has_free = false;
  for (uint64_t i = 0; i < blob->merges.count; i++) {
    const hone_merge_t *merge = &tokenizer->merges[i];
    if (merge->left == HONE_TOKENIZER_EMPTY) {
      has_free = true;
    } else if (merge->left >= blob->symbol_count || merge->right >= blob->symbol_count ||
               merge->id >= blob->symbol_count) {
      return damaged(status, "merges");
    }
  }
  return has_free || damaged(status, "merges");
}

static bool open_added(const hone_tokenizer_blob_t *blob, hone_tokenizer_section_t section,
                       hone_added_list_t *list, hone_status_t *status) {
  const void *items, *text;
  if (!section_get(blob, section, sizeof(hone_added_token_t), &items, "added tokens", status) ||
      !section_get(blob, blob->added_text, 1, &text, "added tokens", status)) {
    return false;
  }
  if (section.count > HONE_TOKENIZER_SYMBOL_LIMIT) return damaged(status, "added tokens");
  list->items = items;
  list->count = (uint32_t)section.count;
  list->text = text;
  for (uint32_t i = 0; i < list->count; i++) {
    const hone_added_token_t *item = &list->items[i];
    if (item->id >= blob->token_count || item->bytes == 0 ||
        item->bytes > HONE_TOKENIZER_TOKEN_LIMIT || item->offset > blob->added_text.count ||
        item->bytes > blob->added_text.count - item->offset) {
      return damaged(status, "added tokens");
    }
    list->first[(uint8_t)list->text[item->offset]] = true;
  }
  return true;
}

static bool open_rules(hone_tokenizer_t *tokenizer, hone_status_t *status) {
  const hone_tokenizer_blob_t *blob = tokenizer->blob;
  const void *index, *blocks, *units, *strings;
  if (!section_get(blob, blob->class_index, 1, &index, "character classes", status) ||
      !section_get(blob, blob->class_blocks, 1, &blocks, "character classes", status) ||
      !section_get(blob, blob->rule_units, sizeof(uint32_t), &units, "normalization rules",
                   status) ||
      !section_get(blob, blob->rule_strings, 1, &strings, "normalization rules", status)) {
    return false;
  }
  tokenizer->class_index = index;
  tokenizer->class_blocks = blocks;
  tokenizer->rule_units = units;
  tokenizer->rule_strings = strings;
  if (blob->split != HONE_SPLIT_NONE && blob->class_index.count != HONE_CLASS_BLOCKS) {
    return damaged(status, "character classes");
  }
  for (uint64_t i = 0; i < blob->class_index.count; i++) {
    if (((uint64_t)tokenizer->class_index[i] + 1) * HONE_CLASS_BLOCK_BYTES >
        blob->class_blocks.count) {
      return damaged(status, "character classes");
    }
  }
  if (units == NULL) return true;
  tokenizer->rule_unit_count = (uint32_t)blob->rule_units.count;
  tokenizer->rule_string_bytes = (size_t)blob->rule_strings.count;
  if (blob->rule_units.count > UINT32_MAX || strings == NULL ||
      tokenizer->rule_strings[tokenizer->rule_string_bytes - 1] != '\0') {
    return damaged(status, "normalization rules");
  }
  return true;
}

static bool tokenizer_open(hone_tokenizer_t *tokenizer, hone_status_t *status) {
  const hone_tokenizer_blob_t *blob = tokenizer->blob;
  if (!open_tokens(tokenizer, status) || !open_merges(tokenizer, status) ||
      !open_added(blob, blob->added_raw, &tokenizer->raw, status) ||
      !open_added(blob, blob->added_normalized, &tokenizer->normalized, status) ||
      !open_added(blob, blob->added_frozen, &tokenizer->frozen, status) ||
      !open_rules(tokenizer, status)) {
    return false;
  }
  for (int c = 0; c < 128; c++) {
    char text = (char)c;
    tokenizer->ascii_symbols[c] = hone_tokenizer_find(tokenizer, &text, 1);
  }
  return true;
}

bool hone_tokenizer_create(const void *blob, size_t bytes, hone_tokenizer_t **out_tokenizer,
                           hone_status_t *status) {
  *out_tokenizer = NULL;
  if (blob == NULL || bytes == 0) {
    return hone_fail(status, HONE_NOT_FOUND,
                     "the model was compiled without a tokenizer; use token ids (--ids)");
  }
  if (!check_header(blob, bytes, status)) return false;
  hone_tokenizer_t *tokenizer = calloc(1, sizeof *tokenizer);
  if (tokenizer == NULL)
    return hone_fail(status, HONE_EXHAUSTED, "out of memory for the tokenizer");
  tokenizer->blob = blob;
  if (!tokenizer_open(tokenizer, status)) {
    free(tokenizer);
    return false;
  }
  *out_tokenizer = tokenizer;
  return true;
}

void hone_tokenizer_destroy(hone_tokenizer_t *tokenizer) { free(tokenizer); }

uint32_t hone_tokenizer_get_count(const hone_tokenizer_t *tokenizer) {
  return tokenizer->blob->token_count;
}
int32_t hone_tokenizer_get_bos(const hone_tokenizer_t *tokenizer) { return tokenizer->blob->bos; }
int32_t hone_tokenizer_get_eos(const hone_tokenizer_t *tokenizer) { return tokenizer->blob->eos; }

bool hone_tokenizer_is_special(const hone_tokenizer_t *tokenizer, int32_t id) {
  return id >= 0 && (uint32_t)id < tokenizer->blob->token_count &&
         tokenizer->token_types[id] == HONE_TOKEN_SPECIAL;
}

const char *hone_tokenizer_get_token(const hone_tokenizer_t *tokenizer, int32_t id,
                                     size_t *out_bytes) {
  *out_bytes = 0;
  if (id < 0 || (uint32_t)id >= tokenizer->blob->token_count) return NULL;
  if (tokenizer->token_types[id] == HONE_TOKEN_NONE) return NULL;
  *out_bytes = tokenizer->token_offsets[id + 1] - tokenizer->token_offsets[id];
  return *out_bytes == 0 ? "" : tokenizer->token_text + tokenizer->token_offsets[id];
}

uint32_t hone_tokenizer_find(const hone_tokenizer_t *tokenizer, const char *text, size_t bytes) {
  if (tokenizer->token_slots == NULL) return HONE_SYMBOL_NONE;
  uint32_t at = hone_tokenizer_hash(text, bytes);
  for (;; at++) {
    uint32_t id = tokenizer->token_slots[at & tokenizer->token_mask];
    if (id == HONE_TOKENIZER_EMPTY) return HONE_SYMBOL_NONE;
    uint32_t offset = tokenizer->token_offsets[id];
    if (tokenizer->token_offsets[id + 1] - offset == bytes &&
        memcmp(tokenizer->token_text + offset, text, bytes) == 0) {
      return id;
    }
  }
}

// First item of [low, high) whose byte at `depth` is at least `byte`; items all share their first
// `depth` bytes.
static uint32_t added_bound(const hone_added_list_t *list, uint32_t low, uint32_t high,
                            uint32_t depth, int byte) {
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    const hone_added_token_t *item = &list->items[middle];
    int here = item->bytes > depth ? (uint8_t)list->text[item->offset + depth] : -1;
    if (here < byte) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

const hone_added_token_t *hone_added_find(const hone_added_list_t *list, const char *text,
                                          size_t bytes) {
  if (list->count == 0 || bytes == 0 || !list->first[(uint8_t)text[0]]) return NULL;
  const hone_added_token_t *longest = NULL;
  uint32_t low = 0, high = list->count;
  for (uint32_t depth = 0; depth < bytes && low < high; depth++) {
    int byte = (uint8_t)text[depth];
    low = added_bound(list, low, high, depth, byte);
    high = added_bound(list, low, high, depth, byte + 1);
    if (low < high && list->items[low].bytes == depth + 1) longest = &list->items[low];
  }
  return longest;
}

hone_class_t hone_tokenizer_class(const hone_tokenizer_t *tokenizer, uint32_t code) {
  if (tokenizer->class_index == NULL || code > 0x10FFFF) return HONE_CLASS_OTHER;
  const uint8_t *block =
      tokenizer->class_blocks + (size_t)tokenizer->class_index[code >> 8] * HONE_CLASS_BLOCK_BYTES;
  return (hone_class_t)(block[(code & 0xFF) >> 2] >> (code % 4 * 2) & 3);
}
