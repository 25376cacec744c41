// What the files of the tokenizer import share: the draft, which is a tokenizer read from any kind
// of file but not yet laid out as a blob, and the steps that fill it.
#ifndef HONE_FRONTEND_TOKENIZER_INTERNAL_H
#define HONE_FRONTEND_TOKENIZER_INTERNAL_H

#include <jansson.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/text.h"
#include "base/tokenizer.h"
#include "frontend/tokenizer.h"

#define HONE_SPACE_MARK "\xE2\x96\x81"  // U+2581, how sentencepiece writes a space
enum { HONE_TOKENIZER_FILE_LIMIT = 64 << 20 };

typedef struct hone_draft_token {
  hone_slice_t text;       // what it prints, see hone_token_type_t
  hone_token_type_t type;  // HONE_TOKEN_NONE: the id is free
  bool is_lookup;          // a character or a word of exactly this text becomes this symbol
} hone_draft_token_t;

typedef struct hone_draft_added {
  uint32_t id, flags;
  hone_slice_t text;  // what to look for
} hone_draft_added_t;

typedef struct hone_tokenizer_draft {
  hone_arena_t *arena;
  const char *name;  // of the file, for messages
  int64_t vocab;     // ids must be below
  bool is_model;     // from a sentencepiece model: added tokens are looked for in the text as given
  hone_tokenizer_kind_t kind;
  uint32_t flags;  // hone_tokenizer_flag_t
  hone_tokenizer_split_t split;
  hone_tokenizer_strip_t strip;
  int32_t bos, eos, unknown;
  int32_t byte_ids[256];
  HONE_LIST(hone_draft_token_t) tokens;      // by id
  HONE_LIST(hone_draft_token_t) characters;  // symbols beyond the tokens
  HONE_LIST(hone_merge_t) merges;
  HONE_LIST(hone_draft_added_t) raw, normalized, frozen;
  hone_map_t *names;          // token as written in the file -> hone_id_box(id)
  hone_slice_t rule_units;    // little-endian uint32
  hone_slice_t rule_strings;  // ends with NUL
} hone_tokenizer_draft_t;

// ids as map values: never NULL
static inline void *hone_id_box(uint32_t id) { return (void *)((uintptr_t)id + 1); }
static inline uint32_t hone_id_unbox(const void *value) { return (uint32_t)((uintptr_t)value - 1); }

void hone_draft_init(hone_tokenizer_draft_t *draft, hone_arena_t *arena, const char *name,
                     int64_t vocab);
// The token as a message shows it: quoted, escaped, at most about 48 bytes.
const char *hone_draft_quote(const hone_tokenizer_draft_t *draft, hone_slice_t text);
// Defines token `id` under `name` (the form in the file). Errors: an id outside [0, vocab), an id
// or a name that is taken, an empty or too long token.
HONE_MUST_CHECK bool hone_draft_token_add(hone_tokenizer_draft_t *draft, int64_t id,
                                          hone_slice_t name, hone_draft_token_t token,
                                          hone_status_t *status);
// Id of the token of that name, -1 if there is none.
int32_t hone_draft_find(const hone_tokenizer_draft_t *draft, hone_slice_t name);
// The byte of "<0x41>", or -1 if the name is not of that form (upper case, as sentencepiece has
// it).
int hone_byte_piece(hone_slice_t name);
// True if all of it is UTF-8.
bool hone_slice_is_utf8(hone_slice_t text);

// tokenizer_model.c, tokenizer_json.c
HONE_MUST_CHECK bool hone_draft_read_model(hone_tokenizer_draft_t *draft, const char *data,
                                           size_t bytes, hone_status_t *status);
HONE_MUST_CHECK bool hone_draft_read_json(hone_tokenizer_draft_t *draft, const char *data,
                                          size_t bytes, hone_status_t *status);
// One entry of `added_tokens`; `where` names it in messages.
HONE_MUST_CHECK bool hone_draft_added_json(hone_tokenizer_draft_t *draft, const json_t *entry,
                                           int64_t id, const char *where, hone_status_t *status);
// tokenizer_rules.c: normalizer, pre_tokenizer, decoder (before the vocabulary is read), and
// post_processor (after it).
HONE_MUST_CHECK bool hone_draft_rules_json(hone_tokenizer_draft_t *draft, const json_t *root,
                                           hone_status_t *status);
HONE_MUST_CHECK bool hone_draft_template_json(hone_tokenizer_draft_t *draft, const json_t *root,
                                              hone_status_t *status);
// tokenizer_unicode.c: the class tables of base/tokenizer.h, from utf8proc.
void hone_unicode_classes(uint8_t index[HONE_CLASS_BLOCKS], hone_buffer_t *out_blocks);
// tokenizer_blob.c
HONE_MUST_CHECK bool hone_draft_write(hone_tokenizer_draft_t *draft, hone_buffer_t *out_blob,
                                      hone_status_t *status);

#endif
