// See matrix.h: packing, the loops around the tile, and threads.
#include "quant/matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "quant/matrix_internal.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

// Runs of k (this one is part of the result), rows of A and columns of B that are packed together:
// a strip of B stays in the first cache, the block of A in the second.
enum { DEPTH = 256, BLOCK_ROWS = 192, BLOCK_COLUMNS = 1024, GRAIN = 96 };

// Lines that lie side by side, whole strips of them: some steps of all strips at a time, as steps
// are often a page or more apart.
static inline __attribute__((always_inline)) void pack_steps(const float *from, uint64_t step,
                                                             uint64_t strips, uint64_t depth,
                                                             unsigned width, float *out) {
  enum { PIECE = 8 };
  for (uint64_t k = 0; k < depth; k += PIECE)
    for (uint64_t s = 0; s < strips; s++)
      for (uint64_t j = k; j < k + PIECE && j < depth; j++)
        memcpy(out + (s * depth + j) * width, from + j * step + s * width, width * sizeof *out);
}

// Lines that lie in memory one after the other, element by element: a piece of each line at a time,
// as lines a power of two apart share their places in a cache.
static void pack_lines(const float *from, uint64_t line, uint64_t depth, unsigned width,
                       float *out) {
  enum { PIECE = 16, FOUR = 4 };
  uint64_t k = 0;
  for (; k + PIECE <= depth; k += PIECE) {
    unsigned i = 0;
#if defined(__SSE__)
    for (; i + FOUR <= width; i += FOUR)
      for (uint64_t j = k; j < k + PIECE; j += FOUR) {
        const float *at = from + i * line + j;
        float *to = out + j * width + i;
        __m128 a = _mm_loadu_ps(at), b = _mm_loadu_ps(at + line), c = _mm_loadu_ps(at + 2 * line),
               d = _mm_loadu_ps(at + 3 * line);
        _MM_TRANSPOSE4_PS(a, b, c, d);
        _mm_storeu_ps(to, a);
        _mm_storeu_ps(to + width, b);
        _mm_storeu_ps(to + 2 * width, c);
        _mm_storeu_ps(to + 3 * width, d);
      }
#endif
    for (; i < width; i++)
      for (uint64_t j = k; j < k + PIECE; j++) out[j * width + i] = from[i * line + j];
  }
  for (; k < depth; k++)
    for (unsigned i = 0; i < width; i++) out[k * width + i] = from[i * line + k];
}

// Packs `count` lines of `depth` elements in strips of `width` lines, element by element across a
// strip; lines past the last are zeros. A line is a row of A or a column of B; `line` and `step`
// are the strides from line to line and along one.
static void pack(const float *from, uint64_t line, uint64_t step, uint64_t count, uint64_t depth,
                 unsigned width, float *out) {
  uint64_t strips = count / width;
  if (line == 1 && width == 32) {  // so that copies have a known size
    pack_steps(from, step, strips, depth, 32, out);
  } else if (line == 1 && width == 12) {
    pack_steps(from, step, strips, depth, 12, out);
  } else if (line == 1) {
    pack_steps(from, step, strips, depth, width, out);
  } else {
    for (uint64_t s = 0; s < strips; s++) {
      const float *at = from + s * width * line;
      float *to = out + s * width * depth;
      if (step == 1) pack_lines(at, line, depth, width, to);
      for (uint64_t k = 0; k < depth && step != 1; k++)
        for (unsigned i = 0; i < width; i++) to[k * width + i] = at[i * line + k * step];
    }
  }
  uint64_t left = count - strips * width;
  if (left == 0) return;
  from += strips * width * line;
  out += strips * width * depth;
  memset(out, 0, depth * width * sizeof *out);
  for (uint64_t i = 0; i < left; i++)
    for (uint64_t k = 0; k < depth; k++) out[k * width + i] = from[i * line + k * step];
}

// The part of a product that one thread makes: rows [row, row + M) and columns [column, column + N)
// of C.
typedef struct share {
  const hone_product_t *p;
  const hone_tile_t *tile;
  uint64_t row, M, column, N;
  float *a, *b;  // packed panels
} share_t;

// A tile at the edge of C, by way of a whole one.
static void run_edge(const share_t *s, uint64_t depth, const float *a, const float *b, float *c,
                     uint64_t rows, uint64_t columns, bool add) {
  _Alignas(64) float whole[HONE_TILE_FLOATS];
  float sign = s->p->subtract ? -1.0f : 1.0f;
  s->tile->run(depth, a, b, whole, s->tile->columns, 1.0f, false);
  for (uint64_t i = 0; i < rows; i++)
    for (uint64_t j = 0; j < columns; j++) {
      float *to = &c[i * s->p->row + j];
      *to = (add ? *to : 0.0f) + sign * whole[i * s->tile->columns + j];
    }
}

// Packed panels of M rows and N columns -> C at (row, column).
static void run_block(const share_t *s, uint64_t row, uint64_t M, uint64_t column, uint64_t N,
                      uint64_t depth, bool add) {
  const hone_product_t *p = s->p;
  uint64_t rows = s->tile->rows, columns = s->tile->columns;
  for (uint64_t j = 0; j < N; j += columns)
    for (uint64_t i = 0; i < M; i += rows) {
      if (p->upper && row + i > column + j + columns - 1) break;
      const float *a = s->a + i * depth, *b = s->b + j * depth;
      float *c = p->C + (row + i) * p->row + column + j;
      uint64_t high = M - i < rows ? M - i : rows, wide = N - j < columns ? N - j : columns;
      if (high == rows && wide == columns)
        s->tile->run(depth, a, b, c, p->row, p->subtract ? -1.0f : 1.0f, add);
      else
        run_edge(s, depth, a, b, c, high, wide, add);
    }
}

static void run_share(const share_t *s) {
  const hone_product_t *p = s->p;
  for (uint64_t j = 0; j < s->N; j += BLOCK_COLUMNS) {
    uint64_t column = s->column + j, N = s->N - j < BLOCK_COLUMNS ? s->N - j : BLOCK_COLUMNS;
    for (uint64_t k = 0; k < p->K; k += DEPTH) {
      uint64_t depth = p->K - k < DEPTH ? p->K - k : DEPTH;
      pack(p->B.data + k * p->B.row + column * p->B.column, p->B.column, p->B.row, N, depth,
           s->tile->columns, s->b);
      for (uint64_t i = 0; i < s->M; i += BLOCK_ROWS) {
        uint64_t row = s->row + i, M = s->M - i < BLOCK_ROWS ? s->M - i : BLOCK_ROWS;
        if (p->upper && row > column + N - 1) break;
        pack(p->A.data + row * p->A.row + k * p->A.column, p->A.row, p->A.column, M, depth,
             s->tile->rows, s->a);
        run_block(s, row, M, column, N, depth, p->add || p->subtract || k > 0);
      }
    }
  }
}

static void run_indexed(void *user, int index) { run_share((const share_t *)user + index); }

static uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

static bool allocate(share_t *s) {
  uint64_t M = s->M < BLOCK_ROWS ? s->M : BLOCK_ROWS,
           N = s->N < BLOCK_COLUMNS ? s->N : BLOCK_COLUMNS, K = s->p->K < DEPTH ? s->p->K : DEPTH;
  s->a = aligned_alloc(64, round_up(round_up(M, s->tile->rows) * K * sizeof(float), 64));
  s->b = aligned_alloc(64, round_up(round_up(N, s->tile->columns) * K * sizeof(float), 64));
  return s->a && s->b;
}

// Where part i of `count` of the longer side begins: equal parts, of a triangle by area.
static uint64_t cut(uint64_t length, int i, int count, bool is_triangle) {
  double part = (double)i / count;
  if (i == count) return length;
  return (uint64_t)((double)length * (is_triangle ? sqrt(part) : part)) / GRAIN * GRAIN;
}

bool hone_matrix_multiply_with(const hone_tile_t *tile, const hone_product_t *p, int threads) {
  share_t shares[HONE_PARALLEL_LIMIT];
  bool by_columns = p->upper || p->N >= p->M, ok = true;
  uint64_t length = by_columns ? p->N : p->M, most = (length + GRAIN - 1) / GRAIN;
  int count = hone_parallel_count(threads);
  if (p->M == 0 || p->N == 0) return true;
  if (p->K == 0 && !p->add && !p->subtract)
    for (uint64_t i = 0; i < p->M; i++) memset(p->C + i * p->row, 0, p->N * sizeof(float));
  if (p->K == 0) return true;
  if ((uint64_t)count > most) count = (int)most;
  for (int i = 0; i < count; i++) {
    uint64_t first = cut(length, i, count, p->upper), last = cut(length, i + 1, count, p->upper);
    shares[i] = (share_t){.p = p, .tile = tile, .M = p->M, .N = p->N};
    if (by_columns)
      shares[i].column = first, shares[i].N = last - first;
    else
      shares[i].row = first, shares[i].M = last - first;
    ok = allocate(&shares[i]) && ok;
  }
  if (ok) hone_parallel_run(count, run_indexed, shares);
  for (int i = 0; i < count; i++) {
    free(shares[i].a);
    free(shares[i].b);
  }
  return ok;
}

bool hone_matrix_multiply(const hone_product_t *product, int threads) {
  return hone_matrix_multiply_with(hone_tile_at(0), product, threads);
}
