#!/usr/bin/env bash
# Fetches Debian packages into a folder of their own and unpacks them; nothing of the system is changed.
#
#   debian.sh FOLDER ARCHITECTURE "" PACKAGE…   of the system's own release, for that architecture, with what they need
#   debian.sh FOLDER "" SUITE PACKAGE…          of that suite (trixie), just these
#
# The files are then below FOLDER/root.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
folder=$1 architecture=$2 suite=$3
shift 3
mkdir -p "$folder"/{lists/partial,cache/archives/partial,root,parts}
: >"$folder/status"
options=(-o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1)
if [ -n "$suite" ]; then
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$' | head -n 1) ||
        { printf 'apt knows no mirror of Debian\n' >&2; exit 1; }
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
        "$uri" "$suite" >"$folder/parts/one.sources"
    options+=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$folder/parts")
    apt-get "${options[@]}" update -qq
    cd "$folder" && apt-get "${options[@]}" download -qq "$@"
    archives=("$folder"/*.deb)
else
    options+=(-o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" -o "Dir::State::status=$folder/status")
    apt-get "${options[@]}" update -qq
    apt-get "${options[@]}" install -y -qq --no-install-recommends --download-only "$@" >"$folder/apt.log"
    archives=("$folder"/cache/archives/*.deb)
fi
for package in "${archives[@]}"; do dpkg -x "$package" "$folder/root"; done
