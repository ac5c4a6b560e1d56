// SPDX-License-Identifier: MIT
/// `DeliveryRules` as switches.
#pragma once

namespace tests::delivery {

/// The rules of delivery, to be broken one at a time.
struct Breakable {
  static inline bool waits_for_grant = true;
  static inline bool drops_repetitions = true;
  static inline bool accepts_in_order = true;
  static inline bool counters_only_grow = true;
  static inline bool confirms_delivered_only = true;
  static inline bool tells_sessions_apart = true;
  static inline bool renames_sessions = true;
  static inline bool follows_new_session = true;
  static inline bool checks_confirms = true;
  static inline bool returns_offers = true;
  static inline bool keeps_granted = true;
  static inline bool discards_held = true;
  static inline bool asks_for_report = true;
  static inline bool returns_undelivered = true;
  static inline bool keeps_report = true;
  static inline bool tells_lives_apart = true;
  static inline bool leaver_gives_back = true;
  static inline bool leaver_waits = true;
};

}  // namespace tests::delivery
