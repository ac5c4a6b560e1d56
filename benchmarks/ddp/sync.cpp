// SPDX-License-Identifier: MIT
/// Gradients that `rule::Sync` averages.
#include "task.hpp"
#include <gossamer/distributed.hpp>
#include <gossamer/rule/sync.hpp>

namespace ddp {
namespace {

class Sync final : public Contender {
 public:
  Sync(Net& net, const gossamer::rule::Sync& rule) : gossip_(gossamer::join_run(rule), net) {}
  void average() override { gossip_.average_gradients(); }
  void after_step(double loss) override { gossip_.step(loss); }

 private:
  gossamer::Gossip gossip_;
};

}  // namespace

std::unique_ptr<Contender> make_sync(Net& net, const Job& job, bool in_parts) {
  gossamer::rule::Sync rule;
  if (in_parts) rule.chunks(static_cast<std::uint32_t>(job.nodes));
  return std::make_unique<Sync>(net, rule);
}

}  // namespace ddp
