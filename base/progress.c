// Progress bar. Threads add to an atomic counter; whoever comes by after the interval and gets the
// pen draws.
#include "base/progress.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

enum { INTERVAL_MS = 60, FORECAST_MS = 2000, BAR_COLUMNS = 16, COLUMNS_LIMIT = 200 };

struct hone_progress {
  char label[48];
  uint64_t total;
  uint64_t begin_ms;
  bool is_bytes;
  atomic_uint_fast64_t done;
  atomic_uint_fast64_t next_ms;  // do not draw before
  atomic_flag pen;
};

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

hone_progress_t *hone_progress_create(const char *label, uint64_t total, bool is_bytes,
                                      bool enabled) {
  if (!enabled || !isatty(STDERR_FILENO)) return NULL;
  hone_progress_t *progress = calloc(1, sizeof *progress);
  if (!progress) return NULL;  // no bar is no failure
  snprintf(progress->label, sizeof progress->label, "%s", label);
  progress->total = total;
  progress->is_bytes = is_bytes;
  progress->begin_ms = now_ms();
  atomic_flag_clear(&progress->pen);
  return progress;
}

// The time left if the rest goes as fast as what is done: "  2:05 left", or nothing where it is too
// early to tell or hardly worth it.
static void format_left(const hone_progress_t *progress, double share, char out[24]) {
  uint64_t spent = now_ms() - progress->begin_ms;
  double left = share > 0 ? (double)spent * (1 - share) / share / 1000 : 0;
  out[0] = '\0';
  if (spent < FORECAST_MS || left < 1 || left > 360000) return;
  unsigned seconds = (unsigned)left;
  if (seconds >= 3600)
    snprintf(out, 24, "  %u:%02u:%02u left", seconds / 3600, seconds / 60 % 60, seconds % 60);
  else
    snprintf(out, 24, "  %u:%02u left", seconds / 60, seconds % 60);
}

static void draw(const hone_progress_t *progress, uint64_t done, const char *item) {
  struct winsize window;
  size_t columns =
      ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col : 80;
  if (columns > COLUMNS_LIMIT) columns = COLUMNS_LIMIT;
  if (done > progress->total) done = progress->total;
  double share = progress->total ? (double)done / (double)progress->total : 1;
  char bar[BAR_COLUMNS + 1];
  for (int i = 0; i < BAR_COLUMNS; i++) bar[i] = i < (int)(share * BAR_COLUMNS) ? '#' : '.';
  bar[BAR_COLUMNS] = '\0';
  char amount[48], done_text[16], total_text[16];
  if (progress->is_bytes) {
    snprintf(amount, sizeof amount, "%s / %s", hone_text_bytes(done, done_text),
             hone_text_bytes(progress->total, total_text));
  } else {
    snprintf(amount, sizeof amount, "%" PRIu64 " / %" PRIu64, done, progress->total);
  }
  char line[COLUMNS_LIMIT + 1], left[24];
  format_left(progress, share, left);
  int percent = (int)(share * 100);
  if (!item) item = "";
  int wanted = snprintf(line, columns, "%s [%s] %3d%%  %s%s  %s", progress->label, bar, percent,
                        amount, left, item);
  if (wanted >= (int)columns)  // the amount can be done without
    snprintf(line, columns, "%s [%s] %3d%%%s  %s", progress->label, bar, percent, left, item);
  // One write, so that lines of several threads never mix; \033[K clears what a longer line left.
  char text[COLUMNS_LIMIT + 16];
  int length = snprintf(text, sizeof text, "\r%s\033[K", line);
  ssize_t ignored = write(STDERR_FILENO, text, (size_t)length);
  (void)ignored;
}

void hone_progress_add(hone_progress_t *progress, uint64_t amount, const char *item) {
  if (!progress) return;
  uint64_t done = atomic_fetch_add(&progress->done, amount) + amount;
  uint64_t now = now_ms();
  if (now < atomic_load(&progress->next_ms)) return;
  if (atomic_flag_test_and_set(&progress->pen)) return;
  atomic_store(&progress->next_ms, now + INTERVAL_MS);
  draw(progress, done, item);
  atomic_flag_clear(&progress->pen);
}

void hone_progress_destroy(hone_progress_t *progress) {
  if (!progress) return;
  ssize_t ignored = write(STDERR_FILENO, "\r\033[K", 4);
  (void)ignored;
  free(progress);
}
