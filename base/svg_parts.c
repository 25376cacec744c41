// The parts of figures; see svg_internal.h.
#include <stdio.h>

#include "base/html.h"
#include "base/svg_internal.h"

double hone_svg_text_width(const char *text) {
  size_t letters = 0;
  for (const char *c = text ? text : ""; *c; c++)
    letters += ((unsigned char)*c & 0xc0) != 0x80;  // the first byte of a UTF-8 sequence
  return (double)letters * HONE_SVG_LETTER;
}

void hone_svg_frame(const char *id, const char *title, const char *description, double height,
                    size_t marks, const hone_buffer_t *body, hone_buffer_t *out) {
  hone_buffer_text(out, "<figure>\n<figcaption><strong>");
  hone_html_text(out, title);
  hone_buffer_text(out, "</strong> ");
  hone_html_text(out, description);
  hone_buffer_text(
      out, "</figcaption>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"");
  hone_html_text(out, title);
  hone_buffer_format(out,
                     "\">\n<svg id=\"%s\" role=\"img\" aria-labelledby=\"%s-title %s-about\" "
                     "data-marks=\"%zu\" viewBox=\"0 0 %d %.0f\">\n<title id=\"%s-title\">",
                     id, id, id, marks, HONE_SVG_WIDTH, height, id);
  hone_html_text(out, title);
  hone_buffer_format(out, "</title>\n<desc id=\"%s-about\">", id);
  hone_html_text(out, description);
  hone_buffer_text(out, "</desc>\n");
  hone_buffer_add(out, hone_buffer_cstr(body), body->bytes);
  hone_buffer_text(out, "</svg>\n</div>\n</figure>\n");
}

void hone_svg_write(double x, double y, const char *anchor, const char *classes, const char *text,
                    hone_buffer_t *out) {
  hone_buffer_format(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y,
                     anchor, classes);
  hone_html_text(out, text);
  hone_buffer_text(out, "</text>\n");
}

static void close_mark(const char *tag, const char *label, hone_buffer_t *out) {
  if (!label) {
    hone_buffer_text(out, "/>\n");
    return;
  }
  hone_buffer_text(out, "><title>");
  hone_html_text(out, label);
  hone_buffer_format(out, "</title></%s>\n", tag);
}

void hone_svg_point(double x, double y, size_t color, const char *label, hone_buffer_t *out) {
  // Shapes about (0, 0), of equal weight to the eye.
  static const char *const shapes[HONE_SVG_COLORS] = {
      "a4,4 0 1 1 8,0a4,4 0 1 1 -8,0z",
      "m0.6,-3.4h6.8v6.8h-6.8z",
      "m4,-4.6l4.4,7.8h-8.8z",
      "m4,-5l5,5l-5,5l-5,-5z",
      "m4,4.6l4.4,-7.8h-8.8z",
      "m-0.4,-1.4h3v-3h2.8v3h3v2.8h-3v3h-2.8v-3h-3z",
      "m4,-4.8l4.6,3.3l-1.8,5.4h-5.6l-1.8,-5.4z",
      "m1.6,-4.2h4.8l2.4,4.2l-2.4,4.2h-4.8l-2.4,-4.2z",
  };
  hone_buffer_format(out, "<path class=\"point c%zu\" d=\"M%.2f,%.2f%s\"", color % HONE_SVG_COLORS,
                     x - 4, y, shapes[color % HONE_SVG_COLORS]);
  close_mark("path", label, out);
}

void hone_svg_box(double x, double y, double width, double height, const char *classes,
                  const char *label, hone_buffer_t *out) {
  hone_buffer_format(out, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"",
                     classes, x, y, width, height);
  close_mark("rect", label, out);
}

double hone_svg_legend(const hone_svg_key_t *keys, size_t count, hone_buffer_t *out) {
  double x = 4, y = 14;
  char classes[24];
  for (size_t i = 0; i < count; i++) {
    double width = hone_svg_text_width(keys[i].name) + 36;
    if (x > 4 && x + width > HONE_SVG_WIDTH) x = 4, y += HONE_SVG_LINE_HEIGHT;
    snprintf(classes, sizeof classes, "bar c%zu", keys[i].color % HONE_SVG_COLORS);
    // The legend's signs are no marks: they are drawn inside a group that says so.
    hone_buffer_text(out, "<g class=\"key\">");
    if (keys[i].is_box) {
      hone_svg_box(x, y - 10, 12, 12, classes, NULL, out);
    } else {
      hone_svg_point(x + 6, y - 4, keys[i].color, NULL, out);
    }
    hone_buffer_text(out, "</g>\n");
    hone_svg_write(x + 18, y, "start", "legend", keys[i].name, out);
    x += width;
  }
  return count ? y + 12 : 0;
}
