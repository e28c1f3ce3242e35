#!/usr/bin/env bash
# Makes .venv agree with requirements-dev.txt; instant when nothing has changed.
# What the machine lacks is named with the command that installs it on Debian.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A distribution builds its Python with profile-guided optimisation; one compiled by pyenv or by hand without it takes
# a sixth more CPU for a submission (docs/decisions/0012). So the distribution's is taken where it will do.
usable='import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))'
python="${PYTHON:-}"
if [[ -z $python ]]; then
    python=python3
    if [[ -x /usr/bin/python3 ]] && /usr/bin/python3 -c "$usable" 2>/dev/null; then
        python=/usr/bin/python3
    fi
fi
venv=.venv
stamp=$venv/.stamp

missing() {
    printf '%s\n  (%s)\n' "$1" "$2" >&2
    exit 3
}

if ! command -v "$python" >/dev/null 2>&1; then
    missing "Thiếu Python 3.11. Cài: sudo apt-get install python3 python3-venv" \
        "Python 3.11 or later is missing: sudo apt-get install python3 python3-venv"
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    missing "$("$python" --version) quá cũ; cần 3.11 trở lên (đặt PYTHON=/đường/dẫn/python3.11)." \
        "$("$python" --version) is too old; 3.11 or later is needed (set PYTHON=/path/to/python3.11)"
fi

which_build='import sys; print(sys.base_prefix, sys.version.split()[0])'
build="$("$python" -c "$which_build")"
wanted="$(cat requirements-uv.txt requirements-dev.txt | sha256sum | cut -d' ' -f1) $build byte code"
if [[ -x $venv/bin/python && -f $stamp && "$(cat "$stamp")" == "$wanted" ]]; then
    exit 0
fi

if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    missing "Thiếu python3-venv. Cài: sudo apt-get install python3-venv" \
        "python3-venv is missing: sudo apt-get install python3-venv"
fi
if [[ "$($venv/bin/python -c "$which_build; import pip" 2>/dev/null)" != "$build" ]]; then
    echo "Tạo môi trường Python / creating $venv"
    rm -rf $venv
    "$python" -m venv $venv
fi
rm -f "$stamp"
echo "Cài uv / installing uv"
$venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
echo "Cài các gói đã ghim / installing the pinned packages"
# the system's authorities: behind a proxy that opens TLS, uv's own would trust nobody
# Byte code is written here, once: a service that finds none compiles every package at each start, two seconds of CPU.
UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}" VIRTUAL_ENV="$PWD/$venv" \
    $venv/bin/uv pip sync --quiet --compile-bytecode --require-hashes requirements-dev.txt
printf '%s\n' "$wanted" >"$stamp"
echo "Xong / done"
