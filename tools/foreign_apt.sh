# Packages of another architecture, without installing any. Sourced, not run.
# shellcheck shell=bash
#
# Where this machine has Debian from.
apt_mirror() {
    cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
        sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\).*/\2/p' | head -n 1
}

# foreign_apt COMMAND ARGUMENTS...: an apt of its own for the architecture $debian_arch, in the folder $out/apt; for the release
# $suite where that is set, else for the machine's own. It reads the machine's sources and changes nothing of the machine.
foreign_apt() {
    local state=$out/apt/${suite:-own}/$debian_arch sources=$out/apt/${suite:-own}/sources
    mkdir -p "$state/lists/partial" "$state/archives/partial" "$sources"
    if [ -z "$(ls "$sources")" ]; then
        if [ -n "${suite:-}" ]; then
            printf '%s\n' "Types: deb deb-src" "URIs: $(apt_mirror)" "Suites: $suite" "Components: main" \
                "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg" >"$sources/debian.sources"
        elif [ -f /etc/apt/sources.list.d/debian.sources ]; then
            sed 's/^Types: *deb *$/Types: deb deb-src/' /etc/apt/sources.list.d/debian.sources >"$sources/debian.sources"
        else
            sed -n 's/^deb \(.*\)/deb \1\ndeb-src \1/p' /etc/apt/sources.list >"$sources/debian.list"
        fi
    fi
    "$@" -o "APT::Architecture=$debian_arch" -o "APT::Architectures=$debian_arch" -o "Dir::State::lists=$state/lists" \
        -o "Dir::State::status=/dev/null" -o "Dir::Cache=$state" -o "Dir::Etc::sourcelist=/dev/null" \
        -o "Dir::Etc::sourceparts=$sources" -o "APT::Sandbox::User=root" -o "Acquire::Languages=none"
}
