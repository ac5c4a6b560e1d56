// SPDX-License-Identifier: MIT
/// In what ledger gossip counts: in the model's own numbers, or in integers.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/model/flat.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/rule/kept_flat.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/view_as_real.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace gossamer::rule::detail {

/// Three sums of vectors: x - z, x + h and z + h, for a model's numbers x, a link's z and half a
/// decoded code, h = q / 2.
///
/// In the model's own numbers they are rounded. In integers they are not: h is a multiple of 2^-24,
/// and so are z, modulo 2^8, and what a node counts as its number: x rounded to such a multiple,
/// plus what rounding has left out where x is 1 or more and has fewer digits. So sums over nodes
/// are the same to the bit, in whatever order codes arrive. Two nodes' numbers must differ by less
/// than 2^7; those beyond 2^28 are cut off there, at both ends.
/// Threads: as a rule.
class LedgerNumbers {
 public:
  explicit LedgerNumbers(bool integers) : integers_(integers) {}

  [[nodiscard]] bool integers() const noexcept { return integers_; }
  /// Room for a link's z.
  [[nodiscard]] KeptFlat ledger() const { return integers_ ? KeptFlat(at::kInt) : KeptFlat(); }

  /// z <- x
  void copy(const model::Flat& z, const model::Flat& x) const {
    if (!integers_) return z.copy_from(x);
    for_all(z, [&](std::size_t s, const at::Tensor& to) { to.copy_(wrap(units(reals(x, s)))); });
  }
  /// q <- x - z, for the model's x.
  void difference(RuleContext& context, const model::Flat& q, const model::Flat& z) {
    const model::Flat& x = context.model().flat();
    if (!integers_) return model::difference(q, x, z);
    const model::Flat& carry = carry_.get(context);
    for_all(z, [&](std::size_t s, const at::Tensor& theirs) {
      const at::Tensor scaled = reals(x, s).to(at::kDouble).mul(scale);
      const at::Tensor whole = whole_of(scaled);
      const at::Tensor ours = whole + carry.segments()[s];
      const at::Tensor apart = wrap(ours - theirs).to(at::kDouble);
      reals(q, s).copy_(apart.add_(scaled - whole).div_(scale));
    });
  }
  /// x <- x + sign q / 2, for the model's x.
  void add_to_model(RuleContext& context, const model::Flat& q, int sign) {
    const model::Flat& x = context.model().flat();
    if (!integers_) return model::add(x, q, 0.5 * sign);
    const model::Flat& carry = carry_.get(context);
    for_all(carry, [&](std::size_t s, const at::Tensor& left_out) {
      const at::Tensor to = reals(x, s);
      const at::Tensor scaled = to.to(at::kDouble).mul(scale);
      const at::Tensor whole = whole_of(scaled);
      const at::Tensor sum = (whole + left_out).add_(halves(reals(q, s)), sign);
      to.copy_((scaled - whole).add_(sum.to(at::kDouble)).div_(scale));
      left_out.copy_(wrap(sum - units(to)));
    });
  }
  /// z <- z + sign q / 2
  void add(const model::Flat& z, const model::Flat& q, int sign) const {
    if (!integers_) return model::add(z, q, 0.5 * sign);
    for_all(z, [&](std::size_t s, const at::Tensor& to) {
      to.copy_(wrap(to.to(at::kLong).add_(halves(reals(q, s)), sign)));
    });
  }

  /// What a node counts as its numbers, in units of 2^-24; for integers only.
  [[nodiscard]] model::Flat counted(RuleContext& context) {
    std::vector<at::Tensor> all;
    for (std::size_t s = 0; s < context.model().flat().segments().size(); ++s) {
      all.push_back(units(reals(context.model().flat(), s)) + carry_.get(context).segments()[s]);
    }
    return model::Flat(std::move(all));
  }
  void checkpoint(Archive& archive) {
    if (integers_) carry_.checkpoint(archive, "carry");
  }

 private:
  static constexpr double scale = 1 << 24;
  static constexpr double most = static_cast<double>(std::int64_t{1} << 52);

  template <class Function>
  static void for_all(const model::Flat& flat, Function function) {
    for (std::size_t s = 0; s < flat.segments().size(); ++s) function(s, flat.segments()[s]);
  }
  /// Complex numbers are two real ones.
  static at::Tensor reals(const model::Flat& flat, std::size_t s) {
    const at::Tensor& all = flat.segments()[s];
    return all.is_complex() ? at::view_as_real(all).view({2 * all.numel()}) : all;
  }
  static at::Tensor whole_of(const at::Tensor& scaled) {
    return scaled.round().nan_to_num_(0).clamp_(-most, most).to(at::kLong);
  }
  static at::Tensor units(const at::Tensor& x) { return whole_of(x.to(at::kDouble).mul(scale)); }
  static at::Tensor halves(const at::Tensor& q) {
    return whole_of(q.to(at::kDouble).mul(scale / 2));
  }
  /// Modulo 2^32, from -2^31 on.
  static at::Tensor wrap(const at::Tensor& whole) {
    constexpr std::int64_t half = std::int64_t{1} << 31;
    return whole.add(half).bitwise_and_(2 * half - 1).sub_(half).to(at::kInt);
  }

  bool integers_;
  KeptFlat carry_{at::kInt};  // what rounding has left out of x
};

}  // namespace gossamer::rule::detail
