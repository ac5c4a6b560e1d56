#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and tests on other Debians, each a system of its own in a folder; needs root. The last
# line is the number of platforms: "N passed, N failed".
#
#   ./tests/portability.sh [PLATFORM...]    default: bookworm bookworm-clang16 trixie sid
#
# PLATFORM is a suite of Debian, compiled by its g++, or by clang N with -clangN behind it.
# Systems with their packages, builds and ccache stay in ~/.cache/gossamer/portability, or where
# GOSSAMER_PORTABILITY says: 4 GB a suite, to be deleted at any time. GOSSAMER_DATA is shown inside.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup.sh"
trap 'exit 130' INT TERM
exec </dev/null

home=${GOSSAMER_PORTABILITY:-$HOME/.cache/gossamer/portability}

# in_system SYSTEM COMMAND...: its mounts are seen by the command alone and end with it.
in_system() {
  unshare --mount bash -euc '
    system=$1
    shift
    mount -t proc proc "$system/proc"
    mount --rbind /dev "$system/dev"
    mount --rbind /sys "$system/sys"
    if [[ -n ${GOSSAMER_DATA-} ]]; then
      mkdir -p "$system/data"
      mount --bind "$GOSSAMER_DATA" "$system/data"
    fi
    exec chroot "$system" env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      ${GOSSAMER_DATA:+GOSSAMER_DATA=/data} ${http_proxy:+http_proxy="$http_proxy"} \
      ${https_proxy:+https_proxy="$https_proxy"} "$@"' in_system "$@"
}

# The archive that this machine installs from, where it is a Debian.
mirror() { apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m 1 '/debian/$'; }

# make_system SUITE: the system's folder with the newest packages, installed at the first call.
make_system() {
  local suite=$1 system=$home/$1 new=$home/$1.new
  if [[ ! -d $system ]]; then
    rm -rf "$new"
    unshare --mount debootstrap --variant=minbase --include=ca-certificates \
      "$suite" "$new" $(mirror) || return
    mv "$new" "$system"
  fi
  # How this machine reaches the network: name server, proxy, certificates.
  cp -L /etc/resolv.conf "$system/etc/"
  apt-config dump Acquire 2>/dev/null | grep -v IndexTargets >"$system/etc/apt/apt.conf.d/99host"
  cp -rL /usr/local/share/ca-certificates "$system/usr/local/share/" 2>/dev/null
  in_system "$system" update-ca-certificates &&
    in_system "$system" apt-get -qq -o Acquire::Retries=3 update &&
    in_system "$system" apt-get -qq -y full-upgrade
}

# copy_project FOLDER: all files of the working tree that git does not ignore; keeps FOLDER/build.
# What differs from the last copy is new as of now, however old it is here, so that ninja sees it.
copy_project() {
  local file new=$1.new
  rm -rf "$new"
  mkdir -p "$1/build" "$new"
  git -C "$root" ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do
      [[ ! -e $root/$file ]] || printf '%s\0' "$file"
    done | tar -C "$root" --null -T - -c | tar -C "$new" --touch -x
  (cd "$new" && find . -type f -print0) |
    while IFS= read -r -d '' file; do
      ! cmp -s "$new/$file" "$1/$file" || touch -r "$1/$file" "$new/$file"
    done
  mv "$1/build" "$new/" && rm -rf "$1" && mv "$new" "$1"
}

packages() { in_system "$1" dpkg-query -W; }

# run_platform SUITE FOLDER CXX PACKAGE...: the tests, with the packages that CXX is in.
run_platform() {
  local suite=$1 folder=/root/$2 cxx=$3 system=$home/$1 status=0
  shift 3
  make_system "$suite" || return
  in_system "$system" apt-get -qq -y --no-install-recommends install "$@" || return
  copy_project "$system$folder" || return
  # Headers of a new package may be older than what is built, which ninja would then keep.
  packages "$system" | cmp -s - "$system$folder/build/packages" ||
    rm -rf "$system$folder/build/release"
  in_system "$system" CXX="$cxx" "$folder/tests/run.sh" || status=$?
  packages "$system" >"$system$folder/build/packages"
  return "$status"
}

[[ ${1-} != -h && ${1-} != --help ]] || { sed -n '3,/^set/s/^# \{0,1\}//p' "$0"; exit; }
((EUID == 0)) || die "tests/portability.sh makes systems in folders and must run as root."
command -v debootstrap >/dev/null || (need_packages debootstrap debian-archive-keyring) ||
  die "tests/portability.sh needs debootstrap, which is missing and could not be installed."
(($#)) || set -- bookworm bookworm-clang16 trixie sid
for platform; do
  [[ $platform =~ ^[a-z]+(-clang[0-9]+)?$ ]] ||
    die "A platform is SUITE or SUITE-clangN, such as bookworm-clang16; got '$platform'."
done
mkdir -p "$home"
exec {lock}>"$home/lock"
flock --nonblock "$lock" || die "Another tests/portability.sh is using $home."

passed=0 failed=0
table=$(printf '%-17s %-18s %-15s %-21s %-7s %s' \
  platform compiler LibTorch tests result seconds)
for platform; do
  suite=${platform%%-*} system=$home/$suite log=$home/$platform.log start=$SECONDS
  cxx=g++ package=g++ result=passed tests=none
  if [[ $platform == *-clang* ]]; then
    package=clang-${platform##*-clang} cxx=clang++-${platform##*-clang}
  fi
  printf '\n==> %s, log in %s\n' "$platform" "$log"
  run_platform "$suite" "$platform" "$cxx" "$package" 2>&1 | tee "$log" || result=failed
  last=$(tail -n 1 "$log")
  [[ ! $last =~ ^[0-9]+\ passed,\ [0-9]+\ failed$ ]] || tests=$last
  [[ $tests == *", 0 failed" && $tests != "0 "* ]] || result=failed
  [[ $result == passed ]] && passed=$((passed + 1)) || failed=$((failed + 1))
  version=$(chroot "$system" "$cxx" --version 2>/dev/null) || true
  [[ $version =~ [0-9]+\.[0-9]+\.[0-9]+ ]] && version=${BASH_REMATCH[0]} || version=none
  libtorch=$(chroot "$system" dpkg-query -W -f '${Version}' libtorch-dev 2>/dev/null) ||
    libtorch=none
  table+=$(printf '\n%-17s %-18s %-15s %-21s %-7s %7s' "$platform" "$cxx $version" \
    "$libtorch" "$tests" "$result" "$((SECONDS - start))")
done
printf '\n%s\n\n%s passed, %s failed\n' "$table" "$passed" "$failed"
((failed == 0))
