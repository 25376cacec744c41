# --emit checkpoint and gguf: what is written, what is said about it, the same bytes again, nothing left after errors.
. "$(dirname "$0")/common.sh"
expect_exit 0 "$hone" compile "$story_model" -o floats --emit checkpoint --weights f32
same "files of the folder" "config.json generation_config.json model.safetensors tokenizer.model tokenizer_config.json" \
  "$(cd floats && echo *)"
same "tokenizer" "" "$(cmp floats/tokenizer.model "$story_model/tokenizer.model")"

# what was exported compiles again, to a program that says the same
expect_exit 0 "$hone" compile "$story_model" -o story
expect_exit 0 "$hone" compile floats -o again
./story --prompt "Once upon a time" --tokens 40 --temp 0 >a 2>/dev/null
./again --prompt "Once upon a time" --tokens 40 --temp 0 >b 2>/dev/null
same "text of the exported checkpoint" "$(cat a)" "$(cat b)"

# rows of 172: bitsandbytes cannot have them in groups, GGUF gets them as F16 and says so
expect_exit 1 "$hone" compile "$story_model" -o nf4 --emit checkpoint --weights nf4
err_has "model.layers.0.mlp.down_proj.weight"
expect_exit 0 "$hone" compile "$story_model" -o story.gguf --emit gguf --weights int4:32
err_has "model.layers.4.mlp.down_proj.weight: rows of 172"
err_has "written as F16"
same "magic and version" "47475546 03000000" "$(head -c 8 story.gguf | od -An -tx1 | awk '{ print $1 $2 $3 $4, $5 $6 $7 $8 }')"
for key in general.architecture llama.rope.freq_base tokenizer.ggml.scores blk.4.ffn_down.weight output_norm.weight; do
  checks=$((checks + 1))
  grep -qaF "$key" story.gguf || bad "story.gguf lacks $key"
done
expect_exit 0 "$hone" compile "$story_model" -o other.gguf --emit gguf --weights int4:32 --threads 3
same "the same GGUF again" "" "$(cmp story.gguf other.gguf)"
expect_exit 0 "$hone" compile "$story_model" -o other --emit checkpoint --weights f32 --threads 3
same "the same checkpoint again" "" "$(diff -r floats other)"

# a target size chooses among what the container holds; what it counts is what the file has
choose=(--calibrate "$src/tests/golden/stories260k/dorian_gray_excerpt.txt" --calibration-tokens 256
  --calibration-context 128 --probe-tokens 256 --solver scales)
expect_exit 0 "$hone" compile "$story_model" -o chosen.gguf --emit gguf --target-bpw 8 "${choose[@]}"
err_has "bits per weight"
bits=$(sed -n 's/ bits per weight.*//p' err)
within "bits per weight of a GGUF" "$bits" 7 8
floats=$(awk '$1 ~ /ffn.down/ && $2 == "f16" { n++ } END { print n + 0 }' err)
same "matrices of 172 columns are floats" 5 "$floats"
within "error of rounding to f16" "$(awk '$1 == "layers.0.ffn.down" { print $4 }' err)" 0 0.000001
checks=$((checks + 1))
grep -q "^embed.weight *\(q8\|iq4nl\|mxfp4\)" err || bad "the embedding was not chosen"
"$hone" compile "$story_model" -o float.gguf --emit gguf --weights f32 -q
saved=$((8 * ($(stat -c %s float.gguf) - $(stat -c %s chosen.gguf))))
within "bits in the file" "$(awk -v s=$saved -v b="$bits" 'BEGIN { print (32 - s / 259840) / b }')" 0.97 1.03
expect_exit 0 "$hone" compile "$story_model" -o chosen --emit checkpoint --target-bpw 15 "${choose[@]}"
expect_exit 0 "$hone" compile chosen -o chosen-again
same "floats are named for transformers" 5 "$(grep -c '"model.layers.[0-4].mlp.down_proj"' chosen/config.json)"
expect_exit 0 "$hone" compile "$story_model" -o given.gguf --emit gguf --target-bpw 8 --formats int4:32,q8:32 "${choose[@]}"
same "what no format holds becomes f16" "f16 int4<32> q8<32>" \
  "$(awk '$1 == "weights" { inside = 1; next } /bits per weight/ { exit } inside { print $2 }' err | sort -u | xargs)"
expect_exit 1 "$hone" compile "$story_model" -o x --emit gguf --target-bpw 6 --formats q6,iq4nl "${choose[@]}"
err_has "--formats: GGUF cannot hold q6<64>"
expect_exit 1 "$hone" compile "$story_model" -o x --emit gguf --target-bpw 2 "${choose[@]}"
err_has "the smallest is"

expect_exit 1 "$hone" compile "$story_model" -o x.gguf --emit gguf --weights nf4
err_has "iq4nl"
expect_exit 1 "$hone" compile "$story_model" -o x.gguf --emit gguf --weights ternary
err_has "whole blocks"
expect_exit 1 "$hone" compile "$story_model" -o floats --emit checkpoint
err_has "not empty"
expect_exit 1 "$hone" compile "$src/samples/tiny.mlir" -o x --emit checkpoint
err_has "textual model"
expect_exit 2 "$hone" compile "$story_model" -o x --emit checkpoint --kv f16
err_has "--kv"
for emit in checkpoint gguf; do # a full disk (a file size limit stands in for it)
  (ulimit -f 600; "$hone" compile "$story_model" -o full --emit $emit >/dev/null 2>err)
  same "full disk: exit" 1 $?
done
same "left behind" "" "$(find . -name 'full*' -o -name 'x*' -o -name 'nf4*' -o -name '.hone*')"
nothing_left
finish
