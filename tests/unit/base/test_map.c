// Map: growth keeps order and values, keys are bytes, inserting twice changes nothing.
#include "base/map.h"
#include "tests/unit/unit.h"

static void test_growth(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  hone_map_t *map = hone_map_create(arena);
  assert_null(hone_map_get(map, "x"));
  assert_int_equal(hone_map_count(map), 0);
  static int values[5000];
  for (int i = 0; i < 5000; i++) {
    char *key = hone_arena_format(arena, "layers.%d.weight", i);
    assert_true(hone_map_insert(map, key, strlen(key), &values[i]));
    key[0] = '?';  // the map has its own copy
  }
  assert_int_equal(hone_map_count(map), 5000);
  for (int i = 0; i < 5000; i++) {
    char *key = hone_arena_format(arena, "layers.%d.weight", i);
    assert_ptr_equal(hone_map_get(map, key), &values[i]);
    assert_string_equal(hone_map_key(map, (size_t)i), key);
    assert_ptr_equal(hone_map_value(map, (size_t)i), &values[i]);
  }
  assert_null(hone_map_get(map, "layers.5000.weight"));
  hone_arena_destroy(arena);
}

static void test_replace(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  hone_map_t *map = hone_map_create(arena);
  int a, b, c;
  assert_true(hone_map_insert(map, "k", 1, &a));
  assert_false(hone_map_insert(map, "k", 1, &b));
  assert_ptr_equal(hone_map_get(map, "k"), &a);
  hone_map_put(map, "k", &c);
  assert_ptr_equal(hone_map_get(map, "k"), &c);
  hone_map_put(map, "new", &b);
  assert_ptr_equal(hone_map_get(map, "new"), &b);
  assert_int_equal(hone_map_count(map), 2);
  hone_arena_destroy(arena);
}

static void test_byte_keys(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  hone_map_t *map = hone_map_create(arena);
  int a, b, c;
  assert_true(hone_map_insert(map, "a\0b", 3, &a));
  assert_true(hone_map_insert(map, "a\0c", 3, &b));
  assert_true(hone_map_insert(map, "", 0, &c));
  assert_ptr_equal(hone_map_find(map, "a\0c", 3), &b);
  assert_ptr_equal(hone_map_find(map, "a\0b", 3), &a);
  assert_null(hone_map_find(map, "a", 1));
  assert_ptr_equal(hone_map_get(map, ""), &c);
  hone_arena_destroy(arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_growth),
      cmocka_unit_test(test_replace),
      cmocka_unit_test(test_byte_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
