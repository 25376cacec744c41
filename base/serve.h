// The protocol between a compiled program run with `--serve` and hone's own tools (eval, bench,
// calibration): one request, one reply, over the program's standard input and output. Plain data,
// little-endian. This header is the whole protocol; the server is runtime/program_serve.c. It is
// not for networks: it trusts neither side's sizes, but has no secrets, no time limits and no
// versions beyond the one below.
//
// A frame is hone_serve_header_t and then `bytes` of payload. First the server sends a HELLO reply
// unasked (an error reply if the model cannot be opened; it then exits). After that the client
// sends a request and reads its reply, in turn. A reply repeats the request's kind; with code ==
// HONE_OK its payload is what the kind says, else it is the error message (UTF-8, no NUL). After an
// error the server goes on, except when a frame itself is malformed (unknown kind is not; bytes
// over HONE_SERVE_LIMIT is): then it replies and exits with 1. End of input between frames and QUIT
// end it with 0. Nothing else is ever written to standard output in this mode.
//
// Thread rule: types only.
#ifndef HONE_BASE_SERVE_H
#define HONE_BASE_SERVE_H

#include <stdint.h>

enum {
  HONE_SERVE_MAGIC = 0x56525348,  // "HSRV"
  HONE_SERVE_VERSION = 1,
  HONE_SERVE_LIMIT = 1 << 30,  // largest payload either way, in bytes
  HONE_SERVE_EOS_LIMIT = 16,
};

typedef enum hone_serve_kind {
  HONE_SERVE_HELLO = 1,     // reply: hone_serve_hello_t
  HONE_SERVE_INFO = 2,      // request: empty. reply: hone_serve_info_t
  HONE_SERVE_TOKENIZE = 3,  // request: hone_serve_tokenize_t, text. reply: int32 ids
  HONE_SERVE_FEED =
      4,  // request: hone_serve_feed_t, int32 ids. reply: hone_serve_fed_t, f32 (rows, vocab)
  HONE_SERVE_REWIND = 5,  // request: hone_serve_rewind_t. reply: empty
  HONE_SERVE_BANDWIDTH =
      6,                 // request: hone_serve_bandwidth_t. reply: hone_serve_bandwidth_result_t
  HONE_SERVE_BENCH = 7,  // request: hone_serve_bench_t. reply: hone_serve_bench_result_t
  HONE_SERVE_QUIT = 8,   // request: empty. reply: empty
} hone_serve_kind_t;

typedef struct hone_serve_header {
  uint32_t kind;   // hone_serve_kind_t
  uint32_t code;   // hone_code_t in replies, 0 in requests
  uint64_t bytes;  // of payload
} hone_serve_header_t;

typedef struct hone_serve_hello {
  uint32_t magic, version;
} hone_serve_hello_t;

typedef struct hone_serve_info {
  uint32_t vocab, width, layers, heads, kv_heads, head_dim;
  uint32_t context;        // positions this session has room for (--context)
  uint32_t model_context;  // positions the model was made for
  uint32_t window;         // sliding window, 0 = none
  uint32_t batch;          // tokens per step at most
  uint32_t threads;        // worker threads in use, the main one included
  uint32_t has_tokenizer;  // 1 or 0
  uint32_t add_bos;        // 1: TOKENIZE with add_special puts BOS in front
  int32_t bos;             // -1: none
  uint32_t eos_count;
  int32_t eos[HONE_SERVE_EOS_LIMIT];
  uint32_t reserved;
  uint64_t weight_bytes;  // whole weights section
  uint64_t token_bytes;   // weights read to decode one token (the embedding counts one row)
  uint64_t arena_bytes, cache_bytes;  // activations; KV cache of `context` positions
  char isa[16], family[32];           // NUL-terminated
} hone_serve_info_t;

typedef struct hone_serve_tokenize {
  uint32_t add_special;  // as in hone_model_tokenize
  uint32_t reserved;
} hone_serve_tokenize_t;

// Runs `count` ids at the current position; logits of the last `wanted` come back. On failure (a
// bad id, context full) the position is as before. wanted * vocab * 4 must stay below
// HONE_SERVE_LIMIT: split larger wishes.
typedef struct hone_serve_feed {
  uint32_t count, wanted;
} hone_serve_feed_t;

typedef struct hone_serve_fed {
  uint64_t elapsed_ns;  // of hone_session_feed alone: no pipe, no parsing
  uint32_t position;    // after the step
  uint32_t rows;        // == wanted
} hone_serve_fed_t;

typedef struct hone_serve_rewind {
  uint32_t position;  // <= current position
  uint32_t reserved;
} hone_serve_rewind_t;

// Measures how fast this machine reads memory: a vectorized sum over a buffer larger than its
// caches, several passes, the best pass counts. Reads the mapped weights if they are at least 256
// MB, else a private buffer of 1 GB (less where memory is short).
typedef struct hone_serve_bandwidth {
  uint32_t threads;  // 0: as many as the session uses
  uint32_t reserved;
} hone_serve_bandwidth_t;

typedef struct hone_serve_bandwidth_result {
  double bytes_per_second;
  uint64_t bytes;       // read per pass
  uint64_t elapsed_ns;  // of the best pass
  uint32_t threads;
  uint32_t from_weights;  // 1: the mapped weights, 0: a private buffer
} hone_serve_bandwidth_result_t;

// Rewinds to 0, feeds `prompt` fixed ids (one row of logits wanted), then `tokens` single ids, each
// with its logits; no sampling and no text. Leaves the session rewound to 0. prompt + tokens <=
// context.
typedef struct hone_serve_bench {
  uint32_t prompt, tokens;
} hone_serve_bench_t;

typedef struct hone_serve_bench_result {
  uint64_t prefill_ns, decode_ns;  // decode_ns is the sum over `tokens` steps
  uint64_t decode_best_ns;         // the fastest single step
} hone_serve_bench_result_t;

_Static_assert(sizeof(hone_serve_header_t) == 16, "wire format");
_Static_assert(sizeof(hone_serve_info_t) == 15 * 4 + 16 * 4 + 4 + 4 * 8 + 48, "wire format");
_Static_assert(sizeof(hone_serve_fed_t) == 16, "wire format");
_Static_assert(sizeof(hone_serve_bandwidth_result_t) == 32, "wire format");
_Static_assert(sizeof(hone_serve_bench_result_t) == 24, "wire format");

#endif
