#!/bin/sh
# Builds the host and the maintained filters, starts two origins and the gateway in front of them, on loopback.
# Ctrl-C ends all of it. Ports can be changed by EDGEWIT_PORT, EDGEWIT_ADMIN_PORT, EDGEWIT_ORIGIN_PORT, EDGEWIT_NEXT_PORT.
set -eu
cd "$(dirname "$0")/../.."

: "${EDGEWIT_ORIGIN_PORT:=9101}" "${EDGEWIT_NEXT_PORT:=9102}"
export EDGEWIT_ORIGIN_PORT EDGEWIT_NEXT_PORT

# A fresh rustup brings the target by itself (rust-toolchain.toml); one that was told not to does not.
if command -v rustup >/dev/null 2>&1; then rustup target add wasm32-wasip2 2>/dev/null || true; fi

profile=${EDGEWIT_PROFILE:-release}
case $profile in dev) folder=debug ;; *) folder=$profile ;; esac
target=${CARGO_TARGET_DIR:-target}
cargo build --profile "$profile" -p edgewit
edgewit=$target/$folder/edgewit

for plugin in plugins/*/; do
  # Their manifests say where cargo puts them if nobody says otherwise.
  (unset CARGO_TARGET_DIR && "$edgewit" plugin build --dir "$plugin")
  cp "$plugin"/*.wasm plugins/
done

"$edgewit" echo --name stable --listen "127.0.0.1:$EDGEWIT_ORIGIN_PORT" --fail-rate 0.2 & stable=$!
"$edgewit" echo --name next --listen "127.0.0.1:$EDGEWIT_NEXT_PORT" --delay 20ms & next=$!
trap 'kill $stable $next 2>/dev/null' EXIT INT TERM
"$edgewit" run -c examples/gateway/edgewit.toml
