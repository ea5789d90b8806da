# shellcheck shell=bash
# Programs that come from the system's packages (Debian and Ubuntu).

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

can_install_packages() {
  have apt-get || return 1
  [ "$(id -u)" = 0 ] && return 0
  have sudo || return 1
  [ -t 0 ] || sudo -n true 2>/dev/null
}

# While packages install, no service may start: this machine's own say (policy-rc.d)
# is set to "no" and taken away again. One that is already there is left alone.
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK='# written by signalbox scripts/setup, safe to remove'
forbid_services() {
  if [ -e "$POLICY" ] && ! grep -qF "$POLICY_MARK" "$POLICY"; then return 0; fi
  # shellcheck disable=SC2016
  as_root sh -c 'printf "%s\n" "#!/bin/sh" "$2" "exit 101" >"$1" && chmod 755 "$1"' sh "$POLICY" "$POLICY_MARK"
}
allow_services() {
  if [ -e "$POLICY" ] && grep -qF "$POLICY_MARK" "$POLICY"; then as_root rm -f "$POLICY"; fi
}

# Installs packages; servers among them are neither started now nor at the next boot,
# unless they were on this machine before.
install_packages() {
  local new=() name
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || new+=("$name")
  done
  [ ${#new[@]} -gt 0 ] || return 0
  say "installing packages: ${new[*]}"
  mkdir -p "$SIGNALBOX_CACHE/logs"
  local log=$SIGNALBOX_CACHE/logs/apt.log status=0
  forbid_services
  trap allow_services EXIT
  {
    # A list of somebody else's that cannot be fetched is no reason to stop.
    as_root apt-get -o DPkg::Lock::Timeout=300 update -q || true
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -o DPkg::Lock::Timeout=300 \
      install -q -y --no-install-recommends "${new[@]}"
  } >"$log" 2>&1 </dev/null || status=1
  allow_services
  trap - EXIT
  if [ $status -ne 0 ]; then
    tail -n 5 "$log" >&2
    return 1
  fi
  for name in "${new[@]}"; do
    case $name in
      postgresql | redis-server | prometheus | prometheus-node-exporter) keep_from_boot "${name}" ;;
    esac
  done
}

keep_from_boot() {
  if have systemctl; then
    as_root systemctl disable "$1" >/dev/null 2>&1 || true
  elif have update-rc.d; then
    as_root update-rc.d "$1" disable >/dev/null 2>&1 || true
  fi
}

# Collects what is missing as PROGRAM PACKAGE… pairs; `get_packages` installs all at once.
wanted=()
want() {
  local program=$1
  shift
  have "$program" || wanted+=("$@")
}

get_packages() {
  [ ${#wanted[@]} -gt 0 ] || return 0
  if can_install_packages && install_packages "${wanted[@]}"; then
    wanted=()
    return 0
  fi
  return 1
}

# What the builds need besides Rust.
build_packages() {
  want cc gcc libc6-dev
  want curl curl ca-certificates
  want xz xz-utils
  get_packages || true
  have cc || need "a C compiler (package gcc with libc6-dev)"
  have curl || need "curl"
  wanted=()
  # Only for wasm-opt, which the console can do without.
  want npm nodejs npm
  get_packages || true
  wanted=()
}

POSTGRES_BIN=
# The newest PostgreSQL server on this machine, wherever the distribution put it.
find_postgres() {
  local place
  POSTGRES_BIN=
  for place in $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -rV); do
    if [ -x "$place/initdb" ] && [ -x "$place/postgres" ]; then
      POSTGRES_BIN=$place
      return 0
    fi
  done
  have initdb && have postgres && POSTGRES_BIN=$(dirname "$(readlink -f "$(command -v initdb)")")
  [ -n "$POSTGRES_BIN" ]
}

# The browser and its driver, under any of their names.
find_chromium() {
  command -v chromium || command -v chromium-browser || command -v google-chrome || true
}
find_chromedriver() {
  if have chromedriver; then
    command -v chromedriver
    return 0
  fi
  local place
  for place in "${CHROMEWEBDRIVER:-/usr/lib/chromium-browser}" /usr/lib/chromium; do
    if [ -x "$place/chromedriver" ]; then
      echo "$place/chromedriver"
      return 0
    fi
  done
}

# What the tests need.
test_packages() {
  [ -n "${SIGNALBOX_TEST_DATABASE_URL:-}" ] || find_postgres || wanted+=(postgresql)
  [ -n "${SIGNALBOX_TEST_REDIS_URL:-}" ] || want redis-server redis-server
  want shellcheck shellcheck
  want dash dash
  want jq jq
  # promtool, which checks the alert rules.
  want promtool prometheus
  want python3 python3
  # Debian packs the module that fills a new environment apart.
  python3 -c 'import ensurepip' 2>/dev/null || wanted+=(python3-venv)
  get_packages || true
  wanted=()
  # Apart from the rest, since some releases have no such package, or only a snap.
  [ -n "$(find_chromium)" ] || wanted+=(chromium)
  [ -n "$(find_chromedriver)" ] || wanted+=(chromium-driver)
  get_packages || true
  wanted=()
  if [ -z "${SIGNALBOX_TEST_DATABASE_URL:-}" ]; then
    find_postgres || need "PostgreSQL server programs (package postgresql; or SIGNALBOX_TEST_DATABASE_URL)"
  fi
  if [ -z "${SIGNALBOX_TEST_REDIS_URL:-}" ]; then
    have redis-server || need "redis-server (package redis-server; or SIGNALBOX_TEST_REDIS_URL)"
  fi
  [ -n "$(find_chromium)" ] || need "Chromium (package chromium)"
  [ -n "$(find_chromedriver)" ] || need "ChromeDriver (package chromium-driver)"
  local program
  for program in shellcheck dash jq promtool python3 node npm; do
    have "$program" || need "$program"
  done
}
