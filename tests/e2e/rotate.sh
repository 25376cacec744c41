# hone compile --rotate: predictions stay those of the model, with and without calibration; what cannot be rotated is said.
. "$(dirname "$0")/common.sh"
text=$src/tests/golden/stories260k/dorian_gray_excerpt.txt
expect_exit 0 "$hone" compile "$story_model" -o story --weights f32 --acts f32 -q
# divergence NAME: mean KL of the program from the f32 one
divergence() {
  expect_exit 0 "$hone" eval "$1" --text "$text" --context 128 --chunks 4 --against story --json
  json kl_mean out
}
expect_exit 0 "$hone" compile "$story_model" -o plain --weights q8 -q
expect_exit 0 "$hone" compile "$story_model" -o turned --weights q8 --rotate -q
within "q8, rotated" "$(divergence turned)" 0 0.005
within "q8" "$(divergence plain)" 0 0.005
expect_exit 0 "$hone" inspect turned --json
out_has '"rotate": 64'
out_has "rotate=64"
expect_exit 0 "$hone" compile "$story_model" -o nf4 --weights nf4 --rotate -q
within "nf4, rotated" "$(divergence nf4)" 0 0.25
expect_exit 0 "$hone" compile "$story_model" -o again --weights nf4 --rotate -q --threads 3
cmp -s nf4 again || bad "threads change the bytes"
expect_exit 0 "$hone" compile "$story_model" -o nvfp4 --weights nvfp4 --rotate -q
within "nvfp4, rotated" "$(divergence nvfp4)" 0 0.25
for solver in scales descent gptq; do
  expect_exit 0 "$hone" compile "$story_model" -o $solver --weights nf4 --rotate -q --solver $solver --calibrate "$text" \
    --calibration-tokens 2048 --calibration-context 128
  within "nf4, rotated, calibrated, $solver" "$(divergence $solver)" 0 0.25
done

expect_exit 0 "$hone" compile "$story_model" -o narrow --weights nf4 --rotate --rotate-block 32 -q
within "nf4, rotated by 32" "$(divergence narrow)" 0 0.25
expect_exit 0 "$hone" inspect narrow --json
out_has "rotate=32"
out_has '"rotate_block": "32"'

expect_exit 1 "$hone" compile "$story_model" -o x --weights nf4 --rotate --rotate-block 128
err_has "a multiple of 128 inputs"
expect_exit 2 "$hone" compile "$story_model" -o x --weights nf4 --rotate-block 32
err_has "--rotate-block is the size of --rotate"
expect_exit 2 "$hone" compile "$story_model" -o x --weights q8 --rotate --acts f32
err_has "--rotate with --acts f32"
expect_exit 2 "$hone" compile "$story_model" -o x --weights nf4 --rotate --emit gguf
err_has "--rotate: a checkpoint holds weights only"
expect_exit 1 "$hone" compile "$story_model" -o x --weights bf16 --rotate
err_has "nothing can be rotated"
nothing_left
finish
