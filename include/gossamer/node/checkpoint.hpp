// SPDX-License-Identifier: MIT
/// Archives as files: written whole or not at all, and read only if they are what they claim to be.
/// Needs xxHash (`xxhash.h`), hence not part of gossamer.hpp.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/observe/replace_file.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

namespace gossamer {

/// The file: this header, then the entries, each as (u32 name length, name, u64 size, bytes). All
/// numbers in the byte order of the machine that wrote it, which `order` tells.
struct CheckpointHeader {
  char magic[8] = {'G', 'O', 'S', 'S', 'A', 'M', 'E', 'R'};
  std::uint32_t version = 1;
  std::uint32_t order = 0x01020304;
  std::uint64_t size = 0;      ///< bytes after the header
  std::uint64_t checksum = 0;  ///< XXH3 of them
};
static_assert(sizeof(CheckpointHeader) == 32);

/// Reads the bytes of a checkpoint; `place` is what errors call it. Throws CheckpointError if they
/// are foreign, of a newer version or another byte order, truncated, too long, or damaged.
inline Archive parse_archive(std::string_view bytes, const std::string& place) {
  const auto refuse = [&](const std::string& why) -> CheckpointError {
    return CheckpointError(place + ": " + why);
  };
  const CheckpointHeader expected;
  CheckpointHeader header;
  if (bytes.size() < sizeof header.magic ||
      std::memcmp(bytes.data(), expected.magic, sizeof header.magic) != 0) {
    throw refuse("not a Gossamer checkpoint");
  }
  if (bytes.size() < sizeof header) {
    throw refuse("truncated: expected at least " + std::to_string(sizeof header) + " bytes, got " +
                 std::to_string(bytes.size()));
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  bytes.remove_prefix(sizeof header);
  if (header.order != expected.order) throw refuse("written by a machine of another byte order");
  if (header.version != expected.version) {
    throw refuse("of version " + std::to_string(header.version) + ", this program reads version " +
                 std::to_string(expected.version));
  }
  if (header.size != bytes.size()) {
    throw refuse((header.size > bytes.size() ? "truncated: expected " : "too long: expected ") +
                 std::to_string(header.size) + " bytes after the header, got " +
                 std::to_string(bytes.size()));
  }
  if (header.checksum != XXH3_64bits(bytes.data(), bytes.size())) {
    throw refuse("damaged: its checksum does not match its content");
  }
  std::map<std::string, std::string> entries;
  const auto take = [&](std::uint64_t size) {
    if (size > bytes.size()) throw refuse("damaged: an entry reaches beyond the end of the file");
    const std::string_view part = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return part;
  };
  while (!bytes.empty()) {
    std::uint32_t name_size = 0;
    std::uint64_t size = 0;
    std::memcpy(&name_size, take(sizeof name_size).data(), sizeof name_size);
    std::string name(take(name_size));
    std::memcpy(&size, take(sizeof size).data(), sizeof size);
    entries.insert_or_assign(std::move(name), std::string(take(size)));
  }
  return Archive(std::move(entries));
}

/// The bytes that `parse_archive` reads.
inline std::string serialize(const Archive& archive) {
  CheckpointHeader header;
  std::string bytes(sizeof header, '\0');
  const auto append = [&bytes](const auto& number) {
    bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  for (const auto& [name, value] : archive.entries()) {
    append(static_cast<std::uint32_t>(name.size()));
    bytes += name;
    append(static_cast<std::uint64_t>(value.size()));
    bytes += value;
  }
  header.size = bytes.size() - sizeof header;
  header.checksum = XXH3_64bits(bytes.data() + sizeof header, header.size);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

/// Saves a node or a group (anything with `checkpoint(Archive&)`) to a file, whole or not at all,
/// and tells it then, if it has `checkpoint_saved(path)`, as groups have. Throws std::runtime_error
/// if the file cannot be written.
template <class Subject>
void save_checkpoint(Subject& subject, const std::filesystem::path& path) {
  Archive archive;
  subject.checkpoint(archive);
  observe::replace_file(path, serialize(archive));
  if constexpr (requires { subject.checkpoint_saved(path.string()); }) {
    subject.checkpoint_saved(path.string());
  }
}

/// Restores what `save_checkpoint` saved. Throws CheckpointError, see `parse_archive`; also for a
/// checkpoint of another model, rule or number of nodes. After a throw, the subject is to be thrown
/// away.
template <class Subject>
void load_checkpoint(Subject& subject, const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw CheckpointError(path.string() + ": cannot be opened");
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  Archive archive = parse_archive(bytes, path.string());
  try {
    subject.checkpoint(archive);
  } catch (const CheckpointError& error) {
    throw CheckpointError(path.string() + ": " + error.what());
  }
}

}  // namespace gossamer
