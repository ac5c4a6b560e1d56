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

namespace gossamer::observe {

/// Puts `bytes` at `path`: written to a temporary file beside it, flushed to the disk, then
/// renamed. Whoever reads `path`, at any time and after any crash, sees the old content or the new.
/// Throws std::runtime_error that names the file, the operation and the system's reason.
inline void replace_file(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path temporary = path.string() + ".part";
  const auto fail = [&](const char* operation) {
    const std::string reason = std::generic_category().message(errno);
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw std::runtime_error("cannot " + std::string(operation) + " " + path.string() + ": " +
                             reason);
  };
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail("create");
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      ::close(file);
      fail("write");
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file) != 0) {
    ::close(file);
    fail("flush");
  }
  if (::close(file) != 0) fail("close");
  if (std::rename(temporary.c_str(), path.c_str()) != 0) fail("rename to");
}

}  // namespace gossamer::observe
