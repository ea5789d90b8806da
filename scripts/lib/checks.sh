# shellcheck shell=bash
# The stages of `scripts/test`, one function each.

check_fmt() { cargo fmt --all --check; }

# Our own shell, by what its first line says it is.
check_scripts() {
  local file
  local bash_files=() posix_files=()
  while IFS= read -r file; do
    case $(head -n 1 "$file") in
      '#!/bin/sh'*) posix_files+=("$file") ;;
      '#!/usr/bin/env bash'* | '# shellcheck shell=bash'*) bash_files+=("$file") ;;
    esac
  done < <(find scripts .ci deploy -type f)
  if [ ${#bash_files[@]} -eq 0 ] || [ ${#posix_files[@]} -eq 0 ]; then return 1; fi
  shellcheck -x "${bash_files[@]}" "${posix_files[@]}"
  for file in "${posix_files[@]}"; do dash -n "$file"; done
  for file in "${bash_files[@]}"; do bash -n "$file"; done
  echo "checked: ${bash_files[*]} ${posix_files[*]}"
}

check_deny() { cargo deny --locked check bans licenses sources; }

check_advisories() {
  if [ -z "${SIGNALBOX_ADVISORY_DB:-}" ]; then
    echo "advisories: not run, since SIGNALBOX_ADVISORY_DB names no database"
    return 75
  fi
  cargo deny --locked check --disable-fetch advisories
}

# The committed document, by a validator that is not ours.
check_openapi() { "$(python_place)/bin/openapi-spec-validator" openapi/openapi.json; }

# The alert rules, and what they would have said of made-up series.
check_alerts() {
  promtool check rules deploy/prometheus/alerts.yaml
  (cd deploy/prometheus && promtool test rules alerts.test.yaml)
  jq -e '.panels | length > 10' deploy/grafana/signalbox.json
}

check_clippy() {
  cargo clippy --workspace --exclude frontend --all-targets --locked -- -D warnings
}

check_clippy_wasm() {
  cargo clippy -p frontend --target "$WASM" --locked -- -D warnings
  cargo clippy -p engine --target "$WASM" --locked -- -D warnings
}

# Everything the tests run: the binary, the fakes, the test programs themselves.
check_build() {
  cargo build --workspace --exclude frontend --bins --locked
  cargo nextest run --workspace --exclude frontend --locked --no-run
  cargo nextest run -p frontend --locked --no-run
}

# The tests of the crates on their own, then what crosses them. `browser` is a stage
# of its own, since it needs the console.
BROWSER_TESTS='package(tests) and test(/(^|::)browser(::|_)/)'
run_nextest() {
  needs build
  local profile=default
  if [ "${SIGNALBOX_TEST_LONG:-}" = 1 ]; then profile=long; fi
  cargo nextest run --workspace --exclude frontend --locked --profile "$profile" -E "$1"
}
# The console's pure parts run natively, in a build of their own: its features are not the server's.
check_unit() {
  run_nextest 'not package(tests)' || return 1
  cargo nextest run -p frontend --locked
}
check_integration() { run_nextest "package(tests) and not ($BROWSER_TESTS)"; }
check_browser() {
  needs console
  [ -e dist/index.html ] || {
    echo "the console is not built (scripts/test --only console)" >&2
    return 1
  }
  run_nextest "$BROWSER_TESTS"
}

# The guides: links, problem codes, and every example by the program itself; then the
# examples in the code.
check_docs() {
  needs build
  python3 scripts/check-docs --signalbox "${SIGNALBOX_BIN:-$(target_dir)/debug/signalbox}"
  cargo test --doc --workspace --exclude frontend --locked
}

# The first download of the console, compressed as it is served, in bytes.
CONSOLE_BUDGET=600000
check_console() {
  build_console
  node "$SIGNALBOX_ROOT/scripts/lib/size.mjs" dist "$CONSOLE_BUDGET"
}
