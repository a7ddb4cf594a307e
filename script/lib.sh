# shellcheck shell=sh
# Sourced by script/site and script/test: one virtual environment, .venv, for both.

checkout=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
venv=$checkout/.venv
pins=$checkout/pins.txt
stamp=$venv/.ready

stop() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

# setup PACKAGE...: make sure that .venv holds the packages, as pinned, and leads PATH.
setup() {
    if ! is_ready "$@"; then
        [ -w "$checkout" ] || stop "cannot write to $checkout; make a checkout of your own."
        [ -w "$venv" ] || [ ! -e "$venv" ] || stop "cannot write to $venv; remove it."
        (take_turn && { is_ready "$@" || install "$@"; }) 9>>"$pins" || exit 1
    fi
    export PATH="$venv/bin:$PATH"
    # Ansible insists on UTF-8, and stops at a locale that is not installed.
    [ "$(locale charmap 2>&1)" = UTF-8 ] || export LC_ALL=C.UTF-8
}

# The stamp, which is written last, holds the origin and below it the packages.
is_ready() {
    [ -r "$stamp" ] && [ -x "$venv/bin/python" ] || return 1
    { IFS= read -r made_of && IFS= read -r packages; } <"$stamp" || return 1
    [ "$made_of" = "$(origin)" ] || return 1
    for package; do
        case " $packages " in *" $package "*) ;; *) return 1 ;; esac
    done
}

# What .venv is made of: other pins, another Python or a checkout that was moved need a new one.
origin() {
    echo "$(cksum <"$pins") $(readlink -f -- "$venv/bin/python") $checkout"
}

# One set-up at a time. The lock is on the open pins.txt; the kernel frees it with its holder.
take_turn() {
    flock -n 9 && return
    echo "Waiting for another set-up of .venv to end ..." >&2
    flock 9
}

install() {
    find_python
    echo "Setting up .venv with $* (once) ..." >&2
    rm -f "$stamp"
    "$python" -m venv --clear "$venv" || stop "could not make $venv; the reason is above."
    # PIP_USER, where somebody has set it, would install beside the environment.
    PIP_USER=0 "$venv/bin/python" -m pip install -qq --disable-pip-version-check \
        --constraint "$pins" "$@" || stop "pip could not install $*; is a package index in reach?"
    printf '%s\n' "$(origin)" "$*" >"$stamp"
}

find_python() {
    without_venv=
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        "$python" -c 'import venv; from ensurepip import version' 2>/dev/null && return
        without_venv=${without_venv:-$python}
    done
    [ -z "$without_venv" ] || stop "$without_venv lacks its module venv; \
on Debian and Ubuntu: apt-get install $without_venv-venv"
    stop "needs Python 3.11 or newer; on Debian and Ubuntu: apt-get install python3-venv \
(on Ubuntu 22.04: python3.11-venv)"
}
