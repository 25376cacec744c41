// A disposable process that builds, checks and measures candidates. A candidate that crashes it,
// hangs it or eats its memory costs that process and gets a verdict; the search goes on with a new
// one. Both ends are one program, so jobs and reports go through pipes as plain structs of a fixed
// size: nothing in them has a length to believe in. Thread rule: one thread.
#ifndef HONE_AUTOTUNE_WORKER_H
#define HONE_AUTOTUNE_WORKER_H

#include <signal.h>

#include "autotune/problem.h"

enum { HONE_WORKER_CANDIDATES = 64, HONE_WORKER_PATH_BYTES = 256 };

// What to try: candidates of one problem, measured against each other.
typedef struct hone_worker_job {
  uint32_t magic, bytes;  // set by hone_worker_run
  hone_kernel_spec_t spec;
  char isa[16];
  char scratch[HONE_WORKER_PATH_BYTES];  // folder for temporary files; the caller's
  uint32_t M, threads, position, rows;   // rows: the largest M of the same problem
  uint64_t cold_bytes;                   // weights are taken from so many bytes of copies
  double sample_ns;                      // shortest time that is measured
  uint32_t rounds;                       // samples of the candidates that stay to the end
  uint32_t count;
  hone_candidate_t candidates[HONE_WORKER_CANDIDATES];
} hone_worker_job_t;

// ---- the side that asks
typedef struct hone_worker hone_worker_t;
typedef struct hone_worker_options {
  const char *const *command;                 // path and arguments of the worker, NULL at the end
  uint64_t memory_bytes;                      // of a worker; 0: no limit
  uint32_t patience_ms;                       // without a sign of life; 0: a minute
  const volatile sig_atomic_t *is_cancelled;  // NULL: never
} hone_worker_options_t;

hone_worker_t *hone_worker_create(const hone_worker_options_t *options);
void hone_worker_destroy(hone_worker_t *worker);  // NULL is fine; kills its process
// Tries the job's candidates; out_evidence (job->count). The process lives on for the next job.
// False only if nothing could be tried: HONE_CANCELLED, or what the job's own failure is.
HONE_MUST_CHECK bool hone_worker_run(hone_worker_t *worker, hone_worker_job_t *job,
                                     hone_evidence_t *out_evidence, hone_status_t *status);

// ---- the process
typedef struct hone_worker_reporter hone_worker_reporter_t;
// A sign of life: the candidate that is worked on from now, and how ("built", "checked",
// "measured").
void hone_worker_alive(hone_worker_reporter_t *reporter, uint32_t candidate, const char *activity);
void hone_worker_report(hone_worker_reporter_t *reporter, uint32_t candidate,
                        const hone_evidence_t *evidence);
// Does one job: reports on every candidate. False: the job cannot be done at all.
typedef bool hone_worker_job_fn(void *user, const hone_worker_job_t *job,
                                hone_worker_reporter_t *reporter, hone_status_t *status);
// Serves jobs until the other side is gone. Returns the exit code.
int hone_worker_serve(int jobs_fd, int reports_fd, hone_worker_job_fn *run, void *user);

#endif
