# hone compile --bias-correction: biases that correct the mean of quantized outputs, alone and with what it goes with.
. "$(dirname "$0")/common.sh"
text=$src/tests/golden/stories260k/dorian_gray_excerpt.txt
calibrated="-q --calibrate $text --calibration-tokens 2048 --calibration-context 128"
# divergence NAME: mean KL of the program from the f32 one
divergence() {
  expect_exit 0 "$hone" eval "$1" --text "$text" --context 128 --chunks 4 --against story --json
  json kl_mean out
}
expect_exit 0 "$hone" compile "$story_model" -o story --weights f32 --acts f32 -q
expect_exit 0 "$hone" compile "$story_model" -o plain --weights nf4 --solver scales $calibrated
expect_exit 0 "$hone" compile "$story_model" -o corrected --weights nf4 --solver scales --bias-correction $calibrated
plain=$(divergence plain)
within "nf4, scales, corrected" "$(divergence corrected)" 0 "$(awk -v x="$plain" 'BEGIN { print 0.95 * x }')"
expect_exit 0 "$hone" inspect corrected --json
out_has '"corrects": "layers.0.attention.qkv"'
out_has '"bias_correction": true'
same "linears corrected" 20 "$(grep -c '"corrects"' out)" # the head is not
expect_exit 0 "$hone" compile "$story_model" -o again --weights nf4 --solver scales --bias-correction $calibrated --threads 3
cmp -s corrected again || bad "threads change the bytes"
for options in "" "--rotate" "--fold-norms --solver descent" "--calibration-inputs original --solver scales"; do
  expect_exit 0 "$hone" compile "$story_model" -o other --weights nf4 --bias-correction $options $calibrated
  within "nf4, corrected $options" "$(divergence other)" 0 0.25
done

# A bias that is there already is corrected with the rest, also where q, k and v are one linear, and gate and up.
biased=$src/tests/fixtures/llama-bias
expect_exit 0 "$hone" compile "$biased" --to fuse --dump fuse:ir
expect_exit 0 "$hone" opt ir/4-fuse.mlir --passes correct-bias{of=all}
out_has 'corrects = "layers.0.ffn.gate_up", sources = ["model.layers.0.mlp.gate_proj.bias", "model.layers.0.mlp.up_proj.bias"]'

expect_exit 2 "$hone" compile "$story_model" -o x --weights nf4 --bias-correction
err_has "it needs --calibrate TEXT"
expect_exit 2 "$hone" compile "$story_model" -o x --weights nf4 --bias-correction $calibrated --work kept
err_has "--bias-correction with --work"
expect_exit 2 "$hone" compile "$story_model" -o x --target-bpw 4 --bias-correction $calibrated
err_has "--bias-correction with --target-bpw"
expect_exit 2 "$hone" compile "$story_model" -o x --weights nf4 --bias-correction $calibrated --emit checkpoint
err_has "--bias-correction: a checkpoint holds weights only"
nothing_left
finish
