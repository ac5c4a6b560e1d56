// SPDX-License-Identifier: MIT
/// A small HTTP server for those who look on: answers GET, and streams events.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/observe/http_request.hpp>
#include <gossamer/transport/tcp/host_port.hpp>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read_until.hpp>
#include <asio/socket_base.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace gossamer::observe {

/// What strangers can use up.
struct HttpLimits {
  std::size_t connections = 64;  ///< at once; more are closed as they come
  std::size_t streams = 32;      ///< of these
  std::size_t request_bytes = 8192;
  std::chrono::milliseconds request_time{5000};  ///< from the connection to the end of the request
  std::chrono::milliseconds write_time{10'000};  ///< for an answer, or an event of a stream
  std::chrono::milliseconds event_period{500};   ///< from one event of a stream to the next
};

/// What is answered.
struct HttpAnswer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::shared_ptr<const std::string> body = nullptr;  ///< null: the status in words
  bool is_stream = false;                             ///< events follow, without an end; no body
};

/// Serves on one thread of its own, one request per connection, without a body. Bounded by its
/// limits: memory is at most about `connections` times `request_bytes`, and the answers that are
/// being written, which connections share. Whoever reads slowly misses events, and is closed when
/// one takes `write_time`.
///
/// Cost     nothing runs while nobody is connected.
/// Threads  both functions are called on the server's thread, and must not throw.
/// Throws   ConfigError from the constructor, if it cannot listen there.
/// Source   RFC 9112 (HTTP/1.1); "Server-sent events", the HTML standard.
class HttpServer {
 public:
  using Answer = std::function<HttpAnswer(const HttpRequest&)>;
  /// The next event of all streams.
  using Event = std::function<std::shared_ptr<const std::string>()>;

  /// `place` is an address, no name; port 0: the system's choice.
  HttpServer(const transport::HostPort& place, HttpLimits limits, Answer answer, Event event)
      : limits_(limits), answer_(std::move(answer)), event_(std::move(event)) {
    try {
      const Tcp::endpoint endpoint(asio::ip::make_address(place.host), place.port);
      acceptor_.open(endpoint.protocol());
      acceptor_.set_option(asio::socket_base::reuse_address(true));
      acceptor_.bind(endpoint);
      acceptor_.listen();
      port_ = acceptor_.local_endpoint().port();
    } catch (const std::system_error& error) {
      throw ConfigError("HTTP server: cannot listen on " + place.text() + ": " +
                        error.code().message());
    }
    accept();
    thread_ = std::thread([this] { serve(); });
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() {
    io_.stop();
    thread_.join();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  using Tcp = asio::ip::tcp;
  using Clock = std::chrono::steady_clock;

  class Connection : public std::enable_shared_from_this<Connection> {
   public:
    Connection(HttpServer& server, Tcp::socket socket)
        : server_(server), socket_(std::move(socket)), timer_(server.io_) {}

    void start() {
      close_after(server_.limits_.request_time);
      asio::async_read_until(
          socket_, asio::dynamic_buffer(in_, server_.limits_.request_bytes), "\r\n\r\n",
          [self = shared_from_this()](std::error_code error, std::size_t length) {
            if (error == asio::error::not_found) return self->answer({.status = 431});
            if (error) return self->close();
            self->read(length);
          });
    }

    void close() {
      std::error_code ignored;
      socket_.close(ignored);
      timer_.cancel();
      server_.streams_.erase(shared_from_this());
      server_.connections_.erase(shared_from_this());
    }

    /// The next event, unless the last one is still under way.
    void send_event(std::shared_ptr<const std::string> event) {
      if (!std::exchange(is_writing_, true)) write("", std::move(event));
    }

   private:
    void read(std::size_t length) {
      const auto request = HttpRequest::parse(std::string_view(in_).substr(0, length));
      if (!request) return answer({.status = 400});
      is_head_ = request->method == "HEAD";
      if (request->method != "GET" && !is_head_) return answer({.status = 405});
      HttpAnswer made = server_.answer_(*request);
      if (made.is_stream && server_.streams_.size() >= server_.limits_.streams) {
        made = {.status = 503};
      }
      answer(std::move(made));
    }

    void answer(HttpAnswer made) {
      in_ = {};
      std::string head = http_head(made.status, made.type);
      is_stream_ = made.is_stream && !is_head_;
      if (made.is_stream) {
        made.body = std::make_shared<const std::string>("retry: 2000\n\n");
      } else {
        if (!made.body) {
          made.body =
              std::make_shared<const std::string>(std::string(reason_of(made.status)) + "\n");
        }
        head += "Content-Length: " + std::to_string(made.body->size()) + "\r\n";
      }
      is_writing_ = true;
      write(head + "\r\n", is_head_ ? nullptr : std::move(made.body));
    }

    void write(std::string head, std::shared_ptr<const std::string> body) {
      head_ = std::move(head);
      body_ = std::move(body);
      std::array<asio::const_buffer, 2> both{asio::buffer(head_)};
      if (body_) both[1] = asio::buffer(*body_);
      close_after(server_.limits_.write_time);
      asio::async_write(socket_, both,
                        [self = shared_from_this()](std::error_code error, std::size_t) {
                          if (error) return self->close();
                          self->written();
                        });
    }

    void written() {
      is_writing_ = false;
      body_ = nullptr;
      if (is_stream_) {
        timer_.cancel();
        return server_.add_stream(shared_from_this());
      }
      // What has come beside the request is read away: else the answer could be lost with it.
      std::error_code ignored;
      socket_.shutdown(Tcp::socket::shutdown_send, ignored);
      close_after(std::chrono::seconds(1));
      read_away();
    }
    void read_away() {
      socket_.async_read_some(asio::buffer(away_),
                              [self = shared_from_this()](std::error_code error, std::size_t) {
                                if (error) return self->close();
                                self->read_away();
                              });
    }

    void close_after(std::chrono::milliseconds time) {
      timer_.expires_after(time);
      timer_.async_wait([self = shared_from_this()](std::error_code error) {
        // One that was put off may be called all the same.
        if (!error && self->timer_.expiry() <= Clock::now()) self->close();
      });
    }

    HttpServer& server_;
    Tcp::socket socket_;
    asio::steady_timer timer_;
    std::string in_;
    std::string head_;
    std::shared_ptr<const std::string> body_;
    std::array<char, 512> away_{};
    bool is_head_ = false;
    bool is_stream_ = false;
    bool is_writing_ = false;
  };

  void accept() {
    acceptor_.async_accept([this](std::error_code error, Tcp::socket socket) {
      if (error) {  // no file descriptors are left, say
        timer_.expires_after(std::chrono::milliseconds(100));
        timer_.async_wait([this](std::error_code) { accept(); });
        return;
      }
      if (connections_.size() < limits_.connections) {
        auto connection = std::make_shared<Connection>(*this, std::move(socket));
        connections_.insert(connection);
        connection->start();
      }
      accept();
    });
  }

  void add_stream(const std::shared_ptr<Connection>& connection) {
    const bool is_first = streams_.empty();
    if (!streams_.insert(connection).second) return;
    connection->send_event(event_());
    if (is_first) tick();
  }
  void tick() {
    event_timer_.expires_after(limits_.event_period);
    event_timer_.async_wait([this](std::error_code error) {
      if (error || streams_.empty()) return;
      const auto event = event_();
      const std::vector<std::shared_ptr<Connection>> all(streams_.begin(), streams_.end());
      for (const auto& connection : all) connection->send_event(event);
      tick();
    });
  }

  /// Signals are for the program's own threads.
  void serve() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    while (!io_.stopped()) {
      try {
        io_.run();
      } catch (const std::exception&) {  // no memory: that connection's timer closes it
      }
    }
  }

  HttpLimits limits_;
  Answer answer_;
  Event event_;
  asio::io_context io_{1};
  Tcp::acceptor acceptor_{io_};
  asio::steady_timer timer_{io_};
  asio::steady_timer event_timer_{io_};
  std::set<std::shared_ptr<Connection>> connections_;
  std::set<std::shared_ptr<Connection>> streams_;  // of these
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace gossamer::observe
