#!/usr/bin/env bash
# Builds pg_decamp for the server that a pg_config belongs to, and installs it there.
#
#   install.sh [build|install] <path of pg_config>
set -euo pipefail
cd "$(dirname "$0")/.."

readonly action=$1 pg_config=$2

if [[ ! -x $pg_config ]]; then
    echo "install: $pg_config is not there: say which server with PG_CONFIG=/path/to/pg_config" >&2
    exit 1
fi
major=$("$pg_config" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
if ! grep -q "^pg$major = " Cargo.toml; then
    echo "install: $("$pg_config" --version) is not a server that pg_decamp can run on" >&2
    exit 1
fi

# cargo-pgrx wants a home with a list of servers; one per major, so that no build outdates another's
PGRX_HOME=$(realpath -m "${CARGO_TARGET_DIR:-target}/pgrx/$major")
export PGRX_HOME
mkdir -p "$PGRX_HOME"
wanted=$(printf '[configs]\npg%s = "%s"' "$major" "$pg_config")
[[ $(cat "$PGRX_HOME/config.toml" 2>/dev/null) == "$wanted" ]] || echo "$wanted" >"$PGRX_HOME/config.toml"

options=(--no-default-features --features "pg$major")
case $action in
build)
    export PGRX_PG_CONFIG_PATH=$pg_config
    exec cargo build --release --package pg_decamp "${options[@]}"
    ;;
install)
    library=$("$pg_config" --pkglibdir)/pg_decamp.so
    as_root=()
    [[ -w $("$pg_config" --pkglibdir) ]] || { options+=(--sudo); as_root=(sudo); }
    # built before the old library goes, so that it is away for a moment only
    cargo pgrx package --pg-config "$pg_config" --no-default-features --features "pg$major" >/dev/null
    # cargo-pgrx writes into the file that is there, and servers that run have it mapped: give them a file of their own
    "${as_root[@]}" rm -f "$library"
    exec cargo pgrx install --release --pg-config "$pg_config" "${options[@]}"
    ;;
*)
    echo "usage: $0 build|install <pg_config>" >&2
    exit 2
    ;;
esac
