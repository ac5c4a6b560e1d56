// SPDX-License-Identifier: MIT
/// What one node's books say of its exchange with one peer, so that weight can be audited.
#pragma once

#include <cmath>
#include <cstdint>

namespace gossamer::transport {

/// A number of messages and the weight that they carry together.
///
/// Sums of millions of weights are compared with each other to 1e-9, so the rounding of each
/// addition is kept as well (Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation
/// endlicher Summen", ZAMM 54, 1974).
class CompensatedSum {
 public:
  void add(double weight) {
    ++messages_;
    sum(weight);
  }
  void take(double weight) {
    --messages_;
    sum(-weight);
  }
  CompensatedSum& operator+=(const CompensatedSum& other) {
    messages_ += other.messages_;
    sum(other.sum_);
    sum(other.rest_);
    return *this;
  }

  [[nodiscard]] std::uint64_t messages() const { return messages_; }
  [[nodiscard]] double weight() const { return sum_ + rest_; }

 private:
  void sum(double weight) {
    const double total = sum_ + weight;
    const bool sum_is_larger = std::abs(sum_) >= std::abs(weight);
    rest_ += sum_is_larger ? (sum_ - total) + weight : (weight - total) + sum_;
    sum_ = total;
  }

  std::uint64_t messages_ = 0;
  double sum_ = 0;
  double rest_ = 0;
};

/// What has passed between a node and a peer, since they met.
struct Flows {
  // Messages to the peer.
  CompensatedSum sent;            ///< all that the node wanted to send
  CompensatedSum confirmed;       ///< delivered by the peer
  CompensatedSum returned;        ///< came back
  CompensatedSum lost_with_peer;  ///< granted to an incarnation that ended; whether delivered or
                                  ///< not, they were its
  // Messages from the peer.
  CompensatedSum delivered;  ///< granted by the peer, hence this node's
  CompensatedSum discarded;  ///< were held, and given up: they are the peer's, for ever

  Flows& operator+=(const Flows& other) {
    sent += other.sent;
    confirmed += other.confirmed;
    returned += other.returned;
    lost_with_peer += other.lost_with_peer;
    delivered += other.delivered;
    discarded += other.discarded;
    return *this;
  }
};

/// The books of one node with one incarnation of one peer: what has passed, and where the
/// rest is now.
///
/// Every message that was sent is in exactly one place:
///
///     sent = offered + granted + in_doubt + confirmed + returned + lost_with_peer
///
/// and what is the peer's, by these books, is `given()`. Between two nodes that run:
///
///     confirmed here  =  delivered there, when nothing is under way or in doubt
///                        (the same additions in the same order: the same bits);
///     offered + returning + given() here  -  (delivered - waiting) there
///                     =  weight on its way from here to there, in no node's hands.
///
/// A node that died held what it began with plus the sum of `surplus()` over the survivors' ledgers
/// for it, the part that was granted to it and in doubt included; nobody needs to ask it.
struct Ledger : Flows {
  CompensatedSum offered;  ///< this node's own still, and is returned if the peer dies
  CompensatedSum granted;  ///< the peer's from here on; it may or may not have delivered them
  CompensatedSum
      in_doubt;  ///< granted, and then the session ended; settled when the two meet again
  CompensatedSum returning;  ///< of those returned, the ones that the node has not polled
  CompensatedSum held;       ///< arrived and accepted, the peer's still
  CompensatedSum waiting;    ///< of those delivered, the ones that the node has not polled

  /// Weight that is the peer's by these books.
  [[nodiscard]] double given() const {
    CompensatedSum sum = granted;
    sum += in_doubt;
    sum += confirmed;
    sum += lost_with_peer;
    return sum.weight();
  }

  /// By how much the exchange with this node has made the peer's weight larger.
  [[nodiscard]] double surplus() const { return given() - delivered.weight(); }
};

}  // namespace gossamer::transport
