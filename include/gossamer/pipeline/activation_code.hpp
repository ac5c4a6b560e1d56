// SPDX-License-Identifier: MIT
/// Activations as bytes, from a module to the next.
#pragma once

#include <gossamer/codec/codec.hpp>
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/pipeline/decoupled.hpp>
#include <gossamer/pipeline/vector_quantizer.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/util/StringUtil.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::pipeline {

/// What writer and reader must have in common.
struct ActivationFormat {
  /// Sizes of one sample's activations, channels first.
  std::vector<std::int64_t> sample;
  /// How its float32 numbers are written down.
  std::variant<codec::AnyCodec, VectorQuantizerOptions> form;

  /// Numbers of one sample.
  [[nodiscard]] std::int64_t numbers() const {
    std::int64_t product = 1;
    for (const std::int64_t size : sample) product *= size;
    return product;
  }
  /// Sizes of a batch.
  [[nodiscard]] std::vector<std::int64_t> sizes(std::int64_t batch) const {
    std::vector<std::int64_t> all = sample;
    all.insert(all.begin(), batch);
    return all;
  }
};

/// A batch as a buffer keeps it: in its code until somebody wants it. Copies share the memory.
/// Threads: copies may be used from any.
class PackedActivations {
 public:
  /// Throws std::runtime_error if the code that came is none of its codec's.
  [[nodiscard]] Activations unpack() const {
    if (const auto* quantized = std::get_if<QuantizedActivations>(&content_)) {
      return {quantized->decode(sizes_), targets_};
    }
    const Coded& coded = std::get<Coded>(content_);
    const at::Tensor values = at::empty(sizes_);
    if (const auto error =
            (*coded.codec)->decode(*coded.code, detail::VectorCode::floats(values))) {
      throw std::runtime_error("activations: " + error->text());
    }
    return {values, targets_};
  }

 private:
  friend class ActivationReader;
  struct Coded {
    std::shared_ptr<const codec::AnyCodec> codec;
    std::shared_ptr<const std::vector<std::byte>> code;
  };

  std::vector<std::int64_t> sizes_;
  at::Tensor targets_;
  std::variant<Coded, QuantizedActivations> content_;
};

/// Writes batches down, in the order in which their reader gets them: the size of the batch (4
/// bytes), targets (2 each), the code of the values.
///
/// Threads  one object by one thread at a time.
/// Throws   ConfigError from the constructor for options of a quantizer that cannot work.
class ActivationWriter {
 public:
  explicit ActivationWriter(ActivationFormat format, std::uint64_t seed = 0)
      : format_(std::move(format)), random_(seed, 0x6163) {
    if (const auto* options = std::get_if<VectorQuantizerOptions>(&format_.form)) {
      quantizer_.emplace(format_.sample.front(), *options);
    }
  }

  /// A batch of class numbers, int64 in [0, 65536), and float32 values on the CPU; empty if one of
  /// these is not finite. Without `learn` codebooks stay as they are.
  std::vector<std::byte> write(const Activations& batch, bool learn = true) {
    const at::Tensor values = batch.values.contiguous();
    const at::Tensor targets = batch.targets.contiguous();
    const auto numbers = detail::VectorCode::floats(values);
    const auto* codec = std::get_if<codec::AnyCodec>(&format_.form);
    const auto n = static_cast<std::uint32_t>(targets.numel());
    const std::size_t head = 4 + 2 * std::size_t{n};
    std::vector<std::byte> out(head + (codec == nullptr ? 0 : (*codec)->bytes(numbers.size())));
    std::memcpy(out.data(), &n, 4);
    for (std::size_t i = 0; i < n; ++i) {
      const auto target = static_cast<std::uint16_t>(targets.data_ptr<std::int64_t>()[i]);
      std::memcpy(out.data() + 4 + 2 * i, &target, 2);
    }
    if (codec != nullptr) {
      const bool good = (*codec)->encode(numbers, {}, random_, std::span(out).subspan(head));
      return good ? std::move(out) : std::vector<std::byte>();
    }
    const std::vector<std::byte> code = quantizer_->encode(values, learn);
    if (code.empty()) return {};
    out.insert(out.end(), code.begin(), code.end());
    return out;
  }
  /// The reader has lost a batch, or begins: the next one says all that it needs.
  void restart() {
    if (quantizer_) quantizer_->restart();
  }

 private:
  ActivationFormat format_;
  Generator random_;
  std::optional<VectorQuantizer> quantizer_;
};

/// Reads what an ActivationWriter of the same format has written.
/// Threads: one object by one thread at a time; what it gives may go anywhere.
class ActivationReader {
 public:
  explicit ActivationReader(ActivationFormat format) : format_(std::move(format)) {
    if (const auto* options = std::get_if<VectorQuantizerOptions>(&format_.form)) {
      quantizer_.emplace(format_.sample.front(), *options);
    } else {
      codec_ = std::make_shared<codec::AnyCodec>(std::get<codec::AnyCodec>(format_.form));
    }
  }

  /// Nothing if the bytes are no batch of this format, or if one is missing before it.
  std::optional<PackedActivations> read(std::span<const std::byte> bytes) {
    std::uint32_t n = 0;
    if (bytes.size() < 4) return std::nullopt;
    std::memcpy(&n, bytes.data(), 4);
    if (n == 0 || (bytes.size() - 4) / 2 < n) return std::nullopt;
    PackedActivations packed;
    packed.sizes_ = format_.sizes(n);
    packed.targets_ = at::empty({n}, at::kLong);
    for (std::size_t i = 0; i < n; ++i) {
      std::uint16_t target = 0;
      std::memcpy(&target, bytes.data() + 4 + 2 * i, 2);
      packed.targets_.data_ptr<std::int64_t>()[i] = target;
    }
    const auto code = bytes.subspan(4 + 2 * std::size_t{n});
    const std::int64_t numbers = format_.numbers() * n;
    if (quantizer_) {
      auto read = quantizer_->read(code, numbers / format_.sample.front());
      if (!read) return std::nullopt;
      packed.content_ = std::move(*read);
      return packed;
    }
    if (code.size() != (*codec_)->bytes(static_cast<std::size_t>(numbers))) return std::nullopt;
    packed.content_ = PackedActivations::Coded{
        codec_, std::make_shared<const std::vector<std::byte>>(code.begin(), code.end())};
    return packed;
  }

 private:
  ActivationFormat format_;
  std::shared_ptr<const codec::AnyCodec> codec_;
  std::optional<VectorDequantizer> quantizer_;
};

}  // namespace gossamer::pipeline
