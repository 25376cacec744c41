// Opening of a checkpoint: which files it consists of, what is refused and why, and whether index
// and shards agree.
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "frontend/checkpoint_internal.h"
#include "frontend/config.h"
#include "frontend/json_cursor.h"
#include "frontend/prequantized.h"

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";
enum { INDEX_LIMIT_BYTES = 100000000 };

// ---- refusals

static bool fail_pickle(const char *path, hone_status_t *status) {
  return hone_fail(status, HONE_UNSUPPORTED,
                   "'%.400s' is a pickle, which can run code when it is loaded, so hone does not "
                   "read it: load it with "
                   "transformers and save it again (save_pretrained writes safetensors)",
                   path);
}

static bool is_pickle(const char *name) {
  static const char *const suffixes[] = {".bin", ".pt", ".pth", ".ckpt", ".pkl"};
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    if (hone_text_ends(name, suffixes[i])) return true;
  }
  return false;
}

static bool fail_gguf(const char *path, hone_status_t *status) {
  return hone_fail(status, HONE_UNSUPPORTED,
                   "'%.400s' is a GGUF file, which this version cannot import yet: use the model's "
                   "Hugging Face folder "
                   "(config.json and safetensors)",
                   path);
}

// `path` is not a folder: says what it is, or that there is nothing.
static bool fail_not_folder(const char *path, hone_status_t *status) {
  if (!hone_file_exists(path))
    return hone_fail(status, HONE_NOT_FOUND,
                     "'%.400s' does not exist; a model is a folder with config.json and "
                     "model.safetensors, or a textual model (.mlir)",
                     path);
  hone_mapping_t mapping;
  if (!hone_mapping_open(path, &mapping, status)) return false;
  bool gguf = mapping.bytes >= 4 && !memcmp(mapping.data, "GGUF", 4);
  hone_mapping_close(&mapping);
  if (gguf || hone_text_ends(path, ".gguf")) return fail_gguf(path, status);
  if (is_pickle(path)) return fail_pickle(path, status);
  if (hone_text_ends(path, ".safetensors"))
    return hone_fail(status, HONE_INVALID,
                     "'%.400s' holds weights only: give the folder that it is in, with its "
                     "config.json",
                     path);
  return hone_fail(status, HONE_INVALID,
                   "'%.400s' is not a folder; a model is a folder with config.json and "
                   "model.safetensors, or a textual model (.mlir)",
                   path);
}

// The folder has neither model.safetensors nor an index: looks for what it has instead. The
// alphabetically first file counts, so that the message does not depend on the file system.
static bool fail_no_weights(hone_checkpoint_t *checkpoint, hone_status_t *status) {
  DIR *folder = opendir(checkpoint->folder);
  if (!folder)
    return hone_fail(status, HONE_IO, "cannot list '%.400s': %s", checkpoint->folder,
                     strerror(errno));
  const char *pickle = NULL, *gguf = NULL, *other = NULL;
  for (struct dirent *item = readdir(folder); item; item = readdir(folder)) {
    const char **slot = is_pickle(item->d_name)                        ? &pickle
                        : hone_text_ends(item->d_name, ".gguf")        ? &gguf
                        : hone_text_ends(item->d_name, ".safetensors") ? &other
                                                                       : NULL;
    if (slot && (!*slot || strcmp(item->d_name, *slot) < 0))
      *slot = hone_arena_strdup(checkpoint->arena, item->d_name);
  }
  closedir(folder);
  if (other)
    return hone_fail(status, HONE_NOT_FOUND,
                     "'%.300s' has %.200s, but neither %s nor %s: name it %s, or add the index",
                     checkpoint->folder, other, single_name, index_name, single_name);
  if (gguf) return fail_gguf(hone_path_join(checkpoint->arena, checkpoint->folder, gguf), status);
  if (pickle)
    return fail_pickle(hone_path_join(checkpoint->arena, checkpoint->folder, pickle), status);
  return hone_fail(status, HONE_NOT_FOUND, "'%.400s' holds no weights: neither %s nor %s",
                   checkpoint->folder, single_name, index_name);
}

// ---- files

static bool open_file(hone_checkpoint_t *checkpoint, const char *name, hone_status_t *status) {
  checkpoint_file_t *file = HONE_NEW(checkpoint->arena, checkpoint_file_t);
  file->name = hone_arena_strdup(checkpoint->arena, name);
  file->path = hone_path_join(checkpoint->arena, checkpoint->folder, name);
  if (!hone_mapping_open(file->path, &file->mapping, status)) return false;
  hone_list_push(checkpoint->arena, &checkpoint->files,
                 file);  // from here on closed with the checkpoint
  if (!hone_safetensors_parse(file->path, file->mapping.data, file->mapping.bytes,
                              checkpoint->arena, &file->header, status))
    return false;
  hone_mapping_release(&file->mapping, 0, (size_t)file->header.header_bytes);
  for (size_t i = 0; i < file->header.count; i++) {
    checkpoint_tensor_t *tensor = HONE_NEW(checkpoint->arena, checkpoint_tensor_t);
    *tensor = (checkpoint_tensor_t){.file = file, .entry = &file->header.entries[i]};
    const char *tensor_name = tensor->entry->name;
    if (hone_map_insert(checkpoint->tensors, tensor_name, strlen(tensor_name), tensor)) continue;
    const checkpoint_tensor_t *first = hone_map_get(checkpoint->tensors, tensor_name);
    return hone_fail(status, HONE_INVALID, "%.300s: byte %llu: tensor '%.200s' is in %.200s too",
                     file->path, (unsigned long long)tensor->entry->place, tensor_name,
                     first->file->name);
  }
  return true;
}

static bool is_plain_name(const char *name) {
  return *name && *name != '.' && !strchr(name, '/') && !strchr(name, '\\') &&
         hone_text_ends(name, ".safetensors");
}

// Shard names of the weight map into *out (sorted, each once).
static bool list_shards(hone_arena_t *arena, const char *path, json_t *weight_map,
                        hone_map_t *shards, hone_status_t *status) {
  const char *tensor;
  json_t *value;
  json_object_foreach(weight_map, tensor, value) {
    const char *name = json_string_value(value);
    if (!hone_json_is_printable(hone_slice(tensor)) || !hone_json_is_printable(hone_slice(name)))
      return hone_fail(status, HONE_INVALID, "%.300s: weight_map: control character in a name",
                       path);
    if (!name)
      return hone_fail(status, HONE_INVALID,
                       "%.300s: weight_map: tensor '%.200s': expected a file name", path, tensor);
    if (!is_plain_name(name))
      return hone_fail(status, HONE_INVALID,
                       "%.300s: weight_map: tensor '%.200s': '%.200s' is not the plain name of a "
                       ".safetensors file",
                       path, tensor, name);
    hone_map_insert(shards, name, strlen(name), arena);
  }
  return true;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool open_shards(hone_checkpoint_t *checkpoint, const char *path, const hone_map_t *shards,
                        hone_status_t *status) {
  size_t count = hone_map_count(shards);
  const char **names = HONE_NEW_ARRAY(checkpoint->arena, const char *, count);
  for (size_t i = 0; i < count; i++) names[i] = hone_map_key(shards, i);
  qsort(names, count, sizeof *names, compare_names);
  for (size_t i = 0; i < count; i++) {
    if (!hone_file_exists(hone_path_join(checkpoint->arena, checkpoint->folder, names[i])))
      return hone_fail(status, HONE_NOT_FOUND,
                       "%.300s: shard '%.200s' is missing (%zu shards are listed)", path, names[i],
                       count);
    if (!open_file(checkpoint, names[i], status)) return false;
  }
  return true;
}

static bool check_promises(hone_checkpoint_t *checkpoint, const char *path, json_t *weight_map,
                           hone_status_t *status) {
  const char *name;
  json_t *value;
  json_object_foreach(weight_map, name, value) {
    const checkpoint_tensor_t *tensor = hone_map_get(checkpoint->tensors, name);
    const char *promised = json_string_value(value);
    if (!tensor)
      return hone_fail(status, HONE_INVALID,
                       "%.300s: weight_map: tensor '%.200s' is not in '%.200s'", path, name,
                       promised);
    if (strcmp(tensor->file->name, promised))
      return hone_fail(status, HONE_INVALID,
                       "%.300s: weight_map: tensor '%.200s' is in '%.200s', not in '%.200s'", path,
                       name, tensor->file->name, promised);
  }
  return true;
}

static bool open_index(hone_checkpoint_t *checkpoint, const char *path, hone_status_t *status) {
  char *text;
  size_t bytes;
  if (!hone_file_read(path, INDEX_LIMIT_BYTES, checkpoint->arena, &text, &bytes, status))
    return false;
  hone_config_t root;
  if (!hone_config_parse(path, text, bytes, &root, status)) return false;
  bool ok = false;
  json_t *weight_map = json_object_get(root.object, "weight_map");
  hone_map_t *shards = hone_map_create(checkpoint->arena);
  if (!json_is_object(weight_map)) {
    hone_fail(status, HONE_INVALID,
              "%.300s: key 'weight_map': expected an object of tensor names and files", path);
  } else {
    ok = list_shards(checkpoint->arena, path, weight_map, shards, status) &&
         open_shards(checkpoint, path, shards, status) &&
         check_promises(checkpoint, path, weight_map, status);
  }
  hone_config_close(&root);
  return ok;
}

static bool open_files(hone_checkpoint_t *checkpoint, hone_status_t *status) {
  if (!hone_file_is_folder(checkpoint->folder)) return fail_not_folder(checkpoint->folder, status);
  const char *single = hone_path_join(checkpoint->arena, checkpoint->folder, single_name);
  const char *index = hone_path_join(checkpoint->arena, checkpoint->folder, index_name);
  bool ok = hone_file_exists(single)  ? open_file(checkpoint, single_name, status)
            : hone_file_exists(index) ? open_index(checkpoint, index, status)
                                      : fail_no_weights(checkpoint, status);
  if (!ok) return false;
  if (hone_checkpoint_count(checkpoint) == 0)
    return hone_fail(status, HONE_INVALID, "'%.400s' holds no tensors", checkpoint->folder);
  return true;
}

bool hone_checkpoint_open(const char *folder, hone_checkpoint_t **out_checkpoint,
                          hone_status_t *status) {
  *out_checkpoint = NULL;
  hone_arena_t *arena = hone_arena_create();
  hone_checkpoint_t *checkpoint = HONE_NEW(arena, hone_checkpoint_t);
  checkpoint->arena = arena;
  checkpoint->folder = hone_arena_strdup(arena, folder);
  checkpoint->tensors = hone_map_create(arena);
  if (!open_files(checkpoint, status) || !prequantized_recognise(checkpoint, status)) {
    hone_checkpoint_close(checkpoint);
    return false;
  }
  *out_checkpoint = checkpoint;
  return true;
}
