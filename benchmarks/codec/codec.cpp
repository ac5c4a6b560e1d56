// SPDX-License-Identifier: MIT
/// Encode and decode, for every codec, beside memcpy of the same vector: 1, 16 and 256 MB, as a
/// table of ratios. Each figure is the median of rounds in which everything is timed in turn, so
/// that what else the machine does falls on all. Compiled with -O2, as a user's program may be.
///
///   bench_codec [ROUNDS, 5 if not given]
#include <gossamer/codec/registry.hpp>
#include <gossamer/generator.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Numbers = std::vector<float>;

/// Normally distributed (Box and Muller).
Numbers gaussian(std::size_t n) {
  gossamer::Generator generator(1);
  Numbers v(n);
  for (float& x : v) {
    const double radius = std::sqrt(-2 * std::log(1 - generator.uniform()));
    x = static_cast<float>(radius * std::cos(6.283185307179586 * generator.uniform()));
  }
  return v;
}

/// Seconds per call: of as many calls as take 20 ms.
template <class Function>
double seconds(Function function) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  double passed = 0;
  int calls = 0;
  do {
    function();
    ++calls;
    passed = std::chrono::duration<double>(Clock::now() - begin).count();
  } while (passed < 0.02);
  return passed / calls;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void require(bool good) {
  if (!good) std::abort();
}

/// What one codec took in each round.
struct Times {
  std::vector<double> blind;   // encode alone
  std::vector<double> encode;  // with the decoded numbers
  std::vector<double> decode;
};

void measure(std::size_t megabytes, int rounds) {
  const auto codecs = gossamer::codec::all();
  const std::size_t n = megabytes * 1'000'000 / sizeof(float);
  const Numbers v = gaussian(n);
  Numbers decoded(n);
  std::vector<std::byte> code(n * sizeof(float));
  gossamer::Generator generator(2);
  std::vector<double> copies;
  std::vector<Times> times(codecs.size());
  for (int round = 0; round < rounds; ++round) {
    copies.push_back(seconds([&] { std::memcpy(decoded.data(), v.data(), n * sizeof(float)); }));
    for (std::size_t c = 0; c < codecs.size(); ++c) {
      const auto& codec = *codecs[c].codec;
      const auto out = std::span(code).first(codec.bytes(n));
      times[c].blind.push_back(seconds([&] { require(codec.encode(v, {}, generator, out)); }));
      times[c].encode.push_back(
          seconds([&] { require(codec.encode(v, decoded, generator, out)); }));
      times[c].decode.push_back(seconds([&] { require(!codec.decode(out, decoded)); }));
    }
  }
  const double copy = median(copies);
  std::printf("\n%zu MB; memcpy %.2f GB/s of numbers\n\n", megabytes,
              static_cast<double>(megabytes) / 1000 / copy);
  std::printf("| codec | bits per number | encode | encode and decoded numbers | decode |\n");
  std::printf("|---|---|---|---|---|\n");
  for (std::size_t c = 0; c < codecs.size(); ++c) {
    const auto& codec = *codecs[c].codec;
    std::printf("| %s | %.2f | %.2f | %.2f | %.2f |\n", codec.name().c_str(),
                8 * static_cast<double>(codec.bytes(n)) / static_cast<double>(n),
                median(times[c].blind) / copy, median(times[c].encode) / copy,
                median(times[c].decode) / copy);
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  if (rounds < 1) {
    std::fprintf(stderr, "bench_codec: ROUNDS must be at least 1, got %s\n", argv[1]);
    return 2;
  }
  std::printf("Time in multiples of memcpy of the same vector.\n");
  for (const std::size_t megabytes : {1, 16, 256}) measure(megabytes, rounds);
  return 0;
}
