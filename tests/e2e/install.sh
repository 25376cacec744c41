# cmake --install: the installed hone finds its runtime and makes programs, from anywhere.
. "$(dirname "$0")/common.sh"
expect_exit 0 "$HONE_CMAKE" --install "$HONE_BUILD_DIR" --prefix "$work/prefix"
for file in bin/hone include/hone/hone.h include/hone/status.h share/man/man1/hone-compile.1 \
  share/bash-completion/completions/hone; do
  checks=$((checks + 1))
  [ -s "prefix/$file" ] || bad "not installed: $file"
done
expect_exit 0 prefix/bin/hone compile "$story_model" -o story
expect_exit 0 ./story --prompt "Once upon a time" --tokens 4 --temp 0
finish
