// SPDX-License-Identifier: MIT
/// A live page of a run, for any browser, and its metrics, for Prometheus.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/observe/consensus_estimate.hpp>
#include <gossamer/observe/http_server.hpp>
#include <gossamer/observe/metrics.hpp>
#include <gossamer/observe/prometheus.hpp>
#include <gossamer/observe/watch_drawing.hpp>
#include <gossamer/observe/watch_page.hpp>
#include <gossamer/observe/watch_script.hpp>
#include <gossamer/observe/watch_state.hpp>
#include <gossamer/transport/tcp/host_port.hpp>

#include <asio/ip/address.hpp>
#include <torch/arg.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace gossamer::observe {

/// Where a run is shown, to whom, and what is said of it.
struct WatchOptions {
  /// Address and port, "127.0.0.1:8080"; port 0: the system's choice.
  TORCH_ARG(std::string, listen) = "127.0.0.1:0";
  /// What a viewer must know, at least 16 characters; needed where `listen` is not loopback.
  TORCH_ARG(std::string, token) = "";
  /// What the page says of the run: {{"rule", "gosgd"}, {"probability", "0.02"}}.
  TORCH_ARG(WatchState::About, about) = {};
  /// Shown and among the metrics, if it is set. A callback of the group, too.
  TORCH_ARG(std::shared_ptr<const ConsensusEstimate>, estimate) = nullptr;
  TORCH_ARG(HttpLimits, limits) = {};
};

/// Serves what happens to a group, as it happens:
///
///     auto watch =
///     std::make_shared<observe::Watch>(observe::WatchOptions().listen("127.0.0.1:8080"));
///     ThreadGroup<MyNode> group(GroupOptions(8).callback(watch), rule::GoSgd(0.02));
///     std::cout << watch->url() << std::endl;
///
///     /            the page            /metrics      for Prometheus
///     /state.json  all that it shows   /events       the same, as server-sent events
///
/// Nothing can be changed from there, and no file is read. With a token, /metrics, /state.json and
/// /events want `Authorization: Bearer TOKEN`; the page takes it from the address's fragment, which
/// browsers do not send. Without one, the request's Host must be loopback, so that no site of
/// strangers can look in through a viewer's browser. There is no encryption: from afar, look
/// through a tunnel (`ssh -L`), or put the port behind a proxy that has TLS.
///
/// Cost     as `WatchState` and `Metrics`; requests are answered on a thread of their own.
/// Threads  those of `Callback`; the rest: any.
/// Throws   ConfigError from the constructor: the address, a token that is missing or too short.
class Watch final : public WatchState {
 public:
  explicit Watch(const WatchOptions& options)
      : WatchState(options.about(), options.estimate()),
        place_(transport::HostPort::parse(options.listen())),
        token_(checked_token(place_, options.token())),
        metrics_(options.estimate(), options.about()),
        server_(
            place_, options.limits(),
            [this](const HttpRequest& request) { return answer(request); },
            [this] { return event(); }) {}

  [[nodiscard]] std::uint16_t port() const { return server_.port(); }
  /// To be opened in a browser, with `#` and the token behind it, if there is one.
  [[nodiscard]] std::string url() const {
    return "http://" + transport::HostPort{place_.host, port()}.text() + "/";
  }

  void on_send(Time now, const transport::Message& message) override {
    WatchState::on_send(now, message);
    metrics_.on_send(now, message);
  }
  void on_run_begin(Time now, const GroupState& state) override {
    WatchState::on_run_begin(now, state);
    metrics_.on_run_begin(now, state);
  }
  void on_tick(Time now, const GroupState& state) override {
    WatchState::on_tick(now, state);
    metrics_.on_tick(now, state);
  }
  void on_run_end(Time now, const GroupState& state) override {
    WatchState::on_run_end(now, state);
    metrics_.on_run_end(now, state);
  }
  void on_evaluation(Time now, const Evaluation& found, const GroupState& state) override {
    WatchState::on_evaluation(now, found, state);
    metrics_.on_evaluation(now, found, state);
  }

 private:
  using Text = std::shared_ptr<const std::string>;
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t least_token = 16;
  static constexpr const char* json_type = "application/json";

  static bool is_loopback(const std::string& host) {
    std::error_code not_an_address;
    const auto address = asio::ip::make_address(host, not_an_address);
    return !not_an_address && address.is_loopback();
  }
  static std::string checked_token(const transport::HostPort& place, const std::string& token) {
    if (token.empty() && is_loopback(place.host)) return token;
    if (token.size() < least_token) {
      throw ConfigError("Watch: " + place.text() + " needs a token of at least " +
                        std::to_string(least_token) + " characters, got " +
                        std::to_string(token.size()));
    }
    for (const char c : token) {
      if (c <= ' ' || c >= 0x7f) {
        throw ConfigError("Watch: a token must be of printable ASCII, without spaces");
      }
    }
    return token;
  }

  /// On the server's thread, as all below.
  HttpAnswer answer(const HttpRequest& request) {
    if (token_.empty() && !is_own_name(request)) return {.status = 421};
    if (request.path == "/") return {.type = "text/html; charset=utf-8", .body = page_};
    if (request.path == "/watch.css") return {.type = "text/css; charset=utf-8", .body = style_};
    if (request.path == "/watch.js") {
      return {.type = "text/javascript; charset=utf-8", .body = script_};
    }
    const bool is_state = request.path == "/state.json";
    const bool is_events = request.path == "/events";
    if (!is_state && !is_events && request.path != "/metrics") return {.status = 404};
    if (!may_see(request)) return {.status = 401};
    if (is_events) return {.type = "text/event-stream", .is_stream = true};
    if (is_state) {
      return {.type = json_type, .body = fresh(state_text_, [this] { return json(); })};
    }
    return {.type = prometheus_content_type,
            .body = fresh(metrics_text_, [this] { return prometheus_text(metrics_.families()); })};
  }
  static bool is_own_name(const HttpRequest& request) {
    const std::string name(request.host_name());
    return name == "localhost" || is_loopback(name);
  }
  [[nodiscard]] bool may_see(const HttpRequest& request) const {
    return token_.empty() || equal_in_constant_time(request.authorization, "Bearer " + token_);
  }

  /// However many ask, it is not made more than ten times a second.
  struct Kept {
    Text text;
    Clock::time_point made;
  };
  template <class Make>
  static Text fresh(Kept& kept, Make make) {
    const auto now = Clock::now();
    if (!kept.text || now - kept.made >= std::chrono::milliseconds(100)) {
      kept = {std::make_shared<const std::string>(make()), now};
    }
    return kept.text;
  }
  Text event() { return std::make_shared<const std::string>("data: " + json() + "\n\n"); }

  transport::HostPort place_;
  std::string token_;
  Metrics metrics_;
  Text page_ = std::make_shared<const std::string>(watch_page);
  Text style_ = std::make_shared<const std::string>(watch_style);
  Text script_ = std::make_shared<const std::string>(std::string(watch_script) + watch_drawing);
  Kept state_text_;
  Kept metrics_text_;
  HttpServer server_;  // last: its thread uses all the others
};

}  // namespace gossamer::observe
