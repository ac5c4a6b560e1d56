// SPDX-License-Identifier: MIT
/// Rates that change with time: what has passed is the integral, and two states have their shares.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/simulation/rate_law.hpp>
#include <gossamer/simulation/transport.hpp>

#include <tests/support.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::transport::ConstantRate;
using gossamer::transport::RateLaw;
using gossamer::transport::SimulatedAccess;
using gossamer::transport::SimulatedOptions;
using gossamer::transport::SimulatedWorld;
using gossamer::transport::Time;
using gossamer::transport::TracedRate;
using gossamer::transport::TwoStateRate;
using gossamer::transport::TwoStates;
using namespace std::chrono_literals;

std::shared_ptr<TwoStates> states(Time up, Time down, std::uint64_t stream = 0) {
  return std::make_shared<TwoStates>(up, down, Generator(tests::seed, stream));
}

/// When `messages` of 1 MB have all been polled, in a world where node 0 sends by one law and node
/// 1 receives by another.
Time time_of_delivery(const std::function<SimulatedAccess(PeerId)>& access, int messages = 1) {
  const auto world = SimulatedWorld::make(
      SimulatedOptions(2).link({.latency = 1ms}).access_of(access).dead_after(100s));
  auto zero = world->endpoint(0);
  auto one = world->endpoint(1);
  gossamer::model::SnapshotPool pool(gossamer::model::Flat({torch::zeros({250'000})}));
  for (int i = 0; i < messages; ++i) zero.send({.to = 1, .payload = pool.take()});
  for (int i = 0; i < messages; ++i) {
    CHECK(one.wait(600s));
    CHECK(one.poll());
  }
  return world->now();
}

}  // namespace

TEST_CASE("Bytes over a traced link are the integral of its rate", "[simulated]") {
  // Time 0 is at second 5; the last point lasts for four seconds, too.
  TracedRate law({{5, 100}, {7, 0}, {8, 50}, {12, 10}});
  CHECK(law.bytes_between(0s, 2s) == 200);
  CHECK(law.bytes_between(1s, 4s) == 150);
  CHECK(law.bytes_between(0s, 11s) == 440);
  CHECK(law.bytes_between(0s, 34s) == 3 * 440 + 100);  // again and again
  CHECK(law.finish(0s, 200) == 2s);
  CHECK(law.finish(0s, 201) == 3s + 20ms);  // stands still for a second
  CHECK(law.finish(2500ms, 0) == 3s);       // nothing passes where nothing can
  CHECK(law.from(3s)->bytes_between(0s, 1s) == 50);
  Generator random(tests::seed);
  for (int i = 0; i < 1000; ++i) {
    const Time start(static_cast<Time::rep>(random.uniform() * 1e11));
    const double bytes = random.uniform() * 1000;
    const Time end = law.finish(start, bytes);
    // Ends are whole nanoseconds, at which 100 bytes a second are 1e-7 bytes.
    CHECK(std::abs(law.bytes_between(start, end) - bytes) < 2e-7);
  }
}

TEST_CASE("A frame takes as long as its sender's and its receiver's laws say", "[simulated]") {
  const auto constant = [](double rate) { return std::make_shared<ConstantRate>(rate); };
  // 0.4 s of 1 MB/s, 1 s of nothing, then 10 MB/s: of the 1 MB, 0.6 MB take 60 ms after 1.4 s.
  const auto trace = [] {
    return std::make_shared<TracedRate>(
        std::vector<gossamer::transport::RatePoint>{{0, 1e6}, {0.4, 0}, {1.4, 1e7}, {101.4, 1e7}});
  };
  for (const bool sends : {true, false}) {
    const Time took = time_of_delivery([&](PeerId id) {
      if (id == 0) return SimulatedAccess{sends ? trace() : nullptr, nullptr};
      return SimulatedAccess{nullptr, sends ? nullptr : trace()};
    });
    CHECK(took >= 1460ms);
    CHECK(took <= 1475ms);
  }
  // The slower of the two, not their sum; frames one after the other.
  for (const auto& [up, down] : {std::pair(1e6, 1e7), std::pair(1e7, 1e6)}) {
    const auto took = time_of_delivery(
        [&, up = up, down = down](PeerId id) {
          return id == 0 ? SimulatedAccess{constant(up), nullptr}
                         : SimulatedAccess{nullptr, constant(down)};
        },
        3);
    CHECK(took >= 3s);
    CHECK(took <= 3s + 120ms);
  }
}

TEST_CASE("A two-state link is up for the share of time that its law says", "[simulated]") {
  for (const auto& [up, down] : {std::pair(60s, 6s), std::pair(5s, 20s)}) {
    const double share = std::chrono::duration<double>(up) / (up + down);
    const auto both = states(up, down);
    TwoStateRate law(std::make_shared<ConstantRate>(1), both, 0.25);
    // n cycles: the share's deviation is about sqrt(2 / n) share (1 - share).
    const double cycles = 40'000;
    const Time end = Time(up + down) * static_cast<int>(cycles);
    const double bytes = law.bytes_between(0s, end);
    const double seconds = std::chrono::duration<double>(end).count();
    const double measured = (bytes / seconds - 0.25) / 0.75;
    const double deviation = std::sqrt(2 / cycles) * share * (1 - share);
    CHECK(std::abs(measured - share) < 5 * deviation);
    // It begins in equilibrium.
    int begins_up = 0;
    for (std::uint64_t i = 1; i <= 10'000; ++i) begins_up += states(up, down, i)->is_up(0s) ? 1 : 0;
    CHECK(std::abs(begins_up / 1e4 - share) < 5 * std::sqrt(share * (1 - share) / 1e4));
  }
}

TEST_CASE("Two states are the same whoever asks, and in whatever order", "[simulated]") {
  const auto forwards = states(3s, 1s);
  const auto backwards = states(3s, 1s);
  for (int i = 0; i <= 1000; ++i) (void)forwards->is_up(i * 100ms);
  int changes = 0;
  for (int i = 1000; i >= 0; --i) {
    const Time now = i * 100ms;
    CHECK(forwards->is_up(now) == backwards->is_up(now));
    const Time next = backwards->next_change(now);
    CHECK(next > now);
    CHECK(backwards->is_up(next) != backwards->is_up(now));
    changes += next <= now + 100ms ? 1 : 0;
  }
  CHECK(changes > 20);
}

TEST_CASE("A rate that cannot work is refused", "[simulated]") {
  const auto of = [](const auto& make) { return tests::message_of<ConfigError>(make); };
  CHECK(of([] { ConstantRate(0); }) == "ConstantRate: bytes per second must be positive, got 0");
  CHECK(of([] { TracedRate({{0, 1}}); }) == "TracedRate: needs at least 2 points, got 1");
  CHECK(of([] {
          TracedRate({{0, 1}, {0, 2}});
        }) == "TracedRate: times must ascend, within 1e9 seconds, got 0 and then 0");
  CHECK(of([] {
          TracedRate({{0, 1}, {1, -2}});
        }) == "TracedRate: bytes per second must not be negative, got -2");
  CHECK(of([] { TracedRate({{0, 0}, {1, 0}}); }) == "TracedRate: a rate must be above 0, got none");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(TracedRate({{0, 1}, {nan, 1}}), ConfigError);
  CHECK(of([] { states(0s, 1s); }) ==
        "TwoStates: mean_up and mean_down must be positive, got 0 ns and 1000000000 ns");
  CHECK(of([] { TwoStateRate(std::make_shared<ConstantRate>(1), states(1s, 1s), 2); }) ==
        "TwoStateRate: when_down must lie in [0, 1], got 2");
}
