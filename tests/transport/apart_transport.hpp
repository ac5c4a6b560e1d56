// SPDX-License-Identifier: MIT
/// A transport whose payloads may not lie beside a model, though that is on the CPU: a node on it
/// does what one does whose model is on a device.
#pragma once

#include <gossamer/model/flat.hpp>

#include <tests/transport/forwarding_transport.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace tests {

/// What went through such transports.
struct ApartRecord {
  std::atomic<std::uint64_t> staged{0};   ///< bytes, of nodes whose ends are gone
  std::atomic<std::uint64_t> carried{0};  ///< messages with a payload, that lay apart
  std::atomic<std::uint64_t> astray{0};   ///< and that did not
  std::atomic<std::size_t> model{0};      ///< bytes of a payload
};

/// A node's end of such a transport.
class ApartTransport final : public ForwardingTransport {
 public:
  ApartTransport(gossamer::transport::AnyTransport inner, std::shared_ptr<ApartRecord> record)
      : ForwardingTransport(std::move(inner)), record_(std::move(record)) {}
  ApartTransport(ApartTransport&&) noexcept = default;
  ApartTransport& operator=(ApartTransport&&) = delete;
  ~ApartTransport() override {
    if (record_ && common_) record_->staged += common_->staged;
  }

  [[nodiscard]] gossamer::transport::PayloadMemory payload_memory() const override {
    return gossamer::transport::PayloadMemory::apart;
  }
  void set_model_layout(const std::string& layout, const gossamer::model::Flat& shape) override {
    common_ = shape.apart();
    record_->model = shape.bytes();
    ForwardingTransport::set_model_layout(layout, shape);
  }
  void send(Message message) override {
    if (message.payload) ++(message.payload.is_apart() ? record_->carried : record_->astray);
    ForwardingTransport::send(std::move(message));
  }

 private:
  std::shared_ptr<ApartRecord> record_;
  std::shared_ptr<gossamer::model::Apart> common_;
};

}  // namespace tests
