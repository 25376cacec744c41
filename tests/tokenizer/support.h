// What the tokenizer tests share: paths in the source tree, the corpus, fixtures as ready
// tokenizers.
#ifndef HONE_TESTS_TOKENIZER_SUPPORT_H
#define HONE_TESTS_TOKENIZER_SUPPORT_H

#include "base/arena.h"
#include "base/text.h"
#include "runtime/tokenizer.h"

typedef struct corpus {
  hone_slice_t *lines;  // raw bytes
  size_t count;
} corpus_t;

typedef struct loaded {  // a tokenizer and the blob it borrows
  hone_buffer_t blob;
  hone_tokenizer_t *tokenizer;
} loaded_t;

// Contents of tests/tokenizer/NAME; a missing file fails the test.
hone_slice_t fixture_read(hone_arena_t *arena, const char *name);
corpus_t corpus_read(hone_arena_t *arena);
// Imports fixtures/NAME (.model or .json) and opens it.
loaded_t fixture_load(hone_arena_t *arena, const char *name);
// Imports a tokenizer.json that must be fine.
loaded_t json_load(const char *json);
void loaded_deinit(loaded_t *loaded);

hone_token_ids_t encode(const loaded_t *loaded, hone_slice_t text, bool add_bos,
                        bool parse_special);
// Feeds the ids one by one, checks that every chunk is UTF-8, and gives all of the text.
hone_buffer_t decode(const loaded_t *loaded, const int32_t *ids, size_t count);

#endif
