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
  /// Says this rank's number, how many ranks there are, and where a run's record goes if that is
  /// not said yet: one folder for all, whatever their clocks say. Throws ConfigError if this
  /// program was built without MPI.
  MpiJob(std::uint32_t& rank, std::size_t& size, std::filesystem::path& folder);
  MpiJob(const MpiJob&) = delete;
  MpiJob& operator=(const MpiJob&) = delete;
  ~MpiJob();

  /// Ends all ranks: this one cannot take part. Does not return.
  [[noreturn]] static void abort();

 private:
  struct Environment;
  std::unique_ptr<Environment> environment_;
};

}  // namespace examples
