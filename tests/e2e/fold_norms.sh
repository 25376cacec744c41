# hone compile --fold-norms: the same model but for rounding, alone and with rotation, calibration and allocation.
. "$(dirname "$0")/common.sh"
text=$src/tests/golden/stories260k/dorian_gray_excerpt.txt
# divergence NAME: mean KL of the program from the f32 one
divergence() {
  expect_exit 0 "$hone" eval "$1" --text "$text" --context 128 --chunks 4 --against story --json
  json kl_mean out
}
expect_exit 0 "$hone" compile "$story_model" -o story --weights f32 --acts f32 -q
expect_exit 0 "$hone" compile "$story_model" -o folded --weights f32 --acts f32 -q --fold-norms
within "f32, folded" "$(divergence folded)" 0 1e-9
expect_exit 0 "$hone" inspect folded --json
out_has '"gain": "model.layers.0.input_layernorm.weight"'
out_has '"fold_norms": true'
out_has "no-gain"
same "norms left" "head.norm" "$(grep -o '"name": "[a-z0-9.]*norm"' out | cut -d'"' -f4)" # the head is tied
expect_exit 0 "$hone" compile "$story_model" -o nf4 --weights nf4 -q --fold-norms
within "nf4, folded" "$(divergence nf4)" 0 0.25
for options in "--rotate" "--rotate --solver scales" "--solver descent" "--calibration-inputs original"; do
  expect_exit 0 "$hone" compile "$story_model" -o calibrated --weights nf4 -q --fold-norms $options --calibrate "$text" \
    --calibration-tokens 2048 --calibration-context 128
  within "nf4, folded, calibrated $options" "$(divergence calibrated)" 0 0.25
done
expect_exit 0 "$hone" compile "$story_model" -o chosen --target-bpw 4.5 -q --fold-norms --calibrate "$text" \
  --calibration-tokens 2048 --calibration-context 128 --formats nf4,q8
within "chosen formats, folded" "$(divergence chosen)" 0 0.25

# What is quantized already keeps its values.
for fold in "" --fold-norms; do
  expect_exit 0 "$hone" compile "$src/tests/fixtures/llama-bnb-nf4" -o native$fold -q $fold
  expect_exit 0 "$hone" inspect native$fold --json
  grep -A12 '"name": "layers.0.attention.qkv"' out | grep '"xxh3"' > hash$fold
done
same "hash of a native tensor" "$(cat hash)" "$(cat hash--fold-norms)"
same "its length" 1 "$(wc -l < hash)"

expect_exit 2 "$hone" compile "$story_model" -o x --weights nf4 --fold-norms --emit checkpoint
err_has "--fold-norms: a checkpoint holds weights only"
nothing_left
finish
