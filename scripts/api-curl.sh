#!/bin/sh
# Calls the API of a Signalbox: signed, or with a bearer token, and no process list shows either.
set -eu
LC_ALL=C
export LC_ALL

usage() {
  cat <<'USAGE'
usage: api-curl.sh [--dry-run] METHOD PATH [curl options]

  scripts/api-curl.sh GET '/api/v1/events?limit=5'
  scripts/api-curl.sh POST /api/v1/rules -d @rule.json
  jq .spec rule.json | scripts/api-curl.sh POST /api/v1/rules/explain -d @-

  METHOD   GET, POST, PUT, PATCH, DELETE, HEAD
  PATH     starts with a slash, with its query string if there is one, both as they go over
           the wire (a blank is %20)
  -d BODY  the body, byte for byte: a text, @FILE, or @- for standard input. Several are joined
           by &. It is sent as application/json unless -H says another Content-Type; --data,
           --data-raw (where @ is a letter), --data-binary and --json mean the same.

  SIGNALBOX_URL          where the server is (default http://127.0.0.1:8080)
  SIGNALBOX_CLIENT_ID    client id of an HMAC credential: the call is signed
  SIGNALBOX_SECRET       its secret, or
  SIGNALBOX_SECRET_FILE  a file that holds it
  SIGNALBOX_TOKEN        a bearer token, used when there is no client id; without either the
                         call is made without credentials

  --dry-run  sends nothing: prints the text that is signed, and its headers to standard error.
             SIGNALBOX_TIMESTAMP and SIGNALBOX_NONCE then fix what is else made anew.

The answer's body goes to standard output. The exit code is curl's own, with
--fail-with-body: 22 when the server answered 400 or above (the problem document is
printed all the same), 7 when nothing answered. 2 means these arguments were wrong.
USAGE
}

wrong() {
  printf 'api-curl.sh: %s\n' "$1" >&2
  exit 2
}

case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
esac
dry=
if [ "${1:-}" = --dry-run ]; then
  dry=yes
  shift
fi
if [ $# -lt 2 ]; then
  usage >&2
  exit 2
fi
method=$1
path=$2
shift 2

case $method in
  GET | POST | PUT | PATCH | DELETE | HEAD) ;;
  *) wrong 'METHOD is one of GET, POST, PUT, PATCH, DELETE, HEAD' ;;
esac
case $path in
  *[!!-~]* | *'#'*) wrong 'PATH is as it goes over the wire: write a blank or a letter beyond ASCII as %XX' ;;
  /*) ;;
  *) wrong 'PATH starts with a slash' ;;
esac

# Everything that is no business of others lies in a folder of this user, for as long as it takes.
umask 077
work=$(mktemp -d "${TMPDIR:-/tmp}/signalbox-call.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

body=
typed=
signing=${SIGNALBOX_CLIENT_ID:+yes}

# Adds a part to the body: TEXT, @FILE or @-.
add_body() {
  if [ -n "$body" ] && [ "$2" != json ]; then
    printf '&' >>"$work/body"
  fi
  body=yes
  case $2:$1 in
    raw:*) printf '%s' "$1" >>"$work/body" ;;
    *:@-) cat >>"$work/body" ;;
    *:@*) cat -- "${1#@}" >>"$work/body" || wrong 'the file of the body cannot be read' ;;
    *) printf '%s' "$1" >>"$work/body" ;;
  esac
}

see_header() {
  case $1 in
    [Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[Tt][Yy][Pp][Ee]:*) typed=yes ;;
  esac
}

# Takes the body out of curl's options; what is left is handed on in its order.
left=$#
while [ "$left" -gt 0 ]; do
  option=$1
  shift
  left=$((left - 1))
  kind=
  case $option in
    -d | --data | --data-ascii | --data-binary) kind=data ;;
    --data-raw) kind=raw ;;
    --json) kind=json ;;
    -d?*)
      add_body "${option#-d}" data
      continue
      ;;
    --dry-run)
      dry=yes
      continue
      ;;
    -H | --header)
      [ "$left" -gt 0 ] || wrong "$option needs a value"
      see_header "$1"
      set -- "$@" "$option" "$1"
      shift
      left=$((left - 1))
      continue
      ;;
    -H?*) see_header "${option#-H}" ;;
    --data-urlencode | --url-query | -F* | --form | --form-string | -T* | --upload-file | -G | --get | -X* | --request | --next | -: | --url)
      [ -z "$signing" ] || wrong "$option cannot be signed; hand the body over with -d, and all else with METHOD and PATH"
      ;;
  esac
  if [ -n "$kind" ]; then
    [ "$left" -gt 0 ] || wrong "$option needs a value"
    add_body "$1" "$kind"
    shift
    left=$((left - 1))
    continue
  fi
  set -- "$@" "$option"
done

if [ -n "$body" ]; then
  [ -n "$typed" ] || set -- --header 'Content-Type: application/json' "$@"
  set -- --data-binary "@$work/body" "$@"
else
  : >"$work/body"
fi
if [ "$method" = HEAD ]; then
  set -- --head "$@"
else
  set -- --request "$method" "$@"
fi

url=${SIGNALBOX_URL:-http://127.0.0.1:8080}
case $url in
  http://* | https://*) ;;
  *) url=http://$url ;;
esac
url=${url%/}$path

# HMAC-SHA256 of standard input, in lower-case hexadecimal digits. openssl takes a key only as an
# argument, which every user of the machine could read; so the two rounds are made here, and the
# key goes through the shell's own printf.
hmac() {
  key=$(printf '%s' "$1" | od -An -v -tu1)
  # shellcheck disable=SC2086 # words are wanted
  set -- $key
  if [ $# -gt 64 ]; then
    # shellcheck disable=SC2046 # words are wanted
    set -- $(printf '%s' "$secret" | openssl dgst -sha256 -binary | od -An -v -tu1)
  fi
  inner='' outer='' n=0
  while [ "$n" -lt 64 ]; do
    byte=0
    if [ $# -gt 0 ]; then
      byte=$1
      shift
    fi
    inner=$inner$(octal $((byte ^ 54)))
    outer=$outer$(octal $((byte ^ 92)))
    n=$((n + 1))
  done
  {
    # shellcheck disable=SC2059 # the bytes are the format
    printf "$inner"
    cat
  } | openssl dgst -sha256 -binary >"$work/inner"
  {
    # shellcheck disable=SC2059 # the bytes are the format
    printf "$outer"
    cat "$work/inner"
  } | openssl dgst -sha256 -r | cut -d' ' -f1
}

octal() {
  printf '\\%03o' "$1"
}

if [ -n "$signing" ]; then
  client=$SIGNALBOX_CLIENT_ID
  if [ -n "${SIGNALBOX_SECRET:-}" ]; then
    secret=$SIGNALBOX_SECRET
  elif [ -n "${SIGNALBOX_SECRET_FILE:-}" ]; then
    secret=$(cat -- "$SIGNALBOX_SECRET_FILE") || wrong 'SIGNALBOX_SECRET_FILE cannot be read'
  else
    wrong 'SIGNALBOX_CLIENT_ID needs SIGNALBOX_SECRET or SIGNALBOX_SECRET_FILE'
  fi
  [ -n "$secret" ] || wrong 'the secret is empty'
  case $client in
    *[!A-Za-z0-9_-]*) wrong 'SIGNALBOX_CLIENT_ID holds a character that no client id has' ;;
  esac
  # Nothing that is started from here needs them in its environment.
  unset SIGNALBOX_SECRET SIGNALBOX_SECRET_FILE SIGNALBOX_TOKEN
  # What goes over the wire: the address without scheme and host.
  target=/${url#*://*/}
  query=
  case $target in
    *\?*) query=${target#*\?} ;;
  esac
  time=$(date +%s)
  nonce=$(openssl rand -hex 16)
  if [ -n "$dry" ]; then
    time=${SIGNALBOX_TIMESTAMP:-$time}
    nonce=${SIGNALBOX_NONCE:-$nonce}
  fi
  hash=$(openssl dgst -sha256 -r <"$work/body" | cut -d' ' -f1)
  printf 'SB1-HMAC-SHA256\n%s\n%s\n%s\n%s\n%s\n%s\n%s' \
    "$client" "$method" "${target%%\?*}" "$query" "$time" "$nonce" "$hash" >"$work/text"
  signature=$(hmac "$secret" <"$work/text")
  printf 'X-Client-Id: %s\nX-Timestamp: %s\nX-Nonce: %s\nX-Signature: v1=%s\n' \
    "$client" "$time" "$nonce" "$signature" >"$work/headers"
  if [ -n "$dry" ]; then
    cat "$work/text"
    [ ! -t 1 ] || echo
    cat "$work/headers" >&2
    exit 0
  fi
  set -- --header "@$work/headers" "$@"
elif [ -n "$dry" ]; then
  wrong '--dry-run shows what is signed: set SIGNALBOX_CLIENT_ID and its secret'
elif [ -n "${SIGNALBOX_TOKEN:-}" ]; then
  case $SIGNALBOX_TOKEN in
    *[!A-Za-z0-9._~+/=-]*) wrong 'SIGNALBOX_TOKEN holds a character that no bearer token has' ;;
  esac
  printf 'Authorization: Bearer %s\n' "$SIGNALBOX_TOKEN" >"$work/headers"
  unset SIGNALBOX_TOKEN
  set -- --header "@$work/headers" "$@"
fi

status=0
curl --silent --show-error --fail-with-body --globoff --path-as-is "$@" "$url" || status=$?
exit "$status"
