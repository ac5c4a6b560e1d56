// SPDX-License-Identifier: MIT
/// Downloads, checks and unpacks the official CIFAR-10 archive.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>

namespace cifar10 {

/// A file on a server, and what it must be.
struct Archive {
  std::string url;     ///< https:// or http://
  std::string sha256;  ///< 64 lower-case hexadecimal digits
  std::uint64_t bytes = 0;
};

/// The binary version of CIFAR-10 at its authors' site: 170,052,171 bytes.
[[nodiscard]] Archive official_archive();

/// $XDG_CACHE_HOME/gossamer, or ~/.cache/gossamer.
/// @throws gossamer::ConfigError when neither XDG_CACHE_HOME nor HOME is an absolute path.
[[nodiscard]] std::filesystem::path cache_directory();

/// The SHA-256 digest of a file in lower-case hexadecimal digits.
/// @throws gossamer::ConfigError when the file cannot be read.
[[nodiscard]] std::string sha256(const std::filesystem::path& file);

/// Makes sure that the data set lies unpacked in the cache, and returns the folder that `load`
/// takes. What is there already is not fetched again: an unpacked folder, an archive, a part of an
/// archive. A broken transfer is resumed up to four times, after a pause that doubles each time.
/// Certificates of https servers are verified. Processes that share a cache wait for each other;
/// from several threads of one process: safe.
/// @param cache a folder, made if it is missing; needs about 360 MB for the official archive.
/// @param log   gets a line for each tenth of the way, and one for each event.
/// @param pause before the first resumption.
/// @throws gossamer::ConfigError when the server cannot be reached or refuses, the archive has the
///         wrong size or digest (it is then deleted), a file is missing in it, or the cache cannot
///         be written; the text names url or file, and the reason.
std::filesystem::path download(const Archive& archive, const std::filesystem::path& cache,
                               std::ostream& log,
                               std::chrono::milliseconds pause = std::chrono::seconds(1));

/// Unpacks the data set's files from a (compressed) tar archive into `cache`/cifar-10-batches-bin,
/// which is replaced, all or nothing. Only regular files with the expected names are written,
/// whatever else the archive holds.
/// @return the folder.
/// @throws gossamer::ConfigError when the archive cannot be read, a file is missing in it or larger
///         than expected, or the cache cannot be written.
std::filesystem::path unpack(const std::filesystem::path& archive,
                             const std::filesystem::path& cache);

}  // namespace cifar10
