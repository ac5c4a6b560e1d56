// SPDX-License-Identifier: MIT
/// Unpacks the data set's files, and no others, from an archive of any origin.
#include <cifar10/dataset.hpp>
#include <cifar10/download.hpp>
#include <gossamer/error.hpp>

#include <archive.h>
#include <archive_entry.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <string_view>
#include <system_error>

namespace cifar10 {
namespace {

namespace fs = std::filesystem;
using gossamer::ConfigError;

constexpr const char* folder_name = "cifar-10-batches-bin";
constexpr std::array<std::string_view, 6> needed = {"data_batch_1.bin", "data_batch_2.bin",
                                                    "data_batch_3.bin", "data_batch_4.bin",
                                                    "data_batch_5.bin", "test_batch.bin"};
constexpr std::array<std::string_view, 2> welcome = {"batches.meta.txt", "readme.html"};
constexpr std::uint64_t largest_file = records_per_file * record_bytes;  // bytes of a file

using Reader = std::unique_ptr<archive, decltype(&archive_read_free)>;

std::string text(archive* reader) {
  const char* message = archive_error_string(reader);
  return message != nullptr ? message : "unknown error";
}

/// The plain name of a file to be written, or nothing: "cifar-10-batches-bin/NAME", perhaps after
/// "./", and no other path.
std::string_view wanted(std::string_view path) {
  if (path.starts_with("./")) path.remove_prefix(2);
  const std::string_view folder = folder_name;
  if (!path.starts_with(folder)) return {};
  path.remove_prefix(folder.size());
  if (!path.starts_with('/')) return {};
  path.remove_prefix(1);
  const auto has = [path](const auto& names) {
    return std::find(names.begin(), names.end(), path) != names.end();
  };
  return has(needed) || has(welcome) ? path : std::string_view{};
}

/// Copies the current entry to a file.
void extract(archive* reader, const fs::path& source, const fs::path& file) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  std::array<char, 65'536> buffer;
  std::uint64_t total = 0;
  while (out) {
    const auto got = archive_read_data(reader, buffer.data(), buffer.size());
    if (got < 0) {
      throw ConfigError(c10::str("download: cannot unpack ", source.string(), ": ", text(reader)));
    }
    if (got == 0) break;
    total += static_cast<std::uint64_t>(got);
    if (total > largest_file) {
      throw ConfigError(c10::str("download: ", file.filename().string(), " in ", source.string(),
                                 " must have at most ", largest_file, " bytes, got more"));
    }
    out.write(buffer.data(), got);
  }
  out.close();
  if (!out) {
    throw ConfigError(
        c10::str("download: cannot write ", file.string(), ": ", std::strerror(errno)));
  }
}

/// Unpacks into an existing folder.
void unpack_into(const fs::path& source, const fs::path& folder) {
  const Reader reader(archive_read_new(), &archive_read_free);
  if (reader == nullptr) throw ConfigError("download: libarchive cannot start, out of memory");
  archive_read_support_filter_all(reader.get());
  archive_read_support_format_tar(reader.get());
  if (archive_read_open_filename(reader.get(), source.c_str(), 65'536) != ARCHIVE_OK) {
    throw ConfigError(
        c10::str("download: cannot open ", source.string(), ": ", text(reader.get())));
  }
  std::set<std::string, std::less<>> found;
  archive_entry* entry = nullptr;
  for (;;) {
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) break;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      throw ConfigError(
          c10::str("download: cannot unpack ", source.string(), ": ", text(reader.get())));
    }
    const char* path = archive_entry_pathname(entry);
    const bool regular =
        archive_entry_filetype(entry) == AE_IFREG && archive_entry_hardlink(entry) == nullptr;
    const auto name = regular && path != nullptr ? wanted(path) : std::string_view{};
    if (name.empty()) continue;
    extract(reader.get(), source, folder / name);
    found.emplace(name);
  }
  for (const auto name : needed) {
    if (!found.contains(name)) {
      throw ConfigError(c10::str("download: ", source.string(), " must hold ", folder_name, "/",
                                 name, ", got an archive without it"));
    }
  }
}

}  // namespace

fs::path unpack(const fs::path& archive, const fs::path& cache) {
  const auto folder = cache / folder_name;
  const auto fresh = cache / c10::str(folder_name, ".part");
  try {
    fs::remove_all(fresh);
    fs::create_directories(fresh);
    unpack_into(archive, fresh);
    fs::remove_all(folder);
    fs::rename(fresh, folder);
  } catch (const fs::filesystem_error& error) {
    throw ConfigError(
        c10::str("download: cannot unpack into ", cache.string(), ": ", error.code().message()));
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(fresh, ignored);
    throw;
  }
  return folder;
}

}  // namespace cifar10
