// SPDX-License-Identifier: MIT
/// What a delivery keeps to itself and a search of all its states must tell apart. To be included
/// once per program.
#pragma once

#include <gossamer/transport/delivery/delivery.hpp>

#include <tuple>

namespace tests::delivery {

using gossamer::transport::Delivery;
using gossamer::transport::EventQueue;
using gossamer::transport::Load;
using gossamer::transport::Session;

/// Hands out pointers to private members: an explicit instantiation may name them.
template <class Tag, auto... members>
struct Reveal {
  friend auto members_of(Tag) { return std::tuple(members...); }
};

/// What the search asks for by name.
struct SessionParts {
  friend auto members_of(SessionParts);
};
template struct Reveal<SessionParts, &Session::dirty_, &Session::theirs_, &Session::out_,
                       &Session::in_>;
/// All else that decides what a session does next.
struct SessionRest {
  friend auto members_of(SessionRest);
};
template struct Reveal<SessionRest, &Session::mine_, &Session::last_mine_, &Session::last_theirs_,
                       &Session::reported_, &Session::reported_delivered_, &Session::known_,
                       &Session::open_, &Session::heard_, &Session::asks_, &Session::peer_leaves_,
                       &Session::leaving_seen_, &Session::forgotten_, &Session::gone_,
                       &Session::news_, &Session::incarnation_, &Session::doubt_>;
struct DeliveryParts {
  friend auto members_of(DeliveryParts);
};
template struct Reveal<DeliveryParts, &Delivery::queue_>;

inline const EventQueue& queue_of(const Delivery& node) {
  return node.*std::get<0>(members_of(DeliveryParts{}));
}
inline const auto& outgoing_of(const Session& session) {
  return session.*std::get<2>(members_of(SessionParts{}));
}
inline const auto& incoming_of(const Session& session) {
  return session.*std::get<3>(members_of(SessionParts{}));
}
/// The newest side of the peer that was heard of.
inline const auto& peer_of(const Session& session) {
  return session.*std::get<1>(members_of(SessionParts{}));
}
inline bool has_frame(const Session& session) {
  const bool is_dirty = session.*std::get<0>(members_of(SessionParts{}));
  return is_dirty || (session.is_open() && outgoing_of(session).has_next(Load::content));
}

/// Calls `add(part)` with all that decides what the session does next.
template <class Add>
void for_each_part(const Session& session, Add add) {
  const auto all = std::tuple_cat(members_of(SessionParts{}), members_of(SessionRest{}));
  std::apply([&](auto... member) { (add(session.*member), ...); }, all);
}

}  // namespace tests::delivery
