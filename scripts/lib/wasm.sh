# shellcheck shell=bash
# The wasm32-unknown-unknown target, with rustup or without.
#
# Without rustup (or where RUSTUP_AUTO_INSTALL=0 forbids it to fetch), the standard
# library is compiled from its source, once per compiler, kept in the cache and
# copied into the compiler's own folder, where cargo and Trunk find it. The source
# is the first of: the compiler's rust-src, SIGNALBOX_RUST_LIBRARY (a tarball or a
# folder holding `library/`), Debian's rust-src package of the same version.

WASM=wasm32-unknown-unknown

sysroot() { (cd "$SIGNALBOX_ROOT" && rustc --print sysroot); }

# Compiles a line of Rust for wasm: the only check that also notices files left by
# another compiler.
wasm_works() {
  local out
  out=$(mktemp -d)
  local status=0
  (cd "$SIGNALBOX_ROOT" &&
    echo 'pub fn probe() -> String { format!("{:?}", vec![1]) }' |
    rustc --edition 2024 --target $WASM --crate-type cdylib -o "$out/probe.wasm" - >/dev/null 2>&1) || status=1
  rm -rf "$out"
  return $status
}

ensure_wasm_target() {
  if wasm_works; then
    say "wasm target: present"
    return 0
  fi
  if [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ] && have rustup; then
    say "wasm target: rustup target add $WASM"
    (cd "$SIGNALBOX_ROOT" && rustup target add $WASM) && wasm_works && return 0
    warn "rustup could not add the wasm target; building it from source"
  fi
  wasm_from_source
}

wasm_from_source() {
  local root version hash built
  root=$(sysroot)
  version=$(cd "$SIGNALBOX_ROOT" && rustc -vV | sed -n 's/^release: //p')
  hash=$(cd "$SIGNALBOX_ROOT" && rustc -vV | sed -n 's/^commit-hash: //p')
  built=$SIGNALBOX_CACHE/wasm-std/$version-${hash:0:12}
  if [ ! -w "$root/lib/rustlib" ]; then
    need "the Rust target $WASM (this compiler's folder, $root, is not writable; with rustup: rustup target add $WASM; with Debian's compiler: the package libstd-rust-dev-wasm32)"
    return 0
  fi
  if [ ! -e "$built/complete" ]; then
    wasm_source "$root" "$version" || return 0
    wasm_build "$root" "$built" || die "the wasm target could not be built"
  fi
  mkdir -p "$root/lib/rustlib/$WASM/lib"
  rm -f "$root/lib/rustlib/$WASM/lib/"*.rlib
  cp "$built/"*.rlib "$root/lib/rustlib/$WASM/lib/"
  wasm_works || die "the wasm target was built, but does not compile a line of Rust"
  say "wasm target: built from source"
}

# Puts the source of the standard library where cargo looks for it.
wasm_source() {
  local root=$1 version=$2 place=$1/lib/rustlib/src/rust
  [ -e "$place/library/Cargo.lock" ] && return 0
  local temporary library=
  temporary=$(mktemp -d)
  if [ -n "${SIGNALBOX_RUST_LIBRARY:-}" ]; then
    say "wasm target: source from $SIGNALBOX_RUST_LIBRARY"
    if [ -d "$SIGNALBOX_RUST_LIBRARY" ]; then
      library=$SIGNALBOX_RUST_LIBRARY
    else
      tar -xf "$SIGNALBOX_RUST_LIBRARY" -C "$temporary"
      library=$temporary
    fi
  elif have apt-get && have dpkg; then
    say "wasm target: looking for Debian's rust-src $version"
    debian_rust_src "$version" "$temporary" && library=$temporary
  fi
  if [ -n "$library" ]; then
    library=$(find_library "$library")
  fi
  if [ -z "$library" ]; then
    rm -rf "$temporary"
    need "the Rust target $WASM (rustup target add $WASM; or name the compiler's library folder in SIGNALBOX_RUST_LIBRARY)"
    return 1
  fi
  mkdir -p "$place"
  rm -rf "$place/library.part"
  cp -r "$library" "$place/library.part"
  mv "$place/library.part" "$place/library"
  rm -rf "$temporary"
}

# The library/ folder below $1 that is a whole standard library (sources of the
# compiler also hold a toy one for cargo's tests).
find_library() {
  local lock
  while IFS= read -r lock; do
    if [ -e "${lock%/Cargo.lock}/std/src/lib.rs" ]; then
      echo "${lock%/Cargo.lock}"
      return 0
    fi
  done < <(find "$1" -path '*/library/Cargo.lock')
}

# Unpacks Debian's rust-src of exactly version $1 into $2, through an apt state of
# its own: the machine's sources and lists stay as they are.
debian_rust_src() {
  local version=$1 out=$2 mirror keyring suite package
  mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 2>/dev/null |
    grep -E '/debian/?$' | head -n 1)
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  if [ -z "$mirror" ] || [ ! -e "$keyring" ]; then
    return 1
  fi
  for suite in trixie-backports forky sid; do
    local state=$out/apt-$suite
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    echo "deb [signed-by=$keyring] $mirror $suite main" >"$state/sources.list"
    local apt=(apt-get -o Dir::State::Lists="$state/lists" -o Dir::Etc::SourceList="$state/sources.list"
      -o Dir::Etc::SourceParts=/nonexistent -o Dir::Cache="$state/cache" -o APT::Sandbox::User=root
      -o Acquire::Languages=none -o Acquire::PDiffs=false)
    "${apt[@]}" -qq update >/dev/null 2>&1 || continue
    package=$(apt-cache "${apt[@]:1}" madison rust-src 2>/dev/null |
      awk -F'|' '{ gsub(/ /, "", $2); print $2 }' | grep -E "^${version//./\\.}[^0-9.]" | head -n 1) || continue
    [ -n "$package" ] || continue
    (cd "$state" && "${apt[@]}" -qq download "rust-src=$package" && mkdir -p "$out/unpacked" &&
      dpkg-deb --fsys-tarfile rust-src_*.deb | tar -x -C "$out/unpacked" --wildcards --exclude='*/library/vendor' '*/library/*') || continue
    return 0
  done
  return 1
}

# Compiles the standard library for wasm into $2. Bitcode is embedded, else link-time
# optimisation of the console would fail.
wasm_build() {
  local root=$1 built=$2 crate
  crate=$(mktemp -d)
  mkdir -p "$crate/src"
  : >"$crate/src/lib.rs"
  printf '[package]\nname = "empty-for-std"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >"$crate/Cargo.toml"
  cp "$SIGNALBOX_ROOT/rust-toolchain.toml" "$crate/"
  say "wasm target: compiling the standard library (about half a minute)"
  (cd "$crate" && env -u CARGO_BUILD_TARGET -u CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_DIR="$crate/target" \
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes \
    cargo build --release --target $WASM -Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test) || return 1
  rm -rf "$built"
  mkdir -p "$built"
  find "$crate/target/$WASM/release/deps" -name '*.rlib' ! -name 'libempty_for_std*' -exec cp {} "$built/" \;
  touch "$built/complete"
  rm -rf "$crate"
}
