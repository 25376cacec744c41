// Pages: escaping, numbers, tables, and a frame that fetches nothing.
#include <math.h>

#include "base/html.h"
#include "tests/unit/unit.h"

static void expect_text(const char *text, const char *expected) {
  hone_buffer_t out = {0};
  hone_html_text(&out, text);
  assert_string_equal(hone_buffer_cstr(&out), expected);
  hone_buffer_deinit(&out);
}

static void test_escaping(void **state) {
  (void)state;
  expect_text(NULL, "");
  expect_text("plain Σ w²", "plain Σ w²");
  expect_text("<script>alert('&\"')</script>",
              "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;");
  expect_text(
      "a\x01"
      "b\x7f"
      "c\td\n",
      "a\xef\xbf\xbd"
      "b\xef\xbf\xbd"
      "c\td\n");
  expect_text("\xff\xc3(", "\xef\xbf\xbd\xef\xbf\xbd(");
  expect_text("\xef\xbf\xbe", "\xef\xbf\xbd");  // U+FFFE
}

static void expect_number(double value, int digits, const char *expected) {
  char text[40];
  assert_string_equal(hone_html_number(value, digits, text), expected);
}

static void test_numbers(void **state) {
  (void)state;
  expect_number(0, 3, "0");
  expect_number(0.0078912, 3, "0.00789");
  expect_number(12.3456, 3, "12.3");
  expect_number(-1234.5, 3, "−1234");
  expect_number(3.51392726e-05, 3, "3.51×10⁻⁵");
  expect_number(-2e300, 2, "−2.0×10³⁰⁰");
  expect_number(NAN, 3, "");
  expect_number(-INFINITY, 3, "");
}

static void test_table(void **state) {
  (void)state;
  const hone_html_column_t columns[] = {{"Name"}, {"N", .is_number = true, .hint = "a \"hint\""}};
  hone_buffer_t out = {0};
  hone_html_table_t table = {.out = &out, .columns = columns, .column_count = 2};
  hone_html_table_begin(&table, "A & B");
  hone_html_cell(&table, "a<b");
  hone_html_cell_number(&table, NAN, 3);
  hone_html_cell(&table, "");
  hone_html_cell_format(&table, "%d", 7);
  hone_html_table_end(&table);
  assert_string_equal(
      hone_buffer_cstr(&out),
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"A &amp; B\">\n<table>\n"
      "<caption>A &amp; B</caption>\n<thead><tr><th scope=\"col\">Name</th>"
      "<th scope=\"col\" class=\"number\" title=\"a &quot;hint&quot;\">N</th></tr></thead>\n"
      "<tbody>\n<tr><th scope=\"row\">a&lt;b</th><td class=\"number\">–</td></tr>\n"
      "<tr><th scope=\"row\">–</th><td class=\"number\">7</td></tr>\n</tbody>\n</table>\n</div>\n");
  hone_buffer_deinit(&out);
}

static void test_page(void **state) {
  (void)state;
  hone_buffer_t out = {0};
  hone_html_page_begin(&out, "<title>", "about \"it\"");
  hone_html_page_end(&out);
  const char *page = hone_buffer_cstr(&out);
  assert_non_null(strstr(page, "<!DOCTYPE html>"));
  assert_non_null(strstr(page, "<title>&lt;title&gt;</title>"));
  assert_non_null(strstr(page, "content=\"about &quot;it&quot;\""));
  assert_non_null(strstr(page, "prefers-color-scheme:dark"));
  assert_non_null(strstr(page, "@media print"));
  static const char *const absent[] = {"http", "url(", "@import", "<script", "<link", "src="};
  for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
    if (strstr(page, absent[i])) fail_msg("the page has %s", absent[i]);
  hone_buffer_deinit(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_escaping),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_page),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
