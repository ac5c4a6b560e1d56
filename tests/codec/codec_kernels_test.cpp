// SPDX-License-Identifier: MIT
/// The codecs' loops: the same bits in vectors of any width.
#include <gossamer/codec/half_kernels.hpp>
#include <gossamer/codec/kernels.hpp>

#include <tests/codec/codec_samples.hpp>
#include <tests/support.hpp>

#include <array>
#include <bit>
#include <limits>

namespace {

namespace kernels = gossamer::codec::kernels;
using gossamer::Generator;
using kernels::block;
using kernels::Noise;
using tests::codec::Code;
using tests::codec::Numbers;

/// Runs a kernel as any processor can.
struct Portable {
  template <class Kernel, class... Arguments>
  static auto run(Arguments... arguments) {
    return kernels::detail::portable<Kernel>(arguments...);
  }
};
#if defined(__x86_64__)
/// Runs it as those with AVX2 do.
struct WithAvx2 {
  template <class Kernel, class... Arguments>
  static auto run(Arguments... arguments) {
    return kernels::detail::with_avx2<Kernel>(arguments...);
  }
};
bool has_avx2() { return __builtin_cpu_supports("avx2"); }
#else
using WithAvx2 = Portable;
bool has_avx2() { return false; }
#endif

/// Everything that the kernels make of a block, as bits.
template <class Path>
std::vector<std::uint32_t> all_results(const Numbers& v) {
  std::vector<std::uint32_t> bits;
  Code code(2 * block);
  Numbers out(block);
  const auto keep = [&](bool good) {
    bits.push_back(good ? 1 : 0);
    for (const float x : out) bits.push_back(std::bit_cast<std::uint32_t>(x));
    for (const std::byte b : code) bits.push_back(std::to_integer<std::uint32_t>(b));
  };
  const float sum = Path::template run<kernels::AbsoluteSum>(v.data());
  bits.push_back(std::bit_cast<std::uint32_t>(sum));
  bits.push_back(Path::template run<kernels::LargestBits>(v.data()));
  const float threshold = 0.9F * sum / block;
  const auto classes = Path::template run<kernels::SumClasses>(v.data(), threshold);
  bits.push_back(std::bit_cast<std::uint32_t>(classes.above));
  bits.push_back(std::bit_cast<std::uint32_t>(classes.below));
  bits.push_back(classes.count);
  keep(Path::template run<kernels::AllFinite>(v.data(), block));

  Path::template run<kernels::WriteSigns>(v.data(), code.data());
  Path::template run<kernels::ReadSigns>(static_cast<const std::byte*>(code.data()), 0.7F,
                                         out.data());
  keep(true);
  Path::template run<kernels::WriteTwoBits>(v.data(), threshold, code.data());
  Path::template run<kernels::ReadTwoBits>(static_cast<const std::byte*>(code.data()), 0.3F, 1.7F,
                                           out.data());
  keep(true);
  Path::template run<kernels::WriteTrits>(v.data(), threshold, code.data());
  keep(Path::template run<kernels::ReadTrits>(static_cast<const std::byte*>(code.data()), 1.1F,
                                              out.data()));
  Generator generator(tests::seed, 4100);
  Noise noise(generator);
  const float largest = std::bit_cast<float>(Path::template run<kernels::LargestBits>(v.data()));
  const auto levels = [&](auto write, auto read) {
    const float inverse = largest > 1e-30F ? write.most / largest : 0;
    Path::template run<decltype(write)>(v.data(), inverse, &noise, code.data());
    keep(Path::template run<decltype(read)>(static_cast<const std::byte*>(code.data()), 0.01F,
                                            out.data()));
  };
  levels(kernels::WriteLevels<8, false>(), kernels::ReadLevels<8>());
  levels(kernels::WriteLevels<8, true>(), kernels::ReadLevels<8>());
  levels(kernels::WriteLevels<4, false>(), kernels::ReadLevels<4>());
  levels(kernels::WriteLevels<4, true>(), kernels::ReadLevels<4>());
  const auto halves = [&](auto write) {
    Path::template run<decltype(write)>(v.data(), &noise, code.data(), block);
    keep(Path::template run<kernels::ReadBFloat16>(static_cast<const std::byte*>(code.data()),
                                                   out.data(), block));
  };
  halves(kernels::WriteBFloat16<false>());
  halves(kernels::WriteBFloat16<true>());
  return bits;
}

TEST_CASE("Every loop gives the same bits with and without AVX2", "[codec][kernels]") {
  if (!has_avx2()) {
    WARN("this processor has no AVX2: nothing to compare");
    return;
  }
  std::vector<tests::codec::Sample> samples = tests::codec::hard(block);
  const float largest = std::numeric_limits<float>::max();
  const float denormal = std::numeric_limits<float>::denorm_min();
  samples.push_back({"largest", Numbers(block, largest)});
  samples.push_back({"denormal", Numbers(block, denormal)});
  for (std::uint64_t i = 0; i < 200; ++i) {
    samples.push_back(
        {"gaussian", tests::codec::gaussian(block, 4101 + i, 1e-3 * static_cast<double>(1 + i))});
  }
  for (auto& [name, v] : samples) {
    INFO(name);
    const bool same = all_results<Portable>(v) == all_results<WithAvx2>(v);
    CHECK(same);
    v[17] = std::numeric_limits<float>::infinity();
    CHECK_FALSE(WithAvx2::run<kernels::AllFinite>(v.data(), block));
    CHECK_FALSE(Portable::run<kernels::AllFinite>(v.data(), block));
  }
}

TEST_CASE("Codes of any bytes are read to the same bits with and without AVX2",
          "[codec][kernels]") {
  if (!has_avx2()) return;
  Generator generator(tests::seed, 4400);
  for (int round = 0; round < 300; ++round) {
    Code code(2 * block);
    for (std::byte& b : code) b = static_cast<std::byte>(generator());
    const std::byte* const from = code.data();
    const auto compare = [&](auto read) {
      Numbers one(block);
      Numbers other(block);
      read(Portable(), one.data());
      read(WithAvx2(), other.data());
      CHECK(tests::codec::same_bits(one, other));
    };
    compare([&](auto path, float* out) { path.template run<kernels::ReadSigns>(from, 0.1F, out); });
    compare([&](auto path, float* out) {
      path.template run<kernels::ReadTwoBits>(from, 0.1F, 0.4F, out);
    });
    compare([&](auto path, float* out) {
      (void)path.template run<kernels::ReadTrits>(from, 0.1F, out);
    });
    compare([&](auto path, float* out) {
      (void)path.template run<kernels::ReadLevels<4>>(from, 0.1F, out);
    });
    compare([&](auto path, float* out) {
      (void)path.template run<kernels::ReadLevels<8>>(from, 0.1F, out);
    });
  }
}

TEST_CASE("float16 is the same bits with F16C and without", "[codec][kernels]") {
#if defined(__x86_64__)
  if (!has_avx2() || !gossamer::model::kernels::detail::has_f16c()) return;
  Numbers v = tests::codec::gaussian(1003, 4500);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = std::ldexp(v[i], static_cast<int>(i % 60) - 40);
  Code one(2 * v.size());
  Code other(2 * v.size());
  kernels::detail::write_with_f16c(v.data(), one.data(), v.size());
  kernels::detail::write_halves(v.data(), other.data(), 0, v.size());
  const bool same = one == other;
  CHECK(same);
  for (std::uint32_t bits = 0; bits < 1U << 16U; bits += 8) {  // every float16
    std::array<std::uint16_t, 8> halves{};
    for (std::uint32_t k = 0; k < 8; ++k) halves[k] = static_cast<std::uint16_t>(bits + k);
    const auto* const from = reinterpret_cast<const std::byte*>(halves.data());
    Numbers x(8);
    Numbers y(8);
    const bool good = kernels::detail::read_with_f16c(from, x.data(), 8);
    REQUIRE(good == kernels::detail::read_halves(from, y.data(), 0, 8));
    if (good) REQUIRE(tests::codec::same_bits(x, y));
  }
#endif
}

}  // namespace
