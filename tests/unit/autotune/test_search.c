// Searches on made-up landscapes, where the best is known: times that depend smoothly on the
// schedule, with bumps, and cost estimates that know a part of it.
#include "autotune/search.h"

#include <math.h>

#include "autotune/learned.h"
#include "tests/unit/autotune/fixture.h"

enum { LANDSCAPES = 40 };

typedef struct landscape {
  uint64_t seed;
  hone_learner_t learner;
  bool is_blind;  // the cost estimate knows nothing
  size_t measured, batches, batch_limit;
  const hone_candidate_t *rejected;  // this one is wrong
} landscape_t;

// A number in [0, 1) from a seed and a place.
static double chance(uint64_t seed, uint64_t place) {
  uint64_t state = seed * 1000003 + place;
  return (double)(hone_random(&state) >> 11) / 9007199254740992.0;
}

// Costs per family and preferred values of every field.
static double true_ns(const landscape_t *land, const hone_candidate_t *candidate, bool has_bumps) {
  double ns = 1000 * (1 + 2 * chance(land->seed, (uint64_t)candidate->family));
  uint64_t place = (uint64_t)candidate->family;
  for (int i = 0; i < HONE_SCHEDULE_FIELD_COUNT; i++) {
    double value = log2(1 + hone_schedule_get(&candidate->schedule, (hone_schedule_field_t)i));
    double best = 8 * chance(land->seed, 100 + (uint64_t)i);
    ns *= 1 + 0.02 * (1 + chance(land->seed, 200 + (uint64_t)i)) * fabs(value - best);
    place = place * 31 + (uint64_t)(value * 64);
  }
  return has_bumps ? ns * (1 + 0.04 * chance(land->seed, 1000 + place)) : ns;
}

static double cost(void *user, const hone_candidate_t *candidate) {
  const landscape_t *land = user;
  if (land->is_blind) return 1;
  hone_candidate_t partly = *candidate;
  partly.schedule.prefetch = 0;  // what an estimate cannot know
  return true_ns(land, &partly, false);
}

static bool measure(void *user, const hone_candidate_t *candidates, size_t count,
                    hone_evidence_t *out_evidence, hone_status_t *status) {
  landscape_t *land = user;
  (void)status;
  land->batches++;
  for (size_t i = 0; i < count; i++) {
    land->measured++;
    if (land->rejected && hone_candidate_equal(land->rejected, &candidates[i])) {
      hone_evidence_reject(&out_evidence[i], HONE_VERDICT_WRONG, "made up");
      continue;
    }
    out_evidence[i] =
        (hone_evidence_t){.samples = 5, .median_ns = true_ns(land, &candidates[i], true)};
  }
  return true;
}

static bool is_over(void *user) {
  const landscape_t *land = user;
  return land->batch_limit && land->batches >= land->batch_limit;
}

typedef struct world {
  hone_arena_t *arena;
  hone_candidates_t space;
} world_t;

static world_t world_create(void) {
  hone_status_t status = {0};
  world_t world = {.arena = hone_arena_create()};
  hone_kernel_spec_t spec = fixture_linear(256, 512);
  assert_works(
      hone_space_list(&spec, hone_cpu_isa_find("avx512"), world.arena, &world.space, &status),
      &status);
  assert_true(world.space.count > 60);
  return world;
}

static hone_found_t run(const world_t *world, landscape_t *land, hone_strategy_t strategy,
                        const hone_tried_t *known, size_t known_count) {
  hone_status_t status = {0};
  hone_found_t found;
  const hone_search_t search = {.strategy = strategy,
                                .space = &world->space,
                                .untuned = world->space.items[5],
                                .known = known,
                                .known_count = known_count,
                                .learner = land->learner,
                                .seed = land->seed,
                                .user = land,
                                .cost = cost,
                                .measure = measure,
                                .is_over = is_over};
  assert_works(hone_search_run(&search, &found, &status), &status);
  return found;
}

static double best_of(const world_t *world, const landscape_t *land) {
  double best = INFINITY;
  for (size_t i = 0; i < world->space.count; i++)
    best = fmin(best, true_ns(land, &world->space.items[i], true));
  return best;
}

static void test_exhaustive(void **state) {
  (void)state;
  world_t world = world_create();
  landscape_t land = {.seed = 3};
  hone_found_t found = run(&world, &land, HONE_STRATEGY_EXHAUSTIVE, NULL, 0);
  assert_int_equal(found.measured, world.space.count);
  assert_true(found.best.evidence.median_ns == best_of(&world, &land));
  assert_true(found.untuned.evidence.median_ns == true_ns(&land, &world.space.items[5], true));
  hone_arena_destroy(world.arena);
}

// Of exhaustive's speed at least 95 %, with a tenth of its measurements.
static void test_shortlist(void **state) {
  (void)state;
  world_t world = world_create();
  double speed = 0;
  size_t measured = 0;
  for (uint64_t seed = 1; seed <= LANDSCAPES; seed++) {
    landscape_t land = {.seed = seed};
    hone_found_t found = run(&world, &land, HONE_STRATEGY_SHORTLIST, NULL, 0);
    double reached = best_of(&world, &land) / found.best.evidence.median_ns;
    assert_true(reached > 0.85);
    speed += reached / LANDSCAPES;
    measured += found.measured;
  }
  print_message("shortlist: %.3f of the speed with %zu of %zu measurements\n", speed, measured,
                LANDSCAPES * world.space.count);
  assert_true(speed >= 0.95);
  assert_true(measured * 10 <= LANDSCAPES * world.space.count);
  hone_arena_destroy(world.arena);
}

static double random_search(const world_t *world, const landscape_t *land, size_t count) {
  uint64_t random = land->seed * 77;
  double best = INFINITY;
  for (size_t i = 0; i < count; i++)
    best = fmin(
        best,
        true_ns(land, &world->space.items[hone_random_below(&random, world->space.count)], true));
  return best;
}

// Says so where this build lacks it, for no other reason.
static bool has_learner(hone_learner_t learner) {
  hone_learner_t found;
  hone_learned_t *model;
  hone_status_t status = {0};
  const double feature = 1, target = 1;
  if (hone_learner_find(hone_learner_name(learner), &found, &status)) return true;
  assert_int_equal(status.code, HONE_UNSUPPORTED);
  assert_non_null(strstr(status.message, "built without it"));
  print_message("not run: %s\n", status.message);
  status = (hone_status_t){0};
  assert_fails(hone_learned_fit(learner, &feature, &target, 1, 1, &model, &status), &status,
               HONE_UNSUPPORTED, "built without it");
  assert_null(model);
  return false;
}

// Without any estimate, evolution is nearer to the best than as many random draws.
static void check_evolve(hone_learner_t learner) {
  world_t world = world_create();
  double evolved = 0, drawn = 0;
  for (uint64_t seed = 1; seed <= LANDSCAPES; seed++) {
    landscape_t land = {.seed = seed, .is_blind = true, .learner = learner}, again = land;
    hone_found_t found = run(&world, &land, HONE_STRATEGY_EVOLVE, NULL, 0);
    hone_found_t same = run(&world, &again, HONE_STRATEGY_EVOLVE, NULL, 0);
    assert_true(hone_candidate_equal(&found.best.candidate, &same.best.candidate));
    assert_true(found.measured <= world.space.count / 2);
    double best = best_of(&world, &land);
    evolved += found.best.evidence.median_ns / best - 1;
    drawn += random_search(&world, &land, found.measured) / best - 1;
  }
  print_message("evolve with %s: %.4f above the best on average, random draws %.4f\n",
                hone_learner_name(learner), evolved / LANDSCAPES, drawn / LANDSCAPES);
  assert_true(evolved < 0.7 * drawn);
  hone_arena_destroy(world.arena);
}

static void test_evolve(void **state) {
  (void)state;
  for (int i = HONE_LEARNER_DEFAULT + 1; i < HONE_LEARNER_COUNT; i++)
    if (has_learner((hone_learner_t)i)) check_evolve((hone_learner_t)i);
}

// What is known is not measured again, what was rejected never wins, and an end of the time keeps
// what there is.
static void test_known(void **state) {
  (void)state;
  world_t world = world_create();
  landscape_t land = {.seed = 9};
  hone_found_t first = run(&world, &land, HONE_STRATEGY_EXHAUSTIVE, NULL, 0);
  hone_tried_t *known = HONE_NEW_ARRAY(world.arena, hone_tried_t, world.space.count);
  for (size_t i = 0; i < world.space.count; i++) {
    known[i].candidate = world.space.items[i];
    known[i].evidence =
        (hone_evidence_t){.samples = 5, .median_ns = true_ns(&land, &world.space.items[i], true)};
  }
  land.measured = 0;
  hone_found_t second = run(&world, &land, HONE_STRATEGY_EXHAUSTIVE, known, world.space.count);
  assert_int_equal(land.measured, 0);
  assert_true(hone_candidate_equal(&second.best.candidate, &first.best.candidate));

  hone_candidate_t winner = first.best.candidate;
  land.rejected = &winner;
  hone_found_t third = run(&world, &land, HONE_STRATEGY_EXHAUSTIVE, NULL, 0);
  assert_false(hone_candidate_equal(&third.best.candidate, &winner));

  landscape_t cut = {.seed = 9, .batch_limit = 1};
  hone_found_t fourth = run(&world, &cut, HONE_STRATEGY_EXHAUSTIVE, NULL, 0);
  assert_int_equal(fourth.measured, 1);
  assert_true(hone_candidate_equal(&fourth.best.candidate, &world.space.items[5]));
  hone_arena_destroy(world.arena);
}

// The incumbent stays unless something is better by more than the margin.
static void test_ties(void **state) {
  (void)state;
  world_t world = world_create();
  landscape_t land = {.seed = 9};
  hone_found_t best = run(&world, &land, HONE_STRATEGY_EXHAUSTIVE, NULL, 0);
  hone_tried_t known = {world.space.items[11],
                        {.samples = 5, .median_ns = best.best.evidence.median_ns * 1.015}};
  hone_found_t found = run(&world, &land, HONE_STRATEGY_SHORTLIST, &known, 1);
  // Side by side with the others the incumbent's true time shows.
  double own = true_ns(&land, &world.space.items[11], true);
  bool stays = own <= HONE_SEARCH_MARGIN * found.best.evidence.median_ns;
  assert_int_equal(stays, hone_candidate_equal(&found.best.candidate, &world.space.items[11]));
  hone_arena_destroy(world.arena);
}

// Learns a step and a slope from half of the rows; the same rows give the same numbers.
static void check_learner(hone_learner_t learner) {
  enum { ROWS = 200, HALF = ROWS / 2, WIDTH = 3 };
  hone_status_t status = {0};
  hone_learned_t *models[2];
  double features[ROWS][WIDTH], targets[ROWS], values[2][HALF], error = 0, spread = 0;
  for (size_t i = 0; i < ROWS; i++) {
    for (size_t f = 0; f < WIDTH; f++) features[i][f] = chance(5, i * WIDTH + f);
    targets[i] = (features[i][0] > 0.5 ? 2 : 0) + features[i][1];
  }
  for (int m = 0; m < 2; m++) {
    assert_works(hone_learned_fit(learner, features[0], targets, HALF, WIDTH, &models[m], &status),
                 &status);
    assert_works(hone_learned_predict(models[m], features[HALF], HALF, values[m], &status),
                 &status);
    hone_learned_destroy(models[m]);
  }
  assert_memory_equal(values[0], values[1], sizeof values[0]);
  for (size_t i = 0; i < HALF; i++) {
    error += pow(values[0][i] - targets[HALF + i], 2);
    spread += pow(targets[HALF + i] - 1.5, 2);
  }
  assert_true(error < 0.05 * spread);
}

static void test_learners(void **state) {
  (void)state;
  hone_learner_t found;
  hone_status_t status = {0};
  for (int i = HONE_LEARNER_DEFAULT + 1; i < HONE_LEARNER_COUNT; i++) {
    const hone_learner_t learner = (hone_learner_t)i;
    if (!has_learner(learner)) continue;
    assert_works(hone_learner_find(hone_learner_name(learner), &found, &status), &status);
    assert_int_equal(found, i);
    check_learner(learner);
  }
  assert_works(hone_learner_find("trees", &found, &status), &status);  // always there
  assert_works(hone_learner_find(NULL, &found, &status), &status);
  assert_int_equal(found, 0);  // what options have that nobody set
  check_learner(found);
  assert_fails(hone_learner_find("oracle", &found, &status), &status, HONE_INVALID,
               "there is no such one");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_exhaustive), cmocka_unit_test(test_shortlist),
      cmocka_unit_test(test_evolve),     cmocka_unit_test(test_known),
      cmocka_unit_test(test_ties),       cmocka_unit_test(test_learners),
  };
  return cmocka_run_group_tests_name("search", tests, NULL, NULL);
}
