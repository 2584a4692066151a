#!/bin/sh
# Makes sure that wrk, the HTTP load generator of the benchmark, is there.
set -eu
command -v wrk >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing wrk ..."
    apt-get update -qq && apt-get install -y -qq wrk >/dev/null
elif command -v brew >/dev/null; then
    brew install -q wrk
else
    echo "The benchmark needs wrk: install it (Debian: apt-get install wrk) and try again" >&2
    exit 1
fi
