# shellcheck shell=bash disable=SC2034
# The versions of the tools. wasm-bindgen has none here: the command must equal the
# library in Cargo.lock, so it is read from there.

TRUNK_VERSION=0.21.14
# Debian's own binaryen makes modules that fail at start; this one does not.
BINARYEN_VERSION=132.0.0
AXE_VERSION=4.14.1
OPENAPI_TYPESCRIPT_VERSION=7.13.0
OPENAPI_FETCH_VERSION=0.17.0
# The generator does not know the next major one.
TYPESCRIPT_VERSION=5.9.3
# The provider of the tests of single sign-on.
OIDC_PROVIDER_VERSION=9.13.3
NEXTEST_VERSION=0.9.143
NEXTEST_MINIMUM=0.9.100
DENY_VERSION=0.20.2
DENY_MINIMUM=0.18.0
