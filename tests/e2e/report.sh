# hone report: its numbers agree with each other, with hone eval and with the file; its page is well-formed and needs
# nothing else; the same input gives the same bytes.
. "$(dirname "$0")/common.sh"
text=$src/tests/golden/stories260k/dorian_gray_excerpt.txt
expect_exit 0 "$hone" compile "$story_model" -o story --weights f32
expect_exit 0 "$hone" compile "$story_model" -o story-nf4 --weights nf4

# total NAME KEY FILE: sum of KEY over the objects of the array NAME (at the top level)
total() {
  awk -v name="$1" -v key="$2" '
    $0 ~ "^  \"" name "\": \\[" { inside = 1 }
    inside && /^  \]/ { inside = 0 }
    inside && $1 == "\"" key "\":" { sum += $2 }
    END { printf "%.12g\n", sum }' "$3"
}
# deep KEY FILE: the first value of a key at any depth
deep() { awk -v key="\"$1\":" '$1 == key { sub(/,$/, "", $2); print $2; exit }' "$2"; }
# numbers KEY FILE: the sum and the count of a list of plain numbers
numbers() {
  awk -v key="\"$1\":" '
    inside && $1 ~ /^\]/ { print sum + 0, count + 0; exit }
    inside { sum += $1; count++ }
    $1 == key { inside = 1 }' "$2"
}

# ---- without a text: the manifest alone
expect_exit 0 "$hone" report story-nf4
out_has "bits per weight"
out_has "layers.4"
expect_exit 0 "$hone" report story-nf4 --json
cp out plain.json
same "schema" hone.report/1 "$(json schema plain.json)"
section=$(readelf -SW story-nf4 | awk '$0 ~ /\.hone\.weights/ { for (i = 1; i <= NF; i++) if ($i == "PROGBITS") print $(i + 3) }')
same "section of weights" $((0x$section)) "$(json weight_bytes plain.json)"
same "bytes of the file" "$(stat -c %s story-nf4)" "$(json file_bytes plain.json)"
for group in tensors roles formats parts kinds layers blocks; do
  same "bytes over $group" $((0x$section)) "$(total $group bytes plain.json)"
done
for group in roles formats parts kinds layers blocks; do
  same "parameters over $group" "$(json parameters plain.json)" "$(total $group parameters plain.json)"
  same "tensors over $group" "$(grep -c '"role":' plain.json)" "$(total $group tensors plain.json)"
done
within "bits per weight" "$(json bits_per_weight plain.json)" 4.5 5.5
within "noise over signal" "$(awk -v n="$(total tensors noise plain.json)" -v s="$(total tensors signal plain.json)" 'BEGIN { print n / s }')" 0.001 0.01
mse=$(deep relative_mse plain.json)
within "relative MSE of all" "$mse" 0.001 0.01
within "groups and tensors agree on the noise" "$(awk -v a="$(total layers noise plain.json)" -v b="$(total tensors noise plain.json)" 'BEGIN { print a / b }')" 0.999999 1.000001
same "f32 has no error" "" "$("$hone" report story --json | grep relative_mse)"
expect_exit 0 "$hone" inspect story-nf4 --json
out_has '"relative_mse"'
expect_exit 0 "$hone" report story --html plain.html
checks=$((checks + 1))
grep -q "No tensor is quantized" plain.html || bad "page of a model in f32"
expect_exit 0 "$hone" compile "$story_model" -o libstory.so --emit lib --weights nf4
expect_exit 0 "$hone" report libstory.so

# an error measured on the output of a calibrated linear is shown where the manifest has one
cp story-nf4 calibrated
LC_ALL=C sed -i '0,/"xxh3": "[0-9a-f]\{16\}"/s//"output_error": 0.00123   /' calibrated
expect_exit 0 "$hone" report calibrated --json --html calibrated.html
out_has '"output_error": 0.00123'
checks=$((checks + 1))
grep -q "Output error" calibrated.html || bad "no column for the output error"
grep -q "Output error" plain.html && bad "a column for nothing"

# ---- with a text and a reference
set -- --against story --text "$text" --context 256 --chunks 4
expect_exit 0 "$hone" report story-nf4 "$@" --json --html page.html
cp out report.json
expect_exit 0 "$hone" eval story-nf4 "$@" --json
cp out eval.json
for key in perplexity perplexity_error reference_perplexity kl_mean kl_median kl_p99 kl_p999 top1_agreement; do
  same "$key as hone eval says" "$(deep $key eval.json)" "$(deep $key report.json)"
done
tokens=$(json tokens eval.json)
read -r counted bins <<<"$(numbers counts report.json)"
same "tokens in the histogram" "$tokens" $((counted + $(deep below report.json)))
read -r _ edges <<<"$(numbers edges report.json)"
same "edges of the histogram" $((bins + 1)) "$edges"
same "tokens by position" "$tokens" "$(awk '/"by_position"/ { inside = 1 } inside && $1 == "\"tokens\":" { sum += $2 } END { print sum }' report.json)"
same "bins of positions" 16 "$(awk '/"by_position"/ { inside = 1 } inside && $1 == "\"tokens\":" { n++ } END { print n }' report.json)"
expect_exit 0 "$hone" report story-nf4 --text "$text" --context 256 --chunks 1
out_has "perplexity"
expect_exit 0 "$hone" report story --against story --text "$text" --context 256 --chunks 1 --json --html same.html
same "a model has no distance to itself" 0 "$(deep kl_max out)"
expect_exit 0 "$hone" report story-nf4 "$@" --json --html again.html --threads 1
checks=$((checks + 2))
cmp out report.json || bad "the second report differs"
cmp page.html again.html || bad "the second page differs"

# ---- the page
for page in page plain same; do
  same "$page.html is well-formed" "" "$(LC_ALL=C awk -f "$src/tests/e2e/well_formed.awk" $page.html)"
  same "$page.html fetches nothing" "" "$(grep -oiE 'https?:|url\(|@import|<script|<link|<img|src=' $page.html)"
  same "$page.html has only numbers" "" "$(grep -oE '[=" ,LM-](nan|inf)[",<]' $page.html)"
  if command -v xmllint >/dev/null; then expect_exit 0 xmllint --noout $page.html; fi
done
same "figures" "histogram positions bytes errors" "$(sed -n 's/^<svg id="\([a-z]*\)".*/\1/p' page.html | xargs)"
checks=$((checks + 1))
cp story "a & <b>"
"$hone" report "a & <b>" --html odd.html >/dev/null || bad "a name with signs"
same "a name with signs is escaped" "" "$(LC_ALL=C awk -f "$src/tests/e2e/well_formed.awk" odd.html)"

# ---- what goes wrong
expect_exit 2 "$hone" report
expect_exit 2 "$hone" report story-nf4 --against story
err_has "--text"
expect_exit 2 "$hone" report story-nf4 --htlm x
err_has "--html"
expect_exit 1 "$hone" report no-such-file
err_has "no-such-file"
expect_exit 1 "$hone" report /bin/true
err_has "hone compile"
expect_exit 1 "$hone" report story-nf4 --text no-such-text --context 256
err_has "no-such-text"
expect_exit 1 "$hone" report story-nf4 --html no/such/folder/page.html
err_has "no/such/folder"
cp story-nf4 damaged
at=$(grep -aob '"schema": "hone.artefact/1"' damaged | head -n 1 | cut -d: -f1)
printf '}' | dd of=damaged bs=1 seek="$at" conv=notrunc 2>/dev/null
expect_exit 1 "$hone" report damaged
err_has "damaged"
cp story-nf4 strange
at=$(grep -aob '"format": "nf4<64>"' strange | head -n 1 | cut -d: -f1)
printf '"format": "nf9' | dd of=strange bs=1 seek="$at" conv=notrunc 2>/dev/null
expect_exit 1 "$hone" report strange
err_has "nf9"
nothing_left
finish
