#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fetches, checks and unpacks CIFAR-10 (binary version), unless it is there; prints its folder.
#
#   ./examples/cifar10/download.sh [--data DIR] [--url URL]
#
#   --data DIR       where to (default: GOSSAMER_DATA, else gossamer in XDG_CACHE_HOME or ~/.cache);
#                    360 MB. An archive there, or part of one, is gone on with
#   --url URL        a mirror, http:// or https://
#   --sha256 DIGEST  of the archive, if it is not the official one
#   --bytes N        its size
#   --pause SECONDS  before a transfer that broke off is resumed; doubles each time (default: 1)
#
# Calls that share a folder wait for each other. Certificates of https servers are verified.
set -euo pipefail

url=https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz
sha256=c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd
bytes=170052171
pause=1
attempts=5
folder=cifar-10-batches-bin
needed=({data_batch_{1..5},test_batch}.bin)
welcome=(batches.meta.txt readme.html)
largest=30730000  # bytes of a file

say() { echo "$*" >&2; }
die() {
  say "download.sh: $*"
  exit 1
}

parse() {
  while (($#)); do
    case $1 in
      --help | -h) sed -n '3,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit ;;
      --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
      --data | --url | --sha256 | --bytes | --pause)
        [[ -n ${2-} ]] || die "$1 needs a value; --help shows all options"
        printf -v "${1#--}" %s "$2"
        shift 2
        ;;
      *) die "there is no option '$1'; --help shows all" ;;
    esac
  done
  [[ $url =~ ^https?://[^/]+/([^?#]*/)?[[:alnum:]_][^/?#]*$ ]] ||
    die "--url must begin with https:// or http:// and end in a file's name, got '$url'"
  [[ $sha256 =~ ^[0-9a-f]{64}$ ]] ||
    die "--sha256 must be 64 lower-case hexadecimal digits, got '$sha256'"
  [[ $bytes =~ ^[1-9][0-9]{0,14}$ ]] || die "--bytes must be a number above 0, got '$bytes'"
  [[ $pause =~ ^[0-9]{1,3}$ ]] || die "--pause must be a whole number of seconds, got '$pause'"
}

# The cache, when neither --data nor GOSSAMER_DATA says where.
cache() {
  case ${XDG_CACHE_HOME-}:${HOME-} in
    /*) echo "$XDG_CACHE_HOME/gossamer" ;;
    *:/*) echo "$HOME/.cache/gossamer" ;;
    *) die "XDG_CACHE_HOME or HOME must be an absolute path, got neither; --data names a folder" ;;
  esac
}

# is_complete DIR: has the six files; what is in them is the reader's business.
is_complete() {
  local name
  for name in "${needed[@]}"; do [[ -f $1/$name ]] || return 1; done
}
end_if_complete() {
  local place
  for place in "$data" "$data/$folder"; do
    ! is_complete "$place" || { echo "$place" && exit; }
  done
}

need_tools() {
  local tool missing=()
  for tool in curl:curl flock:util-linux gzip:gzip sha256sum:coreutils tar:tar; do
    command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
  done
  ((${#missing[@]})) || return 0
  # shellcheck source=cmake/setup.sh
  (source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh" &&
    need_packages "${missing[@]}" ca-certificates) >&2
}

size_of() { if [[ -e $1 ]]; then stat -c %s "$1"; else echo 0; fi; }
digest_of() { sha256sum <"$1" | cut -d ' ' -f 1; }

# request: asks for what $part lacks; sets status (curl's), http, reason and have. The limit on the
# size of files cuts off a server that sends too much, whatever it had announced.
request() {
  local answer show=--silent redirections='=http,https'
  [[ ! -t 2 ]] || show=--progress-bar
  [[ $url != https:* ]] || redirections='=https'
  status=0
  answer=$(
    trap '' XFSZ
    ulimit -S -f $((bytes / 1024 + 1))
    curl "$show" --fail --location --max-redirs 5 --proto =http,https --globoff \
      --proto-redir "$redirections" --connect-timeout 20 --speed-limit 1 --speed-time 30 \
      --user-agent gossamer --continue-at - --output "$part" \
      --write-out '%{http_code} %{errormsg}' --url "$url"
  ) || status=$?
  http=${answer%% *} reason=${answer#* } have=$(size_of "$part")
  ((have <= bytes)) || {
    rm -f "$part"
    die "$url must have $bytes bytes, the server sends more"
  }
}

# may_help: whether another request may get what the last one did not.
may_help() {
  case $status in
    0) reason="the server ended the transfer" ;;
    16 | 18 | 28 | 52 | 55 | 56 | 92) ;;  # broke off
    6 | 7 | 35) ((have > began)) ;;       # a server that has answered may be back in a moment
    22) ((http >= 500 || http == 416)) ;;
    33) say "the server cannot resume; starting over" && rm -f "$part" ;;
    *) return 1 ;;
  esac || return 1
  ((http != 416)) || rm -f "$part"  # the server's file ends before it
}

# fetch: until the archive is there, however often the transfer breaks off.
fetch() {
  local part=$archive.part attempt began have status http reason
  (($(size_of "$part") <= bytes)) || rm -f "$part"
  began=$(size_of "$part")
  have=$began
  ((have == bytes)) || say "fetching $url"
  ((have == 0 || have == bytes)) || say "resuming after $have bytes"
  for ((attempt = 1; have < bytes; ++attempt)); do
    request
    ((have < bytes)) || break
    may_help || die "cannot fetch $url into $part: ${reason:-curl ends with status $status}"
    ((attempt < attempts)) ||
      die "$url broke off $attempts times, at last after $have of $bytes bytes: $reason"
    say "broke off after $have bytes ($reason); resuming"
    sleep "$pause"
    pause=$((pause * 2))
  done
  verify "$part"
  mv "$part" "$archive"
}

# verify FILE: deletes it and ends unless it has the right digest.
verify() {
  local got
  got=$(digest_of "$1")
  [[ $got == "$sha256" ]] || {
    rm -f "$1"
    die "$1, from $url, must have the SHA-256 digest $sha256, got $got; the file was deleted"
  }
}

# unpack: the data set's files and no others, all or nothing.
unpack() {
  local fresh=$data/$folder.part all=$data/$folder.part/all name file log status=0
  trap 'rm -rf "$data/$folder.part"' EXIT
  rm -rf "$fresh"
  mkdir -p "$all"
  log=$(
    trap '' XFSZ
    ulimit -S -f $((largest / 1024 + 1))
    tar -xzf "$archive" -C "$all" --force-local --no-same-owner --no-same-permissions \
      --no-recursion --wildcards --no-wildcards-match-slash "$folder/*" 2>&1
  ) || status=$?
  for file in "$all/$folder"/*; do
    (($(size_of "$file") <= largest)) ||
      die "${file##*/} in $archive must have at most $largest bytes, got more"
  done
  ((status == 0)) || die "cannot unpack $archive: ${log%%$'\n'*}"
  for name in "${needed[@]}" "${welcome[@]}"; do
    file=$all/$folder/$name
    if [[ -f $file && ! -L $file && $(stat -c %h "$file") == 1 ]]; then
      mv "$file" "$fresh"
    elif [[ " ${needed[*]} " == *" $name "* ]]; then
      die "$archive must hold the file $folder/$name, got an archive without it"
    fi
  done
  rm -rf "$all" "${data:?}/$folder"
  mv -T "$fresh" "$data/$folder"
}

data=${GOSSAMER_DATA-}
parse "$@"
[[ -n $data ]] || data=$(cache)
[[ $data != -* ]] || data=./$data
end_if_complete
need_tools
archive=$data/${url##*/}
reason=$(mkdir -p "$data" 2>&1) || die "cannot make the folder $data: ${reason##*: }"
{ exec {lock}>>"$archive.lock"; } 2>/dev/null || die "cannot write to the folder $data"
flock "$lock"
end_if_complete  # another call was faster
if [[ -e $archive ]]; then
  got=$(digest_of "$archive")
  [[ $got == "$sha256" ]] || {
    say "$archive must have the SHA-256 digest $sha256, got $got; fetching it again"
    rm -f "$archive"
  }
fi
[[ -e $archive ]] || fetch
say "unpacking $archive"
unpack
echo "$data/$folder"
