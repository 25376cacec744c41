// What `hone report` knows about an artefact: its tensors with the error quantization left in them,
// sums over groups of them, and how it predicts a text beside a reference. report.c fills it from
// the manifest; report_json.c, report_text.c and report_html.c print it. Thread rule: the main
// thread.
#ifndef HONE_TOOLS_REPORT_H
#define HONE_TOOLS_REPORT_H

#include "tools/evaluate.h"

// ROLE(name, prefix of the block's part in tensor names): "layers.3.ffn.down" is of the role ffn.
// The row's place is the order of the page; norms are found by name.
#define HONE_ROLES(ROLE) \
  ROLE(embedding, "embed") ROLE(attention, "attention") ROLE(ffn, "ffn") ROLE(head, "head")

typedef struct hone_report_group {
  const char *name;
  size_t tensors, measured;          // measured: those with a known error, i.e. quantized ones
  uint64_t parameters, bytes, bits;  // bytes in the file, padding included; bits without it
  double signal, noise;              // sums over the measured ones
} hone_report_group_t;
typedef HONE_LIST(hone_report_group_t) hone_report_groups_t;

typedef struct hone_report_tensor {
  const char *name, *format;
  const char *block;                 // "layers.3.ffn"
  const char *kind;                  // "ffn.down": the name without its layer
  const char *part;                  // "ffn": the block without its layer
  int64_t layer;                     // -1: in none
  size_t role;                       // index into hone_report_t.roles
  size_t format_index, layer_index;  // into hone_report_t.formats and .layers
  uint64_t N, K, bytes, bits;
  bool is_measured;
  double signal, noise;
  double output_error;  // relative error of the linear's output on calibration text; NaN: unknown
} hone_report_tensor_t;

typedef struct hone_report_unit {  // weights that a target size gave one format
  const char *name, *format;
  uint64_t weights;
  double error, sensitivity;  // relative squared error; nats of divergence per that
} hone_report_unit_t;

typedef struct hone_report_allocation {
  HONE_LIST(hone_report_unit_t) units;  // none: the formats were given
  double bits_per_weight, predicted_kl, measured_kl;
  uint64_t held_out_tokens;  // that measured_kl is of
} hone_report_allocation_t;

typedef struct hone_report_field {  // of the manifest's model or options
  const char *name, *text;          // text NULL: null
  bool is_number, is_boolean;
} hone_report_field_t;
typedef HONE_LIST(hone_report_field_t) hone_report_fields_t;

typedef struct hone_report {
  const char *name;  // of the file, without folders
  const char *version, *llvm, *target, *family;
  hone_report_fields_t model, options, sources;  // sources: file and hash
  HONE_LIST(hone_report_tensor_t) tensors;
  hone_report_allocation_t allocation;
  hone_report_group_t total;
  hone_report_groups_t roles, formats, parts, kinds, layers, blocks;
  uint64_t weight_bytes, file_bytes;
  bool head_is_tied;  // no tensor of its own: the embedding's rows are used
  bool has_output_error;
  const struct hone_report *reference;  // NULL without --against
  const hone_evaluation_t *evaluation;  // NULL without --text
  const char *text_name;                // of the text scored
  hone_score_histogram_t histogram;     // of KL divergence
} hone_report_t;

enum { HONE_REPORT_KL_PER_DECADE = 5, HONE_REPORT_KL_DECADES = 8, HONE_REPORT_POSITION_BINS = 16 };

HONE_MUST_CHECK bool hone_report_load(const char *path, hone_arena_t *arena,
                                      hone_report_t *out_report, hone_status_t *status);

// Stored bits per weight, scales and tables included.
double hone_report_bits(const hone_report_group_t *group);
// Noise over signal; NaN where nothing is known.
double hone_report_mse(const hone_report_group_t *group);
double hone_report_tensor_mse(const hone_report_tensor_t *tensor);
// Positions of the window in bin `bin` of hone_report_bins(...), as [begin, end) from its first.
size_t hone_report_bins(const hone_evaluation_t *evaluation);
void hone_report_bin(const hone_evaluation_t *evaluation, size_t bin, size_t *out_begin,
                     size_t *out_end);

void hone_report_json(const hone_report_t *report, hone_buffer_t *out);
void hone_report_text(const hone_report_t *report, hone_buffer_t *out);
void hone_report_html(const hone_report_t *report, hone_arena_t *arena, hone_buffer_t *out);
// The figures of the page.
void hone_report_plot_errors(const hone_report_t *report, hone_arena_t *arena, hone_buffer_t *out);
void hone_report_plot_bytes(const hone_report_t *report, hone_arena_t *arena, hone_buffer_t *out);
void hone_report_plot_histogram(const hone_report_t *report, hone_arena_t *arena,
                                hone_buffer_t *out);
void hone_report_plot_positions(const hone_report_t *report, hone_arena_t *arena,
                                hone_buffer_t *out);

#endif
