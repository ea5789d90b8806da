# shellcheck shell=bash
# Builds the console into dist/, only when something it is made of has changed.

# One line that changes with every input of the console: sources, lock file, tools.
console_inputs() {
  (
    cd "$SIGNALBOX_ROOT" || exit
    find frontend engine openapi -type f ! -name openapi.json -print0 | sort -z | xargs -0 sha256sum
    sha256sum Cargo.toml Cargo.lock Trunk.toml rust-toolchain.toml
    echo "trunk $TRUNK_VERSION"
    if wasm_opt_ready; then echo "binaryen $BINARYEN_VERSION"; else echo "no wasm-opt"; fi
  ) | sha256sum | cut -d ' ' -f 1
}

console_stamp() { echo "$SIGNALBOX_ROOT/.cache/console.inputs"; }

build_console() {
  local inputs
  inputs=$(console_inputs)
  if [ -e "$SIGNALBOX_ROOT/dist/index.html" ] && [ "$(cat "$(console_stamp)" 2>/dev/null)" = "$inputs" ]; then
    say "console: unchanged"
    return 0
  fi
  say "console: fetching crates"
  (cd "$SIGNALBOX_ROOT" && cargo fetch --locked --quiet) || return 1
  say "console: building (the first time takes some minutes)"
  rm -f "$(console_stamp)"
  local options=(--offline --locked)
  # --release adds nothing but wasm-opt: the cargo profile is named in Trunk.toml.
  if wasm_opt_ready; then options+=(--release); fi
  # Trunk takes NO_COLOR=1 for a mistake; a RUSTFLAGS meant for this machine does not fit wasm.
  (cd "$SIGNALBOX_ROOT" && env -u NO_COLOR -u RUSTFLAGS -u RUST_BACKTRACE trunk build "${options[@]}") || return 1
  mkdir -p "$SIGNALBOX_ROOT/.cache"
  echo "$inputs" >"$(console_stamp)"
  say "console: built"
}
