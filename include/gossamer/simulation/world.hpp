// SPDX-License-Identifier: MIT
/// A cluster that does not exist: a virtual clock, the events, and what lies between the nodes.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/simulation/detail/auditor.hpp>
#include <gossamer/simulation/detail/calm.hpp>
#include <gossamer/simulation/detail/carrier.hpp>
#include <gossamer/simulation/detail/clock.hpp>
#include <gossamer/simulation/detail/cluster.hpp>
#include <gossamer/simulation/detail/driver.hpp>
#include <gossamer/simulation/detail/node_lifecycle.hpp>
#include <gossamer/simulation/detail/weight_audit.hpp>
#include <gossamer/simulation/options.hpp>
#include <gossamer/transport/difference.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::transport {

class Simulated;

/// One `Delivery` per node, links with latency, bandwidth and chance between them, and the
/// time. One event happens after the other; nothing else moves the clock. All that is random comes
/// from one seed, so one seed gives one run.
///
///     world      what nodes and those who run them may do
///     lifecycle  how nodes come and go
///     driver     writes the deliveries' frames, hands in what comes, minds the time-outs
///     carrier    takes a frame from one node to the other, or loses it
///     calm       whether anything is under way      audit    whose the weight is
///     cluster    the nodes and the links            clock    the time, and what will happen
///
/// Links come into being when two nodes first talk, so memory follows who meets whom.
///
/// Three things are known to all at once, as no real network could: what a node publishes (unless
/// `status_delay` is set), that two models differ, and that everything is settled. All else travels
/// in frames.
///
/// Cost     what the event queue and delivery take per frame; nothing is allocated in steady state.
/// Threads  one; `Simulated::wake()` from any.
class SimulatedWorld : public std::enable_shared_from_this<SimulatedWorld> {
 public:
  static std::shared_ptr<SimulatedWorld> make(const SimulatedOptions& options) {
    return std::shared_ptr<SimulatedWorld>(new SimulatedWorld(options));
  }

  // Nodes.

  /// The end of a node that is a member from the start, to be taken once.
  [[nodiscard]] Simulated endpoint(PeerId id);
  /// A new incarnation for node `id`, which is gone, or one that never was: the next number is
  /// `size()`. It knows `peers` and says hello to them; they see PeerJoined.
  Simulated join(PeerId id, std::vector<PeerId> peers);
  /// The node dies: what it has, and its end of all links. The others do not know it yet.
  void crash(PeerId id) { lifecycle_.crash(id); }
  [[nodiscard]] std::size_t size() const { return cluster_.size(); }
  /// Whether the node is there, or is still busy with its farewells.
  [[nodiscard]] bool is_running(PeerId id) const { return id < size() && cluster_.is_running(id); }
  [[nodiscard]] bool is_live(PeerId id) const { return id < size() && cluster_.is_live(id); }
  [[nodiscard]] const Counters& counters(PeerId id) const { return cluster_.place(id).status; }
  /// The same as the other nodes know it.
  [[nodiscard]] Counters known_status(PeerId id) const {
    if (options_.status_delay().count() == 0) return counters(id);
    Counters known;
    for (const auto& [from, status] : cluster_.place(id).news_of_status) {
      if (from <= now()) known = status;
    }
    return known;
  }
  /// The bytes per second that x has measured on its link to y; 0: none yet.
  [[nodiscard]] double speed(PeerId x, PeerId y) const {
    const std::uint32_t* side = cluster_.place(x).side_to(y);
    return side != nullptr ? cluster_.side(*side).speed.bytes_per_second() : 0;
  }
  [[nodiscard]] bool has_event(PeerId id) const { return cluster_.place(id).ready; }
  /// Messages of a node that are not known to have arrived, those in doubt with a peer that runs
  /// included.
  [[nodiscard]] std::size_t unconfirmed(PeerId id) const { return audit_.unconfirmed(id); }
  /// Which incarnation of the node it is, or was: 1, 2, ...
  [[nodiscard]] std::uint64_t incarnation(PeerId id) const {
    return cluster_.place(id).incarnation;
  }
  /// Whether sessions are open with all live peers that the node has met.
  [[nodiscard]] bool is_in_touch(PeerId id) const { return lifecycle_.is_in_touch(id); }

  // For whoever runs the nodes.

  /// While a node holds, what it sends waits: it is still at work on its step.
  void hold(PeerId x) { cluster_.place(x).holding = true; }
  void release(PeerId x) {
    NodeState& place = cluster_.place(x);
    place.holding = false;
    calm_.unbox(x);
    for (Message& message : place.outbox) send(x, std::move(message));
    place.outbox.clear();
  }
  /// All that the node has polled is dealt with; `wait()` and `settled()` say so, too.
  void dealt_with(PeerId x) { calm_.dealt_with(x); }
  /// The node waits for others, so it wants to know of each whether it is there: who is silent for
  /// `dead_after` is taken for dead. Whoever it waits for on the network's level is asked anyway.
  void probe(PeerId x) { driver_.probe(x); }
  /// Until `thaw` the node's end neither hears nor speaks; what comes meanwhile waits for it.
  void freeze(PeerId x, Time thaw) { cluster_.presence(x).frozen_until = thaw; }

  // The network.

  /// Cuts the link between two nodes, both ways; or mends it.
  void cut(PeerId a, PeerId b, bool is_cut = true) { cluster_.cut(a, b, is_cut); }
  /// No frame passes between nodes with different numbers; those of `heal()` are all the same.
  void partition(PeerId id, std::uint32_t part) { cluster_.presence(id).part = part; }
  void heal() { cluster_.heal(); }
  [[nodiscard]] SimulatedNoise& noise() { return carrier_.noise(); }

  // Time.

  [[nodiscard]] Time now() const { return clock_.now(); }
  /// Plans a call of `on_event(tag, value, ticket)`.
  void plan(Time when, std::uint32_t tag, std::uint32_t value, std::uint32_t ticket) {
    clock_.plan(when, SimulatedClock::others + tag, value, ticket);
  }
  /// Sets the clock and forgets what was planned; before anything has happened.
  void restart(Time now) { clock_.restart(now); }
  std::function<void(std::uint32_t tag, std::uint32_t value, std::uint32_t ticket)> on_event;
  /// A node that had no event has one.
  std::function<void(PeerId)> on_ready;
  /// A message leaves its node; a node takes an event. For those who only look on.
  std::function<void(const Message&)> on_send;
  std::function<void(PeerId, const Event&)> on_poll;

  /// Lets the next event happen, if it does so until `limit`. False if there is none.
  bool step(Time limit) {
    driver_.flush();
    const std::optional<SimulatedEvent> event = clock_.next(limit);
    if (!event) return false;
    const std::uint32_t at = event->which;
    switch (event->what) {
      case SimulatedClock::arrival:
        if (carrier_.passes_downlink(at, event->packet)) take_in(at, event->packet);
        break;
      case SimulatedClock::reception:
        take_in(at, event->packet);
        break;
      case SimulatedClock::timer:
        if (driver_.ring(at)) say_farewell(cluster_.side(at).from);
        break;
      default:
        if (on_event) on_event(event->what - SimulatedClock::others, at, event->packet);
    }
    return true;
  }
  void run_until(Time limit) {
    while (step(limit)) {
    }
    clock_.pass(limit);
  }

  // What can be seen.

  [[nodiscard]] std::uint64_t events() const { return clock_.events(); }
  [[nodiscard]] const SimulatedTraffic& traffic() const { return carrier_.traffic(); }
  [[nodiscard]] WorkDone work_done() const { return work_done_; }
  /// Nothing is under way between nodes that run, whoever has finished.
  [[nodiscard]] bool is_calm() const { return calm_.is_calm(); }
  /// Messages from x to y of which x does not know what y did with them.
  [[nodiscard]] std::size_t doubts(PeerId x, PeerId y) const { return audit_.doubts(x, y); }
  /// Whether what x says that y has delivered is what y says, to the bit. So it must be when
  /// nothing is under way.
  [[nodiscard]] bool books_agree(PeerId x, PeerId y) const { return audit_.agree(x, y); }
  /// Who holds what, by the ledgers of those who run. O(links).
  [[nodiscard]] WeightAudit books() const { return audit_.books(); }

 private:
  friend Simulated;

  explicit SimulatedWorld(const SimulatedOptions& options) : options_((options.check(), options)) {
    for (PeerId id = 0; id < options.nodes(); ++id) {
      cluster_.add();
      lifecycle_.begin(id, options.peers_of() ? options.peers_of()(id) : all_but(id));
    }
  }
  [[nodiscard]] std::vector<PeerId> all_but(PeerId id) const {
    std::vector<PeerId> peers;
    for (PeerId peer = 0; peer < options_.nodes(); ++peer) {
      if (peer != id) peers.push_back(peer);
    }
    return peers;
  }

  void take_in(std::uint32_t at, std::uint32_t packet) {
    if (!carrier_.reaches(at, packet)) return;
    driver_.take_in(at, carrier_.take(packet));
    say_farewell(cluster_.side(at).to);
  }
  void say_farewell(PeerId x) {
    if (cluster_.is_leaving(x)) lifecycle_.say_farewell(x);
  }

  // What the endpoints do.

  void send(PeerId x, Message message) {
    NodeState& place = cluster_.place(x);
    if (place.holding) return calm_.box(x, std::move(message));
    if (on_send) on_send(message);
    const PeerId y = message.to;
    const bool exists = y < size() && y != x;
    const std::uint32_t* known = exists ? place.side_to(y) : nullptr;
    if (known != nullptr || (exists && place.has_peer(y))) {
      const std::uint32_t at = known != nullptr ? *known : cluster_.connect(x, y);
      SimulatedSide& side = cluster_.open(at);
      if (place.finished) ++side.sent_after_finish;
      place.delivery->send(std::move(message));
      driver_.mark_dirty(at);
    } else {
      place.delivery->send(std::move(message));  // comes back
      calm_.refresh(x);
    }
  }

  std::optional<Event> poll(PeerId x) {
    NodeState& place = cluster_.place(x);
    std::optional<Event> event = place.delivery->poll();
    if (!event && !place.news.empty()) {
      event = place.news.front();
      place.news.erase(place.news.begin());
    }
    if (!event) return std::nullopt;
    calm_.polled(x);
    if (auto* delivered = std::get_if<Delivered>(&*event)) {
      driver_.mark_dirty(cluster_.connect(x, delivered->message.from));
    } else if (auto* returned = std::get_if<Returned>(&*event)) {
      if (const auto* at = place.side_to(returned->message.to)) {
        if (returned->reason == Reason::left) returned->reason = cluster_.side(*at).peer_reason;
        driver_.mark_dirty(*at);
      }
    } else if (auto* gone = std::get_if<PeerLeft>(&*event)) {
      if (gone->reason == Reason::left) {
        gone->reason = cluster_.side(cluster_.connect(x, gone->peer)).peer_reason;
      }
      std::erase(place.peers, gone->peer);
      if (gone->reason != Reason::finished) {
        std::erase_if(place.news, [&](const PeerLeft& news) { return news.peer == gone->peer; });
      }
    } else if (const auto* joined = std::get_if<PeerJoined>(&*event)) {
      place.add_peer(joined->peer);
    }
    calm_.refresh(x);
    if (on_poll) on_poll(x, *event);
    return event;
  }

  bool wait(PeerId x, Time deadline) {
    dealt_with(x);
    NodeState& place = cluster_.place(x);
    while (!place.ready && !place.woken.load() && step(deadline)) {
    }
    if (!place.woken.exchange(false) && !place.ready) clock_.pass(deadline);
    return place.ready;
  }

  void publish(PeerId x, const Counters& status) {
    Counters& known = cluster_.place(x).status;
    work_done_.steps += status.steps - known.steps;
    work_done_.samples += status.samples - known.samples;
    known = status;
    if (options_.status_delay().count() == 0) return;
    auto& news = cluster_.place(x).news_of_status;
    while (news.size() > 1 && news[1].first <= now()) news.erase(news.begin());
    news.emplace_back(now() + options_.status_delay(), status);
  }

  void set_model_layout(PeerId x, const std::string& model) {
    for (const auto& [id, other] : models_) {
      if (id == x || other == model) continue;
      throw ConfigError("node " + std::to_string(x) + " and node " + std::to_string(id) +
                        " have different models: " + first_difference(model, other));
    }
    if (!models_.empty() && models_.front().second == model) return;
    models_.emplace_back(x, model);
  }

  void finish(PeerId x) { lifecycle_.finish(x); }

  [[nodiscard]] bool settled(PeerId x) {
    dealt_with(x);
    return lifecycle_.all_have_finished() && is_calm();
  }

  void close(PeerId x, Reason reason) {
    if (!is_live(x)) return;
    dealt_with(x);
    release(x);
    lifecycle_.leave(x, reason);
  }

  SimulatedOptions options_;
  SimulatedClock clock_;
  SimulatedCluster cluster_{options_};
  SimulatedCalm calm_{cluster_, on_ready};
  SimulatedCarrier carrier_{options_, cluster_, clock_};
  SimulatedDriver driver_{options_, cluster_, calm_, carrier_, clock_};
  NodeLifecycle lifecycle_{options_, cluster_, calm_, driver_};
  Auditor audit_{cluster_};
  std::vector<std::pair<PeerId, std::string>> models_;
  WorkDone work_done_;
};

}  // namespace gossamer::transport
