// SPDX-License-Identifier: MIT
/// What a rule sees and changes of its node while one of its hooks runs.
#pragma once

#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/peers.hpp>
#include <gossamer/transport/message.hpp>

namespace gossamer::rule {

using transport::Message;
using transport::PeerLeft;
using transport::Reason;

/// A rule's whole world: state in, state and messages out. No sockets, no threads, no clock but the
/// transport's; so a rule is deterministic given the generator and what it is told, and a test can
/// be the world.
class RuleContext : public PeerContext {
 public:
  /// The node's weight (alpha).
  [[nodiscard]] virtual double& weight() = 0;
  [[nodiscard]] virtual model::FlatModel& model() = 0;
  /// Whether fewer than `NodeOptions::max_in_flight` copies are on their way, codes counted by
  /// their bytes. A rule that can let an exchange pass asks before it takes one, so that slow
  /// receivers do not fill this node's memory.
  [[nodiscard]] virtual bool may_send() const = 0;
  /// A pooled copy of the parameters as they are now.
  [[nodiscard]] virtual model::Snapshot snapshot() = 0;
  /// Pooled memory in the shape of the parameters, to be written into.
  [[nodiscard]] virtual model::Snapshot blank() = 0;
  /// Pooled memory for codes; the context's own, unless it says otherwise.
  [[nodiscard]] virtual codec::CodedPool& codes() { return codes_; }
  /// Sends after the hook has returned. `from` is filled in.
  virtual void send(Message message) = 0;
  /// The rule has put the parameters where a new stretch of training begins: the node's
  /// `on_restart` is called.
  virtual void restarted() = 0;

 protected:
  [[nodiscard]] const codec::CodedPool& own_codes() const noexcept { return codes_; }

 private:
  codec::CodedPool codes_;
};

}  // namespace gossamer::rule
