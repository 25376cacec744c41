// The merge engine of both tokenizer kinds: joins neighbouring symbols, always the pair of the
// lowest rank and of those the leftmost, until no pair is in the merge table. It knows ids only,
// nothing of text.
//
// Short words are scanned again after every merge; longer ones keep the candidates in a heap of
// (rank, index). A heap entry is stale once its pair changed: then the pair at that index has
// another rank (pairs only ever grow, so it never comes back), or the same rank, in which case the
// new pair has an equal entry and the order is the same. O(n log n).
#include "runtime/tokenizer_internal.h"

enum { SHORT_WORD = 24 };
#define NONE UINT32_MAX

static uint32_t merge_find(const hone_tokenizer_t *tokenizer, uint32_t left, uint32_t right) {
  if (tokenizer->merges == NULL || ((left | right) & HONE_SYMBOL_FROZEN)) return NONE;
  uint32_t at = hone_tokenizer_pair_hash(left, right);
  for (;; at++) {
    const hone_merge_t *merge = &tokenizer->merges[at & tokenizer->merge_mask];
    if (merge->left == HONE_TOKENIZER_EMPTY) return NONE;
    if (merge->left == left && merge->right == right) return at & tokenizer->merge_mask;
  }
}

// Replaces symbol i and its right neighbour by what they merge to, and looks up the two pairs that
// this makes.
static void symbols_join(hone_encoder_t *encoder, uint32_t i) {
  const hone_tokenizer_t *tokenizer = encoder->tokenizer;
  hone_symbol_t *symbols = encoder->symbols, *left = &symbols[i], *right = &symbols[left->next];
  left->id = tokenizer->merges[left->merge].id;
  left->next = right->next;
  right->merge = NONE;
  left->merge = NONE;
  if (left->next != NONE) {
    symbols[left->next].previous = i;
    left->merge = merge_find(tokenizer, left->id, symbols[left->next].id);
  }
  if (left->previous != NONE) {
    hone_symbol_t *before = &symbols[left->previous];
    before->merge = merge_find(tokenizer, before->id, left->id);
  }
}

static void merge_short(hone_encoder_t *encoder) {
  const hone_symbol_t *symbols = encoder->symbols;
  for (;;) {
    uint32_t best = NONE, best_rank = 0;
    for (uint32_t i = 0; i != NONE; i = symbols[i].next) {
      if (symbols[i].merge == NONE) continue;
      uint32_t rank = encoder->tokenizer->merges[symbols[i].merge].rank;
      if (best == NONE || rank < best_rank) {
        best = i;
        best_rank = rank;
      }
    }
    if (best == NONE) return;
    symbols_join(encoder, best);
  }
}

static void queue_sift_down(uint64_t *queue, size_t count, size_t at) {
  uint64_t key = queue[at];
  for (;;) {
    size_t child = at * 2 + 1;
    if (child >= count) break;
    if (child + 1 < count && queue[child + 1] < queue[child]) child++;
    if (key <= queue[child]) break;
    queue[at] = queue[child];
    at = child;
  }
  queue[at] = key;
}

static bool queue_push(hone_encoder_t *encoder, uint32_t i) {
  uint32_t merge = encoder->symbols[i].merge;
  if (merge == NONE) return true;
  if (!hone_tokenizer_reserve(&encoder->queue, &encoder->queue_capacity, encoder->queue_count + 1,
                              sizeof *encoder->queue, encoder->status)) {
    return false;
  }
  uint64_t *queue = encoder->queue,
           key = (uint64_t)encoder->tokenizer->merges[merge].rank << 32 | i;
  size_t at = encoder->queue_count++;
  for (; at > 0 && key < queue[(at - 1) / 2]; at = (at - 1) / 2) queue[at] = queue[(at - 1) / 2];
  queue[at] = key;
  return true;
}

static uint64_t queue_pop(hone_encoder_t *encoder) {
  uint64_t *queue = encoder->queue, key = queue[0];
  queue[0] = queue[--encoder->queue_count];
  if (encoder->queue_count > 0) queue_sift_down(queue, encoder->queue_count, 0);
  return key;
}

static bool merge_long(hone_encoder_t *encoder) {
  encoder->queue_count = 0;
  for (uint32_t i = 0; i < encoder->symbol_count; i++) {
    if (!queue_push(encoder, i)) return false;
  }
  while (encoder->queue_count > 0) {
    uint64_t key = queue_pop(encoder);
    uint32_t i = (uint32_t)key, merge = encoder->symbols[i].merge;
    if (merge == NONE || encoder->tokenizer->merges[merge].rank != key >> 32) continue;  // stale
    symbols_join(encoder, i);
    if (!queue_push(encoder, i)) return false;
    uint32_t previous = encoder->symbols[i].previous;
    if (previous != NONE && !queue_push(encoder, previous)) return false;
  }
  return true;
}

bool hone_encoder_merge(hone_encoder_t *encoder) {
  hone_symbol_t *symbols = encoder->symbols;
  size_t count = encoder->symbol_count;
  for (uint32_t i = 0; i < count; i++) {
    symbols[i].previous = i == 0 ? NONE : i - 1;
    symbols[i].next = i + 1 == count ? NONE : i + 1;
    symbols[i].merge =
        i + 1 == count ? NONE : merge_find(encoder->tokenizer, symbols[i].id, symbols[i + 1].id);
  }
  if (count > SHORT_WORD) return merge_long(encoder);
  if (count > 1) merge_short(encoder);
  return true;
}
