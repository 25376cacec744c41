// The process's side of worker.h.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "autotune/worker_internal.h"

struct hone_worker_reporter {
  int fd;
};

bool hone_worker_read(int fd, void *data, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t got = read(fd, (char *)data + done, bytes - done);
    if (got > 0) done += (size_t)got;
    if (got == 0 || (got < 0 && errno != EINTR)) return false;
  }
  return true;
}

bool hone_worker_write(int fd, const void *data, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t put = write(fd, (const char *)data + done, bytes - done);
    if (put > 0) done += (size_t)put;
    if (put < 0 && errno != EINTR) return false;
  }
  return true;
}

static void send_message(hone_worker_reporter_t *reporter, hone_worker_message_t *message) {
  message->magic = HONE_WORKER_MAGIC;
  if (!hone_worker_write(reporter->fd, message, sizeof *message)) _exit(1);  // nobody listens
}

void hone_worker_alive(hone_worker_reporter_t *reporter, uint32_t candidate, const char *activity) {
  hone_worker_message_t message = {.kind = HONE_WORKER_ALIVE, .candidate = candidate};
  snprintf(message.text, sizeof message.text, "%s", activity);
  send_message(reporter, &message);
}

void hone_worker_report(hone_worker_reporter_t *reporter, uint32_t candidate,
                        const hone_evidence_t *evidence) {
  hone_worker_message_t message = {
      .kind = HONE_WORKER_RESULT, .candidate = candidate, .evidence = *evidence};
  send_message(reporter, &message);
}

int hone_worker_serve(int jobs_fd, int reports_fd, hone_worker_job_fn *run, void *user) {
  hone_worker_reporter_t reporter = {reports_fd};
  hone_worker_job_t job;
  while (hone_worker_read(jobs_fd, &job, sizeof job)) {
    if (job.magic != HONE_WORKER_MAGIC || job.bytes != sizeof job || job.count == 0 ||
        job.count > HONE_WORKER_CANDIDATES || memchr(job.isa, 0, sizeof job.isa) == NULL ||
        memchr(job.scratch, 0, sizeof job.scratch) == NULL)
      return 1;
    hone_status_t status = {0};
    hone_worker_message_t end = {.kind = HONE_WORKER_DONE};
    if (!run(user, &job, &reporter, &status)) {
      end.kind = HONE_WORKER_FAILED;
      end.code = status.code;
      snprintf(end.text, sizeof end.text, "%.*s", (int)sizeof end.text - 1, status.message);
    }
    send_message(&reporter, &end);
  }
  return 0;
}
