# The command line's contract: help, lists, JSON, man pages, completion, exit codes.
. "$(dirname "$0")/common.sh"
expect_exit 2 "$hone"
expect_exit 0 "$hone" --help
expect_exit 0 "$hone" --version
expect_exit 2 "$hone" complie
err_has "compile"
for verb in compile eval report bench inspect opt list; do
  expect_exit 0 "$hone" $verb --help
  out_has "--"
  expect_exit 0 "$hone" man $verb
  out_has ".TH"
done
for what in ops passes phases formats targets families models; do
  expect_exit 0 "$hone" list $what
  expect_exit 0 "$hone" list $what --json
done
expect_exit 2 "$hone" list gadgets
for shell in bash zsh fish; do
  expect_exit 0 "$hone" completion $shell
  out_has "weights"
done
"$hone" completion bash >bash-completion && expect_exit 0 bash -n bash-completion
expect_exit 0 "$hone" compile "$story_model" -o story --json --timing
out_has '"schema": "hone.compile/1"'
err_has "import"
expect_exit 0 "$hone" bench story --prompt 16 --tokens 8 --repeats 1 --json
out_has '"share"'
expect_exit 0 "$hone" bench story --prompt 16 --tokens 8 --repeats 1
out_has "GB/s"
expect_exit 0 "$hone" inspect "$story_model" --json
out_has '"schema": "hone.model/1"'
expect_exit 0 ./story --info
expect_exit 0 ./story --help
expect_exit 0 ./story --version
finish
