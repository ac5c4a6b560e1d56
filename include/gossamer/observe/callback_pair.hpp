// SPDX-License-Identifier: MIT
/// Two callbacks as one; made of such pairs, any number.
#pragma once

#include <gossamer/observe/callback.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace gossamer::observe {

/// Tells both, the first one first. Threads: as those two.
class CallbackPair final : public Callback {
 public:
  CallbackPair(std::shared_ptr<Callback> first, std::shared_ptr<Callback> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  void visit(const std::function<void(Callback&)>& look) override {
    first_->visit(look);
    second_->visit(look);
  }

  void on_start(Time now, PeerId node, std::uint64_t incarnation, double weight) override {
    both(&Callback::on_start, now, node, incarnation, weight);
  }
  void on_end(Time now, PeerId node, End how) override { both(&Callback::on_end, now, node, how); }
  void on_leaving(Time now, PeerId node) override { both(&Callback::on_leaving, now, node); }
  void on_peer_joined(Time now, PeerId node, PeerId peer) override {
    both(&Callback::on_peer_joined, now, node, peer);
  }
  void on_peer_left(Time now, PeerId node, const transport::PeerLeft& gone) override {
    both(&Callback::on_peer_left, now, node, gone);
  }
  void on_step(Time now, PeerId node) override { both(&Callback::on_step, now, node); }
  void on_step_end(Time now, PeerId node, const Counters& counters) override {
    both(&Callback::on_step_end, now, node, counters);
  }
  void on_wait(Time now, PeerId node, Wait what) override {
    both(&Callback::on_wait, now, node, what);
  }
  void on_rest(Time now, PeerId node) override { both(&Callback::on_rest, now, node); }
  void on_send(Time now, const transport::Message& message) override {
    both(&Callback::on_send, now, message);
  }
  void on_deliver(Time now, const transport::Message& message) override {
    both(&Callback::on_deliver, now, message);
  }
  void on_return(Time now, const transport::Returned& returned) override {
    both(&Callback::on_return, now, returned);
  }
  void on_merge(Time now, PeerId node, std::uint64_t messages, double weight) override {
    both(&Callback::on_merge, now, node, messages, weight);
  }
  void on_weight(Time now, PeerId node, double weight) override {
    both(&Callback::on_weight, now, node, weight);
  }
  void on_run_begin(Time now, const GroupState& state) override {
    both(&Callback::on_run_begin, now, state);
  }
  void on_tick(Time now, const GroupState& state) override { both(&Callback::on_tick, now, state); }
  void on_run_end(Time now, const GroupState& state) override {
    both(&Callback::on_run_end, now, state);
  }
  void on_evaluation(Time now, const Evaluation& found, const GroupState& state) override {
    both(&Callback::on_evaluation, now, found, state);
  }
  void on_checkpoint(Time now, const std::string& path) override {
    both(&Callback::on_checkpoint, now, path);
  }

 private:
  template <class Hook, class... Arguments>
  void both(Hook hook, const Arguments&... arguments) {
    ((*first_).*hook)(arguments...);
    ((*second_).*hook)(arguments...);
  }

  std::shared_ptr<Callback> first_;
  std::shared_ptr<Callback> second_;
};

}  // namespace gossamer::observe
