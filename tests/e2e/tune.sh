# hone tune: measures, keeps and goes on; killed, interrupted and out of time it loses nothing it had; databases are
# exported, merged and refused as they should be.
. "$(dirname "$0")/common.sh"
export XDG_DATA_HOME=$work/data HOME=$work
tune() { "$hone" tune "$story_model" --threads 1 --rows 4 --weights nf4 "$@"; }
lines() { wc -l <"$1" | tr -d ' '; }
equal() { checks=$((checks + 1)); cmp "$1" "$2" >&2 || bad "$1 and $2 differ"; }
# The key and candidate of each record, without what was measured.
keys() { sed 's/,"verdict".*//' "$1"; }
# lost BEFORE AFTER: records of an export that another no longer has
lost() { comm -23 <(keys "$1" | LC_ALL=C sort) <(keys "$2" | LC_ALL=C sort) | wc -l | tr -d ' '; }

# ---- a run that is killed while it measures: what is in the database by then stays, and the next run goes on from there
tune --db killed.db --quiet >/dev/null 2>&1 &
pid=$!
for _ in $(seq 1 2000); do
  kill -0 $pid 2>/dev/null || break
  "$hone" tune --db killed.db --export some.jsonl 2>/dev/null
  [ "$(lines some.jsonl 2>/dev/null)" -ge 8 ] 2>/dev/null && break
  sleep 0.02
done
kill -9 $pid
wait $pid 2>/dev/null
expect_exit 0 "$hone" tune --db killed.db --export before.jsonl
within "records before the kill" "$(lines before.jsonl)" 8 10000
same "records that a kill lost" 0 "$(lost some.jsonl before.jsonl)"
expect_exit 0 tune --db killed.db --json
cp out resumed.json
expect_exit 0 "$hone" tune --db killed.db --export after.jsonl
same "records that the resumed run lost" 0 "$(lost before.jsonl after.jsonl)"
same "problems of nf4 stories260k" 6 "$(grep -c '"problem"' resumed.json)"
same "problems with a best candidate" 6 "$(grep -c '"best"' resumed.json)"

# ---- with all of it known next to nothing is left to do, and the default database is found by both verbs
expect_exit 0 tune --json
cp out first.json
[ -f "$XDG_DATA_HOME/hone/tuning.db" ] || bad "no database in XDG_DATA_HOME"
expect_exit 0 tune --json
within "candidates measured again" "$(json measured out)" 0 "$(($(json measured first.json) / 4))"
expect_exit 0 tune
out_has "problems got faster"
expect_exit 0 "$hone" compile "$story_model" -o tuned --weights nf4 --quiet
expect_exit 0 "$hone" compile "$story_model" -o untuned --weights nf4 --quiet --tuned off
expect_exit 0 "$hone" compile "$story_model" -o named --weights nf4 --quiet --tuned "$XDG_DATA_HOME/hone/tuning.db"
equal tuned named
# reasons FILE: how many of the choices in a program's manifest were measured
reasons() { readelf -p .hone.manifest "$1" | grep -c '"reason": "measured"'; }
within "choices by measurement" "$(reasons tuned)" 5 1000
same "choices by measurement with --tuned off" 0 "$(reasons untuned)"
expect_exit 0 ./tuned --prompt "Once upon a time" --tokens 20 --temp 0
expect_exit 1 "$hone" compile "$story_model" -o none --tuned missing.db
err_has "there is no tuning database missing.db"

# ---- Ctrl-C: the end is clean, exit 130, and what was measured is there
(exec setsid "$hone" tune "$story_model" --threads 1 --strategy exhaustive --db stopped.db >stopped.txt 2>&1) &
pid=$!
for _ in $(seq 1 1000); do
  "$hone" tune --db stopped.db --export stopped.jsonl 2>/dev/null
  [ "$(lines stopped.jsonl 2>/dev/null)" -ge 2 ] 2>/dev/null && break
  sleep 0.02
done
kill -INT $pid
wait $pid
same "Ctrl-C: exit" 130 $?
expect_exit 0 grep -q "were not reached: run again to go on" stopped.txt
expect_exit 0 "$hone" tune --db stopped.db --export stopped2.jsonl
same "records that Ctrl-C lost" 0 "$(lost stopped.jsonl stopped2.jsonl)"

# ---- the end of the time: those problems that were reached are there
expect_exit 0 tune --db short.db --time 1s --json
within "problems within a second" "$(grep -c '"best"' out)" 1 6

# ---- shards: together they are all problems, and each problem once
expect_exit 0 tune --db one.db --shard 1/2 --json
cp out one.json
expect_exit 0 tune --db two.db --shard 2/2 --json
names() { grep -h '"problem"' "$@" | LC_ALL=C sort; }
names one.json out >shards.txt
names first.json >whole.txt
equal shards.txt whole.txt
same "problems of a shard" 3 "$(names one.json | wc -l | tr -d ' ')"
expect_exit 0 tune --db two.db --shard 7/9 --json
same "problems of a shard past the last" 0 "$(names out | wc -l | tr -d ' ')"
for wrong in 0/2 3/2 1 1/ /2 one/two; do
  expect_exit 2 tune --shard "$wrong"
  err_has "write it as 1/4"
done

# ---- what leads the evolutionary strategy
expect_exit 0 tune --db evolved.db --strategy evolve --learner trees --json
same "problems with a best candidate of evolve" 6 "$(grep -c '"best"' out)"
tune --db xgboost.db --strategy evolve --learner xgboost --json >out 2>err
case $? in
  0) same "problems with a best candidate, led by xgboost" 6 "$(grep -c '"best"' out)" ;;
  2)
    err_has "learner xgboost: this hone was built without it"
    echo "not run: evolve led by xgboost: $(cat err)"
    ;;
  *) bad "evolve led by xgboost: $(cat err)" ;;
esac
expect_exit 2 tune --learner trees
err_has "only --strategy evolve has one"

# ---- export, import, merge: deterministic, in any order
expect_exit 0 "$hone" tune --import after.jsonl --import stopped2.jsonl --db a.db --export a.jsonl
expect_exit 0 "$hone" tune --import stopped2.jsonl --import after.jsonl --db b.db --export b.jsonl
equal a.jsonl b.jsonl
expect_exit 0 "$hone" tune --import a.jsonl --db a.db --export again.jsonl
err_has "a.jsonl: 0 records are new or better"
equal a.jsonl again.jsonl
echo '{"problem":"p"}' >>b.jsonl
expect_exit 1 "$hone" tune --import b.jsonl --db a.db
err_has "b.jsonl, line $(lines b.jsonl): \"isa\" must be a text"

# ---- what is wrong is said
head -c 20000 "$hone" >foreign.db
cp foreign.db copy.db
expect_exit 1 tune --db foreign.db
err_has "foreign.db is no tuning database"
equal foreign.db copy.db
expect_exit 2 "$hone" tune
err_has "nothing to do"
expect_exit 2 tune --time soon
err_has "--time soon: write it as 90s, 10m or 1h"
expect_exit 2 tune --rows 1,x
err_has "--rows 1,x: give numbers of tokens"
expect_exit 2 tune --isa sse2
err_has "there is no such level"
expect_exit 2 tune --target null
err_has "only cpu kernels can be tuned"
expect_exit 1 "$hone" tune nowhere --db a.db
err_has "nowhere"
finish
