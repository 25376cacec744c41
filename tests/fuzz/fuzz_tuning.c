// Lines of an exported tuning database: any bytes give a record that is written and read back the
// same, or a message.
#include <stdlib.h>
#include <string.h>

#include "autotune/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(const hone_tuning_record_t *record, hone_arena_t *arena) {
  hone_buffer_t first = {0}, second = {0};
  hone_status_t status = {0};
  hone_tuning_record_t back;
  hone_tuning_record_write(record, &first);
  if (!hone_tuning_record_parse(first.data, first.bytes, arena, &back, &status)) abort();
  hone_tuning_record_write(&back, &second);
  if (first.bytes != second.bytes || memcmp(first.data, second.data, first.bytes)) abort();
  if (hone_evidence_prevails(&record->evidence, &back.evidence)) abort();
  hone_buffer_deinit(&first);
  hone_buffer_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  hone_arena_t *arena = hone_arena_create();
  hone_status_t status = {0};
  hone_tuning_record_t record;
  if (hone_tuning_record_parse((const char *)data, bytes, arena, &record, &status))
    check(&record, arena);
  else if (status.code == HONE_OK || !status.message[0])
    abort();
  hone_arena_destroy(arena);
  return 0;
}
