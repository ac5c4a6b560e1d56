// SPDX-License-Identifier: MIT
/// When to meet: the contract, and a holder of any schedule.
#pragma once

#include <gossamer/peers.hpp>

#include <concepts>
#include <functional>

namespace gossamer::schedule {

/// Asked once after each local step: is it time? Random choices draw from `context.generator()`
/// alone; without state of its own.
template <class T>
concept Schedule = std::copy_constructible<T> && requires(const T& schedule, PeerContext& context) {
  { schedule(context) } -> std::same_as<bool>;
};

/// Says what a would-be schedule lacks.
template <class T>
consteval void check_schedule() {
  static_assert(Schedule<T>, "Schedule needs: bool operator()(PeerContext& context) const");
}

/// Any schedule, chosen at run time.
using Any = std::function<bool(PeerContext&)>;

}  // namespace gossamer::schedule
