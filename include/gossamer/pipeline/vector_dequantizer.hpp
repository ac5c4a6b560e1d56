// SPDX-License-Identifier: MIT
/// Activations as indices into codebooks: how they are laid out, and the reader's end.
#pragma once

#include <gossamer/codec/int8.hpp>
#include <gossamer/error.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace gossamer::pipeline {

/// Of a `VectorQuantizer` and its reader, which need the same.
struct VectorQuantizerOptions {
  /// Neighbouring channels that are quantized together; divides the number of channels.
  TORCH_ARG(std::int64_t, group) = 4;
  /// Codewords of a codebook, in [2, 256]: an index is a byte.
  TORCH_ARG(std::int64_t, codes) = 256;
  /// How much of its past a codebook keeps per batch, in [0, 1).
  TORCH_ARG(double, decay) = 0.99;
  /// Every how manieth batch brings the reader's codebooks up to date, >= 1.
  TORCH_ARG(std::uint64_t, update_every) = 8;
  /// Of the vectors that codewords begin with.
  TORCH_ARG(std::uint64_t, seed) = 0;
};

namespace detail {

/// What both ends know: sizes, and how a code is laid out:
///
///     version (8 bytes), kind (1), codebooks (none, an int8 code of their change, or float32),
///     indices (a byte for each group and place)
struct VectorCode {
  enum class Kind : unsigned char { same, update, whole };
  static constexpr std::size_t header = 9;

  VectorCode(std::int64_t channels, const VectorQuantizerOptions& options)
      : width(options.group()), groups(width < 1 ? 0 : channels / width), codes(options.codes()) {
    if (groups < 1 || groups * width != channels) {
      throw ConfigError(
          c10::str("VectorQuantizer: group must divide the ", channels, " channels, got ", width));
    }
    if (codes < 2 || codes > 256) {
      throw ConfigError(c10::str("VectorQuantizer: codes must lie in [2, 256], got ", codes));
    }
    if (!(options.decay() >= 0 && options.decay() < 1)) {
      throw ConfigError(
          c10::str("VectorQuantizer: decay must lie in [0, 1), got ", options.decay()));
    }
    if (options.update_every() < 1) {
      throw ConfigError("VectorQuantizer: update_every must be at least 1, got 0");
    }
  }
  [[nodiscard]] std::size_t numbers() const {
    return static_cast<std::size_t>(groups * codes * width);
  }
  /// The bytes of the codebooks' part.
  [[nodiscard]] std::size_t book_bytes(Kind kind) const {
    if (kind == Kind::same) return 0;
    return kind == Kind::update ? codec::Int8().bytes(numbers()) : 4 * numbers();
  }
  static std::span<float> floats(const at::Tensor& t) {
    return {t.data_ptr<float>(), static_cast<std::size_t>(t.numel())};
  }

  std::int64_t width;  // channels of a group
  std::int64_t groups;
  std::int64_t codes;
};

}  // namespace detail

/// Activations as a reader keeps them until they are wanted. Its codebooks are those of their time.
struct QuantizedActivations {
  at::Tensor codebooks;  ///< (groups, codes, group), shared and never written to
  at::Tensor indices;    ///< (groups, batch * places) uint8

  /// The activations, of these sizes: (batch, channels, ...).
  [[nodiscard]] at::Tensor decode(at::IntArrayRef sizes) const {
    const std::int64_t groups = codebooks.size(0);
    const at::Tensor vectors =
        at::empty({groups, indices.size(1), codebooks.size(2)}, codebooks.options());
    for (std::int64_t g = 0; g < groups; ++g) {
      vectors[g].copy_(codebooks[g].index_select(0, indices[g].to(at::kLong)));
    }
    return vectors.reshape({groups, sizes[0], -1, codebooks.size(2)})
        .permute({1, 0, 3, 2})
        .reshape(sizes);
  }
};

/// The reader's end. Threads: one object by one thread at a time; what it gives may go anywhere.
class VectorDequantizer {
 public:
  explicit VectorDequantizer(std::int64_t channels, const VectorQuantizerOptions& options = {})
      : code_(channels, options) {}

  /// What a code of that many vectors says. Nothing if it is damaged, or if a code before it, which
  /// changed the codebooks, never came; then it is up to the writer to `restart()`.
  std::optional<QuantizedActivations> read(std::span<const std::byte> code, std::int64_t vectors) {
    using Code = detail::VectorCode;
    if (vectors < 1 || code.size() < Code::header) return std::nullopt;
    const auto kind = static_cast<Code::Kind>(code[Code::header - 1]);
    if (kind > Code::Kind::whole) return std::nullopt;
    const std::size_t size = code_.book_bytes(kind);
    const auto indices = static_cast<std::size_t>(code_.groups * vectors);
    if (code.size() != Code::header + size + indices) return std::nullopt;
    std::uint64_t version = 0;
    std::memcpy(&version, code.data(), sizeof version);
    const std::uint64_t expected = version_ + (kind == Code::Kind::update ? 1 : 0);
    if (kind != Code::Kind::whole && (!codebooks_.defined() || version != expected)) {
      codebooks_.reset();
      return std::nullopt;
    }
    QuantizedActivations read{{}, at::empty({code_.groups, vectors}, at::kByte)};
    std::memcpy(read.indices.data_ptr(), code.data() + Code::header + size, indices);
    if (read.indices.max().item<std::int64_t>() >= code_.codes) return std::nullopt;
    if (kind != Code::Kind::same && !read_books(kind, code.subspan(Code::header, size))) {
      codebooks_.reset();
      return std::nullopt;
    }
    version_ = version;
    read.codebooks = codebooks_;
    return read;
  }

 private:
  bool read_books(detail::VectorCode::Kind kind, std::span<const std::byte> code) {
    const at::Tensor books = at::empty({code_.groups, code_.codes, code_.width});
    if (kind == detail::VectorCode::Kind::whole) {
      std::memcpy(books.data_ptr(), code.data(), code.size());
      if (!books.isfinite().all().item<bool>()) return false;
    } else {
      if (codec::Int8().decode(code, detail::VectorCode::floats(books))) return false;
      books.add_(codebooks_);
    }
    codebooks_ = books;
    return true;
  }

  detail::VectorCode code_;
  at::Tensor codebooks_;  // never written to: what was read shares it
  std::uint64_t version_ = 0;
};

}  // namespace gossamer::pipeline
