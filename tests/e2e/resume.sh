# --work: a compile that was killed goes on after its last finished tensor, and gives the same bytes.
. "$(dirname "$0")/common.sh"
text=$src/tests/golden/stories260k/dorian_gray_excerpt.txt
options=(--weights nf4 --calibrate "$text" --calibration-tokens 2048)
compile() { "$hone" compile "$story_model" "${options[@]}" "$@" --quiet; }
kept() { find "$1" -type f ! -name '.*' 2>/dev/null | wc -l; }
equal() { checks=$((checks + 1)); cmp "$1" "$2" >&2 || bad "$1 and $2 differ"; }

# kill_at COUNT DIR OUT...: a compile that dies as soon as DIR has COUNT tensors
kill_at() {
  local count=$1 folder=$2
  shift 2
  "$hone" compile "$story_model" "$@" "${options[@]}" --quiet --work "$folder" >/dev/null 2>&1 &
  local pid=$!
  while kill -0 $pid 2>/dev/null && [ "$(kept "$folder")" -lt "$count" ]; do sleep 0.002; done
  kill -KILL $pid 2>/dev/null
  wait $pid 2>/dev/null
}

expect_exit 0 compile -o whole
expect_exit 0 compile -o recorded --work keep
equal whole recorded
total=$(kept keep)
checks=$((checks + 1))
[ "$total" -gt 10 ] || bad "only $total tensors were kept"
expect_exit 0 compile -o again --work keep
equal whole again

for count in 1 3 8; do
  kill_at $count cut-$count -o out-$count
  checks=$((checks + 1))
  [ "$(kept cut-$count)" -ge $count ] || bad "killed too early: $(kept cut-$count) tensors"
  [ ! -e out-$count ] || bad "a killed compile left its output"
  : >marker
  sleep 0.02
  expect_exit 0 compile -o out-$count --work cut-$count
  equal whole out-$count
  same "tensors kept" "$total" "$(kept cut-$count)"
  checks=$((checks + 1))
  [ "$(find cut-$count -type f ! -newer marker | wc -l)" -ge $count ] || bad "finished tensors were made again"
  same "remains of the killed run" "" "$(find cut-$count -name '.hone-*')"
done

# Ctrl-C while tensors are being solved: exit 130, nothing half-written anywhere, and what was finished stays
mkdir scratch
(TMPDIR=$work/scratch exec setsid "$hone" compile "$story_model" -o interrupted "${options[@]}" --sweeps 100 --quiet \
  --work stop >/dev/null 2>&1) &
pid=$!
while kill -0 $pid 2>/dev/null && [ "$(kept stop)" -lt 2 ]; do sleep 0.002; done
kill -INT $pid
wait $pid
same "Ctrl-C while solving: exit" 130 $?
checks=$((checks + 1))
[ ! -e interrupted ] || bad "an interrupted compile left its output"
same "an interrupted compile left files" "" "$(find . -name '.hone-*'; ls scratch)"
expect_exit 0 compile -o finished --sweeps 100 --work stop
expect_exit 0 compile -o straight --sweeps 100
equal straight finished

# damaged, torn and empty files are made again, also where the tensors after them are kept
i=0
for file in keep/*; do
  i=$((i + 1))
  case $((i % 4)) in
    0) printf 'x' | dd of="$file" bs=1 seek=400 conv=notrunc 2>/dev/null ;;
    1) truncate -s -3 "$file" ;;
    2) : >"$file" ;;
  esac
done
expect_exit 0 compile -o repaired --work keep
equal whole repaired
: >marker
sleep 0.02
expect_exit 0 compile -o again --work keep
equal whole again
same "tensors made again in a whole folder" "" "$(find keep -type f -newer marker)"

# what changes the answer makes the tensors again
for change in "--sweeps 3" "--calibration-tokens 1024" "--weights bcq2" "--calibration-inputs original"; do
  rm -rf used
  cp -r keep used
  # shellcheck disable=SC2086
  "$hone" compile "$story_model" "${options[@]}" $change -o changed --quiet --work used 2>err || bad "$change: $(cat err)"
  "$hone" compile "$story_model" "${options[@]}" $change -o plain --quiet
  equal plain changed
done
rm -rf model
cp -r "$story_model" model
chmod -R u+w model
printf '\000\000\000\076' | dd of=model/model.safetensors bs=1 seek=900000 conv=notrunc 2>/dev/null
"$hone" compile model "${options[@]}" -o plain --quiet
"$hone" compile model "${options[@]}" -o changed --quiet --work keep
equal plain changed

# exports keep their tensors, too
gguf=(--emit gguf --weights int4:32)
expect_exit 0 compile -o a.gguf "${gguf[@]}"
for run in b c; do
  expect_exit 0 "$hone" compile "$story_model" "${options[@]}" "${gguf[@]}" -o $run.gguf --work keep-gguf
  equal a.gguf $run.gguf
done
checks=$((checks + 1))
[ "$(kept keep-gguf)" -gt 10 ] || bad "an export kept only $(kept keep-gguf) tensors"

expect_exit 2 "$hone" compile "$story_model" -o x --work keep
err_has "--calibrate"
: >file
expect_exit 1 compile -o x --work file
err_has "not a folder"
expect_exit 1 compile -o x --work no/such/folder
err_has "no/such/folder"
if [ "$(id -u)" != 0 ]; then
  mkdir closed
  chmod a-w closed
  expect_exit 1 compile -o x --work closed
  err_has "closed"
fi
finish
