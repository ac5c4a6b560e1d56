// SPDX-License-Identifier: MIT
/// What a node has, as its rule sees it: model, weight, peers, and what it wants to say.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/host_copies.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/node/options.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/transport/peer_map.hpp>

#include <spdlog/logger.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::detail {

/// The state of a node that its rule may see and change, and the part of the engine that its rule
/// does not run. Threads: as the engine.
class NodeContext final : public rule::RuleContext {
 public:
  NodeContext(transport::AnyTransport transport, NodeOptions options, double weight,
              const model::Tensors& tensors)
      : transport_(std::move(transport)),
        options_((options.check(), std::move(options))),
        peers_(transport_->peers().begin(), transport_->peers().end()),
        model_(tensors, options_.buffers()),
        pool_(model_.flat()),
        host_(copies_for(transport_->payload_memory(), model_.flat())),
        generator_(options_.seed(), gossip_stream + transport_->self()),
        weight_(weight),
        last_step_(transport_->now()) {
    if (!(weight_ >= 0 && std::isfinite(weight_))) {
      throw ConfigError(c10::str("Context: weight must be finite and not negative, got ", weight_));
    }
  }

  // What a rule sees.
  [[nodiscard]] PeerId self() const override { return transport_->self(); }
  /// As of the last event that the rule was told of: what a peer sent before it went, it sent as a
  /// live one.
  [[nodiscard]] std::span<const PeerId> peers() const override { return peers_; }
  [[nodiscard]] Counters counters(PeerId peer) const override {
    return peer == self() ? counters_ : transport_->counters(peer);
  }
  [[nodiscard]] PeerHealth health(PeerId peer) const override {
    const PeerHealth* counts = health_.find(peer);
    PeerHealth health = counts != nullptr ? *counts : PeerHealth{};
    health.bytes_per_second = transport_->speed(peer);
    return health;
  }
  [[nodiscard]] std::chrono::nanoseconds now() const override { return transport_->now(); }
  [[nodiscard]] std::chrono::nanoseconds since_last_step() const override {
    return transport_->now() - last_step_;
  }
  [[nodiscard]] std::uint64_t step() const override { return joined_at + counters_.steps; }
  [[nodiscard]] std::size_t message_bytes() const override { return message_bytes_; }
  [[nodiscard]] Generator& generator() override { return generator_; }
  [[nodiscard]] double& weight() override { return weight_; }
  [[nodiscard]] model::FlatModel& model() override { return model_; }
  [[nodiscard]] bool may_send() const override {
    const std::size_t codes = own_codes().bytes_under_way() / model_.flat().bytes();
    // Those first, since what they were copied from is free by then.
    const std::size_t copies = host_ ? host_->pool().under_way() : 0;
    return std::max(copies, pool_.under_way()) + codes < options_.max_in_flight();
  }
  [[nodiscard]] model::Snapshot blank() override { return pool_.take(); }
  [[nodiscard]] model::Snapshot snapshot() override {
    model::Snapshot copy = pool_.take();
    copy.writable().copy_from(model_.flat());
    return copy;
  }
  void send(transport::Message message) override { outbox_.push_back(std::move(message)); }
  void restarted() override {
    if (on_restart) on_restart();
  }

  // What the engine does with it.
  [[nodiscard]] transport::Transport& transport() const noexcept { return *transport_; }
  [[nodiscard]] const NodeOptions& options() const noexcept { return options_; }
  [[nodiscard]] const model::SnapshotPool& pool() const noexcept { return pool_; }
  /// What payloads look like where the transport wants them.
  [[nodiscard]] const model::Flat& payload_shape() const noexcept {
    return host_ ? host_->shape() : model_.flat();
  }
  [[nodiscard]] const model::FlatModel& model() const noexcept { return model_; }
  [[nodiscard]] double weight() const noexcept { return weight_; }
  [[nodiscard]] Counters& counters() noexcept { return counters_; }
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
  [[nodiscard]] observe::Callback* callback() const noexcept { return options_.callback().get(); }

  void add_peer(PeerId peer) {
    peers_.insert(std::upper_bound(peers_.begin(), peers_.end(), peer), peer);
  }
  void remove_peer(PeerId peer) {
    std::erase(peers_, peer);
    if (PeerHealth* counts = health_.find(peer)) *counts = {};
  }
  /// Its age: how many steps its sender has taken since, as far as is known here.
  void count_merged(const transport::Message& message) {
    if (!message.has_content()) return;
    const std::uint64_t steps = transport_->counters(message.from).steps;
    const auto age = static_cast<std::int32_t>(static_cast<std::uint32_t>(steps) - message.step);
    ++counters_.messages_merged;
    counters_.count_age(age > 0 ? static_cast<std::uint64_t>(age) : 0);
  }
  void count_returned(PeerId peer) {
    ++counters_.messages_returned;
    health_.add(peer).first.count_returned();
  }
  void count_step(double loss) {
    ++counters_.steps;
    counters_.samples += options_.samples_per_step();
    counters_.loss_sum += loss;
  }
  /// Before a step is counted. One that is sick must not take in others' weight, which nobody would
  /// get back. Throws std::runtime_error.
  void refuse_not_finite(double loss) const {
    std::string what;
    if (!std::isfinite(loss)) {
      what = c10::str("the loss is ", loss);
    } else if (const auto name = model_.not_finite()) {
      what = "\"" + *name + "\" has numbers that are not finite";
    } else {
      return;
    }
    throw std::runtime_error(
        c10::str(what, " at step ", counters_.steps + 1, "; a lower learning rate may help"));
  }
  void end_step() { last_step_ = transport_->now(); }

  /// What was said leaves.
  void flush() {
    if (host_) move_to_host();
    for (auto& message : outbox_) {
      message.from = self();
      message.step = static_cast<std::uint32_t>(counters_.steps);
      ++counters_.messages_sent;
      counters_.bytes_sent += message.bytes();
      health_.add(message.to).first.count_sent();
      if (callback() != nullptr) callback()->on_send(now(), message);
      transport_->send(std::move(message));
    }
    outbox_.clear();
  }
  /// What was said is not said; its weight, if it had any, is returned.
  double unsay() {
    double weight = 0;
    for (const auto& message : std::exchange(outbox_, {})) weight += message.weight;
    return weight;
  }
  void publish() {
    counters_.weight = weight_;
    transport_->publish(counters_);
  }

  template <class... Texts>
  void log(const Texts&... texts) const {
    if (options_.logger() && options_.logger()->should_log(spdlog::level::debug)) {
      options_.logger()->debug(c10::str("node ", self(), ": ", texts...));
    }
  }

  void set_message_bytes(std::size_t bytes) noexcept { message_bytes_ = bytes; }

  /// The step of a synchronous group at which the node came.
  std::uint64_t joined_at = 0;
  /// What the user does when a rule begins a new stretch of training.
  std::function<void()> on_restart;

 private:
  /// Streams of the seed that belong to gossip; users' generators take lower ones.
  static constexpr std::uint64_t gossip_stream = std::uint64_t{1} << 32U;

  static std::optional<model::HostCopies> copies_for(transport::PayloadMemory memory,
                                                     const model::Flat& model) {
    const auto is_here = [](const at::Tensor& segment) { return segment.is_cpu(); };
    const bool fits = memory == transport::PayloadMemory::any ||
                      (memory == transport::PayloadMemory::host &&
                       std::all_of(model.segments().begin(), model.segments().end(), is_here));
    return fits ? std::nullopt : std::optional(model::HostCopies(model));
  }
  /// Payloads go to where the transport wants them; one copy of each, for all its receivers.
  void move_to_host() {
    std::vector<model::Chunk> parts;
    for (const transport::Message& message : outbox_) {
      const model::Snapshot source = message.payload;
      if (!source || source.is_apart()) continue;
      parts.clear();
      for (const transport::Message& other : outbox_) {
        const bool is_new = std::find(parts.begin(), parts.end(), other.chunk) == parts.end();
        if (is_new && other.payload.is_same(source)) parts.push_back(other.chunk);
      }
      const model::Snapshot copy = host_->copy_of(source, parts);
      for (transport::Message& other : outbox_) {
        if (other.payload.is_same(source)) other.payload = copy;
      }
    }
  }

  transport::AnyTransport transport_;
  NodeOptions options_;
  std::vector<PeerId> peers_;  // ascending
  model::FlatModel model_;
  model::SnapshotPool pool_;
  std::optional<model::HostCopies> host_;  // if payloads may not lie where the model does
  Generator generator_;
  double weight_;
  std::size_t message_bytes_ = 0;  // of the rule's messages
  Counters counters_;
  transport::PeerMap<PeerHealth> health_;
  transport::Time last_step_;
  std::vector<transport::Message> outbox_;
};

}  // namespace gossamer::detail
