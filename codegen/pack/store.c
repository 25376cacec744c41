// See store.h. A file is a header, the second level of the scales (nf4dq) and the rows one after
// the other (hone_layout_line).
#include "codegen/pack/store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "codegen/pack/layout.h"

enum { FORMAT_VERSION = 2, KEY_BYTES = 33, READ_VALUES = 256 * 1024, NAME_BYTES = 100 };

typedef struct header {
  uint64_t hash;  // XXH3 of everything behind it
  char magic[8];
  uint64_t version;
  char key[KEY_BYTES + 7];
  uint64_t second_bytes, row_count, row_bytes;
  hone_quant_error_t error;
  float factor, unused;
  hone_packed_second_t places;  // of the second level
  int8_t levels[HONE_GRID_LEVELS];
} header_t;
static const char magic[8] = "honework";

struct hone_stored {
  const char *path;
  char key[KEY_BYTES];
  uint64_t second_bytes, row_count, row_bytes;
  bool is_kept;
  hone_mapping_t mapping;  // of a kept one
  hone_output_t *output;   // of a recording
  atomic_flag has_failed;
  hone_status_t failure;  // of whoever set has_failed
};

struct hone_store {
  hone_arena_t *arena;
  const char *folder;
  const hone_statistics_t *statistics;
  char key[KEY_BYTES];  // of all tensors so far
  hone_map_t *tensors;  // recipe's name -> hone_stored_t *
};

// ---- the folder

// Removes what killed runs were writing: ".hone-PID-..." of processes that are gone.
static void remove_remains(const char *folder) {
  char path[PATH_MAX];
  DIR *list = opendir(folder);
  if (!list) return;
  for (struct dirent *entry; (entry = readdir(list));) {
    long owner = 0;
    if (sscanf(entry->d_name, ".hone-%ld-", &owner) != 1 || owner <= 0) continue;
    if (kill((pid_t)owner, 0) == 0 || errno != ESRCH) continue;
    if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path)
      unlink(path);
  }
  closedir(list);
}

bool hone_store_check_folder(const char *folder, hone_status_t *status) {
  char path[PATH_MAX];
  hone_output_t *probe = NULL;
  if (mkdir(folder, 0777) && errno != EEXIST)
    return hone_fail(status, HONE_IO, "--work: cannot make folder %s: %s", folder, strerror(errno));
  if (!hone_file_is_folder(folder))
    return hone_fail(status, HONE_INVALID, "--work %s: not a folder", folder);
  if (snprintf(path, sizeof path, "%s/probe", folder) >= (int)sizeof path)
    return hone_fail(status, HONE_INVALID, "--work: the path of the folder is too long");
  if (!hone_output_create(path, 0644, &probe, status)) return hone_note(status, "--work");
  hone_output_destroy(probe);
  remove_remains(folder);
  return true;
}

// ---- keys

// Extends a key by a text: key = hash(key, text).
static void chain(char key[KEY_BYTES], const hone_buffer_t *text) {
  hone_buffer_t both = {0};
  hone_buffer_text(&both, key);
  hone_buffer_add(&both, text->data, text->bytes);
  hone_hash128_hex(both.data, both.bytes, key);
  hone_buffer_deinit(&both);
}

static bool hash_file(const char *path, char out[KEY_BYTES], hone_status_t *status) {
  hone_mapping_t mapping;
  if (!hone_mapping_open(path, &mapping, status)) return false;
  hone_hash128_hex(mapping.data, mapping.bytes, out);
  hone_mapping_close(&mapping);
  return true;
}

static bool hash_rows(const hone_rows_t *rows, hone_hasher_t *hasher, hone_status_t *status) {
  int64_t step = READ_VALUES / rows->K / 2 * 2;
  if (step < 2) step = 2;
  if (rows->K == 1) step = rows->N + (rows->N & 1);  // vectors are read whole
  float *buffer = malloc((size_t)(step * rows->K) * sizeof *buffer);
  if (!buffer)
    return hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory to read it", rows->recipe->name);
  bool ok = true;
  for (int64_t first = 0; first < rows->N && ok; first += step) {
    int64_t count = rows->N - first < step ? rows->N - first : step;
    ok = hone_rows_read(rows, first, count, buffer, status);
    if (ok) hone_hasher_add(hasher, buffer, (size_t)(count * rows->K) * sizeof *buffer);
  }
  free(buffer);
  return ok;
}

// All weights: calibration runs the whole model, also for the first tensor where it is the head's.
static bool hash_weights(const hone_compile_t *compile, uint64_t *out_hash, hone_status_t *status) {
  hone_hasher_t *hasher = hone_hasher_create();
  bool ok = true;
  for (size_t i = 0; i < ir_recipe_count(&compile->model) && ok; i++) {
    ir_recipe_t recipe;
    hone_rows_t rows;
    if (!ir_recipe_at(&compile->model, i, &recipe)) continue;
    ok = hone_rows_open(compile->reader, compile->source, &recipe, &rows, status);
    if (!ok) break;
    ok = hash_rows(&rows, hasher, status);
    hone_rows_close(&rows);
  }
  *out_hash = hone_hasher_result(hasher);
  hone_hasher_destroy(hasher);
  return ok;
}

// What all tensors depend on. Threads, memory and what is chosen for the run are not among it.
static bool begin_key(hone_store_t *store, const hone_compile_t *compile, const char *writer,
                      hone_status_t *status) {
  const hone_compile_options_t *o = &compile->options;
  char text_key[KEY_BYTES], model_key[KEY_BYTES] = "";
  if (!hash_file(o->calibrate, text_key, status)) return hone_note(status, "--calibrate");
  if (!hone_file_is_folder(o->model) && !hash_file(o->model, model_key, status)) return false;
  uint64_t weights = 0;
  if (!hash_weights(compile, &weights, status)) return false;
  hone_buffer_t facts = {0};
  hone_buffer_format(&facts, "weights %016llx\n", (unsigned long long)weights);
  hone_buffer_format(&facts, "%s %s\ntext %s\nmodel %s\n", HONE_VERSION, writer, text_key,
                     model_key);
  hone_buffer_format(&facts, "tokens %lld context %lld inputs %s\n",
                     (long long)o->calibration_tokens, (long long)o->calibration_context,
                     o->calibration_inputs ? o->calibration_inputs : "");
  hone_buffer_format(&facts, "solver %s sweeps %lld fold %d\n", o->solver ? o->solver : "",
                     (long long)o->sweeps, o->fold_norms);
  // A target holds some of the text out; what it chose is in the formats.
  hone_buffer_format(&facts, "target %d\n", o->target_bpw > 0 || o->target_bytes > 0);
  hone_buffer_add(&facts, compile->manifest_sources.data, compile->manifest_sources.bytes);
  hone_buffer_add(&facts, compile->tokenizer.data, compile->tokenizer.bytes);
  chain(store->key, &facts);
  hone_buffer_deinit(&facts);
  return true;
}

static void add_key(hone_store_t *store, const ir_recipe_t *recipe, hone_format_t format,
                    int64_t row_count) {
  char text[24];
  hone_buffer_t facts = {0};
  hone_buffer_format(&facts, "%s %s %lld x %lld, %lld rows, rotate %lld, %d of", recipe->name,
                     hone_format_text(format, text), (long long)recipe->N, (long long)recipe->K,
                     (long long)row_count, (long long)recipe->rotate, (int)recipe->combine);
  for (size_t i = 0; i < recipe->source_count; i++)
    hone_buffer_format(&facts, " %s", recipe->sources[i]);
  chain(store->key, &facts);
  hone_buffer_deinit(&facts);
}

// ---- the store

bool hone_store_open(const hone_compile_t *compile, const char *writer, hone_store_t **out_store,
                     hone_status_t *status) {
  const char *folder = compile->options.work;
  *out_store = NULL;
  if (!folder || !compile->statistics.self) return true;
  hone_store_t *store = HONE_NEW(compile->arena, hone_store_t);
  store->arena = compile->arena;
  store->folder = folder;
  store->statistics = &compile->statistics;
  store->tensors = hone_map_create(compile->arena);
  if (!begin_key(store, compile, writer, status)) return false;
  *out_store = store;
  return true;
}

static const char *path_of(const hone_store_t *store, const char *recipe) {
  char name[NAME_BYTES + 1];
  size_t bytes = strlen(recipe) < NAME_BYTES ? strlen(recipe) : NAME_BYTES;
  for (size_t i = 0; i < bytes; i++) {
    bool is_plain =
        isalnum((unsigned char)recipe[i]) || strchr("-_", recipe[i]) || (recipe[i] == '.' && i > 0);
    name[i] = (char)(is_plain ? recipe[i] : '_');
  }
  name[bytes] = '\0';
  uint32_t hash = (uint32_t)hone_hash64(recipe, strlen(recipe));
  return hone_arena_format(store->arena, "%s/%s-%08x", store->folder, name, hash);
}

static uint64_t place_of(const hone_stored_t *stored, int64_t row) {
  return sizeof(header_t) + stored->second_bytes + (uint64_t)row * stored->row_bytes;
}

static uint64_t file_bytes(const hone_stored_t *stored) {
  return place_of(stored, (int64_t)stored->row_count);
}

// Whether the tensor's file is there, whole, and made from the same things.
static bool is_whole(const hone_stored_t *stored) {
  hone_mapping_t mapping;
  header_t header;
  if (!hone_mapping_open(stored->path, &mapping, &(hone_status_t){0})) return false;
  bool ok = mapping.bytes == file_bytes(stored);
  if (ok) memcpy(&header, mapping.data, sizeof header);
  ok = ok && !memcmp(header.magic, magic, sizeof magic) && header.version == FORMAT_VERSION &&
       !memcmp(header.key, stored->key, KEY_BYTES) && header.second_bytes == stored->second_bytes &&
       header.row_count == stored->row_count && header.row_bytes == stored->row_bytes &&
       header.hash ==
           hone_hash64(mapping.data + sizeof header.hash, mapping.bytes - sizeof header.hash);
  hone_mapping_release(&mapping, 0, mapping.bytes);
  hone_mapping_close(&mapping);
  return ok;
}

void hone_store_add(hone_store_t *store, const ir_recipe_t *recipe, hone_format_t format,
                    int64_t row_count) {
  if (!store) return;
  add_key(store, recipe, format, row_count);
  if (!hone_format_is_quantized(format.storage) || recipe->K == 1) return;
  hone_stored_t *stored = HONE_NEW(store->arena, hone_stored_t);
  stored->path = path_of(store, recipe->name);
  memcpy(stored->key, store->key, KEY_BYTES);
  stored->second_bytes =
      hone_packed_second_count(format, (uint64_t)recipe->N, (uint64_t)recipe->K) * sizeof(float);
  stored->row_count = (uint64_t)row_count;
  stored->row_bytes = hone_layout_line_bytes(format, (uint64_t)recipe->K);
  stored->is_kept = is_whole(stored);
  hone_map_put(store->tensors, recipe->name, stored);
  for (size_t s = 0; stored->is_kept && s < recipe->source_count; s++)
    store->statistics->skip(store->statistics->self, recipe->sources[s]);
}

// ---- one tensor

bool hone_stored_open(hone_store_t *store, const ir_recipe_t *recipe, hone_quantizer_t *quantizer,
                      hone_stored_t **out_stored, hone_status_t *status) {
  hone_stored_t *stored = store ? hone_map_get(store->tensors, recipe->name) : NULL;
  *out_stored = stored;
  if (!stored) return true;
  if (!stored->is_kept) return hone_output_create(stored->path, 0644, &stored->output, status);
  if (!hone_mapping_open(stored->path, &stored->mapping, status)) return false;
  header_t header;
  if (stored->mapping.bytes != file_bytes(stored))
    return hone_fail(status, HONE_INVALID, "'%s' was changed while it was in use", stored->path);
  memcpy(&header, stored->mapping.data, sizeof header);
  quantizer->factor = header.factor;
  if (stored->second_bytes)
    hone_quantizer_set_second(quantizer, (const float *)(stored->mapping.data + sizeof header),
                              &header.places);
  if (hone_format_info(quantizer->format.storage)->grid == HONE_GRID_LEARNED)
    hone_quantizer_set_levels(quantizer, header.levels);
  return true;
}

bool hone_stored_is_kept(const hone_stored_t *stored) { return stored && stored->is_kept; }

void hone_stored_read(const hone_stored_t *stored, const hone_quantizer_t *quantizer, int64_t row,
                      uint8_t *codes, uint16_t *scales) {
  hone_layout_line_read(quantizer->format, quantizer->K,
                        stored->mapping.data + place_of(stored, row), codes, scales);
}

void hone_stored_write(hone_stored_t *stored, const hone_quantizer_t *quantizer, int64_t first,
                       int64_t count, const uint8_t *codes, const uint16_t *scales) {
  hone_status_t failure = {0};
  uint64_t bytes = (uint64_t)count * stored->row_bytes,
           per_row = (uint64_t)quantizer->scale_count * quantizer->planes;
  uint8_t *lines = malloc(bytes);
  for (int64_t i = 0; i < count && lines; i++)
    hone_layout_line(quantizer->format, quantizer->K, codes + (uint64_t)i * quantizer->Kp,
                     scales + (uint64_t)i * per_row, lines + (uint64_t)i * stored->row_bytes);
  bool ok =
      lines ? hone_output_write_at(stored->output, place_of(stored, first), lines, bytes, &failure)
            : hone_fail(&failure, HONE_EXHAUSTED, "no memory for %lld rows to keep",
                        (long long)count);
  free(lines);
  if (!ok && !atomic_flag_test_and_set(&stored->has_failed)) stored->failure = failure;
}

// The hash of what was written: read back, as rows came from many threads.
static bool write_header(hone_stored_t *stored, const hone_quantizer_t *quantizer,
                         const hone_quant_error_t *error, hone_status_t *status) {
  header_t header = {.version = FORMAT_VERSION,
                     .second_bytes = stored->second_bytes,
                     .row_count = stored->row_count,
                     .row_bytes = stored->row_bytes,
                     .error = *error,
                     .factor = quantizer->factor,
                     .places = quantizer->places};
  memcpy(header.magic, magic, sizeof magic);
  memcpy(header.key, stored->key, KEY_BYTES);
  memcpy(header.levels, quantizer->learned, sizeof header.levels);
  if (!hone_output_write_at(stored->output, 0, &header, sizeof header, status) ||
      !hone_output_write_at(stored->output, sizeof header, quantizer->second, stored->second_bytes,
                            status))
    return false;
  hone_mapping_t mapping;
  if (!hone_mapping_open(hone_output_temporary_path(stored->output), &mapping, status))
    return false;
  header.hash = hone_hash64(mapping.data + sizeof header.hash, mapping.bytes - sizeof header.hash);
  hone_mapping_close(&mapping);
  return hone_output_write_at(stored->output, 0, &header, sizeof header, status);
}

bool hone_stored_finish(hone_stored_t *stored, const hone_quantizer_t *quantizer,
                        hone_quant_error_t *error, hone_status_t *status) {
  if (!stored) return true;
  if (stored->is_kept) {
    header_t header;
    memcpy(&header, stored->mapping.data, sizeof header);
    *error = header.error;
    return true;
  }
  if (atomic_flag_test_and_set(&stored->has_failed)) {
    *status = stored->failure;
    return hone_note(status, "--work");
  }
  atomic_flag_clear(&stored->has_failed);
  return (write_header(stored, quantizer, error, status) &&
          hone_output_commit(stored->output, status)) ||
         hone_note(status, "--work");
}

void hone_stored_close(hone_stored_t *stored) {
  if (!stored) return;
  hone_mapping_close(&stored->mapping);
  hone_output_destroy(stored->output);
  stored->mapping = (hone_mapping_t){0};
  stored->output = NULL;
}
