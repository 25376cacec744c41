// main() of every program made by `hone compile`.
#include "runtime/program.h"

int main(int argc, char **argv) { return hone_program_run(argc, argv); }
