// SPDX-License-Identifier: MIT
/// The only file of the examples that sees ncurses.
#include <gossamer/error.hpp>
#include <gossamer/observe/watch_state.hpp>
#include <shared/dashboard.hpp>

#include <utility>

#ifdef GOSSAMER_HAS_NCURSES
#include <gossamer/observe/dashboard.hpp>
#endif

namespace examples {

#ifdef GOSSAMER_HAS_NCURSES

struct Dashboard::Shown {
  gossamer::observe::Dashboard dashboard;
};

std::string Dashboard::obstacle() { return gossamer::observe::Dashboard::obstacle(); }

Dashboard::Dashboard(std::shared_ptr<const gossamer::observe::WatchState> state)
    : shown_(new Shown{gossamer::observe::Dashboard(std::move(state))}) {}

void Dashboard::leave() { shown_->dashboard.leave(); }

#else

struct Dashboard::Shown {};

std::string Dashboard::obstacle() {
  return "needs ncurses (Debian: libncurses-dev), without which this program was built";
}

Dashboard::Dashboard(std::shared_ptr<const gossamer::observe::WatchState>) {
  throw gossamer::ConfigError("Dashboard: " + obstacle());
}

void Dashboard::leave() {}

#endif

Dashboard::~Dashboard() = default;

}  // namespace examples
