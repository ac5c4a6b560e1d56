// SPDX-License-Identifier: MIT
// expect: Transport needs: PeerId self() const
// expect: Transport needs: std::span<const PeerId> peers() const
// expect: Transport needs: void set_model_layout(const std::string& model, const model::Flat&
// shape) expect: Transport needs: void send(Message message) expect: Transport needs:
// std::optional<Event> poll() expect: Transport needs: bool wait(Time deadline) expect: Transport
// needs: void wake() expect: Transport needs: Time now() const expect: Transport needs: void
// publish(const Counters& status) expect: Transport needs: gossamer::Counters counters(PeerId peer) const
// expect: Transport needs: WorkDone totals() const
// expect: Transport needs: void finish()
// expect: Transport needs: bool settled()
// expect: Transport needs: void close(Reason reason)
// expect: Transport needs: bool wait(Time deadline)
#include <gossamer/transport/transport.hpp>

#include <optional>
#include <span>
#include <string>

namespace {

using namespace gossamer::transport;

struct Whole {
  gossamer::PeerId self() const { return 0; }
  std::span<const gossamer::PeerId> peers() const { return {}; }
  void set_model_layout(const std::string&, const gossamer::model::Flat&) {}
  void send(Message) {}
  std::optional<Event> poll() { return std::nullopt; }
  bool wait(Time) { return false; }
  void wake() {}
  Time now() const { return Time(0); }
  void publish(const Counters&) {}
  gossamer::Counters status(gossamer::PeerId) const { return {}; }
  WorkDone totals() const { return {}; }
  void finish() {}
  bool settled() { return true; }
  void close(Reason) {}
};

// Each hides one operation of `Whole`.
struct NoSelf : Whole {
  void self() = delete;
};
struct NoPeers : Whole {
  void peers() = delete;
};
struct NoIntroduce : Whole {
  void set_model_layout() = delete;
};
struct NoSend : Whole {
  void send() = delete;
};
struct NoPoll : Whole {
  void poll() = delete;
};
struct NoWait : Whole {
  void wait() = delete;
};
struct NoWake : Whole {
  void wake() = delete;
};
struct NoNow : Whole {
  void now() = delete;
};
struct NoPublish : Whole {
  void publish() = delete;
};
struct NoStatus : Whole {
  void status() = delete;
};
struct NoTotals : Whole {
  void totals() = delete;
};
struct NoFinish : Whole {
  void finish() = delete;
};
struct NoSettled : Whole {
  void settled() = delete;
};
struct NoClose : Whole {
  void close() = delete;
};
struct WaitsForNothing : Whole {
  void wait(Time) {}
};

}  // namespace

int main() {
  check_transport<Whole>();
  check_transport<NoSelf>();
  check_transport<NoPeers>();
  check_transport<NoIntroduce>();
  check_transport<NoSend>();
  check_transport<NoPoll>();
  check_transport<NoWait>();
  check_transport<NoWake>();
  check_transport<NoNow>();
  check_transport<NoPublish>();
  check_transport<NoStatus>();
  check_transport<NoTotals>();
  check_transport<NoFinish>();
  check_transport<NoSettled>();
  check_transport<NoClose>();
  AnyTransport transport(WaitsForNothing{});  // the holder says so too
}
