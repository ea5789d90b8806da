# shellcheck shell=bash
# What every script here shares: where things are, how to speak, how to stop.
# Sourced, never run. The caller has set `set -euo pipefail`.

# The repository, whatever folder the script was started from.
SIGNALBOX_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Tools and built parts that survive between runs and are shared by all clones.
SIGNALBOX_CACHE=${SIGNALBOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/signalbox}

started_at=$SECONDS

# One line of progress, with the minutes and seconds since the script began.
say() {
  local elapsed=$((SECONDS - started_at))
  printf '[%02d:%02d] %s\n' $((elapsed / 60)) $((elapsed % 60)) "$*"
}

warn() { printf 'warning: %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# True when version $1 is at least $2 (dotted numbers).
version_at_least() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# The first dotted number in what a program says of its version; empty when it says nothing.
version_of() { { "$@" 2>/dev/null || true; } | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1 || true; }

# The version of package $1 in the lock file.
locked_version() {
  awk -v name="$1" '
    $0 == "name = \"" name "\"" { found = 1; next }
    found { gsub(/version = |"/, ""); print; exit }
  ' "$SIGNALBOX_ROOT/Cargo.lock"
}

# The folder cargo builds into, as cargo itself sees it.
target_dir() {
  cargo metadata --manifest-path "$SIGNALBOX_ROOT/Cargo.toml" --format-version 1 --no-deps |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# A list of what is missing, gathered while checking and printed at once, so that
# a person mends everything in one go rather than one thing per start.
missing=()
need() { missing+=("$1"); }
stop_if_missing() {
  [ ${#missing[@]} -eq 0 ] && return 0
  printf '\nThis is missing:\n' >&2
  printf '  - %s\n' "${missing[@]}" >&2
  printf 'Install it and start again.\n' >&2
  exit 1
}

# Runs $2… as the only one of its kind on this machine (lock named $1).
exclusively() {
  local name=$1 lock
  shift
  mkdir -p "$SIGNALBOX_CACHE"
  if ! have flock; then
    "$@"
    return
  fi
  exec {lock}>"$SIGNALBOX_CACHE/$name.lock"
  if ! flock -n "$lock"; then
    say "Another setup is running; waiting for it."
    flock "$lock"
  fi
  local status=0
  "$@" {lock}>&- || status=$?
  exec {lock}>&-
  return "$status"
}
