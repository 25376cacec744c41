// Sessions over the toy model: batches, wanted rows, rewind, context limit, cancel, sampling,
// threads.
#include "tests/unit/runtime/toy.h"

typedef struct fixture {
  toy_t toy;
  hone_model_t *model;
  hone_session_t *session;
  hone_status_t status;
} fixture_t;

static const int32_t IDS[] = {3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 3, 2};
enum { COUNT = sizeof IDS / sizeof *IDS };

static void open_session(fixture_t *f, const hone_session_options_t *options) {
  if (!hone_session_create(f->model, options, &f->session, &f->status))
    fail_msg("%s", f->status.message);
}

static int setup(void **state) {
  fixture_t *f = calloc(1, sizeof *f);
  toy_create(&f->toy);
  f->model = toy_open(&f->toy);
  open_session(f, &(hone_session_options_t){.threads = 1});
  toy_cancel_session = NULL;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture_t *f = *state;
  hone_session_destroy(f->session);
  hone_model_close(f->model);
  toy_destroy(&f->toy);
  free(f);
  return 0;
}

static void feed(fixture_t *f, const int32_t *ids, size_t count, size_t wanted, float *logits) {
  if (!hone_session_feed(f->session, ids, count, wanted, logits, &f->status))
    fail_msg("%s", f->status.message);
}

static int peak(const float *row) {
  int best = 0;
  for (int v = 1; v < TOY_VOCAB; ++v) best = row[v] > row[best] ? v : best;
  return best;
}

static void logits_are_right_for_any_split(void **state) {
  fixture_t *f = *state;
  float logits[COUNT * TOY_VOCAB];
  for (size_t first = 0; first <= COUNT; ++first) {
    for (size_t wanted = 0; wanted <= COUNT - first; ++wanted) {
      hone_session_rewind(f->session, 0);
      feed(f, IDS, first, 0, NULL);
      memset(logits, 0, sizeof logits);
      feed(f, IDS + first, COUNT - first, wanted, logits);
      assert_int_equal(hone_session_position(f->session), COUNT);
      for (size_t i = 0; i < wanted; ++i) {
        assert_int_equal(peak(logits + i * TOY_VOCAB),
                         toy_expected(&f->toy, IDS, COUNT - wanted + i + 1));
      }
      if (wanted < COUNT) assert_true(logits[wanted * TOY_VOCAB] == 0);
    }
  }
}

static void head_runs_for_wanted_rows_only(void **state) {
  fixture_t *f = *state;
  toy_head_calls = toy_body_calls = 0;
  feed(f, IDS, COUNT, 3, NULL);
  assert_int_equal(toy_head_calls, 3);
  assert_int_equal(toy_body_calls, (COUNT + TOY_BATCH - 1) / TOY_BATCH);
}

static void rope_table_is_filled(void **state) {
  fixture_t *f = *state;
  feed(f, IDS, 5, 0, NULL);
  feed(f, IDS, 2, 0, NULL);
  for (int row = 0; row < 2; ++row) {
    for (int i = 0; i < TOY_HEAD_DIM / 2; ++i) {
      double angle = (5 + row) * f->toy.plan.rope[i];
      assert_true(toy_rope_seen[row * TOY_HEAD_DIM + i] == (float)(cos(angle) * 0.5));
      assert_true(toy_rope_seen[row * TOY_HEAD_DIM + TOY_HEAD_DIM / 2 + i] ==
                  (float)(sin(angle) * 0.5));
    }
  }
}

static void rewind_forgets(void **state) {
  fixture_t *f = *state;
  float row[TOY_VOCAB];
  feed(f, IDS, 10, 0, NULL);
  hone_session_rewind(f->session, 20);  // ahead: nothing
  assert_int_equal(hone_session_position(f->session), 10);
  hone_session_rewind(f->session, 6);
  feed(f, IDS + 11, 2, 1, row);
  int32_t seen[] = {IDS[0], IDS[1], IDS[2], IDS[3], IDS[4], IDS[5], IDS[11], IDS[12]};
  assert_int_equal(peak(row), toy_expected(&f->toy, seen, 8));
}

static void context_limit_is_a_message(void **state) {
  fixture_t *f = *state;
  float row[TOY_VOCAB];
  hone_session_destroy(f->session);
  open_session(f, &(hone_session_options_t){.context = 9, .threads = 1});
  feed(f, IDS, 7, 0, NULL);
  assert_false(hone_session_feed(f->session, IDS + 7, 3, 1, row, &f->status));
  assert_int_equal(f->status.code, HONE_EXHAUSTED);
  assert_non_null(strstr(f->status.message, "the context of 9 tokens is full"));
  assert_int_equal(hone_session_position(f->session), 7);
  feed(f, IDS + 7, 2, 1, row);
  assert_int_equal(peak(row), toy_expected(&f->toy, IDS, 9));
  hone_session_t *session;
  f->status = (hone_status_t){0};
  hone_session_options_t options = {.context = TOY_CONTEXT + 1};
  assert_false(hone_session_create(f->model, &options, &session, &f->status));
  assert_non_null(strstr(f->status.message, "more than the model's 32"));
}

static void bad_requests_are_refused(void **state) {
  fixture_t *f = *state;
  int32_t bad[] = {3, TOY_VOCAB}, negative = -1, id;
  assert_false(hone_session_feed(f->session, bad, 2, 1, NULL, &f->status));
  assert_non_null(strstr(f->status.message, "token id 50 is outside the vocabulary of 50"));
  f->status = (hone_status_t){0};
  assert_false(hone_session_feed(f->session, &negative, 1, 1, NULL, &f->status));
  f->status = (hone_status_t){0};
  assert_false(hone_session_feed(f->session, IDS, 1, 2, NULL, &f->status));
  assert_int_equal(hone_session_position(f->session), 0);
  f->status = (hone_status_t){0};
  assert_false(hone_session_sample(f->session, &(hone_sampling_t){0}, &id, &f->status));
  assert_non_null(strstr(f->status.message, "no logits"));
  feed(f, IDS, 3, 1, NULL);
  static const hone_sampling_t samplings[] = {
      {-1, 0, 0}, {0.001f, 0, 0}, {NAN, 0, 0}, {1, 1.5f, 0}, {1, NAN, 0}};
  for (size_t i = 0; i < sizeof samplings / sizeof *samplings; ++i) {
    f->status = (hone_status_t){0};
    assert_false(hone_session_sample(f->session, &samplings[i], &id, &f->status));
    assert_int_equal(f->status.code, HONE_INVALID);
  }
}

static void cancel_stops_and_restores(void **state) {
  fixture_t *f = *state;
  float row[TOY_VOCAB];
  feed(f, IDS, 2, 0, NULL);
  toy_cancel_session = f->session;  // from inside the second batch
  assert_false(hone_session_feed(f->session, IDS + 2, 11, 1, row, &f->status));
  assert_int_equal(f->status.code, HONE_CANCELLED);
  assert_int_equal(hone_session_position(f->session), 2);
  toy_cancel_session = NULL;
  feed(f, IDS + 2, 11, 1, row);
  assert_int_equal(peak(row), toy_expected(&f->toy, IDS, COUNT));
  hone_session_cancel(f->session);  // while nothing runs: the next call
  f->status = (hone_status_t){0};
  assert_false(hone_session_feed(f->session, IDS, 1, 1, row, &f->status));
  assert_int_equal(f->status.code, HONE_CANCELLED);
}

static void sampling_is_greedy_or_repeatable(void **state) {
  fixture_t *f = *state;
  int32_t first[20], again[20], other[20], id;
  feed(f, IDS, 4, 1, NULL);
  assert_true(hone_session_sample(f->session, &(hone_sampling_t){0}, &id, &f->status));
  assert_int_equal(id, toy_expected(&f->toy, IDS, 4));
  int32_t *runs[] = {first, again, other};
  for (int run = 0; run < 3; ++run) {
    hone_sampling_t sampling = {.temperature = 3, .top_p = 0.9f, .seed = run == 2 ? 6 : 5};
    hone_session_rewind(f->session, 0);  // also starts the random numbers over
    feed(f, IDS, 4, 1, NULL);
    for (int i = 0; i < 20; ++i) {
      assert_true(hone_session_sample(f->session, &sampling, &runs[run][i], &f->status));
    }
  }
  assert_memory_equal(first, again, sizeof first);
  assert_memory_not_equal(first, other, sizeof first);
}

static void threads_give_the_same(void **state) {
  fixture_t *f = *state;
  float one[COUNT * TOY_VOCAB], many[COUNT * TOY_VOCAB];
  feed(f, IDS, COUNT, COUNT, one);
  hone_session_destroy(f->session);
  open_session(f, &(hone_session_options_t){.threads = 5});
  feed(f, IDS, COUNT, COUNT, many);
  assert_memory_equal(one, many, sizeof one);
  hone_session_destroy(f->session);
  open_session(f, NULL);
}

static void sessions_are_independent(void **state) {
  fixture_t *f = *state;
  hone_session_t *second;
  float row[TOY_VOCAB];
  assert_true(
      hone_session_create(f->model, &(hone_session_options_t){.threads = 1}, &second, &f->status));
  feed(f, IDS, 5, 0, NULL);
  assert_true(hone_session_feed(second, IDS + 3, 4, 1, row, &f->status));
  assert_int_equal(peak(row), toy_expected(&f->toy, IDS + 3, 4));
  feed(f, IDS + 5, 1, 1, row);
  assert_int_equal(peak(row), toy_expected(&f->toy, IDS, 6));
  hone_session_destroy(second);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(logits_are_right_for_any_split), TEST(head_runs_for_wanted_rows_only),
      TEST(rope_table_is_filled),           TEST(rewind_forgets),
      TEST(context_limit_is_a_message),     TEST(bad_requests_are_refused),
      TEST(cancel_stops_and_restores),      TEST(sampling_is_greedy_or_repeatable),
      TEST(threads_give_the_same),          TEST(sessions_are_independent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
