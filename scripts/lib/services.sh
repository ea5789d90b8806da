# shellcheck shell=bash
# Private PostgreSQL and Redis for one test run: free ports on loopback, a temporary
# folder, stopped by process id when the script ends, however it ends.

services_folder=
service_pids=()

# A file system in memory with room for the data of all tests: at least so many KiB.
memory_needed=$((6 * 1024 * 1024))
has_memory() {
  local free
  grep -q '^[^ ]* /dev/shm tmpfs ' /proc/mounts 2>/dev/null || return 1
  ! grep -q '^[^ ]* /dev/shm tmpfs [^ ]*noexec' /proc/mounts || return 1
  [ -w /dev/shm ] || return 1
  free=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
  [ "${free:-0}" -ge "$memory_needed" ] || return 1
  free=$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')
  [ "${free:-0}" -ge "$memory_needed" ]
}

start_services() {
  local place=${TMPDIR:-/tmp}
  # A disk that others share can be a hundred times slower from one minute to the next, and tests
  # kill processes, not the power. TMPDIR decides otherwise.
  if [ -z "${TMPDIR:-}" ] && has_memory; then place=/dev/shm; fi
  services_folder=$(mktemp -d "$place/signalbox-test.XXXXXX")
  chmod 755 "$services_folder"
  if [ "$place" = /dev/shm ]; then
    say "The data of the tests lie in memory, in $services_folder"
    mkdir "$services_folder/tmp"
    chmod 1777 "$services_folder/tmp"
    export TMPDIR=$services_folder/tmp
  fi
  trap stop_services EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  if [ -n "${SIGNALBOX_TEST_DATABASE_URL:-}" ]; then
    say "PostgreSQL: the one in SIGNALBOX_TEST_DATABASE_URL"
  else
    start_postgres
  fi
  if [ -n "${SIGNALBOX_TEST_REDIS_URL:-}" ]; then
    say "Redis: the one in SIGNALBOX_TEST_REDIS_URL"
  else
    start_redis
  fi
}

stop_services() {
  local pid
  for pid in "${service_pids[@]}"; do
    # PostgreSQL: fast shutdown. Redis: the same as Ctrl-C.
    kill -INT "$pid" 2>/dev/null || true
  done
  for pid in "${service_pids[@]}"; do
    wait "$pid" 2>/dev/null || true
  done
  service_pids=()
  [ -z "$services_folder" ] || rm -rf "$services_folder"
  services_folder=
}

# Something accepts connections on loopback port $1.
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port nobody listens on, below the range that outgoing connections take theirs from.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    listening "$port" || break
  done
  echo "$port"
}

# Waits until $2… succeeds, while process $1 lives, for at most 60 seconds.
wait_for() {
  local pid=$1 i
  shift
  for ((i = 0; i < 600; i++)); do
    kill -0 "$pid" 2>/dev/null || return 1
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  return 1
}

# Becomes $@ (call it in a subshell or in the background). PostgreSQL refuses to run
# as root: then it runs as the account its package made.
postgres_account() { if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi; }
without_root() {
  if [ "$(id -u)" != 0 ]; then exec "$@"; fi
  local account
  account=$(postgres_account)
  cd "$services_folder" || exit
  exec setpriv --reuid="$account" --regid="$(id -g "$account")" --clear-groups \
    env HOME="$services_folder" "$@"
}

start_postgres() {
  find_postgres || die "no PostgreSQL server programs found"
  local folder=$services_folder/postgres port pid try
  mkdir "$folder"
  if [ "$(id -u)" = 0 ]; then chown "$(postgres_account)" "$folder"; fi
  (without_root "$POSTGRES_BIN/initdb" -D "$folder/data" -U signalbox -A trust -E UTF8 --locale=C --no-sync) \
    >"$services_folder/initdb.log" 2>&1 || {
    cat "$services_folder/initdb.log" >&2
    die "initdb failed"
  }
  for try in 1 2 3; do
    port=$(free_port)
    # fsync stays on, as in production: some tests kill the server's clients and count rows.
    without_root "$POSTGRES_BIN/postgres" -D "$folder/data" -h 127.0.0.1 -p "$port" -k "$folder" \
      -c max_connections=300 >"$services_folder/postgres.log" 2>&1 &
    pid=$!
    if wait_for "$pid" "$POSTGRES_BIN/pg_isready" -q -h 127.0.0.1 -p "$port" -U signalbox; then
      service_pids+=("$pid")
      export SIGNALBOX_TEST_DATABASE_URL="postgres://signalbox@127.0.0.1:$port/postgres"
      say "PostgreSQL $(version_of "$POSTGRES_BIN/postgres" --version) on port $port"
      return 0
    fi
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    say "PostgreSQL did not start on port $port (try $try)"
  done
  tail -n 20 "$services_folder/postgres.log" >&2
  die "PostgreSQL did not start"
}

start_redis() {
  local folder=$services_folder/redis port pid try
  mkdir "$folder"
  for try in 1 2 3; do
    port=$(free_port)
    redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --save '' --appendonly no \
      >"$services_folder/redis.log" 2>&1 &
    pid=$!
    if wait_for "$pid" listening "$port"; then
      service_pids+=("$pid")
      export SIGNALBOX_TEST_REDIS_URL="redis://127.0.0.1:$port/"
      say "Redis $(redis-server --version | sed -n 's/.*v=\([0-9.]*\).*/\1/p') on port $port"
      return 0
    fi
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    say "Redis did not start on port $port (try $try)"
  done
  tail -n 20 "$services_folder/redis.log" >&2
  die "Redis did not start"
}

# What the tests find in their environment besides the addresses.
export_test_environment() {
  SIGNALBOX_BIN=${SIGNALBOX_BIN:-$(target_dir)/debug/signalbox}
  SIGNALBOX_CHROMIUM=${SIGNALBOX_CHROMIUM:-$(find_chromium)}
  SIGNALBOX_CHROMEDRIVER=${SIGNALBOX_CHROMEDRIVER:-$(find_chromedriver)}
  SIGNALBOX_AXE=${SIGNALBOX_AXE:-$(axe_script)}
  export SIGNALBOX_BIN SIGNALBOX_CHROMIUM SIGNALBOX_CHROMEDRIVER SIGNALBOX_AXE
  SIGNALBOX_TEST_PYTHON=${SIGNALBOX_TEST_PYTHON:-$(python_place)/bin/python}
  SIGNALBOX_TEST_TYPESCRIPT=${SIGNALBOX_TEST_TYPESCRIPT:-$(typescript_modules)}
  export SIGNALBOX_TEST_TYPESCRIPT
  SIGNALBOX_TEST_OIDC_PROVIDER=${SIGNALBOX_TEST_OIDC_PROVIDER:-$(oidc_provider_modules)}
  export SIGNALBOX_TEST_PYTHON SIGNALBOX_TEST_OIDC_PROVIDER
  export SIGNALBOX_TEST_REQUIRE_POSTGRES=1
  if [ -n "${POSTGRES_BIN:-}" ]; then export SIGNALBOX_TEST_POSTGRES_BIN=$POSTGRES_BIN; fi
}
