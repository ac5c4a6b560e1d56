// SPDX-License-Identifier: MIT
/// Fetches one file from a server, however often the connection breaks.
#pragma once

#include <cifar10/download.hpp>

#include <chrono>
#include <filesystem>
#include <ostream>

namespace cifar10 {

/// Appends to `part` until it has all the bytes of the archive; their digest is not looked at. A
/// transfer that breaks off is resumed with a range request, up to four times; from the start if
/// the server ignores ranges.
/// @throws gossamer::ConfigError when the server cannot be reached, refuses, breaks off too often
///         (the part is kept) or sends too much (the part is deleted), or the file cannot be
///         written.
void fetch(const Archive& archive, const std::filesystem::path& part, std::ostream& log,
           std::chrono::milliseconds pause);

}  // namespace cifar10
