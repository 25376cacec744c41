// See measured.h.
#include "autotune/measured.h"

#include "autotune/problem.h"

static bool read_problem(const hone_measured_database_t *source, const char *problem,
                         const char *isa, hone_arena_t *arena, hone_tuning_record_t **out_records,
                         size_t *out_count, hone_status_t *status) {
  const hone_tuning_key_t key = {
      .problem = problem, .isa = isa, .cpu = source->cpu, .compiler = source->compiler};
  return hone_database_get_problem(source->database, &key, arena, out_records, out_count, status);
}

static int compare(const hone_measured_t *a, const hone_measured_t *b) {
  if (a->M != b->M) return a->M < b->M ? -1 : 1;
  if (a->threads != b->threads) return a->threads < b->threads ? -1 : 1;
  if (a->family != b->family) return a->family < b->family ? -1 : 1;
  for (int i = 0; i < HONE_SCHEDULE_FIELD_COUNT; i++) {
    uint32_t x = hone_schedule_get(&a->schedule, (hone_schedule_field_t)i);
    uint32_t y = hone_schedule_get(&b->schedule, (hone_schedule_field_t)i);
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}

bool hone_measured_read(void *user, const char *problem, const char *isa, hone_arena_t *arena,
                        const hone_measured_t **out_rows, size_t *out_count,
                        hone_status_t *status) {
  const hone_measured_database_t *source = user;
  hone_tuning_record_t *records = NULL;
  size_t count = 0;
  if (!read_problem(source, problem, isa, arena, &records, &count, status)) return false;
  if (count == 0 && hone_text_starts(problem, "attend"))
    for (uint32_t position = hone_problem_position(UINT32_MAX); position && count == 0;
         position /= 2)
      if (!read_problem(source, hone_arena_format(arena, "%s position=%u", problem, position), isa,
                        arena, &records, &count, status))
        return false;
  hone_measured_t *rows = HONE_NEW_ARRAY(arena, hone_measured_t, count);
  *out_count = 0;
  for (size_t i = 0; i < count; i++) {
    const hone_tuning_record_t *record = &records[i];
    if (record->evidence.verdict != HONE_VERDICT_OK) continue;
    hone_measured_t row = {
        record->candidate.family, record->candidate.schedule, record->key.M,
        record->key.threads,      record->evidence.median_ns, record->evidence.mad_ns};
    size_t j = (*out_count)++;
    for (; j > 0 && compare(&rows[j - 1], &row) > 0; j--) rows[j] = rows[j - 1];
    rows[j] = row;
  }
  *out_rows = rows;
  return true;
}
