// expect: Transport needs: void send(Message message)
// SPDX-License-Identifier: MIT
#include <gossamer/transport/transport.hpp>

#include <optional>
#include <span>
#include <string>

namespace {

using namespace gossamer::transport;

struct Mute {
  gossamer::PeerId self() const { return 0; }
  std::span<const gossamer::PeerId> peers() const { return {}; }
  void introduce(const std::string&) {}
  std::optional<Event> poll() { return std::nullopt; }
  bool wait(Time) { return false; }
  void wake() {}
  Time now() const { return Time(0); }
  void publish(const Status&) {}
  Status status(gossamer::PeerId) const { return {}; }
  Totals totals() const { return {}; }
  void finish() {}
  bool settled() { return true; }
  void close(Reason) {}
};

}  // namespace

int main() { AnyTransport transport(Mute{}); }
