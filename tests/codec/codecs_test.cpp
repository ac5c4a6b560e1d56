// SPDX-License-Identifier: MIT
/// What every codec of the registry promises, over all of them.
#include <gossamer/codec/registry.hpp>
#include <gossamer/error.hpp>

#include <tests/codec/codec_samples.hpp>
#include <tests/support.hpp>

#include <limits>
#include <stdexcept>
#include <string>

namespace {

using namespace tests::codec;
using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::codec::AnyCodec;
using gossamer::codec::Codec;
using gossamer::codec::CodeRule;
using gossamer::codec::Entry;
using tests::Approx;

/// Encodes and decodes; fails the test unless both ends have the same bits.
Numbers round_trip(const Codec& codec, const Numbers& v, Generator& generator, Code& code) {
  code.assign(codec.bytes(v.size()), std::byte{0xa5});
  Numbers decoded(v.size(), 99);
  REQUIRE(codec.encode(v, decoded, generator, code));
  Numbers received(v.size(), 77);
  const auto error = codec.decode(code, received);
  INFO(codec.name() << ", " << v.size() << " numbers: " << (error ? error->text() : "accepted"));
  REQUIRE_FALSE(error);
  REQUIRE(same_bits(decoded, received));
  return decoded;
}

TEST_CASE("Sender and receiver decode the same bits, of any vector of any length",
          "[codec][parse]") {
  for (const Entry& entry : gossamer::codec::all()) {
    Generator generator(tests::seed, 4000);
    Code code;
    for (const std::size_t n : lengths) {
      for (const Sample& sample : hard(n)) {
        const Numbers decoded = round_trip(*entry.codec, sample.v, generator, code);
        Numbers in_place = sample.v;
        Generator same(tests::seed, 4001);
        Code other(code.size());
        REQUIRE(entry.codec->encode(in_place, in_place, same, other));
        Generator again(tests::seed, 4001);
        Code blind(code.size());
        REQUIRE(entry.codec->encode(sample.v, {}, again, blind));
        const bool as_blind = other == blind;
        CHECK(as_blind);
        REQUIRE_FALSE(entry.codec->decode(blind, in_place));
        for (const float x : decoded) REQUIRE(std::isfinite(x));
      }
    }
    CHECK(entry.codec->bytes(0) == 0);
    CHECK(entry.codec->encode({}, {}, generator, {}));
    CHECK_FALSE(entry.codec->decode({}, {}));
  }
}

TEST_CASE("No code loses more than its codec's delta says", "[codec]") {
  for (const Entry& entry : gossamer::codec::all()) {
    const bool draws = entry.codec->is_unbiased() || entry.usage.starts_with("random");
    Generator generator(tests::seed, 4002);
    Code code;
    for (const std::size_t n : {1, 7, 255, 256, 257, 1000, 4099}) {
      const double delta = entry.codec->delta(n);
      CHECK(delta <= 1);
      for (const Sample& sample : hard(n)) {
        const bool half = entry.usage == "float16";
        if (half && sample.name == "small gaussian") continue;  // below its range
        const int times = draws ? 400 : 1;
        double sum = 0;
        double squares = 0;
        for (int i = 0; i < times; ++i) {
          const double lost =
              square_apart(sample.v, round_trip(*entry.codec, sample.v, generator, code));
          sum += lost;
          squares += lost * lost;
        }
        const double mean = sum / times;
        const double variance = std::max(0.0, squares / times - mean * mean);
        INFO(entry.codec->name() << ", " << n << " of " << sample.name << ", delta " << delta);
        CHECK(mean <= (1 - delta + 1e-6) * square(sample.v) + 6 * std::sqrt(variance / times));
      }
    }
  }
}

TEST_CASE("Codes of normally distributed numbers are as good as theory says", "[codec]") {
  const Numbers v = gaussian(256 * 1000, 4003);
  const auto quality = [&v](const char* name) {
    Generator generator(tests::seed, 4004);
    Code code;
    const auto codec = gossamer::codec::from_name(name);
    return 1 - square_apart(v, round_trip(*codec, v, generator, code)) / square(v);
  };
  CHECK(quality("sign") == Approx(2 / 3.14159265).margin(0.004));
  CHECK(quality("two_bits") == Approx(0.8825).margin(0.004));  // Max's table
  CHECK(quality("ternary") == Approx(0.8098).margin(0.004));
  CHECK(quality("random_k:0.1") == Approx(0.1).margin(0.01));
  CHECK(quality("top_k:0.1") == Approx(0.438).margin(0.01));  // 2 (z phi(z) + 0.05), z = 1.645
  CHECK(quality("exact") == 1);
}

TEST_CASE("The mean of many codes is the vector, where a codec says so", "[codec]") {
  int unbiased = 0;
  for (const Entry& entry : gossamer::codec::all()) {
    if (!entry.codec->is_unbiased()) continue;
    ++unbiased;
    Generator generator(tests::seed, 4005);
    const std::size_t n = 300;
    const Numbers v = gaussian(n, 4006);
    std::vector<double> sum(n, 0);
    std::vector<double> squares(n, 0);
    const int times = 20000;
    Code code;
    for (int t = 0; t < times; ++t) {
      const Numbers decoded = round_trip(*entry.codec, v, generator, code);
      for (std::size_t i = 0; i < n; ++i) {
        sum[i] += decoded[i];
        squares[i] += static_cast<double>(decoded[i]) * decoded[i];
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      const double mean = sum[i] / times;
      const double variance = std::max(0.0, squares[i] / times - mean * mean);
      INFO(entry.codec->name() << ", number " << i << ": " << v[i] << ", mean " << mean);
      // Six deviations, and the 2^-16 of a step that codecs may be off.
      CHECK(std::fabs(mean - v[i]) <= 6 * std::sqrt(variance / times) + 1e-4 * 4 / 7);
    }
  }
  CHECK(unbiased == 5);
}

TEST_CASE("A vector with an infinite number or a NaN has no code", "[codec]") {
  const float infinite = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Entry& entry : gossamer::codec::all()) {
    for (const std::size_t n : {1, 7, 256, 300, 1000}) {
      for (const float bad : {infinite, -infinite, nan, -nan}) {
        for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
          Numbers v = gaussian(n, 4007);
          v[at] = bad;
          Generator generator(tests::seed, 4008);
          Code code(entry.codec->bytes(n));
          Numbers decoded(n);
          INFO(entry.codec->name() << ", " << bad << " at " << at << " of " << n);
          CHECK_FALSE(entry.codec->encode(v, decoded, generator, code));
          CHECK_FALSE(entry.codec->encode(v, {}, generator, code));
        }
      }
    }
  }
}

TEST_CASE("The largest and the smallest floats have codes that are finite, and none grows",
          "[codec]") {
  const float largest = std::numeric_limits<float>::max();
  const float denormal = std::numeric_limits<float>::denorm_min();
  for (const Entry& entry : gossamer::codec::all()) {
    if (entry.usage == "random_k:FRACTION:unbiased") continue;  // grows by intent
    for (const std::size_t n : {1, 200, 256, 600}) {
      for (const float x : {largest, denormal, 1000 * denormal, 0x1p-126F, 0x1p-120F}) {
        Numbers v(n, x);
        for (std::size_t i = 0; i < n; i += 2) v[i] = -x;
        Generator generator(tests::seed, 4009);
        Code code;
        for (const float y : round_trip(*entry.codec, v, generator, code)) {
          INFO(entry.codec->name() << ", " << x << " became " << y);
          REQUIRE(std::isfinite(y));
          // Stochastic rounding may go up to the next number of bfloat16.
          const bool up = entry.codec->is_unbiased();
          REQUIRE(std::fabs(y) <= std::max(1.008 * static_cast<double>(x), up ? 1e-38 : 0.0));
        }
      }
    }
  }
}

TEST_CASE("A code has the bytes that its codec says", "[codec]") {
  const auto bytes = [](const char* name, std::size_t n) {
    return gossamer::codec::from_name(name)->bytes(n);
  };
  CHECK(bytes("exact", 300) == 1200);
  CHECK(bytes("float16", 300) == 600);
  CHECK(bytes("bfloat16", 300) == 600);
  CHECK(bytes("int8", 256 + 44) == 258 + 46);
  CHECK(bytes("int4", 256 + 43) == 130 + 2 + 22);
  CHECK(bytes("two_bits", 256 + 43) == 68 + 4 + 11);
  CHECK(bytes("ternary", 256 + 43) == 54 + 2 + 9);
  CHECK(bytes("sign", 256) == 34);
  CHECK(bytes("sign", 256 + 43) == 34 + 2 + 6);
  CHECK(bytes("sign", 286154) == 1117 * 34 + 2 + 26);
  // 10 of 1000: l = 6, 60 low bits, 10 + 15 set bits.
  CHECK(bytes("top_k:0.01", 1000) == 20 + 8 + 4);
  CHECK(bytes("sparse_sign:0.01", 1000) == 2 + 2 + 8 + 4);
  CHECK(bytes("random_k:0.01", 1000) == 8 + 20);
  CHECK(bytes("top_k:1", 8) == 16 + 0 + 2);
}

TEST_CASE("The signs of a block are times the mean magnitude, rounded first", "[codec]") {
  Numbers v(256, 0);
  for (std::size_t i = 0; i < 256; ++i) v[i] = (i % 3 == 0 ? -1.0F : 1.0F) * static_cast<float>(i);
  Generator generator(tests::seed, 4010);
  Code code;
  const Numbers decoded = round_trip(gossamer::codec::Sign(), v, generator, code);
  for (std::size_t i = 0; i < 256; ++i) {  // the mean, 127.5, is a bfloat16
    REQUIRE(decoded[i] == (std::signbit(v[i]) ? -127.5F : 127.5F));
  }
}

TEST_CASE("The k largest numbers are kept, in place, and the others are zero", "[codec]") {
  const Numbers v = gaussian(5000, 4011);
  Generator generator(tests::seed, 4012);
  Code code;
  const Numbers decoded = round_trip(gossamer::codec::TopK(0.02), v, generator, code);
  Numbers sorted = v;
  std::sort(sorted.begin(), sorted.end(),
            [](float a, float b) { return std::fabs(a) > std::fabs(b); });
  const float least = std::fabs(sorted[99]);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    kept += decoded[i] != 0 ? 1 : 0;
    if (decoded[i] != 0) CHECK(std::fabs(v[i]) >= least * (1 - 0x1p-13F));
    if (decoded[i] != 0) CHECK(decoded[i] == Approx(v[i]).epsilon(0x1p-8));
  }
  CHECK(kept == 100);
}

TEST_CASE("Error feedback through any contraction writes a vector down in the end", "[codec]") {
  for (const Entry& entry : gossamer::codec::all()) {
    if (!(entry.delta() > 0)) continue;
    Generator generator(tests::seed, 4013);
    Numbers rest = gaussian(700, 4014);
    const double before = square(rest);
    Code code;
    for (int round = 0; round < 1200; ++round) {
      const Numbers decoded = round_trip(*entry.codec, rest, generator, code);
      for (std::size_t i = 0; i < rest.size(); ++i) rest[i] -= decoded[i];
    }
    INFO(entry.codec->name());
    CHECK(square(rest) < 1e-3 * before);
  }
}

TEST_CASE("Buffers of a wrong size are refused before anything is written", "[codec]") {
  const gossamer::codec::Sign codec;
  Generator generator(tests::seed, 4015);
  const Numbers v(100, 1);
  Numbers decoded(99);
  Code code(codec.bytes(100));
  CHECK_THROWS_AS(codec.encode(v, decoded, generator, code), std::invalid_argument);
  code.push_back({});
  CHECK_THAT(
      tests::message_of<std::invalid_argument>([&] { (void)codec.encode(v, {}, generator, code); }),
      tests::contains("100 numbers need 15 bytes and as many decoded, got 16 and 0"));
  const auto error = codec.decode(code, std::span(decoded).first(99));
  REQUIRE(error);
  CHECK(error->rule == CodeRule::length);
  CHECK(error->text() == "a code has 16 bytes, for this vector and codec it must have 15");
}

}  // namespace
