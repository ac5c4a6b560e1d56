// SPDX-License-Identifier: MIT
/// What the node asks of its member: the operations of the transport contract.
#pragma once

#include <gossamer/transport/membership/admission.hpp>
#include <gossamer/transport/membership/options.hpp>
#include <gossamer/transport/membership/state.hpp>
#include <gossamer/transport/membership/termination_detector.hpp>
#include <gossamer/transport/membership/view.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>

namespace gossamer::transport {

/// The part of a `Membership` that the node calls: see `Transport`, which says what each operation
/// promises; `wait()` is up to whoever has a clock. Nothing here knows of connections but that
/// there is something to say on them. Threads and errors: as `Membership`.
class MembershipCalls : public MembershipObserver {
 public:
  [[nodiscard]] PeerId self() const { return m_.self(); }
  /// Where others dial this node.
  [[nodiscard]] const std::string& address() const { return m_.options.address; }
  [[nodiscard]] std::span<const PeerId> peers() const { return m_.peers; }
  /// `model` describes all that a payload is: parameters, dtypes, lengths.
  void set_model_layout(const std::string& model) { handshake_.set_model_layout(model); }

  void send(Message message) {
    const PeerId to = message.to;
    KnownPeer* peer = m_.link(to);
    if (peer != nullptr && m_.finished) ++peer->sent_after_finish;
    m_.delivery.send(std::move(message));
    m_.mark_dirty(to);
    calm_.look();
  }

  std::optional<Event> poll() {
    std::optional<Event> event = m_.delivery.poll();
    if (!event && !m_.news.empty()) {
      event = m_.news.front();
      m_.news.pop_front();
    }
    if (!event) return std::nullopt;
    ++m_.polled;
    if (const auto* delivered = std::get_if<Delivered>(&*event)) {
      m_.mark_dirty(delivered->message.from);
    } else if (auto* returned = std::get_if<Returned>(&*event)) {
      returned->reason = reason_of(returned->message.to, returned->reason);
      m_.mark_dirty(returned->message.to);
    } else if (auto* gone = std::get_if<PeerLeft>(&*event)) {
      gone->reason = reason_of(gone->peer, gone->reason);
      std::erase(m_.peers, gone->peer);
      if (gone->reason != Reason::finished) {
        std::erase_if(m_.news, [&](const PeerLeft& news) { return news.peer == gone->peer; });
      }
      m_.mark_dirty(gone->peer);
    } else if (const auto* joined = std::get_if<PeerJoined>(&*event)) {
      const auto at = std::lower_bound(m_.peers.begin(), m_.peers.end(), joined->peer);
      if (at == m_.peers.end() || *at != joined->peer) m_.peers.insert(at, joined->peer);
      m_.mark_dirty(joined->peer);
    }
    return event;
  }
  [[nodiscard]] bool has_event() const { return m_.delivery.has_event() || !m_.news.empty(); }

  /// Messages that are under way to or from this node, and events that it has not polled.
  [[nodiscard]] std::size_t under_way() const { return m_.delivery.under_way() + m_.news.size(); }

  /// Messages to others that are still this node's: for these it must be heard once more.
  [[nodiscard]] std::size_t not_accepted() const {
    std::size_t sum = 0;
    for (const auto& [id, peer] : m_.links) sum += m_.inner(id).not_accepted();
    return sum;
  }

  /// A number that changes whenever a message has come further, to or from anybody.
  [[nodiscard]] std::uint64_t progress() const {
    std::uint64_t sum = 0;
    for (const auto& [id, peer] : m_.links) sum += m_.inner(id).progress();
    return sum;
  }
  /// The weight of these, and of what came back after `close()`.
  [[nodiscard]] double weight_not_accepted() const {
    double sum = m_.left_behind;
    for (const auto& [id, peer] : m_.links) sum += m_.delivery.ledger(id).offered.weight();
    return sum;
  }

  /// All that was polled is dealt with.
  void dealt_with() {
    m_.polled = 0;
    calm_.look();
  }

  void publish(const Counters& status) {
    ++m_.own.version;
    m_.own.status = status;
  }
  [[nodiscard]] Counters counters(PeerId peer) const {
    if (peer == self()) return m_.own.status;
    const RosterEntry* entry = m_.roster.find(peer);
    return entry != nullptr ? entry->report.status : Counters{};
  }
  [[nodiscard]] WorkDone work_done() const {
    WorkDone totals = m_.roster.work_done();
    totals.steps += m_.own.status.steps;
    totals.samples += m_.own.status.samples;
    return totals;
  }

  /// See `Transport::recall()`.
  bool recall() {
    if (!m_.delivery.recall()) return false;
    for (const auto& [id, peer] : m_.links) m_.mark_dirty(id);
    return true;
  }
  void finish() {
    if (std::exchange(m_.finished, true)) return;
    for (auto& [id, peer] : m_.links) {
      peer.sent_after_finish = 0;
      m_.mark_dirty(id);
    }
    calm_.look();
  }
  /// Call it, as `wait()`, only when all polled events are dealt with.
  [[nodiscard]] bool settled() {
    dealt_with();
    return calm_.settled();
  }

  /// Whether `settled()` would be true.
  [[nodiscard]] bool is_settled() const { return calm_.settled(); }

  /// What keeps the node from being settled, in words.
  [[nodiscard]] std::string waits_for() const { return calm_.reason(); }

  /// Begins to leave. Go on carrying frames until `may_go()`, then call `go()`.
  void close(Reason reason) {
    if (std::exchange(m_.closing, true)) return;
    m_.polled = 0;
    m_.reason = reason;
    m_.news.clear();
    m_.delivery.leave();
    for (const auto& [id, peer] : m_.links) m_.mark_dirty(id);
    say_farewell();
  }
  [[nodiscard]] bool is_closing() const { return m_.closing; }
  [[nodiscard]] bool may_go() const {
    if (!m_.closing || !m_.delivery.may_close()) return false;
    return std::all_of(m_.links.begin(), m_.links.end(), [this](const auto& entry) {
      return entry.second.line == 0 || entry.second.left || m_.delivery.is_open(entry.first);
    });
  }
  /// Weight that came back after `close()`, where there was nobody to take it.
  [[nodiscard]] double left_behind() const { return m_.left_behind; }

 protected:
  explicit MembershipCalls(MembershipOptions options) : MembershipObserver(std::move(options)) {}
  ~MembershipCalls() = default;

  /// What a leaver does after each frame: takes back what comes.
  void say_farewell() {
    if (!m_.closing) return;
    while (auto event = m_.delivery.poll()) {
      const Message* message = nullptr;
      if (const auto* delivered = std::get_if<Delivered>(&*event)) message = &delivered->message;
      if (const auto* returned = std::get_if<Returned>(&*event)) message = &returned->message;
      if (message == nullptr) continue;
      m_.left_behind += message->weight;
      m_.mark_dirty(message->from == self() ? message->to : message->from);
    }
    m_.news.clear();
  }

  Admission handshake_{m_};
  TerminationDetector calm_{m_};

 private:
  [[nodiscard]] Reason reason_of(PeerId id, Reason reason) const {
    const auto peer = m_.links.find(id);
    return reason == Reason::left && peer != m_.links.end() ? peer->second.reason : reason;
  }
};

}  // namespace gossamer::transport
