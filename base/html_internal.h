// The style sheet of html.c's pages, line by line, ended by NULL. Thread rule: const.
#ifndef HONE_BASE_HTML_INTERNAL_H
#define HONE_BASE_HTML_INTERNAL_H

extern const char *const hone_html_style[];

#endif
