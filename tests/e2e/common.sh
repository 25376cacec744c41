# Shared by the end-to-end scripts: a scratch folder, and checks that say what differed.
set -u -o pipefail
hone=$HONE_BINARY
src=$HONE_SOURCE_DIR
story_model=$src/samples/stories260k
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
checks=0

bad() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }

# same NAME EXPECTED ACTUAL
same() {
  checks=$((checks + 1))
  [ "$2" = "$3" ] || bad "$1: expected '$2', got '$3'"
}

# expect_exit CODE COMMAND...: runs it, output in $work/out and $work/err
expect_exit() {
  local want=$1 got
  shift
  checks=$((checks + 1))
  "$@" >"$work/out" 2>"$work/err" </dev/null
  got=$?
  [ "$got" = "$want" ] || { bad "exit $got, not $want: $*"; cat "$work/err" >&2; }
}

# err_has TEXT: the last expect_exit's stderr contains it
err_has() {
  checks=$((checks + 1))
  grep -qF -- "$1" "$work/err" || { bad "stderr lacks '$1':"; cat "$work/err" >&2; }
}

out_has() {
  checks=$((checks + 1))
  grep -qF -- "$1" "$work/out" || { bad "stdout lacks '$1':"; head -c 2000 "$work/out" >&2; }
}

# within NAME VALUE LOW HIGH (decimal numbers)
within() {
  checks=$((checks + 1))
  awk -v x="$2" -v a="$3" -v b="$4" 'BEGIN { exit !(x != "" && x + 0 >= a && x + 0 <= b) }' ||
    bad "$1: $2 is not within $3 .. $4"
}

# json KEY FILE: the number or string of a top-level key of one of our JSON documents
json() { sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$2" | head -n 1; }

# place TENSOR MODEL: where the bytes of a tensor of a checkpoint begin, and how many there are
place() {
  local file=$2/model.safetensors bytes
  bytes=$(od -An -tu8 -N8 "$file" | tr -d ' ')
  tail -c +9 "$file" | head -c "$bytes" | grep -o "\"$1\": *{[^}]*}" |
    sed 's/.*"data_offsets": *\[\([0-9]*\), *\([0-9]*\)\].*/\1 \2/' |
    awk -v header="$bytes" '{ print 8 + header + $1, $2 - $1 }'
}

# untie FROM TO: a copy of a checkpoint with a head of its own, the embedding's numbers
untie() {
  local from=$1/model.safetensors bytes header at size last entry
  cp -r "$1" "$2"
  chmod -R u+w "$2"
  sed -i 's/"tie_word_embeddings": *true/"tie_word_embeddings": false/' "$2/config.json"
  read -r at size <<<"$(place model.embed_tokens.weight "$1")"
  bytes=$(od -An -tu8 -N8 "$from" | tr -d ' ')
  header=$(tail -c +9 "$from" | head -c "$bytes")
  entry=$(grep -o '"model.embed_tokens.weight": *{[^}]*}' <<<"$header")
  last=$(($(stat -c %s "$from") - 8 - bytes))
  entry="\"lm_head.weight\"${entry#*\"model.embed_tokens.weight\"}"
  entry="${entry%%\"data_offsets\"*}\"data_offsets\":[$last,$((last + size))]}"
  header="${header%\}*},$entry}"
  while [ $((${#header} % 8)) != 0 ]; do header="$header "; done
  {
    for shift in 0 8 16 24 32 40 48 56; do printf "\\x$(printf %02x $((${#header} >> shift & 255)))"; done
    printf '%s' "$header"
    tail -c +$((9 + bytes)) "$from"
    tail -c +$((1 + at)) "$from" | head -c "$size"
  } >"$2/model.safetensors"
}

nothing_left() { # no temporary file beside the outputs
  checks=$((checks + 1))
  local left
  left=$(find "$work" -name '*.tmp*' -o -name '.*.tmp*' -o -name '*.hone-*' | head -n 3)
  [ -z "$left" ] || bad "left behind: $left"
}

finish() {
  echo "$checks checks, $failures failed"
  [ "$failures" = 0 ] && [ "$checks" -gt 0 ]
}
