# shellcheck shell=bash
# Programs that come from the crate and npm registries, each in a folder of its own
# version under the cache, so that two clones with different pins do not fight.

# Puts the cached tools first on PATH, for this script and what it starts.
use_cached_tools() {
  local bindgen
  bindgen=$(locked_version wasm-bindgen)
  PATH=$SIGNALBOX_CACHE/tools/trunk-$TRUNK_VERSION/bin:$SIGNALBOX_CACHE/tools/wasm-bindgen-cli-$bindgen/bin:$PATH
  PATH=$SIGNALBOX_CACHE/tools/cargo-nextest-$NEXTEST_VERSION/bin:$SIGNALBOX_CACHE/tools/cargo-deny-$DENY_VERSION/bin:$PATH
  PATH=$SIGNALBOX_CACHE/npm/binaryen-$BINARYEN_VERSION/node_modules/.bin:$PATH
  export PATH
}

# Installs crate $1 at version $2, with the remaining arguments for `cargo install`.
# Compiled with little optimisation (none for those in UNOPTIMISED): these programs run
# for seconds, and the time to get them is what a newcomer waits for.
UNOPTIMISED='trunk wasm-bindgen-cli'
install_crate() {
  local name=$1 version=$2
  shift 2
  local level=1
  [[ " $UNOPTIMISED " != *" $name "* ]] || level=0
  local root=$SIGNALBOX_CACHE/tools/$name-$version log=$SIGNALBOX_CACHE/logs/$name.log
  mkdir -p "$SIGNALBOX_CACHE/logs"
  if have cargo-binstall; then
    say "$name $version: cargo binstall"
    if cargo binstall --no-confirm --root "$root" "$name@$version" >"$log" 2>&1; then
      return 0
    fi
  fi
  say "$name $version: compiling, some minutes (log: $log)"
  if ! (cd "$SIGNALBOX_CACHE" && env -u RUSTFLAGS -u CARGO_TARGET_DIR RUSTUP_TOOLCHAIN="$(active_toolchain)" \
    CARGO_PROFILE_RELEASE_OPT_LEVEL=$level CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
    cargo install "$name" --version "$version" "$@" --root "$root" \
    --target-dir "$SIGNALBOX_CACHE/tools-target" 2>&1 | tee "$log" | show_compiling "$name"); then
    tail -n 15 "$log" >&2
    need "$name $version (cargo install failed; is the crate registry reachable?)"
    return 0
  fi
  say "$name $version: installed"
}

# cargo is started outside the repository, so its pinned toolchain has to be named.
active_toolchain() {
  if have rustup; then
    (cd "$SIGNALBOX_ROOT" && rustup show active-toolchain 2>/dev/null | awk 'NR == 1 { print $1 }')
  fi
}

# Turns cargo's hundreds of lines into one line every fifty crates.
show_compiling() {
  local count=0 line
  while IFS= read -r line; do
    case $line in
      *Compiling*)
        count=$((count + 1))
        if [ $((count % 50)) -eq 0 ]; then say "$1: $count crates compiled"; fi
        ;;
    esac
  done
  return 0
}

ensure_trunk() {
  if [ "$(version_of trunk --version)" = "$TRUNK_VERSION" ]; then
    say "trunk $TRUNK_VERSION: present"
    return 0
  fi
  # Without its default features it cannot download other tools; ours are on PATH.
  install_crate trunk "$TRUNK_VERSION" --locked --no-default-features
}

ensure_wasm_bindgen() {
  local version
  version=$(locked_version wasm-bindgen)
  if [ "$(version_of wasm-bindgen --version)" = "$version" ]; then
    say "wasm-bindgen $version: present"
    return 0
  fi
  # Not --locked: the lock file it ships names a crate version that is gone.
  install_crate wasm-bindgen-cli "$version" --no-default-features --bin wasm-bindgen
}

ensure_nextest() {
  local found
  found=$(version_of cargo nextest --version)
  if [ -n "$found" ] && version_at_least "$found" "$NEXTEST_MINIMUM"; then
    say "cargo-nextest $found: present"
    return 0
  fi
  install_crate cargo-nextest "$NEXTEST_VERSION" --locked --no-default-features --features default-no-update
}

ensure_deny() {
  local found
  found=$(version_of cargo deny --version)
  if [ -n "$found" ] && version_at_least "$found" "$DENY_MINIMUM"; then
    say "cargo-deny $found: present"
    return 0
  fi
  install_crate cargo-deny "$DENY_VERSION" --locked
}

# Installs npm package $1 at version $2 into a folder of its own, with the packages $3… beside it.
install_npm() {
  local name=$1 version=$2 place=$SIGNALBOX_CACHE/npm/$1-$2
  shift 2
  [ -e "$place/complete" ] && return 0
  have npm || return 1
  rm -rf "$place"
  mkdir -p "$place" "$SIGNALBOX_CACHE/logs"
  if ! (cd "$place" && echo '{"private":true}' >package.json &&
    npm install --ignore-scripts --no-audit --no-fund --loglevel=error "$name@$version" "$@") \
    >"$SIGNALBOX_CACHE/logs/npm-$name.log" 2>&1; then
    tail -n 5 "$SIGNALBOX_CACHE/logs/npm-$name.log" >&2
    return 1
  fi
  touch "$place/complete"
}

# wasm-opt makes the console a little smaller; without it everything still works.
ensure_wasm_opt() {
  if install_npm binaryen "$BINARYEN_VERSION"; then
    say "wasm-opt $BINARYEN_VERSION: present"
  else
    say "wasm-opt: skipped, since npm is missing or failed. The console will work and be somewhat larger."
  fi
}

# True when the wasm-opt that works is there.
wasm_opt_ready() { [ -e "$SIGNALBOX_CACHE/npm/binaryen-$BINARYEN_VERSION/complete" ] && have node; }

ensure_axe() {
  if install_npm axe-core "$AXE_VERSION"; then
    say "axe-core $AXE_VERSION: present"
  else
    need "axe-core $AXE_VERSION from npm (is npm installed and its registry reachable?)"
  fi
}
axe_script() { echo "$SIGNALBOX_CACHE/npm/axe-core-$AXE_VERSION/node_modules/axe-core/axe.min.js"; }

# What makes a TypeScript client from the OpenAPI document, and compiles it.
ensure_typescript() {
  if install_npm openapi-typescript "$OPENAPI_TYPESCRIPT_VERSION" \
    "openapi-fetch@$OPENAPI_FETCH_VERSION" "typescript@$TYPESCRIPT_VERSION"; then
    say "openapi-typescript $OPENAPI_TYPESCRIPT_VERSION: present"
  else
    need "openapi-typescript $OPENAPI_TYPESCRIPT_VERSION from npm (is npm installed and its registry reachable?)"
  fi
}
typescript_modules() {
  echo "$SIGNALBOX_CACHE/npm/openapi-typescript-$OPENAPI_TYPESCRIPT_VERSION/node_modules"
}
ensure_oidc_provider() {
  if install_npm oidc-provider "$OIDC_PROVIDER_VERSION"; then
    say "oidc-provider $OIDC_PROVIDER_VERSION: present"
  else
    need "oidc-provider $OIDC_PROVIDER_VERSION from npm (is npm installed and its registry reachable?)"
  fi
}
oidc_provider_modules() { echo "$SIGNALBOX_CACHE/npm/oidc-provider-$OIDC_PROVIDER_VERSION/node_modules"; }

# A Python environment of our own with the pinned packages of python-requirements.txt.
python_place() {
  local hash
  hash=$(sha256sum "$SIGNALBOX_ROOT/scripts/lib/python-requirements.txt" | cut -c 1-12)
  echo "$SIGNALBOX_CACHE/python/$hash"
}
ensure_python() {
  local place log=$SIGNALBOX_CACHE/logs/python.log
  place=$(python_place)
  # The interpreter it was made with may be gone since.
  if [ -e "$place/complete" ] && "$place/bin/python" -c '' 2>/dev/null; then
    say "Python packages: present"
    return 0
  fi
  say "Python packages: installing"
  mkdir -p "$SIGNALBOX_CACHE/logs"
  rm -rf "$place"
  if python3 -m venv "$place" >"$log" 2>&1 &&
    "$place/bin/pip" install --quiet --disable-pip-version-check \
      -r "$SIGNALBOX_ROOT/scripts/lib/python-requirements.txt" >>"$log" 2>&1; then
    touch "$place/complete"
  else
    tail -n 5 "$log" >&2
    need "a Python environment (package python3-venv, and the package index reachable)"
  fi
}
