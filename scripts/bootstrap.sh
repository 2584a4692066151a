#!/bin/sh
# Makes the virtual environment $1 and installs exactly what requirements.lock pins.
set -eu
venv=$1

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Florin needs Python 3.11 or newer; python3 is $(python3 --version)" >&2
    exit 1
}
if [ ! -x "$venv/bin/python" ]; then
    if ! python3 -m venv "$venv" 2>/dev/null; then
        # Debian keeps ensurepip in a package of its own.
        rm -rf "$venv"
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            echo "python3 has no venv module; installing python3-venv"
            apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
            python3 -m venv "$venv"
        else
            echo "python3 has no venv module: install python3-venv and try again" >&2
            exit 1
        fi
    fi
fi
echo "Installing dependencies into $venv ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
