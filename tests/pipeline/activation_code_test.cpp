// SPDX-License-Identifier: MIT
/// Batches as bytes, from a module to the next.
#include <gossamer/codec/exact.hpp>
#include <gossamer/codec/int8.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/pipeline/activation_code.hpp>

#include <tests/support.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using gossamer::Generator;
using gossamer::codec::AnyCodec;
using gossamer::codec::Exact;
using gossamer::codec::Int8;
using gossamer::pipeline::ActivationFormat;
using gossamer::pipeline::ActivationReader;
using gossamer::pipeline::Activations;
using gossamer::pipeline::ActivationWriter;
using gossamer::pipeline::PackedActivations;
using gossamer::pipeline::ReplayBuffer;
using gossamer::pipeline::VectorQuantizerOptions;

Activations batch_of(Generator& random, std::int64_t size = 5) {
  at::Tensor values = at::zeros({size, 4, 2, 3});
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    values.view({-1})[i].fill_(random.uniform() - 0.5);
  }
  at::Tensor targets = at::zeros({size}, at::kLong);
  for (std::int64_t i = 0; i < size; ++i) targets[i].fill_(i * 13'000);  // up to 52,000
  return {values, targets};
}

const ActivationFormat exact{{4, 2, 3}, AnyCodec(Exact())};
const ActivationFormat int8{{4, 2, 3}, AnyCodec(Int8())};
const ActivationFormat vectors{{4, 2, 3}, VectorQuantizerOptions().group(2).codes(16)};

}  // namespace

TEST_CASE("A batch comes back with its targets, and with its values as well as its code can",
          "[pipeline][codec]") {
  Generator random(tests::seed, 5800);
  struct Case {
    ActivationFormat format;
    double tolerance;
  };
  for (const auto& [format, tolerance] : {Case{exact, 0}, Case{int8, 0.004}, Case{vectors, 0.5}}) {
    ActivationWriter writer(format);
    ActivationReader reader(format);
    for (const std::int64_t size : {5, 1, 3}) {  // batches need not be of one size
      const Activations batch = batch_of(random, size);
      const auto packed = reader.read(writer.write(batch));
      REQUIRE(packed);
      const Activations got = packed->unpack();
      CHECK(at::equal(got.targets, batch.targets));
      REQUIRE(got.values.sizes() == batch.values.sizes());
      CHECK((got.values - batch.values).abs().max().item<double>() <= tolerance);
    }
  }
}

TEST_CASE("A buffer of packed batches hands each out as often as it is wanted",
          "[pipeline][codec][threads]") {
  Generator random(tests::seed, 5801);
  ActivationWriter writer(vectors);
  ActivationReader reader(vectors);
  ReplayBuffer<PackedActivations> buffer(2, /*max_reuse=*/2);
  std::vector<at::Tensor> expected;
  for (int i = 0; i < 2; ++i) {
    const auto packed = reader.read(writer.write(batch_of(random)));
    REQUIRE(packed);
    expected.push_back(packed->unpack().values);
    buffer.put(*packed);
  }
  buffer.close();
  std::vector<at::Tensor> got;
  std::thread other([&] {
    while (const auto packed = buffer.take()) got.push_back(packed->unpack().values);
  });
  other.join();
  REQUIRE(got.size() == 4);
  for (const std::size_t i : {0U, 2U}) {
    CHECK(at::equal(got[i], expected[1]));
    CHECK(at::equal(got[i + 1], expected[0]));
  }
}

TEST_CASE("Bytes that are no batch of the format are refused", "[pipeline][codec]") {
  Generator random(tests::seed, 5802);
  for (const ActivationFormat& format : {exact, int8, vectors}) {
    const std::vector<std::byte> bytes = ActivationWriter(format).write(batch_of(random));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      ActivationReader reader(format);
      CHECK_FALSE(reader.read(std::span(bytes).first(size)));
    }
    std::vector<std::byte> longer = bytes;
    longer.push_back(std::byte{0});
    CHECK_FALSE(ActivationReader(format).read(longer));
    std::vector<std::byte> huge = bytes;
    for (std::size_t i = 0; i < 4; ++i) huge[i] = std::byte{0xff};
    CHECK_FALSE(ActivationReader(format).read(huge));
    std::vector<std::byte> none = bytes;
    for (std::size_t i = 0; i < 4; ++i) none[i] = std::byte{0};
    CHECK_FALSE(ActivationReader(format).read(none));
  }
}

TEST_CASE("A code that its codec refuses is found when it is wanted", "[pipeline][codec]") {
  Generator random(tests::seed, 5803);
  std::vector<std::byte> bytes = ActivationWriter(int8).write(batch_of(random));
  bytes[4 + 2 * 5 + 1] = std::byte{0xff};  // a negative scale
  const auto packed = ActivationReader(int8).read(bytes);
  REQUIRE(packed);
  CHECK(tests::message_of<std::runtime_error>([&] {
          (void)packed->unpack();
        }).find("activations: a code has a scale") == 0);
}

TEST_CASE("Values that are not finite are not written", "[pipeline][codec]") {
  Generator random(tests::seed, 5804);
  Activations batch = batch_of(random);
  batch.values[1][2][0][1].fill_(std::numeric_limits<float>::infinity());
  for (const ActivationFormat& format : {int8, vectors}) {
    CHECK(ActivationWriter(format).write(batch).empty());
  }
}
