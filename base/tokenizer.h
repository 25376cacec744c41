// The tokenizer blob: what the compiler writes into an artefact's .rodata and the runtime reads in
// place. It is plain data: no pointers, every section at a byte offset from the start, aligned to 8
// bytes, little endian. It is not the tokenizer: frontend/tokenizer* builds it from a model's
// files, runtime/tokenizer* runs it.
//
// Two kinds share one merge engine. A text is cut into symbols (characters of sentencepiece, bytes
// of byte-level BPE); the engine then joins neighbours, always the pair of the lowest rank,
// leftmost first, until no pair is in the merge table. Symbols are token ids; ids in [token_count,
// symbol_count) are characters that can only appear as parts.
#ifndef HONE_BASE_TOKENIZER_H
#define HONE_BASE_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#define HONE_TOKENIZER_MAGIC 0x4b545948u  // "HYTK"

enum {
  HONE_TOKENIZER_VERSION = 1,
  HONE_TOKENIZER_ALIGNMENT = 8,
  HONE_TOKENIZER_TOKEN_LIMIT = 4096,  // bytes of one token
  HONE_TOKENIZER_SYMBOL_LIMIT = 1 << 24,
};
#define HONE_TOKENIZER_EMPTY UINT32_MAX  // a free slot of a hash table

typedef enum hone_tokenizer_kind {
  HONE_TOKENIZER_PIECES =
      1,  // symbols are characters; spaces written as U+2581 (sentencepiece, llama-2)
  HONE_TOKENIZER_BYTES,  // symbols are bytes; text is cut into words first (GPT-2, llama-3)
} hone_tokenizer_kind_t;

typedef enum hone_tokenizer_split {  // how a text is cut into words before merging (BYTES)
  HONE_SPLIT_NONE = 0,
  HONE_SPLIT_GPT2,
  HONE_SPLIT_LLAMA3,  // numbers in groups of up to three digits
  HONE_SPLIT_QWEN2,   // as llama-3, every digit alone
} hone_tokenizer_split_t;

// What happens to the space that encoding put in front of a text when the first tokens are decoded.
typedef enum hone_tokenizer_strip {
  HONE_STRIP_NONE = 0,
  HONE_STRIP_ONE,  // one U+2581 at the start of the text
  HONE_STRIP_ALL,  // every piece's leading U+2581 until some text came (sentencepiece, extra spaces
                   // removed)
  HONE_STRIP_TOKEN,  // every U+2581 in the first token (the Metaspace decoder)
} hone_tokenizer_strip_t;

typedef enum hone_tokenizer_flag {
  HONE_TOKENIZER_ADD_PREFIX =
      1 << 0,  // a space in front of every stretch of text between added tokens
  HONE_TOKENIZER_PREFIX_FIRST = 1 << 1,   // ... only of the stretch at the start of the text
  HONE_TOKENIZER_PREFIX_UNLESS = 1 << 2,  // ... unless the stretch starts with one already
  HONE_TOKENIZER_REMOVE_EXTRA = 1 << 3,   // drop leading and trailing spaces, join runs of them
  HONE_TOKENIZER_ESCAPE_SPACES = 1 << 4,  // ' ' becomes U+2581
  HONE_TOKENIZER_BYTE_FALLBACK = 1 << 5,  // unknown characters become byte tokens
  HONE_TOKENIZER_FUSE_UNKNOWN = 1 << 6,   // a run of unknown characters is one unknown token
  HONE_TOKENIZER_IGNORE_MERGES = 1 << 7,  // a word that is a token is taken whole, without merging
  HONE_TOKENIZER_LATE_PREFIX =
      1 << 8,  // normalized added tokens are looked for before spaces are rewritten
  HONE_TOKENIZER_SPLIT_SPACES = 1 << 9,  // a word starts at every U+2581
  HONE_TOKENIZER_WORDS = 1 << 10,        // no merge joins a U+2581 to something else on its left
  HONE_TOKENIZER_REPLACE_BYTES =
      1 << 11,                       // invalid UTF-8: one U+FFFD per byte, not per maximal subpart
  HONE_TOKENIZER_ADD_BOS = 1 << 12,  // prompts start with BOS
} hone_tokenizer_flag_t;

typedef enum hone_token_type {
  HONE_TOKEN_NONE = 0,  // the id has no token
  HONE_TOKEN_TEXT,      // PIECES: text with U+2581 for spaces; BYTES: raw bytes
  HONE_TOKEN_BYTE,      // PIECES: one raw byte
  HONE_TOKEN_RAW,       // text printed as it is (the unknown token's surface)
  HONE_TOKEN_SPECIAL,   // not printed: BOS, EOS, <|eot_id|>
} hone_token_type_t;

enum {                     // hone_added_token_t.flags
  HONE_ADDED_SPECIAL = 1,  // looked for only where the caller asks for special tokens
  HONE_ADDED_LSTRIP = 2,   // swallows white space on its left
  HONE_ADDED_RSTRIP = 4,   // swallows white space on its right
};

typedef struct hone_tokenizer_section {
  uint64_t offset;  // bytes from the start of the blob, a multiple of 8
  uint64_t count;   // items
} hone_tokenizer_section_t;

typedef struct hone_added_token {
  uint32_t id, flags;
  uint32_t offset, bytes;  // what to look for, in added_text
} hone_added_token_t;

// One slot of the merge table: left + right -> id. Lower ranks first. left == HONE_TOKENIZER_EMPTY:
// free.
typedef struct hone_merge {
  uint32_t left, right;
  uint32_t rank, id;
} hone_merge_t;

typedef struct hone_tokenizer_blob {
  uint32_t magic, version;
  uint64_t bytes;             // whole blob
  uint32_t kind;              // hone_tokenizer_kind_t
  uint32_t flags;             // hone_tokenizer_flag_t
  uint32_t split;             // hone_tokenizer_split_t
  uint32_t strip;             // hone_tokenizer_strip_t
  uint32_t token_count;       // largest id + 1
  uint32_t symbol_count;      // >= token_count
  int32_t bos, eos, unknown;  // -1: none
  uint32_t reserved;
  int32_t byte_ids[256];  // token of each byte; -1: none (BYTES: the byte is unknown)
  hone_tokenizer_section_t
      token_offsets;  // uint32 (symbol_count + 1): token i is text[offsets[i] .. offsets[i + 1])
  hone_tokenizer_section_t token_text;   // bytes
  hone_tokenizer_section_t token_types;  // uint8 (token_count): hone_token_type_t
  hone_tokenizer_section_t
      token_slots;                  // uint32 (power of two): hash of a token's bytes -> symbol id
  hone_tokenizer_section_t merges;  // hone_merge_t (power of two)
  // Added tokens, each list sorted by bytes. raw: looked for in the text as given; normalized:
  // after normalizing; frozen: user-defined pieces, longest match wherever symbols are cut, never
  // merged.
  hone_tokenizer_section_t added_raw, added_normalized, added_frozen;  // hone_added_token_t
  hone_tokenizer_section_t added_text;                                 // bytes
  // Character classes (BYTES): class of code point c is 2 bits, see hone_class_t; block index[c >>
  // 8] of 64 bytes.
  hone_tokenizer_section_t class_index;   // uint8 (HONE_CLASS_BLOCKS) or nothing
  hone_tokenizer_section_t class_blocks;  // bytes, 64 per block
  // sentencepiece's normalization rules: a Darts double array (uint32) and the NUL-terminated
  // strings it points to.
  hone_tokenizer_section_t rule_units;    // uint32 or nothing
  hone_tokenizer_section_t rule_strings;  // bytes, the last one NUL
} hone_tokenizer_blob_t;

typedef enum hone_class {
  HONE_CLASS_OTHER = 0,
  HONE_CLASS_LETTER,  // \p{L}
  HONE_CLASS_NUMBER,  // \p{N}
  HONE_CLASS_SPACE,   // \s
} hone_class_t;
enum { HONE_CLASS_BLOCKS = 0x110000 >> 8, HONE_CLASS_BLOCK_BYTES = 64 };

// The two hash functions are part of the format. Both tables probe linearly and have at least one
// free slot.
static inline uint32_t hone_tokenizer_hash(const void *data,
                                           size_t bytes) {  // FNV-1a with a final mix
  const unsigned char *in = data;
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ in[i]) * 16777619u;
  hash ^= hash >> 15;
  hash *= 0x2c1b3c6du;
  return hash ^ (hash >> 12);
}

static inline uint32_t hone_tokenizer_pair_hash(uint32_t left, uint32_t right) {
  uint64_t key = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
  return (uint32_t)(key >> 32) ^ (uint32_t)(key >> 15);
}

#endif
