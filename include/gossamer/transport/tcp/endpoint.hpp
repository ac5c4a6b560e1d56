// SPDX-License-Identifier: MIT
/// The thread of a node on TCP: it listens, dials, reads and writes what a `Membership` says.
#pragma once

#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/membership/peer_view.hpp>
#include <gossamer/transport/tcp/connector.hpp>
#include <gossamer/transport/tcp/options.hpp>
#include <gossamer/transport/tcp/state.hpp>
#include <gossamer/transport/tcp/ticker.hpp>
#include <gossamer/transport/tcp/unauthenticated_peers.hpp>

#include <asio/post.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// One thread that does all input and output, and a mutex around the `Membership`. The node's
/// thread never waits for the network: it changes the member and wakes the other one.
///
///     monitor     what the two threads share     connector  how connections begin
///     state       what its parts share           reader, writer  the halves of a connection
///     listener    sockets                        ticker  what is done from time to time
class TcpEndpoint {
 public:
  /// Listens from now on. Throws ConfigError if it cannot.
  explicit TcpEndpoint(const TcpOptions& options)
      : state_(options), connector_(state_), ticker_(state_) {
    state_.spawn(connector_.accept());
    state_.spawn(ticker_.tick());
    thread_ = std::thread([this] { run(); });
  }
  TcpEndpoint(const TcpEndpoint&) = delete;
  TcpEndpoint& operator=(const TcpEndpoint&) = delete;
  /// As by a crash: no farewell.
  ~TcpEndpoint() {
    state_.io.stop();
    thread_.join();
  }

  // See `PeerTransport`, and `TcpMonitor`.

  [[nodiscard]] Time now() const { return state_.monitor.now(); }
  [[nodiscard]] const Membership& unlocked() const { return state_.monitor.unlocked(); }
  template <class F>
  auto with(F f) {
    return state_.monitor.with(std::move(f));
  }
  template <class Done>
  bool wait_until(Time deadline, Done done) {
    return state_.monitor.wait_until(deadline, std::move(done));
  }
  bool wait(Time deadline) { return state_.monitor.wait(deadline); }
  void wake() { state_.monitor.wake(); }
  void shape(const model::Flat& shape) { state_.monitor.shape(shape); }
  [[nodiscard]] bool is_gone() const { return state_.monitor.is_gone(); }
  [[nodiscard]] std::uint64_t progress() const { return state_.monitor.progress(); }
  [[nodiscard]] std::vector<PeerView> view() const { return state_.monitor.view(); }

  /// Where others dial this node.
  [[nodiscard]] std::string address() const {
    return state_.monitor.locked([](const Membership& member) { return member.address(); });
  }
  /// Unauthenticated peers, and what came of them.
  [[nodiscard]] UnauthenticatedPeers::Record attempts() const {
    return state_.monitor.locked([this](const Membership&) { return state_.attempts.total(); });
  }
  /// See `TcpConnector`.
  void reload_keys() { connector_.reload_keys(); }
  /// Breaks all connections, as a network may; they are made again.
  void break_connections() {
    asio::post(state_.io, [this] {
      for (const auto& [id, line] : std::map(state_.connections)) state_.end(line, "broken");
    });
  }

 private:
  void run() {
    try {
      carry();
    } catch (...) {
      state_.fail(std::current_exception());
    }
  }
  /// Before it sleeps it looks again for a while, and lets others have the core meanwhile: to wake
  /// a thread on another core can take as long as 200 KB need to pass. But where more threads want
  /// to run than there are cores, who yields gets the core back when their slices are over,
  /// milliseconds later, and who sleeps is woken at once: then it sleeps, for the next ten seconds.
  void carry() {
    using Clock = std::chrono::steady_clock;
    constexpr auto patience = std::chrono::microseconds(50);
    auto active = Clock::now();
    auto crowded_until = active;
    while (!state_.io.stopped()) {
      if (state_.io.poll() > 0) {
        active = Clock::now();
        continue;
      }
      const auto now = Clock::now();
      if (now - active < patience && now >= crowded_until) {
        std::this_thread::yield();
        if (Clock::now() - now > patience) crowded_until = now + std::chrono::seconds(10);
      } else {
        state_.io.run_one();
        active = Clock::now();
      }
    }
  }

  TcpState state_;
  TcpConnector connector_;
  TcpTicker ticker_;
  std::thread thread_;
};

}  // namespace gossamer::transport
