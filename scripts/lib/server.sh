# shellcheck shell=bash
# Builds the server, makes its first workspace, starts it and waits until it answers.

build_server() {
  say "server: building (the first time takes some minutes)"
  (cd "$SIGNALBOX_ROOT" && cargo build --release --bin signalbox --locked) || return 1
  say "server: built"
}

# HTTP status of address $1; 000 when nothing answers. The certificate is this machine's
# own and may be signed by nobody.
http_status() { curl --silent --insecure --output /dev/null --max-time 2 --write-out '%{http_code}' "$1" || true; }

# Value of string $1 in the JSON on standard input (one whose values hold no quotes).
json_string() { tr -d '\n' | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p"; }

# The host and port a browser on this machine uses for listen address $1.
browser_address() {
  case $1 in
    127.0.0.1:* | 0.0.0.0:* | '[::]:'* | '[::1]:'*) echo "localhost:${1##*:}" ;;
    *) echo "$1" ;;
  esac
}

# Stops early, before minutes of building, when something has the port already.
check_port() {
  local url=$1
  case $(http_status "$url/livez") in
    000) return 0 ;;
    200) die "a Signalbox (or something like it) already answers at $url; stop it, or use --listen 127.0.0.1:PORT" ;;
    *) die "another program already answers at $url; use --listen 127.0.0.1:PORT" ;;
  esac
}

# Prints its arguments, one to a line, in a box.
box() {
  local width=0 line border
  for line in "$@"; do [ ${#line} -le "$width" ] || width=${#line}; done
  printf -v border '%*s' $((width + 2)) ''
  border=${border// /─}
  printf '\n┌%s┐\n' "$border"
  for line in "$@"; do printf '│ %-*s │\n' "$width" "$line"; done
  printf '└%s┘\n\n' "$border"
}
