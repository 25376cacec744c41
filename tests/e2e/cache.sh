# The kernel cache changes how long a compile takes and nothing else: cold, warm, damaged, shared by compiles that run
# at the same time, read-only, unusable, off.
. "$(dirname "$0")/common.sh"
export XDG_CACHE_HOME=$work/xdg
compile() { "$hone" compile "$story_model" -o "$1" --weights nf4 -q "${@:2}"; }
equal() {
  checks=$((checks + 1))
  cmp off "$1" || bad "$1 has other bytes than a compile without a cache"
}
entries() { find "$1" -type f | wc -l; }

expect_exit 0 compile off --cache off
same "--cache off makes no folder" no "$([ -e xdg ] && echo yes || echo no)"
expect_exit 0 compile cold
same "the default place" yes "$([ "$(entries xdg/hone)" -gt 10 ] && echo yes || echo no)"
kept=$(entries xdg/hone)
expect_exit 0 compile warm
same "a warm compile keeps nothing new" "$kept" "$(entries xdg/hone)"
(unset XDG_CACHE_HOME && HOME=$work/home compile homely) || bad "compile with HOME"
same "without XDG_CACHE_HOME" "$kept" "$(entries home/.cache/hone)"
(cd / && compile "$work/named" --cache "$work/named cache") || bad "compile with --cache"
same "--cache DIR" "$kept" "$(entries 'named cache')"
for file in cold warm homely named; do equal $file; done

# Damage: every entry cut or overwritten.
i=0
for file in xdg/hone/*; do
  i=$((i + 1))
  if [ $((i % 2)) = 0 ]; then truncate -s $((i * 97 % 3000)) "$file"; else head -c 4000 /dev/urandom >"$file"; fi
done
expect_exit 0 compile damaged
equal damaged
expect_exit 0 compile repaired
equal repaired
same "no remark" "" "$(cat "$work/err")"

# Several at once on an empty folder.
for n in 1 2 3 4; do compile many-$n --cache many & done
wait
for n in 1 2 3 4; do equal many-$n; done
same "entries of four compiles" "$kept" "$(entries many)"

# A folder that cannot be used: said once, and the result is the same; what can be read is used.
touch file
expect_exit 0 compile unusable --cache file/cache
same "said once" 1 "$(grep -c 'remark: kernel cache: .*file/cache' "$work/err")"
equal unusable
text=$src/tests/golden/stories260k/dorian_gray_excerpt.txt  # two compiles in one
expect_exit 0 compile twice --cache file/cache --calibrate "$text" --calibration-tokens 256 --calibration-context 32
same "said once by a calibrated compile" 1 "$(grep -c 'kernel cache' "$work/err")"
chmod a-w many
expect_exit 0 compile readonly --cache many
same "a folder that holds everything may be read-only" "" "$(cat "$work/err")"
equal readonly
chmod u+w many

expect_exit 2 compile empty --cache ''
err_has "--cache: name a folder, or 'off'"
nothing_left
finish
