// SPDX-License-Identifier: MIT
/// What the user of the library writes: one node that knows the principal components of its share,
/// and learns those of all.
#pragma once

#include <gossamer/node/gossip_node.hpp>
#include <gossip_pca/pca.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

namespace pca {

/// A node's model: components of a number of samples. Bases cannot be averaged, so the model brings
/// a merge of its own, and the library's rules use it wherever models meet.
///
/// A node of weight a that holds the part N of all samples keeps samples = N / a, as sums are kept
/// in gossip by weights: the sum of a times samples is conserved, and as the weights add up to 1,
/// each node's `samples` tends to the number of all. A push of half of the weight hands over half
/// of each sample; two parts are pooled as samples are.
struct Model {
  Components components;
};

inline gossamer::model::Tensors gossip_tensors(Model& model) {
  const Components& c = model.components;
  return {
      .parameters = {{"basis", c.basis},
                     {"variances", c.variances},
                     {"mean", c.mean},
                     {"samples", c.samples}},
      .merge = [c = Components(c)](double own, std::span<const gossamer::model::NamedTensor> theirs,
                                   double other) mutable {
        const Components them{theirs[0].tensor, theirs[1].tensor, theirs[2].tensor,
                              theirs[3].tensor};
        const double a = own * c.count();
        const double b = other * them.count();
        if (a + b > 0) pool(c, a, them, b);
        c.samples.fill_((a + b) / (own + other));
      }};
}

/// One peer of asynchronous gossip PCA.
///
///     first step   pools the components of its own samples into what it holds
///     every step   measures, and gossips as the rule says
///
/// Invariant  over nodes and messages in flight, with a the weight, n the samples, m the mean: sum
///            of a n, sum of a n m, and, while the rank is at most q, sum of a n (cov + m m^T).
/// Exact      if the covariance of all samples has a rank of at most q; else each merge drops what
///            is weaker than the q strongest, and the result is near the central one.
/// Source     Fellus, Picard, Gosselin, "Asynchronous gossip principal components analysis",
///            Neurocomputing 2015; the ESANN 2014 paper of the same authors.
/// Differs    their published code adds second moments about 0; here parts are pooled with their
///            means, by one column more, so that the result is the covariance's. Their state holds
///            sums, ours the same divided by the weight.
/// Limits     What a lost node held is gone with it; only its weight's part of all.
class PcaNode : public gossamer::GossipNode<Model> {
 public:
  /// @param samples the node's share, (n, D); may be empty. Only read.
  /// @param q how many components are kept, >= 1.
  PcaNode(gossamer::Context context, at::Tensor samples, std::int64_t q)
      : GossipNode(std::move(context), Model{no_components(samples.size(1), q)}),
        samples_(std::move(samples)) {}

  [[nodiscard]] const Components& components() { return model().components; }

 protected:
  /// The part of the variance of some of its own samples that it does not capture.
  double local_step() override {
    if (samples_.size(0) == 0) return 0;
    Components& known = model().components;
    if (!pooled_) {
      const Components own = components_of(samples_, known.variances.size(0));
      pool(known, weight() * known.count(), own, own.count());
      known.samples.div_(weight());
      pooled_ = true;
    }
    constexpr std::int64_t some = 500;
    return 1 -
           captured_variance(samples_.narrow(0, 0, std::min(some, samples_.size(0))), known.basis);
  }

 private:
  void on_checkpoint(gossamer::Archive& archive) override { archive("pooled", pooled_); }

  at::Tensor samples_;
  bool pooled_ = false;  // its own samples are in what the group holds
};

}  // namespace pca
