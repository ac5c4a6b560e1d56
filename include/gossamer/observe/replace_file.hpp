// SPDX-License-Identifier: MIT
/// Writes a file whole or not at all.
#pragma once

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace gossamer::observe {

/// New content for a file, written piece by piece to a temporary file beside it, and put in place
/// by `commit()`. Whoever reads `path`, at any time and after any crash, sees the old content or
/// all of the new. Without `commit()` nothing has happened.
///
/// Threads  one at a time.
/// Throws   std::runtime_error that names the file, the operation and the system's reason; after
///          that, it is of no more use.
class FileReplacement {
 public:
  /// Makes the temporary file; one that a killed process has left behind is overwritten.
  explicit FileReplacement(std::filesystem::path path)
      : path_(std::move(path)), temporary_(path_.string() + ".part") {
    file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file_ < 0) fail("create");
  }
  FileReplacement(const FileReplacement&) = delete;
  FileReplacement& operator=(const FileReplacement&) = delete;
  ~FileReplacement() {
    if (file_ >= 0) discard();
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// Adds to the new content; a system call each time.
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("write");
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  /// Flushes the new content to the disk, and gives it the file's name. The last call.
  void commit() {
    if (::fsync(file_) != 0) fail("flush");
    if (::close(std::exchange(file_, -1)) != 0) fail("close");
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename to");
  }

 private:
  void discard() {
    if (file_ >= 0) ::close(std::exchange(file_, -1));
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
  }
  [[noreturn]] void fail(const char* operation) {
    const std::string reason = std::generic_category().message(errno);
    discard();
    throw std::runtime_error("cannot " + std::string(operation) + " " + path_.string() + ": " +
                             reason);
  }

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int file_ = -1;
};

/// Puts `bytes` at `path`, whole or not at all. Throws what `FileReplacement` throws.
inline void replace_file(const std::filesystem::path& path, std::string_view bytes) {
  FileReplacement file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace gossamer::observe
