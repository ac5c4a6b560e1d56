// SPDX-License-Identifier: MIT
/// Gradients that `rule::Sync` averages.
#include "task.hpp"
#include <gossamer/distributed.hpp>
#include <gossamer/node/gradient_overlap.hpp>
#include <gossamer/rule/sync.hpp>

namespace ddp {
namespace {

class Sync : public Contender {
 public:
  Sync(Net& net, const gossamer::rule::Sync& rule) : gossip_(gossamer::join_run(rule), net) {}
  void average() override { gossip_.average_gradients(); }
  void after_step(double loss) override { gossip_.step(loss); }
  gossamer::Gossip& gossip() { return gossip_; }

 private:
  gossamer::Gossip gossip_;
};

class Overlapped final : public Sync {
 public:
  Overlapped(Net& net, const gossamer::rule::Sync& rule) : Sync(net, rule), overlap_(gossip()) {}
  void backward(const torch::Tensor& loss) override { overlap_.backward(loss); }

 private:
  gossamer::GradientOverlap overlap_;
};

}  // namespace

std::unique_ptr<Contender> make_sync(Net& net, const Job& job) {
  gossamer::rule::Sync rule;
  if (job.contender == "parts") rule.chunks(static_cast<std::uint32_t>(job.nodes));
  if (job.contender == "overlap") {
    // Of three buckets two are under way while the gradients of the convolutions are computed.
    return std::make_unique<Overlapped>(net, rule.bucket_cap_mb(0.027));
  }
  return std::make_unique<Sync>(net, rule);
}

}  // namespace ddp
