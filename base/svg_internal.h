// What the figures of svg.c and svg_bars.c share: frame, legend, text. Units are those of the
// viewBox, which is HONE_SVG_WIDTH wide. Thread rule: one thread per buffer.
#ifndef HONE_BASE_SVG_INTERNAL_H
#define HONE_BASE_SVG_INTERNAL_H

#include "base/svg.h"

enum { HONE_SVG_WIDTH = 800, HONE_SVG_LETTER = 8, HONE_SVG_LINE_HEIGHT = 20 };

typedef struct hone_svg_key {  // an item of the legend
  const char *name;
  size_t color;
  bool is_box;  // a box, not the colour's point
} hone_svg_key_t;

// Width of a text, by its number of characters: fonts differ, so this is a guess on the safe side.
double hone_svg_text_width(const char *text);
// <figure>, caption, and <svg> of `height` with `marks`, around `body`.
void hone_svg_frame(const char *id, const char *title, const char *description, double height,
                    size_t marks, const hone_buffer_t *body, hone_buffer_t *out);
// Rows of items from y = 0 on; returns the height used.
double hone_svg_legend(const hone_svg_key_t *keys, size_t count, hone_buffer_t *out);
// `anchor`: start, middle or end. (x, y) is on the text's base line.
void hone_svg_write(double x, double y, const char *anchor, const char *classes, const char *text,
                    hone_buffer_t *out);
// The point of a colour: circle, square, triangle, diamond and so on. `label` may be NULL.
void hone_svg_point(double x, double y, size_t color, const char *label, hone_buffer_t *out);
void hone_svg_box(double x, double y, double width, double height, const char *classes,
                  const char *label, hone_buffer_t *out);

#endif
