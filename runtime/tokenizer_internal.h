// What the files of the tokenizer share: the checked view of a blob, and the state of one encode
// call.
#ifndef HONE_RUNTIME_TOKENIZER_INTERNAL_H
#define HONE_RUNTIME_TOKENIZER_INTERNAL_H

#include "base/tokenizer.h"
#include "runtime/tokenizer.h"

enum {
  HONE_SYMBOL_NONE = 0x7FFFFFFF,  // a character that is no token and in no merge
  HONE_TOKENIZER_TEXT_LIMIT = 256 << 20,
};
#define HONE_SYMBOL_FROZEN 0x80000000u     // added to an id that must not be merged
#define HONE_SPACE_MARK    "\xE2\x96\x81"  // U+2581, how sentencepiece writes a space
enum { HONE_SPACE_MARK_BYTES = 3 };

typedef struct hone_added_list {
  const hone_added_token_t *items;  // sorted by bytes
  uint32_t count;
  const char *text;
  bool first[256];  // bytes that some item starts with
} hone_added_list_t;

struct hone_tokenizer {
  const hone_tokenizer_blob_t *blob;
  const uint32_t *token_offsets;
  const char *token_text;
  const uint8_t *token_types;
  const uint32_t *token_slots;  // NULL if there are none
  uint32_t token_mask;
  const hone_merge_t *merges;  // NULL if there are none
  uint32_t merge_mask;
  hone_added_list_t raw, normalized, frozen;
  const uint8_t *class_index, *class_blocks;  // NULL if there are none
  const uint32_t *rule_units;                 // NULL if there are none
  uint32_t rule_unit_count;
  const char *rule_strings;
  size_t rule_string_bytes;
  size_t longest_token_bytes;
  uint32_t ascii_symbols[128];  // PIECES: symbol of each ASCII character
};

typedef struct hone_symbol {
  uint32_t id;              // symbol id, maybe with HONE_SYMBOL_FROZEN
  uint32_t offset;          // of its first byte in the word
  uint32_t previous, next;  // UINT32_MAX: none
  uint32_t merge;           // slot in the merge table for (this, next); UINT32_MAX: none
} hone_symbol_t;

typedef struct hone_bytes {
  char *data;
  size_t bytes, capacity;
} hone_bytes_t;

// One encode call: where ids go, and memory that is reused from word to word.
typedef struct hone_encoder {
  const hone_tokenizer_t *tokenizer;
  hone_encode_options_t options;
  hone_token_ids_t *ids;
  hone_status_t *status;
  bool after_unknown;   // the last id pushed was the unknown token
  hone_bytes_t clean;   // the text with invalid UTF-8 replaced
  hone_bytes_t normal;  // the stretch of text at hand, normalized
  hone_symbol_t *symbols;
  size_t symbol_count, symbol_capacity;
  uint64_t *queue;  // min-heap of rank << 32 | symbol index
  size_t queue_count, queue_capacity;
} hone_encoder_t;

// Makes room for `count` items in *items, doubling. Errors: HONE_EXHAUSTED.
bool hone_tokenizer_reserve(void *items, size_t *capacity, size_t count, size_t item_bytes,
                            hone_status_t *status);
bool hone_bytes_add(hone_bytes_t *bytes, const void *data, size_t count, hone_status_t *status);

// Symbol id of exactly these bytes, HONE_SYMBOL_NONE if there is none.
uint32_t hone_tokenizer_find(const hone_tokenizer_t *tokenizer, const char *text, size_t bytes);
// Longest item of the list that `text` starts with, or NULL.
const hone_added_token_t *hone_added_find(const hone_added_list_t *list, const char *text,
                                          size_t bytes);
// \p{L}, \p{N}, \s as the compiler's Unicode tables say.
hone_class_t hone_tokenizer_class(const hone_tokenizer_t *tokenizer, uint32_t code);

// tokenizer_merge.c: joins encoder->symbols in place as the merge table says. The survivors are the
// chain of `next` from symbol 0.
bool hone_encoder_merge(hone_encoder_t *encoder);
// tokenizer_normalize.c: writes the normalized stretch to encoder->normal. `at_start`: the stretch
// starts the text.
bool hone_encoder_normalize(hone_encoder_t *encoder, const char *text, size_t bytes, bool at_start);
// tokenizer_split.c: where the word that starts at `at` ends (> at). The text is valid UTF-8 and at
// < bytes.
size_t hone_tokenizer_word_end(const hone_tokenizer_t *tokenizer, const char *text, size_t bytes,
                               size_t at);

#endif
