// config.json: any bytes either give a shape within the limits, or a message.
#include <math.h>
#include <stdlib.h>

#include "frontend/llama.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(const hone_llama_t *llama) {
  if (llama->heads % llama->kv_heads || llama->head_dim % 2 || llama->layers > 10000) abort();
  for (int64_t i = 0; i < llama->head_dim / 2; i++) {
    if (!isfinite(llama->frequencies[i])) abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  hone_arena_t *arena = hone_arena_create();
  hone_status_t status = {0};
  hone_config_t config;
  if (hone_config_parse("config.json", (const char *)data, bytes, &config, &status)) {
    const hone_model_family_t *family;
    hone_llama_t llama;
    if (hone_model_family_of(&config, &family, &status) &&
        hone_llama_read(family->name, &config, arena, &llama, &status))
      check(&llama);
    hone_config_close(&config);
  }
  hone_arena_destroy(arena);
  return 0;
}
