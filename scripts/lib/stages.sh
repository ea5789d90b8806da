# shellcheck shell=bash
# Runs named stages one after the other, keeps going when one fails, and says at the
# end what each did and how long it took.

stage_names=()
stage_results=()
stage_seconds=()
passed=0
failed=0
skipped=0

# Runs $2… as stage $1. The command runs in a subshell with `set -e`, so that no step
# of it can fail unseen. Status 75: everything it needs is there but was not asked for.
stage() {
  local name=$1 begin=$SECONDS status=0
  shift
  printf '\n'
  say "== $name"
  # Not `( … ) || status=$?`: bash would ignore `set -e` inside.
  set +e
  (
    set -e
    trap - EXIT
    "$@"
  )
  status=$?
  set -e
  stage_names+=("$name")
  stage_seconds+=($((SECONDS - begin)))
  case $status in
    0)
      passed=$((passed + 1))
      stage_results+=(passed)
      ;;
    75)
      skipped=$((skipped + 1))
      stage_results+=("not run")
      ;;
    *)
      failed=$((failed + 1))
      stage_results+=(FAILED)
      ;;
  esac
  say "== $name: ${stage_results[-1]}, ${stage_seconds[-1]} s"
}

# What became of stage $1 so far; empty when it was not asked for.
result_of() {
  local i
  for ((i = 0; i < ${#stage_names[@]}; i++)); do
    if [ "${stage_names[i]}" = "$1" ]; then echo "${stage_results[i]}"; fi
  done
}

# Ends the stage that calls it when stage $1 has failed before it.
needs() {
  if [ "$(result_of "$1")" = FAILED ]; then
    echo "not run, since $1 failed"
    exit 1
  fi
}

# `started_at` is set where `say` is.
# shellcheck disable=SC2154
# The table and the closing line; fails when a stage failed or none ran.
finish_stages() {
  local i
  printf '\n%-16s %8s  %s\n' stage seconds result
  for ((i = 0; i < ${#stage_names[@]}; i++)); do
    printf '%-16s %8d  %s\n' "${stage_names[i]}" "${stage_seconds[i]}" "${stage_results[i]}"
  done
  printf '%-16s %8d\n\n' all $((SECONDS - started_at))
  if [ $skipped -gt 0 ]; then
    printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
  else
    printf '%d passed, %d failed\n' $passed $failed
  fi
  [ $failed -eq 0 ] && [ $passed -gt 0 ]
}
