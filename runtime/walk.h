// Walking a model block by block, outside of any conversation: the caller carries the activations
// from block to block and sees what enters every linear. Calibration and block scoring are made of
// it: many windows of text can pass one block before the next one is touched, so that memory is
// about one block whatever the model. Not installed. Thread rule: the session's.
#ifndef HONE_RUNTIME_WALK_H
#define HONE_RUNTIME_WALK_H

#include "base/artefact.h"
#include "hone/hone.h"

typedef struct hone_walk_block {
  const char *name;  // "layers.3.attention"; lives as long as the model
  size_t name_bytes;
  uint32_t begin, end;  // launches
  bool is_first, is_head;
} hone_walk_block_t;

// The blocks in order: the embedding first, the head last.
uint32_t hone_walk_count(const hone_session_t *session);
bool hone_walk_at(const hone_session_t *session, uint32_t index, hone_walk_block_t *out_block);
// The weight of the block's last launch, whose output is added to the stream; NULL: it is no
// linear.
const char *hone_walk_last(const hone_session_t *session, uint32_t index);
uint32_t hone_walk_batch(const hone_session_t *session,
                         const hone_walk_block_t *block);  // most rows
uint32_t hone_walk_width(const hone_session_t *session);   // columns of the stream

// Called with the input rows of each linear before it runs: `tensor` is its weight's name, row m
// begins at rows + m * stride, K columns count.
typedef void hone_walk_tap_fn(void *user, const char *tensor, const float *rows, size_t stride,
                              uint32_t M, uint32_t K);

// Runs a block on M <= batch rows that stand at `position` of their window: stream (M, width) holds
// its input (the first block: nothing, it takes `ids`) and then its output. The KV cache of the
// block's layer must hold the window's earlier rows: walk a window's rows in order, one window
// after the other. The head's last linear is tapped, not run. Activations must be f32
// (HONE_UNSUPPORTED).
HONE_MUST_CHECK bool hone_walk_run(hone_session_t *session, const hone_walk_block_t *block,
                                   uint32_t position, uint32_t M, const int32_t *ids, float *stream,
                                   hone_walk_tap_fn *tap, void *user, hone_status_t *status);

// After hone_walk_run of the head on M rows: runs its last linear, too. logits (M, vocabulary).
HONE_MUST_CHECK bool hone_walk_logits(hone_session_t *session, const hone_walk_block_t *head,
                                      uint32_t M, float *logits, hone_status_t *status);

// The packed bytes of a tensor of a model opened with is_private, to be changed before a block is
// run; false: no such tensor.
bool hone_walk_tensor(hone_session_t *session, const char *name, hone_tensor_t *out_tensor,
                      uint8_t **out_bytes);

// Undoes all changes to weights, and gives the memory of weights read so far back to the system;
// they are read again when needed.
void hone_walk_release(hone_session_t *session);

#endif
