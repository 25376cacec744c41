// Matrix products and Cholesky's factor against plain loops in double precision; the same bytes for
// every tile that this CPU can run and any number of threads.
#include <string.h>

#include "quant/matrix_internal.h"
#include "tests/unit/quant/test.h"

static float *make(uint64_t count, uint64_t *seed) {
  float *data = malloc(count * sizeof *data);
  for (uint64_t i = 0; i < count; i++) data[i] = (float)test_normal(seed);
  return data;
}

static double at(hone_matrix_t m, uint64_t i, uint64_t j) {
  return (double)m.data[i * m.row + j * m.column];
}

static void check_product(const hone_product_t *p, const float *before) {
  for (uint64_t i = 0; i < p->M; i++)
    for (uint64_t j = p->upper ? i : 0; j < p->N; j++) {
      double sum = 0, size = 1;
      for (uint64_t k = 0; k < p->K; k++) {
        double term = at(p->A, i, k) * at(p->B, k, j);
        sum += p->subtract ? -term : term;
        size += fabs(term);
      }
      if (p->add || p->subtract) sum += (double)before[i * p->row + j];
      double got = (double)p->C[i * p->row + j];
      if (!(fabs(got - sum) < 1e-6 * size))
        fail_msg("(%d, %d): %g, not %g", (int)i, (int)j, got, sum);
    }
}

static void products_of_all_shapes(void **state) {
  (void)state;
  static const uint64_t shapes[][3] = {{1, 1, 1},    {12, 32, 256}, {13, 33, 257}, {7, 200, 40},
                                       {197, 5, 70}, {64, 64, 0},   {250, 1100, 3}};
  uint64_t seed = 3;
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int kind = 0; kind < 8; kind++) {
      uint64_t M = shapes[s][0], N = shapes[s][1], K = shapes[s][2], row = N + 3;
      float *a = make(M * K + 1, &seed), *b = make(K * N + 1, &seed), *c = make(M * row, &seed),
            *first = malloc(M * row * sizeof *first), *again = malloc(M * row * sizeof *again);
      hone_product_t p = {.M = M,
                          .N = N,
                          .K = K,
                          .A = kind & 1 ? (hone_matrix_t){a, 1, M} : (hone_matrix_t){a, K, 1},
                          .B = kind & 2 ? (hone_matrix_t){b, 1, K} : (hone_matrix_t){b, N, 1},
                          .row = row,
                          .add = kind == 4 || kind == 7,
                          .subtract = kind == 5,
                          .upper = kind >= 6};
      const hone_tile_t *tile;
      for (int t = 0; (tile = hone_tile_at(t)) != NULL; t++)
        for (int threads = 1; threads <= 3; threads += 2) {
          bool is_first = t == 0 && threads == 1;
          p.C = is_first ? first : again;
          memcpy(p.C, c, M * row * sizeof *c);
          assert_true(hone_matrix_multiply_with(tile, &p, threads));
          if (is_first) check_product(&p, c);
          for (uint64_t i = 0; i < M && !is_first; i++)
            for (uint64_t j = p.upper ? i : 0; j < row; j++)  // what is behind a row stays, too
              if (memcmp(&first[i * row + j], &again[i * row + j], sizeof *c))
                fail_msg("%s, %d threads: another result at (%d, %d)", tile->name, threads, (int)i,
                         (int)j);
        }
      free(a);
      free(b);
      free(c);
      free(first);
      free(again);
    }
}

static void cholesky_solves(void **state) {
  (void)state;
  static const uint64_t sizes[] = {1, 17, 128, 300};
  uint64_t seed = 9;
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    uint64_t K = sizes[s], N = 5;
    float *A = make(K * K, &seed), *X = make(N * K, &seed), *Y = malloc(N * K * sizeof *Y);
    double *H = malloc(K * K * sizeof *H);
    float *G = malloc(K * K * sizeof *G);
    for (uint64_t i = 0; i < K; i++)
      for (uint64_t j = 0; j < K; j++) {
        double sum = i == j ? 0.1 * (double)K : 0;
        for (uint64_t k = 0; k < K; k++) sum += (double)A[i * K + k] * (double)A[j * K + k];
        H[i * K + j] = sum;
        G[i * K + j] = (float)sum;
      }
    hone_cholesky_t c;
    hone_status_t status = {0};
    assert_works(hone_cholesky_init(&c, G, K, 2, &status), &status);
    for (uint64_t i = 0; i < K; i++)
      for (uint64_t j = 0; j <= i; j++) {
        double sum = 0;
        for (uint64_t k = 0; k <= j; k++) sum += (double)c.G[i * K + k] * (double)c.G[j * K + k];
        if (!(fabs(sum - H[i * K + j]) < 1e-5 * (double)K)) fail_msg("K %d: not H", (int)K);
      }
    memcpy(Y, X, N * K * sizeof *X);
    assert_true(hone_cholesky_solve(&c, Y, N, 2));
    for (uint64_t n = 0; n < N; n++)
      for (uint64_t j = 0; j < K; j++) {
        double sum = 0;
        for (uint64_t k = 0; k < K; k++) sum += (double)Y[n * K + k] * H[k * K + j];
        if (!(fabs(sum - (double)X[n * K + j]) < 1e-3)) fail_msg("K %d: not solved", (int)K);
      }
    hone_cholesky_deinit(&c);
    free(A);
    free(X);
    free(Y);
    free(H);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_of_all_shapes),
      cmocka_unit_test(cholesky_solves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
