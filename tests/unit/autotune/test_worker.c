// Candidates that crash, hang, eat memory or leave cost their process and get a verdict; the others
// come out as if nothing had been. This program is its own worker: what a candidate does is its
// schedule's `tokens`.
#include "autotune/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/autotune/fixture.h"

enum { FINE = 1, CRASH, HANG, EAT, LEAVE, WRONG, TALK, STALL_JOB, FAIL_JOB };
static const char *self;

static void misbehave(uint32_t kind, hone_worker_reporter_t *reporter, uint32_t i) {
  signal(SIGSEGV, SIG_DFL);  // a sanitizer would make an exit of it
  if (kind == CRASH) raise(SIGSEGV);
  if (kind == HANG)
    for (;;) pause();
  if (kind == LEAVE) _exit(3);
  if (kind == EAT) {
    uint8_t *memory = malloc((size_t)1 << 44);
    if (!memory) abort();
    for (size_t at = 0;; at += 4096) memory[at] = 1;
  }
  for (int n = 0; kind == TALK && n < 200; n++) {  // signs of life for longer than the patience
    hone_worker_alive(reporter, i, "measured");
    usleep(5000);
  }
}

static bool do_job(void *user, const hone_worker_job_t *job, hone_worker_reporter_t *reporter,
                   hone_status_t *status) {
  (void)user;
  if (job->candidates[0].schedule.tokens == FAIL_JOB)
    return hone_fail(status, HONE_EXHAUSTED, "no memory for a test");
  if (job->candidates[0].schedule.tokens == STALL_JOB)
    for (;;) pause();
  for (uint32_t i = 0; i < job->count; i++) {
    uint32_t kind = job->candidates[i].schedule.tokens;
    hone_worker_alive(reporter, i, "checked");
    misbehave(kind, reporter, i);
    hone_evidence_t evidence = {.samples = 3,
                                .median_ns = 10.0 * job->candidates[i].schedule.unroll};
    if (kind == WRONG) hone_evidence_reject(&evidence, HONE_VERDICT_WRONG, "row 1 is 2");
    hone_worker_report(reporter, i, &evidence);
  }
  return true;
}

static hone_worker_t *start(const volatile sig_atomic_t *is_cancelled) {
  static const char *command[3];
  command[0] = self, command[1] = "--worker", command[2] = NULL;
  const hone_worker_options_t options = {.command = command,
                                         .memory_bytes = (uint64_t)1 << 30,
                                         .patience_ms = 500,
                                         .is_cancelled = is_cancelled};
  return hone_worker_create(&options);
}

static hone_worker_job_t job_of(const uint32_t *kinds, uint32_t count) {
  hone_worker_job_t job = {.count = count, .M = 1, .threads = 1};
  for (uint32_t i = 0; i < count; i++) {
    job.candidates[i].schedule.tokens = kinds[i];
    job.candidates[i].schedule.unroll = i + 1;
  }
  return job;
}

static void test_verdicts(void **state) {
  (void)state;
  static const uint32_t kinds[] = {FINE, CRASH, FINE, HANG, EAT, LEAVE, WRONG, FINE, TALK};
  enum { COUNT = sizeof kinds / sizeof *kinds };
  static const hone_verdict_t verdicts[COUNT] = {
      HONE_VERDICT_OK,      HONE_VERDICT_CRASHED, HONE_VERDICT_OK,
      HONE_VERDICT_TIMEOUT, HONE_VERDICT_CRASHED, HONE_VERDICT_CRASHED,
      HONE_VERDICT_WRONG,   HONE_VERDICT_OK,      HONE_VERDICT_OK};
  hone_status_t status = {0};
  hone_evidence_t evidence[COUNT];
  hone_worker_job_t job = job_of(kinds, COUNT);
  hone_worker_t *worker = start(NULL);
  for (int again = 0; again < 2; again++) {  // the last process serves the next job
    assert_works(hone_worker_run(worker, &job, evidence, &status), &status);
    for (uint32_t i = 0; i < COUNT; i++) {
      if (evidence[i].verdict != verdicts[i])
        fail_msg("candidate %u: %s (%s)", i, hone_verdict_name(evidence[i].verdict),
                 evidence[i].reason);
      if (verdicts[i] == HONE_VERDICT_OK) assert_true(evidence[i].median_ns == 10.0 * (i + 1));
    }
    assert_string_equal(evidence[1].reason, "signal 11 while it was checked");
    assert_string_equal(evidence[3].reason, "no end within 500 ms while it was checked");
    assert_string_equal(evidence[5].reason, "exit 3 while it was checked");
    assert_string_equal(evidence[6].reason, "row 1 is 2");
  }
  hone_worker_destroy(worker);
}

// What is no candidate's fault is the job's.
static void test_job_fails(void **state) {
  (void)state;
  hone_status_t status = {0};
  hone_evidence_t evidence[1];
  hone_worker_t *worker = start(NULL);
  hone_worker_job_t job = job_of((const uint32_t[]){FAIL_JOB}, 1);
  assert_fails(hone_worker_run(worker, &job, evidence, &status), &status, HONE_EXHAUSTED,
               "no memory for a test");
  job = job_of((const uint32_t[]){STALL_JOB}, 1);
  assert_fails(hone_worker_run(worker, &job, evidence, &status), &status, HONE_EXHAUSTED,
               "hung before it came to a candidate");
  job = job_of((const uint32_t[]){FINE}, 1);
  assert_works(hone_worker_run(worker, &job, evidence, &status), &status);
  hone_worker_destroy(worker);

  static const char *const nothing[] = {"/no/such/program", NULL};
  worker = hone_worker_create(&(hone_worker_options_t){.command = nothing});
  assert_fails(hone_worker_run(worker, &job, evidence, &status), &status, HONE_EXHAUSTED,
               "died before it came to a candidate");
  hone_worker_destroy(worker);
}

static void test_cancelled(void **state) {
  (void)state;
  static volatile sig_atomic_t is_cancelled = 1;
  hone_status_t status = {0};
  hone_evidence_t evidence[1];
  hone_worker_t *worker = start(&is_cancelled);
  hone_worker_job_t job = job_of((const uint32_t[]){HANG}, 1);
  assert_fails(hone_worker_run(worker, &job, evidence, &status), &status, HONE_CANCELLED,
               "interrupted");
  hone_worker_destroy(worker);
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc > 1 && !strcmp(argv[1], "--worker"))
    return hone_worker_serve(STDIN_FILENO, STDOUT_FILENO, do_job, NULL);
  self = argv[0];
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts),
                                     cmocka_unit_test(test_job_fails),
                                     cmocka_unit_test(test_cancelled)};
  return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
