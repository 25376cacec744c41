// Opens a compiled model: checks its image and plan, picks the kernels this CPU can run, opens
// weights and tokenizer. It runs nothing (runtime/session.c).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cpu.h"
#include "runtime/model_internal.h"
#include "runtime/plan.h"
#include "runtime/weights.h"

enum { PATH_LIMIT = 4096 };

// Defined by the object that `hone compile` links in; NULL in a program without one.
extern const hone_image_t hone_image __attribute__((weak));

// Every kernel that a flow of the level leads to is there.
static bool has_kernels(const hone_image_t *image, uint32_t isa) {
  const hone_flow_t *flows = hone_plan_flows(image->plan, isa);
  for (uint32_t i = 0; i < image->plan->flow_count; ++i) {
    for (uint32_t j = 0; j < flows[i].count; ++j)
      if (image->isa[isa].kernels[flows[i].kernel[j]] == NULL) return false;
  }
  return true;
}

static bool check_image(const hone_image_t *image, uint64_t plan_extent, hone_status_t *status) {
  if (image->plan == NULL) return hone_fail(status, HONE_INVALID, "the model's image has no plan");
  if (!hone_plan_check(image->plan, plan_extent, status)) return false;
  if (image->isa_count != image->plan->isa_count) {
    return hone_fail(status, HONE_INVALID, "the model's image is damaged: %u instruction sets",
                     image->isa_count);
  }
  for (uint32_t i = 0; i < image->isa_count; ++i) {
    const struct hone_image_isa *isa = &image->isa[i];
    if (isa->name == NULL || isa->kernels == NULL || !has_kernels(image, i))
      return hone_fail(status, HONE_INVALID, "the model's image is damaged: instruction set %u", i);
  }
  return true;
}

// The best instruction set that both the image and this CPU have, or the one asked for.
static bool pick_isa(const hone_image_t *image, const char *wanted,
                     const struct hone_image_isa **out_isa, hone_status_t *status) {
  char missing[256] = "", names[128] = "";
  size_t used = 0;
  for (uint32_t i = 0; i < image->isa_count; ++i) {
    const struct hone_image_isa *isa = &image->isa[i];
    if (used < sizeof names) {
      used +=
          (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", isa->name);
    }
    if (wanted != NULL && strcmp(wanted, isa->name) != 0) continue;
    if (hone_cpu_has(isa->name, missing, sizeof missing)) {
      *out_isa = isa;
      return true;
    }
    if (wanted != NULL) {
      return hone_fail(status, HONE_UNSUPPORTED, "this CPU cannot run %s kernels: it lacks %s",
                       wanted, missing);
    }
  }
  if (wanted != NULL) {
    return hone_fail(status, HONE_NOT_FOUND, "the model has no %s kernels; it has %s", wanted,
                     names);
  }
  return hone_fail(status, HONE_UNSUPPORTED, "this CPU is too old for the model (%s): it lacks %s",
                   names, missing);
}

static bool open_model(hone_model_t *model, const hone_model_options_t *options,
                       hone_status_t *status) {
  char image_path[PATH_LIMIT], plan_path[PATH_LIMIT];
  model->image = options->image != NULL ? options->image : &hone_image;
  if (model->image == NULL) {
    return hone_fail(status, HONE_NOT_FOUND, "no compiled model is linked into this program");
  }
  hone_object_extent(model->image, image_path, sizeof image_path);
  uint64_t extent = model->image->plan != NULL
                        ? hone_object_extent(model->image->plan, plan_path, sizeof plan_path)
                        : 0;
  if (!check_image(model->image, extent, status)) return false;
  model->plan = model->image->plan;
  if (!pick_isa(model->image, options->isa, &model->isa, status)) return false;
  model->flows = hone_plan_flows(model->plan, (uint32_t)(model->isa - model->image->isa));

  const char *path = options->path != NULL ? options->path : image_path;
  if (path[0] == 0) {
    return hone_fail(status, HONE_NOT_FOUND,
                     "the model's image lies in no file; set path to the file with its weights");
  }
  if (!hone_weights_open(model, path, options, status)) return false;
  if (model->image->tokenizer_bytes == 0) return true;
  if (!hone_tokenizer_create(model->image->tokenizer, model->image->tokenizer_bytes,
                             &model->tokenizer, status)) {
    return hone_note(status, "the model's tokenizer");
  }
  return true;
}

bool hone_model_open(const hone_model_options_t *options, hone_model_t **out_model,
                     hone_status_t *status) {
  *out_model = NULL;
  hone_model_t *model = calloc(1, sizeof *model);
  if (model == NULL) return hone_fail(status, HONE_EXHAUSTED, "out of memory for a model");
  if (!open_model(model, options != NULL ? options : &(hone_model_options_t){0}, status)) {
    hone_model_close(model);
    return false;
  }
  *out_model = model;
  return true;
}

void hone_model_close(hone_model_t *model) {
  if (model == NULL) return;
  hone_tokenizer_destroy(model->tokenizer);
  hone_weights_close(model);
  free(model);
}

void hone_model_get_info(const hone_model_t *model, hone_model_info_t *out_info) {
  const hone_plan_t *plan = model->plan;
  *out_info = (hone_model_info_t){
      .family = hone_plan_string(plan, plan->family_name),
      .isa = model->isa->name,
      .vocab = plan->vocab,
      .width = plan->width,
      .layers = plan->layers,
      .heads = plan->heads,
      .kv_heads = plan->kv_heads,
      .head_dim = plan->head_dim,
      .context = plan->context,
      .window = plan->window,
      .bos = plan->bos,
      .weight_bytes = plan->weight_bytes,
  };
}

const char *hone_model_manifest(const hone_model_t *model) { return model->manifest; }

bool hone_model_is_end(const hone_model_t *model, int32_t id) {
  for (uint32_t i = 0; i < model->plan->eos_count; ++i) {
    if (model->plan->eos[i] == id) return true;
  }
  return false;
}
