// SPDX-License-Identifier: MIT
// expect: Rule needs: a copy constructor (one copy per node)
// expect: Rule needs: std::string name() const
// expect: Rule needs: bool needs_gradient_hook() const
// expect: Rule needs: bool is_synchronous() const
// expect: Rule needs: bool merges_by_weighted_average() const
// expect: Rule needs: bool may_step(RuleContext& context)
// expect: Rule needs: void before_step(RuleContext& context)
// expect: Rule needs: void after_gradient(RuleContext& context)
// expect: Rule needs: bool may_apply(RuleContext& context)
// expect: Rule needs: void before_apply(RuleContext& context)
// expect: Rule needs: void after_step(RuleContext& context)
// expect: Rule needs: void on_messages(RuleContext& context, std::span<const Message> messages)
// expect: Rule needs: void on_returned(RuleContext& context, const Message& message)
// expect: Rule needs: void on_peer_joined(RuleContext& context, PeerId peer)
// expect: Rule needs: void on_peer_left(RuleContext& context, const PeerLeft& gone)
// expect: Rule needs: void on_leave(RuleContext& context)
// expect: Rule needs: void on_replaced(RuleContext& context)
// expect: Rule needs: void checkpoint(Archive& archive)
// expect: Rule needs: void on_messages(RuleContext& context, std::span<const Message> messages)
#include <gossamer/rule/rule.hpp>

#include <string>

namespace {

using namespace gossamer::rule;

struct Whole : Rule {
  std::string name() const override { return "whole"; }
};

// Each hides one hook of `Whole`, or of `Neutral`.
struct NoCopy : Whole {
  NoCopy(const NoCopy&) = delete;
};
struct NoName : Rule {};
struct NoNeedsHalves : Whole {
  void needs_gradient_hook() = delete;
};
struct NoLockstep : Whole {
  void is_synchronous() = delete;
};
struct NoUsesMerge : Whole {
  void merges_by_weighted_average() = delete;
};
struct NoMayStep : Whole {
  void may_step() = delete;
};
struct NoBeforeStep : Whole {
  void before_step() = delete;
};
struct NoAfterGradient : Whole {
  void after_gradient() = delete;
};
struct NoMayApply : Whole {
  void may_apply() = delete;
};
struct NoBeforeApply : Whole {
  void before_apply() = delete;
};
struct NoAfterStep : Whole {
  void after_step() = delete;
};
struct NoOnMessages : Whole {
  void on_messages() = delete;
};
struct NoOnReturned : Whole {
  void on_returned() = delete;
};
struct NoOnPeerJoined : Whole {
  void on_peer_joined() = delete;
};
struct NoOnPeerLeft : Whole {
  void on_peer_left() = delete;
};
struct NoOnLeave : Whole {
  void on_leave() = delete;
};
struct NoOnReplaced : Whole {
  void on_replaced() = delete;
};
struct NoCheckpoint : Whole {
  void checkpoint() = delete;
};
struct OneByOne : Whole {
  void on_messages(RuleContext&, const Message&) {}
};

}  // namespace

int main() {
  check_rule<Whole>();
  check_rule<NoCopy>();
  check_rule<NoName>();
  check_rule<NoNeedsHalves>();
  check_rule<NoLockstep>();
  check_rule<NoUsesMerge>();
  check_rule<NoMayStep>();
  check_rule<NoBeforeStep>();
  check_rule<NoAfterGradient>();
  check_rule<NoMayApply>();
  check_rule<NoBeforeApply>();
  check_rule<NoAfterStep>();
  check_rule<NoOnMessages>();
  check_rule<NoOnReturned>();
  check_rule<NoOnPeerJoined>();
  check_rule<NoOnPeerLeft>();
  check_rule<NoOnLeave>();
  check_rule<NoOnReplaced>();
  check_rule<NoCheckpoint>();
  AnyRule rule(OneByOne{});  // the holder says so too
}
