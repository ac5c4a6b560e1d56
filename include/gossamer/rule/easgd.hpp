// SPDX-License-Identifier: MIT
/// EASGD and EAMSGD: workers and a centre that pull at each other.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/elastic_exchange.hpp>
#include <gossamer/rule/parameter_server.hpp>
#include <gossamer/rule/peer_queries.hpp>
#include <gossamer/rule/rule.hpp>

#include <c10/util/StringUtil.h>
#include <spdlog/logger.h>
#include <torch/arg.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// What the rules with a centre are told.
struct EasgdOptions {
  /// Steps of a worker from one exchange to the next, >= 1. The paper's sweeps have 1, 4, 10, 16,
  /// 64.
  TORCH_ARG(std::uint64_t, tau) = 10;
  /// How far the centre goes towards the workers when each has pulled once, in (0, 1] unless
  /// `alpha` is set. The authors' code has 0.9.
  TORCH_ARG(double, beta) = 0.9;
  /// Strength of one pull, > 0; 0: beta / workers, of those that are live.
  TORCH_ARG(double, alpha) = 0;
  /// Whether the centre waits for all workers and answers them at once, and they wait for it.
  TORCH_ARG(bool, synchronous) = false;
  /// Step size times the largest curvature of the loss, to be told when alpha lies outside the
  /// bound of stability; 0: it is not looked at.
  TORCH_ARG(double, eta) = 0;
  /// Where that is said; `nullptr`: nowhere.
  TORCH_ARG(std::shared_ptr<spdlog::logger>, logger) = nullptr;
  /// Probability that a worker leaves an exchange out, in [0, 1]: to study workers that fail to
  /// get through. Only where nobody waits for it.
  TORCH_ARG(double, drop) = 0;

 public:
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (tau_ == 0) throw ConfigError("EasgdOptions: tau must be at least 1, got 0");
    if (!(alpha_ >= 0)) {
      throw ConfigError(c10::str("EasgdOptions: alpha must not be negative, got ", alpha_));
    }
    if (alpha_ == 0 && !(beta_ > 0 && beta_ <= 1)) {
      throw ConfigError(c10::str("EasgdOptions: beta must lie in (0, 1], got ", beta_));
    }
    if (!(eta_ >= 0 && eta_ <= 2)) {
      throw ConfigError(
          c10::str("EasgdOptions: eta must lie in [0, 2], or no alpha is stable, got ", eta_));
    }
    if (!(drop_ >= 0 && drop_ <= 1)) {
      throw ConfigError(c10::str("EasgdOptions: drop must lie in [0, 1], got ", drop_));
    }
    if (synchronous_ && drop_ > 0) {
      throw ConfigError(c10::str(
          "EasgdOptions: drop must be 0 where the centre waits for all workers, got ", drop_));
    }
  }
};

/// The largest alpha at which a worker and the centre that pull in turn come together on
/// f = x^2 / 2, where eta is the step size (Zhang, Choromanska, LeCun, section 4): from the map
/// (x, c) -> (x - eta x - alpha (x - c), c + alpha (x - c)), whose eigenvalues must not be below
/// -1. Exact for one worker. With several in a round robin the boundary is found up to 6 % higher
/// (see the tests), so this is on the safe side.
constexpr double easgd_largest_alpha(double eta) { return (4 - 2 * eta) / (4 - eta); }

/// The same when all workers pull at once, from the map of their mean and the centre, in which the
/// centre goes by workers x alpha. Derived here.
constexpr double easgd_largest_alpha(double eta, std::size_t workers) {
  const auto p = static_cast<double>(workers);
  return (4 - 2 * eta) / (2 + p * (2 - eta));
}

/// The strengths of a pull: x <- x - worker (x - c), c <- c + centre (x - c). `worker` > 0.
struct PullWeights {
  double worker;
  double centre;
};

/// EASGD's own weighting: alpha both ways, for every worker.
struct EqualWeights {
  static constexpr bool needs_distance = false;
  static constexpr const char* name = "easgd";
  /// The centre's strength of the last pull with that worker, by the worker's.
  [[nodiscard]] double part(PeerId) const { return 1; }
  void forget(PeerId) {}
  void checkpoint(Archive&) {}
};

/// Elastic averaging SGD around a centre c, the parameters of the live node with the lowest number
/// (see `ParameterServer` for what becomes of them when it goes). Each worker, before each of its
/// steps 0, tau, 2 tau, ..., sends its x to the centre, takes the step while the answer is under
/// way, and applies it after the step:
///
///     x <- x - eta g(x) - alpha (x - c)
///     c <- c            + alpha (x - c)         alpha = beta / workers
///
/// Synchronous: c waits for all live workers, takes their x at once, and each waits for its answer
/// before its next step: c <- (1 - beta) c + beta (mean of x). A worker that goes releases the
/// others. Asynchronous: each in its turn.
///
/// EAMSGD is EASGD whose local step is Nesterov's: give the node `torch::optim::SGD` with momentum
/// (the paper: 0.99) and `nesterov(true)`. What LibTorch calls the parameters is then the paper's
/// look-ahead point x + delta v, and that is what pulls.
///
/// Invariant  sum of x over workers, centre and answers under way, as `ElasticExchange`. Equal
///            nodes stay equal, bit for bit.
/// Cost       2 vectors per worker and tau steps, all through the centre's link; one pass over x at
///            either end.
/// Needs      nodes that run by themselves (`GossipNode`), since the centre takes no steps. In
///            somebody's own loop (`Gossip`) it would stand in `step()` until the others have
///            ended.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError for options that cannot work; nothing after construction.
/// Source     Zhang, Choromanska, LeCun, "Deep learning with elastic averaging SGD", NIPS 2015,
///            arXiv:1412.6651, equations 5 and 6, algorithms 1 and 2, and the first author's code.
/// Differs    there a worker fetches c, computes the pull, and sends it; here it sends x, and the
///            centre computes the pull with c as it then is: as many vectors, and none is torn. A
///            worker whose last exchange is still under way lets the next one pass.
template <class Weights>
class BasicEasgd : public Rule {
 public:
  explicit BasicEasgd(EasgdOptions options = {}, Weights weights = Weights())
      : options_((options.check(), std::move(options))), weights_(std::move(weights)) {}

  [[nodiscard]] std::string name() const override {
    return std::string(Weights::name) + (options_.synchronous() ? "_sync" : "");
  }
  [[nodiscard]] std::string agreement() const override {
    const double alpha = options_.alpha();
    std::string all =
        c10::str(name(), "(", alpha > 0 ? "alpha " : "beta ", alpha > 0 ? alpha : options_.beta());
    if (options_.synchronous()) all += c10::str(", tau ", options_.tau());
    return all + ")" + exchange_.agreement();
  }
  [[nodiscard]] const EasgdOptions& options() const noexcept { return options_; }
  /// Messages are codes of differences, see `ElasticExchange`; not for weights that go by the
  /// distance to what was sent in full. All nodes need the same.
  BasicEasgd& codec(codec::AnyCodec codec) requires(!Weights::needs_distance) {
    exchange_ = ElasticExchange(std::move(codec));
    return *this;
  }
  [[nodiscard]] std::size_t message_bytes(const model::FlatModel& model) const override {
    return exchange_.message_bytes(model);
  }

  bool may_step(RuleContext& context) override {
    centre_.settle_in(context);
    if (ParameterServer::is(context)) return false;
    if (options_.synchronous() && exchange_.waiting()) return false;
    if (once_(context) && context.step() % options_.tau() == 0) exchange(context);
    return true;
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    for (const Message& message : messages) {
      if (message.kind == handover) {
        centre_.on_message(context, message);
      } else if (message.kind != ElasticExchange::request) {
        exchange_.on_reply(context, message);
      } else if (context.weight() == 0 || !exchange_.has_model(message)) {
        exchange_.refuse(context, message);  // this node has no model yet, or goes
      } else if (options_.synchronous() && ParameterServer::is(context)) {
        held_.push_back(message);
      } else {
        serve(context, {&message, 1});
      }
    }
    serve_all(context);
  }

  void on_returned(RuleContext& context, const Message& message) override {
    if (message.kind != handover) {
      exchange_.on_returned(context, message, weights_.part(message.to));
    }
  }

  void on_peer_joined(RuleContext& context, PeerId newcomer) override {
    if (!centre_.on_peer_joined(context, newcomer, handover)) return;
    for (const Message& message : std::exchange(held_, {})) {
      exchange_.refuse(context, message);
    }
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) override {
    exchange_.on_peer_left(gone, !options_.synchronous());
    if (gone.reason != Reason::finished) {
      std::erase_if(held_, [&](const Message& message) { return message.from == gone.peer; });
      weights_.forget(gone.peer);
    }
    serve_all(context);
  }
  void on_leave(RuleContext& context) override {
    for (const Message& message : std::exchange(held_, {})) {
      exchange_.refuse(context, message);
    }
    centre_.on_leave(context, handover);
  }
  void checkpoint(Archive& archive) override {
    once_.checkpoint(archive);
    centre_.checkpoint(archive);
    weights_.checkpoint(archive);
  }

 private:
  static constexpr std::uint32_t handover = 4;

  void exchange(RuleContext& context) {
    if (context.peers().empty() || exchange_.waiting() || !context.may_send()) return;
    if (options_.drop() > 0 && context.generator().uniform() < options_.drop()) return;
    exchange_.ask(context, ParameterServer::of(context));
  }

  /// The synchronous centre, once all live workers have asked.
  void serve_all(RuleContext& context) {
    if (held_.empty()) return;
    for (const PeerId peer : context.peers()) {
      const auto of_peer = [peer](const Message& message) { return message.from == peer; };
      if (std::none_of(held_.begin(), held_.end(), of_peer)) return;
    }
    const std::vector<Message> all = std::exchange(held_, {});
    serve(context, all);
  }

  void serve(RuleContext& context, std::span<const Message> requests) {
    centre_.settle_in(context);
    centre_.has_served();
    const double alpha = strength(context);
    if constexpr (Weights::needs_distance) {
      for (const Message& one : requests) {
        const PullWeights h = weights_(one.from, distance(context, *one.payload), alpha);
        exchange_.reply(context, {&one, 1}, h.worker, h.centre / h.worker);
      }
    } else {
      exchange_.reply(context, requests, alpha);
    }
  }

  /// ||x - c|| over the parameters.
  static double distance(RuleContext& context, const model::Flat& x) {
    model::Snapshot apart = context.blank();
    model::difference(apart.writable(), x, context.model().flat());
    double squares = 0;
    for (const model::Slot& slot : context.model().layout().slots) {
      if (slot.is_buffer) continue;
      const double norm = slot.view(*apart).norm().item().toDouble();
      squares += norm * norm;
    }
    return std::sqrt(squares);
  }

  [[nodiscard]] double strength(const RuleContext& context) {
    const std::size_t workers = ParameterServer::workers(context);
    const double alpha =
        options_.alpha() > 0 ? options_.alpha() : options_.beta() / static_cast<double>(workers);
    warn(alpha, workers);
    return alpha;
  }

  void warn(double alpha, std::size_t workers) {
    if (warned_ || options_.eta() == 0 || !options_.logger()) return;
    const double bound = options_.synchronous() ? easgd_largest_alpha(options_.eta(), workers)
                                                : easgd_largest_alpha(options_.eta());
    if (alpha <= bound) return;
    warned_ = true;
    options_.logger()->warn(c10::str(name(), ": alpha ", alpha, " with eta ", options_.eta(),
                                     " lies above the bound of stability ", bound,
                                     ": workers and centre may run away from each other"));
  }

  EasgdOptions options_;
  Weights weights_;
  ParameterServer centre_;
  ElasticExchange exchange_;
  OncePerStep once_;
  std::vector<Message> held_;  // requests that wait for the others', at a synchronous centre
  bool warned_ = false;
};

/// EASGD with the same strength for all exchanges.
using Easgd = BasicEasgd<EqualWeights>;

}  // namespace gossamer::rule
