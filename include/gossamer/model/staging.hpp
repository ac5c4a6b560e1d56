// SPDX-License-Identifier: MIT
/// Arithmetic with a vector that lies elsewhere: piece by piece, through a small buffer.
#pragma once

#include <gossamer/model/flat.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gossamer::model {

/// Bytes of the buffer that an operation brings pieces into, for all vectors together. LibTorch's
/// allocator keeps it between operations; a node, which does one at a time, has no more than one.
inline constexpr std::int64_t staging_bytes = std::int64_t{1} << 22;

/// Whether segment `s` of `x` has to be brought to that of `y`: it is on another device, or one of
/// the two lies apart from its model.
inline bool is_elsewhere(const Flat& x, const Flat& y, std::size_t s) {
  return static_cast<bool>(x.apart()) != static_cast<bool>(y.apart()) ||
         x.segments()[s].device() != y.segments()[s].device();
}

namespace detail {

/// The buffer, and how many numbers of each vector fit.
struct Staging {
  Staging(const at::Tensor& beside, std::size_t vectors, std::int64_t numbers,
          std::int64_t bytes = staging_bytes)
      : length(std::min(
            numbers, std::max<std::int64_t>(
                         1, bytes / static_cast<std::int64_t>(vectors * beside.element_size())))),
        buffer(at::empty({static_cast<std::int64_t>(vectors), length}, beside.options())) {}

  std::int64_t length;
  at::Tensor buffer;
};

}  // namespace detail

/// If a vector of `from` is elsewhere, does `f(y, from)` for segment `s`, or the numbers of it from
/// `begin` to `end`, piece by piece, and returns true; else does nothing. `f` gets flat vectors of
/// one segment that lie beside `y`, of which it may write the first only. It must treat each number
/// by itself: then the pieces have the bits of the whole.
///
/// A device takes the pieces in the order of its current stream, while the host goes on; it waits
/// once, at the end, since the memory they came from may be used again then.
template <class F>
bool in_pieces(const Flat& y, std::span<const Flat* const> from, std::size_t s, std::int64_t begin,
               std::int64_t end, F f, std::int64_t most_bytes = staging_bytes) {
  const auto elsewhere = [&](const Flat* x) { return is_elsewhere(*x, y, s); };
  const auto count = std::count_if(from.begin(), from.end(), elsewhere);
  if (count == 0) return false;
  const at::Tensor& to = y.segments()[s];
  const detail::Staging staging(to, static_cast<std::size_t>(count), end - begin, most_bytes);
  std::vector<Flat> pieces(from.size());
  std::vector<const Flat*> handles;
  handles.reserve(pieces.size());
  for (const Flat& piece : pieces) handles.push_back(&piece);
  for (; begin < end; begin += staging.length) {
    const std::int64_t length = std::min(staging.length, end - begin);
    const bool runs_ahead = !to.is_cpu() && begin + length < end;
    std::int64_t used = 0;
    for (std::size_t i = 0; i < from.size(); ++i) {
      at::Tensor piece = from[i]->segments()[s].narrow(0, begin, length);
      if (elsewhere(from[i])) {
        const at::Tensor place = staging.buffer.select(0, used++).narrow(0, 0, length);
        place.copy_(piece, runs_ahead);
        y.count_staged(*from[i], place.nbytes());
        piece = place;
      }
      pieces[i] = Flat({piece});
    }
    f(Flat({to.narrow(0, begin, length)}), std::span<const Flat* const>(handles));
  }
  return true;
}
/// The same of a whole segment.
template <class F>
bool in_pieces(const Flat& y, std::span<const Flat* const> from, std::size_t s, F f) {
  return in_pieces(y, from, s, 0, y.segments()[s].numel(), f);
}

}  // namespace gossamer::model
