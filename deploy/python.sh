# Finding Python and making virtual environments, for demo.sh, test.sh and install.sh. POSIX sh; sourced, never run.

ours="ichnode's deploy/install.sh" # what the command that we put on the PATH says of itself

say() { printf '%s\n' "$@" >&2; }
fail() { say "$*"; exit 1; }

is_good_python() { # PROGRAM: Python 3.11 or newer that can make virtual environments
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() { # prints the interpreter to use: $PYTHON, or the first good one
    for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
        if is_good_python "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

need_python() { # prints the interpreter to use; as root on Debian it installs one where there is none
    if find_python; then return; fi
    [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is no Python >= 3.11 with venv and ensurepip."
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Installing Debian's python3 and python3-venv ..."
        apt_install python3 python3-venv
        if find_python; then return; fi
    fi
    fail "Python >= 3.11 with venv is needed. On Debian 12: sudo apt-get install python3 python3-venv"
}

apt_install() { # PACKAGE...
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "$@"; } \
        >/dev/null || fail "apt-get could not install: $*"
}

source_id() { # FOLDER: changes whenever anything that pip would install changes
    (cd "$1" && find pyproject.toml deploy/constraints.txt deploy/locked*.txt ichnode -type f ! -name '*.pyc' -print |
        LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)
}

make_venv() { # FOLDER CHECKOUT [test]: ichnode in a virtual environment; quick when nothing has changed since
    venv=$1 checkout=$2 purpose=${3:-}
    python=$(need_python)
    stamp="$("$python" -c 'import sys; print(sys.executable, sys.version)') $purpose $(source_id "$checkout")"
    if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/ichnode.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
    say "Installing ichnode and its libraries into $venv (some minutes the first time) ..."
    rm -f "$venv/ichnode.stamp"
    # a venv whose Python went away with an upgrade of the system is made anew
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
    set -- --requirement "$checkout/deploy/locked.txt"
    [ "$purpose" != test ] || set -- "$@" --requirement "$checkout/deploy/locked-test.txt"
    pip_install "$venv" --require-hashes --no-deps "$@"
    pip_install "$venv" --constraint "$checkout/deploy/constraints.txt" torch # with the libraries that its build needs
    if [ "$purpose" = test ]; then
        pip_install "$venv" --no-deps --no-build-isolation --editable "$checkout"
    else
        # from a copy: setuptools leaves a folder "build" where it builds, and takes stale files from it the next time
        rm -rf "$venv/source"
        mkdir "$venv/source"
        (cd "$checkout" && cp -R pyproject.toml README.md LICENSE ichnode "$venv/source")
        pip_install "$venv" --no-deps --no-build-isolation "$venv/source"
        rm -rf "$venv/source"
    fi
    lacking=$("$venv/bin/python" -m pip --disable-pip-version-check check) ||
        fail "deploy/locked.txt does not fit pyproject.toml: $lacking"
    printf '%s\n' "$stamp" >"$venv/ichnode.stamp"
}

pip_install() { # VENV ARGUMENT...
    venv_python=$1/bin/python
    shift
    "$venv_python" -m pip install -qq --disable-pip-version-check "$@" || fail "pip could not install $* (see above)."
}
