// Ctrl-C for the produced program. A signal handler has no argument, so this file holds the one
// mutable global of the runtime: the session to cancel.
#include <signal.h>
#include <stdatomic.h>

#include "runtime/program.h"

static _Atomic(hone_session_t *) watched_session;
static volatile sig_atomic_t signal_number;

static void on_signal(int number) {
  signal_number = number;
  hone_session_t *session = atomic_load(&watched_session);
  if (session != NULL) hone_session_cancel(session);
}

void hone_program_watch(hone_session_t *session) {
  atomic_store(&watched_session, session);
  // One shot: should stopping take long, the second Ctrl-C ends the program as usual. Without
  // SA_RESTART, so that a write to a slow reader returns.
  struct sigaction action = {.sa_handler = session != NULL ? on_signal : SIG_DFL,
                             .sa_flags = SA_RESETHAND};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

int hone_program_interrupted(void) { return signal_number; }
