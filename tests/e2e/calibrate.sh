# hone compile --calibrate: predictions come closer to the model's on text that was not calibrated with, whatever solves and
# whatever the threads; bad texts and weights are said.
. "$(dirname "$0")/common.sh"
text=$src/tests/golden/stories260k/dorian_gray_excerpt.txt
head -c 9000 "$text" >seen.txt
tail -c 5500 "$text" >unseen.txt
fast=(--calibrate seen.txt --calibration-tokens 4096 --calibration-context 128 -q)
expect_exit 0 "$hone" compile "$story_model" -o story --weights f32 --acts f32 -q
# divergence NAME: mean KL of the program from the f32 one on the text that calibration did not see
divergence() {
  expect_exit 0 "$hone" eval "$1" --text unseen.txt --context 128 --chunks 16 --against story --json
  json kl_mean out
}
equal() { checks=$((checks + 1)); cmp "$1" "$2" >&2 || bad "$1 and $2 differ"; }
# ratio NAME A B LOW HIGH
ratio() { within "$1: $2 / $3" "$(awk -v a="$2" -v b="$3" 'BEGIN { print a / b }')" "$4" "$5"; }

# ---- every solver, and what it adds
expect_exit 0 "$hone" compile "$story_model" -o plain --weights nf4 -q
for solver in scales descent gptq; do
  expect_exit 0 "$hone" compile "$story_model" -o $solver --weights nf4 --solver $solver "${fast[@]}" --threads 1
done
expect_exit 0 "$hone" compile "$story_model" -o unswept --weights nf4 --solver gptq --sweeps 0 "${fast[@]}"
gptq=$(divergence gptq) descent=$(divergence descent) scales=$(divergence scales)
ratio "mean squares against no text" "$scales" "$(divergence plain)" 0.5 1.05
ratio "descent against mean squares" "$descent" "$scales" 0.5 0.95
ratio "gptq against descent" "$gptq" "$descent" 0.5 0.95
ratio "sweeps against none" "$gptq" "$(divergence unswept)" 0.5 0.99
expect_exit 0 "$hone" compile "$story_model" -o again --weights nf4 --solver gptq "${fast[@]}" --threads 3
equal gptq again

# ---- a head of two bits, tied to the embedding or not: the layers know both the embedding that they get and the original
for inputs in original quantized; do
  expect_exit 0 "$hone" compile "$story_model" -o $inputs --weights q8 --head bcq2 "${fast[@]}" --calibration-inputs $inputs
done
ratio "quantized inputs against original ones" "$(divergence quantized)" "$(divergence original)" 0.5 0.9
untie "$story_model" untied
expect_exit 0 "$hone" compile untied -o untied-q8 --weights q8 --head bcq2 "${fast[@]}"
within "an embedding that is not tied" "$(divergence untied-q8)" 0.2 0.255

# ---- sizes of texts and windows
expect_exit 0 "$hone" compile "$story_model" -o x --to transform --calibrate seen.txt --calibration-context 100000 \
  --calibration-tokens 1000000
head -c 300 "$text" >short.txt
expect_exit 1 "$hone" compile "$story_model" -o x --weights nf4 --calibrate short.txt
err_has "short.txt has"
err_has "calibration needs 256 at least"
expect_exit 1 "$hone" compile "$story_model" -o x --weights nf4 --calibrate missing.txt
err_has "missing.txt"
expect_exit 1 "$hone" compile "$story_model" -o x --weights nf4 --calibrate .
err_has "--calibrate ."
expect_exit 2 "$hone" compile "$story_model" -o x --weights nf4 --calibrate seen.txt --calibration-tokens 10
err_has "--calibration-tokens"
expect_exit 2 "$hone" compile "$story_model" -o x --weights nf4 --calibrate seen.txt --solver best
err_has "--solver"
expect_exit 1 "$hone" compile "$story_model" -o x --weights nf4 --solver gptq
err_has "--calibrate TEXT"
cp -r "$story_model" wordless
chmod -R u+w wordless
rm wordless/tokenizer*
expect_exit 1 "$hone" compile wordless -o x --weights nf4 --calibrate seen.txt
err_has "no tokenizer"

# any bytes are a text: the tokenizer knows a token for each of them
{ cat seen.txt; head -c 2000 "$hone"; printf '\377\376\300\000\200'; } >binary.txt
expect_exit 0 "$hone" compile "$story_model" -o binary.gguf --emit gguf --weights int4:32 \
  --calibrate binary.txt --calibration-tokens 512

# ---- weights that are no numbers: the tensor and the place are named, with calibration and without
cp -r "$story_model" broken
chmod -R u+w broken
for bits in '\000\000\300\177' '\000\000\200\377'; do # NaN, -Inf
  # shellcheck disable=SC2059
  printf "$bits" | dd of=broken/model.safetensors bs=1 seek=900000 conv=notrunc 2>/dev/null
  for option in "" "--calibrate seen.txt"; do
    # shellcheck disable=SC2086
    expect_exit 1 "$hone" compile broken -o x --weights nf4 $option
    err_has "model.layers"
    err_has "row"
  done
done
# weights of zeros are exact, and what they make zero is no input to speak of
cp -r "$story_model" zeros
chmod -R u+w zeros
for tensor in layers.1.self_attn.o_proj layers.2.mlp.up_proj; do
  read -r at size <<<"$(place "model.$tensor.weight" zeros)"
  dd if=/dev/zero of=zeros/model.safetensors bs=4 seek=$((at / 4)) count=$((size / 4)) conv=notrunc 2>/dev/null
done
expect_exit 0 "$hone" compile zeros -o zeros-nf4 --weights nf4 "${fast[@]}"
expect_exit 0 "$hone" report zeros-nf4 --json
same "error of zeros" "0" "$(awk '$2 == "\"layers.1.attention.o\"," { inside = 1 } inside && $1 == "\"relative_mse\":" { print $2 + 0; exit }' out)"

same "no program of broken weights" "" "$(find . -name x)"
nothing_left
finish
