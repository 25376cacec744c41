// See mip.h. Values and costs are scaled to about one, so that GLPK's tolerances mean something.
#include "nas/mip.h"

#include <glpk.h>
#include <math.h>
#include <stdlib.h>

static size_t count_options(const hone_mip_t *problem) {
  size_t count = 0;
  for (size_t i = 0; i < problem->item_count; i++) count += problem->items[i].count;
  return count;
}

static double largest_value(const hone_mip_t *problem) {
  double largest = 0;
  for (size_t i = 0; i < problem->item_count; i++)
    for (size_t o = 0; o < problem->items[i].count; o++)
      largest = fmax(largest, fabs(problem->items[i].options[o].value));
  return largest > 0 ? largest : 1;
}

typedef struct entries {  // of the constraint matrix, one-based as GLPK wants them
  int *row, *column;
  double *value;
  int count;
} entries_t;

static void add_entry(entries_t *entries, int row, int column, double value) {
  if (value == 0) return;
  int at = ++entries->count;
  entries->row[at] = row;
  entries->column[at] = column;
  entries->value[at] = value;
}

// Rows: one per item (exactly one option), then one per budget. Columns: options, item by item.
static void fill(const hone_mip_t *problem, glp_prob *lp, entries_t *entries) {
  double scale = largest_value(problem);
  int rows = (int)(problem->item_count + problem->budget_count), column = 0;
  glp_set_obj_dir(lp, GLP_MIN);
  glp_add_rows(lp, rows);
  glp_add_cols(lp, (int)count_options(problem));
  for (size_t b = 0; b < problem->budget_count; b++) {
    double limit = problem->budget[b] != 0 ? 1.0 : 0.0;
    glp_set_row_bnds(lp, (int)(problem->item_count + b) + 1, GLP_UP, 0, limit);
  }
  for (size_t i = 0; i < problem->item_count; i++) {
    glp_set_row_bnds(lp, (int)i + 1, GLP_FX, 1, 1);
    for (size_t o = 0; o < problem->items[i].count; o++) {
      const hone_mip_option_t *option = &problem->items[i].options[o];
      glp_set_col_kind(lp, ++column, GLP_BV);
      glp_set_obj_coef(lp, column, option->value / scale);
      add_entry(entries, (int)i + 1, column, 1);
      for (size_t b = 0; b < problem->budget_count; b++) {
        double budget = problem->budget[b] != 0 ? problem->budget[b] : 1;
        add_entry(entries, (int)(problem->item_count + b) + 1, column, option->cost[b] / budget);
      }
    }
  }
  glp_load_matrix(lp, entries->count, entries->row, entries->column, entries->value);
}

static void read_choices(const hone_mip_t *problem, glp_prob *lp, size_t *out_choice,
                         double *out_value) {
  int column = 0;
  *out_value = 0;
  for (size_t i = 0; i < problem->item_count; i++) {
    for (size_t o = 0; o < problem->items[i].count; o++)
      if (glp_mip_col_val(lp, ++column) > 0.5) out_choice[i] = o;
    *out_value += problem->items[i].options[out_choice[i]].value;
  }
}

bool hone_mip_solve(const hone_mip_t *problem, size_t *out_choice, double *out_value,
                    hone_status_t *status) {
  size_t most = count_options(problem) * (1 + problem->budget_count) + 1;
  entries_t entries = {calloc(most, sizeof(int)), calloc(most, sizeof(int)),
                       calloc(most, sizeof(double)), 0};
  bool ok = entries.row && entries.column && entries.value;
  if (!ok) hone_fail(status, HONE_EXHAUSTED, "no memory for a program of %zu options", most);
  if (ok) {
    glp_term_out(GLP_OFF);
    glp_prob *lp = glp_create_prob();
    glp_iocp options;
    fill(problem, lp, &entries);
    glp_init_iocp(&options);
    options.presolve = GLP_ON;
    options.mip_gap = 1e-5;
    options.msg_lev = GLP_MSG_OFF;
    int code = glp_intopt(lp, &options), found = glp_mip_status(lp);
    // Stopping within the gap is a code of its own.
    ok = (code == 0 || code == GLP_EMIPGAP) && (found == GLP_OPT || found == GLP_FEAS);
    if (ok)
      read_choices(problem, lp, out_choice, out_value);
    else
      hone_fail(status, HONE_NOT_FOUND, "no choice fits the budget");
    glp_delete_prob(lp);
  }
  free(entries.row);
  free(entries.column);
  free(entries.value);
  return ok;
}
