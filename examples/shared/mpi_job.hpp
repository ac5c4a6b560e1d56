// SPDX-License-Identifier: MIT
/// MPI around a program whose nodes may be the ranks of a job.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

namespace examples {

/// MPI, from its beginning to its end. Only the first rank writes to standard output meanwhile.
class MpiJob {
 public:
  /// Throws ConfigError if this program was built without MPI.
  MpiJob();
  MpiJob(const MpiJob&) = delete;
  MpiJob& operator=(const MpiJob&) = delete;
  ~MpiJob();

  [[nodiscard]] std::uint32_t rank() const;
  [[nodiscard]] std::size_t size() const;
  /// The first rank's folder, for all, whatever their clocks say. All ranks must call it.
  [[nodiscard]] std::filesystem::path agree_on(const std::filesystem::path& folder) const;

  /// Ends all ranks: this one cannot take part. Does not return.
  [[noreturn]] static void abort();

 private:
  struct Environment;
  std::unique_ptr<Environment> environment_;
};

}  // namespace examples
