// SPDX-License-Identifier: MIT
/// The code of a whole model: slot after slot.
#pragma once

#include <gossamer/codec/codec.hpp>
#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/model/flat.hpp>
#include <gossamer/model/layout.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/view_as_real.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace gossamer::codec {

/// What becomes of averaged buffers (BatchNorm's running mean and variance).
enum class BufferCode {
  raw,      ///< Written as they are, in their own dtype: they are few, and a variance that a coarse
            ///< code has made negative breaks the model. The default.
  left_out  ///< Not written; nothing in their places is read or written.
};

namespace detail {

/// A slot's numbers, as real numbers in one row; a view.
inline at::Tensor numbers_of(const model::Slot& slot, const model::Flat& flat) {
  const at::Tensor numbers = flat.segments()[slot.segment].narrow(0, slot.offset, slot.numel);
  return numbers.is_complex() ? at::view_as_real(numbers).view({2 * slot.numel}) : numbers;
}
inline std::size_t count_of(const model::Slot& slot) {
  return static_cast<std::size_t>(slot.numel) * (at::isComplexType(slot.dtype) ? 2 : 1);
}
inline std::size_t bytes_of(const model::Slot& slot, const Codec& codec, BufferCode buffers) {
  if (!slot.is_buffer) return codec.bytes(count_of(slot));
  if (buffers == BufferCode::left_out) return 0;
  return static_cast<std::size_t>(slot.numel) * at::elementSize(slot.dtype);
}
inline bool is_direct(const at::Tensor& numbers) {
  return numbers.is_cpu() && numbers.scalar_type() == at::kFloat;
}
inline std::span<float> span_of(const at::Tensor& numbers) {
  return {numbers.data_ptr<float>(), static_cast<std::size_t>(numbers.numel())};
}
/// Float32 on the CPU: the tensor itself, or a copy, for which a device needs no memory.
inline at::Tensor as_floats(const at::Tensor& numbers) {
  return is_direct(numbers) ? numbers : numbers.to(at::kCPU).to(at::kFloat);
}
inline at::Tensor on_cpu_like(const at::Tensor& numbers) {
  return at::empty({numbers.numel()}, numbers.options().device(at::kCPU));
}
inline bool are_finite(const at::Tensor& numbers) {
  return numbers.isfinite().all().item().toBool();
}

inline bool encode_raw(const at::Tensor& from, const at::Tensor& decoded,
                       std::span<std::byte> out) {
  const at::Tensor numbers = from.to(at::kCPU);
  if (!are_finite(numbers)) return false;
  std::memcpy(out.data(), numbers.data_ptr(), out.size());
  if (decoded.defined()) decoded.copy_(numbers);
  return true;
}
inline std::optional<CodeError> decode_raw(std::span<const std::byte> code, const at::Tensor& to) {
  const at::Tensor numbers = on_cpu_like(to);
  std::memcpy(numbers.data_ptr(), code.data(), code.size());
  if (!are_finite(numbers)) return CodeError{CodeRule::number};
  to.copy_(numbers);
  return std::nullopt;
}

inline bool encode_slot(const at::Tensor& from, const at::Tensor& decoded, const Codec& codec,
                        Generator& generator, std::span<std::byte> out) {
  const at::Tensor numbers = as_floats(from);
  if (!decoded.defined()) return codec.encode(span_of(numbers), {}, generator, out);
  const bool direct = is_direct(decoded);
  const at::Tensor to = direct ? decoded : at::empty({numbers.numel()}, at::kFloat);
  if (!codec.encode(span_of(numbers), span_of(to), generator, out)) return false;
  if (!direct) decoded.copy_(to);
  return true;
}
inline std::optional<CodeError> decode_slot(std::span<const std::byte> code, const Codec& codec,
                                            const at::Tensor& to) {
  if (is_direct(to)) return codec.decode(code, span_of(to));
  const at::Tensor numbers = at::empty({to.numel()}, at::kFloat);
  if (auto error = codec.decode(code, span_of(numbers))) return error;
  to.copy_(numbers);
  return std::nullopt;
}

}  // namespace detail

/// The bytes of a code of a model of that layout.
inline std::size_t bytes_of(const model::Layout& layout, const Codec& codec,
                            BufferCode buffers = BufferCode::raw) {
  std::size_t total = 0;
  for (const model::Slot& slot : layout.slots) total += detail::bytes_of(slot, codec, buffers);
  return total;
}

/// The code of `flat`, a vector of a model of that layout: its slots in their order, so that no
/// block of numbers crosses a slot, and gaps are left out. `decoded` gets, slot by slot, what
/// `decode` makes of it, bit for bit; its gaps stay as they are. It may be `flat` itself, or empty.
///
/// A slot of float32 on the CPU is read and written where it is; any other is converted, as a
/// whole, by way of float32 on the CPU, and what is decoded is rounded to its dtype on both sides.
/// Complex numbers are two real ones. Averaged buffers: see `BufferCode`. They are written as
/// `flat` has them: whoever codes a difference puts in their places what the receiver shall see.
///
/// An empty handle if a number is not finite; then `decoded` is unspecified.
[[nodiscard]] inline Coded encode(const model::Flat& flat, const model::Layout& layout,
                                  const Codec& codec, Generator& generator, CodedPool& pool,
                                  const model::Flat& decoded,
                                  BufferCode buffers = BufferCode::raw) {
  Coded coded = pool.take(bytes_of(layout, codec, buffers));
  std::span<std::byte> rest = coded.writable();
  for (const model::Slot& slot : layout.slots) {
    const auto out = rest.first(detail::bytes_of(slot, codec, buffers));
    rest = rest.subspan(out.size());
    if (out.empty()) continue;
    const at::Tensor from = detail::numbers_of(slot, flat);
    const at::Tensor to = decoded.empty() ? at::Tensor() : detail::numbers_of(slot, decoded);
    const bool good = slot.is_buffer ? detail::encode_raw(from, to, out)
                                     : detail::encode_slot(from, to, codec, generator, out);
    if (!good) return {};
  }
  return coded;
}

/// Reads such a code, which anybody may have written, into `flat`; its gaps, and buffers that were
/// left out, stay as they are. Nothing, or why the code is refused; then `flat` is unspecified.
[[nodiscard]] inline std::optional<CodeError> decode(std::span<const std::byte> code,
                                                     const model::Layout& layout,
                                                     const Codec& codec, const model::Flat& flat,
                                                     BufferCode buffers = BufferCode::raw) {
  const std::size_t expected = bytes_of(layout, codec, buffers);
  if (code.size() != expected) return CodeError{CodeRule::length, code.size(), expected};
  for (const model::Slot& slot : layout.slots) {
    const auto part = code.first(detail::bytes_of(slot, codec, buffers));
    code = code.subspan(part.size());
    if (part.empty()) continue;
    const at::Tensor to = detail::numbers_of(slot, flat);
    auto error =
        slot.is_buffer ? detail::decode_raw(part, to) : detail::decode_slot(part, codec, to);
    if (error) return error;
  }
  return std::nullopt;
}

}  // namespace gossamer::codec
