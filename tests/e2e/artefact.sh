# The program as an ELF file: sections, strip, size, libraries, start-up on an edited or torn file.
. "$(dirname "$0")/common.sh"
expect_exit 0 "$hone" compile "$story_model" -o story
readelf -SW story >sections 2>readelf-errors
same "readelf is content" "" "$(cat readelf-errors)"
for section in .hone.weights .hone.checks .hone.manifest; do
  checks=$((checks + 1))
  grep -qF $section sections || bad "no section $section"
done
offset=$(awk '$0 ~ /\.hone\.weights/ { for (i = 1; i <= NF; i++) if ($i == "PROGBITS") print $(i + 2) }' sections)
same "weights are page-aligned" 0 $((0x$offset % 4096))
weights=$(awk '$0 ~ /\.hone\.weights/ { for (i = 1; i <= NF; i++) if ($i == "PROGBITS") print $(i + 3) }' sections)
size=$(stat -c %s story)
if [ -z "$HONE_SANITIZED" ]; then
  within "bytes without weights" $((size - 0x$weights)) 1 999999
fi
ldd story | awk '{ print $1 }' | sed 's|.*/||' | sort >libraries
if [ -z "$HONE_SANITIZED" ]; then
  checks=$((checks + 1))
  grep -vE '^(linux-vdso\.so\.1|libc\.so\.6|libm\.so\.6|ld-linux-x86-64\.so\.2)$' libraries && bad "needs more than libc and libm"
fi

text=$(./story --prompt "Once upon a time" --tokens 30 --temp 0 2>/dev/null)
cp story stripped
expect_exit 0 strip stripped
expect_exit 0 ./stripped --prompt "Once upon a time" --tokens 30 --temp 0
same "after strip" "$text" "$(cat out)"
expect_exit 0 strip --remove-section=.hone.weights stripped
expect_exit 1 ./stripped --prompt "Once upon a time" --tokens 30 --temp 0
err_has ".hone.weights"

# one flipped bit in the weights, a cut tail, an empty tail: refused with a reason
cp story edited
printf '\377' | dd of=edited bs=1 seek=$((0x$offset + 5000)) conv=notrunc 2>/dev/null
expect_exit 1 ./edited --prompt x --tokens 1
err_has "checksum"
for keep in $((size / 2)) $((size - 5000)) $((size - 1)); do
  head -c $keep story >torn
  chmod +x torn
  "./torn" --prompt x --tokens 1 >/dev/null 2>err
  code=$?
  checks=$((checks + 1))
  [ $code != 0 ] || bad "a file cut to $keep bytes ran"
done
err_has "truncated"

expect_exit 0 "$hone" inspect story
expect_exit 0 "$hone" inspect story --json
out_has '"tensors"'
out_has '"kernels"'
finish
