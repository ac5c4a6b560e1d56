// SPDX-License-Identifier: MIT
/// The contract's operations over a `Membership`, for the transports that run one.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/membership/peer_view.hpp>
#include <gossamer/transport/stall_timer.hpp>
#include <gossamer/transport/transport.hpp>

#include <c10/util/StringUtil.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::transport {

/// What `Tcp` and `Mpi` have in common. An `Endpoint` holds the member and carries its frames:
///
///     with(f)                 calls f(member), alone, and then says what there is to say
///     wait_until(t, done)     until done(member), or the time is t; what it was
///     wait(t), wake(), now()  as in the contract
///     progress()              as in the contract
///     shape(s)                what payloads look like, before the first is sent
///     unlocked(), view()      the member as it is, for what never changes; its peers
///
/// Threads  the node's thread for all but `wake()`.
/// Errors   ConfigError from `set_model_layout()`, and from `poll()` and `gather()` for what
///          waiting does not mend: another run, rule or model; std::runtime_error from these if
///          nothing is carried any more; std::invalid_argument from `send()`.
template <class Endpoint>
class PeerTransport : public Transport {
 public:
  // The contract.

  [[nodiscard]] PeerId self() const override { return endpoint_->unlocked().self(); }
  [[nodiscard]] std::span<const PeerId> peers() const override {
    return endpoint_->unlocked().peers();
  }

  [[nodiscard]] PayloadMemory payload_memory() const override { return PayloadMemory::host; }
  /// The shape must be in this machine's memory.
  void set_model_layout(const std::string& model, const model::Flat& shape) override {
    std::string text = model;
    for (const at::Tensor& segment : shape.segments()) {
      if (!segment.is_cpu()) {
        throw ConfigError(
            c10::str(name_, ": payloads must be in host memory, are on ", segment.device()));
      }
      text += c10::str("vector of ", segment.numel(), " ", segment.scalar_type(), "\n");
    }
    endpoint_->shape(shape);
    bytes_ = shape.bytes();
    endpoint_->with([&](Membership& member) { member.set_model_layout(text); });
  }

  void send(Message message) override {
    if (message.payload && message.payload.bytes() != bytes_) {
      throw std::invalid_argument(c10::str(name_, ": a payload must have the model's ", bytes_,
                                           " bytes, got ", message.payload.bytes()));
    }
    const std::size_t most = Message::most_code(bytes_);
    if (message.code &&
        (message.payload || message.code.size() == 0 || message.code.size() > most)) {
      throw std::invalid_argument(c10::str(
          name_, ": a code must have from 1 to ", most, " bytes, and no payload beside it, got ",
          message.code.size(), " bytes and ", message.payload ? "a" : "no", " payload"));
    }
    endpoint_->with([&](Membership& member) { member.send(std::move(message)); });
  }
  std::optional<Event> poll() override {
    if (!early_.empty()) {
      std::optional<Event> event = std::move(early_.front());
      early_.pop_front();
      return event;
    }
    return endpoint_->with([this](Membership& member) {
      if (!member.is_closing()) refuse_to_go_on(member);
      return member.poll();
    });
  }
  bool wait(Time deadline) override {
    if (!early_.empty()) return true;
    endpoint_->with([](Membership& member) { member.dealt_with(); });
    return endpoint_->wait(deadline);
  }
  void wake() override { endpoint_->wake(); }
  [[nodiscard]] Time now() const override { return endpoint_->now(); }
  void publish(const Counters& status) override {
    endpoint_->with([&](Membership& member) { member.publish(status); });
  }
  [[nodiscard]] Counters counters(PeerId peer) const override {
    return endpoint_->with([&](Membership& member) { return member.counters(peer); });
  }
  [[nodiscard]] WorkDone work_done() const override {
    return endpoint_->with([](Membership& member) { return member.work_done(); });
  }
  [[nodiscard]] double speed(PeerId peer) const override {
    return endpoint_->with([&](Membership& member) { return member.speed(peer); });
  }
  [[nodiscard]] std::uint64_t progress() const override { return endpoint_->progress(); }
  void finish() override {
    endpoint_->with([](Membership& member) { member.finish(); });
  }
  bool recall() override {
    return endpoint_->with([](Membership& member) { return member.recall(); });
  }
  bool settled() override {
    return early_.empty() && endpoint_->with([](Membership& member) { return member.settled(); });
  }
  /// Returns at once; the destructor waits for the farewell.
  void close(Reason reason) override {
    early_.clear();
    endpoint_->with([&](Membership& member) { member.close(reason); });
  }

  // What only these have.

  /// Waits until this node has met at least `others` peers, so that a group starts together. False
  /// if they are not there in time; `last_connect_error()` may say why. Throws ConfigError for what
  /// waiting does not mend: another run, another model.
  bool gather(std::size_t others, std::chrono::nanoseconds within) {
    return gather_until(now() + within,
                        [others](const Membership& member) { return member.met() >= others; });
  }
  /// Waits until this node has a peer: those it has met may have left meanwhile. For the rest as
  /// `gather()`.
  bool find_peer(std::chrono::nanoseconds within) {
    const Time deadline = now() + within;
    while (peers().empty() && now() < deadline) {
      gather_until(deadline, [](const Membership& member) { return member.has_event(); });
    }
    return !peers().empty();
  }
  /// The last reason for which this node did not reach, or was not let in by, another one.
  [[nodiscard]] std::string last_connect_error() const {
    return endpoint_->with([](Membership& member) {
      return !member.last_refusal().empty() ? member.last_refusal() : member.last_failure();
    });
  }
  /// Whether a peer has met an earlier incarnation of this node, whose weight is gone.
  [[nodiscard]] bool had_earlier_incarnation() const {
    return endpoint_->with([](Membership& member) { return member.had_earlier_incarnation(); });
  }

  /// All members that were ever heard of.
  [[nodiscard]] std::vector<PeerView> view() const { return endpoint_->view(); }
  [[nodiscard]] MembershipCounts counts() const {
    return endpoint_->with([](Membership& member) { return member.counts(); });
  }
  /// What carries the frames, and the member behind this.
  [[nodiscard]] Endpoint& endpoint() { return *endpoint_; }
  [[nodiscard]] const Endpoint& endpoint() const { return *endpoint_; }

 protected:
  /// `name` begins the texts of errors.
  PeerTransport(const char* name, std::unique_ptr<Endpoint> endpoint)
      : name_(name), endpoint_(std::move(endpoint)) {}
  PeerTransport(PeerTransport&&) noexcept = default;
  PeerTransport& operator=(PeerTransport&&) = delete;
  ~PeerTransport() override = default;

  /// Leaves, and waits until that is known, or nothing has moved for so long.
  void leave(std::chrono::nanoseconds linger) {
    if (!endpoint_) return;
    close(Reason::left);
    Endpoint& endpoint = *endpoint_;
    StallTimer stall(linger, endpoint.progress(), now());
    const auto is_gone = [&endpoint](Membership&) { return endpoint.is_gone(); };
    while (!endpoint.wait_until(stall.deadline(), is_gone) &&
           !stall.is_over(endpoint.progress(), now())) {
    }
  }
  /// Ends without a farewell; nothing else may be called then.
  void drop() { endpoint_.reset(); }

 private:
  void refuse_to_go_on(const Membership& member) const {
    if (!member.trouble().empty()) throw ConfigError(c10::str(name_, ": ", member.trouble()));
    if (!member.failure().empty())
      throw std::runtime_error(c10::str(name_, ": ", member.failure()));
  }
  template <class Enough>
  bool gather_until(Time deadline, Enough enough) {
    const bool is_enough = endpoint_->wait_until(
        deadline, [&](Membership& member) { return enough(member) || member.has_ended(); });
    endpoint_->with([this](Membership& member) { refuse_to_go_on(member); });
    // What else has come already, the node will see in its turn.
    while (auto event = endpoint_->with([](Membership& member) { return member.poll(); })) {
      if (!std::holds_alternative<PeerJoined>(*event)) early_.push_back(std::move(*event));
    }
    return is_enough;
  }

  const char* name_;
  std::unique_ptr<Endpoint> endpoint_;
  std::size_t bytes_ = 0;
  std::deque<Event> early_;  // came while the group was gathered
};

}  // namespace gossamer::transport
