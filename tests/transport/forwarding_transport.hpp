// SPDX-License-Identifier: MIT
/// A transport that passes everything on to another one; tests derive it to look on.
#pragma once

#include <gossamer/transport/transport.hpp>

#include <optional>
#include <span>
#include <string>
#include <utility>

namespace tests {

class ForwardingTransport : public gossamer::transport::Transport {
 public:
  using Counters = gossamer::Counters;
  using Event = gossamer::transport::Event;
  using Message = gossamer::transport::Message;
  using PeerId = gossamer::PeerId;
  using Reason = gossamer::transport::Reason;
  using Time = gossamer::transport::Time;

  explicit ForwardingTransport(gossamer::transport::AnyTransport inner)
      : inner_(std::move(inner)) {}

  [[nodiscard]] PeerId self() const override { return inner_->self(); }
  [[nodiscard]] std::span<const PeerId> peers() const override { return inner_->peers(); }
  [[nodiscard]] gossamer::transport::PayloadMemory payload_memory() const override {
    return inner_->payload_memory();
  }
  void set_model_layout(const std::string& layout, const gossamer::model::Flat& shape) override {
    inner_->set_model_layout(layout, shape);
  }
  void send(Message message) override { inner_->send(std::move(message)); }
  std::optional<Event> poll() override { return inner_->poll(); }
  bool wait(Time deadline) override { return inner_->wait(deadline); }
  void wake() override { inner_->wake(); }
  [[nodiscard]] Time now() const override { return inner_->now(); }
  void publish(const Counters& counters) override { inner_->publish(counters); }
  [[nodiscard]] Counters counters(PeerId peer) const override { return inner_->counters(peer); }
  [[nodiscard]] double speed(PeerId peer) const override { return inner_->speed(peer); }
  [[nodiscard]] std::uint64_t progress() const override { return inner_->progress(); }
  [[nodiscard]] gossamer::transport::WorkDone work_done() const override {
    return inner_->work_done();
  }
  void finish() override { inner_->finish(); }
  bool settled() override { return inner_->settled(); }
  void close(Reason reason) override { inner_->close(reason); }

 private:
  gossamer::transport::AnyTransport inner_;
};

}  // namespace tests
