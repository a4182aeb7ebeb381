# Debian packages, for tools/demo.sh and tests/run.sh to source.
#
#     need PACKAGES...   installs those that are missing, as root or through sudo. Returns 1, having said on standard
#                        error what is missing, where they cannot be installed. UPCONV_NO_INSTALL=1: only looks.
#
# The variables are the lists themselves; each is a list of words.
# shellcheck shell=bash disable=SC2034

# To build everything and to use it: compiler, build system, libraries, headers.
UPCONV_BUILD_PACKAGES="gcc libc6-dev meson ninja-build pkg-config python3 libcjson-dev libpng-dev zlib1g-dev
    glslang-dev spirv-tools libvulkan-dev opencl-headers"
# Loaders and drivers: with them there is a Vulkan and an OpenCL device on every machine, if only the processor.
UPCONV_DRIVER_PACKAGES="libvulkan1 mesa-vulkan-drivers ocl-icd-libopencl1 pocl-opencl-icd"

upconv_missing() {
    local package
    for package in $(printf '%s\n' "$@" | awk '!seen[$0]++'); do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s ' "$package"
    done
}

# The words that make a command run as root: none for root itself; fails where there is no way.
upconv_as_root() {
    if [ "$(id -u)" = 0 ]; then
        echo env
    elif ! command -v sudo >/dev/null; then
        return 1
    elif sudo -n true 2>/dev/null || [ -t 0 ]; then
        echo sudo
    else
        return 1
    fi
}

need() {
    local missing root apt
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "This is no Debian: make sure yourself that there is what Debian calls: $*" >&2
        return 0
    fi
    missing=$(upconv_missing "$@")
    [ -n "$missing" ] || return 0
    if [ -n "${UPCONV_NO_INSTALL:-}" ]; then
        echo "Missing packages: $missing" >&2
        return 1
    fi
    if ! root=$(upconv_as_root); then
        printf '%s\n' "Missing packages, and this is not root, nor is there a sudo that works here. Root has to run:" \
            "    apt-get update && apt-get install --no-install-recommends $missing" >&2
        return 1
    fi
    echo "Installing $missing" >&2
    apt="$root env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get -qq"
    # An index that is older than a day may name versions that are gone.
    if [ -z "$(find /var/lib/apt/lists -name '*_Packages*' -mtime -1 -print -quit 2>/dev/null)" ]; then
        $apt update >&2 || echo "apt-get update failed; going on" >&2
    fi
    # shellcheck disable=SC2086
    $apt -y --no-install-recommends install $missing </dev/null >/dev/null || true
    missing=$(upconv_missing "$@")
    [ -z "$missing" ] || echo "These packages could not be installed: $missing" >&2
    [ -z "$missing" ]
}
