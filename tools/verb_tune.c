// hone tune: measures how a model's kernels are best built for this machine, and keeps it in the
// tuning database, which compiles read.
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/machine.h"
#include "autotune/tune.h"
#include "base/file.h"
#include "codegen/cpu/select.h"
#include "codegen/target.h"
#include "passes/pipeline.h"
#include "runtime/cpu.h"
#include "tools/import.h"
#include "tools/tuning.h"

typedef struct fields {
  hone_compile_options_t compile;
  const char *model, *target, *time, *strategy, *learner, *database, *isa, *rows, *shard,
      *export_to;
  hone_strings_t import_from;
  int64_t threads;
  bool again, json, quiet;
} fields_t;

#define FIELD(member) offsetof(fields_t, member)

// Choices as options take them, behind a first '|'.
#define CHOICE(name, ENUM, summary) "|" #name
#define STRATEGY                    CHOICE
static const char strategies[] =
#include "autotune/strategies.def"
    ;
#undef STRATEGY
#define LEARNER CHOICE
static const char learners[] =
#include "autotune/learners.def"
    ;
#undef LEARNER

#define MEANING(name, ENUM, summary) "\n  " #name ": " summary
#define STRATEGY                     MEANING
#define LEARNER                      MEANING
static const char details[] =
    "Tries schedules of the model's linears and attention in processes of their own, checks their "
    "numbers, measures them against each other, and keeps every measurement in the tuning "
    "database, from which 'hone compile' chooses. Weights are not read. What is known already is "
    "not measured again; Ctrl-C and the end of the time lose nothing.\n\n"
    "Strategies, which candidates are measured:"
#include "autotune/strategies.def"
    "\n\nLearners, what leads evolve:"
#include "autotune/learners.def"
    ;
#undef LEARNER
#undef STRATEGY

static const hone_option_t options[] = {
    {HONE_OPTION_OPTIONAL, "MODEL", .field = FIELD(model),
     .help = "Hugging Face folder, or a textual model (.mlir)"},
    {HONE_OPTION_STRING, "--target", NULL, "TARGET", FIELD(target), .help = "cpu (default)"},
    {HONE_OPTION_STRING, "--time", NULL, "TIME", FIELD(time),
     .help = "when to end at the latest: 90s, 10m (default), 1h, or 0 for no end"},
    {HONE_OPTION_CHOICE, "--strategy", NULL, "NAME", FIELD(strategy), strategies + 1,
     .help = "how candidates are chosen; default: shortlist"},
    {HONE_OPTION_CHOICE, "--learner", NULL, "NAME", FIELD(learner), learners + 1,
     .help = "model that leads evolve; default: the first that hone was built with"},
    {HONE_OPTION_INT, "--threads", NULL, "N", FIELD(threads), .low = 0, .high = 1024,
     .help = "threads that run a kernel together; default: all CPUs"},
    {HONE_OPTION_STRING, "--isa", NULL, "LEVEL", FIELD(isa),
     .help = "instruction set level; default: the best this machine has"},
    {HONE_OPTION_STRING, "--rows", NULL, "LIST", FIELD(rows),
     .help = "numbers of tokens at once to tune for; default: 1,2,4,8,16,32,64,128,512"},
    {HONE_OPTION_STRING, "--shard", NULL, "I/N", FIELD(shard),
     .help = "only every Nth problem, from the Ith on: machines share a model's problems"},
    {HONE_OPTION_STRING, "--db", NULL, "FILE", FIELD(database),
     .help = "tuning database; default: hone/tuning.db in $XDG_DATA_HOME or ~/.local/share"},
    {HONE_OPTION_FLAG, "--again", .field = FIELD(again),
     .help = "measure also what the database knows already"},
    {HONE_OPTION_STRING, "--weights", NULL, "FMT", FIELD(compile.weights),
     .help = "format of linear weights, as for compile"},
    {HONE_OPTION_STRING, "--head", NULL, "FMT", FIELD(compile.head),
     .help = "format of embedding and head, as for compile"},
    {HONE_OPTION_CHOICE, "--acts", NULL, "FMT", FIELD(compile.acts), "f32|q8|b1",
     .help = "activations entering linears, as for compile"},
    {HONE_OPTION_CHOICE, "--kv", NULL, "FMT", FIELD(compile.cache), "f32|f16|q8",
     .help = "KV cache, as for compile"},
    {HONE_OPTION_STRINGS, "--import", NULL, "FILE", FIELD(import_from),
     .help = "first merge the records of an export; may be given many times"},
    {HONE_OPTION_STRING, "--export", NULL, "FILE", FIELD(export_to),
     .help = "at the end write all records of the database as lines of JSON"},
    {HONE_OPTION_FLAG, "--json", .field = FIELD(json), .help = "print JSON"},
    {HONE_OPTION_FLAG, "--quiet", "-q", .field = FIELD(quiet), .help = "no progress bar"},
    {0}};

const hone_verb_t hone_verb_tune = {
    "tune", "measure how a model's kernels are best built for this machine", details,
    "  hone tune ./Llama-3.2-1B --weights nf4\n"
    "  hone tune ./Llama-3.2-1B --weights nf4 --threads 1 --time 2m\n"
    "  hone tune ./Llama-3.2-1B --weights nf4 --shard 1/2 --export node1.jsonl\n"
    "  hone tune --import node1.jsonl --import node2.jsonl --export all.jsonl\n",
    options};

// ---- options
// "90s", "10m", "1h", "0".
static bool parse_time(const char *text, double *out_seconds, hone_status_t *status) {
  char number[32];
  size_t bytes = strlen(text);
  double unit = 1;
  if (bytes && bytes < sizeof number) {
    memcpy(number, text, bytes + 1);
    char last = number[bytes - 1];
    if (last == 's' || last == 'm' || last == 'h') number[bytes - 1] = '\0';
    unit = last == 'h' ? 3600 : last == 'm' ? 60 : 1;
    if (hone_text_parse_f64(number, out_seconds) && *out_seconds >= 0 && *out_seconds <= 1e6) {
      *out_seconds *= unit;
      return true;
    }
  }
  return hone_fail(status, HONE_INVALID, "--time %s: write it as 90s, 10m or 1h", text);
}

typedef HONE_LIST(uint32_t) rows_t;

static bool parse_rows(const char *text, hone_arena_t *arena, rows_t *rows, hone_status_t *status) {
  hone_slice_t rest = hone_slice(text);
  while (rest.data) {
    hone_slice_t item = hone_slice_cut(&rest, ',');
    int64_t value = 0;
    if (!hone_text_parse_i64(hone_arena_strndup(arena, item.data ? item.data : "", item.bytes),
                             &value) ||
        value < 1 || value > 1 << 20)
      return hone_fail(status, HONE_INVALID, "--rows %s: give numbers of tokens, as in 1,16,128",
                       text);
    hone_list_push(arena, rows, (uint32_t)value);
  }
  return true;
}

// "1/4": which of how many, from 1.
typedef struct shard {
  uint32_t index, count;
} shard_t;

static bool parse_shard(const char *text, shard_t *out_shard, hone_status_t *status) {
  hone_slice_t count = hone_slice(text), index = hone_slice_cut(&count, '/');
  if (hone_slice_number(index, &out_shard->index) && hone_slice_number(count, &out_shard->count) &&
      out_shard->index >= 1 && out_shard->index <= out_shard->count)
    return true;
  return hone_fail(status, HONE_INVALID, "--shard %s: write it as 1/4, the first of four", text);
}

static bool choose_isa(const char *name, const hone_cpu_isa_t **out_isa, hone_status_t *status) {
  for (size_t i = 0; i < hone_cpu_isa_count(); i++) {
    const hone_cpu_isa_t *isa = hone_cpu_isa_at(i);
    if (name ? strcmp(name, isa->name) != 0 : !hone_cpu_has(isa->name, NULL, 0)) continue;
    *out_isa = isa;
    if (hone_cpu_has(isa->name, NULL, 0)) return true;
    return hone_fail(status, HONE_UNSUPPORTED, "--isa %s: this machine cannot run it", name);
  }
  return name ? hone_fail(status, HONE_INVALID,
                          "--isa %s: there is no such level; see isa.def of "
                          "'hone list targets'",
                          name)
              : hone_fail(status, HONE_UNSUPPORTED, "this machine has no AVX2");
}

// What the options say, once it is read.
typedef struct plan {
  hone_strategy_t strategy;
  hone_learner_t learner;
  double seconds;
  shard_t shard;
  rows_t rows;
  const hone_cpu_isa_t *isa;
  const char *database;
} plan_t;

static bool read_options(hone_tool_t *tool, const fields_t *fields, plan_t *plan,
                         hone_status_t *status) {
  hone_format_t format;
  if (!fields->model && !fields->import_from.count && !fields->export_to)
    return hone_fail(status, HONE_INVALID, "nothing to do: give MODEL, --import or --export");
  if (strcmp(fields->target, "cpu"))
    return hone_fail(status, HONE_INVALID,
                     "--target %s: only cpu kernels can be tuned, those of one level with --isa",
                     fields->target);
  if (fields->compile.weights && !hone_format_parse(fields->compile.weights, &format, status))
    return hone_note(status, "--weights");
  if (fields->compile.head && !hone_format_parse(fields->compile.head, &format, status))
    return hone_note(status, "--head");
  plan->database = fields->database ? fields->database : hone_tool_database_path(tool);
  if (!plan->database)
    return hone_fail(status, HONE_INVALID, "neither XDG_DATA_HOME nor HOME is set: give --db FILE");
  if (!hone_strategy_find(fields->strategy, &plan->strategy))
    return hone_fail(status, HONE_INVALID, "--strategy %s: unknown", fields->strategy);
  if (!hone_learner_find(fields->learner, &plan->learner, status)) return false;
  if (fields->learner && plan->strategy != HONE_STRATEGY_EVOLVE)
    return hone_fail(status, HONE_INVALID, "--learner %s: only --strategy evolve has one",
                     fields->learner);
  if (!parse_shard(fields->shard, &plan->shard, status)) return false;
  if (fields->rows && !parse_rows(fields->rows, tool->arena, &plan->rows, status)) return false;
  for (size_t i = 0; !fields->rows && i < HONE_PROBLEM_ROWS; i++)
    hone_list_push(tool->arena, &plan->rows, hone_problem_rows[i]);
  return parse_time(fields->time, &plan->seconds, status) &&
         choose_isa(fields->isa, &plan->isa, status);
}

// ---- the model's problems
static bool list_problems(hone_tool_t *tool, const fields_t *fields, const plan_t *plan,
                          hone_problem_list_t *out_problems, hone_status_t *status) {
  hone_compile_t compile = {.options = fields->compile,
                            .import = hone_tool_import,
                            .arena = tool->arena,
                            .diagnostics = tool->diagnostics};
  hone_draft_t draft;
  const hone_plan_options_t lowering = hone_cpu_plan_options(fields->compile.cache, NULL);
  compile.options.model = fields->model;
  compile.options.to = "memory";
  bool ok = hone_target_find(fields->target, &compile.target, &compile.options.levels, status) &&
            ir_session_create(tool->diagnostics, &compile.session, status) &&
            hone_compile_run(&compile, status) &&
            hone_plan_lower(&compile.model, &lowering, tool->arena, &draft, status);
  uint32_t threads = fields->threads ? (uint32_t)fields->threads : hone_cpu_count();
  hone_problem_list_t all = {0};
  *out_problems = (hone_problem_list_t){0};
  if (ok)
    hone_problems_of_plan(&draft, plan->isa, threads, plan->rows.items, plan->rows.count,
                          tool->arena, &all);
  for (size_t i = plan->shard.index - 1; ok && i < all.count; i += plan->shard.count)
    hone_list_push(tool->arena, out_problems, all.items[i]);
  hone_compile_deinit(&compile);
  if (ok && all.count == 0)
    ok = hone_fail(status, HONE_INVALID, "--rows: the model runs with fewer tokens at once");
  return ok;
}

// ---- output
static double gain_of(const hone_found_t *found) {
  if (!found->untuned.evidence.samples || !found->best.evidence.samples) return 0;
  return found->untuned.evidence.median_ns / found->best.evidence.median_ns;
}

static void write_table(const hone_tune_result_t *result, hone_buffer_t *out) {
  size_t faster = 0, reached = 0;
  for (size_t i = 0; i < result->count; i++) {
    const hone_tune_row_t *row = &result->rows[i];
    char best[HONE_CANDIDATE_TEXT_BYTES];
    reached += row->is_reached;
    if (gain_of(&row->found) <= HONE_SEARCH_MARGIN) continue;
    if (faster++ == 0)
      hone_buffer_format(out, "%6s %12s %12s %6s  %-34s %s\n", "M", "untuned us", "best us", "gain",
                         "schedule", "problem");
    hone_candidate_write(&row->found.best.candidate, best);
    hone_buffer_format(out, "%6u %12.2f %12.2f %5.2fx  %-34s %s\n", row->problem->M,
                       row->found.untuned.evidence.median_ns / 1e3,
                       row->found.best.evidence.median_ns / 1e3, gain_of(&row->found), best,
                       row->problem->name);
  }
  hone_buffer_format(out, "%zu of %zu problems got faster; %zu candidates measured\n", faster,
                     result->count, result->measured);
  if (reached < result->count)
    hone_buffer_format(out, "%zu were not reached: run again to go on\n", result->count - reached);
}

static void write_tried(hone_json_t *json, const char *key, const hone_tried_t *tried) {
  char candidate[HONE_CANDIDATE_TEXT_BYTES];
  hone_candidate_write(&tried->candidate, candidate);
  hone_json_object_begin(json, key);
  hone_json_string(json, "candidate", candidate);
  hone_json_f64_digits(json, "median_ns", tried->evidence.median_ns, 6);
  hone_json_f64_digits(json, "mad_ns", tried->evidence.mad_ns, 6);
  hone_json_u64(json, "samples", tried->evidence.samples);
  hone_json_object_end(json);
}

static void write_json(const hone_tune_result_t *result, hone_arena_t *arena, hone_buffer_t *out) {
  hone_json_t json = {.out = out};
  hone_json_object_begin(&json, NULL);
  hone_json_string(&json, "schema", "hone.tune/1");
  hone_json_string(&json, "cpu", hone_machine_cpu(arena));
  hone_json_string(&json, "compiler", hone_machine_compiler(arena));
  hone_json_u64(&json, "measured", result->measured);
  hone_json_bool(&json, "interrupted", result->is_cancelled);
  hone_json_array_begin(&json, "problems");
  for (size_t i = 0; i < result->count; i++) {
    const hone_tune_row_t *row = &result->rows[i];
    hone_json_object_begin(&json, NULL);
    hone_json_string(&json, "problem", row->problem->name);
    hone_json_string(&json, "isa", row->problem->isa->name);
    hone_json_u64(&json, "M", row->problem->M);
    hone_json_u64(&json, "threads", row->problem->threads);
    hone_json_u64(&json, "count", row->problem->count);
    hone_json_u64(&json, "measured", row->found.measured);
    if (row->found.untuned.evidence.samples) write_tried(&json, "untuned", &row->found.untuned);
    if (row->found.best.evidence.samples) write_tried(&json, "best", &row->found.best);
    hone_json_object_end(&json);
  }
  hone_json_array_end(&json);
  hone_json_object_end(&json);
  hone_buffer_text(out, "\n");
}

// ---- running
static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
  (void)number;
  interrupted = 1;
}

static bool tune(hone_tool_t *tool, const fields_t *fields, const plan_t *plan,
                 hone_database_t *database, bool *out_cancelled, hone_status_t *status) {
  const char *const command[] = {"/proc/self/exe", "--tune-worker", NULL};
  const hone_tune_options_t tune_options = {.strategy = plan->strategy,
                                            .learner = plan->learner,
                                            .seconds = plan->seconds,
                                            .again = fields->again,
                                            .command = command,
                                            .is_cancelled = &interrupted,
                                            .progress = tool->terminal && !fields->quiet};
  hone_problem_list_t problems;
  hone_tune_result_t result;
  hone_buffer_t text = {0};
  if (!list_problems(tool, fields, plan, &problems, status)) return false;
  const struct sigaction action = {.sa_handler = on_interrupt};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  if (!hone_tune_run(&tune_options, &problems, database, tool->diagnostics, tool->arena, &result,
                     status))
    return false;
  *out_cancelled = result.is_cancelled;
  if (fields->json)
    write_json(&result, tool->arena, &text);
  else
    write_table(&result, &text);
  bool ok = hone_tool_print(tool, &text, status);
  hone_buffer_deinit(&text);
  return ok;
}

static bool import_all(hone_tool_t *tool, const fields_t *fields, hone_database_t *database,
                       hone_status_t *status) {
  for (size_t i = 0; i < fields->import_from.count; i++) {
    const char *path = fields->import_from.items[i];
    char *text;
    size_t bytes;
    uint64_t changed;
    if (!hone_file_read(path, (size_t)1 << 30, tool->arena, &text, &bytes, status) ||
        !hone_database_import(database, path, (hone_slice_t){text, bytes}, &changed, status))
      return hone_note(status, "--import");
    if (!fields->quiet && !fields->json)
      fprintf(stderr, "%s: %" PRIu64 " records are new or better\n", path, changed);
  }
  return true;
}

static bool export_all(const fields_t *fields, hone_database_t *database, hone_status_t *status) {
  hone_buffer_t text = {0};
  hone_output_t *output = NULL;
  if (!fields->export_to) return true;
  bool ok = hone_database_export(database, &text, status) &&
            hone_output_create(fields->export_to, 0644, &output, status) &&
            hone_output_write(output, hone_buffer_cstr(&text), text.bytes, status) &&
            hone_output_commit(output, status);
  hone_output_destroy(output);
  hone_buffer_deinit(&text);
  return ok;
}

int hone_verb_tune_run(hone_tool_t *tool, int argc, char **argv) {
  fields_t fields = {.target = "cpu",
                     .time = "10m",
                     .strategy = "shortlist",
                     .shard = "1/1",
                     .compile = {.emit = "exe", .sweeps = -1}};
  int code = 0;
  if (!hone_tool_parse(tool, &hone_verb_tune, argc, argv, &fields, &code)) return code;
  hone_status_t status = {0};
  plan_t plan = {0};
  if (!read_options(tool, &fields, &plan, &status)) {
    hone_tool_report(tool, &status);
    return HONE_EXIT_USAGE;
  }
  hone_database_t *database = NULL;
  bool is_cancelled = false;
  bool ok = hone_database_open(plan.database, HONE_DATABASE_WRITE, &database, &status) &&
            import_all(tool, &fields, database, &status) &&
            (!fields.model || tune(tool, &fields, &plan, database, &is_cancelled, &status)) &&
            export_all(&fields, database, &status);
  hone_database_close(database);
  if (!ok) return hone_tool_report(tool, &status);
  return is_cancelled ? HONE_EXIT_INTERRUPTED : HONE_EXIT_OK;
}
