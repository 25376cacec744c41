# What a careless user does: wrong paths, truncated files, wrong values, full disk, Ctrl-C, closed pipes.
. "$(dirname "$0")/common.sh"
copy() { rm -rf m && cp -r "$story_model" m && chmod -R u+w m; }

expect_exit 1 "$hone" compile no-such-folder -o x
err_has "no-such-folder"
mkdir empty
expect_exit 1 "$hone" compile empty -o x
err_has "model.safetensors"
copy; head -c 500000 "$story_model/model.safetensors" >m/model.safetensors
expect_exit 1 "$hone" compile m -o x
err_has "model.safetensors"
copy; sed -i 's/"hidden_size": 64/"hidden_size": "wide"/' m/config.json
expect_exit 1 "$hone" compile m -o x
err_has "hidden_size"
copy; sed -i 's/"llama"/"palm"/' m/config.json
expect_exit 1 "$hone" compile m -o x
err_has "palm"
copy; sed -i 's/"num_hidden_layers": 5/"num_hidden_layers": 6/' m/config.json
expect_exit 1 "$hone" compile m -o x
err_has "model.layers.5"
copy; sed -i 's/"rope_scaling": null/"rope_scaling": {"rope_type": "yarn", "factor": 4.0}/' m/config.json
expect_exit 1 "$hone" compile m -o x
err_has "yarn"
copy; head -c 3000 "$story_model/tokenizer.model" >m/tokenizer.model
expect_exit 1 "$hone" compile m -o x
err_has "tokenizer.model"
copy; printf '\000\000\300\177' | dd of=m/model.safetensors bs=1 seek=500000 conv=notrunc 2>/dev/null
expect_exit 1 "$hone" compile m -o x
err_has "NaN"
touch model.gguf
printf 'GGUF' >model.gguf
expect_exit 1 "$hone" compile model.gguf -o x
err_has "GGUF"
checks=$((checks + 1))
[ ! -e x ] || bad "a failed compile left its output"

expect_exit 2 "$hone" compile "$story_model"
expect_exit 2 "$hone" compile "$story_model" -o x --weights nf5
err_has "nf4"
expect_exit 2 "$hone" compile "$story_model" -o x --wieghts nf4
err_has "--weights"
expect_exit 1 "$hone" compile "$story_model" -o x --to fuze
err_has "fuse"
expect_exit 1 "$hone" compile "$story_model" -o x --target nvidia:sm_90
err_has "nvidia"
expect_exit 1 "$hone" compile "$story_model" -o x --target null
err_has "null"
expect_exit 1 "$hone" compile "$story_model" -o no/such/folder/x
err_has "no/such/folder"
mkdir folder
expect_exit 1 "$hone" compile "$story_model" -o folder
err_has "folder"

# a full disk (a file size limit stands in for it) leaves nothing behind
(ulimit -f 600; "$hone" compile "$story_model" -o full >/dev/null 2>err)
same "full disk: exit" 1 $?
checks=$((checks + 1))
[ ! -e full ] || bad "full disk left an output"
nothing_left

# being stopped while compiling leaves nothing behind (SIGTERM: scripts start jobs with SIGINT ignored; one handler does both)
mkdir scratch
TMPDIR=$work/scratch "$hone" compile "$story_model" -o stopped --cache off >/dev/null 2>err &
pid=$!
sleep 0.3
kill -TERM $pid
wait $pid
same "stopped while compiling: exit" 143 $?
checks=$((checks + 1))
[ ! -e stopped ] || bad "a stopped compile left an output"
nothing_left
same "a stopped compile left scratch files" "" "$(ls scratch)"

expect_exit 0 "$hone" compile "$story_model" -o story
expect_exit 2 ./story --tokens many
expect_exit 2 ./story --prompt x --nosuch
expect_exit 1 ./story --prompt "$(head -c 6000 "$src/tests/golden/stories260k/dorian_gray_excerpt.txt")" --tokens 3
err_has "512"
expect_exit 1 ./story --ids --prompt "1 9999" --tokens 3
err_has "9999"
expect_exit 1 ./story --ids --prompt "1 two" --tokens 3
err_has "two"
expect_exit 2 ./story --isa avx1024 --prompt x
err_has "avx1024"
expect_exit 0 ./story --prompt "" --tokens 5 --temp 0
expect_exit 0 ./story --prompt "Once upon a time" --tokens 100000 --temp 0
err_has "context"
(./story --prompt "Once" --tokens 400 --temp 0 2>err | head -c 10 >/dev/null)
checks=$((checks + 1))
grep -qi "panic\|assert\|core" err && bad "broken pipe was not clean"
./story --prompt "Once" --tokens 5 --temp 0 >/dev/full 2>err
same "stdout full: exit" 1 $?
# Ctrl-C while generating: the program is fast, so try until the signal falls into it
code=0
for delay in 0.01 0.02 0.03 0.05 0.08 0.01 0.02 0.03 0.05 0.08 0.12 0.2 0.3 0.5 0.01 0.02 0.03 0.05 0.08; do
  (exec setsid ./story --threads 1 --prompt "Once upon a time" --tokens 100000 --temp 1 --seed 3 >stopped.txt 2>err) &
  pid=$!
  sleep $delay
  kill -INT $pid 2>/dev/null
  wait $pid
  code=$?
  [ $code = 130 ] && grep -q "tok" err && break # before its handler is set, the signal ends it with 130 too
done
same "Ctrl-C while generating: exit" 130 $code
checks=$((checks + 1))
grep -q "tokens" err || grep -q "tok/s" err || bad "Ctrl-C: no statistics"

echo "not a model" >plain
expect_exit 1 "$hone" eval plain --text "$src/README.md"
err_has "plain"
expect_exit 1 "$hone" eval /bin/true --text "$src/README.md"
err_has "hone compile"
expect_exit 1 "$hone" eval story --text no-such-text
echo "A few words." >short
expect_exit 1 "$hone" eval story --text short --context 256
err_has "tokens"
finish
