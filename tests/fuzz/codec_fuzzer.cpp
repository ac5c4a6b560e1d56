// SPDX-License-Identifier: MIT
/// Fuzzes the decoders: any bytes are refused, with a reason, or decoded to finite numbers, twice
/// to the same ones. The first byte chooses the codec, the second how many numbers there are;
/// begins with codes, which chance would not find.
#include <tests/codec/codec_samples.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

namespace {

using namespace tests::codec;

const gossamer::codec::Codec& codec_of(std::uint8_t byte) {
  static const auto all = gossamer::codec::all();
  return *all[byte % all.size()].codec;
}
/// Some are about a block, and some more than one.
std::size_t numbers_of(std::uint8_t byte) { return byte < 250 ? byte : 256 + 100 * (byte - 250U); }

void require(bool good) {
  if (!good) std::abort();
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  // A code of another length is refused at once, so the length is mended; one in 16 is left wrong.
  if (size < 2 || seed % 64 == 0) {
    if (most < 2) return size;
    data[0] = static_cast<std::uint8_t>(seed >> 8U);
    data[1] = static_cast<std::uint8_t>(seed >> 16U);
    const std::size_t n = numbers_of(data[1]);
    const auto& codec = codec_of(data[0]);
    Code code(codec.bytes(n));
    gossamer::Generator generator(seed);
    if (most < code.size() + 2) return size;
    require(codec.encode(gaussian(n, seed), {}, generator, code));
    std::transform(code.begin(), code.end(), data + 2,
                   [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
    return code.size() + 2;
  }
  size = LLVMFuzzerMutate(data, size, most);
  if (size < 2 || seed % 16 == 1) return size;
  const std::size_t wanted = 2 + codec_of(data[0]).bytes(numbers_of(data[1]));
  if (wanted > most) return size;
  std::fill(data + std::min(size, wanted), data + wanted, std::uint8_t{0});
  return wanted;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto& codec = codec_of(data[0]);
  const auto code = std::as_bytes(std::span(data + 2, size - 2));
  Numbers out(numbers_of(data[1]), 1);
  const auto error = codec.decode(code, out);
  if (error) {
    require(!error->text().empty());
    return 0;
  }
  require(code.size() == codec.bytes(out.size()));
  Numbers again(out.size(), 2);
  require(!codec.decode(code, again));
  require(same_bits(out, again));
  require(std::all_of(out.begin(), out.end(), [](float x) { return std::isfinite(x); }));
  return 0;
}
