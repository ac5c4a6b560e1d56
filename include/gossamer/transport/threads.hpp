// SPDX-License-Identifier: MIT
/// Nodes as threads of one process: one bounded mailbox per node, snapshots handed over by handle.
/// On a GPU all nodes must use one stream, CUDA's default if nothing is said: it is what keeps a
/// snapshot's copy before its merge, which may be asked for by different threads.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/difference.hpp>
#include <gossamer/transport/transport.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <numeric>
#include <utility>
#include <vector>

namespace gossamer::transport {

class Threads;

/// What the nodes of one process share: mailboxes, the board of what each is known to have done,
/// and the count of what is under way. All its members may be called from any thread.
class ThreadHub : public std::enable_shared_from_this<ThreadHub> {
 public:
  /// A hub for `nodes` >= 1 nodes, all of them members from the start. A mailbox holds at most
  /// `capacity` messages; 0 means as many as a synchronous rule can need, and at least 16.
  static std::shared_ptr<ThreadHub> make(std::size_t nodes, std::size_t capacity = 0) {
    if (nodes == 0) throw ConfigError("ThreadHub: needs at least 1 node, got 0");
    if (capacity == 0) capacity = std::max<std::size_t>(16, 2 * nodes);
    return std::shared_ptr<ThreadHub>(new ThreadHub(nodes, capacity));
  }

  /// The end of node `id`, to be taken once.
  Threads endpoint(PeerId id);

  [[nodiscard]] std::size_t size() const noexcept { return boxes_.size(); }

  [[nodiscard]] Counters counters(PeerId id) const {
    const Board& board = *boards_[id];
    const std::lock_guard lock(board.mutex);
    return board.status;
  }

  [[nodiscard]] WorkDone work_done() const { return {steps_.load(), samples_.load()}; }

  /// Messages in mailboxes now, and the weight they carry. Exact while no node is running.
  [[nodiscard]] std::size_t queued() const {
    std::size_t count = 0;
    for_each_message([&count](const Message&) { ++count; });
    return count;
  }
  [[nodiscard]] double weight_in_flight() const {
    double weight = 0;
    for_each_message([&weight](const Message& message) { weight += message.weight; });
    return weight;
  }

  /// Weight of messages whose sender and receiver were both gone.
  [[nodiscard]] double weight_lost() const {
    const std::lock_guard lock(models_mutex_);
    return weight_lost_;
  }

 private:
  friend class Threads;

  /// A queue in one block of memory; it grows only if more than `capacity` events meet in it.
  struct Mailbox {
    mutable std::mutex mutex;
    std::condition_variable filled;
    std::vector<Event> ring;
    std::size_t head = 0;
    std::size_t count = 0;
    std::size_t messages = 0;  // those of the events that others sent
    bool woken = false;
    bool closed = false;
    Reason reason = Reason::left;  // why it was closed

    Event& at(std::size_t i) { return ring[(head + i) % ring.size()]; }
    [[nodiscard]] const Event& at(std::size_t i) const { return ring[(head + i) % ring.size()]; }
    void push(Event event) {
      if (count == ring.size()) {
        std::vector<Event> larger(2 * ring.size());
        for (std::size_t i = 0; i < count; ++i) larger[i] = std::move(at(i));
        ring = std::move(larger);
        head = 0;
      }
      if (std::holds_alternative<Delivered>(event)) ++messages;
      at(count++) = std::move(event);
    }
    Event pop() {
      Event event = std::exchange(ring[head], Event{});
      head = (head + 1) % ring.size();
      --count;
      if (std::holds_alternative<Delivered>(event)) --messages;
      return event;
    }
  };

  struct Board {
    mutable std::mutex mutex;
    Counters status;
  };

  ThreadHub(std::size_t nodes, std::size_t capacity)
      : capacity_(capacity), models_(nodes), active_(static_cast<std::int64_t>(nodes)) {
    for (std::size_t i = 0; i < nodes; ++i) {
      boxes_.push_back(std::make_unique<Mailbox>());
      boxes_.back()->ring.resize(capacity + nodes);
      boards_.push_back(std::make_unique<Board>());
    }
  }

  template <class Visitor>
  void for_each_message(Visitor visit) const {
    for (const auto& box : boxes_) {
      const std::lock_guard lock(box->mutex);
      for (std::size_t i = 0; i < box->count; ++i) {
        if (const auto* delivered = std::get_if<Delivered>(&box->at(i))) visit(delivered->message);
        if (const auto* returned = std::get_if<Returned>(&box->at(i))) visit(returned->message);
      }
    }
  }

  /// Puts an event into a mailbox; false, and the event untouched, if that was closed.
  bool post(PeerId to, Event& event) {
    Mailbox& box = *boxes_[to];
    const std::lock_guard lock(box.mutex);
    if (box.closed) return false;
    under_way_.fetch_add(1);
    box.push(std::move(event));
    box.filled.notify_one();
    return true;
  }

  /// Returns a message to its sender. If the sender is gone too, its weight went with it.
  void give_back(Message message, Reason reason) {
    const PeerId sender = message.from;
    const double weight = message.weight;
    Event event = Returned{std::move(message), reason};
    if (post(sender, event)) return;
    const std::lock_guard lock(models_mutex_);
    weight_lost_ += weight;
  }

  void send(Message message) {
    const PeerId to = message.to;
    if (to >= boxes_.size()) return give_back(std::move(message), Reason::left);
    Reason reason = Reason::queue_full;
    {
      Mailbox& box = *boxes_[to];
      const std::lock_guard lock(box.mutex);
      if (box.closed) {
        reason = box.reason;
      } else if (box.messages < capacity_) {
        under_way_.fetch_add(1);
        box.push(Delivered{std::move(message)});
        box.filled.notify_one();
        return;
      }
    }
    give_back(std::move(message), reason);
  }

  void tell_others(PeerId about, Reason reason) {
    for (PeerId peer = 0; peer < boxes_.size(); ++peer) {
      if (peer == about) continue;
      Event event = PeerLeft{about, reason};
      post(peer, event);
    }
  }

  /// `handled` events are dealt with; if those were the last in the group, everybody may know.
  void done(std::int64_t handled) {
    if (under_way_.fetch_sub(handled) == handled && active_.load() == 0) {
      for (PeerId peer = 0; peer < boxes_.size(); ++peer) wake(peer);
    }
  }

  void wake(PeerId id) {
    Mailbox& box = *boxes_[id];
    const std::lock_guard lock(box.mutex);
    box.woken = true;
    box.filled.notify_all();
  }

  void publish(PeerId id, const Counters& status) {
    Board& board = *boards_[id];
    const std::lock_guard lock(board.mutex);
    steps_.fetch_add(status.steps - board.status.steps);
    samples_.fetch_add(status.samples - board.status.samples);
    board.status = status;
  }

  void set_model_layout(PeerId id, const std::string& model) {
    const std::lock_guard lock(models_mutex_);
    for (PeerId peer = 0; peer < models_.size(); ++peer) {
      if (peer == id || models_[peer].empty() || models_[peer] == model) continue;
      throw ConfigError("node " + std::to_string(id) + " and node " + std::to_string(peer) +
                        " have different models: " + first_difference(model, models_[peer]));
    }
    models_[id] = model;
  }

  void close(PeerId id, Reason reason, bool finished) {
    tell_others(id, reason);  // first, so that PeerLeft comes before what is returned
    std::vector<Event> rest;
    {
      Mailbox& box = *boxes_[id];
      const std::lock_guard lock(box.mutex);
      box.closed = true;
      box.reason = reason;
      while (box.count > 0) rest.push_back(box.pop());
    }
    for (Event& event : rest) {
      if (auto* delivered = std::get_if<Delivered>(&event)) {
        give_back(std::move(delivered->message), reason);
      } else if (auto* returned = std::get_if<Returned>(&event)) {
        give_back(std::move(returned->message), reason);
      }
    }
    if (!finished) active_.fetch_sub(1);
    done(static_cast<std::int64_t>(rest.size()));
  }

  std::size_t capacity_;
  std::vector<std::unique_ptr<Mailbox>> boxes_;
  std::vector<std::unique_ptr<Board>> boards_;
  mutable std::mutex models_mutex_;
  std::vector<std::string> models_;
  double weight_lost_ = 0;
  std::atomic<std::uint64_t> steps_{0};
  std::atomic<std::uint64_t> samples_{0};
  std::atomic<std::int64_t> under_way_{0};  // events in mailboxes, or polled and not dealt with
  std::atomic<std::int64_t> active_;        // nodes that have neither finished nor gone
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// The transport between threads of one process; see `Transport` for what each operation promises.
/// A message is a handle to the sender's snapshot: nothing is copied or locked but the mailbox's
/// few pointers.
class Threads final : public Transport {
 public:
  Threads(Threads&& other) noexcept = default;
  Threads& operator=(Threads&&) = delete;
  ~Threads() override {
    if (hub_ && !closed_) close(Reason::left);
  }

  [[nodiscard]] PeerId self() const override { return self_; }
  [[nodiscard]] std::span<const PeerId> peers() const override { return peers_; }
  void set_model_layout(const std::string& model, const model::Flat& /*shape*/) override {
    hub_->set_model_layout(self_, model);
  }

  void send(Message message) override {
    message.from = self_;
    hub_->send(std::move(message));
  }

  std::optional<Event> poll() override {
    std::optional<Event> event;
    {
      ThreadHub::Mailbox& box = *hub_->boxes_[self_];
      const std::lock_guard lock(box.mutex);
      if (box.count == 0) return std::nullopt;
      event = box.pop();
    }
    ++polled_;
    if (const auto* gone = std::get_if<PeerLeft>(&*event)) std::erase(peers_, gone->peer);
    return event;
  }

  bool wait(Time deadline) override {
    all_dealt_with();
    ThreadHub::Mailbox& box = *hub_->boxes_[self_];
    std::unique_lock lock(box.mutex);
    const Time latest = now() + std::chrono::hours(24 * 365);  // further would overflow
    box.filled.wait_until(lock, hub_->begin_ + std::min(deadline, latest),
                          [&box] { return box.count > 0 || box.woken; });
    box.woken = false;
    return box.count > 0;
  }

  void wake() override { hub_->wake(self_); }
  [[nodiscard]] Time now() const override {
    return std::chrono::steady_clock::now() - hub_->begin_;
  }
  void publish(const Counters& status) override { hub_->publish(self_, status); }
  [[nodiscard]] Counters counters(PeerId peer) const override { return hub_->counters(peer); }
  [[nodiscard]] WorkDone work_done() const override { return hub_->work_done(); }

  void finish() override {
    if (std::exchange(finished_, true)) return;
    hub_->tell_others(self_, Reason::finished);
    hub_->active_.fetch_sub(1);
    hub_->done(0);
  }

  bool settled() override {
    all_dealt_with();
    return hub_->active_.load() == 0 && hub_->under_way_.load() == 0;
  }

  void close(Reason reason) override {
    if (std::exchange(closed_, true)) return;
    all_dealt_with();
    hub_->close(self_, reason, finished_);
  }

 private:
  friend class ThreadHub;
  Threads(std::shared_ptr<ThreadHub> hub, PeerId self)
      : hub_(std::move(hub)), self_(self), peers_(hub_->size()) {
    std::iota(peers_.begin(), peers_.end(), PeerId{0});
    std::erase(peers_, self_);
  }

  void all_dealt_with() {
    if (polled_ > 0) hub_->done(std::exchange(polled_, 0));
  }

  std::shared_ptr<ThreadHub> hub_;
  PeerId self_;
  std::vector<PeerId> peers_;
  std::int64_t polled_ = 0;  // events handed out and not known to be dealt with
  bool finished_ = false;
  bool closed_ = false;
};

inline Threads ThreadHub::endpoint(PeerId id) {
  if (id >= size()) {
    throw ConfigError("ThreadHub: node must be below " + std::to_string(size()) + ", got " +
                      std::to_string(id));
  }
  return {shared_from_this(), id};
}

}  // namespace gossamer::transport
