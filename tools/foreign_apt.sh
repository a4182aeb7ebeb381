# Packages of another architecture, without installing any. Sourced, not run.
# shellcheck shell=bash
#
# foreign_apt COMMAND ARGUMENTS...: an apt of its own for the architecture $debian_arch, in the folder $out/apt. It reads the
# machine's sources and changes nothing of the machine.
foreign_apt() {
    local state=$out/apt/$debian_arch
    mkdir -p "$state/lists/partial" "$state/archives/partial" "$out/apt/sources"
    if [ -z "$(ls "$out/apt/sources")" ]; then
        if [ -f /etc/apt/sources.list.d/debian.sources ]; then
            sed 's/^Types: *deb *$/Types: deb deb-src/' /etc/apt/sources.list.d/debian.sources >"$out/apt/sources/debian.sources"
        else
            sed -n 's/^deb \(.*\)/deb \1\ndeb-src \1/p' /etc/apt/sources.list >"$out/apt/sources/debian.list"
        fi
    fi
    "$@" -o "APT::Architecture=$debian_arch" -o "APT::Architectures=$debian_arch" -o "Dir::State::lists=$state/lists" \
        -o "Dir::State::status=/dev/null" -o "Dir::Cache=$state" -o "Dir::Etc::sourcelist=/dev/null" \
        -o "Dir::Etc::sourceparts=$out/apt/sources" -o "APT::Sandbox::User=root" -o "Acquire::Languages=none"
}
