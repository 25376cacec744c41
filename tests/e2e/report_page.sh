# The page of hone report in a browser: no messages on its console, every mark of every plot in its document, and
# something to see. Skipped where there is no Chromium.
. "$(dirname "$0")/common.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ]; then
  echo "skipped: no chromium here (apt-get install --no-install-recommends chromium)"
  exit 77
fi
export HOME=$work XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache

# browse OPTION... : the browser without its sandbox, which needs rights a test may not have; the pages are ours
browse() {
  timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
    --user-data-dir="$work/profile" --hide-scrollbars --window-size=1100,2400 --virtual-time-budget=2000 \
    --enable-logging=stderr --v=0 "$@" 2>log
}
printf '<!DOCTYPE html><html><head><title>t</title></head><body></body></html>' >blank.html
if ! browse --dump-dom "file://$work/blank.html" >dom || ! grep -q "<body>" dom; then
  echo "skipped: $browser does not start here: $(tail -n 1 log)"
  exit 77
fi
browse --screenshot="$work/blank.png" "file://$work/blank.html" >/dev/null

expect_exit 0 "$hone" compile "$story_model" -o story --weights f32
expect_exit 0 "$hone" compile "$story_model" -o story-nf4 --weights nf4
expect_exit 0 "$hone" report story-nf4 --against story --text "$src/tests/golden/stories260k/dorian_gray_excerpt.txt" \
  --context 256 --chunks 2 --html page.html
browse --dump-dom "file://$work/page.html" >dom
same "exit of the browser" 0 $?
same "messages on the console" "" "$(grep -i ":CONSOLE" log)"
same "plots" 4 "$(grep -c '<svg ' dom)"
# "announced drawn" of each plot, as the browser parsed it
awk '
  /<svg / { match($0, /data-marks="[0-9]+"/); want = substr($0, RSTART + 12, RLENGTH - 13); got = 0 }
  { got += gsub(/class="mark/, "") }
  /<\/svg>/ { print want, got }' dom >marks
while read -r want got; do
  same "marks of a plot" "$want" "$got"
  within "marks of a plot" "$got" 4 10000
done <marks
for scheme in 0 1; do # dark, light
  browse --blink-settings=preferredColorScheme=$scheme --screenshot="$work/page-$scheme.png" "file://$work/page.html" >/dev/null
  # A page of text and plots does not compress to what an empty one does.
  within "bytes of the picture, scheme $scheme" "$(stat -c %s page-$scheme.png)" $((5 * $(stat -c %s blank.png))) 100000000
done
checks=$((checks + 1))
cmp -s page-0.png page-1.png && bad "dark and light look the same"
browse --no-pdf-header-footer --print-to-pdf="$work/page.pdf" "file://$work/page.html" >/dev/null
within "bytes in print" "$(stat -c %s page.pdf)" 10000 100000000
finish
