// Lays a draft out as the blob of base/tokenizer.h. Deterministic: the same draft gives the same
// bytes.
#include <stdlib.h>
#include <string.h>

#include "frontend/tokenizer_internal.h"

// Starts a section at the next aligned offset.
static hone_tokenizer_section_t section_begin(hone_buffer_t *out, uint64_t count) {
  hone_buffer_align(out, HONE_TOKENIZER_ALIGNMENT);
  return (hone_tokenizer_section_t){.offset = out->bytes, .count = count};
}

static hone_tokenizer_section_t section_add(hone_buffer_t *out, const void *items, size_t count,
                                            size_t item_bytes) {
  hone_tokenizer_section_t section = section_begin(out, count);
  hone_buffer_add(out, items, count * item_bytes);
  return section;
}

static size_t symbol_count(const hone_tokenizer_draft_t *draft) {
  return draft->tokens.count + draft->characters.count;
}

static const hone_draft_token_t *symbol_get(const hone_tokenizer_draft_t *draft, size_t id) {
  return id < draft->tokens.count ? &draft->tokens.items[id]
                                  : &draft->characters.items[id - draft->tokens.count];
}

// A power of two that keeps a table of `count` entries at most two thirds full.
static size_t table_size(size_t count) {
  size_t size = 16;
  while (size * 2 < count * 3 + 2) size *= 2;
  return size;
}

static bool write_tokens(const hone_tokenizer_draft_t *draft, hone_tokenizer_blob_t *blob,
                         hone_buffer_t *out, hone_status_t *status) {
  size_t count = symbol_count(draft), lookups = 0;
  uint32_t *offsets = HONE_NEW_ARRAY(draft->arena, uint32_t, count + 1);
  uint8_t *types = HONE_NEW_ARRAY(draft->arena, uint8_t, draft->tokens.count);
  uint64_t at = 0;
  for (size_t i = 0; i < count; i++) {
    const hone_draft_token_t *token = symbol_get(draft, i);
    offsets[i] = (uint32_t)at;
    at += token->text.bytes;
    if (at > UINT32_MAX) {
      return hone_fail(status, HONE_UNSUPPORTED, "%s: tokens of more than 4 GB", draft->name);
    }
    if (i < draft->tokens.count) types[i] = (uint8_t)token->type;
    if (token->is_lookup) lookups++;
  }
  offsets[count] = (uint32_t)at;
  blob->token_offsets = section_add(out, offsets, count + 1, sizeof *offsets);
  blob->token_text = section_begin(out, at);
  for (size_t i = 0; i < count; i++) {
    const hone_draft_token_t *token = symbol_get(draft, i);
    hone_buffer_add(out, token->text.data, token->text.bytes);
  }
  blob->token_types = section_add(out, types, draft->tokens.count, 1);
  size_t size = table_size(lookups);
  uint32_t *slots = HONE_NEW_ARRAY(draft->arena, uint32_t, size);
  memset(slots, 0xFF, size * sizeof *slots);
  for (size_t i = 0; i < count; i++) {
    const hone_draft_token_t *token = symbol_get(draft, i);
    if (!token->is_lookup) continue;
    size_t slot = hone_tokenizer_hash(token->text.data, token->text.bytes) & (size - 1);
    while (slots[slot] != HONE_TOKENIZER_EMPTY) slot = (slot + 1) & (size - 1);
    slots[slot] = (uint32_t)i;
  }
  blob->token_slots = section_add(out, slots, size, sizeof *slots);
  return true;
}

// A pair that comes twice counts as the later one, as in the reference.
static void write_merges(const hone_tokenizer_draft_t *draft, hone_tokenizer_blob_t *blob,
                         hone_buffer_t *out) {
  size_t size = table_size(draft->merges.count);
  hone_merge_t *table = HONE_NEW_ARRAY(draft->arena, hone_merge_t, size);
  for (size_t i = 0; i < size; i++) table[i].left = HONE_TOKENIZER_EMPTY;
  for (size_t i = 0; i < draft->merges.count; i++) {
    const hone_merge_t *merge = &draft->merges.items[i];
    size_t slot = hone_tokenizer_pair_hash(merge->left, merge->right) & (size - 1);
    while (table[slot].left != HONE_TOKENIZER_EMPTY &&
           (table[slot].left != merge->left || table[slot].right != merge->right)) {
      slot = (slot + 1) & (size - 1);
    }
    table[slot] = *merge;
  }
  blob->merges = section_add(out, table, size, sizeof *table);
}

static int compare_added(const void *a, const void *b) {
  hone_slice_t left = ((const hone_draft_added_t *)a)->text;
  hone_slice_t right = ((const hone_draft_added_t *)b)->text;
  size_t shorter = left.bytes < right.bytes ? left.bytes : right.bytes;
  int order = memcmp(left.data, right.data, shorter);
  if (order != 0) return order;
  return left.bytes < right.bytes ? -1 : left.bytes > right.bytes;
}

static hone_tokenizer_section_t write_added(const hone_tokenizer_draft_t *draft,
                                            hone_draft_added_t *items, size_t count,
                                            hone_buffer_t *text, hone_buffer_t *out) {
  if (count > 0) qsort(items, count, sizeof *items, compare_added);
  hone_added_token_t *written = HONE_NEW_ARRAY(draft->arena, hone_added_token_t, count);
  for (size_t i = 0; i < count; i++) {
    written[i] = (hone_added_token_t){items[i].id, items[i].flags, (uint32_t)text->bytes,
                                      (uint32_t)items[i].text.bytes};
    hone_buffer_add(text, items[i].text.data, items[i].text.bytes);
  }
  return section_add(out, written, count, sizeof *written);
}

static bool starts_with_mark(hone_slice_t text) {
  return text.bytes >= 3 && memcmp(text.data, HONE_SPACE_MARK, 3) == 0;
}

// Whether a text may be cut in front of every U+2581 that follows something else: no merge has one
// at the start of its right part unless the left part ends with one too, and no piece that is
// matched whole has one inside.
static bool words_are_independent(const hone_tokenizer_draft_t *draft) {
  if (draft->kind != HONE_TOKENIZER_PIECES || (draft->flags & HONE_TOKENIZER_IGNORE_MERGES)) {
    return false;
  }
  for (size_t i = 0; i < draft->merges.count; i++) {
    hone_slice_t left = symbol_get(draft, draft->merges.items[i].left)->text;
    hone_slice_t right = symbol_get(draft, draft->merges.items[i].right)->text;
    bool left_ends = left.bytes >= 3 && memcmp(left.data + left.bytes - 3, HONE_SPACE_MARK, 3) == 0;
    if (starts_with_mark(right) && !left_ends) return false;
  }
  for (size_t i = 0; i < draft->frozen.count; i++) {
    hone_slice_t text = draft->frozen.items[i].text;
    for (size_t at = 1; at < text.bytes; at++) {
      if (starts_with_mark((hone_slice_t){text.data + at, text.bytes - at})) return false;
    }
  }
  return true;
}

static void write_classes(hone_tokenizer_blob_t *blob, hone_buffer_t *out) {
  uint8_t index[HONE_CLASS_BLOCKS];
  hone_buffer_t blocks = {0};
  hone_unicode_classes(index, &blocks);
  blob->class_index = section_add(out, index, sizeof index, 1);
  blob->class_blocks = section_add(out, blocks.data, blocks.bytes, 1);
  hone_buffer_deinit(&blocks);
}

bool hone_draft_write(hone_tokenizer_draft_t *draft, hone_buffer_t *out_blob,
                      hone_status_t *status) {
  if (words_are_independent(draft)) draft->flags |= HONE_TOKENIZER_WORDS;
  hone_tokenizer_blob_t blob = {
      .magic = HONE_TOKENIZER_MAGIC,
      .version = HONE_TOKENIZER_VERSION,
      .kind = draft->kind,
      .flags = draft->flags,
      .split = draft->split,
      .strip = draft->strip,
      .token_count = (uint32_t)draft->tokens.count,
      .symbol_count = (uint32_t)symbol_count(draft),
      .bos = draft->bos,
      .eos = draft->eos,
      .unknown = draft->unknown,
  };
  memcpy(blob.byte_ids, draft->byte_ids, sizeof blob.byte_ids);
  hone_buffer_add(out_blob, &blob, sizeof blob);  // room; written again below
  if (!write_tokens(draft, &blob, out_blob, status)) return false;
  write_merges(draft, &blob, out_blob);
  hone_buffer_t text = {0};
  blob.added_raw = write_added(draft, draft->raw.items, draft->raw.count, &text, out_blob);
  blob.added_normalized =
      write_added(draft, draft->normalized.items, draft->normalized.count, &text, out_blob);
  blob.added_frozen = write_added(draft, draft->frozen.items, draft->frozen.count, &text, out_blob);
  blob.added_text = section_add(out_blob, text.data, text.bytes, 1);
  hone_buffer_deinit(&text);
  if (draft->split != HONE_SPLIT_NONE) write_classes(&blob, out_blob);
  blob.rule_units =
      section_add(out_blob, draft->rule_units.data, draft->rule_units.bytes / 4, sizeof(uint32_t));
  blob.rule_strings = section_add(out_blob, draft->rule_strings.data, draft->rule_strings.bytes, 1);
  hone_buffer_align(out_blob, HONE_TOKENIZER_ALIGNMENT);
  blob.bytes = out_blob->bytes;
  memcpy(out_blob->data, &blob, sizeof blob);
  return true;
}
