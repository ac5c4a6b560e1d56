// SPDX-License-Identifier: MIT
/// What it costs to look on: training with all that can listen to a group, and somebody who looks
/// at its page, beside the same without. Both are there from the beginning to the end; in each
/// round each trains for a moment, in turns, so that a disturbance meets both.
#include <cifar10/node.hpp>
#include <gossamer/node/allocator.hpp>
#include <gossamer/node/tcp_group.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/observe/consensus_estimate.hpp>
#include <gossamer/observe/metrics.hpp>
#include <gossamer/observe/process.hpp>
#include <gossamer/observe/run_recorder.hpp>
#include <gossamer/observe/tensorboard.hpp>
#include <gossamer/observe/watch.hpp>

#include <ATen/ops/randint.h>
#include <CLI/CLI.hpp>
#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/write.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace gossamer;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

/// Follows the page's events, as a browser does, until it goes.
class Viewer {
 public:
  explicit Viewer(std::uint16_t port) : socket_(io_) {
    socket_.connect({asio::ip::address_v4::loopback(), port});
    asio::write(socket_, asio::buffer(std::string("GET /events HTTP/1.1\r\n"
                                                  "Host: localhost\r\n\r\n")));
    reader_ = std::thread([this] {
      std::array<char, 65536> some;
      std::error_code end;
      while (!end) socket_.read_some(asio::buffer(some), end);
    });
  }
  Viewer(const Viewer&) = delete;
  Viewer& operator=(const Viewer&) = delete;
  ~Viewer() {
    std::error_code gone;
    socket_.shutdown(asio::socket_base::shutdown_both, gone);
    reader_.join();
  }

 private:
  asio::io_context io_;
  asio::ip::tcp::socket socket_;
  std::thread reader_;
};

/// All that listens to a group.
struct Listeners {
  Listeners(const rule::AnyRule& rule, const fs::path& folder)
      : estimate(std::make_shared<observe::ConsensusEstimate>(rule)),
        watch(std::make_shared<observe::Watch>(
            observe::WatchOptions().about({{"rule", rule->name()}}).estimate(estimate))),
        metrics(std::make_shared<observe::Metrics>(estimate)),
        board(std::make_shared<observe::TensorBoard>(folder / "board", std::chrono::seconds(1))),
        recorder(std::make_shared<observe::RunRecorder>(folder / "record")) {}

  NodeOptions told(NodeOptions node) const {
    node.callback(estimate).callback(watch).callback(metrics).callback(board).callback(recorder);
    return node;
  }
  /// One stretch of training, looked at.
  template <class Group>
  void around(Group& group, const StopCondition& length) const {
    estimate->look_at(group);
    const Viewer viewer(watch->port());
    group.run_for(length);
    group.evaluated({{"test_accuracy", 0.5}});
  }

  std::shared_ptr<observe::ConsensusEstimate> estimate;
  std::shared_ptr<observe::Watch> watch;
  std::shared_ptr<observe::Metrics> metrics;
  std::shared_ptr<observe::TensorBoard> board;
  std::shared_ptr<observe::RunRecorder> recorder;
};

struct Job {
  cifar10::Options options;
  cifar10::Images images;
  fs::path folder;
};

NodeOptions node_options(const Job& job) {
  return NodeOptions()
      .seed(job.options.seed)
      .samples_per_step(static_cast<std::uint64_t>(job.options.batch))
      .drain_timeout(std::chrono::seconds(60));
}
auto maker(const Job& job) {
  return [&job](Context context) {
    return std::make_unique<cifar10::CifarNode>(std::move(context), job.options, job.images);
  };
}

/// Nodes that train when they are asked to; `listeners` or not.
class Side {
 public:
  Side() = default;
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;
  virtual ~Side() = default;
  /// Returns how many images all nodes have trained on.
  virtual std::uint64_t train(Seconds duration) = 0;
};

/// Trains a group for so long.
template <class Group>
void stretch(Group& group, const Listeners* listeners, Seconds duration) {
  const auto length =
      StopCondition().duration(std::chrono::duration_cast<std::chrono::nanoseconds>(duration));
  if (listeners != nullptr) {
    listeners->around(group, length);
  } else {
    group.run_for(length);
  }
}

class Threads final : public Side {
 public:
  Threads(const Job& job, bool is_watched)
      : rule_(job.options.make_rule()),
        listeners_(is_watched ? std::make_unique<Listeners>(rule_, job.folder / "threads")
                              : nullptr),
        group_(GroupOptions(job.options.members())
                   .node(listeners_ ? listeners_->told(node_options(job)) : node_options(job)),
               rule_, maker(job)) {}

  std::uint64_t train(Seconds duration) override {
    const std::uint64_t before = group_.totals().samples;
    stretch(group_, listeners_.get(), duration);
    return group_.totals().samples - before;
  }

 private:
  rule::AnyRule rule_;
  std::unique_ptr<Listeners> listeners_;
  ThreadGroup<cifar10::CifarNode> group_;
};

/// Nodes that meet over TCP, each with its own group in a thread of this process, and listeners of
/// its own.
class OverTcp final : public Side {
 public:
  OverTcp(const Job& job, bool is_watched)
      : job_(job), is_watched_(is_watched), turns_(static_cast<std::ptrdiff_t>(nodes() + 1)) {
    for (std::size_t i = 0; i < nodes(); ++i) threads_.emplace_back([this, i] { live(i); });
    turns_.arrive_and_wait();  // all have met
  }
  ~OverTcp() override {
    duration_ = Seconds(0);
    turns_.arrive_and_wait();
    for (std::thread& thread : threads_) thread.join();
  }

  std::uint64_t train(Seconds duration) override {
    images_ = 0;
    duration_ = duration;
    turns_.arrive_and_wait();
    turns_.arrive_and_wait();
    return images_;
  }

 private:
  [[nodiscard]] std::size_t nodes() const { return job_.options.members(); }

  void live(std::size_t i) {
    const rule::AnyRule rule = job_.options.make_rule();
    std::unique_ptr<Listeners> listeners;
    if (is_watched_) {
      listeners = std::make_unique<Listeners>(rule, job_.folder / ("tcp-" + std::to_string(i)));
    }
    transport::TcpOptions tcp(static_cast<PeerId>(i));
    tcp.world_size(static_cast<std::uint32_t>(nodes()));
    i == 0 ? tcp.listen(first_) : tcp.contacts({first_});
    TcpGroupOptions options{tcp};
    options.node(listeners ? listeners->told(node_options(job_)) : node_options(job_));
    TcpGroup<cifar10::CifarNode> group(options, rule, maker(job_));
    turns_.arrive_and_wait();
    for (turns_.arrive_and_wait(); duration_.count() > 0; turns_.arrive_and_wait()) {
      const std::uint64_t before = group[0].counters().samples;
      stretch(group, listeners.get(), duration_);
      images_ += group[0].counters().samples - before;
      turns_.arrive_and_wait();
    }
    group.finish();
  }
  static std::string free_address() {
    transport::Tcp tcp{transport::TcpOptions()};
    return tcp.address();
  }

  const Job& job_;
  bool is_watched_;
  std::string first_ = free_address();
  std::barrier<> turns_;
  Seconds duration_{0};
  std::atomic<std::uint64_t> images_{0};
  std::vector<std::thread> threads_;
};

struct Speed {
  double images_per_second;
  double cpu_us_per_image;
};

Speed measure(Side& side, Seconds duration) {
  const double cpu = observe::cpu_seconds();
  const auto begin = Clock::now();
  const auto images = static_cast<double>(side.train(duration));
  return {images / Seconds(Clock::now() - begin).count(),
          1e6 * (observe::cpu_seconds() - cpu) / images};
}

/// The value with that part of all below it.
double quantile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  const double at = part * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
}
Json quartiles(const std::vector<double>& values) {
  return {quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75)};
}

template <class Kind>
Json compare(const std::string& name, const Job& job, int rounds, Seconds duration) {
  Kind off(job, false);
  Kind on(job, true);
  measure(off, duration);  // warm-up
  measure(on, duration);
  std::array<std::vector<double>, 2> speeds;  // off, on
  std::array<std::vector<double>, 2> cpu;
  std::vector<double> speed_ratios;
  std::vector<double> cpu_ratios;
  for (int round = 0; round < rounds; ++round) {
    std::array<Speed, 2> found{};
    for (const std::size_t turn : {0U, 1U}) {
      const std::size_t who = (turn + static_cast<std::size_t>(round)) % 2;
      found[who] = who == 0 ? measure(off, duration) : measure(on, duration);
      speeds[who].push_back(found[who].images_per_second);
      cpu[who].push_back(found[who].cpu_us_per_image);
    }
    speed_ratios.push_back(found[1].images_per_second / found[0].images_per_second);
    cpu_ratios.push_back(found[0].cpu_us_per_image / found[1].cpu_us_per_image);
    std::fprintf(stderr, "%s, round %d of %d: on to off %.3f, CPU %.3f\n", name.c_str(), round + 1,
                 rounds, speed_ratios.back(), cpu_ratios.back());
  }
  return {{"nodes", job.options.members()},
          {"images_per_second", {quantile(speeds[0], 0.5), quantile(speeds[1], 0.5)}},
          {"cpu_us_per_image", {quantile(cpu[0], 0.5), quantile(cpu[1], 0.5)}},
          {"ratio", quartiles(speed_ratios)},
          {"cpu_ratio", quartiles(cpu_ratios)}};
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 40;
  double seconds = 2;
  std::string out;
  Job job;
  CLI::App app{"What it costs training that somebody looks on"};
  app.add_option("--rounds", rounds, "Rounds")->check(CLI::PositiveNumber);
  app.add_option("--seconds", seconds, "With and without, each, in a round")
      ->check(CLI::PositiveNumber);
  app.add_option("--probability", job.options.probability, "Of a push after a step");
  app.add_option("--out", out, "Where to write the figures (JSON)");
  CLI11_PARSE(app, argc, argv);

  tune_allocator();
  job.options.momentum = 0.9;
  job.images = {at::randint(256, {2000, 3, 32, 32}, at::kByte), at::randint(10, {2000}, at::kLong)};
  std::string folder = (fs::temp_directory_path() / "gossamer-observe-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
  job.folder = folder;
  Json figures = {{"rule", "gosgd"},
                  {"probability", job.options.probability},
                  {"rounds", rounds},
                  {"seconds", seconds}};
  job.options.nodes = 8;
  figures["threads"] = compare<Threads>("threads", job, rounds, Seconds(seconds));
  job.options.nodes = 4;
  figures["tcp"] = compare<OverTcp>("tcp", job, rounds, Seconds(seconds));
  fs::remove_all(job.folder);
  std::printf("%s\n", figures.dump(1).c_str());
  if (!out.empty()) std::ofstream(out) << figures.dump(1) << '\n';
  return 0;
}
