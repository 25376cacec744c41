# The trained sample: greedy text, ids, logits' consequence (perplexity to 5 digits), quantized formats, sampling.
. "$(dirname "$0")/common.sh"
golden=$src/tests/golden/stories260k

expect_exit 0 "$hone" compile "$story_model" -o story
expect_exit 0 ./story --prompt "Once upon a time" --echo --tokens 200 --temp 0
same "greedy text" "$(cat "$golden/greedy200.txt")" "$(cat out)"
ids=$(./story --ids --prompt "1 403 407 261 378" --tokens 200 --temp 0 2>/dev/null | tr -s ' \n' ' ' | sed 's/ $//')
same "greedy ids" "$(tr -s ' \n' ' ' <"$golden/greedy200.ids" | sed 's/ $//')" "$ids"
for isa in avx2 avx512 amx; do # every level this CPU has gives the same text
  if ./story --isa $isa --info >/dev/null 2>&1; then
    expect_exit 0 ./story --isa $isa --threads 1 --prompt "Once upon a time" --echo --tokens 200 --temp 0
    same "greedy text, $isa" "$(cat "$golden/greedy200.txt")" "$(cat out)"
  else
    echo "not run: $isa kernels (this CPU lacks them)"
  fi
done

expect_exit 0 "$hone" eval story --text "$golden/dorian_gray_excerpt.txt" --context 256 --chunks 16 --json
within "perplexity f32" "$(json perplexity out)" 26.29933 26.29943
expect_exit 0 "$hone" compile "$story_model" -o story-q8 --weights q8
expect_exit 0 "$hone" compile "$story_model" -o story-nf4 --weights nf4
expect_exit 0 "$hone" eval story-q8 --against story --text "$golden/dorian_gray_excerpt.txt" --context 256 --chunks 16 --json
within "perplexity q8" "$(json perplexity out)" 26.0 26.6
within "KL q8" "$(json kl_mean out)" 0 0.003
within "top-1 q8" "$(json top1_agreement out)" 0.94 1
expect_exit 0 "$hone" eval story-nf4 --against story --text "$golden/dorian_gray_excerpt.txt" --context 256 --chunks 16 --json
within "perplexity nf4" "$(json perplexity out)" 26.3 40
within "KL nf4" "$(json kl_mean out)" 0.001 0.4
expect_exit 0 "$hone" eval story --against story --text "$golden/dorian_gray_excerpt.txt" --context 256 --chunks 2 --json
within "KL with itself" "$(json kl_mean out)" -1e-9 1e-9

# sampling: the seed decides
expect_exit 0 ./story --prompt "Once upon a time" --tokens 60 --temp 0.9 --top-p 0.9 --seed 7
cp out first
expect_exit 0 ./story --prompt "Once upon a time" --tokens 60 --temp 0.9 --top-p 0.9 --seed 7 --threads 1
same "same seed" "$(cat first)" "$(cat out)"
expect_exit 0 ./story --prompt "Once upon a time" --tokens 60 --temp 0.9 --top-p 0.9 --seed 8
checks=$((checks + 1))
cmp -s first out && bad "another seed gave the same text"

# standard input, and a prompt longer than one batch
printf 'Once upon a time' | ./story --prompt - --echo --tokens 200 --temp 0 >piped 2>/dev/null
same "prompt from standard input" "$(cat "$golden/greedy200.txt")" "$(cat piped)"
long=$(head -c 700 "$golden/dorian_gray_excerpt.txt" | tr '\n' ' ')
expect_exit 0 ./story --prompt "$long" --tokens 5 --temp 0
finish
