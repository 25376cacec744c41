# --target-bpw and --target-bytes: met from below, the best choice that fits, the same on every run, and shown everywhere.
. "$(dirname "$0")/common.sh"
text=$src/tests/golden/stories260k/dorian_gray_excerpt.txt
fast=(--calibrate "$text" --calibration-tokens 1024 --calibration-context 64 --probe-tokens 256)
# chosen FILE: name and format of every unit in a JSON document
chosen() {
  awk '/"allocation"/ { inside = 1 } inside && /^  }/ { exit }
       inside && $1 == "\"name\":" { name = $2 }
       inside && $1 == "\"format\":" { print name, $2 }' "$1"
}
formats_printed() { awk '$1 == "weights" { inside = 1; next } /bits per weight/ { exit } inside { print $2 }' err | sort -u | xargs; }
deep() { awk -v key="\"$1\":" '$1 == key { sub(/,$/, "", $2); print $2; exit }' "$2"; }
bits() { deep bits_per_weight "$1"; }

# ---- a target between formats: met, and nearly used up
expect_exit 0 "$hone" compile "$story_model" -o four --target-bpw 4 "${fast[@]}" --solver scales --acts f32
cp err printed
"$hone" inspect four --json >four.json
within "bits per weight of the choice" "$(bits four.json)" 3.97 4.0000001
same "units" 21 "$(chosen four.json | wc -l)"
checks=$((checks + 2))
chosen four.json | grep -q '^"embed.weight",' || bad "no format was chosen for the embedding, which is the head"
[ "$(chosen four.json | cut -d' ' -f2 | sort -u | wc -l)" -gt 1 ] || bad "one format for all at a target between formats"
expect_exit 0 "$hone" report four --json --html page.html
cp out report.json
same "bits that the report counts" "$(bits four.json)" "$(json bits_per_weight report.json)"
same "the choice in the report" "$(chosen four.json)" "$(chosen report.json)"
same "the choice that was printed" "$(chosen four.json | tr -d '",')" \
  "$(awk '$1 == "weights" { inside = 1; next } /bits per weight/ { exit } inside { print $1, $2 }' printed)"
expect_exit 0 "$hone" inspect four
same "the choice in hone inspect" "$(chosen four.json | tr -d '",')" \
  "$(awk '/^chosen/ { inside = 1; next } !NF { inside = 0 } inside { print $1, $2 }' out)"
expect_exit 0 "$hone" report four
out_has "tokens held out"
checks=$((checks + 1))
grep -q "Choice of formats" page.html || bad "the page lacks the choice"
same "the page is well-formed" "" "$(LC_ALL=C awk -f "$src/tests/e2e/well_formed.awk" page.html)"

# what was predicted, what was measured on held-out text, and what the program does agree about
predicted=$(deep predicted_kl four.json) measured=$(deep measured_kl four.json)
within "measured against predicted" "$(awk -v a="$measured" -v b="$predicted" 'BEGIN { print a / b }')" 0.6 1.6
checks=$((checks + 1))
grep -qF "$(printf '%.6f' "$measured") on" printed || bad "the measured divergence was not printed"
expect_exit 0 "$hone" compile "$story_model" -o story --weights f32 --acts f32 -q
expect_exit 0 "$hone" eval four --against story --text "$text" --context 64 --chunks 60 --json
within "the program against measured" "$(awk -v a="$(json kl_mean out)" -v b="$measured" 'BEGIN { print a / b }')" 0.5 1.5

# ---- the rest is chosen alike: only the manifest is looked at
expect_exit 0 "$hone" compile "$story_model" -o again --target-bpw 4 "${fast[@]}" --solver scales --acts f32 --threads 3
checks=$((checks + 1))
cmp four again || bad "another number of threads chose otherwise"
size=$(deep weight_bytes report.json)
expect_exit 0 "$hone" compile "$story_model" -o bytes --target-bytes "$size" "${fast[@]}" --solver scales --acts f32 -q
"$hone" report bytes --json >bytes.json
within "bytes" "$(json tensor_bytes bytes.json)" $((size * 97 / 100)) "$size"

expect_exit 0 "$hone" compile "$story_model" --to transform --target-bpw 32 --formats int4:32,q8:32 "${fast[@]}"
same "more than enough: the best for all" "q8<32>" "$(formats_printed)"
expect_exit 0 "$hone" compile "$story_model" --to transform --target-bpw 6 --formats int4:32,q8:32 "${fast[@]}"
same "only formats that are allowed" "int4<32> q8<32>" "$(formats_printed)"

# ---- what goes wrong
expect_exit 1 "$hone" compile "$story_model" -o x --target-bpw 3 --formats nf4,q8 "${fast[@]}"
err_has "no choice of formats meets --target-bpw 3: the smallest is"
smallest=$(sed -n 's/.*the smallest is \([0-9.]*\).*/\1/p' err)
expect_exit 0 "$hone" compile "$story_model" --to transform --target-bpw "$smallest" --formats nf4,q8 "${fast[@]}"
expect_exit 1 "$hone" compile "$story_model" -o x --target-bytes 1000 --formats nf4 "${fast[@]}"
err_has "no choice of formats meets --target-bytes 1000: the smallest is"
smallest=$(sed -n 's/.*the smallest is \([0-9]*\).*/\1/p' err)
expect_exit 0 "$hone" compile "$story_model" --to transform --target-bytes "$smallest" --formats nf4 "${fast[@]}"
expect_exit 1 "$hone" compile "$story_model" --to transform --target-bytes $((smallest - 1)) --formats nf4 "${fast[@]}"
expect_exit 1 "$hone" compile "$story_model" -o x --target-bpw 4 --formats nf4,nf5 "${fast[@]}"
err_has "did you mean nf4?"
err_has "--formats"
for option in "--target-bytes 100000" "--weights nf4" "--head q8"; do
  # shellcheck disable=SC2086
  expect_exit 2 "$hone" compile "$story_model" -o x --target-bpw 4 $option "${fast[@]}"
  err_has "${option%% *}"
done
expect_exit 2 "$hone" compile "$story_model" -o x --target-bpw 4
err_has "--calibrate"
expect_exit 2 "$hone" compile "$story_model" -o x --target-bpw 0.5 --calibrate "$text"
err_has "--target-bpw"
expect_exit 2 "$hone" compile "$story_model" -o x --formats nf4 --weights nf4
err_has "--formats"
head -c 700 "$text" >short.txt # 256 tokens at least: two windows
expect_exit 0 "$hone" compile "$story_model" --to transform --target-bpw 4 --calibrate short.txt
same "nothing was written" "" "$(find . -name x)"
nothing_left
finish
