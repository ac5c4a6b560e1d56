// SPDX-License-Identifier: MIT
/// Reading CIFAR-10 files, good and bad, and the synthetic data set.
#include <cifar10/dataset.hpp>
#include <gossamer/error.hpp>

#include <tests/examples/small_files.hpp>
#include <tests/support.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using gossamer::ConfigError;

constexpr std::uintmax_t file_bytes = 30'730'000;

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A record with the given label whose byte k is (first + k) mod 256.
std::string record(int label, int first) {
  std::string bytes(1, static_cast<char>(label));
  for (int k = 0; k < 3072; ++k) bytes += static_cast<char>((first + k) % 256);
  return bytes;
}

/// A file of 10,000 records, black and of class 0, without taking room on the disk.
void make_batch(const fs::path& file) {
  write_file(file, "");
  fs::resize_file(file, file_bytes);
}

void make_batches(const fs::path& folder) {
  fs::create_directories(folder);
  for (int i = 1; i <= 5; ++i) make_batch(folder / ("data_batch_" + std::to_string(i) + ".bin"));
  make_batch(folder / "test_batch.bin");
}

void patch(const fs::path& file, std::streamoff offset, const std::string& bytes) {
  std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
  stream.seekp(offset);
  stream << bytes;
}

/// FNV-1a, 64 bits.
std::uint64_t digest(const cifar10::Images& images) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  const auto add = [&hash](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3U; };
  const auto* pixels = images.pixels.data_ptr<std::uint8_t>();
  for (std::int64_t i = 0; i < images.pixels.numel(); ++i) add(pixels[i]);
  const auto* labels = images.labels.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < images.size(); ++i) add(static_cast<std::uint8_t>(labels[i]));
  return hash;
}

}  // namespace

TEST_CASE("Records come out as labels and planes in the order of the file",
          "[examples][dataset][parse]") {
  const auto bytes = record(9, 0) + record(0, 7);
  const auto images = cifar10::parse_records(as_bytes(bytes), "two records");
  REQUIRE(images.size() == 2);
  CHECK(images.pixels.sizes() == at::IntArrayRef({2, 3, 32, 32}));
  CHECK(images.pixels.scalar_type() == at::kByte);
  CHECK(images.pixels.is_contiguous());
  CHECK(images.labels.scalar_type() == at::kLong);
  CHECK(images.labels[0].item<std::int64_t>() == 9);
  CHECK(images.labels[1].item<std::int64_t>() == 0);
  CHECK(images.pixels[0][0][1][0].item<int>() == 32);
  CHECK(images.pixels[1][2][31][31].item<int>() == (7 + 3071) % 256);
}

TEST_CASE("No records at all are no images", "[examples][dataset][parse]") {
  const auto images = cifar10::parse_records({}, "nothing");
  CHECK(images.size() == 0);
  CHECK(images.pixels.sizes() == at::IntArrayRef({0, 3, 32, 32}));
}

TEST_CASE("A record cut short is refused with the sizes", "[examples][dataset][parse]") {
  const auto bytes = record(1, 0) + record(2, 0).substr(0, 100);
  const auto text = tests::message_of<ConfigError>(
      [&] { (void)cifar10::parse_records(as_bytes(bytes), "somewhere"); });
  CHECK(text ==
        "CIFAR-10: somewhere must hold whole records of 3073 bytes, got 3173 bytes: 1 records and "
        "100 bytes more");
}

TEST_CASE("A label above 9 is refused with the number of its record",
          "[examples][dataset][parse]") {
  const auto bytes = record(1, 0) + record(9, 0) + record(255, 0);
  const auto text = tests::message_of<ConfigError>(
      [&] { (void)cifar10::parse_records(as_bytes(bytes), "somewhere"); });
  CHECK(text ==
        "CIFAR-10: somewhere: record 2 (counted from 0) must have a label from 0 to 9, got 255");
}

TEST_CASE("The six files load from their folder and from its parent",
          "[examples][dataset][parse]") {
  const tests::TemporaryFolder folder;
  const auto inner = folder.path() / "cifar-10-batches-bin";
  make_batches(inner);
  patch(inner / "data_batch_1.bin", 0, record(6, 1));
  patch(inner / "data_batch_5.bin", 9'999 * 3'073, record(8, 2));
  patch(inner / "test_batch.bin", 3'073, record(3, 5));
  for (const auto& path : {inner, folder.path()}) {
    const auto data = cifar10::load(path);
    CHECK(data.name == "cifar10");
    REQUIRE(data.train.size() == 50'000);
    REQUIRE(data.test.size() == 10'000);
    CHECK(data.train.pixels.is_contiguous());
    CHECK(data.train.labels[0].item<int>() == 6);
    CHECK(data.train.labels[49'999].item<int>() == 8);
    CHECK(data.train.pixels[49'999][0][0][0].item<int>() == 2);
    CHECK(data.test.labels[1].item<int>() == 3);
    CHECK(data.test.pixels[1][0][0][0].item<int>() == 5);
    CHECK(data.train.labels.sum().item<int>() == 14);
  }
}

TEST_CASE("Damaged files are refused by name, with what was expected",
          "[examples][dataset][parse]") {
  const tests::TemporaryFolder folder;
  make_batches(folder.path());
  const auto refusal = [&] {
    return tests::message_of<ConfigError>([&] { (void)cifar10::load(folder.path()); });
  };
  SECTION("a truncated file") {
    const auto file = folder.path() / "data_batch_3.bin";
    fs::resize_file(file, file_bytes - 1);
    CHECK(refusal() == "CIFAR-10: " + file.string() +
                           " must hold 10000 records of 3073 bytes, 30730000 bytes in all, got "
                           "30729999 bytes");
  }
  SECTION("a file that is too long by a whole record") {
    fs::resize_file(folder.path() / "test_batch.bin", file_bytes + 3'073);
    CHECK(refusal().find("got 30733073 bytes") != std::string::npos);
  }
  SECTION("an empty file") {
    fs::resize_file(folder.path() / "data_batch_1.bin", 0);
    CHECK(refusal().find("got 0 bytes") != std::string::npos);
  }
  SECTION("a missing training file") {
    const auto file = folder.path() / "data_batch_5.bin";
    fs::remove(file);
    CHECK(refusal() ==
          "CIFAR-10: " + file.string() + " is missing; expected a file of 30730000 bytes");
  }
  SECTION("a missing test file") {
    fs::remove(folder.path() / "test_batch.bin");
    CHECK(refusal().find("test_batch.bin is missing") != std::string::npos);
  }
  SECTION("a folder in the place of a file") {
    fs::remove(folder.path() / "data_batch_2.bin");
    fs::create_directory(folder.path() / "data_batch_2.bin");
    CHECK(refusal().find("data_batch_2.bin is not a regular file") != std::string::npos);
  }
  SECTION("an impossible label") {
    patch(folder.path() / "data_batch_4.bin", 1'234 * 3'073, "\x0a");
    const auto text = refusal();
    CHECK(text.find("data_batch_4.bin: record 1234 ") != std::string::npos);
    CHECK(text.find("label from 0 to 9, got 10") != std::string::npos);
  }
}

TEST_CASE("A folder that is not there is refused by name", "[examples][dataset][parse]") {
  const tests::TemporaryFolder folder;
  const auto missing = folder.path() / "nowhere";
  const auto text = tests::message_of<ConfigError>([&] { (void)cifar10::load(missing); });
  CHECK(text.find(missing.string() + " is not a folder") != std::string::npos);
}

TEST_CASE("The synthetic data set is the same bytes on every machine",
          "[examples][dataset][parse]") {
  const auto data = cifar10::synthetic(1, 200, 100);
  CHECK(data.name == "synthetic");
  CHECK(digest(data.train) == 0xff7db3336a0659daU);
  CHECK(digest(data.test) == 0xd5d0e72df825efeaU);
}

TEST_CASE("A smaller synthetic set is the beginning of a larger one, and another seed another set",
          "[examples][dataset][parse]") {
  const auto small = cifar10::synthetic(7, 33, 5);
  const auto large = cifar10::synthetic(7, 80, 20);
  const auto other = cifar10::synthetic(8, 33, 5);
  CHECK(small.train.pixels.equal(large.train.pixels.slice(0, 0, 33)));
  CHECK(small.train.labels.equal(large.train.labels.slice(0, 0, 33)));
  CHECK(small.test.pixels.equal(large.test.pixels.slice(0, 0, 5)));
  CHECK_FALSE(small.train.pixels.equal(other.train.pixels));
  CHECK_FALSE(small.train.pixels.slice(0, 0, 5).equal(small.test.pixels));
}

TEST_CASE("Each ten synthetic images in a row hold every class once",
          "[examples][dataset][parse]") {
  const auto data = cifar10::synthetic(3, 50, 10);
  for (int block = 0; block < 5; ++block) {
    const auto labels = data.train.labels.slice(0, block * 10, block * 10 + 10);
    CHECK(std::get<0>(labels.sort()).equal(at::arange(10)));
  }
  CHECK_FALSE(data.train.labels.slice(0, 0, 10).equal(data.train.labels.slice(0, 10, 20)));
}

TEST_CASE("A synthetic set of no images is refused", "[examples][dataset][parse]") {
  const auto text = tests::message_of<ConfigError>([] { (void)cifar10::synthetic(1, 0, 10); });
  CHECK(text == "synthetic data set: a size must be at least 1 image, got 0");
  CHECK_THROWS_AS(cifar10::synthetic(1, 10, -1), ConfigError);
}

TEST_CASE("The real data set has the labels and moments that its users know",
          "[examples][dataset][parse]") {
  const char* folder = std::getenv("GOSSAMER_DATA");
  if (folder == nullptr) return;
  const auto data = cifar10::load(folder);
  const auto first = [](const cifar10::Images& images) {
    const auto* labels = images.labels.data_ptr<std::int64_t>();
    return std::vector<std::int64_t>(labels, labels + 10);
  };
  CHECK(first(data.train) == std::vector<std::int64_t>{6, 9, 9, 4, 1, 1, 2, 7, 8, 3});
  CHECK(first(data.test) == std::vector<std::int64_t>{3, 8, 8, 0, 6, 6, 1, 6, 3, 1});
  CHECK(at::bincount(data.train.labels).equal(at::full({10}, 5'000, at::kLong)));
  CHECK(at::bincount(data.test.labels).equal(at::full({10}, 1'000, at::kLong)));
  constexpr std::array mean = {0.49140, 0.48216, 0.44653};
  constexpr std::array deviation = {0.24703, 0.24349, 0.26159};
  for (int c = 0; c < 3; ++c) {
    const auto plane = data.train.pixels.select(1, c).to(at::kDouble).div_(255);
    const auto at_c = static_cast<std::size_t>(c);
    CHECK(std::abs(plane.mean().item<double>() - mean[at_c]) < 1e-5);
    CHECK(std::abs(plane.std(false).item<double>() - deviation[at_c]) < 1e-5);
  }
}
