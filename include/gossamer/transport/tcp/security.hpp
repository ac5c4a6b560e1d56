// SPDX-License-Identifier: MIT
/// What protects a connection: nothing, certificates, or one shared key. Options only.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/tcp/key_file.hpp>

#include <openssl/crypto.h>

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// How the members of a run know each other, and keep others out. All of them need the same kind.
///
///     Security::none()                                 loopback only
///     Security::none().insecure(true)                  anywhere, readable and writable by anyone
///     Security::certificates("ca.pem", "node.pem", "node.key")
///     Security::shared_key("run.key")
///
/// Both that protect do so by TLS 1.3 with fresh keys for each connection, so a recorded one is of
/// no use later, not even with the key. `examples/make_keys.sh` makes authorities and keys.
///
/// Threads  a value: distinct objects are independent.
class Security {
 public:
  enum class Kind : std::uint8_t { none, certificates, shared_key };

  /// Plain TCP.
  static Security none() { return Security(Kind::none); }

  /// Mutual certificates. Whoever has a certificate signed by the authority is a member, at
  /// whatever address: names in it go to the log and are not compared with the host's. If it names
  /// nodes, as URIs `gossamer:node:7` among its alternative names, its holder can be only those.
  /// `authority`: one certificate or several, PEM. `chain`: this node's own, then those between it
  /// and the authority. `key`: its private key, without passphrase, not readable by others. Only
  /// their owner may change these files.
  static Security certificates(std::filesystem::path authority, std::filesystem::path chain,
                               std::filesystem::path key) {
    Security made(Kind::certificates);
    made.authority_ = std::move(authority);
    made.chain_ = std::move(chain);
    made.key_file_ = std::move(key);
    return made;
  }

  /// One secret for all members: a file with 64 to 128 hexadecimal digits, not readable by others.
  /// While keys change it has several, one a line: this node dials with the first and lets in who
  /// has any.
  static Security shared_key(std::filesystem::path file) {
    Security made(Kind::shared_key);
    made.key_file_ = std::move(file);
    return made;
  }

  /// The same with the secret itself: 32 to 64 random bytes.
  static Security shared_key_bytes(std::vector<unsigned char> bytes) {
    Security made(Kind::shared_key);
    made.bytes_ = std::move(bytes);
    return made;
  }

  /// Says aloud that a run without security may be reached from other machines.
  Security& insecure(bool allowed) {
    insecure_ = allowed;
    return *this;
  }

  /// Beside certificates: those that the authority has revoked, PEM. Once it is past its date,
  /// nobody is let in.
  Security& revocation_list(std::filesystem::path file) {
    revocation_list_ = std::move(file);
    return *this;
  }

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] bool insecure() const noexcept { return insecure_; }
  [[nodiscard]] const std::filesystem::path& authority() const noexcept { return authority_; }
  [[nodiscard]] const std::filesystem::path& chain() const noexcept { return chain_; }
  [[nodiscard]] const std::filesystem::path& key_file() const noexcept { return key_file_; }
  [[nodiscard]] const std::filesystem::path& revocation_list() const noexcept {
    return revocation_list_;
  }

  /// Reads what must be read to know that it can work. Throws ConfigError for a file that is
  /// missing, readable or changeable by others or no key, for a key that is too short, and for
  /// `insecure` beside a key. What a certificate holds is looked at by `TlsContext`.
  void check() const {
    if (insecure_ && kind_ != Kind::none) {
      throw ConfigError("Security: insecure(true) goes with none(), not with " +
                        std::string(kind_ == Kind::certificates ? "certificates" : "a shared key"));
    }
    if (!revocation_list_.empty() && kind_ != Kind::certificates) {
      throw ConfigError("Security: a revocation list goes with certificates only, got " +
                        revocation_list_.string());
    }
    if (kind_ == Kind::certificates) {
      (void)authority_text();
      (void)chain_text();
      (void)key_text();
      if (!revocation_list_.empty()) (void)revocation_text();
    }
    if (kind_ == Kind::shared_key) {
      for (auto& one : secrets()) OPENSSL_cleanse(one.data(), one.size());
    }
  }

  /// What the files hold. Each throws ConfigError as `check` does.
  [[nodiscard]] KeyFile authority_text() const {
    return KeyFile(authority_, "the authority's certificate", KeyFile::Access::open);
  }
  [[nodiscard]] KeyFile chain_text() const {
    return KeyFile(chain_, "the node's certificate", KeyFile::Access::open);
  }
  [[nodiscard]] KeyFile key_text() const {
    return KeyFile(key_file_, "the node's private key", KeyFile::Access::secret);
  }
  [[nodiscard]] KeyFile revocation_text() const {
    return KeyFile(revocation_list_, "the revocation list", KeyFile::Access::open);
  }

  /// The shared keys, at least one: as given, or from their file. Throws ConfigError as `check`
  /// does. The caller cleanses them.
  [[nodiscard]] std::vector<std::vector<unsigned char>> secrets() const {
    if (key_file_.empty()) {
      check_secret(bytes_, "a shared key");
      return {bytes_};
    }
    const KeyFile file(key_file_, "the shared key", KeyFile::Access::secret);
    std::vector<std::vector<unsigned char>> all;
    std::string_view left = file.text();
    do {
      const std::size_t end = std::min(left.find('\n'), left.size());
      const std::string_view line = trimmed(left.substr(0, end));
      left.remove_prefix(std::min(end + 1, left.size()));
      if (line.empty() && !(left.empty() && all.empty())) continue;
      all.push_back(from_hexadecimal(line, key_file_.string()));
      check_secret(all.back(), key_file_.string());
    } while (!left.empty());
    return all;
  }

 private:
  explicit Security(Kind kind) : kind_(kind) {}

  static std::string_view trimmed(std::string_view text) {
    const auto end = text.find_last_not_of(" \t\r\n");
    return text.substr(0, end == std::string_view::npos ? 0 : end + 1);
  }

  static std::vector<unsigned char> from_hexadecimal(std::string_view text,
                                                     const std::string& place) {
    constexpr std::string_view digits = "0123456789abcdef";
    const auto value = [&](char c) {
      return digits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
    };
    if (text.size() % 2 != 0 || std::any_of(text.begin(), text.end(), [&](char c) {
          return value(c) == std::string_view::npos;
        })) {
      throw ConfigError("Security: " + place + " must hold 64 to 128 hexadecimal digits, got " +
                        std::to_string(text.size()) + " characters, " +
                        (text.size() % 2 != 0 ? "an odd number" : "not all of them digits"));
    }
    std::vector<unsigned char> bytes;
    bytes.reserve(text.size() / 2);  // once: a vector that grows leaves copies
    for (std::size_t i = 0; i < text.size(); i += 2) {
      bytes.push_back(static_cast<unsigned char>(value(text[i]) * 16 + value(text[i + 1])));
    }
    return bytes;
  }

  static void check_secret(const std::vector<unsigned char>& bytes, const std::string& place) {
    if (bytes.size() < 32 || bytes.size() > 64) {
      throw ConfigError("Security: " + place + " must have 32 to 64 random bytes, got " +
                        std::to_string(bytes.size()));
    }
    std::bitset<256> seen;
    for (const unsigned char byte : bytes) seen.set(byte);
    if (seen.count() < 16) {  // of 32 random bytes, once in 10^14 keys
      throw ConfigError("Security: " + place + " is not random: its bytes take only " +
                        std::to_string(seen.count()) +
                        " values; make one with examples/make_keys.sh --shared-key FILE");
    }
  }

  Kind kind_;
  bool insecure_ = false;
  std::filesystem::path authority_;
  std::filesystem::path chain_;
  std::filesystem::path key_file_;
  std::filesystem::path revocation_list_;
  std::vector<unsigned char> bytes_;
};

}  // namespace gossamer::transport
