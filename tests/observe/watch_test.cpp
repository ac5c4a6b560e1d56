// SPDX-License-Identifier: MIT
/// The live page's server, over real connections: what it tells, and what strangers can do to it.
#include <gossamer/node/thread_group.hpp>
#include <gossamer/observe/watch.hpp>
#include <gossamer/rule/gosgd.hpp>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/write.hpp>
#include <nlohmann/json.hpp>
#include <tests/node/mover.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Counters;
using gossamer::observe::Callback;
using gossamer::observe::Connections;
using gossamer::observe::GroupState;
using gossamer::observe::HttpLimits;
using gossamer::observe::HttpRequest;
using gossamer::observe::Watch;
using gossamer::observe::WatchOptions;
using Json = nlohmann::json;
using Tcp = asio::ip::tcp;
using Time = Callback::Time;
using namespace std::chrono_literals;

/// A connection of a stranger.
class Client {
 public:
  explicit Client(const Watch& watch, int receive_buffer = 0) : socket_(io_) {
    const Tcp::endpoint server(asio::ip::make_address("127.0.0.1"), watch.port());
    socket_.open(server.protocol());
    if (receive_buffer > 0) {
      socket_.set_option(asio::socket_base::receive_buffer_size(receive_buffer));
    }
    socket_.connect(server);
  }
  /// As much as the server takes.
  void say(const std::string& text) {
    std::error_code closed;
    asio::write(socket_, asio::buffer(text), closed);
  }
  /// All until the server closes; its length too where the text is not wanted.
  std::string rest() {
    std::string text;
    std::error_code end;
    asio::read(socket_, asio::dynamic_buffer(text), end);
    return text;
  }
  std::size_t rest_length() {
    std::vector<char> some(1 << 16);
    std::size_t sum = 0;
    for (std::error_code end; !end;) sum += socket_.read_some(asio::buffer(some), end);
    return sum;
  }
  /// The next event of a stream.
  std::string event() {
    const std::size_t length = asio::read_until(socket_, asio::dynamic_buffer(kept_), "\n\n");
    std::string text = kept_.substr(0, length);
    kept_.erase(0, length);
    return text;
  }

 private:
  asio::io_context io_;
  Tcp::socket socket_;
  std::string kept_;
};

std::string request(const std::string& path, const std::string& fields = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: localhost:1\r\n" + fields + "\r\n";
}
std::string ask(const Watch& watch, const std::string& text) {
  Client client(watch);
  client.say(text);
  return client.rest();
}
std::string get(const Watch& watch, const std::string& path, const std::string& fields = "") {
  return ask(watch, request(path, fields));
}
int status(const std::string& answer) {
  return answer.size() > 12 ? std::stoi(answer.substr(9, 3)) : 0;
}
std::string body(const std::string& answer) {
  return answer.substr(std::min(answer.find("\r\n\r\n") + 4, answer.size()));
}

/// Nodes 0 and 1 here, and peer 4 elsewhere, whose address wants to be markup.
GroupState a_state() {
  GroupState state;
  Counters here;
  here.steps = 7;
  here.samples = 140;
  here.weight = 0.1;
  here.loss_sum = 3.5;
  here.bytes_sent = 1'000'000'007;
  state.nodes = {{0, here}, {1, {}}};
  state.totals = here;
  state.elapsed = 2s;
  gossamer::transport::PeerView peer;
  peer.peer = 4;
  peer.connected = true;
  peer.status.steps = 9;
  peer.address = "</script>\xff\"\n";
  state.connections = std::make_shared<Connections>(Connections{"here", {}, {peer}});
  return state;
}

}  // namespace

TEST_CASE("A viewer sees the numbers that callbacks were told", "[observe][watch]") {
  Watch watch(WatchOptions().about({{"rule", "gosgd"}}));
  watch.on_start(1s, 0, 1, 0.5);
  watch.on_step(1s, 0);
  watch.on_step_end(1500ms, 0, {});
  watch.on_wait(1600ms, 0, Callback::Wait::others);
  watch.on_send(1600ms, {.from = 0, .to = 4, .weight = 0.1, .payload = {}});
  watch.on_send(1600ms, {.from = 0, .to = 4, .weight = 0.1, .payload = {}});
  watch.on_peer_left(1700ms, 0, {4, gossamer::transport::Reason::lost});
  watch.on_peer_left(1700ms, 1, {4, gossamer::transport::Reason::lost});
  watch.on_tick(2s, a_state());
  watch.on_evaluation(2s, {{"test_accuracy", 0.25}}, a_state());
  const std::string answer = get(watch, "/state.json");
  REQUIRE(status(answer) == 200);
  const Json state = Json::parse(body(answer));
  CHECK(state["about"] == Json::parse(R"([["rule", "gosgd"]])"));
  CHECK(state["elapsed"] == 2.0);
  CHECK(state["totals"]["samples"] == 140);
  CHECK(state["nodes"][0]["weight"] == 0.1);
  CHECK(state["nodes"][0]["bytes"] == 1'000'000'007);
  CHECK(state["nodes"][0]["state"] == "wait");
  const auto spent = state["nodes"][0]["spent"].get<std::vector<double>>();
  REQUIRE(spent.size() == 4);
  CHECK(spent[0] == tests::Approx(0.5));
  CHECK(spent[1] == tests::Approx(0.1));
  CHECK(spent[2] == tests::Approx(0.4));
  CHECK(state["nodes"][2]["steps"] == 9);
  CHECK(state["nodes"][2]["state"] == "suspected");
  CHECK(state["nodes"][2]["here"] == false);
  CHECK(state["nodes"][2]["address"] == "</script>\xef\xbf\xbd\"\n");  // U+FFFD for what is no text
  CHECK(state["nodes"][2]["age"].get<double>() >= 0);
  CHECK(state["edges"] == Json::parse("[[0, 4, 2, 80]]"));
  CHECK(state["curves"]["train_loss"] == Json::parse("[[2.0, 0.5]]"));
  CHECK(state["curves"]["test_accuracy"] == Json::parse("[[2.0, 0.25]]"));
  CHECK(state["events"] == Json::parse(R"([[0.7, 4, "suspected"]])"));  // once
}

TEST_CASE("A page, its parts, metrics and events are served, and nothing else",
          "[observe][watch]") {
  Watch watch{WatchOptions()};
  watch.on_tick(2s, a_state());
  CHECK_THAT(get(watch, "/"), tests::contains("<!doctype html>"));
  CHECK_THAT(get(watch, "/watch.css"), tests::contains("prefers-color-scheme: dark"));
  CHECK_THAT(get(watch, "/watch.js?once"), tests::contains("function graph()"));
  CHECK_THAT(get(watch, "/metrics"), tests::contains("gossamer_steps_total{node=\"4\"} 9\n"));
  Client viewer(watch);
  viewer.say(request("/events"));
  CHECK_THAT(viewer.event(), tests::contains("text/event-stream"));  // the head, and a first line
  std::string event = viewer.event();
  while (event.rfind("data: ", 0) != 0) event = viewer.event();
  CHECK(Json::parse(event.substr(6))["totals"]["steps"] == 7);

  for (const char* path : {"/../etc/passwd", "/%2e%2e/etc/passwd", "//metrics", "/metrics/", "/..",
                           "/state.json/..", "/watch.css/../state.json"}) {
    INFO(path);
    CHECK(status(get(watch, path)) == 404);
  }
  CHECK(status(ask(watch, "POST /state.json HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 405);
  const std::string head = ask(watch, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(status(head) == 200);
  CHECK(body(head).empty());
}

TEST_CASE("A request that is not well-formed is refused", "[observe][watch][parse]") {
  const auto parsed = [](const std::string& text) {
    return HttpRequest::parse(text + "\r\n\r\n").has_value();
  };
  CHECK(parsed("GET / HTTP/1.1"));
  for (const char* text :
       {"", "GET", "GET /", "GET / HTTP/2", "GET  HTTP/1.1", "GET metrics HTTP/1.1",
        "GET /a b HTTP/1.1", "GET /\x01 HTTP/1.1", "GET /\xff HTTP/1.1", "GET / HTTP/1.1\r\nHost",
        "GET / HTTP/1.1\r\n: x", "GET / HTTP/1.1\r\nHost: a\r\nhost: b",
        "GET / HTTP/1.1\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b"}) {
    INFO(text);
    CHECK_FALSE(parsed(text));
  }
  Watch watch{WatchOptions()};
  CHECK(status(ask(watch, "\r\n\r\n")) == 400);
}

TEST_CASE("Without a token only viewers on this machine are answered", "[observe][watch]") {
  Watch watch{WatchOptions()};
  for (const char* host : {"localhost", "127.0.0.1:80", "[::1]:80", "127.8.9.1"}) {
    INFO(host);
    const std::string text = std::string("GET / HTTP/1.1\r\nHost: ") + host + "\r\n\r\n";
    CHECK(status(ask(watch, text)) == 200);
  }
  // A name of a stranger's that leads to this machine.
  for (const char* host :
       {"evil.example", "evil.example:80", "", "localhost.evil.example", "[", "10.0.0.1"}) {
    INFO(host);
    const std::string text = std::string("GET / HTTP/1.1\r\nHost: ") + host + "\r\n\r\n";
    CHECK(status(ask(watch, text)) == 421);
  }
}

TEST_CASE("A token opens what is told of a run, and nothing else does", "[observe][watch]") {
  const std::string token = "0123456789abcdef";
  Watch watch(WatchOptions().token(token));
  CHECK(watch.url().find(token) == std::string::npos);  // it is printed
  CHECK(status(get(watch, "/")) == 200);                // it asks for the token
  for (const char* path : {"/state.json", "/metrics", "/events"}) {
    INFO(path);
    CHECK(status(get(watch, path)) == 401);
    for (const char* wrong : {"", "0123456789abcdef", "Bearer 0123456789abcdeX", "Bearer ",
                              "Bearer 0123456789abcde", "Bearer 0123456789abcdef0"}) {
      CHECK(status(get(watch, path, std::string("Authorization: ") + wrong + "\r\n")) == 401);
    }
  }
  const std::string right = "Authorization: Bearer " + token + "\r\n";
  CHECK(status(get(watch, "/state.json", right)) == 200);
  CHECK(status(get(watch, "/metrics", right)) == 200);
  CHECK(status(get(watch, "/state.json?token=" + token)) == 401);
}

TEST_CASE("An address that others reach needs a token", "[observe][watch]") {
  for (const char* place : {"0.0.0.0:0", "[::]:0"}) {
    CHECK_THROWS_AS(Watch(WatchOptions().listen(place)), ConfigError);
    CHECK_THROWS_WITH(Watch(WatchOptions().listen(place).token("too short")),
                      tests::contains("at least 16 characters, got 9"));
  }
  CHECK_THROWS_AS(Watch(WatchOptions().token("0123456789 abcdef\r\n")), ConfigError);
  CHECK_THROWS_WITH(Watch(WatchOptions().listen("nobody:0")), tests::contains("nobody:0"));
  const Watch first{WatchOptions()};
  CHECK_THROWS_WITH(Watch(WatchOptions().listen("127.0.0.1:" + std::to_string(first.port()))),
                    tests::contains("in use"));
}

TEST_CASE("A request of a megabyte is refused, and the next one is answered", "[observe][watch]") {
  Watch watch{WatchOptions()};
  for (int i = 0; i < 3; ++i) {
    const std::string line = "X-Long: " + std::string(1 << 20, 'x') + "\r\n";
    std::string lines;
    for (int k = 0; k < 1000; ++k) lines += "X: " + std::string(1000, 'y') + "\r\n";
    for (const std::string& fields : {line, lines}) {
      const std::string answer = get(watch, "/state.json", fields);
      CHECK((answer.empty() || status(answer) == 431));
    }
    CHECK(status(get(watch, "/state.json")) == 200);
  }
}

TEST_CASE("Those who connect and say nothing are closed, and the next one is answered",
          "[observe][watch]") {
  HttpLimits limits;
  limits.connections = 20;
  limits.request_time = 300ms;
  Watch watch(WatchOptions().limits(limits));
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<Client>(watch));
    if (i % 2 == 0) silent.back()->say("GET /state.json HTTP/1.1\r\nHo");
    watch.on_step(Time(i), 0);  // training goes on
  }
  for (const auto& client : silent) CHECK(client->rest().empty());  // each of them, or this waits
  CHECK(status(get(watch, "/state.json")) == 200);
}

TEST_CASE("200 at once are answered or closed, and the next one is answered", "[observe][watch]") {
  Watch watch{WatchOptions()};
  watch.on_tick(2s, a_state());
  std::vector<std::unique_ptr<Client>> all;
  for (int i = 0; i < 200; ++i) {
    all.push_back(std::make_unique<Client>(watch));
    all.back()->say(request("/state.json"));
  }
  int answered = 0;
  for (const auto& client : all) {
    const std::string answer = client->rest();
    if (answer.empty()) continue;
    ++answered;
    CHECK(Json::parse(body(answer))["totals"]["steps"] == 7);
  }
  CHECK(answered > 0);
  all.clear();
  while (status(get(watch, "/state.json")) != 200) {  // as soon as one of them is forgotten
  }
}

TEST_CASE("Who reads slowly is closed, while others see every event", "[observe][watch]") {
  HttpLimits limits;
  limits.event_period = 5ms;
  limits.write_time = 200ms;
  const std::string much(1 << 18, 'a');  // in each event
  Watch watch(WatchOptions().limits(limits).about({{"much", much}}));
  Client slow(watch, 4096);
  slow.say(request("/events"));
  Client fast(watch);
  fast.say(request("/events"));
  std::size_t sum = 0;
  // 96 events of 5 ms or more; no more than a quarter of them has room in the system's buffers.
  while (sum < std::size_t{24} << 20U) sum += fast.event().size();
  CHECK(slow.rest_length() < sum);  // and it ends
}

TEST_CASE("There are no more streams than the limit says", "[observe][watch]") {
  HttpLimits limits;
  limits.streams = 2;
  Watch watch(WatchOptions().limits(limits));
  std::vector<std::unique_ptr<Client>> viewers;
  for (int i = 0; i < 2; ++i) {
    viewers.push_back(std::make_unique<Client>(watch));
    viewers.back()->say(request("/events"));
    std::string event = viewers.back()->event();
    while (event.rfind("data: ", 0) != 0) event = viewers.back()->event();
  }
  CHECK(status(get(watch, "/events")) == 503);
  CHECK(status(get(watch, "/state.json")) == 200);
}

TEST_CASE("What a viewer is shown stays small, however long a run is", "[observe][watch]") {
  Watch watch{WatchOptions()};
  GroupState state = a_state();
  for (int i = 0; i < 5000; ++i) {
    ++state.totals.steps;
    state.elapsed += 1s;
    watch.on_tick(Time(i), state);
    watch.on_send(Time(i), {.from = 0, .to = static_cast<std::uint32_t>(i), .payload = {}});
    watch.on_start(Time(i), static_cast<std::uint32_t>(i % 100), 2, 0);
    watch.on_leaving(Time(i), static_cast<std::uint32_t>(i % 100));
    watch.on_evaluation(Time(i), {{"value " + std::to_string(i), 1.0}}, state);
  }
  const Json seen = Json::parse(watch.json());
  CHECK(seen["edges"].size() == Watch::most_messages);
  CHECK(seen["events"].size() == Watch::most_events);
  CHECK(seen["curves"].size() == Watch::most_curves);
  const Json& loss = seen["curves"]["train_loss"];
  CHECK(loss.size() <= gossamer::observe::Curve::most);
  CHECK(loss.size() >= gossamer::observe::Curve::most / 2);
  CHECK(loss.front()[0] == 3.0);
  CHECK(loss.back()[0].get<double>() > 4900);
}

TEST_CASE("A tick between two runs does not make a group train", "[observe][watch]") {
  Watch watch{WatchOptions()};
  watch.on_run_begin(1s, a_state());
  watch.on_tick(2s, a_state());
  CHECK(Json::parse(watch.json())["running"] == true);
  watch.on_run_end(3s, a_state());
  watch.on_tick(4s, a_state());
  CHECK(Json::parse(watch.json())["running"] == false);
}

TEST_CASE("A group of threads is seen as it counts itself", "[observe][watch][threads]") {
  const auto watch = std::make_shared<Watch>(WatchOptions());
  gossamer::ThreadGroup<tests::Mover> group(
      gossamer::GroupOptions(3).node(gossamer::NodeOptions().seed(tests::seed)).callback(watch),
      gossamer::rule::GoSgd(0.5));
  group.run_until(gossamer::StopCondition().steps(50));
  const Json seen = Json::parse(body(get(*watch, "/state.json")));
  const Counters totals = group.totals();
  CHECK(seen["totals"]["steps"] == totals.steps);
  CHECK(seen["totals"]["sent"] == totals.messages_sent);
  CHECK(seen["totals"]["bytes"] == totals.bytes_sent);
  REQUIRE(seen["nodes"].size() == 3);
  double weight = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(seen["nodes"][i]["steps"] == group.counters(i).steps);
    weight += seen["nodes"][i]["weight"].get<double>();
  }
  CHECK(weight == tests::Approx(1));
  std::uint64_t messages = 0;
  for (const Json& edge : seen["edges"]) messages += edge[2].get<std::uint64_t>();
  CHECK(messages == totals.messages_sent);
  group.finish();
}
