// See parallel.h.
#include "base/parallel.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

int hone_parallel_count(int64_t wanted) {
  cpu_set_t set;
  if (wanted <= 0) wanted = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return wanted > HONE_PARALLEL_LIMIT ? HONE_PARALLEL_LIMIT : (int)wanted;
}

typedef struct part {
  hone_parallel_fn *run;
  void *user;
  int index;
} part_t;

static void *run_part(void *data) {
  const part_t *part = data;
  part->run(part->user, part->index);
  return NULL;
}

void hone_parallel_run(int count, hone_parallel_fn *run, void *user) {
  part_t parts[HONE_PARALLEL_LIMIT];
  pthread_t threads[HONE_PARALLEL_LIMIT];
  bool has_thread[HONE_PARALLEL_LIMIT] = {false};
  assert(count <= HONE_PARALLEL_LIMIT);
  for (int i = 1; i < count; i++) {
    parts[i] = (part_t){run, user, i};
    has_thread[i] = pthread_create(&threads[i], NULL, run_part, &parts[i]) == 0;
  }
  if (count > 0) run(user, 0);
  for (int i = 1; i < count; i++) {
    if (has_thread[i])
      pthread_join(threads[i], NULL);
    else
      run(user, i);
  }
}
