# --emit lib: a shared object and a header, used by samples/embed.c with nothing else of hone.
. "$(dirname "$0")/common.sh"
expect_exit 0 "$hone" compile "$story_model" -o libstory.so --emit lib
for file in libstory.so libstory.h; do
  checks=$((checks + 1))
  [ -s $file ] || bad "no $file"
done
expect_exit 0 "$HONE_CC" ${HONE_SANITIZED:+"-fsanitize=$HONE_SANITIZED"} -std=c17 -Wall -Wextra -Werror -I"$src/runtime/include" -I"$src/base/include" \
  "$src/samples/embed.c" ./libstory.so -Wl,-rpath,'$ORIGIN' -o embed
expect_exit 0 ./embed "Once upon a time"
out_has "there was a little girl named Lily"
exported=$(nm -D --defined-only libstory.so | awk '{ print $3 }' | grep -v '^hone_' | head -n 3)
same "exports only the public API" "" "$exported"
finish
