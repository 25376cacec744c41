// See gather.h.
#include "base/gather.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t PIECE_BYTES = 2u << 20;  // a huge page of x86-64

struct hone_gather {
  hone_output_t *output;
  uint8_t *piece;       // PIECE_BYTES: what lies at a multiple of that in the file
  uint64_t begin, end;  // of what was put and not written yet, within one piece
};

hone_gather_t *hone_gather_create(hone_output_t *output, uint64_t offset) {
  hone_gather_t *gather = calloc(1, sizeof *gather);
  if (gather) *gather = (hone_gather_t){output, malloc(PIECE_BYTES), offset, offset};
  if (!gather || !gather->piece) hone_out_of_memory();
  return gather;
}

bool hone_gather_flush(hone_gather_t *gather, hone_status_t *status) {
  uint64_t begin = gather->begin;
  gather->begin = gather->end;
  return hone_output_write_at(gather->output, begin, gather->piece + begin % PIECE_BYTES,
                              gather->end - begin, status);
}

// `data` NULL: zeros.
static bool append(hone_gather_t *gather, const uint8_t *data, uint64_t bytes,
                   hone_status_t *status) {
  while (bytes) {
    uint64_t place = gather->end % PIECE_BYTES, room = PIECE_BYTES - place;
    uint64_t count = bytes < room ? bytes : room;
    if (data) {
      memcpy(gather->piece + place, data, count);
      data += count;
    } else {
      memset(gather->piece + place, 0, count);
    }
    gather->end += count;
    bytes -= count;
    if (count == room && !hone_gather_flush(gather, status)) return false;
  }
  return true;
}

bool hone_gather_put(hone_gather_t *gather, uint64_t offset, const void *data, uint64_t bytes,
                     hone_status_t *status) {
  if (offset < gather->end)
    return hone_fail(status, HONE_INTERNAL, "byte %llu is put after byte %llu of the same file",
                     (unsigned long long)offset, (unsigned long long)gather->end);
  return append(gather, NULL, offset - gather->end, status) && append(gather, data, bytes, status);
}

void hone_gather_destroy(hone_gather_t *gather) {
  if (!gather) return;
  free(gather->piece);
  free(gather);
}
