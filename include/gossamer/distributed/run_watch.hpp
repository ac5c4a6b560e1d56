// SPDX-License-Identifier: MIT
/// The live page of a node that `join_run` makes.
#pragma once

#include <gossamer/distributed/environment.hpp>
#include <gossamer/error.hpp>
#include <gossamer/node/detail/connections_of.hpp>
#include <gossamer/node/options.hpp>
#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/connections.hpp>
#include <gossamer/observe/group_state.hpp>
#include <gossamer/observe/watch.hpp>
#include <gossamer/peers.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/transport/tcp/host_port.hpp>

#include <c10/util/StringUtil.h>
#include <spdlog/logger.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace gossamer::detail {

/// An `observe::Watch` for a loop of one's own, which has no group to tell the page of its state:
/// it is told as the node steps and receives, at most five times a second. While a step lasts, the
/// page shows what was before it, and its age.
///
/// Threads  the node's.
class RunWatch final : public observe::Callback {
 public:
  /// The page of GOSSAMER_WATCH, [ADDRESS:]PORT, which listens from now on: at PORT for a newcomer,
  /// at PORT + `number` for one of those that the run begins with. Null if none is wanted. Throws
  /// ConfigError, naming what is wrong.
  static std::shared_ptr<RunWatch> make(const RunEnvironment& environment, PeerId number,
                                        const rule::AnyRule& rule, const char* transport) {
    const RunEnvironment::Setting wanted = environment.watch();
    if (wanted.value.empty()) return nullptr;
    const auto options = observe::WatchOptions()
                             .listen(place_of(wanted, number).text())
                             .token(environment.watch_token().value)
                             .about({{"rule", rule->agreement()}, {"transport", transport}});
    auto made =
        RunEnvironment::named(wanted.name, [&] { return std::make_shared<RunWatch>(options); });
    if (const auto& logger = environment.options().node().logger()) {
      logger->log(spdlog::level::info,
                  c10::str("node ", number, ": live page at ", made->watch_->url()));
    }
    return made;
  }

  explicit RunWatch(const observe::WatchOptions& options)
      : watch_(std::make_shared<observe::Watch>(options)) {}

  /// The others, as the endpoint of the node's transport knows them; it must outlive the node.
  template <class Endpoint>
  void look_at(Endpoint& endpoint, const std::string& address) {
    look_ = [&endpoint, address] {
      return std::make_shared<const observe::Connections>(connections_of(endpoint, address));
    };
  }
  /// The options of the node, whose callbacks are then told, too.
  static NodeOptions watched(NodeOptions node, const std::shared_ptr<RunWatch>& page) {
    if (page) node.callback(page->watch_).callback(page);
    return node;
  }

  void on_start(Time now, PeerId node, std::uint64_t, double weight) override {
    begin_ = now;
    self_.id = node;
    self_.counters.weight = weight;
    tell(now, &observe::Watch::on_run_begin);
  }
  void on_step_end(Time now, PeerId, const Counters& counters) override {
    self_.counters = counters;
    tick(now);
  }
  void on_weight(Time now, PeerId, double weight) override {
    self_.counters.weight = weight;
    tick(now);
  }
  void on_end(Time now, PeerId, End) override { tell(now, &observe::Watch::on_run_end); }

 private:
  static constexpr std::uint32_t most_founders = 65'536;  // later numbers are newcomers'

  static transport::HostPort place_of(const RunEnvironment::Setting& wanted, PeerId number) {
    const bool is_port_only = wanted.value.find(':') == std::string::npos;
    transport::HostPort place;
    try {
      place = transport::HostPort::parse((is_port_only ? "127.0.0.1:" : "") + wanted.value);
    } catch (const ConfigError&) {
      throw ConfigError(wanted.name + " must be [ADDRESS:]PORT, is \"" + wanted.value + "\"");
    }
    if (place.port == 0) {
      throw ConfigError(wanted.name + ": nobody would know the page's port, got 0");
    }
    const std::uint32_t port = place.port + (number < most_founders ? number : 0);
    if (port > 65'535) {
      throw ConfigError(c10::str(wanted.name, ": there is no port ", port, " for node ", number));
    }
    place.port = static_cast<std::uint16_t>(port);
    return place;
  }

  void tick(Time now) {
    if (now - told_ >= std::chrono::milliseconds(200)) tell(now, &observe::Watch::on_tick);
  }
  void tell(Time now, void (observe::Watch::*hook)(Time, const observe::GroupState&)) {
    observe::GroupState state;
    state.nodes = {self_};
    state.totals = self_.counters;
    if (look_) state.connections = look_();
    if (look_) {
      for (const auto& peer : state.connections->peers) state.totals += peer.status;
    }
    state.elapsed = state.wall = now - begin_;
    ((*watch_).*hook)(now, state);
    told_ = now;
  }

  std::shared_ptr<observe::Watch> watch_;
  std::function<std::shared_ptr<const observe::Connections>()> look_;
  observe::GroupState::Node self_;
  Time begin_{0};
  Time told_{0};
};

}  // namespace gossamer::detail
