// SPDX-License-Identifier: MIT
/// Codebooks that follow activations: the reader has the writer's bits, and bad codes are refused.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/pipeline/vector_quantizer.hpp>

#include <tests/support.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::pipeline::QuantizedActivations;
using gossamer::pipeline::VectorDequantizer;
using gossamer::pipeline::VectorQuantizer;
using gossamer::pipeline::VectorQuantizerOptions;

/// (batch, 8, 3, 3) numbers around `centre`, from one of 16 prototypes a group of 4 channels.
at::Tensor activations(Generator& random, double noise = 0.01, double centre = 0) {
  at::Tensor x = at::zeros({16, 8, 3, 3});
  auto* out = x.data_ptr<float>();
  for (std::int64_t image = 0; image < 16; ++image) {
    for (std::int64_t place = 0; place < 9; ++place) {
      for (std::int64_t group = 0; group < 2; ++group) {
        const std::uint32_t prototype = random.below(16);
        for (std::int64_t k = 0; k < 4; ++k) {
          const double sign = ((prototype >> static_cast<unsigned>(k)) & 1U) == 0 ? -1 : 1;
          const double value = centre + sign + noise * (random.uniform() - 0.5);
          out[(image * 8 + group * 4 + k) * 9 + place] = static_cast<float>(value);
        }
      }
    }
  }
  return x;
}

constexpr std::int64_t vectors = 16 * 9;

double error_of(const at::Tensor& x, const QuantizedActivations& read) {
  return (read.decode(x.sizes()) - x).square().mean().item<double>();
}

/// Of a writer that has the same past: what its reader reads.
QuantizedActivations read(VectorDequantizer& reader, const std::vector<std::byte>& code) {
  auto result = reader.read(code, vectors);
  REQUIRE(result);
  return *result;
}

const auto options = VectorQuantizerOptions().codes(32).update_every(2).decay(0.9);

}  // namespace

TEST_CASE("A vector becomes the nearest codeword of its group", "[pipeline]") {
  Generator random(tests::seed, 5700);
  VectorQuantizer writer(8, options);
  VectorDequantizer reader(8, options);
  for (int i = 0; i < 5; ++i) {
    const at::Tensor x = activations(random, /*noise=*/1);
    const QuantizedActivations got = read(reader, writer.encode(x));
    const at::Tensor decoded = got.decode(x.sizes());
    REQUIRE(decoded.sizes() == x.sizes());
    for (std::int64_t image = 0; image < 16; image += 5) {
      for (std::int64_t group = 0; group < 2; ++group) {
        const auto of = [&](const at::Tensor& from) {
          return from[image].slice(0, 4 * group, 4 * group + 4).select(1, 2).select(1, 1);
        };
        const at::Tensor distances = (got.codebooks[group] - of(x)).square().sum(1);
        const double found = (of(decoded) - of(x)).square().sum().item<double>();
        CHECK(found == tests::Approx(distances.min().item<double>()).margin(1e-5));
      }
    }
  }
}

TEST_CASE("Codebooks find the vectors that there are, and follow them when they move",
          "[pipeline]") {
  Generator random(tests::seed, 5701);
  VectorQuantizer writer(8, options);
  VectorDequantizer reader(8, options);
  at::Tensor x;
  std::optional<QuantizedActivations> got;
  for (int i = 0; i < 40; ++i) got = read(reader, writer.encode(x = activations(random)));
  CHECK(error_of(x, *got) < 1e-4);  // 32 codewords for 16 prototypes, whose noise has 8e-6
  x = activations(random, 0.01, /*centre=*/3);
  CHECK(error_of(x, read(reader, writer.encode(x))) > 1);
  for (int i = 0; i < 80; ++i) {
    got = read(reader, writer.encode(x = activations(random, 0.01, 3)));
  }
  CHECK(error_of(x, *got) < 0.05);  // two prototypes that share a codeword cost 0.016
}

TEST_CASE("What was kept is decoded with the codebooks of its time", "[pipeline]") {
  Generator random(tests::seed, 5702);
  VectorQuantizer writer(8, options);
  VectorDequantizer reader(8, options);
  const at::Tensor x = activations(random);
  const QuantizedActivations kept = read(reader, writer.encode(x));
  const at::Tensor decoded = kept.decode(x.sizes());
  for (int i = 0; i < 20; ++i) read(reader, writer.encode(activations(random, 0.01, 5)));
  CHECK(at::equal(kept.decode(x.sizes()), decoded));
}

TEST_CASE("Indices are a byte a vector, codebooks go in whole once, and then what has changed",
          "[pipeline]") {
  Generator random(tests::seed, 5703);
  VectorQuantizer writer(8, options);
  const std::size_t bare = 9 + 2 * vectors;  // header, indices
  const std::size_t numbers = 2 * 32 * 4;
  CHECK(writer.encode(activations(random)).size() == bare + 4 * numbers);
  CHECK(writer.encode(activations(random)).size() == bare);
  CHECK(writer.encode(activations(random)).size() == bare + numbers + 2);  // one block, its scale
  CHECK(writer.encode(activations(random), /*learn=*/false).size() == bare);
  writer.restart();
  CHECK(writer.encode(activations(random)).size() == bare + 4 * numbers);
}

TEST_CASE("A reader that has missed a change refuses what comes until the writer restarts",
          "[pipeline]") {
  Generator random(tests::seed, 5704);
  VectorQuantizer writer(8, options);
  VectorDequantizer reader(8, options);
  VectorDequantizer late(8, options);
  read(reader, writer.encode(activations(random)));
  read(reader, writer.encode(activations(random)));
  (void)writer.encode(activations(random));  // a change that is lost
  CHECK_FALSE(reader.read(writer.encode(activations(random)), vectors));
  CHECK_FALSE(late.read(writer.encode(activations(random)), vectors));
  writer.restart();
  const at::Tensor x = activations(random);
  const std::vector<std::byte> code = writer.encode(x);
  CHECK(at::equal(read(reader, code).decode(x.sizes()), read(late, code).decode(x.sizes())));
  const std::vector<std::byte> next = writer.encode(x);
  CHECK(at::equal(read(reader, next).codebooks, read(late, next).codebooks));
}

TEST_CASE("Codes that are cut, of another kind, or with an index too large are refused",
          "[pipeline]") {
  Generator random(tests::seed, 5705);
  VectorQuantizer writer(8, options);
  std::vector<std::byte> code = writer.encode(activations(random));
  for (std::size_t size = 0; size < code.size(); size += 7) {
    VectorDequantizer reader(8, options);
    CHECK_FALSE(reader.read(std::span(code).first(size), vectors));
  }
  VectorDequantizer reader(8, options);
  CHECK_FALSE(reader.read(code, vectors + 1));
  std::vector<std::byte> other = code;
  other[8] = std::byte{3};
  CHECK_FALSE(reader.read(other, vectors));
  other = code;
  other.back() = std::byte{32};
  CHECK_FALSE(reader.read(other, vectors));
  CHECK(reader.read(code, vectors));
}

TEST_CASE("Activations that are not finite have no code, and leave codebooks as they were",
          "[pipeline]") {
  Generator random(tests::seed, 5706);
  VectorQuantizer writer(8, options);
  VectorDequantizer reader(8, options);
  at::Tensor bad = activations(random);
  bad[0][0][0][0].fill_(std::numeric_limits<float>::quiet_NaN());
  CHECK(writer.encode(bad).empty());
  read(reader, writer.encode(activations(random)));
  CHECK(writer.encode(bad).empty());
  read(reader, writer.encode(activations(random)));
}

TEST_CASE("A quantizer that cannot work is refused", "[pipeline]") {
  const auto refusal = [](const VectorQuantizerOptions& wrong) {
    return tests::message_of<ConfigError>([&] { VectorQuantizer(8, wrong); });
  };
  CHECK(refusal(VectorQuantizerOptions().group(3)) ==
        "VectorQuantizer: group must divide the 8 channels, got 3");
  CHECK(refusal(VectorQuantizerOptions().group(0)) ==
        "VectorQuantizer: group must divide the 8 channels, got 0");
  CHECK(refusal(VectorQuantizerOptions().codes(257)) ==
        "VectorQuantizer: codes must lie in [2, 256], got 257");
  CHECK(refusal(VectorQuantizerOptions().decay(1)) ==
        "VectorQuantizer: decay must lie in [0, 1), got 1");
  CHECK(refusal(VectorQuantizerOptions().update_every(0)) ==
        "VectorQuantizer: update_every must be at least 1, got 0");
}
