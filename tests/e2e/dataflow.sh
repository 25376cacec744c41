# Dataflow from the command line: forced families give the same text, selection is told by inspect, what a model brings
# along stays, levels may differ, and nonsense is refused.
. "$(dirname "$0")/common.sh"
ask() { "./$1" --prompt "Once upon a time" --tokens 24 --temp 0 "${@:2}" 2>/dev/null; }

expect_exit 0 "$hone" compile "$story_model" -o auto --weights nf4
text=$(ask auto)
levels=$("$hone" inspect auto | sed -n 's/^levels  *//p' | tr , '\n' | wc -l)
within "levels" "$levels" 2 9
for family in gemv flat gemm; do
  expect_exit 0 "$hone" compile "$story_model" -o $family --weights nf4 --dataflow $family
  same "text with --dataflow $family" "$text" "$(ask $family)"
  expect_exit 0 "$hone" inspect $family --dataflow
  same "linears of $family: one kernel per level and problem" "$(grep -c '^linear' out)" \
    "$(($(grep -E "^    1 \.\.\. +$family" out | wc -l) / levels))"
done
expect_exit 0 "$hone" compile "$story_model" -o again --weights nf4 --dataflow auto --cache off
cp auto before
checks=$((checks + 1))
# The option is in the manifest; all else is the same.
[ "$("$hone" inspect auto --dataflow)" = "$("$hone" inspect again --dataflow)" ] || bad "--dataflow auto is not the default"

expect_exit 0 "$hone" inspect auto --dataflow
for part in 'linear.nf4<64>.q8 N=128 K=64' 'layers.0.attention/qkv and 4 more' 'amx, times of' 'avx512, times of' 'avx2, times of' \
  'attend.f16' 'prior, ' 'runner-up'; do out_has "$part"; done
expect_exit 0 "$hone" inspect auto --dataflow --json
out_has '"schema": "hone.dataflow/1"'
out_has '"reason": "prior"'
"$hone" inspect auto --json >manifest
checks=$((checks + 1))
grep -q '"dataflow": \[' manifest || bad "the manifest has no dataflow"

# Every M has an entry: the first begins at 1, each begins behind the one before, the last has no end.
checks=$((checks + 1))
sed -n 's/^ *"\(from\|to\)": \([0-9nul]*\),*$/\1 \2/p' out | awk '
  $1 == "from" { if ($2 != next_row && $2 != 1) bad = 1; if ($2 == 1 && open) bad = 1 }
  $1 == "to" { open = $2 != "null"; next_row = open ? $2 + 1 : 1; count++ }
  END { exit bad || open || !count }' || bad "entries leave a gap"

# A textual model's own dataflow stays, for one level only if it says so.
expect_exit 0 "$hone" compile "$story_model" -o model.mlir --emit ir --weights nf4
awk '/hone\.linear/ && !done { sub(/hone\.dataflow = "[^"]*"(, hone\.dataflow\.avx2 = "[^"]*")?/,
  "hone.dataflow = \"flat tokens=3 < 9, gemm\", hone.dataflow.avx2 = \"gemv\""); done = 1 } { print }' model.mlir >own.mlir
expect_exit 0 "$hone" compile own.mlir -o own
same "text with its own dataflow" "$text" "$(ask own)"
same "text on avx2" "$text" "$(ask own --isa avx2)"
expect_exit 0 "$hone" inspect own --dataflow
out_has "flat tokens=3"
out_has "given by the model"
expect_exit 1 "$hone" compile own.mlir -o refused --dataflow gemv
err_has "--dataflow"
sed 's/hone\.dataflow\.avx2/hone.dataflow.avx3/' own.mlir >wrong.mlir
expect_exit 1 "$hone" compile wrong.mlir -o refused
err_has "hone.dataflow.avx3 names no instruction set level"

# Some levels only: those, with the same logits, and whatever a model says of others.
expect_exit 0 "$hone" compile "$story_model" -o narrow --weights nf4 --target cpu:avx2
same "text with kernels of one level" "$text" "$(ask narrow)"
expect_exit 0 "$hone" inspect narrow
out_has "levels         avx2"
expect_exit 0 "$hone" inspect narrow --dataflow
same "levels of its dataflow" "avx2," "$(awk '/, times of/ { print $1 }' out | sort -u | xargs)"
expect_exit 1 ./narrow --isa avx512 --prompt x
err_has "the model has no avx512 kernels; it has avx2"
for levels in amx,avx2 avx512,avx2; do
  expect_exit 0 "$hone" compile "$story_model" -o some --weights nf4 --target "cpu:$levels"
  expect_exit 0 "$hone" inspect some
  out_has "levels         ${levels//,/, }"
  same "text with kernels of $levels" "$text" "$(ask some)"
done
# A level that builds on another has no kernel twice.
expect_exit 0 "$hone" compile "$story_model" -o all.asm --weights nf4 --emit asm
same "kernels that are built for amx" "hone_amx_gemm" "$(grep -o '^hone_amx_[a-z0-9]*' all.asm | sort -u | xargs)"
same "kernels that are there twice" "" "$(grep -oE '^hone_[a-z0-9_]+:' all.asm | sort | uniq -d)"
expect_exit 0 "$hone" compile own.mlir -o narrow --target cpu:avx512,avx2
same "text of a model that speaks of a level that is left out" "$text" "$(ask narrow --isa avx2)"
expect_exit 1 "$hone" compile "$story_model" -o refused --target cpu:avx1024
err_has "'avx1024' is no instruction set level; there are amx, avx512, avx2"
# The form of softmax: one for the model, shown, and another on request.
expect_exit 0 "$hone" inspect auto --dataflow
out_has "softmax=unified"
expect_exit 0 "$hone" compile "$story_model" -o running --weights nf4 --softmax running
same "text with --softmax running" "$text" "$(ask running)"
expect_exit 0 "$hone" inspect running --dataflow
checks=$((checks + 1))
grep -q "softmax=" out && bad "--softmax running is not what was compiled"
expect_exit 1 "$hone" compile model.mlir -o refused --softmax running
err_has "the model gives its softmax, and --softmax another"
sed 's/hone\.softmax = "unified"/hone.softmax = "fast"/' model.mlir >wrong.mlir
expect_exit 1 "$hone" compile wrong.mlir -o refused
err_has "hone.softmax is 'fast'; it can be running or unified"

expect_exit 2 "$hone" compile "$story_model" -o refused --dataflow fast
err_has "auto|gemv|flat|gemm"
expect_exit 1 "$hone" compile "$src/tests/fixtures/quest-w1a1" -o refused --dataflow gemm
err_has "--dataflow gemm"
err_has "use flat"
expect_exit 1 "$hone" inspect "$story_model" --dataflow
err_has "compile the model first"
finish
