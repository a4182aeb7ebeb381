# need PACKAGE...: installs those Debian packages that are missing, as root or through sudo. False, with a sentence that
# names them on standard error, when that cannot be done. Sourced by tools/demo.sh and tests/run.sh.

need() {
    local package missing=() as_root=()
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if ! command -v apt-get >/dev/null; then
        echo "missing, and this is no Debian or Ubuntu: ${missing[*]}" >&2
        return 1
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "missing, and there is neither root nor sudo to install them: ${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    echo "installing ${missing[*]}" >&2
    # the lists are fetched once a run: a second call finds them fresh
    if [ -z "${packages_listed:-}" ]; then
        "${as_root[@]}" apt-get update -qq >&2 || true
        packages_listed=yes
    fi
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2; then
        echo "could not install: ${missing[*]}" >&2
        return 1
    fi
}
