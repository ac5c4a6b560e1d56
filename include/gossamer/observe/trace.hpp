// SPDX-License-Identifier: MIT
/// Draws a real run, as far as this process sees it: a lane per node, with what it does and what it
/// says to whom.
#pragma once

#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/chrome_trace.hpp>
#include <gossamer/observe/node_lane.hpp>
#include <gossamer/observe/open_flows.hpp>
#include <gossamer/observe/per_node.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace gossamer::observe {

/// A trace of the nodes of this process, to be opened in Perfetto:
///
///     auto trace = std::make_shared<observe::Trace>("trace.json");
///     ThreadGroup<MyNode> group(GroupOptions(8).callback(trace), rule::GoSgd(0.02));
///     group.run(StopCondition().samples(500'000));
///     trace->close();
///
/// A loop of one's own gives it to `NodeOptions`. The slices of a node's lane say what it does:
///
///     compute    a step, without what is taken in meanwhile; cut short if the node fails
///     wait       for others                   join     for its first weight
///     merge      takes in what has come       handle   likewise, where nothing is merged
///     leave      until all that it had is others'
///
/// and, of no length, `send`, `receive` and `returned`. An arrow leads from each `send` to the
/// `receive` of a node that is here already. Of several processes each writes a file of its own;
/// `./examples/run.sh trace` makes one of them, with all arrows, on one clock. Marks say who joins,
/// leaves and is lost, and each node's weight is a counter.
///
/// In a loop of one's own nobody tells of waiting, so what lies between two steps is blank but for
/// what is merged; and from its last step until all is over it seems to be in another one.
///
/// The file is there from the start, in place of an older one, and grows by whole events, one a
/// line. That of a killed process lacks what happened in its last 0.2 s, and the closing bracket,
/// without which the format is valid, too.
///
/// Cost     600 bytes per message and 150 per step, on the disk; 20 KB of memory per node, and 50
///          bytes per message that is under way between nodes of this process.
/// Threads  any. Nodes share a lock while a file is written, else only to find their lanes and to
///          tell messages within this process apart.
/// Throws   std::runtime_error, from the constructor and from `close()` only, that names the file,
///          the operation and the system's reason. An error while writing is kept until then.
class Trace final : public Callback {
 public:
  /// Of one group, or of one node, as they share a clock.
  explicit Trace(const std::filesystem::path& path) : file_(path) {}
  /// Closes the file, if that was not done; then errors are lost.
  ~Trace() override {
    try {
      close();
    } catch (const std::exception&) {
    }
  }

  /// Ends all lanes and the file. What comes later is not written.
  void close() {
    if (std::exchange(is_closed_, true)) return;
    for_each([](NodeLane& lane) { lane.close(); });
    file_.close();
  }

  void on_start(Time now, PeerId node, std::uint64_t number, double weight) override {
    tell(now, node, [&](NodeLane& lane) { lane.start(now, number, weight); });
  }
  void on_end(Time now, PeerId node, End how) override {
    tell(now, node, [&](NodeLane& lane) { lane.end(now, how); });
  }
  void on_leaving(Time now, PeerId node) override {
    tell(now, node, [&](NodeLane& lane) { lane.begin(now, Activity::leave); });
  }
  void on_peer_joined(Time now, PeerId node, PeerId peer) override {
    tell(now, node, [&](NodeLane& lane) { lane.mark_joined(now, peer); });
  }
  void on_peer_left(Time now, PeerId node, const transport::PeerLeft& gone) override {
    tell(now, node, [&](NodeLane& lane) { lane.mark_left(now, gone); });
  }

  void on_step(Time now, PeerId node) override {
    tell(now, node, [&](NodeLane& lane) { lane.begin_step(now); });
  }
  void on_step_end(Time now, PeerId node, const Counters& counters) override {
    tell(now, node, [&](NodeLane& lane) {
      lane.rest(now);
      lane.show_weight(now, counters.weight);  // it may have sent some
    });
  }
  void on_wait(Time now, PeerId node, Wait what) override {
    tell(now, node, [&](NodeLane& lane) {
      lane.begin(now, what == Wait::others ? Activity::wait : Activity::join);
    });
  }
  void on_rest(Time now, PeerId node) override {
    tell(now, node, [&](NodeLane& lane) { lane.rest(now); });
  }

  void on_send(Time now, const transport::Message& message) override {
    const std::uint64_t flow =
        lanes_.has(message.to) ? with_flows(&OpenFlows::open, message) : std::uint64_t{0};
    tell(now, message.from, [&](NodeLane& lane) { lane.send(now, message, flow); });
  }
  void on_deliver(Time now, const transport::Message& message) override {
    const std::uint64_t flow = with_flows(&OpenFlows::close, message, false);
    tell(now, message.to, [&](NodeLane& lane) { lane.receive(now, message, flow); });
  }
  void on_return(Time now, const transport::Returned& back) override {
    const std::uint64_t flow = with_flows(&OpenFlows::close, back.message, true);
    tell(now, back.message.from, [&](NodeLane& lane) { lane.take_back(now, back, flow); });
  }
  void on_merge(Time now, PeerId node, std::uint64_t messages, double weight) override {
    tell(now, node, [&](NodeLane& lane) { lane.merged(messages, weight); });
  }
  void on_weight(Time now, PeerId node, double weight) override {
    tell(now, node, [&](NodeLane& lane) { lane.taken_in(now, weight); });
  }

  void on_tick(Time, const GroupState&) override { flush(); }
  void on_run_end(Time, const GroupState&) override { flush(); }

 private:
  enum class Activity : std::size_t { none, compute, wait, join, leave, merge };
  static constexpr std::array<const char*, 6> names{"",     "compute", "wait",
                                                    "join", "leave",   "merge"};
  static constexpr std::size_t most_buffered = std::size_t{1} << 14U;
  static constexpr Time longest_buffered = std::chrono::milliseconds(200);

  /// Where lanes write whole events to.
  class File {
   public:
    explicit File(std::filesystem::path path)
        : path_(std::move(path)), stream_(path_, std::ios::binary) {
      if (!stream_) throw std::runtime_error(failure("create"));
      stream_ << "[";
    }
    /// Each begins with a comma and a line's end.
    void write(std::string_view events) {
      const std::lock_guard lock(mutex_);
      if (std::exchange(is_first_, false) && !events.empty()) events.remove_prefix(1);
      if (error_.empty() && !(stream_ << events << std::flush)) error_ = failure("write");
    }
    void close() {
      const std::lock_guard lock(mutex_);
      stream_ << "\n]\n";
      stream_.close();
      if (error_.empty() && !stream_) error_ = failure("close");
      if (!error_.empty()) throw std::runtime_error(error_);
    }

   private:
    [[nodiscard]] std::string failure(const char* operation) const {
      return "cannot " + std::string(operation) + " " + path_.string() + ": " +
             std::generic_category().message(errno);
    }

    std::filesystem::path path_;
    std::ofstream stream_;
    std::mutex mutex_;
    bool is_first_ = true;
    std::string error_;  // the first one
  };

  /// One node's; its functions are called under its lock.
  class NodeLane final : public ChromeEvents {
   public:
    NodeLane(File& file, PeerId node, std::uint32_t thread)
        : file_(file), node_(node), on_{node_lane::nodes, thread} {}

    std::mutex mutex;

    /// The first one also names the groups, and says when this clock was 0.
    void name(Time now) {
      if (on_.thread == 1) {
        node_lane::name_groups(*this);
        const std::chrono::nanoseconds wall = std::chrono::system_clock::now().time_since_epoch();
        remark("clock", {{"unix_ns", static_cast<std::uint64_t>((wall - now).count())}});
      }
      node_lane::name_node(*this, on_.thread, node_, 1);
    }
    void start(Time now, std::uint64_t incarnation, double weight) {
      node_lane::mark_start(*this, on_.thread, now, incarnation, weight);
      show_weight(now, weight);
    }
    void end(Time now, End how) {
      rest(now);
      node_lane::mark_end(*this, on_.thread, now, how);
      show_weight(now, 0);
    }
    void mark_joined(Time now, PeerId peer) {
      instant(on_, "peer joined", now, false, {{"peer", std::uint64_t{peer}}});
    }
    void mark_left(Time now, const transport::PeerLeft& gone) {
      const bool is_lost = gone.reason == transport::Reason::lost;
      instant(on_, is_lost ? "peer lost" : "peer left", now, false,
              {{"peer", std::uint64_t{gone.peer}}, {"reason", transport::to_string(gone.reason)}});
    }

    /// The node does something else now, or still the same.
    void begin(Time now, Activity what) {
      const bool goes_on = what == activity_ && what != Activity::compute;
      const bool has_only_looked = resumed_ && what == Activity::wait;
      if (!goes_on && !has_only_looked) {
        draw(now);
        since_ = now;
      }
      activity_ = what;
      resumed_ = false;
    }
    void begin_step(Time now) {
      begin(now, Activity::compute);
      in_step_ = true;
    }
    /// What the node did is over, a step too.
    void rest(Time now) {
      begin(now, Activity::none);
      in_step_ = false;
    }

    void send(Time now, const transport::Message& message, std::uint64_t flow) {
      slice(on_, "send", now, Time(0),
            {{"to", std::uint64_t{message.to}},
             {"kind", std::uint64_t{message.kind}},
             {"round", message.round},
             {"step", std::uint64_t{message.step}},
             {"weight", message.weight},
             {"bytes", std::uint64_t{message.bytes()}}});
      if (flow > 0) flow_begin(on_, "message", flow, now);
    }
    void receive(Time now, const transport::Message& message, std::uint64_t flow) {
      begin_merge(now);
      slice(on_, "receive", now, Time(0),
            {{"from", std::uint64_t{message.from}},
             {"kind", std::uint64_t{message.kind}},
             {"round", message.round},
             {"step", std::uint64_t{message.step}},
             {"weight", message.weight}});
      if (flow > 0) flow_end(on_, "message", flow, now);
    }
    void take_back(Time now, const transport::Returned& back, std::uint64_t flow) {
      begin_merge(now);
      slice(on_, "returned", now, Time(0),
            {{"from", std::uint64_t{back.message.to}},
             {"kind", std::uint64_t{back.message.kind}},
             {"round", back.message.round},
             {"step", std::uint64_t{back.message.step}},
             {"weight", back.message.weight},
             {"reason", transport::to_string(back.reason)}});
      if (flow > 0) flow_end(on_, "message", flow, now);
    }
    void merged(std::uint64_t messages, double weight) {
      merged_ = messages;
      merged_weight_ = weight;
    }
    /// All that had come is taken in.
    void taken_in(Time now, double weight) {
      if (activity_ == Activity::merge) {
        draw(now);
        activity_ = in_step_ ? Activity::compute : after_merge_;
        resumed_ = in_step_;
        since_ = now;
      }
      show_weight(now, weight);
    }

    void show_weight(Time now, double weight) {
      if (weight == weight_) return;
      weight_ = weight;
      node_lane::show_weight(*this, node_, now, weight);
    }

    /// Writes what is there, at the latest when the first of it is `longest_buffered` old.
    void flush() {
      if (const std::string events = take(); !events.empty()) file_.write(events);
      is_buffered_ = false;
    }
    void flush_if_old(Time now) {
      if (!std::exchange(is_buffered_, true)) buffered_since_ = now;
      last_ = now;
      if (now - buffered_since_ >= longest_buffered) flush();
    }
    void close() {
      if (activity_ != Activity::compute) draw(last_);  // nobody knows how long a step went on
      flush();
    }

   private:
    void written(std::size_t buffered) override {
      if (buffered >= most_buffered) flush();
    }
    void begin_merge(Time now) {
      if (activity_ == Activity::merge) return;
      after_merge_ = activity_ == Activity::leave ? activity_ : Activity::none;
      merged_ = 0;
      begin(now, Activity::merge);
    }
    /// The slice of what the node did until now.
    void draw(Time now) {
      if (activity_ == Activity::none || now <= since_) return;
      const Time length = now - since_;
      if (activity_ != Activity::merge) {
        slice(on_, names.at(static_cast<std::size_t>(activity_)), since_, length);
      } else if (merged_ == 0) {
        slice(on_, "handle", since_, length);
      } else {
        slice(on_, "merge", since_, length, {{"messages", merged_}, {"weight", merged_weight_}});
      }
    }

    File& file_;
    PeerId node_;
    ChromeEvents::Lane on_;
    double weight_ = -1;  // none was shown yet
    Activity activity_ = Activity::none;
    Time since_{0};
    bool in_step_ = false;
    bool resumed_ = false;  // the step goes on, after something was taken in
    Activity after_merge_ = Activity::none;
    std::uint64_t merged_ = 0;
    double merged_weight_ = 0;
    bool is_buffered_ = false;
    Time buffered_since_{0};
    Time last_{0};
  };

  template <class Action>
  void tell(Time now, PeerId node, Action action) {
    NodeLane& lane = lanes_.of(node, [&](std::size_t count) {
      const auto thread = static_cast<std::uint32_t>(count);
      auto made = std::make_unique<NodeLane>(file_, node, thread);
      made->name(now);
      return made;
    });
    const std::lock_guard lock(lane.mutex);
    action(lane);
    lane.flush_if_old(now);
  }
  template <class Action>
  void for_each(Action action) {
    lanes_.for_each([&](NodeLane& lane) {
      const std::lock_guard lock(lane.mutex);
      action(lane);
    });
  }
  void flush() {
    for_each([](NodeLane& lane) { lane.flush(); });
  }
  template <class Hook, class... Arguments>
  std::uint64_t with_flows(Hook hook, const Arguments&... arguments) {
    const std::lock_guard lock(flows_mutex_);
    return (flows_.*hook)(arguments...);
  }

  File file_;
  PerNode<NodeLane> lanes_;
  std::mutex flows_mutex_;
  OpenFlows flows_;  // between nodes of this process
  bool is_closed_ = false;
};

}  // namespace gossamer::observe
