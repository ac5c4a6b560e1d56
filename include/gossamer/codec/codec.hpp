// SPDX-License-Identifier: MIT
/// The interface of all codecs, and the value that holds any of them.
#pragma once

#include <gossamer/codec/code_error.hpp>
#include <gossamer/generator.hpp>

#include <c10/util/StringUtil.h>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace gossamer::codec {

/// How a vector v of float32 numbers is written down in few bytes. To decode a code is a function
/// of its bytes alone, of at most one rounded operation per number, so that every machine decodes
/// the same bits. Whoever encodes v gets the decoded numbers too, and applies these: then sums are
/// conserved however coarse the codec is, and what the code leaves out stays behind in v - C(v).
///
/// Quality  delta in |C(v) - v|^2 <= (1 - delta) |v|^2, for the worst v; in the mean over the
///          generator where the codec draws. It holds up to rounding if the numbers are 0 or of
///          magnitudes within 2^-100 to 2^100 (float16: see there), in which no scale is denormal.
///          Outside, numbers that are too small decode to 0, and none exceeds the largest magnitude
///          of its block but for rounding (unbiased `RandomK`: by intent).
/// Not finite  a vector with an infinite number or a NaN has no code: `encode` says so.
/// Threads  a codec is only read: one object may be used by many threads.
class Codec {
 public:
  virtual ~Codec() = default;

  /// As `codec::from_name` takes it, options included: "sign", "top_k:0.01".
  [[nodiscard]] virtual std::string name() const = 0;
  /// The number of bytes of a code of n numbers, exactly; 0 for n = 0.
  [[nodiscard]] virtual std::size_t bytes(std::size_t n) const = 0;
  /// The quality for n numbers, n >= 1. At most 1; not above 0 for a codec that no error feedback
  /// can use.
  [[nodiscard]] virtual double delta(std::size_t n) const = 0;
  /// Whether the mean of C(v) over the generator is v, up to rounding.
  [[nodiscard]] virtual bool is_unbiased() const { return false; }
  [[nodiscard]] virtual std::unique_ptr<Codec> copy() const = 0;

  /// Writes the code of `v` to `out`, and to `decoded` what `decode` will make of it, bit for bit.
  /// `decoded` may be empty, if nobody wants it, or `v` itself. False if a number of `v` is not
  /// finite; then both are unspecified. Throws std::invalid_argument if `decoded` or `out` is of a
  /// wrong size.
  [[nodiscard]] bool encode(std::span<const float> v, std::span<float> decoded,
                            Generator& generator, std::span<std::byte> out) const {
    if (out.size() != bytes(v.size()) || (!decoded.empty() && decoded.size() != v.size())) {
      throw std::invalid_argument(c10::str("Codec ", name(), ": ", v.size(), " numbers need ",
                                           bytes(v.size()), " bytes and as many decoded, got ",
                                           out.size(), " and ", decoded.size()));
    }
    return v.empty() || write(v, decoded, generator, out);
  }

  /// Reads the code of `out.size()` numbers, which anybody may have written. Nothing, or why it is
  /// refused; then `out` is unspecified. Reads and writes nothing outside of the two.
  [[nodiscard]] std::optional<CodeError> decode(std::span<const std::byte> code,
                                                std::span<float> out) const {
    if (code.size() != bytes(out.size())) {
      return CodeError{CodeRule::length, code.size(), bytes(out.size())};
    }
    if (out.empty()) return std::nullopt;
    return read(code, out);
  }

 protected:
  Codec() = default;
  Codec(const Codec&) = default;
  Codec& operator=(const Codec&) = default;

 private:
  /// What `encode` and `decode` do once the sizes fit; v is not empty.
  [[nodiscard]] virtual bool write(std::span<const float> v, std::span<float> decoded,
                                   Generator& generator, std::span<std::byte> out) const = 0;
  [[nodiscard]] virtual std::optional<CodeError> read(std::span<const std::byte> code,
                                                      std::span<float> out) const = 0;
};

/// A value that holds any codec: `AnyCodec codec = codec::Sign();`.
class AnyCodec {
 public:
  template <std::derived_from<Codec> C>
  AnyCodec(C codec)  // NOLINT(google-explicit-constructor): a converting holder
      : held_(std::make_unique<C>(std::move(codec))) {}
  AnyCodec(const AnyCodec& other) : held_(other.held_->copy()) {}
  AnyCodec(AnyCodec&&) noexcept = default;
  AnyCodec& operator=(AnyCodec other) noexcept {
    held_ = std::move(other.held_);
    return *this;
  }
  ~AnyCodec() = default;

  const Codec& operator*() const noexcept { return *held_; }
  const Codec* operator->() const noexcept { return held_.get(); }

 private:
  std::unique_ptr<Codec> held_;
};

}  // namespace gossamer::codec
