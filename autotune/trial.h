// What a measuring process does with a job: builds the candidates, runs each against plain sums and
// against the first right one, then measures them in turns. Kernels and operands of a problem stay
// for its next job. Thread rule: one thread; it has its own pool.
#ifndef HONE_AUTOTUNE_TRIAL_H
#define HONE_AUTOTUNE_TRIAL_H

#include "autotune/worker.h"

typedef struct hone_trial hone_trial_t;
hone_trial_t *hone_trial_create(void);
void hone_trial_destroy(hone_trial_t *trial);
hone_worker_job_fn hone_trial_run;  // user: the trial

#endif
