// SPDX-License-Identifier: MIT
/// What protects a connection: nothing, certificates, or one shared key. Options only: no OpenSSL.
#pragma once

#include <gossamer/error.hpp>

#include <algorithm>
#include <bitset>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
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
  /// whatever address: names in it go to the log and are not compared with the host's.
  /// `authority`: one certificate or several, PEM. `chain`: this node's own, then those between it
  /// and the authority. `key`: its private key, without passphrase, not readable by others.
  static Security certificates(std::filesystem::path authority, std::filesystem::path chain,
                               std::filesystem::path key) {
    Security made(Kind::certificates);
    made.authority_ = std::move(authority);
    made.chain_ = std::move(chain);
    made.key_file_ = std::move(key);
    return made;
  }

  /// One secret for all members: a file with 64 to 128 hexadecimal digits, not readable by others.
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

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] bool insecure() const noexcept { return insecure_; }
  [[nodiscard]] const std::filesystem::path& authority() const noexcept { return authority_; }
  [[nodiscard]] const std::filesystem::path& chain() const noexcept { return chain_; }
  [[nodiscard]] const std::filesystem::path& key_file() const noexcept { return key_file_; }

  /// Reads what must be read to know that it can work. Throws ConfigError for a file that is
  /// missing, readable by others or no key, for a key that is too short, and for `insecure` beside
  /// a key. What a certificate holds is looked at by `TlsContext`.
  void check() const {
    if (insecure_ && kind_ != Kind::none) {
      throw ConfigError("Security: insecure(true) goes with none(), not with " +
                        std::string(kind_ == Kind::certificates ? "certificates" : "a shared key"));
    }
    if (kind_ == Kind::certificates) {
      (void)read(authority_, "the authority's certificate");
      (void)read(chain_, "the node's certificate");
      (void)read(key_file_, "the node's private key");
      refuse_if_public(key_file_);
    }
    if (kind_ == Kind::shared_key) (void)secret();
  }

  /// The shared key: as given, or from its file. Throws ConfigError as `check` does.
  [[nodiscard]] std::vector<unsigned char> secret() const {
    if (key_file_.empty()) {
      check_secret(bytes_, "a shared key");
      return bytes_;
    }
    const std::string text = read(key_file_, "the shared key");
    refuse_if_public(key_file_);
    auto bytes = from_hexadecimal(text, key_file_.string());
    check_secret(bytes, key_file_.string());
    return bytes;
  }

 private:
  explicit Security(Kind kind) : kind_(kind) {}

  static std::string read(const std::filesystem::path& path, const char* what) {
    const auto fail = [&](const std::string& why) {
      return ConfigError("Security: " + std::string(what) + " cannot be read from '" +
                         path.string() + "': " + why);
    };
    if (path.empty()) throw fail("no file is named");
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) throw fail("it is a folder");
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file) throw fail(std::generic_category().message(errno));
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (file.bad()) throw fail("reading it failed");
    return text;
  }

  static void refuse_if_public(const std::filesystem::path& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IRWXO) != 0) {
      throw ConfigError("Security: every user of this machine may use the key in " + path.string() +
                        ": chmod 600 " + path.string() +
                        "; a secret of Kubernetes needs defaultMode: 0400 where it is mounted");
    }
  }

  static std::vector<unsigned char> from_hexadecimal(std::string_view text,
                                                     const std::string& place) {
    const auto end = text.find_last_not_of(" \t\r\n");
    text = text.substr(0, end == std::string_view::npos ? 0 : end + 1);
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
  std::vector<unsigned char> bytes_;
};

}  // namespace gossamer::transport
