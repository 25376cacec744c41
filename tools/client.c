// Client of `--serve`: spawns the program, writes requests, reads replies. The protocol is
// base/serve.h.
#include "tools/client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

extern char **environ;

struct hone_client {
  pid_t pid;
  int to, from;  // pipe ends; -1: closed
  char *path;
};

static bool read_all(hone_client_t *client, void *data, size_t bytes, hone_status_t *status) {
  char *at = data;
  while (bytes) {
    ssize_t got = read(client->from, at, bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return hone_fail(status, HONE_IO, "%s: cannot read its reply: %s", client->path,
                       strerror(errno));
    if (got == 0)
      return hone_fail(
          status, HONE_INVALID,
          "%s ended without a reply; is it a program made by hone compile (of this version)?",
          client->path);
    at += got;
    bytes -= (size_t)got;
  }
  return true;
}

static bool write_all(hone_client_t *client, const void *data, size_t bytes,
                      hone_status_t *status) {
  const char *at = data;
  while (bytes) {
    ssize_t put = write(client->to, at, bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0)
      return hone_fail(status, HONE_IO, "%s: cannot send a request: %s", client->path,
                       strerror(errno));
    at += put;
    bytes -= (size_t)put;
  }
  return true;
}

// Reads a reply's header; an error reply becomes the status.
static bool read_header(hone_client_t *client, uint32_t kind, hone_serve_header_t *header,
                        hone_status_t *status) {
  if (!read_all(client, header, sizeof *header, status)) return false;
  if (header->bytes > HONE_SERVE_LIMIT || (header->kind != kind && header->code == HONE_OK))
    return hone_fail(status, HONE_INVALID,
                     "%s does not speak the serve protocol; is it made by hone compile?",
                     client->path);
  if (header->code == HONE_OK) return true;
  char message[HONE_STATUS_MESSAGE_BYTES / 2];
  size_t bytes = header->bytes < sizeof message - 1 ? (size_t)header->bytes : sizeof message - 1;
  if (!read_all(client, message, bytes, status)) return false;
  message[bytes] = '\0';
  return hone_fail(status, (hone_code_t)header->code, "%s: %s", client->path, message);
}

static bool send_request(hone_client_t *client, uint32_t kind, const void *fixed,
                         size_t fixed_bytes, const void *data, size_t data_bytes,
                         hone_status_t *status) {
  hone_serve_header_t header = {kind, 0, fixed_bytes + data_bytes};
  if (header.bytes > HONE_SERVE_LIMIT)
    return hone_fail(status, HONE_INVALID, "%s: a request of %zu bytes is too large", client->path,
                     (size_t)header.bytes);
  return write_all(client, &header, sizeof header, status) &&
         write_all(client, fixed, fixed_bytes, status) &&
         write_all(client, data, data_bytes, status);
}

// A request whose reply has a fixed size.
static bool call(hone_client_t *client, uint32_t kind, const void *request, size_t request_bytes,
                 void *reply, size_t reply_bytes, hone_status_t *status) {
  hone_serve_header_t header;
  if (!send_request(client, kind, request, request_bytes, NULL, 0, status)) return false;
  if (!read_header(client, kind, &header, status)) return false;
  if (header.bytes != reply_bytes)
    return hone_fail(status, HONE_INVALID,
                     "%s: a reply has %llu bytes, not %zu: made by another version of hone?",
                     client->path, (unsigned long long)header.bytes, reply_bytes);
  return read_all(client, reply, reply_bytes, status);
}

static bool spawn(hone_client_t *client, const char *const argv[], hone_status_t *status) {
  int in[2] = {-1, -1}, out[2] = {-1, -1};
  if (pipe2(in, O_CLOEXEC))
    return hone_fail(status, HONE_IO, "cannot make a pipe: %s", strerror(errno));
  if (pipe2(out, O_CLOEXEC)) {
    close(in[0]);
    close(in[1]);
    return hone_fail(status, HONE_IO, "cannot make a pipe: %s", strerror(errno));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  int error = posix_spawn(&client->pid, argv[0], &actions, NULL, (char *const *)argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  client->to = in[1];
  client->from = out[0];
  if (!error) return true;
  client->pid = 0;
  return hone_fail(status, HONE_INVALID, "cannot run %s: %s; is it a program made by hone compile?",
                   client->path, strerror(error));
}

// A shared object starts like a program to posix_spawn and would crash: the manifest section says
// what it is.
static bool check_file(const char *path, hone_status_t *status) {
  if (!hone_file_exists(path)) return hone_fail(status, HONE_NOT_FOUND, "%s: no such file", path);
  if (hone_file_is_folder(path))
    return hone_fail(status, HONE_INVALID,
                     "%s is a folder: compile it first (hone compile %s -o OUT)", path, path);
  FILE *file = fopen(path, "rb");
  char magic[4] = {0};
  bool elf = file && fread(magic, 1, 4, file) == 4 && !memcmp(magic, "\177ELF", 4);
  if (file) fclose(file);
  return elf || hone_fail(status, HONE_INVALID,
                          "%s is not a program made by hone compile (not an ELF file)", path);
}

bool hone_client_start(const char *artefact, const hone_client_options_t *options,
                       hone_client_t **out_client, hone_status_t *status) {
  if (!check_file(artefact, status)) return false;
  char threads[24], context[24];
  snprintf(threads, sizeof threads, "%lld", (long long)options->threads);
  snprintf(context, sizeof context, "%lld", (long long)options->context);
  hone_client_t *client = calloc(1, sizeof *client);
  size_t length = strlen(artefact) + 3;
  if (client) client->path = malloc(length);
  if (!client || !client->path) {
    free(client);
    return hone_fail(status, HONE_EXHAUSTED, "out of memory");
  }
  // posix_spawn takes a path, not a name to look up: "story" means "./story".
  snprintf(client->path, length, "%s%s", strchr(artefact, '/') ? "" : "./", artefact);
  client->to = client->from = -1;
  const char *argv[] = {client->path, "--serve", "--threads", threads, "--context",
                        context,      NULL,      NULL,        NULL};
  if (options->isa) {
    argv[6] = "--isa";
    argv[7] = options->isa;
  }
  hone_serve_header_t header;
  hone_serve_hello_t hello;
  bool ok = spawn(client, argv, status) && read_header(client, HONE_SERVE_HELLO, &header, status);
  if (ok && header.bytes != sizeof hello)
    ok = hone_fail(status, HONE_INVALID, "%s does not speak the serve protocol", client->path);
  ok = ok && read_all(client, &hello, sizeof hello, status);
  if (ok && (hello.magic != HONE_SERVE_MAGIC || hello.version != HONE_SERVE_VERSION))
    ok = hone_fail(status, HONE_INVALID, "%s was made by another version of hone: compile it again",
                   client->path);
  if (!ok) {
    hone_client_stop(client);
    return false;
  }
  *out_client = client;
  return true;
}

void hone_client_stop(hone_client_t *client) {
  if (!client) return;
  if (client->to >= 0) close(client->to);  // end of input ends the program
  if (client->from >= 0) close(client->from);
  if (client->pid > 0) {
    while (waitpid(client->pid, NULL, 0) < 0 && errno == EINTR) continue;
  }
  free(client->path);
  free(client);
}

bool hone_client_info(hone_client_t *client, hone_client_info_t *out_info, hone_status_t *status) {
  if (!call(client, HONE_SERVE_INFO, NULL, 0, out_info, sizeof *out_info, status)) return false;
  out_info->isa[sizeof out_info->isa - 1] = out_info->family[sizeof out_info->family - 1] = '\0';
  return true;
}

bool hone_client_tokenize(hone_client_t *client, const char *text, size_t bytes, bool add_special,
                          hone_arena_t *arena, int32_t **out_ids, size_t *out_count,
                          hone_status_t *status) {
  hone_serve_tokenize_t request = {.add_special = add_special};
  hone_serve_header_t header;
  if (!send_request(client, HONE_SERVE_TOKENIZE, &request, sizeof request, text, bytes, status))
    return false;
  if (!read_header(client, HONE_SERVE_TOKENIZE, &header, status)) return false;
  *out_count = (size_t)header.bytes / sizeof **out_ids;
  *out_ids = HONE_NEW_ARRAY(arena, int32_t, *out_count + 1);
  return read_all(client, *out_ids, (size_t)header.bytes, status);
}

bool hone_client_feed(hone_client_t *client, const int32_t *ids, size_t count, size_t wanted,
                      float *logits, size_t vocab, uint64_t *out_ns, hone_status_t *status) {
  hone_serve_feed_t request = {(uint32_t)count, (uint32_t)wanted};
  hone_serve_header_t header;
  hone_serve_fed_t fed;
  if (!send_request(client, HONE_SERVE_FEED, &request, sizeof request, ids, count * sizeof *ids,
                    status))
    return false;
  if (!read_header(client, HONE_SERVE_FEED, &header, status)) return false;
  size_t row_bytes = wanted * vocab * sizeof *logits;
  if (header.bytes != sizeof fed + row_bytes)
    return hone_fail(status, HONE_INVALID, "%s: a reply has a wrong size", client->path);
  if (!read_all(client, &fed, sizeof fed, status)) return false;
  if (out_ns) *out_ns = fed.elapsed_ns;
  return read_all(client, logits, row_bytes, status);
}

bool hone_client_rewind(hone_client_t *client, uint32_t position, hone_status_t *status) {
  hone_serve_rewind_t request = {.position = position};
  return call(client, HONE_SERVE_REWIND, &request, sizeof request, NULL, 0, status);
}

bool hone_client_bandwidth(hone_client_t *client, double *out_bytes_per_second,
                           hone_status_t *status) {
  hone_serve_bandwidth_t request = {0};
  hone_serve_bandwidth_result_t reply;
  if (!call(client, HONE_SERVE_BANDWIDTH, &request, sizeof request, &reply, sizeof reply, status))
    return false;
  *out_bytes_per_second = reply.bytes_per_second;
  return true;
}

bool hone_client_bench(hone_client_t *client, uint32_t prompt, uint32_t tokens,
                       uint64_t *out_prefill_ns, uint64_t *out_decode_ns, hone_status_t *status) {
  hone_serve_bench_t request = {prompt, tokens};
  hone_serve_bench_result_t reply;
  if (!call(client, HONE_SERVE_BENCH, &request, sizeof request, &reply, sizeof reply, status))
    return false;
  *out_prefill_ns = reply.prefill_ns;
  *out_decode_ns = reply.decode_ns;
  return true;
}
