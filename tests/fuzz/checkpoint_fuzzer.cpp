// SPDX-License-Identifier: MIT
/// Fuzzes the reader of checkpoints: any bytes are an archive or a CheckpointError, and any archive
/// loads or is refused. Each input is read as it is, and once more with a header that fits.
#include <gossamer/error.hpp>
#include <gossamer/node/checkpoint.hpp>

#include <ATen/ops/zeros.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

enum class Colour : std::uint8_t { red, blue };

void load(gossamer::Archive& archive) {
  int number = 0;
  bool flag = false;
  Colour colour = Colour::red;
  std::string text;
  std::vector<double> list;
  gossamer::Generator random;
  const at::Tensor tensor = at::zeros({2, 3});
  const auto one = [&](const auto& value) {
    try {
      value();
    } catch (const gossamer::CheckpointError&) {
    }
  };
  one([&] { archive("a", number); });
  one([&] { archive("a", text); });
  one([&] { archive("a", list); });
  one([&] { archive("a", tensor); });
  one([&] { archive("flag", flag); });
  one([&] { archive("colour", colour); });
  one([&] { archive("g", random); });
  if (flag) (void)random();
}

void read(std::string_view bytes) {
  try {
    gossamer::Archive archive = gossamer::parse_archive(bytes, "input");
    load(archive);
    // What was accepted is written and read to the same entries.
    const std::string again = gossamer::serialize(archive);
    if (gossamer::parse_archive(again, "again").entries() != archive.entries()) std::abort();
  } catch (const gossamer::CheckpointError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  gossamer::CheckpointHeader header;
  header.size = size;
  header.checksum = XXH3_64bits(data, size);
  std::string sealed(reinterpret_cast<const char*>(&header), sizeof header);
  sealed += bytes;
  read(sealed);
  return 0;
}
