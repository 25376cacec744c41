# --work: a compile that was cut off goes on after its last finished tensor and gives the same bytes; what can change a
# tensor makes it again.
. "$(dirname "$0")/common.sh"
text=$src/tests/golden/stories260k/dorian_gray_excerpt.txt
fast=(--calibrate "$text" --calibration-tokens 512 --calibration-context 64 --quiet)
program=("${fast[@]}" --weights nf4dq --head bcq2)  # a tied head; both levels of scales
export=("${fast[@]}" --emit gguf --weights int4:32)  # builds no kernels
kept() { find "$1" -type f ! -name '.*' | wc -l; }
equal() { checks=$((checks + 1)); cmp "$1" "$2" >&2 || bad "$1 and $2 differ"; }
mark() { : >"$work/marker"; sleep 0.02; }
made() { find "$1" -type f -newer "$work/marker" | wc -l; }
# cut FROM TO COUNT: what a compile that died after COUNT tensors leaves, and the file it was writing
cut_off() {
  mkdir "$2"
  find "$1" -type f -printf '%T@ %p\n' | sort -n | head -n "$3" | cut -d' ' -f2- | xargs -I{} cp {} "$2"
  head -c 1000 /dev/zero >"$2/.hone-999999999-0-0.tmp"
}

# ---- the same bytes with a folder, again, after being cut off at the head, within a block and behind it, with a hole
expect_exit 0 "$hone" compile "$story_model" -o whole "${program[@]}"
expect_exit 0 "$hone" compile "$story_model" -o recorded "${program[@]}" --work keep --threads 1
equal whole recorded
total=$(kept keep)
same "tensors kept" "$(readelf -p .hone.manifest whole | grep -c '"noise"')" "$total"
for count in 1 3; do
  cut_off keep cut-$count $count
  mark
  expect_exit 0 "$hone" compile "$story_model" -o out-$count "${program[@]}" --work cut-$count --threads 3
  equal whole out-$count
  same "tensors made after $count" $((total - count)) "$(made cut-$count)"
  same "remains of the killed run" "" "$(find cut-$count -name '.hone-*')"
done

# Ctrl-C while tensors are being solved: exit 130, nothing half-written anywhere, and what was finished stays
mkdir scratch
(TMPDIR=$work/scratch exec setsid "$hone" compile "$story_model" -o interrupted "${program[@]}" --sweeps 100 --work stop >/dev/null 2>&1) &
pid=$!
while kill -0 $pid 2>/dev/null && [ "$(kept stop)" -lt 2 ]; do sleep 0.002; done
kill -INT $pid
wait $pid
same "Ctrl-C while solving: exit" 130 $?
checks=$((checks + 1))
[ ! -e interrupted ] || bad "an interrupted compile left its output"
same "an interrupted compile left files" "" "$(find . -name '.hone-*'; ls scratch)"
expect_exit 0 "$hone" compile "$story_model" -o finished "${program[@]}" --sweeps 100 --work stop
expect_exit 0 "$hone" compile "$story_model" -o straight "${program[@]}" --sweeps 100
equal straight finished

# torn, damaged and empty files are made again, others before and after them are not
i=0
for file in keep/*; do
  i=$((i + 1))
  case $i in
    2) printf '\000' | dd of="$file" bs=1 seek=400 conv=notrunc 2>/dev/null ;;
    5) truncate -s -3 "$file" ;;
    9) : >"$file" ;;
    12) rm "$file" ;;
  esac
done
mark
expect_exit 0 "$hone" compile "$story_model" -o repaired "${program[@]}" --work keep
equal whole repaired
same "tensors repaired" 4 "$(made keep)"
mark
expect_exit 0 "$hone" compile "$story_model" -o again "${program[@]}" --work keep
equal whole again
same "tensors made in a whole folder" 0 "$(made keep)"
mark
expect_exit 0 "$hone" compile "$story_model" -o folded "${program[@]}" --work keep --fold-norms
same "tensors made again with folded norms" "$total" "$(made keep)"

# ---- killed at any moment: after the first tensor, and wherever it is by then
"$hone" compile "$story_model" -o killed.gguf "${export[@]}" --work killed >/dev/null 2>&1 &
pid=$!
while kill -0 $pid 2>/dev/null && [ "$(kept killed 2>/dev/null)" = 0 ]; do sleep 0.002; done
kill -KILL $pid 2>/dev/null
wait $pid 2>/dev/null
expect_exit 0 "$hone" compile "$story_model" -o whole.gguf "${export[@]}"
if [ -e killed.gguf ]; then equal whole.gguf killed.gguf; fi
expect_exit 0 "$hone" compile "$story_model" -o killed.gguf "${export[@]}" --work killed
equal whole.gguf killed.gguf
total=$(kept killed)

# ---- what can change the answer makes all tensors again, and nothing else does
# changed WHAT OPTION...: the folder `killed` was made without these
changed() {
  local what=$1
  shift
  rm -rf used
  cp -r killed used
  mark
  expect_exit 0 "$hone" compile "$story_model" "${export[@]}" -o changed.gguf --work used "$@"
  same "tensors made again for $what" "$total" "$(made used)"
}
changed "sweeps" --sweeps 3
changed "tokens" --calibration-tokens 256
changed "context" --calibration-context 32
changed "inputs" --calibration-inputs original
changed "solver" --solver descent
changed "the head's format" --head int4:32
{ cat "$text"; echo "And so on."; } >longer.txt
changed "the text" --calibrate longer.txt
cp -r "$story_model" model
chmod -R u+w model
printf '\000\000\000\076' | dd of=model/model.safetensors bs=1 seek=900000 conv=notrunc 2>/dev/null
expect_exit 0 "$hone" compile model "${export[@]}" -o other.gguf
mark
expect_exit 0 "$hone" compile model "${export[@]}" -o changed.gguf --work killed --threads 1
equal other.gguf changed.gguf
same "tensors made again for other weights" "$total" "$(made killed)"
mark
expect_exit 0 "$hone" compile model "${export[@]}" -o changed.gguf --work killed --calibration-memory 1 --threads 3
equal other.gguf changed.gguf
same "tensors made again for other threads" 0 "$(made killed)"

# a target holds some of the text out: also where it chooses the formats that were given before
expect_exit 0 "$hone" compile "$story_model" -o one.gguf "${fast[@]}" --emit gguf --weights int4:32 --head int4:32 --work one
mark
expect_exit 0 "$hone" compile "$story_model" -o two.gguf "${fast[@]}" --emit gguf --target-bpw 16 --formats int4:32 \
  --probe-tokens 64 --work one
same "tensors made again for windows held out" "$(kept one)" "$(made one)"

# ---- what goes wrong
expect_exit 2 "$hone" compile "$story_model" -o x --work killed
err_has "--calibrate"
: >file
expect_exit 1 "$hone" compile "$story_model" -o x "${program[@]}" --work file
err_has "not a folder"
expect_exit 1 "$hone" compile "$story_model" -o x "${program[@]}" --work no/such/folder
err_has "no/such/folder"
if [ "$(id -u)" != 0 ]; then
  mkdir closed
  chmod a-w closed
  expect_exit 1 "$hone" compile "$story_model" -o x "${program[@]}" --work closed
  err_has "closed"
fi
finish
