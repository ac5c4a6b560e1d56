// SPDX-License-Identifier: MIT
/// Archives like the official one, but small, good or bad.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <tests/examples/small_files.hpp>
#include <tests/support.hpp>

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

inline const std::string archive_name = "data.tar.gz";
inline const std::string folder_name = "cifar-10-batches-bin";

struct Entry {
  std::string path, content;
  std::string symlink, hardlink;  // where to, if not empty
};

inline void make_archive(const std::filesystem::path& file, const std::vector<Entry>& entries) {
  auto* writer = archive_write_new();
  archive_write_add_filter_gzip(writer);
  archive_write_set_format_pax_restricted(writer);
  REQUIRE(archive_write_open_filename(writer, file.c_str()) == ARCHIVE_OK);
  for (const auto& [path, content, symlink, hardlink] : entries) {
    auto* entry = archive_entry_new();
    archive_entry_set_pathname(entry, path.c_str());
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_filetype(entry, symlink.empty() ? AE_IFREG : AE_IFLNK);
    if (!symlink.empty()) archive_entry_set_symlink(entry, symlink.c_str());
    if (!hardlink.empty()) archive_entry_set_hardlink(entry, hardlink.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    REQUIRE(archive_write_header(writer, entry) == ARCHIVE_OK);
    if (!content.empty()) archive_write_data(writer, content.data(), content.size());
    archive_entry_free(entry);
  }
  archive_write_close(writer);
  archive_write_free(writer);
}

inline std::vector<std::string> names() {
  return {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
          "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
}

/// The six files, small, each with other bytes.
inline std::vector<Entry> entries() {
  std::vector<Entry> result;
  for (const auto& name : names()) {
    result.push_back({folder_name + "/" + name, random_bytes(20'000, result.size() + 1), "", ""});
  }
  return result;
}

inline void check_files(const std::filesystem::path& folder) {
  const auto expected = entries();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(read_file(folder / names()[i]) == expected[i].content);
  }
}

inline bool contains(const std::string& text, const std::string& piece) {
  INFO("'" << text << "' should contain '" << piece << "'");
  const bool found = text.find(piece) != std::string::npos;
  CHECK(found);
  return found;
}
