// SPDX-License-Identifier: MIT
/// How a newcomer comes by its weight: an exchange that every member answers, whatever the rule.
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/transport/threads.hpp>

#include <tests/support.hpp>

#include <memory>
#include <utility>
#include <vector>

namespace {

using gossamer::Context;
using gossamer::GossipNode;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::Progress;
using gossamer::StopCondition;
using gossamer::transport::Reason;
using gossamer::transport::ThreadHub;
using gossamer::transport::Time;

class Node final : public GossipNode<std::vector<at::Tensor>> {
 public:
  Node(Context context, double x)
      : GossipNode(std::move(context), {torch::full({3}, x, torch::kDouble)}) {}
  [[nodiscard]] double number() { return model()[0][1].item<double>(); }
  Progress advance() { return GossipNode::advance(StopCondition(), Time(0)); }

 private:
  double local_step() override { return 0; }
};

/// Nodes 0 and 1 are members with weights 0.75 and 0.25 and numbers 10 and 20; node 2 is new.
struct Trio {
  explicit Trio(const gossamer::rule::AnyRule& rule) : hub(ThreadHub::make(3)) {
    const double weights[] = {0.75, 0.25, 0};
    for (PeerId id = 0; id < 3; ++id) {
      nodes.push_back(std::make_unique<Node>(
          Context{hub->endpoint(id), rule, NodeOptions(), weights[id]}, 10.0 * (id + 1)));
    }
  }
  Node& operator[](std::size_t i) { return *nodes[i]; }
  [[nodiscard]] double total() const {
    double sum = hub->weight_in_flight();
    for (const auto& node : nodes) sum += node->weight();
    return sum;
  }
  std::shared_ptr<ThreadHub> hub;
  std::vector<std::unique_ptr<Node>> nodes;
};

}  // namespace

TEST_CASE("A newcomer begins with half of a member's weight and with its model",
          "[node][threads]") {
  for (const gossamer::rule::AnyRule& rule : {gossamer::rule::AnyRule(gossamer::rule::GoSgd(0)),
                                              gossamer::rule::AnyRule(gossamer::rule::None())}) {
    Trio trio(rule);
    trio[2].join(0);
    CHECK(trio[2].advance() == Progress::waiting);  // it does not train what nobody knows
    CHECK(trio[2].counters().steps == 0);
    CHECK(trio[0].advance() == Progress::stepped);
    CHECK(trio[0].weight() == 0.375);
    CHECK(trio.total() == 1);
    CHECK(trio[2].advance() == Progress::stepped);
    CHECK_FALSE(trio[2].is_joining());
    CHECK(trio[2].weight() == 0.375);
    CHECK(trio[2].number() == 10);
    CHECK(trio[0].number() == 10);
    CHECK(trio.total() == 1);
  }
}

TEST_CASE("A newcomer whose member is gone asks another one", "[node][threads]") {
  Trio trio(gossamer::rule::GoSgd(0));
  trio[2].join(0);
  trio[0].engine().transport().close(Reason::lost);  // with the request in its queue
  CHECK(trio[2].advance() == Progress::waiting);
  trio[1].advance();
  CHECK(trio[2].advance() == Progress::stepped);
  CHECK(trio[2].weight() == 0.125);
  CHECK(trio[2].number() == 20);
}

TEST_CASE("A newcomer that asks another newcomer is sent on", "[node][threads]") {
  Trio trio(gossamer::rule::GoSgd(0));
  Node& empty = trio[2];  // nobody has asked it to join; it has no weight all the same
  trio[1].engine().weight() = 0;
  trio[1].join(2);
  empty.advance();
  for (int i = 0; i < 100 && trio[1].is_joining(); ++i) {  // it asks at random
    trio[1].advance();
    empty.advance();
    trio[0].advance();
  }
  CHECK_FALSE(trio[1].is_joining());
  CHECK(trio[1].number() == 10);
  CHECK(empty.weight() == 0);
}

TEST_CASE("What a newcomer did not live to take comes home", "[node][threads]") {
  Trio trio(gossamer::rule::GoSgd(0));
  trio[2].join(0);
  trio[0].advance();
  CHECK(trio[0].weight() == 0.375);
  trio[2].engine().transport().close(Reason::lost);
  trio[0].advance();
  CHECK(trio[0].weight() == 0.75);
  CHECK(trio[0].number() == 10);
  CHECK(trio.total() == 1);
}
