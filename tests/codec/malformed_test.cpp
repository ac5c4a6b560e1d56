// SPDX-License-Identifier: MIT
/// Codes that anybody may have written.
#include <gossamer/codec/registry.hpp>

#include <tests/codec/codec_samples.hpp>
#include <tests/support.hpp>

#include <limits>
#include <optional>

namespace {

using namespace tests::codec;
using gossamer::Generator;
using gossamer::codec::Codec;
using gossamer::codec::CodeError;
using gossamer::codec::CodeRule;
using gossamer::codec::from_name;

/// The code of n normally distributed numbers.
Code code_of(const Codec& codec, std::size_t n) {
  Generator generator(tests::seed, 4600);
  Code code(codec.bytes(n));
  REQUIRE(codec.encode(gaussian(n, 4601), {}, generator, code));
  return code;
}
std::optional<CodeRule> refusal(const Codec& codec, const Code& code, std::size_t n) {
  Numbers out(n);
  const auto error = codec.decode(code, out);
  if (!error) return std::nullopt;
  CHECK_FALSE(error->text().empty());
  return error->rule;
}
void put(Code& code, std::size_t at, int bits) {
  const auto value = static_cast<std::uint16_t>(bits);
  std::memcpy(code.data() + at, &value, sizeof value);
}

TEST_CASE("A code that is shorter or longer by any number of bytes is refused", "[codec][parse]") {
  for (const auto& entry : gossamer::codec::all()) {
    for (const std::size_t n : {1, 8, 200, 256, 300}) {
      const Code code = code_of(*entry.codec, n);
      Code other = code;
      for (std::size_t size = 0; size <= code.size() + 40; ++size) {
        other.resize(size);
        if (size == code.size()) other = code;
        const auto rule = refusal(*entry.codec, other, n);
        CHECK((rule == CodeRule::length) == (size != code.size()));
      }
    }
  }
}

TEST_CASE("Scales that are negative, denormal, infinite or not a number are refused",
          "[codec][parse]") {
  for (const char* name : {"int8", "int4", "two_bits", "ternary", "sign", "sparse_sign:0.1"}) {
    const auto codec = from_name(name);
    for (const std::size_t n : {100, 256, 600}) {
      for (const int bits :
           {0x8000, 0x8001, 0xbf80, 0x0001, 0x007f, 0x7f80, 0x7fc0, 0xff80, 0xffff}) {
        Code code = code_of(*codec, n);
        put(code, 0, bits);
        INFO(name << ", " << bits);
        CHECK(refusal(*codec, code, n) == CodeRule::scale);
      }
      for (const int bits : {0x0000, 0x0080, 0x3f80, 0x7b00}) {
        Code code = code_of(*codec, n);
        put(code, 0, bits);
        const bool accepted = !refusal(*codec, code, n);
        CHECK(accepted);
      }
    }
  }
  Code code = code_of(*from_name("two_bits"), 300);
  put(code, 2, 0x7f80);  // the second scale
  CHECK(refusal(*from_name("two_bits"), code, 300) == CodeRule::scale);
  code = code_of(*from_name("sign"), 300);
  put(code, 34, 0xffff);  // that of the second block
  CHECK(refusal(*from_name("sign"), code, 300) == CodeRule::scale);
}

TEST_CASE("Numbers that are not finite are refused wherever they are", "[codec][parse]") {
  for (const char* name : {"float16", "bfloat16", "top_k:0.1", "random_k:0.1"}) {
    const auto codec = from_name(name);
    const std::size_t first = std::string(name).starts_with("random") ? 8 : 0;
    const bool sparse = std::string(name).ends_with("0.1");
    const std::size_t count = sparse ? 30 : 300;
    for (std::size_t i = 0; i < count; ++i) {
      for (const int bits : {0x7fff, 0xff80}) {
        Code code = code_of(*codec, 300);
        put(code, first + 2 * i, bits);
        CHECK(refusal(*codec, code, 300) == CodeRule::number);
      }
    }
  }
  const float infinite = std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < 300; ++i) {
    Code code = code_of(*from_name("exact"), 300);
    std::memcpy(code.data() + 4 * i, &infinite, sizeof infinite);
    CHECK(refusal(*from_name("exact"), code, 300) == CodeRule::number);
  }
}

TEST_CASE("Levels beyond the last one are refused wherever they are", "[codec][parse]") {
  for (const char* name : {"int8", "int4", "ternary"}) {
    const auto codec = from_name(name);
    for (const std::size_t n : {37, 256, 300}) {
      const std::size_t bytes = codec->bytes(n);
      for (std::size_t i = 2; i < bytes; ++i) {
        const bool is_scale = n > 256 && (i == codec->bytes(256) || i == codec->bytes(256) + 1);
        if (is_scale) continue;
        Code code = code_of(*codec, n);
        code[i] = std::byte{0xff};
        INFO(name << ", byte " << i << " of " << bytes);
        const bool last = i + 1 == bytes && n % 256 != 0;  // may be padding as well
        const auto rule = refusal(*codec, code, n);
        CHECK((rule == CodeRule::level || (last && rule == CodeRule::padding)));
      }
    }
  }
}

TEST_CASE("Padding that is not zero is refused", "[codec][parse]") {
  for (const char* name : {"int4", "two_bits", "sign"}) {
    const auto codec = from_name(name);
    Code code = code_of(*codec, 257);
    code.back() |= std::byte{0x80};
    INFO(name);
    CHECK(refusal(*codec, code, 257) == CodeRule::padding);
  }
  Code code = code_of(*from_name("ternary"), 6);
  code.back() = std::byte{3};  // one number, two digits
  CHECK(refusal(*from_name("ternary"), code, 6) == CodeRule::padding);
  const auto sparse = from_name("sparse_sign:0.01");  // 10 of 1000: 2 bytes of signs
  code = code_of(*sparse, 1000);
  code[3] |= std::byte{0x80};
  CHECK(refusal(*sparse, code, 1000) == CodeRule::padding);
  code = code_of(*sparse, 1000);
  code[4 + 7] |= std::byte{0x80};  // 60 low bits
  CHECK(refusal(*sparse, code, 1000) == CodeRule::padding);
}

TEST_CASE("Indices that do not increase, lie outside, or are too many or few are refused",
          "[codec][parse]") {
  const auto codec = from_name("top_k:0.01");  // 10 of 1000; 20 bytes, 8 of low bits, 4 set
  const Code good = code_of(*codec, 1000);
  Code code = good;
  for (std::size_t i = 28; i < 32; ++i) code[i] = std::byte{0};
  CHECK(refusal(*codec, code, 1000) == CodeRule::index);
  for (std::size_t i = 28; i < 32; ++i) code[i] = std::byte{0xff};
  CHECK(refusal(*codec, code, 1000) == CodeRule::index);
  code = good;  // ten indices in the first 64 numbers, all the same
  for (std::size_t i = 20; i < 32; ++i) code[i] = std::byte{0};
  code[28] = std::byte{0xff};
  code[29] = std::byte{0x03};
  CHECK(refusal(*codec, code, 1000) == CodeRule::index);
  code = good;  // the last ten places, of which the highest indices are 1023
  for (std::size_t i = 20; i < 28; ++i) code[i] = std::byte{0xff};
  code[27] = std::byte{0x0f};
  code[28] = std::byte{0};
  code[29] = std::byte{0x80};
  code[30] = std::byte{0xff};
  code[31] = std::byte{0x01};
  CHECK(refusal(*codec, code, 1000) == CodeRule::index);
  std::size_t refused = 0;
  for (std::size_t bit = 8 * 28; bit < 8 * 32; ++bit) {  // each flip makes one too many or few
    code = good;
    code[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    refused += refusal(*codec, code, 1000) == CodeRule::index ? 1 : 0;
  }
  CHECK(refused == 32);
}

TEST_CASE("Any bytes are refused or decoded to finite numbers, and nothing is touched outside",
          "[codec][parse]") {
  Generator generator(tests::seed, 4602);
  for (const auto& entry : gossamer::codec::all()) {
    for (const std::size_t n : {1, 7, 256, 300, 1000}) {
      for (int round = 0; round < 200; ++round) {
        Code code = code_of(*entry.codec, n);
        const int changes = round % 5;
        for (int c = 0; c < changes; ++c) {
          code[generator.below(static_cast<std::uint32_t>(code.size()))] =
              static_cast<std::byte>(generator());
        }
        if (round % 10 == 9) {
          for (std::byte& b : code) b = static_cast<std::byte>(generator());
        }
        Numbers out(n + 16, 5);
        const auto error = entry.codec->decode(code, std::span(out).subspan(8, n));
        for (std::size_t i = 0; i < 8; ++i) REQUIRE((out[i] == 5 && out[8 + n + i] == 5));
        if (error) continue;
        for (const float x : out) REQUIRE(std::isfinite(x));
      }
    }
  }
}

}  // namespace
