// SPDX-License-Identifier: MIT
#include <gossamer/node/checkpoint.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/slow_momentum.hpp>

#include <tests/support.hpp>
#include <torch/types.h>

#include <filesystem>
#include <utility>
#include <vector>

namespace {

using namespace gossamer;

/// The node whose group wrote release_0_1/group.checkpoint, with the headers of that release, after
/// 7 steps a node.
class Numbers final : public GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Numbers(Context context)
      : GossipNode(std::move(context), {torch::zeros({3}, torch::kDouble)}) {}
  int mine = 0;

 private:
  double local_step() override {
    model()[0].add_(static_cast<double>(id()) + 1);
    return 0.5;
  }
  void on_checkpoint(Archive& archive) override { archive("mine", mine); }
};

TEST_CASE("A checkpoint of the release before is read, and its group goes on",
          "[node][checkpoint][threads]") {
  const auto path =
      std::filesystem::path(GOSSAMER_SOURCE_DIR) / "tests/node/release_0_1/group.checkpoint";
  ThreadGroup<Numbers> group(GroupOptions(2).node(NodeOptions().seed(5).samples_per_step(4)),
                             rule::SlowMo(rule::GoSgd(0.5), 3));
  load_checkpoint(group, path);
  // As that release printed them.
  CHECK(group[0].model()[0][0].item<double>() == 0x1.a36db6db6db6ep+3);
  CHECK(group[1].model()[0][0].item<double>() == 0x1.c36db6db6db6ep+3);
  CHECK(group[0].weight() == 0x1.9cp-1);
  CHECK(group[1].weight() == 0x1.9p-3);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(group[i].mine == 7);
    CHECK(group.counters(i).steps == 7);
    CHECK(group.counters(i).samples == 28);
  }
  group.run(StopCondition().steps(12));
  CHECK(group.totals().steps == 24);
  CHECK(group.total_weight() == tests::Approx(1).epsilon(tests::weight_tolerance));
}

}  // namespace
