// SPDX-License-Identifier: MIT
/// Fuzzes the handshake and all that follows it: a member hears anything, on several connections,
/// in any order, between whatever its own node does. No message of its own comes home twice or is
/// missing in its books, none is delivered with a weight that it must refuse, what it keeps is
/// bounded, and it says nothing that another member could not read.
#include <gossamer/transport/membership/membership.hpp>

#include <tests/transport/wire_samples.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace tests::wire;
using gossamer::PeerId;

void require(bool good) {
  if (!good) std::abort();
}

constexpr PeerId self = 3;
constexpr std::uint64_t life = 100;
constexpr std::size_t most_messages = 4;
constexpr std::size_t most_lines = 6;

/// The input, as decisions.
class Script {
 public:
  explicit Script(std::span<const std::byte> bytes) : rest_(bytes) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    const auto one = bytes(1);
    return one.empty() ? 0 : std::to_integer<std::uint8_t>(one[0]);
  }
  bool yes() { return byte() % 2 == 1; }
  /// Mostly a small number; sometimes any.
  std::uint64_t number() {
    const std::uint8_t one = byte();
    if (one < 240) return one;
    if (one < 248) return std::numeric_limits<std::uint64_t>::max() - (one - 240);
    std::uint64_t value = 0;
    for (const std::byte b : bytes(sizeof value))
      value = value << 8U | std::to_integer<unsigned>(b);
    return value;
  }
  double weight() {
    constexpr std::array<double, 8> some{0.25,
                                         0,
                                         -0.25,
                                         2.5,
                                         1e300,
                                         std::numeric_limits<double>::infinity(),
                                         std::numeric_limits<double>::quiet_NaN(),
                                         std::numeric_limits<double>::denorm_min()};
    return some[byte() % some.size()];
  }
  std::string text() {
    std::string all;
    for (const std::byte b : bytes(byte() % 32)) all += static_cast<char>(b);
    return all;
  }
  std::span<const std::byte> bytes(std::size_t count) {
    const auto first = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(first.size());
    return first;
  }

 private:
  std::span<const std::byte> rest_;
};

class Attack {
 public:
  explicit Attack(Script script) : script_(script), member_(options()) {
    if (script_.yes()) member_.set_model_layout(model);
  }

  void run() {
    while (!script_.empty()) {
      act();
      (void)member_.speakers();
      require(member_.notes().size() <= 64);
    }
    check_books();
  }

 private:
  static inline const std::string model = "weight Float [2]\n";

  static MembershipOptions options() {
    MembershipOptions options;
    options.number = self;
    options.incarnation = life;
    options.world_size = 4;
    options.address = "host:3";
    options.contacts = {"host:0"};
    options.limits.messages = most_messages;
    options.agreement.say("rule", "sync");
    return options;
  }

  void act() {
    switch (script_.byte() % 16) {
      case 0:
        return connect(nullptr);
      case 1:
        return dial();
      case 2:
        return hear(hello());
      case 3:
        return hear(
            gossamer::transport::wire::Model{mark(), script_.yes() ? model : script_.text()});
      case 4:
      case 5:
        return hear(delivery());
      case 6:
        return hear(members());
      case 7:
        return hear(Refusal{static_cast<Refusal::Code>(script_.byte() % 9), script_.text()});
      case 8:
        return hear(Ping{script_.number(), script_.yes(), report(), script_.yes(), script_.number(),
                         script_.yes(), script_.number(), script_.number(), script_.number()});
      case 9:
        return hear_fields();
      case 10:
        return hear_noise();
      case 11:
        return hang_up(line());
      case 12:
        now_ += std::chrono::milliseconds(50 * script_.byte());
        return member_.tick(now_);
      case 13:
        return read(line());
      case 14:
        return send();
      case 15:
        return live();
    }
  }

  // What the network does.

  void connect(const DialAttempt* dial) {
    if (lines_.size() == most_lines) {
      if (dial != nullptr) member_.dial_failed(*dial, false, "too many", now_);
      return;
    }
    lines_[++last_line_] = {};
    member_.connected(last_line_, dial, now_);
  }
  void dial() {
    for (const DialAttempt& dial : member_.dials(now_)) {
      if (script_.yes()) {
        connect(&dial);
      } else {
        member_.dial_failed(dial, script_.yes(), "no answer", now_);
      }
    }
  }
  LineId line() {
    if (lines_.empty()) return 0;
    return std::next(lines_.begin(), script_.byte() % static_cast<std::ptrdiff_t>(lines_.size()))
        ->first;
  }
  void hang_up(LineId id) {
    lines_.erase(id);
    member_.disconnected(id, "reset", now_);
  }
  template <class Frame>
  void hear(Frame body) {
    member_.received(line(), wire::Body(std::move(body)), now_);
  }
  void hear_fields() {
    const auto kind = static_cast<Kind>(1 + script_.byte() % 6);
    const LineId id = line();
    visit_fields(kind, script_.bytes(script_.byte()),
                 [&](const auto& body) { member_.received(id, wire::Body(body), now_); });
  }
  void hear_noise() {
    std::array<std::byte, FrameHeader::size> head{};
    const auto some = script_.bytes(head.size());
    std::copy(some.begin(), some.end(), head.begin());
    const auto parsed = parse_header(head, tests::wire::run, model_bytes);
    if (const auto* error = std::get_if<WireError>(&parsed)) {
      const LineId id = line();
      const std::uint64_t before = member_.counts().malformed;
      member_.malformed(id, *error, "the peer at " + script_.text());
      require(member_.counts().malformed == before + (id != 0 ? 1 : 0));
    }
  }
  /// Lets the member say all that it has to say on a line.
  void read(LineId id) {
    for (int frames = 0; auto body = member_.next(id, now_); ++frames) {
      require(frames < 1000);
      if (const auto* delivery = std::get_if<DeliveryBody>(&*body)) heard_[id] = delivery->frame;
      std::visit([&](const auto& one) { read_back(one); }, *body);
    }
    if (id != 0 && member_.must_close(id)) hang_up(id);
  }
  template <class One>
  static void read_back(const One& one) {
    const auto bytes = frame_of(one);
    require(bytes.size() <= FrameHeader::size + most_fields(One::kind));
    require(std::holds_alternative<One>(
        parse_fields<One>(std::span(bytes).subspan(FrameHeader::size))));
  }

  // What a peer says.

  std::uint64_t mark() {
    static const std::uint64_t right = fingerprint(model);
    return script_.yes() ? right : script_.number();
  }
  std::string address() {
    const std::uint8_t which = script_.byte() % 16;
    if (which < 8) return {};
    return which < 15 ? "host:" + std::to_string(which - 8) : script_.text();
  }
  Report report() {
    if (script_.yes()) return {};
    return {script_.number(),
            {script_.number(), script_.number(), script_.weight(), script_.weight()}};
  }
  PeerId peer() { return static_cast<PeerId>(script_.number()); }
  Hello hello() {
    return {.node = peer(),
            .incarnation = script_.number(),
            .world_size = 4,
            .probe = script_.byte() % 8 == 7,
            .asks_members = script_.byte() % 4 == 3,
            .model = mark(),
            .earlier_incarnation = script_.number(),
            .address = address(),
            .agreement = script_.yes() ? "rule\tsync\n" : script_.text()};
  }
  Members members() {
    Members all;
    all.entries.resize(script_.byte() % 4);
    for (Entry& one : all.entries) {
      one = {peer(),        script_.number(), static_cast<Presence>(script_.byte() % 3),
             script_.yes(), report(),         address()};
    }
    return all;
  }
  /// A frame that may well fit what the member has said on the line.
  DeliveryBody delivery() {
    DeliveryBody body;
    const std::uint8_t flags = script_.byte();
    const Delivery::Frame& heard = heard_[line()];
    Delivery::Frame& frame = body.frame;
    frame.from = {script_.number(), script_.number()};
    frame.to = (flags & 1U) != 0 ? heard.from : SessionSide{script_.number(), script_.number()};
    frame.open = (flags & 2U) != 0;
    frame.asks = (flags & 4U) != 0;
    frame.leaving = (flags & 8U) != 0;
    frame.leaving_seen = body.finished_seen = (flags & 16U) != 0;
    body.finished = (flags & 32U) != 0;
    frame.reported = heard.from;
    if (frame.open) {
      frame.accepted = script_.number();
      frame.granted = script_.number();
      frame.delivered = script_.number();
    } else {
      frame.reported_delivered = script_.number();
    }
    if ((flags & 64U) != 0) {
      frame.sequence = script_.number();
      frame.offer =
          Message{.kind = script_.byte(), .round = 0, .weight = script_.weight(), .payload = {}};
      body.payload = (flags & 128U) != 0;
      if (body.payload && script_.yes()) frame.offer.reset();  // its numbers were not finite
    }
    body.report = report();
    return body;
  }

  // What the node does.

  void send() {
    const auto peers = member_.peers();
    if (peers.empty() || own_ < 1e-6) return;
    const PeerId to = peers[script_.byte() % peers.size()];
    const double moved = own_ / 4;
    own_ -= moved;
    under_way_[++round_] = moved;
    member_.send({.to = to, .round = round_, .weight = moved, .payload = {}});
  }
  void live() {
    switch (script_.byte() % 8) {
      case 0:
        return member_.set_model_layout(model);
      case 1:
        return member_.finish();
      case 2:
        member_.close(Reason::left);
        if (member_.may_go()) member_.go();
        return;
      case 3:
        return member_.dealt_with();
      case 4:
        return member_.suspect(peer());
      default:
        return poll();
    }
  }
  void poll() {
    while (const auto event = member_.poll()) {
      if (const auto* delivered = std::get_if<Delivered>(&*event)) {
        const Message& message = delivered->message;
        require(message.weight >= 0 && message.weight <= member_.options().limits.weight);
        require(message.to == self && message.from != self);
      } else if (const auto* returned = std::get_if<Returned>(&*event)) {
        const auto at = under_way_.find(returned->message.round);
        require(at != under_way_.end() && at->second == returned->message.weight);
        own_ += at->second;
        under_way_.erase(at);
      }
    }
  }

  /// Each message is in one place, and there are no more than the limits say.
  void check_books() {
    std::uint64_t somewhere = 0;
    const auto view = member_.view();
    for (const MembershipView& one : view) {
      const Ledger& l = one.ledger;
      const std::uint64_t out = l.offered.messages() + l.granted.messages() + l.in_doubt.messages();
      require(out <= most_messages);
      require(l.held.messages() + l.waiting.messages() <= 2 * most_messages);
      const std::uint64_t gone = l.confirmed.messages() + l.lost_with_peer.messages();
      require(l.sent.messages() == out + gone + l.returned.messages());
      const double rest = l.sent.weight() - l.offered.weight() - l.returned.weight() - l.given();
      require(std::abs(rest) < 1e-9);
      require(std::isfinite(l.delivered.weight()) && std::isfinite(l.held.weight()));
      somewhere += out + gone + l.returning.messages();
    }
    require(somewhere <= under_way_.size());  // the rest is with earlier lives
    require(view.size() <= Members::most);
  }

  Script script_;
  Membership member_;
  Time now_{1};
  std::map<LineId, int> lines_;
  LineId last_line_ = 0;
  std::map<LineId, Delivery::Frame> heard_;  // what the member said last on a line
  double own_ = 1;
  std::uint64_t round_ = 0;
  std::map<std::uint64_t, double> under_way_;  // messages that did not come home
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    Attack(Script(std::as_bytes(std::span(data, size)))).run();
  } catch (const gossamer::ConfigError&) {  // of `set_model_layout()`: a peer has another model
  }
  return 0;
}
