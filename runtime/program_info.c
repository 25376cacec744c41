// --info: what the compiled model is, for people or as JSON.
#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "runtime/model_internal.h"
#include "runtime/plan.h"
#include "runtime/program.h"

static void print_json(const hone_model_t *model, const hone_model_info_t *info,
                       hone_buffer_t *out) {
  hone_json_t json = {.out = out};
  hone_json_object_begin(&json, NULL);
  hone_json_string(&json, "family", info->family);
  hone_json_u64(&json, "layers", info->layers);
  hone_json_u64(&json, "width", info->width);
  hone_json_u64(&json, "heads", info->heads);
  hone_json_u64(&json, "kv_heads", info->kv_heads);
  hone_json_u64(&json, "head_dim", info->head_dim);
  hone_json_u64(&json, "vocab", info->vocab);
  hone_json_u64(&json, "context", info->context);
  hone_json_u64(&json, "window", info->window);
  hone_json_i64(&json, "bos", info->bos);
  hone_json_bool(&json, "tokenizer", model->tokenizer != NULL);
  hone_json_u64(&json, "weight_bytes", info->weight_bytes);
  hone_json_u64(&json, "tensors", model->plan->tensor_count);
  hone_json_u64(&json, "launches", model->plan->launch_count);
  hone_json_string(&json, "isa", info->isa);
  hone_json_array_begin(&json, "isas");
  for (uint32_t i = 0; i < model->image->isa_count; ++i)
    hone_json_string(&json, NULL, model->image->isa[i].name);
  hone_json_array_end(&json);
  hone_json_object_end(&json);
  hone_buffer_text(out, "\n");
}

static void print_text(const hone_model_t *model, const hone_model_info_t *info,
                       hone_buffer_t *out) {
  char bytes[16];
  hone_buffer_format(out,
                     "model      %s: %u layers, width %u, %u heads (%u for keys and values) of %u, "
                     "vocabulary %u\n",
                     info->family, info->layers, info->width, info->heads, info->kv_heads,
                     info->head_dim, info->vocab);
  hone_buffer_format(out, "context    %u tokens", info->context);
  if (info->window != 0) hone_buffer_format(out, ", each sees the last %u", info->window);
  hone_buffer_format(out, "\nweights    %s in %u tensors\n",
                     hone_text_bytes(info->weight_bytes, bytes), model->plan->tensor_count);
  hone_buffer_format(out, "kernels    %s in use; built for", info->isa);
  for (uint32_t i = 0; i < model->image->isa_count; ++i) {
    hone_buffer_format(out, "%s %s", i > 0 ? "," : "", model->image->isa[i].name);
  }
  hone_buffer_format(out, "\nplan       %u launches, %u kernels, up to %u tokens at once\n",
                     model->plan->launch_count, model->plan->kernel_count, model->plan->batch);
  hone_buffer_format(out, "tokenizer  %s\n",
                     model->tokenizer != NULL ? "yes" : "none: works with token ids (--ids)");
}

int hone_program_info(const hone_model_t *model, const program_options_t *options,
                      hone_status_t *status) {
  (void)status;  // what can fail is writing, which hone_program_run looks at
  hone_model_info_t info;
  hone_buffer_t out = {0};
  hone_model_get_info(model, &info);
  (options->json ? print_json : print_text)(model, &info, &out);
  fwrite(out.data, 1, out.bytes, stdout);
  hone_buffer_deinit(&out);
  return PROGRAM_OK;
}
