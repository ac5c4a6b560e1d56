// SPDX-License-Identifier: MIT
/// A module's loop: take what has come, learn, send on.
#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/error.hpp>

#include <ATen/ops/empty.h>
#include <c10/util/StringUtil.h>
#include <decoupled_greedy/chain.hpp>
#include <decoupled_greedy/process.hpp>

#include <algorithm>
#include <cstring>
#include <deque>
#include <iostream>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace decoupled {
namespace {

using gossamer::ConfigError;
using gossamer::PeerId;
using gossamer::observe::RunRecord;
using gossamer::transport::Message;
using Json = RunRecord::Json;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t test_batch = 200;  // images
constexpr std::uint32_t training = 1;     // kinds of messages
constexpr std::uint32_t testing = 2;

class ModuleProcess {
 public:
  ModuleProcess(const Options& options, const cifar10::Dataset& data, RunRecord& record,
                gossamer::transport::Tcp& tcp)
      : o_(options),
        data_(data),
        record_(record),
        tcp_(tcp),
        self_(tcp.self()),
        learner_(options, self_),
        file_(record.folder() / c10::str("module-", self_, ".pt")),
        buffer_(options.buffer, options.max_reuse),
        tests_((std::min(options.test_images, data.test.size()) + test_batch - 1) / test_batch) {
    if (!is_first()) reader_.emplace(o_.format(learner_.part().input));
    if (!is_last()) writer_.emplace(o_.format(learner_.part().output), o_.seed + self_);
    if (o_.resume && std::filesystem::exists(file_)) learner_.load(file_);
    if (is_first()) read_ = reader(o_, data_.train);
  }

  Json operator()() {
    meet();
    heard_ = Clock::now();
    while (static_cast<std::int64_t>(tested_.size()) < tests_) {
      take_events();
      if (all_have_done() && is_first()) {
        test_all();
        break;
      }
      if (!learn()) {
        tcp_.publish(counters_);
        tcp_.wait(tcp_.now() + std::chrono::milliseconds(50));
      }
      end_if_silent();
    }
    save();
    leave();
    return summary();
  }

 private:
  [[nodiscard]] bool is_first() const { return self_ == 0; }
  [[nodiscard]] bool is_last() const { return self_ + 1 == o_.modules; }
  [[nodiscard]] bool is_here(PeerId peer) const {
    const auto peers = tcp_.peers();
    return std::find(peers.begin(), peers.end(), peer) != peers.end();
  }

  void meet() {
    const auto others = static_cast<std::size_t>(o_.modules - 1);
    const auto within = o_.process.gather();
    bool met = tcp_.gather(1, within);
    if (met && !tcp_.had_earlier_incarnation()) met = tcp_.gather(others, within);
    if (!met) {
      const std::string why = tcp_.last_connect_error();
      throw ConfigError(c10::str("module ", self_, " has not met the ", others, " others within ",
                                 within.count(), " ms; ", why.empty() ? "nobody has called" : why));
    }
    // No code may be longer than the layout's numbers: those of the largest batch of activations.
    std::int64_t most = 1;
    for (std::int64_t i = 0; i < o_.modules; ++i) {
      const std::vector<std::int64_t> sizes = make_part(o_.plan(), i).output;
      most = std::max(most, sizes[0] * sizes[1] * sizes[2] + sizes[0] * 256);
    }
    Json common = o_.description();
    for (const char* own : {"buffer", "max_reuse", "slow_module", "slowdown"}) common.erase(own);
    const std::int64_t batch = std::max(o_.batch, test_batch);
    tcp_.set_model_layout("decoupled_greedy " + common.dump() + "\n",
                          gossamer::model::Flat({at::empty({most * batch})}));
    publish();
  }

  void take_events() {
    while (auto event = tcp_.poll()) {
      heard_ = Clock::now();
      if (auto* delivered = std::get_if<gossamer::transport::Delivered>(&*event)) {
        take(delivered->message);
      } else if (auto* returned = std::get_if<gossamer::transport::Returned>(&*event)) {
        if (writer_) writer_->restart();
        if (returned->message.kind == testing) unsent_.push_back(std::move(returned->message));
        if (returned->message.kind == training) ++returned_;
      } else if (const auto* joined = std::get_if<gossamer::transport::PeerJoined>(&*event)) {
        if (writer_ && joined->peer == self_ + 1) writer_->restart();
      }
    }
    while (!unsent_.empty() && is_here(self_ + 1)) {
      tcp_.send(std::exchange(unsent_.front(), {}));
      unsent_.pop_front();
    }
  }

  void take(const Message& message) {
    if (!reader_ || message.from + 1 != self_) return;  // nothing goes back
    const auto packed = reader_->read(message.code.bytes());
    if (!packed) {
      ++refused_;
    } else if (message.kind == training) {
      buffer_.put(*packed);
    } else if (tested_.insert(message.round).second) {
      test(packed->unpack(), message.round);
    }
  }

  /// False if there is nothing to learn from.
  bool learn() {
    std::optional<Activations> batch;
    if (is_first()) {
      batch = read_();
    } else if (const auto packed = buffer_.try_take()) {
      batch = packed->unpack();
    }
    if (!batch || (is_last() && !learner_.has_steps_left())) return false;
    const auto begin = Clock::now();
    const bool trains = learner_.has_steps_left();
    const Activations next = learner_.learn(*batch);
    if (writer_ && is_here(self_ + 1)) send(next, training, learner_.steps(), /*learns=*/true);
    if (trains && learner_.steps() % o_.save_every == 0) save();
    publish();
    if (static_cast<std::int64_t>(self_) == o_.slow_module) {
      std::this_thread::sleep_for((Clock::now() - begin) * (o_.slowdown - 1));
    }
    return true;
  }

  void send(const Activations& batch, std::uint32_t kind, std::uint64_t round, bool learns) {
    if (kind == testing) writer_->restart();  // each can be read whatever became of the others
    const std::vector<std::byte> bytes = writer_->write(batch, learns);
    if (bytes.empty()) {
      throw std::runtime_error(c10::str("module ", self_,
                                        " gives numbers that are not finite; a smaller "
                                        "--learning-rate may help"));
    }
    Message message{.to = self_ + 1, .kind = kind, .round = round, .payload = {}};
    message.code = pool_.take(bytes.size());
    std::memcpy(message.code.writable().data(), bytes.data(), bytes.size());
    if (kind == training) {
      ++counters_.messages_sent;
      counters_.bytes_sent += bytes.size();
    }
    tcp_.send(std::move(message));
  }

  void test(const Activations& batch, std::uint64_t round) {
    const Activations next = learner_.test(batch, right_);
    if (!is_last()) send(next, testing, round, /*learns=*/false);
  }
  void test_all() {
    const std::int64_t n = std::min(o_.test_images, data_.test.size());
    for (std::int64_t i = 0; i < tests_; ++i) {
      const auto [images, labels] =
          cifar10::centre_crops(data_.test, i * test_batch, std::min((i + 1) * test_batch, n), 32);
      test({images, labels}, static_cast<std::uint64_t>(i));
      take_events();
    }
  }

  [[nodiscard]] bool all_have_done() const {
    if (learner_.has_steps_left()) return false;
    for (PeerId peer = 0; peer < static_cast<PeerId>(o_.modules); ++peer) {
      if (peer != self_ && (!is_here(peer) || tcp_.counters(peer).steps < o_.steps())) return false;
    }
    return true;
  }
  void publish() {
    counters_.steps = learner_.steps();
    counters_.samples = counters_.steps * static_cast<std::uint64_t>(o_.batch);
    tcp_.publish(counters_);
  }
  void save() const { learner_.save(file_); }

  void end_if_silent() const {
    if (is_first() || learner_.has_steps_left() || is_here(self_ - 1) ||
        Clock::now() - heard_ < o_.process.drain()) {
      return;
    }
    throw std::runtime_error(c10::str("module ", self_, ": module ", self_ - 1, " is gone, and ",
                                      tested_.size(), " of ", tests_, " test batches have come"));
  }

  /// Until what was sent has arrived.
  void leave() {
    tcp_.finish();
    const auto deadline = Clock::now() + o_.process.drain();
    while (!tcp_.settled() && Clock::now() < deadline) {
      tcp_.wait(tcp_.now() + std::chrono::milliseconds(50));
      take_events();
    }
  }

  Json summary() {
    const auto n = static_cast<double>(std::min(o_.test_images, data_.test.size()));
    const double accuracy = static_cast<double>(right_) / n;
    Json result = {{"module", self_},
                   {"parameters", Json::array({learner_.parameters()})},
                   {"test_accuracy", accuracy},
                   {"module_accuracy", Json::array({accuracy})},
                   {"module_steps", Json::array({learner_.steps()})},
                   {"module_loss", Json::array({learner_.loss()})},
                   {"bytes_sent", counters_.bytes_sent},
                   {"messages_sent", counters_.messages_sent},
                   {"messages_returned", returned_},
                   {"messages_refused", refused_},
                   {"batches_received", buffer_.written()},
                   {"batches_unused", buffer_.unused()}};
    record_.add(result);
    return result;
  }

  Options o_;
  const cifar10::Dataset& data_;
  RunRecord& record_;
  gossamer::transport::Tcp& tcp_;
  PeerId self_;
  Learner learner_;
  std::filesystem::path file_;
  gossamer::pipeline::ReplayBuffer<PackedActivations> buffer_;
  std::int64_t tests_;  // batches
  std::optional<gossamer::pipeline::ActivationReader> reader_;
  std::optional<gossamer::pipeline::ActivationWriter> writer_;
  std::function<Activations()> read_;
  gossamer::codec::CodedPool pool_;
  gossamer::Counters counters_;
  std::deque<Message> unsent_;      // of the test
  std::set<std::uint64_t> tested_;  // which test batches have come
  std::int64_t right_ = 0;
  std::uint64_t returned_ = 0;
  std::uint64_t refused_ = 0;
  Clock::time_point heard_;
};

}  // namespace

Json run_module(const Options& options, const cifar10::Dataset& data, RunRecord& record,
                gossamer::transport::Tcp& tcp) {
  return ModuleProcess(options, data, record, tcp)();
}

Json run_process(const Options& options, const cifar10::Dataset& data, RunRecord& record) {
  gossamer::transport::Tcp tcp(options.process.tcp("decoupled_greedy"));
  return run_module(options, data, record, tcp);
}

}  // namespace decoupled
