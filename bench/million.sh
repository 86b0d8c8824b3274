#!/bin/sh
# A million connections on one machine, generator included; see million.ts. Takes the flags of that.
cd "$(dirname "$0")/.." || exit 1
ulimit -n "$(ulimit -Hn)"
exec node_modules/.bin/bun bench/million.ts "$@"
