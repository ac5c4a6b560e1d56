// SPDX-License-Identifier: MIT
/// What leaves an archive, and what an archive that cannot be used leaves behind: nothing.
#include <cifar10/download.hpp>
#include <gossamer/error.hpp>

#include <tests/examples/small_archive.hpp>
#include <tests/examples/small_files.hpp>
#include <tests/support.hpp>

#include <cstddef>
#include <filesystem>
#include <string>

namespace {

namespace fs = std::filesystem;
using gossamer::ConfigError;

}  // namespace

TEST_CASE("Only the expected regular files leave an archive", "[examples][unpack][parse]") {
  const tests::TemporaryFolder folder;
  const auto cache = folder.path() / "a" / "cache";
  fs::create_directories(cache);
  auto list = entries();
  list.push_back({folder_name + "/readme.html", "welcome", "", ""});
  list.push_back({"../escaped.bin", "bad", "", ""});
  list.push_back({folder_name + "/../../test_batch.bin", "bad", "", ""});
  list.push_back({(folder.path() / "absolute.bin").string(), "bad", "", ""});
  list.push_back({"other/data_batch_1.bin", "bad", "", ""});
  list.push_back({folder_name + "/data_batch_1.bin/x", "bad", "", ""});
  list.push_back({folder_name + "/extra.bin", "bad", "", ""});
  list.push_back({folder_name + "/batches.meta.txt", "", "/etc/hostname", ""});
  const auto file = folder.path() / archive_name;
  make_archive(file, list);
  const auto result = cifar10::unpack(file, cache);
  check_files(result);
  CHECK(read_file(result / "readme.html") == "welcome");
  CHECK_FALSE(fs::exists(fs::symlink_status(result / "batches.meta.txt")));
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    if (entry.is_regular_file()) ++files;
  }
  CHECK(files == 6 + 1 + 1);  // the six, the readme, the archive
}

TEST_CASE("An archive that cannot be used leaves the cache as it was",
          "[examples][unpack][parse]") {
  const tests::TemporaryFolder folder;
  const auto file = folder.path() / archive_name;
  make_archive(file, entries());
  check_files(cifar10::unpack(file, folder.path()));
  const auto refusal = [&] {
    return tests::message_of<ConfigError>([&] { (void)cifar10::unpack(file, folder.path()); });
  };
  SECTION("cut short") {
    write_file(file, read_file(file).substr(0, 70'000));
    // Opening it fails already, or reading it: as the version of libarchive has it.
    contains(refusal(), file.string() + ": truncated gzip input");
  }
  SECTION("no archive at all") {
    write_file(file, random_bytes(5'000, 1));
    contains(refusal(), "cannot ");
  }
  SECTION("a file is missing") {
    auto list = entries();
    list.erase(list.begin() + 2);
    make_archive(file, list);
    contains(refusal(), "must hold cifar-10-batches-bin/data_batch_3.bin, got");
  }
  SECTION("a link in the place of a file") {
    auto list = entries();
    list[1] = {list[1].path, "", "/etc/hostname", ""};
    list[3] = {list[3].path, "", "", list[0].path};
    make_archive(file, list);
    contains(refusal(), "must hold cifar-10-batches-bin/data_batch_2.bin, got");
  }
  SECTION("a file that is too large") {
    auto list = entries();
    list[4].content = std::string(30'730'001, '\0');
    make_archive(file, list);
    contains(refusal(), "data_batch_5.bin in " + file.string() +
                            " must have at most 30730000 bytes, got more");
  }
  SECTION("no file") {
    fs::remove(file);
    contains(refusal(), "cannot open " + file.string() + ": ");
  }
  check_files(folder.path() / folder_name);
  CHECK_FALSE(fs::exists(folder.path() / (folder_name + ".part")));
}
