// SPDX-License-Identifier: MIT
/// Whose a simulated world's weight is, by the nodes' ledgers.
#pragma once

#include <gossamer/simulation/detail/cluster.hpp>
#include <gossamer/simulation/detail/weight_audit.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace gossamer::transport {

/// Reads the ledgers of the nodes that run, two of a link against each other.
class Auditor {
 public:
  explicit Auditor(const SimulatedCluster& cluster) : cluster_(cluster) {}

  /// Who holds what. O(links).
  [[nodiscard]] WeightAudit books() const {
    WeightAudit books;
    for (PeerId x = 0; x < cluster_.size(); ++x) {
      if (!cluster_.is_running(x)) continue;
      const auto& place = cluster_.place(x);
      books.in_hand += place.left_behind;
      for (const Message& message : place.outbox) books.in_hand += message.weight;
      for (const auto& [y, side] : place.sides) {
        if (cluster_.side(side).linked) enter(books, x, y);
      }
    }
    return books;
  }

  /// Whether what x says that y has delivered is what y says, to the bit. So it must be when
  /// nothing is under way.
  [[nodiscard]] bool agree(PeerId x, PeerId y) const {
    const Session* here = link_of(x, y);
    const Session* there = link_of(y, x);
    if (here == nullptr || there == nullptr) return true;
    const CompensatedSum& confirmed = here->flows().confirmed;
    const CompensatedSum& delivered = there->flows().delivered;
    return confirmed.messages() == delivered.messages() && confirmed.weight() == delivered.weight();
  }

  /// Messages from x to y of which x does not know what y did with them.
  [[nodiscard]] std::size_t doubts(PeerId x, PeerId y) const {
    const Session* link = link_of(x, y);
    return link != nullptr ? link->in_doubt() : 0;
  }

  /// Messages of a node that are not known to have arrived, those in doubt with a peer that runs
  /// included.
  [[nodiscard]] std::size_t unconfirmed(PeerId id) const {
    std::size_t count = cluster_.place(id).outbox.size();
    for (const auto& [peer, side] : cluster_.place(id).sides) {
      if (!cluster_.side(side).linked) continue;
      const Session& link = cluster_.link(cluster_.side(side));
      count += link.unconfirmed() - (cluster_.is_running(peer) ? 0 : link.in_doubt());
    }
    return count;
  }

 private:
  /// What x has with y; `nullptr` if nothing.
  [[nodiscard]] const Session* link_of(PeerId x, PeerId y) const {
    const std::uint32_t* at = cluster_.place(x).side_to(y);
    const bool linked = at != nullptr && cluster_.side(*at).linked;
    return linked ? &cluster_.link(cluster_.side(*at)) : nullptr;
  }

  void enter(WeightAudit& books, PeerId x, PeerId y) const {
    const NodeState& here = cluster_.place(x);
    const Ledger ledger = here.delivery->ledger(y);
    books.in_hand += ledger.offered.weight() + ledger.returning.weight() + ledger.waiting.weight();
    books.in_doubt += ledger.in_doubt.messages();
    const Flows past = here.delivery->past(y);
    double gone = past.confirmed.weight() + past.lost_with_peer.weight() - past.delivered.weight();
    const Session* theirs = link_of(y, x);
    if (!cluster_.is_running(y) || cluster_.place(y).incarnation != link_of(x, y)->incarnation()) {
      gone += ledger.surplus();
    } else if (theirs != nullptr && theirs->incarnation() == here.incarnation) {
      const double way = ledger.given() - theirs->flows().delivered.weight();
      books.on_the_way += way;
      books.least_on_the_way = std::min(books.least_on_the_way, way);
    } else {  // y has not met this incarnation of x
      books.on_the_way += ledger.given();
    }
    books.with_the_gone += gone;
  }

  const SimulatedCluster& cluster_;
};

}  // namespace gossamer::transport
