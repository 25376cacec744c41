// The style sheet of our pages. Colours are variables, set for light and again for dark; print is
// always light. The eight plot colours differ in lightness as well as in hue.
#include <stddef.h>

#include "base/html_internal.h"

#define LIGHT                                                                                    \
  "--paper:#ffffff;--raised:#f6f7f9;--ink:#1b2430;--soft:#556070;--rule:#d9dee5;--grid:#e8ebef;" \
  "--accent:#2463ab;--c0:#2b6cb0;--c1:#cf5f1e;--c2:#22836a;--c3:#8750b0;--c4:#a97a00;"           \
  "--c5:#5d6b7c;--c6:#b83260;--c7:#1f8fb0;"
#define DARK                                                                                     \
  "--paper:#12161c;--raised:#1a2028;--ink:#e5e9ef;--soft:#9aa6b5;--rule:#333c48;--grid:#262e38;" \
  "--accent:#7db4f0;--c0:#6aa9ea;--c1:#f3945c;--c2:#55c3a2;--c3:#c094e6;--c4:#e2b94d;"           \
  "--c5:#9ba9ba;--c6:#f07a9d;--c7:#63c9e4;"

const char *const hone_html_style[] = {
    ":root{color-scheme:light dark;" LIGHT "}",
    "@media screen and (prefers-color-scheme:dark){:root{" DARK "}}",
    "*{box-sizing:border-box}",
    "html{-webkit-text-size-adjust:100%}",
    "body{margin:0;background:var(--paper);color:var(--ink);"
    "font:15px/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica "
    "Neue\",Arial,sans-serif}",
    "main{max-width:60rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}",
    "header{border-bottom:1px solid var(--rule);padding-bottom:1.25rem;margin-bottom:1.75rem}",
    "h1{font-size:1.9rem;line-height:1.2;margin:.15rem 0 .4rem;letter-spacing:-.015em;"
    "overflow-wrap:anywhere}",
    "h2{font-size:1.2rem;line-height:1.3;margin:2.75rem 0 .4rem;letter-spacing:-.005em}",
    "p{margin:.35rem 0 .9rem;max-width:46rem}",
    "a{color:var(--accent)}",
    "code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,\"Liberation Mono\",monospace}",
    ".eyebrow{margin:0;color:var(--accent);font-size:.8rem;font-weight:600;letter-spacing:.08em;"
    "text-transform:uppercase}",
    ".lead,.note,figcaption,caption,dt{color:var(--soft)}",
    ".lead{margin:0}",
    // key figures
    ".figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(14.5rem,1fr));gap:.75rem;"
    "margin:0 0 1.5rem}",
    ".figures div{background:var(--raised);border:1px solid var(--rule);border-radius:8px;"
    "padding:.8rem 1rem .75rem}",
    ".figures dt{font-size:.82rem;margin:0}",
    ".figures dd{margin:0}",
    ".figures "
    ".value{font-size:1.5rem;white-space:nowrap;line-height:1.35;font-weight:600;letter-spacing:-."
    "01em;"
    "font-variant-numeric:tabular-nums}",
    ".figures .detail{font-size:.82rem;color:var(--soft);line-height:1.4}",
    // tables
    ".scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}",
    ".scroll:focus-visible{outline:2px solid var(--accent);outline-offset:3px}",
    "table{border-collapse:collapse;width:100%;margin:.75rem 0 1rem;font-size:.88rem;"
    "font-variant-numeric:tabular-nums}",
    "caption{text-align:left;padding:0 0 .45rem;font-size:.88rem}",
    "th,td{text-align:left;padding:.32rem .9rem .32rem 0;border-bottom:1px solid var(--grid);"
    "white-space:nowrap;font-weight:400}",
    "thead th{font-weight:600;border-bottom:1px solid var(--rule);color:var(--soft);"
    "vertical-align:bottom}",
    "th[title]{cursor:help}",
    "tbody tr:hover{background:var(--raised)}",
    ".number{text-align:right}",
    "th:last-child,td:last-child{padding-right:.25rem}",
    ".wrap td:last-child{white-space:normal;overflow-wrap:anywhere}",
    // figures
    "figure{margin:1.4rem 0 1.75rem}",
    "figcaption{font-size:.88rem;margin-bottom:.8rem;max-width:46rem}",
    "figcaption strong{color:var(--ink);font-weight:600}",
    "svg{display:block;width:100%;min-width:38rem;height:auto;font-size:13px}",
    "svg text{fill:currentColor;font-variant-numeric:tabular-nums}",
    "svg .tick,svg .name{fill:var(--soft)}",
    "svg .note{font-size:12px;paint-order:stroke;stroke:var(--paper);stroke-width:4px;"
    "stroke-linejoin:round}",
    "svg .axis{stroke:var(--soft)}",
    "svg .grid{stroke:var(--grid)}",
    "svg .rule{stroke:var(--ink);stroke-dasharray:3 3;opacity:.65}",
    "svg .bar{fill:currentColor}",
    "svg .line{fill:none;stroke:currentColor;stroke-width:1.75;stroke-linejoin:round}",
    "svg .whisker{stroke:currentColor;opacity:.6}",
    "svg .point{fill:currentColor;stroke:var(--paper);stroke-width:1}",
    "svg .mark:hover{opacity:.7}",
    ".c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}",
    ".c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}",
    "footer{margin-top:3rem;padding-top:1rem;border-top:1px solid var(--rule);font-size:.85rem;"
    "color:var(--soft)}",
    "@media (max-width:40rem){main{padding:1.5rem 1rem 3rem}h1{font-size:1.55rem}"
    ".figures{grid-template-columns:repeat(auto-fit,minmax(10rem,1fr))}.figures "
    ".value{font-size:1.3rem}}",
    "@page{margin:16mm 14mm}",
    "@media print{body{font-size:10pt}main{max-width:none;padding:0}h2{break-after:avoid}"
    "figure,.figures div,tr{break-inside:avoid}thead{display:table-header-group}"
    "svg{min-width:0;max-width:100%}.scroll{overflow:visible}th,td{padding-right:.6rem}"
    "table{font-size:8.5pt}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}",
    NULL,
};
