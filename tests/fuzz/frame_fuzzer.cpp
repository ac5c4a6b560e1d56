// SPDX-License-Identifier: MIT
/// Fuzzes the reader of frames: any bytes are a stream of frames or a WireError, and what was
/// accepted is written to the same bytes. Each input is read as it is, and once more as the fields
/// of a frame whose header fits.
#include <tests/transport/wire_samples.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <variant>
#include <vector>

namespace {

using namespace tests::wire;

void read_fields(Kind kind, std::span<const std::byte> fields) {
  visit_fields(kind, fields, [&](const auto& body) {
    const auto again = frame_of(body);
    const auto written = std::span(again).subspan(FrameHeader::size);
    if (!std::equal(written.begin(), written.end(), fields.begin(), fields.end())) std::abort();
  });
}

void read_stream(std::span<const std::byte> bytes) {
  while (bytes.size() >= FrameHeader::size) {
    const auto parsed = parse_header(bytes.first<FrameHeader::size>(), run, model_bytes);
    const auto* header = std::get_if<FrameHeader>(&parsed);
    if (header == nullptr) {
      if (std::get<WireError>(parsed).text().empty()) std::abort();
      return;
    }
    if (header->bytes() > bytes.size() || check_fields(bytes, *header)) return;
    read_fields(header->kind, bytes.subspan(FrameHeader::size, header->fields));
    bytes = bytes.subspan(header->bytes());
  }
}

}  // namespace

/// Begins with a frame of each kind, which chance would not find.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  if (size <= 1) {
    const auto samples = all_samples();
    const auto& sample = samples[seed % samples.size()];
    size = std::min(most, sample.size());
    std::transform(sample.begin(), sample.begin() + static_cast<std::ptrdiff_t>(size), data,
                   [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
  }
  return LLVMFuzzerMutate(data, size, most);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read_stream(bytes);
  if (size == 0) return 0;
  const auto kind = static_cast<Kind>(1 + data[0] % 6);
  read_fields(kind, bytes.subspan(1));
  return 0;
}
