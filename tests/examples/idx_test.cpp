// SPDX-License-Identifier: MIT
/// Reading IDX files, good and bad; shares; the synthetic points.
#include <gossamer/error.hpp>
#include <shared/idx.hpp>
#include <shared/mnist.hpp>

#include <tests/examples/small_files.hpp>
#include <tests/gzipped.hpp>
#include <tests/support.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace {

using examples::parse_idx;
using examples::shares;
using gossamer::ConfigError;
using tests::contains;

std::string header(std::initializer_list<std::uint32_t> sizes, int type = 8) {
  std::string bytes{0, 0, static_cast<char>(type), static_cast<char>(sizes.size())};
  for (const std::uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift & 255U);
  }
  return bytes;
}

at::Tensor parse(const std::string& bytes, std::size_t dimensions) {
  return parse_idx(std::as_bytes(std::span(bytes.data(), bytes.size())), dimensions, "FILE");
}

std::string error_of(const std::string& bytes, std::size_t dimensions) {
  return tests::message_of<ConfigError>([&] { (void)parse(bytes, dimensions); });
}

}  // namespace

TEST_CASE("An IDX array comes out with its sizes, the last dimension running fastest",
          "[examples][idx][parse]") {
  const at::Tensor array = parse(header({2, 1, 3}) + "abcdef", 3);
  CHECK(array.sizes() == at::IntArrayRef({2, 1, 3}));
  CHECK(array.scalar_type() == at::kByte);
  CHECK(array[1][0][2].item<int>() == 'f');
  CHECK(parse(header({300}) + std::string(300, '\xff'), 1).sum().item<int>() == 300 * 255);
}

TEST_CASE(
    "A wrong IDX header is refused with its file, the byte, what was expected and what is "
    "there",
    "[examples][idx][parse]") {
  const std::string good = header({2, 3}) + "abcdef";
  CHECK(error_of("", 1) ==
        "IDX: FILE: at byte 0: expected a header of 8 bytes, got the end of the file");
  CHECK(error_of(good.substr(0, 11), 2) ==
        "IDX: FILE: at byte 11: expected a header of 12 bytes, got the end of the file");
  std::string bad = good;
  bad[1] = 7;
  CHECK(error_of(bad, 2) == "IDX: FILE: at byte 1: expected 0, got 7");
  CHECK(error_of(header({2, 3}, 13) + "abcdef", 2) ==
        "IDX: FILE: at byte 2: expected 8 (unsigned bytes), got 13");
  CHECK(error_of(good, 1) == "IDX: FILE: at byte 3: expected 1, the number of dimensions, got 2");
  CHECK(error_of(header({2, 0}) + "ab", 2) ==
        "IDX: FILE: at byte 8: expected a size of at least 1, got 0");
}

TEST_CASE("An IDX file that is too short or too long for its sizes is refused",
          "[examples][idx][parse]") {
  CHECK(error_of(header({2, 3}) + "abcde", 2) ==
        "IDX: FILE: at byte 8: expected sizes whose product is the 5 bytes after the header, got "
        "size 3 after a product of 2");
  CHECK(error_of(header({2, 3}) + "abcdefg", 2) ==
        "IDX: FILE: at byte 18: expected the end of the file, got 1 bytes more");
  // Sizes whose product does not fit 64 bits, and one that wraps around to the right length.
  CHECK_THAT(error_of(header({0xffffffffU, 0xffffffffU, 0xffffffffU}) + "abc", 3),
             contains("at byte 4: expected sizes whose product is the 3 bytes"));
  CHECK_THAT(error_of(header({0x80000000U, 0x80000000U, 4}), 3), contains("at byte 4"));
}

TEST_CASE(
    "MNIST's file is found in a folder, in the folder mnist of it or where torchvision has it, "
    "packed or not, and must be images of 28 x 28",
    "[examples][idx][parse]") {
  const tests::TemporaryFolder folder;
  const std::string name = "train-images-idx3-ubyte";
  const auto file = folder.path() / "mnist" / name;
  const auto error = [&] {
    return tests::message_of<ConfigError>([&] { (void)examples::load_mnist(folder.path()); });
  };
  CHECK(error() ==
        "IDX: " + (folder.path() / name).string() + " must be a regular file, and is missing");
  std::filesystem::create_directories(file);
  CHECK(error() == "IDX: " + file.string() + " must be a regular file, and is none");
  std::filesystem::remove(file);
  write_file(file, header({1, 2, 2}) + "abcd");
  CHECK(error() == "MNIST: " + file.string() + ": expected images of 28 x 28 pixels, got 2 x 2");
  write_file(file, header({2, 28, 28}) + std::string(2 * 784, '\x33'));
  const examples::Points points = examples::load_mnist(folder.path());
  CHECK(points.name == "mnist");
  CHECK(points.values.sizes() == at::IntArrayRef({2, 784}));
  CHECK(at::equal(points.values, at::full({2, 784}, 51 / 255.0F)));
  CHECK(at::equal(examples::load_mnist(file.parent_path()).values, points.values));
  std::string bytes = header({2, 28, 28}) + std::string(2 * 784, '\x33');
  for (const char* where : {"", "raw", "MNIST/raw"}) {
    std::filesystem::remove_all(folder.path() / "mnist");
    std::filesystem::create_directories(folder.path() / where);
    for (const bool packed : {false, true}) {
      const auto there = folder.path() / where / (packed ? name + ".gz" : name);
      CAPTURE(there.string());
      write_file(there, packed ? tests::gzipped(bytes) : bytes);
      CHECK(at::equal(examples::load_mnist(folder.path()).values, points.values));
      if (packed) {
        write_file(there, tests::gzipped(bytes).substr(0, 30));
        CHECK(error() == "IDX: " + there.string() + ": gzip: ends in the middle");
        write_file(there, tests::gzipped(bytes.substr(1)));
        CHECK_THAT(error(), contains("IDX: " + there.string() + ": at byte 1: expected 0, got 8"));
      }
      std::filesystem::remove(there);
    }
  }
  CHECK_THAT(tests::message_of<ConfigError>(
                 [&] { (void)examples::load_mnist(folder.path() / "nowhere"); }),
             contains("nowhere is not a folder"));
}

TEST_CASE("Shares cover all rows once, equal but for one or growing by the node's number",
          "[examples][shares]") {
  const at::Tensor rows = at::arange(1000).unsqueeze(1);
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 16U, 100U);
  for (const bool unequal : {false, true}) {
    const std::vector<at::Tensor> parts = shares(rows, nodes, unequal);
    REQUIRE(parts.size() == nodes);
    CHECK(at::equal(at::cat(parts), rows));
    for (std::size_t i = 0; i < nodes; ++i) {
      const double ideal =
          unequal ? 2000.0 * static_cast<double>(i + 1) / static_cast<double>(nodes * (nodes + 1))
                  : 1000.0 / static_cast<double>(nodes);
      CHECK(std::abs(static_cast<double>(parts[i].size(0)) - ideal) < 1);
    }
  }
}

TEST_CASE("Synthetic points depend on the seed alone, and fewer are the beginning of more",
          "[examples][shares]") {
  const at::Tensor many = examples::synthetic_points(tests::seed, 50).values;
  CHECK(many.sizes() == at::IntArrayRef({50, 784}));
  CHECK(at::equal(examples::synthetic_points(tests::seed, 20).values, many.narrow(0, 0, 20)));
  CHECK_FALSE(at::equal(examples::synthetic_points(tests::seed + 1, 50).values, many));
  CHECK(many.min().item<float>() >= 0);
  CHECK(many.max().item<float>() <= 1);
  CHECK_THROWS_AS(examples::synthetic_points(1, 0), ConfigError);
}
