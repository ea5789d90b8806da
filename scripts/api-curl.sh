#!/bin/sh
# Calls the API of a Signalbox with a bearer token that no process list shows.
set -eu

usage() {
  cat <<'USAGE'
usage: api-curl.sh METHOD PATH [curl options]

  SIGNALBOX_TOKEN=… scripts/api-curl.sh GET /api/v1/events
  scripts/api-curl.sh POST /api/v1/rules --json @rule.json

  METHOD   GET, POST, PUT, PATCH, DELETE, HEAD
  PATH     starts with a slash, with its query string if there is one

  SIGNALBOX_URL     where the server is (default http://127.0.0.1:8080)
  SIGNALBOX_TOKEN   the bearer token; without it the call is made without credentials

The answer's body goes to standard output. The exit code is curl's own, with
--fail-with-body: 22 when the server answered 400 or above (the problem document is
printed all the same), 7 when nothing answered. 2 means these arguments were wrong.
USAGE
}

case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
esac
if [ $# -lt 2 ]; then
  usage >&2
  exit 2
fi
method=$1
path=$2
shift 2

case $method in
  GET | POST | PUT | PATCH | DELETE | HEAD) ;;
  *)
    echo "api-curl.sh: METHOD is one of GET, POST, PUT, PATCH, DELETE, HEAD" >&2
    exit 2
    ;;
esac
case $path in
  /*) ;;
  *)
    echo "api-curl.sh: PATH starts with a slash" >&2
    exit 2
    ;;
esac
if [ "$method" = HEAD ]; then
  set -- --head "$@"
else
  set -- --request "$method" "$@"
fi

url=${SIGNALBOX_URL:-http://127.0.0.1:8080}
url=${url%/}$path

if [ -z "${SIGNALBOX_TOKEN:-}" ]; then
  exec curl --silent --show-error --fail-with-body --globoff "$@" "$url"
fi
case $SIGNALBOX_TOKEN in
  *[!A-Za-z0-9._~+/=-]*)
    echo "api-curl.sh: SIGNALBOX_TOKEN holds a character that no bearer token has" >&2
    exit 2
    ;;
esac

# The header lies in a file only this user can read, for as long as the call takes.
umask 077
header=$(mktemp "${TMPDIR:-/tmp}/signalbox-header.XXXXXX")
trap 'rm -f "$header"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
printf 'Authorization: Bearer %s\n' "$SIGNALBOX_TOKEN" >"$header"
# Neither curl nor what it starts needs the token in its environment.
unset SIGNALBOX_TOKEN

status=0
curl --silent --show-error --fail-with-body --globoff --header "@$header" "$@" "$url" || status=$?
exit "$status"
