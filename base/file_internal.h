// Between output.c and scratch.c: what must go when the process is told to end.
#ifndef HONE_BASE_FILE_INTERNAL_H
#define HONE_BASE_FILE_INTERNAL_H

// Async-signal-safe: removes every scratch folder this process made and still holds.
void hone_scratch_remove_all(void);

#endif
