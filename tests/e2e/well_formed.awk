# Checks that a page is well-formed: every tag is closed in order, attributes are quoted, no stray < or &.
# Prints what is wrong, nothing otherwise.
{ text = text $0 "\n" }
END {
  sub(/^<!DOCTYPE html>/, "", text)
  while (match(text, /<[^>]*>/)) {
    between(substr(text, 1, RSTART - 1))
    tag = substr(text, RSTART + 1, RLENGTH - 2)
    text = substr(text, RSTART + RLENGTH)
    if (tag ~ /^\//) {
      name = substr(tag, 2)
      if (depth < 1 || open[depth] != name) { print "</" name "> closes <" open[depth] ">"; exit }
      depth--
      continue
    }
    if (tag !~ /^[a-z0-9]+( [a-zA-Z][a-zA-Z0-9:-]*="[^"<>]*")*\/?$/) { print "odd tag: <" tag ">"; exit }
    name = tag
    sub(/[ \/].*/, "", name)
    if (tag !~ /\/$/) open[++depth] = name
    tags++
  }
  between(text)
  if (depth) print "<" open[depth] "> is not closed"
  if (tags < 10) print "only " tags " tags"
}
function between(words) {
  if (open[depth] == "style") return
  gsub(/&(amp|lt|gt|quot|#39);/, "", words)
  if (words ~ /[<&]/) print "stray sign in: " words
}
