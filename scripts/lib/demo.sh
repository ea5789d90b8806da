# shellcheck shell=bash disable=SC2154
# The first start, the demo and the words around them, for `scripts/run`, whose
# variables (signalbox, server, places, url, data, credentials) it uses.

DEMO_FOLDER=$SIGNALBOX_ROOT/deploy/demo

# Creates the first workspace and admin, unless there is one. What it prints once is
# kept in a temporary file until the server answers, and shown then.
first_start() {
  "$signalbox" bootstrap "${places[@]}" --json --if-needed >"$credentials" 2>"$credentials.said" || {
    cat "$credentials.said" >&2
    die "the first workspace could not be created"
  }
  if [ -s "$credentials" ]; then say "first start: workspace and admin created"; fi
}

load_demo() {
  say "demo: applying deploy/demo/signalbox.yaml"
  "$signalbox" apply -f "$DEMO_FOLDER/signalbox.yaml" "${places[@]}" || die "the demo's file could not be applied"
}

wait_until_ready() {
  local i status
  for ((i = 0; i < 300; i++)); do
    if ! kill -0 "$server" 2>/dev/null; then
      status=0
      wait "$server" || status=$?
      server=
      warn "the server stopped while starting (status $status); what it said is above"
      exit $((status > 0 ? status : 1))
    fi
    if [ "$(http_status "$url/readyz")" = 200 ]; then return 0; fi
    sleep 0.1
  done
  die "the server did not become ready within 30 seconds"
}

# Sends deploy/demo/alerts/SLUG/*.json to /hooks/SLUG, in the order of their names.
send_demo() {
  local file slug status sent=0
  for file in "$DEMO_FOLDER"/alerts/*/*.json; do
    slug=$(basename "$(dirname "$file")")
    status=$(curl --silent --insecure --output /dev/null --max-time 10 --write-out '%{http_code}' \
      --header 'Content-Type: application/json' --data-binary "@$file" "$url/hooks/$slug") || true
    if [ "$status" = 202 ]; then
      sent=$((sent + 1))
    else
      warn "demo: $(basename "$file") was answered with $status"
    fi
  done
  say "demo: $sent alerts sent"
}

# Puts what the first start printed into the lines `taken`, and forgets it.
taken=()
take_credentials() {
  taken=("  e-mail    $(json_string email <"$credentials")"
    "  password  $(json_string password <"$credentials")"
    ""
    "  API token, for calls from this machine:"
    "  $(json_string token <"$credentials")"
    ""
    "Neither is shown again. A new one: signalbox users reset-password.")
  : >"$credentials"
}

welcome() {
  local lines=("Signalbox is ready" "" "  open      $url")
  if [ -s "$credentials" ]; then
    take_credentials
    lines+=("${taken[@]}")
  else
    lines+=("" "Sign in as before. A forgotten password is reset by"
      "signalbox users reset-password admin@localhost")
  fi
  lines+=("Ctrl-C stops it; the data is in $data")
  box "${lines[@]}"
}
