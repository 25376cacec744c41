// quantization_config of config.json: which method it names, and the few settings that change what
// stored numbers mean. Everything else is read off the tensors.
#include <stdio.h>
#include <string.h>

#include "frontend/config.h"
#include "frontend/prequantized_internal.h"

static const char readable[] =
    "bitsandbytes nf4 and fp4, compressed-tensors nvfp4-pack-quantized, mxfp4-pack-quantized and "
    "pack-quantized, GPTQ and AWQ with 4 bits, ModelOpt NVFP4, BitNet b1.58, QuEST and MXFP4 "
    "blocks";

static bool fail_unsupported(const hone_config_t *section, const char *what, const char *value,
                             hone_status_t *status) {
  return hone_fail(status, HONE_UNSUPPORTED,
                   "%s: key '%.*s': the weights are quantized already (%s '%.60s'), in a way that "
                   "hone does not read; it reads %s. Or start from the original checkpoint in f32, "
                   "f16 or bf16 and let --weights quantize it",
                   section->path, (int)strlen(section->section) - 1, section->section, what, value,
                   readable);
}

static bool read_bitsandbytes(const hone_config_t *section, declared_t *out,
                              hone_status_t *status) {
  bool eight, four;
  const char *type;
  out->method = METHOD_BITSANDBYTES;
  if (!hone_config_bool_or(section, "load_in_8bit", false, &eight, status) ||
      !hone_config_bool_or(section, "load_in_4bit", !eight, &four, status) ||
      !hone_config_text_or(section, "bnb_4bit_quant_type", "", &type, status))
    return false;
  if (eight || !four)
    return fail_unsupported(section, "quant_method", "bitsandbytes, not in 4 bits", status);
  if (!*type) return true;
  if (strcmp(type, "nf4") && strcmp(type, "fp4"))
    return fail_unsupported(section, "bnb_4bit_quant_type", type, status);
  out->grid = strcmp(type, "nf4") ? HONE_FP4 : HONE_NF4;
  return true;
}

static bool read_compressed(const hone_config_t *section, declared_t *out, hone_status_t *status) {
  const char *format;
  if (!hone_config_text_or(section, "format", "unknown", &format, status)) return false;
  if (!strcmp(format, "nvfp4-pack-quantized")) out->method = METHOD_CT_NVFP4;
  if (!strcmp(format, "mxfp4-pack-quantized")) out->method = METHOD_CT_MXFP4;
  if (!strcmp(format, "pack-quantized")) out->method = METHOD_CT_INT4;
  return out->method != METHOD_NONE ||
         fail_unsupported(section, "quant_method 'compressed-tensors', format", format, status);
}

static bool read_modelopt(const hone_config_t *section, declared_t *out, hone_status_t *status) {
  const char *algorithm;
  hone_config_t inner;
  bool found;
  out->method = METHOD_MODELOPT;
  if (!hone_config_object(section, "quantization", section->section, &inner, &found, status) ||
      !hone_config_text_or(found ? &inner : section, "quant_algo", "unknown", &algorithm, status))
    return false;
  return !strcmp(algorithm, "NVFP4") ||
         fail_unsupported(section, "quant_method 'modelopt', quant_algo", algorithm, status);
}

// transformers' BitLinear divides by weight_scale; AutoBitLinear multiplies, or quantizes plain
// weights in every step if it is "online".
static bool read_bitnet(const hone_config_t *section, declared_t *out, hone_status_t *status) {
  const char *linear, *mode;
  bool norm;
  out->method = METHOD_BITNET;
  if (!hone_config_text_or(section, "linear_class", "bitlinear", &linear, status) ||
      !hone_config_text_or(section, "quantization_mode", "offline", &mode, status) ||
      !hone_config_bool_or(section, "use_rms_norm", false, &norm, status))
    return false;
  out->divides = !strcmp(linear, "bitlinear");
  if (!out->divides && strcmp(linear, "autobitlinear"))
    return fail_unsupported(section, "quant_method 'bitnet', linear_class", linear, status);
  out->online = !out->divides && !strcmp(mode, "online");
  if (!out->divides && !out->online && strcmp(mode, "offline"))
    return fail_unsupported(section, "quant_method 'bitnet', quantization_mode", mode, status);
  return !norm || fail_unsupported(section, "quant_method 'bitnet',", "use_rms_norm", status);
}

static bool fail_quest(const hone_config_t *section, const char *key, int64_t value,
                       const char *known, hone_status_t *status) {
  return hone_fail(status, HONE_UNSUPPORTED, "%s: key '%s%s': %lld is not supported; %s",
                   section->path, section->section, key, (long long)value, known);
}

// Keys of our own: published QuEST checkpoints are training states without a config.json.
static bool read_quest(const hone_config_t *section, declared_t *out, hone_status_t *status) {
  int64_t w_bits, a_bits, rotate;
  out->method = METHOD_QUEST;
  if (!hone_config_int(section, "w_bits", 0, 64, &w_bits, status) ||
      !hone_config_int(section, "a_bits", 0, 64, &a_bits, status) ||
      !hone_config_int_or(section, "hadamard_group_size", 128, 0, 1 << 20, &rotate, status))
    return false;
  if (w_bits != 1)
    return fail_quest(section, "w_bits", w_bits, "hone reads weights of 1 bit", status);
  if (a_bits != 1 && a_bits != 8)
    return fail_quest(section, "a_bits", a_bits, "activations have 1 bit or 8", status);
  if (!hone_rotation_known(rotate))
    return fail_quest(section, "hadamard_group_size", rotate, "32, 64 and 128 are", status);
  out->inputs = (hone_checkpoint_inputs_t){.storage = a_bits == 1 ? HONE_B1 : HONE_Q8,
                                           .rotate = (uint32_t)rotate};
  return true;
}

static bool read_mxfp4(const hone_config_t *section, declared_t *out, hone_status_t *status) {
  (void)section, (void)status;
  out->method = METHOD_MXFP4;
  return true;
}

// Bits and the size of groups, which the tensors do not say.
static bool read_groups(const hone_config_t *section, declared_t *out, hone_status_t *status) {
  int64_t bits, group;
  if (!hone_config_int(section, "bits", 1, 32, &bits, status) ||
      !hone_config_int(section, "group_size", -1, 1 << 28, &group, status))
    return false;
  out->group = group > 0 ? (uint64_t)group : 0;
  if (bits == 4) return true;
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)bits);
  return fail_unsupported(section, "bits", text, status);
}

// Zero points and the order of columns are read off the tensors.
static bool read_gptq(const hone_config_t *section, declared_t *out, hone_status_t *status) {
  const char *format;
  out->method = METHOD_GPTQ;
  if (!read_groups(section, out, status) ||
      !hone_config_text_or(section, "checkpoint_format", "gptq", &format, status))
    return false;
  out->is_second = !strcmp(format, "gptq_v2");
  return out->is_second || !strcmp(format, "gptq") ||
         fail_unsupported(section, "quant_method 'gptq', checkpoint_format", format, status);
}

static bool read_awq(const hone_config_t *section, declared_t *out, hone_status_t *status) {
  const char *version;
  out->method = METHOD_AWQ;
  if (!read_groups(section, out, status) ||
      !hone_config_text_or(section, "version", "gemm", &version, status))
    return false;
  return !strcmp(version, "gemm") || !strcmp(version, "GEMM") ||
         fail_unsupported(section, "quant_method 'awq', version", version, status);
}

static bool read_section(const hone_config_t *section, declared_t *out, hone_status_t *status) {
  static const struct {
    const char *name;
    bool (*read)(const hone_config_t *section, declared_t *out, hone_status_t *status);
  } methods[] = {{"bitsandbytes", read_bitsandbytes},
                 {"compressed-tensors", read_compressed},
                 {"modelopt", read_modelopt},
                 {"modelopt_fp4", read_modelopt},
                 {"bitnet", read_bitnet},
                 {"quest", read_quest},
                 {"mxfp4", read_mxfp4},
                 {"gptq", read_gptq},
                 {"awq", read_awq}};
  const char *name;
  if (!hone_config_text_or(section, "quant_method", "unknown", &name, status)) return false;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    if (!strcmp(name, methods[i].name)) return methods[i].read(section, out, status);
  }
  return fail_unsupported(section, "quant_method", name, status);
}

bool prequantized_declared(hone_checkpoint_t *checkpoint, declared_t *out, hone_status_t *status) {
  static const char *const keys[][2] = {{"quantization_config", "quantization_config."},
                                        {"compression_config", "compression_config."}};
  *out = (declared_t){.grid = HONE_STORAGE_COUNT};
  out->path = hone_path_join(checkpoint->arena, checkpoint->folder, "config.json");
  if (!hone_file_exists(out->path)) return true;
  hone_config_t config, section;
  if (!hone_config_open(out->path, &config, status)) return false;
  bool ok = true, found = false;
  for (size_t i = 0; i < sizeof keys / sizeof *keys && ok && !found; i++) {
    ok = hone_config_object(&config, keys[i][0], keys[i][1], &section, &found, status);
    if (ok && found) ok = read_section(&section, out, status);
  }
  hone_config_close(&config);
  return ok;
}
