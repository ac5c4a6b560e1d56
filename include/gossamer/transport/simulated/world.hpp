// SPDX-License-Identifier: MIT
/// A cluster that does not exist: a virtual clock, the events, and what lies between the nodes.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/transport/difference.hpp>
#include <gossamer/transport/simulated/books.hpp>
#include <gossamer/transport/simulated/event_queue.hpp>
#include <gossamer/transport/simulated/network.hpp>
#include <gossamer/transport/simulated/options.hpp>
#include <gossamer/transport/simulated/place.hpp>

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

template <class Rules>
class BasicSimulated;

/// Carries the frames of one `BasicDelivery` per node over links with latency, bandwidth and
/// chance, and keeps the time. One event happens after the other; nothing else moves the clock. All
/// that is random comes from one seed, so one seed gives one run.
///
/// A frame of b bytes keeps its sender's uplink busy for b / uplink seconds, then the link, then
/// the receiver's downlink; the three overlap, as a frame's first bytes go on before its last ones
/// come. Links come into being when two nodes first talk, so memory follows who meets whom.
///
/// Three things are known to all at once, as no real network could: what a node publishes, that two
/// models differ, and that everything is settled. All else travels in frames.
///
/// Cost     O(log events) per frame, and what delivery takes; nothing is allocated in steady state.
/// Threads  one; `BasicSimulated::wake()` from any.
template <class Rules = DeliveryRules>
class SimulatedWorld : public std::enable_shared_from_this<SimulatedWorld<Rules>> {
 public:
  using Endpoint = BasicSimulated<Rules>;

  static std::shared_ptr<SimulatedWorld> make(const SimulatedOptions& options) {
    return std::shared_ptr<SimulatedWorld>(new SimulatedWorld(options));
  }

  // Nodes.

  /// The end of a node that is a member from the start, to be taken once.
  [[nodiscard]] Endpoint endpoint(PeerId id);
  /// A new life for node `id`, which is gone, or one that never was: the next number is `size()`.
  /// It knows `peers` and says hello to them; they see PeerJoined.
  Endpoint join(PeerId id, std::vector<PeerId> peers);
  /// The node dies: what it has, and its end of all links. The others do not know it yet.
  void crash(PeerId id) {
    if (!is_running(id)) return;
    if (is_live(id) && !places_[id]->finished) --active_;
    end_life(id, State::dead);
  }
  [[nodiscard]] std::size_t size() const { return places_.size(); }
  /// Whether the node is there, or is still busy with its farewells.
  [[nodiscard]] bool is_running(PeerId id) const {
    return id < presence_.size() && presence_[id].running();
  }
  [[nodiscard]] bool is_live(PeerId id) const {
    return id < presence_.size() && presence_[id].live();
  }
  [[nodiscard]] const Status& status(PeerId id) const { return places_[id]->status; }
  [[nodiscard]] bool has_event(PeerId id) const { return places_[id]->ready; }
  /// Messages of a node that are not known to have arrived, those in doubt with a peer that runs
  /// included.
  [[nodiscard]] std::size_t unconfirmed(PeerId id) const {
    std::size_t count = places_[id]->outbox.size();
    for (const auto& [peer, side] : places_[id]->sides) {
      if (!sides_[side].linked) continue;
      const auto& link = Look::link(*places_[id]->delivery, peer);
      count += Look::outgoing(link) - (is_running(peer) ? 0 : Look::in_doubt(link));
    }
    return count;
  }

  /// Which life of the node it is, or was: 1, 2, ...
  [[nodiscard]] std::uint64_t life(PeerId id) const { return places_[id]->life; }

  /// Whether sessions are open with all live peers that the node has met.
  [[nodiscard]] bool is_in_touch(PeerId id) const {
    const Place& place = *places_[id];
    return std::all_of(place.sides.begin(), place.sides.end(), [&](const auto& entry) {
      return !is_live(entry.first) || !sides_[entry.second].linked ||
             (place.delivery->is_open(entry.first) && places_[entry.first]->delivery->is_open(id));
    });
  }

  // For whoever runs the nodes.

  /// While a node holds, what it sends waits: it is still at work on its step.
  void hold(PeerId x) { places_[x]->holding = true; }
  void release(PeerId x) {
    Place& place = *places_[x];
    place.holding = false;
    boxed_ -= place.outbox.size();
    for (Message& message : place.outbox) send(x, std::move(message));
    place.outbox.clear();
  }
  /// All that the node has polled is dealt with; `wait()` and `settled()` say so, too.
  void dealt_with(PeerId x) { polled_ -= std::exchange(places_[x]->polled, 0); }
  /// The node waits for others, so it wants to know of each whether it is there: who is silent for
  /// `dead_after` is taken for dead. Whoever it waits for on the network's level is asked anyway.
  void probe(PeerId x) {
    Place& place = *places_[x];
    for (const auto& [peer, at] : place.sides) {
      Side& side = sides_[at];
      if (!side.linked || !side.known || place.delivery->waits_for(peer)) continue;
      side.probed = true;
      place.delivery->resend(peer);
      touch(at);
    }
  }
  /// Until `thaw` the node's end neither hears nor speaks; what comes meanwhile waits for it.
  void freeze(PeerId x, Time thaw) { presence_[x].frozen_until = thaw; }

  // The network.

  /// Cuts the link between two nodes, both ways; or mends it.
  void cut(PeerId a, PeerId b, bool is_cut = true) {
    const std::uint32_t side = connect(a, b);
    sides_[side].cut = sides_[side ^ 1U].cut = is_cut;
  }
  /// No frame passes between nodes with different numbers; those of `heal()` are all the same.
  void partition(PeerId id, std::uint32_t part) { presence_[id].part = part; }
  void heal() {
    for (SimulatedPresence& one : presence_) one.part = 0;
    for (Side& side : sides_) side.cut = false;
  }
  [[nodiscard]] SimulatedNoise& noise() { return noise_; }

  // Time.

  [[nodiscard]] Time now() const { return now_; }
  /// Plans a call of `on_event(tag, value, ticket)`.
  void plan(Time when, std::uint32_t tag, std::uint32_t value, std::uint32_t ticket) {
    queue_.push(std::max(when, now_), own_kinds + tag, value, ticket);
  }
  /// Sets the clock and forgets what was planned; before anything has happened.
  void restart(Time now) {
    queue_ = {};
    now_ = now;
  }
  std::function<void(std::uint32_t tag, std::uint32_t value, std::uint32_t ticket)> on_event;
  /// A node that had no event has one.
  std::function<void(PeerId)> on_ready;

  /// Lets the next event happen, if it does so until `limit`. False if there is none.
  bool step(Time limit) {
    flush();
    const std::optional<SimulatedEvent> event = queue_.pop(limit);
    if (!event) return false;
    now_ = event->time;
    ++events_;
    switch (event->what) {
      case arrival:
        arrive(event->which, event->packet);
        break;
      case reception:
        take_in(event->which, event->packet);
        break;
      case timer:
        ring(event->which);
        break;
      default:
        if (on_event) on_event(event->what - own_kinds, event->which, event->packet);
    }
    return true;
  }
  void run_until(Time limit) {
    while (step(limit)) {
    }
    now_ = std::max(now_, limit);
  }

  // What can be seen.

  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] const SimulatedTraffic& traffic() const { return traffic_; }
  [[nodiscard]] Totals totals() const { return totals_; }
  /// Nothing is under way between nodes that run, whoever has finished.
  [[nodiscard]] bool is_calm() const {
    return pending_ == 0 && ready_ == 0 && polled_ == 0 && boxed_ == 0;
  }
  /// Messages from x to y of which x does not know what y did with them.
  [[nodiscard]] std::size_t doubts(PeerId x, PeerId y) const {
    const std::uint32_t* side = places_[x]->side_to(y);
    if (side == nullptr || !sides_[*side].linked) return 0;
    return Look::in_doubt(Look::link(*places_[x]->delivery, y));
  }
  /// Whether what x says that y has delivered is what y says, to the bit. So it must be when
  /// nothing is under way.
  [[nodiscard]] bool books_agree(PeerId x, PeerId y) const {
    const std::uint32_t* side = places_[x]->side_to(y);
    if (side == nullptr || !sides_[*side].linked || !sides_[*side ^ 1U].linked) return true;
    const Ledger here = places_[x]->delivery->ledger(y);
    const Ledger there = places_[y]->delivery->ledger(x);
    return here.confirmed.messages() == there.delivered.messages() &&
           here.confirmed.weight() == there.delivered.weight();
  }
  /// Weight that came home to nodes that had closed their ends.
  [[nodiscard]] double weight_left_behind() const { return left_behind_; }
  /// Who holds what, by the ledgers of those who run. O(links).
  [[nodiscard]] SimulatedBooks books() const {
    SimulatedBooks books;
    for (PeerId x = 0; x < places_.size(); ++x) {
      if (!is_running(x)) continue;
      const Place& place = *places_[x];
      books.in_hand += place.left_behind;
      for (const Message& message : place.outbox) books.in_hand += message.weight;
      for (const auto& [y, side] : place.sides) {
        if (sides_[side].linked) enter(books, x, y);
      }
    }
    return books;
  }

 private:
  friend Endpoint;
  using Look = LookInside<Rules>;
  using Place = SimulatedPlace<Rules>;
  using Side = SimulatedSide;
  using State = SimulatedPresence::State;
  enum Kind : std::uint32_t { arrival, reception, timer, own_kinds };

  struct Packet {
    typename Place::Delivery::Frame frame;
    bool finished = false;       // the sender takes no more steps
    bool finished_seen = false;  // the sender knows that of the receiver
    Reason reason = Reason::left;
    std::uint32_t copies = 0;
  };

  explicit SimulatedWorld(const SimulatedOptions& options)
      : options_((options.check(), options)),
        noise_(options.noise()),
        random_(options.seed(), network_stream) {
    for (PeerId id = 0; id < options.nodes(); ++id) {
      add_place();
      std::vector<PeerId> peers;
      if (options.peers_of()) {
        peers = options.peers_of()(id);
      } else {
        for (PeerId peer = 0; peer < options.nodes(); ++peer) {
          if (peer != id) peers.push_back(peer);
        }
      }
      begin_life(id, std::move(peers));
    }
  }

  /// The stream of the seed that is the network's; nodes have those from 2^32 upwards.
  static constexpr std::uint64_t network_stream = std::uint64_t{1} << 48U;
  static constexpr std::size_t frame_bytes = 96;  // all fields but the offer, with packet headers

  // Lives.

  void add_place() {
    places_.push_back(std::make_unique<Place>());
    presence_.emplace_back();
  }

  void begin_life(PeerId id, std::vector<PeerId> peers) {
    Place& place = *places_[id];
    place.begin(id, std::move(peers), options_.limits());
    presence_[id].frozen_until = Time(0);
    presence_[id].state = State::live;
    ++active_;
    for (const auto& [peer, side] : place.sides) {
      sides_[side].restart();
      recount(side ^ 1U);
    }
  }

  void end_life(PeerId id, State state) {
    Place& place = *places_[id];
    presence_[id].state = state;
    polled_ -= std::exchange(place.polled, 0);
    boxed_ -= place.outbox.size();
    place.end();
    refresh(id);
    for (const auto& [peer, side] : place.sides) {
      sides_[side].linked = false;
      recount(side);
      recount(side ^ 1U);
    }
  }

  // Links.

  /// The side of `x` of its link to `y`.
  std::uint32_t connect(PeerId x, PeerId y) {
    if (const std::uint32_t* side = places_[x]->side_to(y)) return *side;
    const auto side = static_cast<std::uint32_t>(sides_.size());
    for (const auto& [from, to] : {std::pair(x, y), std::pair(y, x)}) {
      Side one;
      one.from = from;
      one.to = to;
      one.link = options_.link_of() ? options_.link_of()(from, to) : options_.link();
      places_[from]->add_side(to, static_cast<std::uint32_t>(sides_.size()));
      sides_.push_back(one);
    }
    return side;
  }
  /// Makes sure that a node's delivery has the link.
  Side& open(std::uint32_t at) {
    Side& side = sides_[at];
    if (std::exchange(side.linked, true)) return side;
    Place& place = *places_[side.from];
    if (place.has_peer(side.to)) {
      place.delivery->add(side.to);
      side.known = true;
    } else {
      place.delivery->admit(side.to);
    }
    return side;
  }

  /// After whatever concerned the link: there may be something to say, and events.
  void touch(std::uint32_t at) {
    Side& side = sides_[at];
    if (!std::exchange(side.dirty, true)) dirty_.push_back(at);
    if (side.linked) {
      const bool known = Look::knows(Look::link(*places_[side.from]->delivery, side.to));
      if (side.known && !known) side.finish_told = side.finish_said = side.finish_seen = false;
      side.known = known;
    }
    recount(at);
    refresh(side.from);
  }

  void recount(std::uint32_t at) {
    Side& side = sides_[at];
    const std::size_t before = side.pending;
    side.pending = side.linked ? pending_of(side) : 0;
    pending_ += side.pending - before;
  }
  /// What will still become an event, here or there.
  [[nodiscard]] std::size_t pending_of(const Side& side) const {
    const auto& link = Look::link(*places_[side.from]->delivery, side.to);
    std::size_t count = link.incoming();
    if (is_running(side.to) || side.known) count += Look::outgoing(link);
    if (is_live(side.from) && is_live(side.to) && !side.known) {
      ++count;  // they will find each other again
    }
    return count + (must_say_finished(side) ? 1 : 0);
  }
  [[nodiscard]] bool must_say_finished(const Side& side) const {
    return side.known && !side.finish_seen && is_live(side.from) && places_[side.from]->finished;
  }

  void refresh(PeerId id) {
    Place& place = *places_[id];
    const bool ready = place.has_event();
    if (ready == place.ready) return;
    place.ready = ready;
    ready_ += ready ? 1 : std::size_t(-1);
    if (ready && is_live(id) && on_ready) on_ready(id);
  }

  // Frames.

  void flush() {
    for (std::size_t i = 0; i < dirty_.size(); ++i) {
      const std::uint32_t at = dirty_[i];
      sides_[at].dirty = false;
      if (sides_[at].linked) speak(at);
    }
    dirty_.clear();
  }

  void speak(std::uint32_t at) {
    Side& side = sides_[at];
    Place& here = *places_[side.from];
    bool may_finish = false;
    if (must_say_finished(side)) {
      // In its turn: after all that was sent before it.
      const auto& link = Look::link(*here.delivery, side.to);
      may_finish = Look::outgoing(link) <= side.sent_after_finish;
      if (may_finish && !std::exchange(side.finish_said, true)) here.delivery->resend(side.to);
    }
    while (auto frame = here.delivery->next_frame(side.to)) {
      const std::uint32_t at_packet = take_packet();
      Packet& packet = packets_[at_packet];
      packet.frame = std::move(*frame);
      packet.finished = may_finish;
      packet.finished_seen = side.finish_told;
      packet.reason = here.reason;
      transmit(at, at_packet);
    }
    if (side.probed || here.delivery->waits_for(side.to) || must_say_finished(side)) {
      if (!std::exchange(side.waiting, true)) {
        side.tries = 0;
        side.patient_since = std::max(now_, side.arrives);
      }
      if (!std::exchange(side.armed, true)) {
        const Time most = side.known ? options_.dead_after() / 8 : options_.dead_after();
        const Time pause =
            std::min(options_.resend_after() * (std::int64_t{1} << std::min(side.tries, 16U)),
                     std::max(most, options_.resend_after()));
        side.progress = Look::progress(Look::link(*here.delivery, side.to));
        side.awaited = std::max(side.awaited, side.arrives);
        queue_.push(std::max(now_, side.awaited) + side.link.latency + pause, timer, at);
      }
    } else {
      side.waiting = false;
    }
  }

  void transmit(std::uint32_t at, std::uint32_t at_packet) {
    Side& side = sides_[at];
    Packet& packet = packets_[at_packet];
    const std::size_t bytes = frame_bytes + (packet.frame.offer ? packet.frame.offer->bytes() : 0);
    ++traffic_.frames;
    traffic_.bytes += bytes;
    Place& here = *places_[side.from];
    const Time first = std::max(now_, here.uplink.free());
    Time last = here.uplink.pass(now_, now_, bytes, options_.uplink());
    last = side.channel.pass(first, last, bytes, side.link.bytes_per_second);
    side.arrives = last + side.link.latency;
    const SimulatedLuck luck = draw_luck(random_, noise_, side.link.loss);
    if (luck.lost || is_apart(side)) {
      ++traffic_.lost;
      give_packet_back(at_packet);
      return;
    }
    packet.copies = luck.twice ? 2 : 1;
    queue_.push(side.arrives + luck.late, arrival, at, at_packet);
    traffic_.late += luck.late.count() > 0 ? 1 : 0;
    if (!luck.twice) return;
    ++traffic_.duplicates;
    queue_.push(side.arrives + luck.late_again, arrival, at, at_packet);
  }
  [[nodiscard]] bool is_apart(const Side& side) const {
    return side.cut || presence_[side.from].part != presence_[side.to].part;
  }

  void arrive(std::uint32_t at, std::uint32_t at_packet) {
    const Side& out = sides_[at];
    if (options_.downlink() > 0 && is_running(out.to)) {
      // The frame's last byte is here; it passes when its turn is.
      Place& there = *places_[out.to];
      const auto& offer = packets_[at_packet].frame.offer;
      const std::size_t bytes = frame_bytes + (offer ? offer->bytes() : 0);
      const Time takes = seconds(static_cast<double>(bytes) / options_.downlink());
      const Time last = there.downlink.pass(now_ - takes, now_, bytes, options_.downlink());
      if (last > now_) {
        sides_[at].awaited = std::max(sides_[at].awaited, last);  // no reason for impatience
        queue_.push(last, reception, at, at_packet);
        return;
      }
    }
    take_in(at, at_packet);
  }

  void take_in(std::uint32_t at, std::uint32_t at_packet) {
    if (!is_running(sides_[at].to) || is_apart(sides_[at])) {
      ++traffic_.lost;
      give_packet_back(at_packet);
      return;
    }
    if (const Time thaw = presence_[sides_[at].to].frozen_until; now_ < thaw) {
      queue_.push(thaw, reception, at, at_packet);
      return;
    }
    Packet& packet = packets_[at_packet];
    const PeerId from = sides_[at].from;
    const PeerId to = sides_[at].to;
    at ^= 1U;  // the receiver's side
    Side& side = open(at);
    Place& there = *places_[to];
    const bool finished = packet.finished;
    const bool seen = packet.finished_seen;
    side.peer_reason = packet.reason;
    Receipt receipt;
    if (packet.copies > 1) {
      receipt = there.delivery->receive(from, packet.frame);
    } else {
      receipt = there.delivery->receive(from, std::move(packet.frame));
    }
    give_packet_back(at_packet);
    if (receipt.fate == FrameFate::refused) ++traffic_.refused;
    side.tries = 0;
    side.probed = false;
    side.patient_since = std::max(now_, side.arrives);
    touch(at);
    const bool leaves = presence_[to].leaving();
    if (receipt.fate != FrameFate::taken || !(finished || seen || leaves)) return;
    if (!there.delivery->is_open(from) || !side.known) return;
    if (finished && !std::exchange(side.finish_told, true)) {
      there.news.push_back({from, Reason::finished});
    }
    side.finish_seen = side.finish_seen || (seen && there.finished);
    touch(at);
    if (leaves) say_farewell(to);
  }

  /// The time-out of a link at one of its sides.
  void ring(std::uint32_t at) {
    Side& side = sides_[at];
    const Time thaw = presence_[side.from].frozen_until;
    if (now_ < thaw) return queue_.push(thaw, timer, at);
    side.armed = false;
    if (!side.linked || !side.waiting) return;
    if (now_ < side.awaited + side.link.latency) {
      touch(at);
      return;
    }
    Place& here = *places_[side.from];
    const bool leaves = presence_[side.from].leaving();
    // A leaver does not give up those who live, else they would never know what it gives back.
    const bool stays = leaves && is_live(side.to);
    if (side.known && !stays && now_ - side.patient_since >= options_.dead_after()) {
      here.delivery->declare_dead(side.to);
      side.probed = false;
      ++traffic_.suspicions;
      side.tries = 0;
    } else if (side.progress != Look::progress(Look::link(*here.delivery, side.to))) {
      side.tries = 0;  // it was no standstill
    } else {
      here.delivery->resend(side.to);
      ++traffic_.resends;
      ++side.tries;
    }
    const PeerId from = side.from;
    touch(at);
    if (leaves) say_farewell(from);
  }

  std::uint32_t take_packet() {
    if (idle_packets_.empty()) {
      packets_.emplace_back();
      return static_cast<std::uint32_t>(packets_.size() - 1);
    }
    const std::uint32_t at = idle_packets_.back();
    idle_packets_.pop_back();
    return at;
  }
  void give_packet_back(std::uint32_t at) {
    Packet& packet = packets_[at];
    if (packet.copies > 1) {
      --packet.copies;
      return;
    }
    packet.frame.offer.reset();
    packet.copies = 0;
    idle_packets_.push_back(at);
  }

  // What the endpoints do.

  void send(PeerId x, Message message) {
    Place& place = *places_[x];
    if (place.holding) {
      ++boxed_;
      place.outbox.push_back(std::move(message));
      return;
    }
    const PeerId y = message.to;
    const bool exists = y < places_.size() && y != x;
    const std::uint32_t* known = exists ? place.side_to(y) : nullptr;
    if (known != nullptr || (exists && place.has_peer(y))) {
      const std::uint32_t at = known != nullptr ? *known : connect(x, y);
      Side& side = open(at);
      if (place.finished) ++side.sent_after_finish;
      place.delivery->send(std::move(message));
      touch(at);
    } else {
      place.delivery->send(std::move(message));  // comes back
      refresh(x);
    }
  }

  std::optional<Event> poll(PeerId x) {
    Place& place = *places_[x];
    std::optional<Event> event = place.delivery->poll();
    if (!event && !place.news.empty()) {
      event = place.news.front();
      place.news.erase(place.news.begin());
    }
    if (!event) return std::nullopt;
    ++place.polled;
    ++polled_;
    if (auto* delivered = std::get_if<Delivered>(&*event)) {
      touch(connect(x, delivered->message.from));
    } else if (auto* returned = std::get_if<Returned>(&*event)) {
      if (const auto* side = place.side_to(returned->message.to)) {
        if (returned->reason == Reason::left) returned->reason = sides_[*side].peer_reason;
        touch(*side);
      }
    } else if (auto* gone = std::get_if<PeerLeft>(&*event)) {
      if (gone->reason == Reason::left) gone->reason = sides_[connect(x, gone->peer)].peer_reason;
      std::erase(place.peers, gone->peer);
      if (gone->reason != Reason::finished) {
        std::erase_if(place.news, [&](const PeerLeft& news) { return news.peer == gone->peer; });
      }
    } else if (const auto* joined = std::get_if<PeerJoined>(&*event)) {
      place.add_peer(joined->peer);
    }
    refresh(x);
    return event;
  }

  bool wait(PeerId x, Time deadline) {
    dealt_with(x);
    Place& place = *places_[x];
    while (!place.ready && !place.woken.load() && step(deadline)) {
    }
    if (!place.woken.exchange(false) && !place.ready) now_ = std::max(now_, deadline);
    return place.ready;
  }

  void publish(PeerId x, const Status& status) {
    Status& known = places_[x]->status;
    totals_.steps += status.steps - known.steps;
    totals_.samples += status.samples - known.samples;
    known = status;
  }

  void introduce(PeerId x, const std::string& model) {
    for (const auto& [id, other] : models_) {
      if (id == x || other == model) continue;
      throw ConfigError("node " + std::to_string(x) + " and node " + std::to_string(id) +
                        " have different models: " + first_difference(model, other));
    }
    if (!models_.empty() && models_.front().second == model) return;
    models_.emplace_back(x, model);
  }

  void finish(PeerId x) {
    Place& place = *places_[x];
    if (std::exchange(place.finished, true)) return;
    --active_;
    for (const PeerId y : std::vector<PeerId>(place.peers)) open(connect(x, y));
    for (const auto& [peer, side] : place.sides) {
      if (!sides_[side].linked) continue;
      sides_[side].sent_after_finish = 0;
      touch(side);
    }
  }

  [[nodiscard]] bool settled(PeerId x) {
    dealt_with(x);
    return active_ == 0 && is_calm();
  }

  void close(PeerId x, Reason reason) {
    Place& place = *places_[x];
    if (!is_live(x)) return;
    dealt_with(x);
    release(x);
    if (!place.finished) --active_;
    presence_[x].state = State::leaving;
    place.reason = reason;
    place.news.clear();
    place.delivery->leave();
    for (const auto& [peer, side] : place.sides) {
      if (sides_[side].linked) touch(side);
      recount(side ^ 1U);
    }
    say_farewell(x);
  }

  /// A leaver's delivery goes on until all who are in touch know how much it gives back.
  void say_farewell(PeerId x) {
    Place& place = *places_[x];
    while (auto event = place.delivery->poll()) {
      const Message* message = nullptr;
      if (const auto* delivered = std::get_if<Delivered>(&*event)) message = &delivered->message;
      if (const auto* returned = std::get_if<Returned>(&*event)) message = &returned->message;
      if (message == nullptr) continue;
      place.left_behind += message->weight;
      left_behind_ += message->weight;
      if (const auto* side = place.side_to(message->from == x ? message->to : message->from)) {
        touch(*side);
      }
    }
    refresh(x);
    if (place.delivery->may_close() && is_in_touch(x)) end_life(x, State::left);
  }

  void enter(SimulatedBooks& books, PeerId x, PeerId y) const {
    const Ledger ledger = places_[x]->delivery->ledger(y);
    books.in_hand += ledger.offered.weight() + ledger.returning.weight() + ledger.waiting.weight();
    books.in_doubt += ledger.in_doubt.messages();
    Flows past = places_[x]->delivery->past(y);
    double gone = past.confirmed.weight() + past.lost_with_peer.weight() - past.delivered.weight();
    if (!is_running(y) || life(y) != Look::life(Look::link(*places_[x]->delivery, y))) {
      gone += ledger.surplus();
    } else if (const auto* theirs = link_with(y, x)) {
      const double way = ledger.given() - Look::flows(*theirs).delivered.weight();
      books.on_the_way += way;
      books.least_on_the_way = std::min(books.least_on_the_way, way);
    } else {
      books.on_the_way += ledger.given();
    }
    books.with_the_gone += gone;
  }

  /// What y, which runs and has a side to x, has with this life of x; `nullptr` if they never met.
  [[nodiscard]] const auto* link_with(PeerId y, PeerId x) const {
    const Side& side = sides_[*places_[y]->side_to(x)];
    const auto* link = side.linked ? &Look::link(*places_[y]->delivery, x) : nullptr;
    return link != nullptr && Look::life(*link) == life(x) ? link : nullptr;
  }

  SimulatedOptions options_;
  SimulatedNoise noise_;
  Generator random_;
  Time now_{0};
  SimulatedEventQueue queue_;
  std::vector<std::unique_ptr<Place>> places_;
  std::vector<SimulatedPresence> presence_;  // of the same nodes
  std::vector<Side> sides_;                  // two by two: a link's sides are 2k and 2k + 1
  std::vector<std::uint32_t> dirty_;
  std::vector<Packet> packets_;
  std::vector<std::uint32_t> idle_packets_;
  std::vector<std::pair<PeerId, std::string>> models_;
  Totals totals_;
  SimulatedTraffic traffic_;
  std::uint64_t events_ = 0;
  std::size_t active_ = 0;   // live nodes that have not finished
  std::size_t pending_ = 0;  // over all sides
  std::size_t ready_ = 0;    // nodes with an event
  std::size_t polled_ = 0;   // events handed out and not known to be dealt with
  std::size_t boxed_ = 0;    // messages of nodes that hold
  double left_behind_ = 0;
};

}  // namespace gossamer::transport
