// SPDX-License-Identifier: MIT
/// The decisions that the promise of delivery rests on, by name.
#pragma once

namespace gossamer::transport {

/// What `BasicDelivery` does, decision by decision. Constants, so that they cost nothing. The tests
/// derive from this, turn one around, and search all interleavings of two nodes for the message
/// that is then lost or counted twice; each line is here because there is one.
struct DeliveryRules {
  /// A message is the receiver's when its sender has granted it, not when it has arrived. Else a
  /// sender that takes it home meanwhile has it, too.
  static constexpr bool waits_for_grant = true;
  /// An offer that was accepted before is not accepted again.
  static constexpr bool drops_repetitions = true;
  /// An offer is accepted in its turn only, for one counter can say no more.
  static constexpr bool accepts_in_order = true;
  /// Counters say what was reached, never less than before: an old frame takes nothing back.
  static constexpr bool counters_only_grow = true;
  /// A receiver confirms what has reached its rule, not what it holds and may yet give up.
  static constexpr bool confirms_delivered_only = true;
  /// A frame is used in the session that it names, and in no other.
  static constexpr bool tells_sessions_apart = true;
  /// The end of a session ends its number: the next one has another.
  static constexpr bool renames_sessions = true;
  /// A peer that begins a new session has ended the old one, so this side ends it, too.
  static constexpr bool follows_new_session = true;
  /// A peer cannot confirm what it was not granted.
  static constexpr bool checks_confirms = true;

  /// When a session ends, what was not granted comes home.
  static constexpr bool returns_offers = true;
  /// When a session ends, what was granted stays where it is until the peer says what it did.
  static constexpr bool keeps_granted = true;
  /// When a session ends, what is held and not granted is never delivered.
  static constexpr bool discards_held = true;
  /// A session opens when the peer has said how many messages of the last one it delivered,
  static constexpr bool asks_for_report = true;
  /// and those that it did not deliver come home.
  static constexpr bool returns_undelivered = true;
  /// That report is kept until the peer has been heard in the next session: it may need it still.
  static constexpr bool keeps_report = true;
  /// A new incarnation of a peer remembers nothing of the one before: it cannot say what that delivered.
  static constexpr bool tells_lives_apart = true;

  /// A leaver gives back what it has not handed to its rule,
  static constexpr bool leaver_gives_back = true;
  /// and stays until that is known.
  static constexpr bool leaver_waits = true;
};

}  // namespace gossamer::transport
