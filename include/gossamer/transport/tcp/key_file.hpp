// SPDX-License-Identifier: MIT
/// A file of keys or certificates, read once. Needs OpenSSL 3 (libcrypto).
#pragma once

#include <gossamer/error.hpp>

#include <fcntl.h>
#include <openssl/crypto.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <sys/types.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace gossamer::transport {

/// What such a file held. It is opened once, and what is read is what was checked. Forgotten
/// without a trace in memory.
///
/// Throws   ConfigError from the constructor, with file and reason, but nothing of what is in it.
class KeyFile {
 public:
  /// The group may read a secret, others may not; only its owner may write to any.
  enum class Access : std::uint8_t { secret, open };
  /// More no key and no list of certificates needs.
  static constexpr std::size_t most_bytes = std::size_t{1} << 20U;

  /// `what`: what it should hold, for sentences.
  KeyFile(const std::filesystem::path& path, const std::string& what, Access access)
      : path_(path.string()), what_(what) {
    if (path.empty()) throw unreadable("no file is named");
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.number < 0) throw unreadable(std::generic_category().message(errno));
    struct stat status {};
    if (::fstat(file.number, &status) != 0) {
      throw unreadable(std::generic_category().message(errno));
    }
    if (S_ISDIR(status.st_mode)) throw unreadable("it is a folder");
    if (!S_ISREG(status.st_mode)) throw unreadable("it is no regular file");
    refuse(status.st_mode, access);
    if (static_cast<std::size_t>(status.st_size) > most_bytes) {
      throw unreadable("it has " + std::to_string(status.st_size) + " bytes, more than " +
                       std::to_string(most_bytes));
    }
    read(file.number, static_cast<std::size_t>(status.st_size));
  }
  KeyFile(const KeyFile&) = delete;
  KeyFile& operator=(const KeyFile&) = delete;
  ~KeyFile() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

  [[nodiscard]] std::string_view text() const { return {bytes_.data(), size_}; }

 private:
  struct Descriptor {
    explicit Descriptor(int opened) : number(opened) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
      if (number >= 0) ::close(number);
    }
    int number;
  };

  [[nodiscard]] ConfigError unreadable(const std::string& why) const {
    return ConfigError("Security: " + what_ + " cannot be read from '" + path_ + "': " + why);
  }

  void refuse(mode_t mode, Access access) const {
    if (access == Access::secret && (mode & S_IRWXO) != 0) {
      throw ConfigError("Security: every user of this machine may use the key in " + path_ +
                        ": chmod 600 " + path_ +
                        "; a secret of Kubernetes needs defaultMode: 0400 where it is mounted");
    }
    if ((mode & (S_IWGRP | S_IWOTH)) != 0) {
      throw ConfigError("Security: others than its owner may change " + what_ + " in " + path_ +
                        ": chmod go-w " + path_);
    }
  }

  void read(int file, std::size_t size) {
    bytes_.resize(size + 1);  // once: a vector that grows leaves copies; and never no memory
    while (size_ < size) {
      const ssize_t got = ::read(file, bytes_.data() + size_, size - size_);
      if (got < 0) throw unreadable(std::generic_category().message(errno));
      if (got == 0) break;
      size_ += static_cast<std::size_t>(got);
    }
  }

  std::string path_;
  std::string what_;
  std::vector<char> bytes_;
  std::size_t size_ = 0;
};

}  // namespace gossamer::transport
