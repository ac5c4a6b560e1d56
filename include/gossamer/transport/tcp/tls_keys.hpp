// SPDX-License-Identifier: MIT
/// What secures a node's connections, read again when its files change. Needs OpenSSL 3 (libssl).
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/tcp/security.hpp>
#include <gossamer/transport/tcp/tls_context.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <sys/stat.h>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// Hands each handshake the context of that moment; connections keep theirs. Files that cannot work
/// change nothing.
///
/// Threads  safe.
class TlsKeys {
 public:
  using Time = std::chrono::nanoseconds;
  /// How often files are looked at, at most.
  static constexpr Time patience = std::chrono::minutes(1);

  /// Throws ConfigError as `TlsContext::make` does.
  explicit TlsKeys(Security security)
      : security_(std::move(security)), seen_(look()), context_(TlsContext::make(security_)) {}

  /// For a handshake that starts `now`; null for no security. `why`: the files have changed and
  /// cannot work, said once per change; else left as it was.
  std::shared_ptr<const TlsContext> at(Time now, std::string& why) {
    const std::lock_guard lock(mutex_);
    if (now - looked_ >= patience && security_.kind() != Security::Kind::none) {
      looked_ = now;
      if (look() != seen_) {
        try {
          read();
        } catch (const ConfigError& error) {
          why = error.what();
        }
      }
    }
    return context_;
  }

  /// Reads all files now, whether they have changed or not. Throws ConfigError if they cannot work.
  void reload() {
    const std::lock_guard lock(mutex_);
    read();
  }

 private:
  /// Of each file: its number, its size, and when it changed, in s and ns.
  using Seen = std::vector<std::array<std::int64_t, 4>>;

  [[nodiscard]] Seen look() const {
    Seen seen;
    for (const auto& path : {security_.authority(), security_.chain(), security_.key_file(),
                             security_.revocation_list()}) {
      struct stat status {};
      if (path.empty() || ::stat(path.c_str(), &status) != 0) status = {};
      seen.push_back({static_cast<std::int64_t>(status.st_ino), status.st_size,
                      status.st_mtim.tv_sec, status.st_mtim.tv_nsec});
    }
    return seen;
  }
  void read() {
    seen_ = look();  // first: what changes while it is read will be seen
    context_ = TlsContext::make(security_);
  }

  const Security security_;
  std::mutex mutex_;
  Seen seen_;
  Time looked_{0};
  std::shared_ptr<const TlsContext> context_;
};

}  // namespace gossamer::transport
