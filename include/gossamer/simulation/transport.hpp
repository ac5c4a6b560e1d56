// SPDX-License-Identifier: MIT
/// Nodes in a world that is computed: one thread, a virtual clock, a network that may fail.
#pragma once

#include <gossamer/simulation/world.hpp>
#include <gossamer/transport/transport.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// One node's end of a `SimulatedWorld`; see `Transport` for what each operation promises.
///
/// Nothing blocks: `wait()` lets the world go on until this node has an event, so that a test, or a
/// node's own `run()`, can be written as for any transport. A group of nodes does not wait; it runs
/// each node's `advance()` as an event (`SimulatedGroup`).
///
/// `settled()` and `work_done()` know at once what real nodes would learn by and by; so does
/// `counters()`, unless `SimulatedOptions::status_delay` is set. The end of an incarnation that has
/// crashed does nothing any more.
class Simulated final : public Transport {
 public:
  Simulated(Simulated&& other) noexcept = default;
  Simulated& operator=(Simulated&&) = delete;
  ~Simulated() override {
    if (world_) close(Reason::left);
  }

  [[nodiscard]] PeerId self() const override { return self_; }
  [[nodiscard]] std::span<const PeerId> peers() const override {
    if (!alive()) return {};
    return world_->cluster_.place(self_).peers;
  }
  void set_model_layout(const std::string& model, const model::Flat& /*shape*/) override {
    world_->set_model_layout(self_, model);
  }
  void send(Message message) override {
    message.from = self_;
    if (alive()) world_->send(self_, std::move(message));
  }
  std::optional<Event> poll() override { return alive() ? world_->poll(self_) : std::nullopt; }
  bool wait(Time deadline) override { return alive() && world_->wait(self_, deadline); }
  void wake() override { world_->cluster_.place(self_).woken = true; }
  [[nodiscard]] Time now() const override { return world_->now(); }
  void publish(const Counters& status) override {
    if (alive()) world_->publish(self_, status);
  }
  [[nodiscard]] Counters counters(PeerId peer) const override { return world_->known_status(peer); }
  [[nodiscard]] double speed(PeerId peer) const override { return world_->speed(self_, peer); }
  [[nodiscard]] WorkDone work_done() const override { return world_->work_done(); }
  void finish() override {
    if (alive()) world_->finish(self_);
  }
  bool settled() override { return !alive() || world_->settled(self_); }
  void close(Reason reason) override {
    if (alive()) world_->close(self_, reason);
  }

 private:
  friend SimulatedWorld;
  Simulated(std::shared_ptr<SimulatedWorld> world, PeerId self, std::uint64_t incarnation)
      : world_(std::move(world)), self_(self), incarnation_(incarnation) {}

  [[nodiscard]] bool alive() const {
    return world_->is_live(self_) && world_->incarnation(self_) == incarnation_;
  }

  std::shared_ptr<SimulatedWorld> world_;
  PeerId self_;
  std::uint64_t incarnation_;
};

inline Simulated SimulatedWorld::endpoint(PeerId id) {
  if (id >= size()) {
    throw ConfigError("SimulatedWorld: node must be below " + std::to_string(size()) + ", got " +
                      std::to_string(id));
  }
  return {shared_from_this(), id, incarnation(id)};
}

inline Simulated SimulatedWorld::join(PeerId id, std::vector<PeerId> peers) {
  if (id > size() || is_running(id)) {
    throw ConfigError("SimulatedWorld: node " + std::to_string(id) +
                      (id > size() ? " is not the next one" : " is still there"));
  }
  if (id == size()) cluster_.add();
  lifecycle_.begin(id, std::move(peers));
  for (const PeerId peer : std::vector<PeerId>(cluster_.place(id).peers)) {
    const std::uint32_t at = cluster_.connect(id, peer);
    cluster_.open(at);
    driver_.mark_dirty(at);
  }
  return endpoint(id);
}

}  // namespace gossamer::transport
