// SPDX-License-Identifier: MIT
/// Reads and cuts a text.
#include <gossamer/error.hpp>
#include <gossip_lm/text.hpp>

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/stack.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace language {

using gossamer::ConfigError;

Text read_text(const std::filesystem::path& file, std::int64_t context) {
  std::ifstream in(file, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(in), {});
  if (!in) throw ConfigError("text " + file.string() + ": cannot be read");
  const auto n = static_cast<std::int64_t>(bytes.size());
  if (n < 10 * (context + 1)) {
    throw ConfigError(c10::str("text ", file.string(), ": must have at least ", 10 * (context + 1),
                               " bytes, ten pieces of ", context + 1, ", got ", n));
  }
  const at::Tensor all = at::from_blob(bytes.data(), {n}, at::kByte).clone();
  const std::int64_t held_out = n / 10;
  return {all.narrow(0, 0, n - held_out), all.narrow(0, n - held_out, held_out)};
}

at::Tensor part_of(const at::Tensor& text, std::size_t node, std::size_t nodes,
                   std::int64_t context) {
  const auto place = static_cast<std::int64_t>(node % nodes);
  const auto count = static_cast<std::int64_t>(nodes);
  const std::int64_t begin = text.size(0) * place / count;
  const std::int64_t length = text.size(0) * (place + 1) / count - begin;
  if (length <= context) {
    throw ConfigError(c10::str("text: node ", node, " of ", nodes, " must have more than ", context,
                               " bytes to train on, got ", length));
  }
  return text.narrow(0, begin, length);
}

at::Tensor random_pieces(const at::Tensor& text, std::int64_t count, std::int64_t length,
                         gossamer::Generator& random) {
  const auto places = static_cast<std::uint32_t>(text.size(0) - length + 1);
  std::vector<at::Tensor> pieces;
  for (std::int64_t i = 0; i < count; ++i) {
    pieces.push_back(text.narrow(0, random.below(places), length));
  }
  return at::stack(pieces).to(at::kLong);
}

at::Tensor even_pieces(const at::Tensor& text, std::int64_t context, std::int64_t most_bytes) {
  const std::int64_t all = (text.size(0) - 1) / context;
  const std::int64_t count = std::clamp<std::int64_t>(most_bytes / context, 1, all);
  std::vector<at::Tensor> pieces;
  for (std::int64_t i = 0; i < count; ++i) {
    pieces.push_back(text.narrow(0, i * all / count * context, context + 1));
  }
  return at::stack(pieces).to(at::kLong);
}

double unigram_bits(const at::Tensor& train, const at::Tensor& pieces) {
  const at::Tensor counts = train.to(at::kLong).bincount({}, 256).to(at::kDouble) + 1;
  const at::Tensor bits = (counts / counts.sum()).log2().neg();
  return bits.index_select(0, pieces.narrow(1, 1, pieces.size(1) - 1).reshape({-1}))
      .mean()
      .item<double>();
}

}  // namespace language
