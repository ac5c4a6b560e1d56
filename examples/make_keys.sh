#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes what secures a run over TCP: a small authority with keys for its nodes, or one shared key.
#
#   ./examples/make_keys.sh DIR NODE[=NAME,...]...   DIR/ca.pem, and DIR/NODE.pem and DIR/NODE.key
#                                                    for each node; NAMEs are hosts, addresses, or
#                                                    node:7 if it may be node 7 only
#   ./examples/make_keys.sh --revoke DIR NODE...     DIR/revoked.pem, which lets these in no more
#   ./examples/make_keys.sh --shared-key FILE        32 random bytes, as hexadecimal digits
#
#   ./examples/make_keys.sh keys alpha=alpha.example.org,10.0.0.1 beta
#
# An authority that DIR has already signs for further nodes; no key is overwritten. A node needs
# ca.pem and its own two files. Keep ca.key elsewhere: whoever has it can let anyone in.
# GOSSAMER_KEY_DAYS says how long certificates are valid (365; the authority's ten times that).
set -euo pipefail
umask 077

die() {
  echo "make_keys.sh: $*" >&2
  exit 1
}
usage() { sed -n '3,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

command -v openssl >/dev/null || die "needs the program openssl (Debian's package openssl)"

if [[ ${1-} == --help || ${1-} == -h ]]; then
  usage
  exit
elif [[ ${1-} == --shared-key ]]; then
  (($# == 2)) || die "--shared-key takes the name of a file"
  [[ ! -e $2 ]] || die "$2 exists already; a new key would lock out who has the old one"
  digits=$(openssl rand -hex 32)
  echo "$digits" >"$2"
  echo "$2: copy it to all members, and let nobody else read it"
  exit
fi
if [[ ${1-} == --revoke ]]; then
  revoke=yes
  shift
fi
if (($# < 2)) || [[ $1 == -* ]]; then
  usage >&2
  exit 1
fi

dir=$1
shift
days=${GOSSAMER_KEY_DAYS-365}
[[ $days =~ ^[1-9][0-9]*$ ]] || die "GOSSAMER_KEY_DAYS must be a number of days, got '$days'"
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# quietly COMMAND...: says what it says only if it fails.
quietly() { "$@" >"$work/log" 2>&1 || die "$1 $2 failed: $(cat "$work/log")"; }
new_key() { quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

if [[ -n ${revoke-} ]]; then
  touch "$dir/revoked.txt"  # those of earlier calls
  printf '%s\n' '[ca]' 'default_ca=x' '[x]' "database=$dir/revoked.txt" 'default_md=sha256' \
    "default_crl_days=$days" >"$work/config"
  authority=(openssl ca -config "$work/config" -keyfile "$dir/ca.key" -cert "$dir/ca.pem")
  for node in "$@"; do quietly "${authority[@]}" -revoke "$dir/$node.pem"; done
  quietly "${authority[@]}" -gencrl -out "$dir/revoked.pem"
  echo "$dir/revoked.pem: valid for $days days; copy it to all members"
  exit
fi
if [[ ! -e $dir/ca.pem && ! -e $dir/ca.key ]]; then
  new_key "$dir/ca.key"
  quietly openssl req -new -x509 -key "$dir/ca.key" -out "$dir/ca.pem" -days $((days * 10)) \
    -subj "/CN=Gossamer authority $(openssl rand -hex 4)" \
    -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign
  echo "$dir/ca.pem: the authority, for all nodes; $dir/ca.key signs for it"
elif [[ ! -e $dir/ca.pem || ! -e $dir/ca.key ]]; then
  die "$dir has only one of ca.pem and ca.key; both are needed to sign"
fi

for argument in "$@"; do
  node=${argument%%=*}
  [[ $node =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ && $node != ca ]] ||
    die "a node's name has letters, digits, '.', '_' and '-', got '$node'"
  [[ ! -e $dir/$node.key && ! -e $dir/$node.pem ]] || die "$dir has keys of $node already"
  names=DNS:$node
  if [[ $argument == *=* ]]; then
    IFS=, read -ra list <<<"${argument#*=}"
    for name in "${list[@]}"; do
      [[ $name =~ ^[A-Za-z0-9.:_-]+$ ]] || die "'$name' is neither a host nor an address"
      if [[ $name =~ ^node:[0-9]+$ ]]; then names+=,URI:gossamer:$name; elif [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then names+=,IP:$name; else names+=,DNS:$name; fi
    done
  fi
  cat >"$work/extensions" <<END
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=$names
END
  new_key "$work/key"
  quietly openssl req -new -key "$work/key" -subj "/CN=$node" -out "$work/request"
  quietly openssl x509 -req -in "$work/request" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" \
    -days "$days" -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions" \
    -out "$work/chain"
  mv "$work/key" "$dir/$node.key"
  mv "$work/chain" "$dir/$node.pem"
  echo "$dir/$node.pem, $dir/$node.key: for $node ($names)"
done
