// SPDX-License-Identifier: MIT
/// Members of a swarm in one thread, and connections between them that carry, stall and break.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/wire/checksum.hpp>
#include <gossamer/transport/wire/frame.hpp>

#include <tests/support.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace tests::members {

using namespace gossamer::transport;
using gossamer::Generator;
using gossamer::PeerId;
using namespace std::chrono_literals;

/// A virtual clock, and connections as TCP makes them: frames arrive whole and in order, or the
/// connection breaks and all that was on it is lost. What is written passes through bytes.
class Network {
 public:
  explicit Network(std::uint64_t seed) : random_(seed, 9) {}

  [[nodiscard]] Time now() const { return now_; }
  [[nodiscard]] Generator& random() { return random_; }

  /// A member that can be dialed at "host:N", where N is the number of its place.
  std::size_t add(MembershipOptions options) {
    const std::size_t at = places_.size();
    if (options.address.empty() && at != hidden_) options.address = address(at);
    places_.emplace_back();
    places_[at].member = std::make_unique<Membership>(std::move(options));
    places_[at].next_tick = now_;
    flush(at);
    return at;
  }
  /// The member of that place will have no address to be dialed at.
  void hides(std::size_t at) { hidden_ = at; }
  /// From now on, who dials the address of one place reaches another, as after a machine was
  /// replaced.
  void replaces(std::size_t old, std::size_t by) { replaced_[address(old)] = by; }
  [[nodiscard]] static std::string address(std::size_t at) { return "host:" + std::to_string(at); }

  [[nodiscard]] bool is_running(std::size_t at) const { return places_[at].member != nullptr; }
  [[nodiscard]] Membership& member(std::size_t at) { return *places_[at].member; }
  [[nodiscard]] std::size_t size() const { return places_.size(); }

  /// The process dies; its connections break.
  void kill(std::size_t at) {
    places_[at].member.reset();
    for (auto& [number, pipe] : pipes_) {
      if (pipe.ends[0].place == at || pipe.ends[1].place == at) pipe.broken = true;
    }
    sweep();
  }
  /// Breaks a connection of the two, if there is one.
  void reset(std::size_t a, std::size_t b) {
    for (auto& [number, pipe] : pipes_) {
      if (pipe.joins(a, b)) pipe.broken = true;
    }
    sweep();
  }
  /// Nothing passes between nodes of different parts, and nobody is told.
  void part(std::size_t at, int part) { places_[at].part = part; }

  /// After whatever was done to a member.
  void flush(std::size_t at) {
    Place& place = places_[at];
    if (!place.member) return;
    for (DialAttempt& dial : place.member->dials(now_)) {
      const DialAttempt copy = dial;
      plan(way(), [this, at, copy] { connect(at, copy); });
    }
    for (const LineId id : place.member->speakers()) write(at, id);
    if (place.member->may_go() && !std::exchange(place.going, true)) {
      place.member->go();
      flush(at);
    }
    if (place.going && lines_of(at) == 0) place.member.reset();
  }

  /// Lets the next thing happen, if it does so until `limit`.
  bool step(Time limit) {
    Time first = limit + 1ns;
    std::size_t ticks = places_.size();
    for (std::size_t i = 0; i < places_.size(); ++i) {
      if (places_[i].member && places_[i].next_tick < first) {
        first = places_[i].next_tick;
        ticks = i;
      }
    }
    if (!plans_.empty() && plans_.begin()->first <= std::min(first, limit)) {
      const auto event = plans_.extract(plans_.begin());
      now_ = std::max(now_, event.key());
      event.mapped()();
      return true;
    }
    if (ticks == places_.size()) {
      now_ = std::max(now_, limit);
      return false;
    }
    now_ = std::max(now_, first);
    Membership& member = *places_[ticks].member;
    places_[ticks].next_tick = now_ + member.options().timers.tick();
    member.tick(now_);
    flush(ticks);
    return true;
  }
  void run_until(Time limit) {
    while (step(limit)) {
    }
  }

  std::uint64_t frames = 0;
  std::uint64_t entries = 0;  // of members, in all of these
  std::uint64_t dropped = 0;  // contents that had no place where they came

 private:
  struct End {
    std::size_t place = 0;
    LineId line = 0;
    Time last{0};  // when the last frame written here arrives
  };
  struct Pipe {
    std::array<End, 2> ends;
    bool broken = false;
    [[nodiscard]] bool joins(std::size_t a, std::size_t b) const {
      return (ends[0].place == a && ends[1].place == b) ||
             (ends[0].place == b && ends[1].place == a);
    }
  };
  struct Place {
    std::unique_ptr<Membership> member;
    Time next_tick{0};
    int part = 0;
    bool going = false;
  };

  void plan(Time delay, std::function<void()> what) {
    plans_.emplace(now_ + delay, std::move(what));
  }
  Time way() { return 50us + Time(random_.below(400'000)); }
  [[nodiscard]] bool apart(const Pipe& pipe) const {
    return places_[pipe.ends[0].place].part != places_[pipe.ends[1].place].part;
  }

  void connect(std::size_t at, const DialAttempt& dial) {
    Place& place = places_[at];
    if (!place.member) return;
    std::size_t target = places_.size();
    for (std::size_t i = 0; i < places_.size(); ++i) {
      if (dial.address == address(i)) target = i;
    }
    if (const auto by = replaced_.find(dial.address); by != replaced_.end()) target = by->second;
    if (target < places_.size() && places_[target].part != place.part) {
      plan(50ms, [this, at, dial] {
        if (!places_[at].member) return;
        places_[at].member->dial_failed(dial, false, "no answer", now_);
        flush(at);
      });
      return;
    }
    if (target == places_.size() || !places_[target].member) {
      place.member->dial_failed(dial, true, "connection refused", now_);
      return flush(at);
    }
    const std::uint64_t number = ++last_pipe_;
    Pipe& pipe = pipes_[number];
    pipe.ends = {End{at, 2 * number, now_}, End{target, 2 * number + 1, now_}};
    place.member->connected(2 * number, &dial, now_);
    places_[target].member->connected(2 * number + 1, nullptr, now_);
    flush(at);
    flush(target);
  }

  void write(std::size_t at, LineId id) {
    const std::uint64_t number = id / 2;
    Membership& member = *places_[at].member;
    while (auto body = member.next(id, now_)) {
      const auto found = pipes_.find(number);
      if (found == pipes_.end() || found->second.broken || apart(found->second)) continue;
      End& end = found->second.ends[id % 2];
      end.last = std::max(end.last, now_ + way());
      ++frames;
      if (const auto* members = std::get_if<wire::Members>(&*body)) {
        entries += members->entries.size();
      }
      auto shared = std::make_shared<wire::Body>(through_bytes(std::move(*body)));
      plans_.emplace(end.last, [this, number, id, shared] { arrive(number, id ^ 1U, *shared); });
    }
    if (!member.must_close(id)) return;
    const auto found = pipes_.find(number);
    if (found != pipes_.end()) {  // what was written still arrives, and then the end
      const Time last = std::max(found->second.ends[id % 2].last, now_);
      plans_.emplace(last, [this, number] { hang_up(number); });
    }
    member.disconnected(id, "closed", now_);
  }

  void arrive(std::uint64_t number, LineId to, wire::Body& body) {
    const auto found = pipes_.find(number);
    if (found == pipes_.end() || found->second.broken || apart(found->second)) return;
    const std::size_t at = found->second.ends[to % 2].place;
    if (!places_[at].member) return;
    Membership& member = *places_[at].member;
    if (auto* delivery = std::get_if<wire::DeliveryBody>(&body);
        delivery != nullptr && delivery->payload &&
        !member.expects(to, delivery->frame, delivery->payload_bytes())) {
      delivery->drop_offer();  // as whoever reads it from a socket does
      ++dropped;
    }
    member.received(to, std::move(body), now_);
    flush(at);
  }

  void hang_up(std::uint64_t number) {
    const auto found = pipes_.find(number);
    if (found == pipes_.end()) return;
    found->second.broken = true;
    sweep();
  }

  /// Tells both ends of each broken pipe, a little later.
  void sweep() {
    for (auto at = pipes_.begin(); at != pipes_.end();) {
      if (!at->second.broken) {
        ++at;
        continue;
      }
      for (const End& end : at->second.ends) {
        plan(way(), [this, end] {
          if (!places_[end.place].member) return;
          places_[end.place].member->disconnected(end.line, "reset", now_);
          flush(end.place);
        });
      }
      at = pipes_.erase(at);
    }
  }

  [[nodiscard]] std::size_t lines_of(std::size_t at) const {
    std::size_t count = 0;
    for (const auto& [number, pipe] : pipes_) {
      for (const End& end : pipe.ends) count += end.place == at && !pipe.broken ? 1 : 0;
    }
    return count;
  }

  static wire::Body through_bytes(wire::Body body) {
    return std::visit([](auto& value) -> wire::Body { return read_back(value); }, body);
  }
  template <class Value>
  static Value read_back(Value& value) {
    constexpr std::uint64_t run = 7;
    std::vector<std::byte> bytes;
    wire::append_frame(bytes, run, value);
    const std::span<const std::byte> all(bytes);
    const auto header = wire::parse_header(all.first<wire::FrameHeader::size>(), run, 0);
    if (!std::holds_alternative<wire::FrameHeader>(header)) throw std::logic_error("bad header");
    auto parsed = wire::parse_fields<Value>(all.subspan(wire::FrameHeader::size));
    Value copy = std::get<Value>(std::move(parsed));
    if constexpr (std::is_same_v<Value, wire::DeliveryBody>) {
      if (copy.payload) copy.frame.offer->payload = value.frame.offer->payload;
    }
    return copy;
  }

  Generator random_;
  std::map<std::string, std::size_t> replaced_;
  std::size_t hidden_ = ~std::size_t{0};
  Time now_{0};
  std::vector<Place> places_;
  std::map<std::uint64_t, Pipe> pipes_;
  std::uint64_t last_pipe_ = 0;
  std::multimap<Time, std::function<void()>> plans_;
};

/// A member as a transport.
class Endpoint final : public gossamer::transport::Transport {
 public:
  Endpoint(Network& network, std::size_t at)
      : network_(&network), at_(at), self_(network.member(at).self()) {}

  [[nodiscard]] PeerId self() const override { return self_; }
  [[nodiscard]] std::span<const PeerId> peers() const override {
    return live() ? member().peers() : std::span<const PeerId>();
  }
  void set_model_layout(const std::string& model, const gossamer::model::Flat& /*shape*/) override {
    member().set_model_layout(model);
    network_->flush(at_);
  }
  void send(Message message) override {
    member().send(std::move(message));
    network_->flush(at_);
  }
  std::optional<Event> poll() override {
    if (!live() || closed_) return std::nullopt;
    auto event = member().poll();
    network_->flush(at_);
    return event;
  }
  bool wait(Time deadline) override {
    const bool before = member().settled();
    network_->flush(at_);
    while (!member().has_event() && !woken_ && (before || !member().settled())) {
      if (!network_->step(deadline)) break;
    }
    woken_ = false;
    return member().has_event();
  }
  void wake() override { woken_ = true; }
  [[nodiscard]] Time now() const override { return network_->now(); }
  void publish(const gossamer::Counters& status) override { member().publish(status); }
  [[nodiscard]] gossamer::Counters counters(PeerId peer) const override {
    return member().counters(peer);
  }
  [[nodiscard]] WorkDone work_done() const override { return member().work_done(); }
  [[nodiscard]] double speed(PeerId peer) const override { return member().speed(peer); }
  void finish() override {
    member().finish();
    network_->flush(at_);
  }
  bool settled() override {
    const bool yes = member().settled();
    network_->flush(at_);
    return yes;
  }
  void close(Reason reason) override {
    if (!live() || std::exchange(closed_, true)) return;
    member().close(reason);
    network_->flush(at_);
  }
  [[nodiscard]] bool live() const { return network_->is_running(at_); }

 private:
  [[nodiscard]] Membership& member() const { return network_->member(at_); }

  Network* network_;
  std::size_t at_;
  PeerId self_;
  bool woken_ = false;
  bool closed_ = false;
};

inline MembershipOptions options_of(PeerId number) {
  MembershipOptions options;
  options.number = number;
  options.incarnation = number + 1;
  options.seed = tests::seed;
  options.timers = {.heartbeat = 20ms,
                    .dead_after = 200ms,
                    .resend_after = 20ms,
                    .redial_after = 2ms,
                    .handshake = 100ms};
  return options;
}

}  // namespace tests::members
