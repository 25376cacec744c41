# Same input, same bytes: on repeat, from another folder, for any number of packing threads, through a link.
. "$(dirname "$0")/common.sh"
unset XDG_CACHE_HOME HOME  # every compile builds its own kernels
for format in f32 bf16 nf4; do
  expect_exit 0 "$hone" compile "$story_model" -o a-$format --weights $format
  mkdir -p "other place/deep"
  cp -r "$story_model" "other place/deep/stories260k"
  (cd "other place/deep" && "$hone" compile stories260k -o "b $format" --weights $format --threads 1 2>/dev/null)
  checks=$((checks + 1))
  cmp "a-$format" "other place/deep/b $format" || bad "$format: another folder gave other bytes"
done
text=$src/tests/golden/stories260k/dorian_gray_excerpt.txt
for threads in 1 2 5; do
  expect_exit 0 "$hone" compile "$story_model" -o calibrated-$threads --weights nf4 --calibrate "$text" \
    --calibration-tokens 2048 --threads $threads
  checks=$((checks + 1))
  cmp calibrated-1 calibrated-$threads || bad "calibrated: $threads threads gave other bytes"
done
expect_exit 0 "$hone" compile "$story_model" -o a.mlir --emit ir
expect_exit 0 "$hone" compile "other place/deep/stories260k" -o b.mlir --emit ir
same "IR of two folders, the checkpoint's path aside" "$(sed 's/checkpoint = "[^"]*"//' a.mlir)" "$(sed 's/checkpoint = "[^"]*"//' b.mlir)"
mkdir one two
for folder in one two; do expect_exit 0 "$hone" compile "$story_model" -o $folder/libstory.so --emit lib; done
for file in libstory.so libstory.h; do
  checks=$((checks + 1))
  cmp one/$file two/$file || bad "two $file differ"
done
finish
