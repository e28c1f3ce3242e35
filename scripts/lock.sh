#!/usr/bin/env bash
# Regenerates the pinned requirements from the *.in files. No registry address is written.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

compile() {
    .venv/bin/uv pip compile --quiet --generate-hashes --no-annotate --no-header --no-emit-index-url \
        --no-emit-find-links --python-version 3.11 "${@:3}" "$1" -o "$2"
}
compile requirements.in requirements.txt "$@"
compile requirements-tracing.in requirements-tracing.txt "$@"
compile requirements-dev.in requirements-dev.txt "$@"
compile requirements-browser.in requirements-browser.txt "$@"
