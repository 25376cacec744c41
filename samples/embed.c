// Embeds a compiled model: opens it, feeds a prompt, prints what the model makes of it. Uses the
// public headers only.
//
//   hone compile samples/stories260k -o libstory.so --emit lib
//   cc -o embed samples/embed.c -I<prefix>/include -L. -lstory -Wl,-rpath,'$ORIGIN'
//   ./embed "Once upon a time"
#include <hone/hone.h>
#include <stdio.h>
#include <string.h>

enum { PROMPT_LIMIT = 256, TOKENS = 100 };

static bool generate(hone_model_t *model, hone_session_t *session, hone_decoder_t *decoder,
                     const char *prompt, hone_status_t *status) {
  int32_t ids[PROMPT_LIMIT];
  size_t count, bytes;
  if (!hone_model_tokenize(model, prompt, strlen(prompt), true, ids, PROMPT_LIMIT, &count, status))
    return false;
  if (count > PROMPT_LIMIT) count = PROMPT_LIMIT;  // long prompts are cut: this is a sample

  // The decoder sees the prompt too: how a token is written depends on the one before it.
  for (size_t i = 0; i < count; ++i) {
    const char *text = hone_decoder_add(decoder, ids[i], &bytes);
    fwrite(text, 1, bytes, stdout);
  }
  if (!hone_session_feed(session, ids, count, 1, NULL, status)) return false;
  for (int i = 0; i < TOKENS; ++i) {
    int32_t id;
    hone_sampling_t greedy = {.temperature = 0};
    if (!hone_session_sample(session, &greedy, &id, status)) return false;
    if (hone_model_is_end(model, id)) break;
    const char *text = hone_decoder_add(decoder, id, &bytes);
    fwrite(text, 1, bytes, stdout);
    if (!hone_session_feed(session, &id, 1, 1, NULL, status)) return false;
  }
  const char *rest = hone_decoder_flush(decoder, &bytes);
  fwrite(rest, 1, bytes, stdout);
  printf("\n");
  return true;
}

int main(int argc, char **argv) {
  hone_status_t status = {0};
  hone_model_t *model = NULL;
  hone_session_t *session = NULL;
  hone_decoder_t *decoder = NULL;
  bool ok = hone_model_open(&(hone_model_options_t){0}, &model, &status) &&
            hone_session_create(model, &(hone_session_options_t){0}, &session, &status) &&
            hone_decoder_create(model, &decoder, &status) &&
            generate(model, session, decoder, argc > 1 ? argv[1] : "Once upon a time", &status);
  if (!ok) fprintf(stderr, "embed: %s\n", status.message);
  hone_decoder_destroy(decoder);
  hone_session_destroy(session);
  hone_model_close(model);
  return ok ? 0 : 1;
}
