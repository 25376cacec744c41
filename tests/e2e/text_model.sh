# A textual model (samples/tiny.mlir) compiles like a checkpoint, and the IR of a checkpoint can be compiled again.
. "$(dirname "$0")/common.sh"
expect_exit 0 "$hone" compile "$src/samples/tiny.mlir" -o tiny
expect_exit 0 ./tiny --prompt "Once upon a time" --tokens 10 --temp 0
expect_exit 0 "$hone" inspect "$src/samples/tiny.mlir"
out_has "layers.1.attention"

expect_exit 0 "$hone" compile "$story_model" -o story
expect_exit 0 "$hone" compile "$story_model" --to import --dump import:ir
expect_exit 0 "$hone" compile ir/0-import.mlir -o again
./story --prompt "Once upon a time" --tokens 50 --temp 0 >a 2>/dev/null
./again --prompt "Once upon a time" --tokens 50 --temp 0 >b 2>/dev/null
same "text of the recompiled IR" "$(cat a)" "$(cat b)"
expect_exit 0 "$hone" compile "$story_model" --to memory --dump all:every
same "phases dumped" 7 "$(find every -name '*.mlir' | wc -l)"
expect_exit 0 "$hone" opt "$src/samples/tiny.mlir" --passes canonical,fuse
out_has "hone.attend_packed"
expect_exit 0 sh -c "'$hone' opt '$src/samples/tiny.mlir' --passes canonical | '$hone' opt - --passes fuse"
finish
