// SPDX-License-Identifier: MIT
/// How the members of a group find out that all have finished and nothing is under way.
#pragma once

#include <gossamer/transport/membership/state.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

namespace gossamer::transport {

/// A node is calm when it has finished, all peers have seen that, and nothing is under way from it,
/// or in its hands. While a message is on its way, somebody is not calm: its sender, until it knows
/// that the receiver has it; and the receiver, from then until it has dealt with it. So if there is
/// one moment at which all are calm, nothing will ever come again.
///
/// To find such a moment, a node that has heard of all others that they are calm asks each once
/// more. If all are, and none was activity_epoch since it said so before, all were calm at the
/// moment at which the questions went out (a double collect: Mattern, "Algorithms for distributed
/// termination detection", 1987). That is true for all, so it tells them: none depends on the
/// answers of one that is settled already.
class TerminationDetector {
 public:
  explicit TerminationDetector(MembershipState& state) : m_(state) {}

  [[nodiscard]] bool calm() const { return calm_; }
  [[nodiscard]] std::uint64_t activity_epoch() const { return activity_epoch_; }
  [[nodiscard]] bool settled() const { return settled_; }

  /// After whatever may have changed it. True if the node has become settled. O(peers) once the
  /// node has finished.
  bool look() {
    const bool now_calm = is_calm();
    if (now_calm != calm_) {
      calm_ = now_calm;
      settled_ = asking_ = false;
      if (!calm_) {
        ++activity_epoch_;
      } else {
        ping_all();
      }
    }
    return calm_ && !settled_ && ask();
  }

  /// A peer says how it is; `answer` is the number of the ping that it answers, or 0.
  void hear(KnownPeer& peer, const wire::Ping& ping, std::uint64_t answer) {
    if (asking_ && answer >= question_) {
      if (ping.calm && ping.activity_epoch == peer.expected) {
        peer.confirmed = true;
      } else {
        asking_ = false;
      }
    }
    if (calm_ && ping.settled && ping.expected == activity_epoch_) {
      settled_ = true;
      asking_ = false;
    }
    if (peer.calm && !ping.calm) asking_ = false;
    peer.calm = ping.calm;
    peer.activity_epoch = ping.activity_epoch;
  }

  /// What keeps the node from being settled, in words; empty if nothing does.
  [[nodiscard]] std::string reason() const {
    if (settled_) return {};
    if (!m_.finished) return "it has not finished";
    if (m_.polled > 0 || m_.delivery.has_event() || !m_.news.empty()) {
      return "it has not dealt with all that came";
    }
    std::string all;
    for (const auto& [id, peer] : m_.links) {
      const char* why = nullptr;
      if (!peer.known) continue;
      if (peer.line == 0)
        why = "is out of reach";
      else if (!peer.finish_told)
        why = "has not finished";
      else if (m_.must_say_finished(peer))
        why = "has not heard that this node has finished";
      else if (m_.delivery.under_way(id) > 0)
        why = "has not taken all messages, or not confirmed it";
      else if (!peer.calm)
        why = "waits for somebody";
      else if (!peer.confirmed)
        why = "was asked once more";
      if (why != nullptr)
        all += (all.empty() ? "peer " : "; peer ") + std::to_string(id) + " " + why;
    }
    return all;
  }

  /// The connection on which the answer was to come is gone.
  void interrupt() { asking_ = false; }

 private:
  [[nodiscard]] bool is_calm() const {
    if (!m_.finished || m_.polled > 0 || m_.delivery.has_event() || !m_.news.empty()) return false;
    return std::none_of(m_.links.begin(), m_.links.end(), [this](const auto& entry) {
      const KnownPeer& peer = entry.second;
      return peer.known && (m_.must_say_finished(peer) || !peer.finish_told ||
                            m_.delivery.under_way(entry.first) > 0);
    });
  }

  bool ask() {
    bool all_calm = true;
    bool all_confirmed = true;
    for (const auto& [id, peer] : m_.links) {
      if (!peer.known) continue;
      all_calm = all_calm && peer.calm;
      all_confirmed = all_confirmed && peer.confirmed;
    }
    if (asking_ && all_confirmed) {
      asking_ = false;
      settled_ = true;
      ping_all();
      return true;
    }
    if (asking_ || !all_calm) return false;
    asking_ = true;
    bool anybody = false;
    question_ = m_.pings + 1;
    for (auto& [id, peer] : m_.links) {
      if (!peer.known) continue;
      anybody = true;
      peer.expected = peer.activity_epoch;
      peer.confirmed = false;
    }
    ping_all();
    return !anybody && (settled_ = true);
  }

  void ping_all() {
    for (auto& [id, peer] : m_.links) {
      Connection* line = m_.line(peer.line);
      if (!peer.known || line == nullptr) continue;
      line->ping_due = true;
      m_.speak(*line);
    }
  }

  MembershipState& m_;
  bool calm_ = false;
  bool settled_ = false;
  bool asking_ = false;
  std::uint64_t activity_epoch_ = 0;
  std::uint64_t question_ = 0;  // the first ping that is one
};

}  // namespace gossamer::transport
