// The asking side of worker.h: starts processes, watches them, and says who is to blame.
#include "autotune/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "autotune/worker_internal.h"

enum { PATIENCE_MS = 60000, GLANCE_MS = 100 };

struct hone_worker {
  hone_worker_options_t options;
  pid_t pid;  // 0: none
  int jobs, reports;
};

hone_worker_t *hone_worker_create(const hone_worker_options_t *options) {
  hone_worker_t *worker = calloc(1, sizeof *worker);
  if (!worker) hone_out_of_memory();
  worker->options = *options;
  if (worker->options.patience_ms == 0) worker->options.patience_ms = PATIENCE_MS;
  return worker;
}

// Between fork and exec: system calls only. It dies with its parent, leaves no core, and has its
// standard input and output for the pipes; what LLVM prints while it dies is nobody's to read.
static void become_worker(const hone_worker_options_t *options, int jobs, int reports) {
  const struct rlimit no_core = {0, 0}, memory = {options->memory_bytes, options->memory_bytes};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setrlimit(RLIMIT_CORE, &no_core);
#ifndef __SANITIZE_ADDRESS__  // its shadow needs terabytes of address space
  if (options->memory_bytes) setrlimit(RLIMIT_AS, &memory);
#else
  (void)memory;
#endif
  int nowhere = open("/dev/null", O_WRONLY);
  if (dup2(jobs, STDIN_FILENO) < 0 || dup2(reports, STDOUT_FILENO) < 0 ||
      dup2(nowhere, STDERR_FILENO) < 0)
    _exit(127);
  signal(SIGINT, SIG_IGN);  // Ctrl-C is the parent's to handle
  execv(options->command[0], (char *const *)options->command);
  _exit(127);
}

static bool start(hone_worker_t *worker, hone_status_t *status) {
  int jobs[2], reports[2];
  if (worker->pid) return true;
  if (pipe2(jobs, O_CLOEXEC)) return hone_fail(status, HONE_IO, "pipe: %s", strerror(errno));
  if (pipe2(reports, O_CLOEXEC)) {
    close(jobs[0]), close(jobs[1]);
    return hone_fail(status, HONE_IO, "pipe: %s", strerror(errno));
  }
  pid_t pid = fork();
  if (pid == 0) become_worker(&worker->options, jobs[0], reports[1]);
  int error = errno;
  close(jobs[0]), close(reports[1]);
  if (pid < 0) {
    close(jobs[1]), close(reports[0]);
    return hone_fail(status, HONE_EXHAUSTED, "cannot start a process: %s", strerror(error));
  }
  worker->pid = pid, worker->jobs = jobs[1], worker->reports = reports[0];
  return true;
}

// Kills what is left of the process and says what it died of.
static void stop(hone_worker_t *worker, char out_death[64]) {
  int result = 0;
  if (!worker->pid) return;
  // Who closed its pipe is ending: its own end tells more than ours.
  for (int i = 0; i < 20 && out_death && waitpid(worker->pid, &result, WNOHANG) == 0; i++)
    poll(NULL, 0, 10);
  if (!out_death || waitpid(worker->pid, &result, WNOHANG) == 0) {
    kill(worker->pid, SIGKILL);
    while (waitpid(worker->pid, &result, 0) < 0 && errno == EINTR) continue;
  }
  close(worker->jobs), close(worker->reports);
  worker->pid = 0;
  if (!out_death) return;
  if (WIFSIGNALED(result))
    snprintf(out_death, 64, "signal %d", WTERMSIG(result));
  else
    snprintf(out_death, 64, "exit %d", WEXITSTATUS(result));
}

void hone_worker_destroy(hone_worker_t *worker) {
  if (!worker) return;
  stop(worker, NULL);
  free(worker);
}

static bool is_cancelled(const hone_worker_t *worker) {
  return worker->options.is_cancelled && *worker->options.is_cancelled;
}

typedef enum outcome { GOT_MESSAGE, DIED, HUNG, CANCELLED } outcome_t;

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// A message is written at once (it is shorter than PIPE_BUF), so it is there whole or not at all.
_Static_assert(sizeof(hone_worker_message_t) <= 4096, "one write to a pipe is atomic");

static outcome_t await(hone_worker_t *worker, hone_worker_message_t *message) {
  int64_t end = now_ms() + worker->options.patience_ms;
  struct pollfd poller = {.fd = worker->reports, .events = POLLIN};
  for (;;) {
    if (is_cancelled(worker)) return CANCELLED;
    int64_t left = end - now_ms();
    if (left <= 0) return HUNG;
    if (poll(&poller, 1, (int)(left < GLANCE_MS ? left : GLANCE_MS)) <= 0) continue;
    if (!hone_worker_read(worker->reports, message, sizeof *message)) return DIED;
    return message->magic == HONE_WORKER_MAGIC ? GOT_MESSAGE : DIED;
  }
}

// One attempt at those of the job's candidates that have no verdict yet.
typedef struct attempt {
  hone_worker_job_t job;
  uint32_t origin[HONE_WORKER_CANDIDATES];  // index in the whole job
  hone_evidence_t *evidence;                // of the whole job
  bool *has_verdict;
  int64_t current;  // origin of the candidate that is worked on, -1: none
  char activity[HONE_WORKER_TEXT_BYTES];
} attempt_t;

static bool choose(const hone_worker_job_t *job, attempt_t *attempt) {
  attempt->job = *job;
  attempt->job.count = 0;
  attempt->current = -1;
  for (uint32_t i = 0; i < job->count; i++) {
    if (attempt->has_verdict[i]) continue;
    attempt->origin[attempt->job.count] = i;
    attempt->job.candidates[attempt->job.count++] = job->candidates[i];
  }
  return attempt->job.count > 0;
}

static void note_message(attempt_t *attempt, const hone_worker_message_t *message) {
  if (message->candidate >= attempt->job.count) return;
  uint32_t origin = attempt->origin[message->candidate];
  if (message->kind == HONE_WORKER_ALIVE) {
    attempt->current = origin;
    snprintf(attempt->activity, sizeof attempt->activity, "%.*s", (int)sizeof attempt->activity - 1,
             message->text);
  } else {
    attempt->evidence[origin] = message->evidence;
    attempt->evidence[origin].reason[HONE_REASON_BYTES - 1] = '\0';
    attempt->has_verdict[origin] = true;
    attempt->current = -1;
  }
}

// The candidate that was worked on gets the blame; false if there was none.
static bool blame(hone_worker_t *worker, attempt_t *attempt, outcome_t outcome,
                  hone_status_t *status) {
  char death[64] = "";
  stop(worker, outcome == DIED ? death : NULL);
  if (attempt->current < 0)
    return hone_fail(status, HONE_EXHAUSTED,
                     "the measuring process %s before it came to a candidate%s%s",
                     outcome == DIED ? "died" : "hung", *death ? ": " : "", death);
  hone_evidence_t *evidence = &attempt->evidence[attempt->current];
  if (outcome == HUNG)
    hone_evidence_reject(evidence, HONE_VERDICT_TIMEOUT, "no end within %u ms while it was %.40s",
                         worker->options.patience_ms, attempt->activity);
  else
    hone_evidence_reject(evidence, HONE_VERDICT_CRASHED, "%s while it was %.40s", death,
                         attempt->activity);
  attempt->has_verdict[attempt->current] = true;
  return true;
}

// Every candidate must come out with a verdict.
static bool check_complete(const attempt_t *attempt, hone_status_t *status) {
  for (uint32_t i = 0; i < attempt->job.count; i++)
    if (!attempt->has_verdict[attempt->origin[i]])
      return hone_fail(status, HONE_INTERNAL, "the measuring process forgot a candidate");
  return true;
}

static bool run_attempt(hone_worker_t *worker, attempt_t *attempt, hone_status_t *status) {
  hone_worker_message_t message;
  if (!start(worker, status)) return false;
  if (!hone_worker_write(worker->jobs, &attempt->job, sizeof attempt->job))
    return blame(worker, attempt, DIED, status);
  for (;;) {
    outcome_t outcome = await(worker, &message);
    if (outcome == CANCELLED) {
      stop(worker, NULL);
      return hone_fail(status, HONE_CANCELLED, "interrupted");
    }
    if (outcome != GOT_MESSAGE) return blame(worker, attempt, outcome, status);
    if (message.kind == HONE_WORKER_DONE) return check_complete(attempt, status);
    if (message.kind == HONE_WORKER_FAILED) {
      message.text[HONE_WORKER_TEXT_BYTES - 1] = '\0';
      hone_code_t code = message.code > HONE_OK && message.code <= HONE_INTERNAL
                             ? (hone_code_t)message.code
                             : HONE_INTERNAL;
      return hone_fail(status, code, "%s", message.text);
    }
    note_message(attempt, &message);
  }
}

bool hone_worker_run(hone_worker_t *worker, hone_worker_job_t *job, hone_evidence_t *out_evidence,
                     hone_status_t *status) {
  bool has_verdict[HONE_WORKER_CANDIDATES] = {0};
  attempt_t *attempt = calloc(1, sizeof *attempt);
  if (!attempt) hone_out_of_memory();
  attempt->evidence = out_evidence;
  attempt->has_verdict = has_verdict;
  job->magic = HONE_WORKER_MAGIC;
  job->bytes = sizeof *job;
  bool ok = true;
  while (ok && choose(job, attempt)) ok = run_attempt(worker, attempt, status);  // each settles one
  free(attempt);
  return ok;
}
