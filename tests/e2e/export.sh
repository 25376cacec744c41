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
