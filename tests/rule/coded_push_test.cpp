// SPDX-License-Identifier: MIT
/// GoSGD and push-sum in code: the weighted sum, what is returned and lost, and stability.
#include <gossamer/codec/int4.hpp>
#include <gossamer/codec/int8.hpp>
#include <gossamer/codec/sign.hpp>
#include <gossamer/codec/ternary.hpp>
#include <gossamer/codec/top_k.hpp>
#include <gossamer/codec/two_bits.hpp>
#include <gossamer/error.hpp>
#include <gossamer/rule/coded_push.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::AnyRule;
using gossamer::rule::CodedGoSgd;
using gossamer::rule::CodedPushSum;
using gossamer::rule::GoSgd;
using gossamer::rule::Message;
using gossamer::rule::PushSum;
using gossamer::transport::Reason;
using tests::Bench;
using tests::BenchContext;
using Kind = gossamer::rule::detail::PushLinks::Kind;
namespace codec = gossamer::codec;

CodedGoSgd& rule_of(BenchContext& node) { return static_cast<CodedGoSgd&>(*node.rule); }

Bench bench_of(std::size_t nodes, const AnyRule& rule, std::size_t size = 300) {
  Bench bench(nodes, rule, size);
  bench.conserves = false;  // it cannot read codes
  return bench;
}

/// What a message moves of the sum of coordinate j: w q.
double mass_of(Bench& bench, const Message& message, std::size_t j) {
  if (message.payload) {
    return message.weight * message.payload->segments()[0].data_ptr<double>()[j];
  }
  if (!message.code) return 0;
  const bool is_back = message.kind == Kind::bounced;
  const PeerId from = is_back ? message.to : message.from;
  const PeerId to = is_back ? message.from : message.to;
  const auto q = rule_of(bench[from]).on_its_way(bench[from], to);
  return message.weight * q.segments()[0].data_ptr<double>()[j];
}

/// The weighted sum of a coordinate over nodes and pushes under way.
double sum_of(Bench& bench, std::size_t j) {
  double sum = 0;
  for (std::size_t i = 0; i < bench.size(); ++i) {
    if (!bench[i].gone) sum += bench[i].weight() * bench[i].x()[j];
  }
  for (const auto& one : bench.pending()) {
    const Message* message = Bench::message_of(one);
    if (message != nullptr) sum += mass_of(bench, *message, j);
  }
  return sum;
}

/// How far apart nodes are: the mean square of the distance from their mean, per coordinate.
double spread_of(Bench& bench) {
  const std::size_t size = bench[0].x().size();
  double sum = 0;
  for (std::size_t j = 0; j < size; ++j) {
    double mean = 0;
    for (std::size_t i = 0; i < bench.size(); ++i) mean += bench[i].x()[j];
    mean /= static_cast<double>(bench.size());
    for (std::size_t i = 0; i < bench.size(); ++i) sum += std::pow(bench[i].x()[j] - mean, 2);
  }
  return sum / static_cast<double>(size * bench.size());
}

double normal(Generator& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(6.283185307179586 * random.uniform());
}

/// Eight nodes that drift by N(0, 1) per step and coordinate, and push every second step.
double drift(const AnyRule& rule, int turns) {
  Bench bench = bench_of(8, rule, 256);
  for (std::size_t i = 0; i < bench.size(); ++i) bench[i].set(0);
  Generator random(tests::seed, 90);
  bench.gradient = [&random](PeerId, std::size_t) { return normal(random); };
  for (int turn = 0; turn < turns; ++turn) {
    for (PeerId id = 0; id < bench.size(); ++id) {
      bench.advance(id);
      bench.settle();
    }
    if (!(spread_of(bench) < 1e6)) break;
  }
  return spread_of(bench);
}

/// Largest share of the weight that the bound on kappa allows on n links.
double largest_share(double left_out, double n) {
  const double spare = 1 / left_out - 1;  // n kappa^2 + 2 kappa = spare
  const double kappa = (std::sqrt(1 + n * spare) - 1) / n;
  return kappa / (1 + kappa);
}

}  // namespace

TEST_CASE("Pushes in code keep the weighted sum, whatever arrives late or comes back",
          "[rule][coded_push]") {
  const auto check = [](const AnyRule& rule) {
    CAPTURE(rule->agreement());
    Bench bench = bench_of(4, rule, 40);
    const double before = sum_of(bench, 7);
    Generator order(tests::seed, 91);
    std::size_t codes = 0;
    for (int i = 0; i < 600; ++i) {
      bench.act(order);
      for (const auto& one : bench.pending()) {
        const Message* message = Bench::message_of(one);
        codes += message != nullptr && message->code ? 1 : 0;
      }
      REQUIRE(sum_of(bench, 7) == tests::Approx(before).epsilon(1e-12));
    }
    CHECK(codes > 100);
    bench.settle();
    CHECK(sum_of(bench, 7) == tests::Approx(before).epsilon(1e-12));
  };
  check(CodedGoSgd(GoSgd(0.5), codec::Int4()));
  check(CodedGoSgd(GoSgd(0.5), codec::TwoBits()));
  check(CodedGoSgd(GoSgd(0.5), codec::Sign()));
}

TEST_CASE("Without references the same holds, and no node answers", "[rule][coded_push]") {
  const CodedGoSgd rule(GoSgd(0.5), codec::Int8());
  CHECK(rule.agreement() == "gosgd(codec int8, direct)");
  Bench bench = bench_of(3, rule, 40);
  const double before = sum_of(bench, 3);
  for (int turn = 0; turn < 40; ++turn) {
    for (PeerId id = 0; id < 3; ++id) bench.advance(id);
    for (const auto& one : bench.pending()) {
      const Message* message = Bench::message_of(one);
      REQUIRE(message != nullptr);
      CHECK(message->kind == Kind::push);
      CHECK(message->bytes() < 40 * sizeof(double));
    }
    if (turn % 3 == 0 && !bench.pending().empty()) bench.give_back(0);
    bench.settle();
    CHECK(sum_of(bench, 3) == tests::Approx(before).epsilon(1e-12));
  }
  CHECK(spread_of(bench) < 1e-3);
}

TEST_CASE("One push at a time is on its way on a link, the first in full", "[rule][coded_push]") {
  Bench bench = bench_of(2, CodedGoSgd(GoSgd(1), codec::Int4()));
  bench.advance(0);
  REQUIRE(bench.pending().size() == 1);
  CHECK(tests::pending_message(bench, 0).payload);
  bench.advance(0);
  CHECK(bench.pending().size() == 1);
  bench.settle();
  bench.advance(0);
  const Message coded = tests::pending_message(bench, 0);
  CHECK(coded.code.size() == codec::Int4().bytes(300));
  CHECK(coded.weight > 0);
  bench.settle();
  bench.advance(0);
  CHECK(tests::pending_message(bench, 0).round == ((coded.round & 0xffffffffU) << 32U | 3U));
}

TEST_CASE("A push in code that comes back leaves the node as it was", "[rule][coded_push]") {
  Bench bench = bench_of(2, CodedGoSgd(GoSgd(1), codec::Sign()));
  bench.advance(0);
  bench.settle();
  bench.gradient = [](PeerId, std::size_t j) { return 0.001 * static_cast<double>(j) - 0.1; };
  std::vector<double> expected(bench[0].x().begin(), bench[0].x().end());
  for (std::size_t j = 0; j < expected.size(); ++j) expected[j] -= bench.gradient(0, j);
  const double weight = bench[0].weight();
  bench.advance(0);
  CHECK(bench[0].weight() < weight);
  CHECK(std::abs(bench[0].x()[0] - expected[0]) > 1e-3);
  bench.give_back(0);
  bench.settle();
  CHECK(bench[0].weight() == tests::Approx(weight).epsilon(1e-15));
  for (std::size_t j = 0; j < expected.size(); ++j) {
    CHECK(bench[0].x()[j] == tests::Approx(expected[j]).margin(1e-14));
  }
  bench.advance(0);  // and the link still holds
  const double sum = sum_of(bench, 5);
  CHECK(tests::pending_message(bench, 0).code);
  bench.handle(0);
  CHECK(tests::pending_message(bench, 0).kind == Kind::taken);
  CHECK(sum_of(bench, 5) == tests::Approx(sum).epsilon(1e-13));
}

TEST_CASE("A code that the receiver has no reference for goes back, and the link begins anew",
          "[rule][coded_push]") {
  Bench bench = bench_of(2, CodedGoSgd(GoSgd(1), codec::TwoBits()));
  bench.advance(0);
  bench.settle();
  const double sum = sum_of(bench, 0);
  bench[1].rule->on_peer_left(bench[1], {.peer = 0, .reason = Reason::lost});
  bench.advance(0);
  bench.handle(0);
  CHECK(tests::pending_message(bench, 0).kind == Kind::bounced);
  CHECK(sum_of(bench, 0) == tests::Approx(sum).epsilon(1e-13));
  bench.settle();
  CHECK(sum_of(bench, 0) == tests::Approx(sum).epsilon(1e-13));
  bench.advance(0);
  CHECK(tests::pending_message(bench, 0).payload);
}

TEST_CASE("A push in code to a peer that dies comes home, after the news", "[rule][coded_push]") {
  Bench bench = bench_of(3, CodedGoSgd(GoSgd(1), codec::Int4()));
  PeerId to = 0;
  for (int i = 0; i < 20; ++i) {
    bench.advance(0);
    to = tests::pending_message(bench, 0).to;
    if (tests::pending_message(bench, 0).code) break;
    bench.settle();
  }
  REQUIRE(tests::pending_message(bench, 0).code);
  const double all = sum_of(bench, 11);
  const double dead = bench[to].weight() * bench[to].x()[11];
  bench.lose(to);
  bench.settle();
  CHECK(sum_of(bench, 11) == tests::Approx(all - dead).epsilon(1e-12));
}

TEST_CASE("Push-sum takes its steps at the de-biased parameters in code, too",
          "[rule][coded_push]") {
  Bench bench = bench_of(4, CodedPushSum(PushSum(0.5), codec::Int4()), 20);
  bench.gradient = [](PeerId id, std::size_t) { return id == 0 ? 0.25 : 0; };
  double expected = 0;
  for (std::size_t i = 0; i < 4; ++i) expected += bench[i].weight() * bench[i].x()[2];
  for (int turn = 0; turn < 50; ++turn) {
    for (PeerId id = 0; id < 4; ++id) bench.advance(id);
    bench.settle();
    expected -= 0.25 / 4;  // whatever the weight
  }
  CHECK(sum_of(bench, 2) == tests::Approx(expected).epsilon(1e-12));
}

TEST_CASE("So much weight goes with a push as the bound allows", "[rule][coded_push]") {
  CHECK(gossamer::rule::stable_kappa(0, 7) == 1);
  CHECK(gossamer::rule::stable_kappa(0.01, 7) == 1);
  for (const double left_out : {0.1175, 0.19, 0.363, 0.5, 0.9}) {
    for (const std::size_t links : {1U, 7U, 63U}) {
      const double kappa = gossamer::rule::stable_kappa(left_out, links);
      const double share = kappa / (1 + kappa);
      const double most = largest_share(left_out, static_cast<double>(links));
      CAPTURE(left_out, links);
      CHECK(share < most);
      CHECK(share > 0.4 * std::min(most, 0.5));
    }
  }
  CHECK(largest_share(0.363, 7) == tests::Approx(0.27).margin(0.01));  // signs
  CHECK(tests::message_of<gossamer::ConfigError>([] {
          CodedGoSgd(GoSgd(1), codec::Sign()).share(0.6);
        }) == "CodedPush: share must lie in (0, 1/2], got 0.6");
}

TEST_CASE("Half of the weight with signs diverges, what the bound allows does not",
          "[rule][coded_push]") {
  CHECK(drift(CodedGoSgd(GoSgd(0.5), codec::Sign()).share(0.5), 300) > 1e5);
  CHECK(drift(CodedGoSgd(GoSgd(0.5), codec::Sign()), 300) < 300);
  CHECK(drift(CodedGoSgd(GoSgd(0.5), codec::Int4()), 300) < 60);
}

TEST_CASE("The bound of stability beside what diverges, as a table", "[.][push_stability]") {
  const std::vector<std::pair<codec::AnyCodec, double>> codecs{{codec::Int4(), 0.0115},
                                                               {codec::TwoBits(), 0.1175},
                                                               {codec::Ternary(), 0.19},
                                                               {codec::Sign(), 0.363},
                                                               {codec::TopK(0.1), 0.56}};
  std::cout << "| codec | bound on f, 7 links | own choice";
  const std::vector<double> shares{0.1, 0.2, 0.3, 0.4, 0.5};
  for (const double share : shares) std::cout << " | f = " << share;
  std::cout << " |\n" << std::setprecision(3);
  for (const auto& [code, left_out] : codecs) {
    std::cout << "| " << code->name() << " | " << std::min(0.5, largest_share(left_out, 7)) << " | "
              << drift(CodedGoSgd(GoSgd(0.5), code), 600);
    for (const double share : shares) {
      const double spread = drift(CodedGoSgd(GoSgd(0.5), code).share(share), 600);
      std::cout << " | " << (spread < 1e6 ? std::to_string(spread) : "diverges");
    }
    std::cout << " |" << std::endl;
  }
}
