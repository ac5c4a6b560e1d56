// SPDX-License-Identifier: MIT
/// How far apart two models are.
#pragma once

#include <gossamer/model/flat.hpp>
#include <gossamer/model/kernels.hpp>
#include <gossamer/model/layout.hpp>
#include <gossamer/model/staging.hpp>

#include <ATen/TensorOperators.h>
#include <ATen/ops/view_as_real.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <span>

namespace gossamer::model {

namespace detail {

/// Sum of (a - b)^2 over n numbers, in one pass. Sums of a few squares are float, those of many
/// double.
template <class Number>
double squared_distance(const Number* a, const Number* b, std::int64_t n) {
  using Unit = kernels::detail::ShortPack<Number>;
  constexpr int unrolled = 4;  // sums that do not wait for each other
  constexpr std::int64_t step = unrolled * Unit::lanes;
  constexpr std::int64_t block = 1024;
  double total = 0;
  std::int64_t i = 0;
  while (i + step <= n) {
    const std::int64_t end = std::min(n, i + block);
    typename Unit::Numbers sums[unrolled] = {};
    for (; i + step <= end; i += step) {
      for (int k = 0; k < unrolled; ++k) {
        typename Unit::Numbers x;
        typename Unit::Numbers y;
        Unit::load(a + i + k * Unit::lanes, x);
        Unit::load(b + i + k * Unit::lanes, y);
        x -= y;
        sums[k] += x * x;
      }
    }
    for (const auto& sum : sums) {
      for (std::int64_t lane = 0; lane < Unit::lanes; ++lane) total += sum[lane];
    }
  }
  for (; i < n; ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    total += d * d;
  }
  return total;
}

/// The same by LibTorch, for any dtype and device.
inline double squared_distance(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor d = a.sub(b);
  if (d.is_complex()) d = at::view_as_real(d);
  return d.to(at::kDouble).square().sum().item().toDouble();
}

}  // namespace detail

/// The parameters of a model, in the order of its layout and without buffers, of which about `most`
/// are looked at: blocks at equal distances, the first one by `start` in [0, 1), so that each
/// block's chance is the same.
class ParameterSample {
 public:
  static constexpr std::int64_t block = 1024;

  ParameterSample(const Layout& layout, std::int64_t most, double start)
      : layout_(layout), total_(layout.parameter_count()), start_(start) {
    if (total_ <= most) return;
    blocks_ = most / block;
    length_ = block;
    factor_ = static_cast<double>((total_ + block - 1) / block) / static_cast<double>(blocks_);
  }

  /// A sum over the sample, times this, is one over all, if the start is drawn at random.
  [[nodiscard]] double factor() const noexcept { return factor_; }

  /// visit(slot, begin, end) for each stretch of numbers of a slot.
  template <class Visit>
  void visit(Visit visit) const {
    std::int64_t base = 0;  // the slot's first parameter
    std::int64_t i = 0;
    for (const Slot& slot : layout_.slots) {
      if (slot.is_buffer) continue;
      const std::int64_t slot_end = base + slot.numel;
      for (; i < blocks_ && begin_of(i) < slot_end; ++i) {
        const std::int64_t end = length_ > 0 ? std::min(begin_of(i) + length_, total_) : total_;
        const std::int64_t from = std::max(begin_of(i), base);
        visit(slot, from - base, std::min(end, slot_end) - base);
        if (end > slot_end) break;  // goes on in the next slot
      }
      base = slot_end;
    }
  }

 private:
  [[nodiscard]] std::int64_t begin_of(std::int64_t i) const {
    if (length_ == 0) return 0;
    return static_cast<std::int64_t>((static_cast<double>(i) + start_) * factor_) * block;
  }

  const Layout& layout_;
  std::int64_t total_;
  double start_;
  std::int64_t blocks_ = 1;
  std::int64_t length_ = 0;  // of a block; 0: all of it is one
  double factor_ = 1;
};

/// ||x - y||^2 over the parameters of two models of that layout, without averaged buffers. float
/// and double on the CPU: of a `ParameterSample`, one pass without allocation; everything else: of
/// all, by LibTorch, with a wait for the device; where one is elsewhere it comes in pieces.
inline double squared_distance(const Layout& layout, const Flat& x, const Flat& y,
                               std::int64_t most, double start) {
  const auto is_plain = [&](const Slot& slot) {
    return (slot.dtype == at::kFloat || slot.dtype == at::kDouble) &&
           x.segments()[slot.segment].is_cpu() && y.segments()[slot.segment].is_cpu();
  };
  const bool plain = std::all_of(layout.slots.begin(), layout.slots.end(), is_plain);
  const ParameterSample sample(layout, plain ? most : std::numeric_limits<std::int64_t>::max(),
                               start);
  double sum = 0;
  sample.visit([&](const Slot& slot, std::int64_t begin, std::int64_t end) {
    const at::Tensor& a = x.segments()[slot.segment];
    const at::Tensor& b = y.segments()[slot.segment];
    const std::int64_t first = slot.offset + begin;
    if (plain && slot.dtype == at::kFloat) {
      sum += detail::squared_distance(a.data_ptr<float>() + first, b.data_ptr<float>() + first,
                                      end - begin);
    } else if (plain) {
      sum += detail::squared_distance(a.data_ptr<double>() + first, b.data_ptr<double>() + first,
                                      end - begin);
    } else {
      const std::array from{&y};
      const auto add = [&sum](const Flat& mine, std::span<const Flat* const> theirs) {
        sum += detail::squared_distance(mine.segments()[0], theirs[0]->segments()[0]);
      };
      if (!in_pieces(x, from, slot.segment, first, first + end - begin, add)) {
        sum += detail::squared_distance(a.narrow(0, first, end - begin),
                                        b.narrow(0, first, end - begin));
      }
    }
  });
  return sum * sample.factor();
}

}  // namespace gossamer::model
