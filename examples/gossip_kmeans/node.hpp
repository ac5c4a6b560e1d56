// SPDX-License-Identifier: MIT
/// What the user of the library writes: one node that clusters its share of the points.
#pragma once

#include <gossamer/node/gossip_node.hpp>
#include <gossip_kmeans/kmeans.hpp>

#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace kmeans {

/// One peer of decentralized k-means. What the group computes together is the tally of all points,
/// the sum over nodes of what each counts in its share. Sums are conserved by halving them; the
/// library conserves the sum of a x, of weight times model. So a node that has the weight a and
/// holds the sums S keeps
///
///     x = S / a
///
/// as its model. A push of half of the weight with a copy of x then hands over a x / 2 = S / 2; the
/// library's weighted average gives (a x + a' x') / (a + a') = (S + S') / (a + a'), what the
/// receiver now holds; and as all weights add up to 1, each x tends to the tally of all points.
/// Its centres are sums / counts, where a cancels. A point that moves from one cluster to another
/// is taken out and put in again as 1 / a of itself: the old contribution is corrected in place,
/// wherever its parts may be by now.
///
///     first step   the node counts its whole share, by the centres that all start from
///     every step   centres <- sums / counts; the next `batch` points of the share move to the
///                  clusters that are nearest now; unless the node is light
///
/// A node is light when it has less than half of the mean weight of those it knows. What it holds
/// is then a small part of all, and 1 / a of each moved point would throw its tally about; it only
/// looks at its batch, and moves it when others have pushed to it.
///
/// Invariant  sum of a x over nodes and messages in flight = sum over nodes of what they count.
/// Source     Fellus, Picard, Gosselin, "Decentralized K-means using randomized gossip protocols
///            for clustering large datasets", KDCLOUD 2013, as their published code has it.
/// Differs    there a node reassigns its whole share, then sends M messages; here it does a batch
///            at a time, a message (if the rule says so) after each, and waits while it is light.
///            Centres do not start from a random assignment but from points.
/// Limits     A node that is lost takes along what it held, and what it had counted stays in the
///            others' tallies; weights then add up to 1 - d only, and later moves count for
///            1 / (1 - d) of a point. Rules whose weights stay equal (PerSyn) do as well.
class KMeansNode : public gossamer::GossipNode<Tally> {
 public:
  /// @param points the node's share, (n, D) floating-point; may be empty. Only read.
  /// @param centres those that all nodes start from, (K, D).
  /// @param batch points per step, >= 1.
  KMeansNode(gossamer::Context context, at::Tensor points, const at::Tensor& centres,
             std::int64_t batch)
      : GossipNode(std::move(context), empty_tally(centres.size(0), centres)),
        points_(std::move(points)),
        labels_(at::full({points_.size(0)}, -1, at::kLong)),
        centres_(centres.clone()),
        batch_(batch) {}

  /// The centres by what the node knows now.
  [[nodiscard]] at::Tensor centres() { return centres_of(model(), centres_); }

  /// What the node itself has put in: the tally of its own points.
  [[nodiscard]] Tally contribution() const {
    Tally own = empty_tally(centres_.size(0), centres_);
    transfer(own, points_, at::full_like(labels_, -1), labels_);
    return own;
  }

 protected:
  /// The mean squared distance of a batch from its centres.
  double local_step() override {
    const std::int64_t n = points_.size(0);
    if (n == 0) return 0;
    centres_ = centres();
    const std::int64_t count = counted_ ? std::min(batch_, n - next_) : n;
    const at::Tensor points = points_.narrow(0, next_, count);
    const at::Tensor labels = labels_.narrow(0, next_, count);
    const Assignment now = assign(points, centres_);
    if (!counted_ || !is_light()) {
      transfer(model(), points, labels, now.labels, 1 / weight());
      labels.copy_(now.labels);
      next_ = (next_ + count) % n;
      counted_ = true;
    }
    return now.distances.mean().item<double>();
  }

 private:
  [[nodiscard]] bool is_light() {
    double sum = weight();
    const auto peers = engine().context().peers();
    for (const gossamer::PeerId peer : peers) sum += engine().context().counters(peer).weight;
    return weight() < 0.5 * sum / static_cast<double>(peers.size() + 1);
  }

  void on_checkpoint(gossamer::Archive& archive) override {
    archive("labels", labels_);
    archive("centres", centres_);
    archive("next", next_);
    archive("counted", counted_);
  }

  at::Tensor points_;
  at::Tensor labels_;   // the cluster to which each point was counted; -1: not yet
  at::Tensor centres_;  // as of the last step; those of empty clusters are kept here
  std::int64_t batch_;
  std::int64_t next_ = 0;  // the point with which the next batch begins
  bool counted_ = false;
};

}  // namespace kmeans
