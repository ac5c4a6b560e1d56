// SPDX-License-Identifier: MIT
/// The thread of a node on TCP: it listens, dials, reads and writes what a `Membership` says.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/membership/traffic.hpp>
#include <gossamer/transport/tcp/address_policy.hpp>
#include <gossamer/transport/tcp/connection.hpp>
#include <gossamer/transport/tcp/content.hpp>
#include <gossamer/transport/tcp/descriptors.hpp>
#include <gossamer/transport/tcp/host_port.hpp>
#include <gossamer/transport/tcp/input.hpp>
#include <gossamer/transport/tcp/listener.hpp>
#include <gossamer/transport/tcp/options.hpp>
#include <gossamer/transport/tcp/stream.hpp>
#include <gossamer/transport/tcp/tls_keys.hpp>
#include <gossamer/transport/tcp/unauthenticated_peers.hpp>
#include <gossamer/transport/wire/parse.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <c10/util/StringUtil.h>
#include <spdlog/logger.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::transport {

/// One thread that does all input and output, and a mutex around the `Membership`. The node's
/// thread never waits for the network: it changes the member and wakes the other one.
class TcpEndpoint {
 public:
  /// Listens from now on. Throws ConfigError if it cannot.
  explicit TcpEndpoint(const TcpOptions& options)
      : options_((options.check(), raise_descriptor_limit(), options)),
        keys_(options.security()),
        run_(wire::fingerprint(options.run())),
        attempts_({.burst = static_cast<double>(options.handshakes())}),
        listener_(io_, options_),
        ticker_(io_),
        member_(member_options()) {
    spawn(accept());
    spawn(tick());
    thread_ = std::thread([this] { run(); });
  }
  TcpEndpoint(const TcpEndpoint&) = delete;
  TcpEndpoint& operator=(const TcpEndpoint&) = delete;
  /// As by a crash: no farewell.
  ~TcpEndpoint() {
    io_.stop();
    thread_.join();
  }

  [[nodiscard]] Time now() const { return std::chrono::steady_clock::now() - begin_; }
  /// Where others dial this node.
  [[nodiscard]] const std::string& address() const { return listener_.advertised(); }
  [[nodiscard]] const Membership& unlocked() const { return member_; }

  /// Calls `f(member)`, alone, and then has written what there is to say.
  template <class F>
  auto with(F f) {
    const std::lock_guard lock(mutex_);
    struct AtEnd {
      TcpEndpoint& endpoint;
      ~AtEnd() { endpoint.kick(); }
    } at_end{*this};
    return f(member_);
  }

  /// Until `done(member)`, or the time is `deadline`; looks after each change. What it was.
  template <class Done>
  bool wait_until(Time deadline, Done done) {
    std::unique_lock lock(mutex_);
    ++watchers_;
    const bool is_done = wait_until(lock, deadline, [&] { return done(member_); });
    --watchers_;
    return is_done;
  }
  /// Until there is an event (true), or `wake()` was called or the time is `deadline`.
  bool wait(Time deadline) {
    bool any = false;
    std::unique_lock lock(mutex_);
    wait_until(lock, deadline, [&] {
      any = member_.has_event() || member_.has_ended();
      return std::exchange(woken_, false) || any;
    });
    return any;
  }
  void wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }

  /// The shape of payloads; before anything is sent or received.
  void shape(const model::Flat& shape) {
    const std::lock_guard lock(mutex_);
    pool_.emplace(shape);
    model_bytes_ = shape.bytes();
  }
  /// Whether the farewell is over; after `Membership::close()`.
  [[nodiscard]] bool is_gone() const { return gone_; }
  /// A number that changes whenever bytes of messages move, or a message comes further.
  [[nodiscard]] std::uint64_t progress() const {
    const std::lock_guard lock(mutex_);
    return moved_ + member_.progress();
  }
  /// All members that were ever heard of.
  [[nodiscard]] std::vector<PeerView> view() const {
    const std::lock_guard lock(mutex_);
    std::vector<PeerView> all;
    for (MembershipView& one : member_.view()) {
      const auto at = traffic_.find(one.peer);
      all.push_back({std::move(one), at != traffic_.end() ? at->second : Traffic{}});
    }
    return all;
  }
  /// Unauthenticated peers, and what came of them.
  [[nodiscard]] UnauthenticatedPeers::Record attempts() const {
    const std::lock_guard lock(mutex_);
    return attempts_.total();
  }
  /// Reads keys, certificates and revocation list again, for the connections to come. Throws
  /// ConfigError if they cannot work; nothing changes then.
  void reload_keys() { keys_.reload(); }
  /// Breaks all connections, as a network may; they are made again.
  void break_connections() {
    asio::post(io_, [this] {
      for (const auto& [id, connection] : std::map(connections_)) end(connection, "broken");
    });
  }

 private:
  using Connection = std::shared_ptr<TcpConnection>;

  MembershipOptions member_options() const {
    MembershipOptions member;
    member.number = options_.number();
    member.incarnation = static_cast<std::uint64_t>(
        std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
    member.world_size = options_.world_size();
    member.run = options_.run();
    member.agreement = options_.agreement();
    member.address = listener_.advertised();
    member.contacts = options_.contacts();
    member.timers = options_.timers();
    member.limits = options_.limits();
    member.seed = member.incarnation;
    return member;
  }

  // Any thread, with the mutex.

  template <class Done>
  bool wait_until(std::unique_lock<std::mutex>& lock, Time deadline, Done done) {
    kick();
    const Time latest = now() + std::chrono::hours(24 * 365);  // further would overflow
    return changed_.wait_until(lock, begin_ + std::min(deadline, latest), done);
  }
  void kick() {
    if (member_.has_speakers() && !kicked_.exchange(true)) {
      asio::post(io_, [this] { pump(false); });
    }
  }

  // The endpoint's thread.

  /// Before it sleeps it looks again for a while, and lets others have the core meanwhile: to wake
  /// a thread on another core can take as long as 200 KB need to pass.
  void run() {
    try {
      carry();
    } catch (...) {
      fail(std::current_exception());
    }
  }
  void carry() {
    constexpr auto patience = std::chrono::microseconds(50);
    auto active = std::chrono::steady_clock::now();
    while (!io_.stopped()) {
      if (io_.poll() > 0) {
        active = std::chrono::steady_clock::now();
      } else if (std::chrono::steady_clock::now() - active < patience) {
        std::this_thread::yield();
      } else {
        io_.run_one();
        active = std::chrono::steady_clock::now();
      }
    }
  }

  /// Runs beside the others. What it throws and does not catch ends the endpoint.
  void spawn(asio::awaitable<void> coroutine) {
    asio::co_spawn(io_, std::move(coroutine), [this](const std::exception_ptr& error) {
      if (error) fail(error);
    });
  }
  /// Without one of its parts, its heartbeats, say, the endpoint only seems to be alive: it stops,
  /// its connections end with it, and the node's next call throws.
  void fail(const std::exception_ptr& error) {
    std::string why = "an error that is no std::exception";
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& known) {
      why = known.what();
    } catch (...) {
    }
    const std::string text = "the thread of the network has ended: " + why;
    {
      const std::lock_guard lock(mutex_);
      member_.fail(text);
      gone_ = true;  // nobody is to wait for its farewell
      woken_ = true;
      changed_.notify_all();
    }
    try {
      log(true, "node " + std::to_string(options_.number()) + ": " + text);
    } catch (...) {  // it may be the log that fails
    }
    for (const auto& [id, connection] : connections_) connection->stream.close();
    io_.stop();
  }

  /// After whatever happened: lets lines speak, dials, wakes the node, logs.
  void pump(bool may_dial) {
    kicked_ = false;
    std::vector<LineId> speakers;
    std::vector<DialAttempt> dials;
    std::vector<MembershipNote> notes;
    {
      const std::lock_guard lock(mutex_);
      if (!going_ && member_.may_go()) {
        going_ = true;
        member_.go();
      }
      speakers = member_.speakers();
      if (may_dial && !going_) dials = member_.dials(now());
      notes = member_.notes();
      const bool settled = member_.is_settled();
      if (settled && !settled_) woken_ = true;
      settled_ = settled;
      if (going_ && connections_.empty()) gone_ = true;
      const bool is_news = woken_ || member_.has_event() || member_.has_ended();
      if (watchers_ > 0 || is_news) changed_.notify_all();
    }
    for (const LineId id : speakers) {
      const auto at = connections_.find(id);
      if (at != connections_.end()) at->second->wakeup.cancel();
    }
    for (DialAttempt& dial : dials) {
      spawn(this->dial(std::move(dial)));
    }
    for (const MembershipNote& note : notes) log(note.warning, note.text);
  }

  void log(bool warning, const std::string& text) const {
    if (!options_.logger()) return;
    options_.logger()->log(warning ? spdlog::level::warn : spdlog::level::info, text);
  }

  asio::awaitable<void> tick() {
    std::error_code error;
    while (true) {
      ticker_.expires_after(options_.timers().tick());
      co_await ticker_.async_wait(asio::redirect_error(asio::use_awaitable, error));
      look_at_queues();
      {
        const std::lock_guard lock(mutex_);
        member_.tick(now());
      }
      cut_the_stalled();
      pump(true);
    }
  }

  asio::awaitable<void> accept() {
    std::error_code error;
    while (true) {
      auto socket = co_await listener_.acceptor().async_accept(
          asio::redirect_error(asio::use_awaitable, error));
      if (error) {  // no file descriptors, say: later, perhaps
        if (is_local_error(error)) {
          log_once("accept " + std::to_string(error.value()),
                   "a connection cannot be taken: " + explain(error));
        }
        asio::steady_timer pause(io_, std::chrono::milliseconds(50));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
        continue;
      }
      close_on_exec(socket);
      const auto from = socket.remote_endpoint(error);
      if (!error && may_begin(from.address())) start(std::move(socket), std::nullopt);
    }
  }

  bool may_begin(const asio::ip::address& from) {
    {
      const std::lock_guard lock(mutex_);
      if (unjudged_ < options_.handshakes_of_all() && attempts_.begin(from, now())) return true;
    }
    if (unjudged_ >= options_.handshakes_of_all()) {
      log_once("too many", c10::str(unjudged_, " connections have begun without being let in; as ",
                                    "long as there are so many, others are turned away"));
      return false;
    }
    log_once(from.to_string() + " connects",
             from.to_string() +
                 " has begun too many connections without being let in; from now "
                 "on it may begin one a second");
    return false;
  }

  asio::awaitable<void> dial(DialAttempt dial) {
    TcpDialed dialed = co_await listener_.dial(dial.address);
    if (dialed.socket) {
      start(std::move(*dialed.socket), std::move(dial));
      co_return;
    }
    {
      const std::lock_guard lock(mutex_);
      member_.dial_failed(dial, dialed.refused, dialed.why, now(), dialed.is_local);
    }
    if (dialed.is_local) log_once("dial " + dialed.why, "nobody can be dialed: " + dialed.why);
    pump(true);
  }

  void start(Stream::Socket socket, std::optional<DialAttempt> dial) {
    std::error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    keep_queue_short(socket);
    std::string failure;
    auto tls = keys_.at(now(), failure);
    if (!failure.empty()) log(true, failure + "; the keys stay as they were");
    auto connection = std::make_shared<TcpConnection>(++last_line_, std::move(socket),
                                                      std::move(tls), std::move(dial), run_);
    if (!connection->dial) ++unjudged_;
    connections_.emplace(connection->id, connection);
    spawn(serve(std::move(connection)));
  }

  /// A connection, from its start to its end.
  asio::awaitable<void> serve(Connection c) {
    std::string why;
    try {
      expect_end(c, options_.timers().handshake, "its handshake took too long");
      std::error_code error;
      co_await c->stream.async_handshake(c->dial ? TlsRole::client : TlsRole::server,
                                         asio::redirect_error(asio::use_awaitable, error));
      if (error) {
        if (error.category() == secure_category()) {
          c->failure = static_cast<SecureError>(error.value());
        }
        co_return end(c, c->stream.failure().empty() ? error.message() : c->stream.failure());
      }
      c->patience.cancel();
      c->secured = true;
      {
        const std::lock_guard lock(mutex_);
        member_.connected(c->id, c->dial ? &*c->dial : nullptr, now());
      }
      spawn(write(c));
      pump(false);
      co_await read(c);
    } catch (const std::system_error& error) {
      why = error.code() == asio::error::eof ? "it hung up" : error.code().message();
    } catch (const std::exception& error) {
      why = error.what();
    }
    end(c, why);
  }

  /// Reads frames until the stream ends, which throws.
  asio::awaitable<void> read(Connection c) {
    TcpInput input(c->stream);
    TcpContent content;
    Time heard = now();
    const auto progress = [&] {  // seldom: the lock is the node's, too
      if (now() - heard < options_.timers().heartbeat / 4) return;
      heard = now();
      const std::lock_guard lock(mutex_);
      member_.heard(c->id, heard);
    };
    while (true) {
      const auto head = co_await input.need(wire::FrameHeader::size);
      const std::uint64_t most = wire::most_payload(model_bytes_);
      const auto parsed = wire::parse_header(head.first<wire::FrameHeader::size>(), run_, most);
      const auto* header = std::get_if<wire::FrameHeader>(&parsed);
      if (header == nullptr) co_return co_await refuse(c, std::get<wire::WireError>(parsed));
      if (is_stranger(*c) && !wire::may_come_first(header->kind)) {
        co_return co_await refuse(c,
                                  {wire::WireRule::kind, static_cast<std::uint64_t>(header->kind)});
      }
      const std::size_t size = wire::FrameHeader::size + header->fields;
      auto frame = wire::parse_frame(co_await input.need(size), *header);
      if (const auto* error = std::get_if<wire::WireError>(&frame)) {
        co_return co_await refuse(c, *error);
      }
      input.drop(size);
      auto& body = std::get<wire::Body>(frame);
      if (header->kind == wire::Kind::piece) {
        const auto error = co_await content.read(input, header->payload, progress);
        if (error) co_return co_await refuse(c, *error);
        std::optional<wire::DeliveryBody> whole;
        if (!content.is_under_way()) whole = content.take(options_.refuse_non_finite());
        whole ? take(c, *header, std::move(*whole)) : count(*c, *header);
        continue;
      }
      auto* delivery = std::get_if<wire::DeliveryBody>(&body);
      if (delivery && delivery->in_pieces > 0) {
        if (const auto error = begin(*c, content, *delivery)) co_return co_await refuse(c, *error);
      } else if (header->payload > 0 && !is_expected(*c, delivery->frame, header->payload)) {
        co_await input.skip(header->payload, progress);
        drop_offer(*delivery);
      } else if (delivery && delivery->payload) {
        model::Snapshot snapshot = take_snapshot();
        const model::Chunk part = delivery->frame.offer->chunk;
        if (const std::uint64_t length = snapshot.bytes(part); header->payload != length) {
          co_return co_await refuse(c, {wire::WireRule::payload, header->payload, length});
        }
        if (header->payload > 0) {
          const auto payload = co_await input.read(*snapshot, part, progress);
          if (!payload.whole) co_return co_await refuse(c, {wire::WireRule::payload_checksum});
          if (!payload.finite && options_.refuse_non_finite()) {
            snapshot = {};
            delivery->frame.offer.reset();
          }
        }
        if (delivery->frame.offer) delivery->frame.offer->payload = std::move(snapshot);
      } else if (delivery && delivery->code > 0) {
        codec::Coded code = codes_.take(delivery->code);
        if (!co_await input.read(code.writable(), progress)) {
          co_return co_await refuse(c, {wire::WireRule::payload_checksum});
        }
        delivery->frame.offer->code = std::move(code);
      }
      take(c, *header, std::move(body));
    }
  }

  /// Content begins to come in pieces: makes room for it, unless nobody waits for it any more, and
  /// leaves of the frame what it says besides. What is wrong with it, if anything is.
  std::optional<wire::WireError> begin(const TcpConnection& c, TcpContent& content,
                                       wire::DeliveryBody& body) {
    const std::uint64_t most = wire::most_payload(model_bytes_);
    const std::uint64_t bytes = body.in_pieces;
    if (bytes > most) return wire::WireError{wire::WireRule::payload, bytes, most};
    if (!body.frame.offer || content.is_under_way()) return wire::WireError{wire::WireRule::values};
    model::Snapshot snapshot;
    codec::Coded code;
    if (is_expected(c, body.frame, bytes)) {
      if (body.payload) snapshot = take_snapshot();
      if (!body.payload) code = codes_.take(bytes);
    }
    if (snapshot && snapshot.bytes(body.frame.offer->chunk) != bytes) {
      return wire::WireError{wire::WireRule::payload, bytes,
                             snapshot.bytes(body.frame.offer->chunk)};
    }
    content.begin(body, std::move(snapshot), std::move(code));
    drop_offer(body);
    return std::nullopt;
  }
  /// Whether content has a place here: its peer was let in, and it is small or was asked for.
  bool is_expected(const TcpConnection& c, const DeliveryFrame& frame, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    return member_.expects(c.id, frame, bytes);
  }
  static void drop_offer(wire::DeliveryBody& body) {
    body.frame.offer.reset();
    body.frame.sequence = body.in_pieces = body.code = 0;
    body.payload = false;
  }

  /// It may have been let in since its last frame: its address was looked at meanwhile.
  bool is_stranger(TcpConnection& c) {
    if (c.stranger) {
      const std::lock_guard lock(mutex_);
      c.stranger = member_.is_stranger(c.id);
    }
    return c.stranger;
  }
  void take(const Connection& c, const wire::FrameHeader& header, wire::Body body) {
    const bool may_dial = header.kind != wire::Kind::delivery && header.kind != wire::Kind::piece &&
                          header.kind != wire::Kind::ping;
    if (const auto* hello = std::get_if<wire::Hello>(&body);
        hello && !c->stream.may_be_node(hello->node)) {
      const std::string why = c->stream.peer() + " says that it is node " +
                              std::to_string(hello->node) + ", and its certificate " +
                              c->stream.peer_subject() + " is another node's";
      c->greeted = true;  // and so it is named once
      log_once(c->from.to_string() + " is another node", why);
      return end(c, why);
    }
    {
      const std::lock_guard lock(mutex_);
      if (const auto* hello = std::get_if<wire::Hello>(&body); hello && !c->peer) {
        c->peer = hello->node;
      }
      c->greeted = true;
      member_.received(c->id, std::move(body), now());
      count_locked(*c, header);
      if (!c->dial && !c->judged && member_.is_welcome(c->id)) {
        c->judged = true;
        --unjudged_;
        attempts_.succeeded(c->from, now());
      }
    }
    pump(may_dial);
  }

  void count(const TcpConnection& c, const wire::FrameHeader& header) {
    const std::lock_guard lock(mutex_);
    count_locked(c, header);
  }
  void count_locked(const TcpConnection& c, const wire::FrameHeader& header) {
    if (header.payload > 0) ++moved_;
    if (Traffic* traffic = traffic_of(c)) {
      ++traffic->frames_received;
      traffic->bytes_received += header.bytes();
    }
  }
  /// Null for unauthenticated peers, of whom there may be any number. With the mutex.
  Traffic* traffic_of(const TcpConnection& c) {
    return c.peer && member_.is_listed(*c.peer) ? &traffic_[*c.peer] : nullptr;
  }

  /// Memory is got without the lock, which heartbeats need.
  model::Snapshot take_snapshot() {
    std::optional<model::SnapshotPool> pool;
    {
      const std::lock_guard lock(mutex_);
      pool = pool_;
    }
    return pool ? pool->take() : model::Snapshot();
  }

  /// The peer is told what was wrong, and what else it sends is thrown away.
  asio::awaitable<void> refuse(Connection c, wire::WireError error) {
    c->malformed = true;
    {
      const std::lock_guard lock(mutex_);
      member_.malformed(c->id, error,
                        c->peer ? "node " + std::to_string(*c->peer) + " at " + c->stream.peer()
                                : "the peer at " + c->stream.peer());
    }
    co_await drain(c);
  }
  asio::awaitable<void> drain(Connection c) {
    pump(true);
    std::vector<std::byte> nothing(4096);
    while (true) {
      co_await c->stream.async_read_some(asio::buffer(nothing), asio::use_awaitable);
    }
  }

  asio::awaitable<void> write(Connection c) {
    try {
      while (!c->ended) {
        bool last = false;
        gather(*c, last);
        if (!c->output.empty()) {
          c->wrote = now();
          c->writing = true;
          co_await c->output.write();
          if (c->output.load() != Load::content) ++moved_;  // and there is more
          c->writing = false;
        } else if (last) {
          co_return co_await hang_up(c);
        } else {
          std::error_code woken;
          co_await c->wakeup.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        }
      }
    } catch (const std::exception& error) {
      end(c, error.what());
    }
  }

  void gather(TcpConnection& c, bool& last) {
    const std::lock_guard lock(mutex_);
    std::uint64_t frames = 0;
    while (c.output.fits()) {
      auto body = member_.next(c.id, now(), c.output.load());
      if (!body) break;
      c.output.add(std::move(*body));
      ++frames;
    }
    last = c.output.empty() && member_.must_close(c.id);
    if (Traffic* traffic = traffic_of(c)) {
      traffic->frames_sent += frames;
      traffic->bytes_sent += c.output.gathered();
    }
  }

  /// Bytes that lie in the kernel's queues move, too: those that come are a sign of life, though a
  /// reader is woken for many at once only; those that go show that the peer takes them.
  void look_at_queues() {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, c] : connections_) {
      const auto queues = c->look_at_queues();
      if (queues.in > c->queues.in) member_.heard(id, now());
      if (queues.out < c->queues.out) {
        c->wrote = now();
        constexpr std::size_t more_than_pings = 4096;
        if (c->queues.out > more_than_pings) ++moved_;
      }
      if (queues.in > c->queues.in + 4096) ++moved_;
      c->queues = queues;
    }
  }

  /// Who takes nothing of what is written, be it a last word, for so long that no network explains
  /// it, holds back what waits for it. Patient: a chunk may be long on its way over a bad cable.
  void cut_the_stalled() {
    const Time latest = now() - 3 * Time(options_.timers().dead_after);
    for (const auto& [id, c] : std::map(connections_)) {
      if (!c->writing || c->wrote > latest) continue;
      {
        const std::lock_guard lock(mutex_);
        member_.stalled(id);
      }
      end(c, "it reads nothing");
    }
  }

  /// All is said: the peer may read it in peace, and hang up.
  asio::awaitable<void> hang_up(Connection c) {
    {
      const std::lock_guard lock(mutex_);
      member_.disconnected(c->id, "closed", now());
    }
    expect_end(c, std::chrono::seconds(1), "closed");
    std::error_code ignored;
    co_await c->stream.async_shutdown(asio::redirect_error(asio::use_awaitable, ignored));
    pump(true);
  }

  void expect_end(const Connection& c, Time within, const char* why) {
    c->patience.expires_after(within);
    c->patience.async_wait([this, c, why](const std::error_code& error) {
      if (!error) end(c, why);
    });
  }

  void end(const Connection& c, const std::string& why) {
    if (std::exchange(c->ended, true)) return;
    c->stream.close();
    c->wakeup.cancel();
    c->patience.cancel();
    connections_.erase(c->id);
    {
      const std::lock_guard lock(mutex_);
      if (!c->dial && !std::exchange(c->judged, true)) {
        --unjudged_;
        attempts_.failed(c->from, c->failure, now());
      }
      if (c->secured) {
        member_.disconnected(c->id, why, now());
      } else if (c->dial) {
        member_.dial_failed(*c->dial, false, why, now());
      }
    }
    name_failure(*c);
    pump(true);
  }

  /// Once per address and kind of failure: unauthenticated peers may come again and again.
  void name_failure(const TcpConnection& c) {
    if (c.greeted || c.malformed) return;  // the member has named it
    const std::string failure = c.stream.failure();
    if (failure.empty() && c.dial) return;
    log_once(c.from.to_string() + " fails " + std::to_string(c.failure ? int(*c.failure) : 0),
             failure.empty() ? c.stream.peer() + " has begun a connection and not said who it is"
                             : failure);
  }
  void log_once(const std::string& what, const std::string& text) {
    constexpr std::size_t most = 1000;
    if (named_.size() >= most || !named_.insert(what).second) return;
    log(true, "node " + std::to_string(options_.number()) + ": " + text);
  }

  asio::io_context io_{1};
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  const TcpOptions options_;
  TlsKeys keys_;
  const std::uint64_t run_;
  UnauthenticatedPeers attempts_;  // with the mutex
  TcpListener listener_;
  asio::steady_timer ticker_;
  std::map<LineId, Connection> connections_;
  LineId last_line_ = 0;
  std::set<std::string> named_;  // what was logged once
  std::size_t unjudged_ = 0;     // connections from others that were not let in, or not yet
  bool settled_ = false;
  bool going_ = false;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Membership member_;
  bool woken_ = false;
  int watchers_ = 0;  // who wait for something else than an event
  std::optional<model::SnapshotPool> pool_;
  codec::CodedPool codes_;  // the endpoint's thread's
  std::map<PeerId, Traffic> traffic_;
  std::atomic<std::uint64_t> model_bytes_{0};
  std::atomic<std::uint64_t> moved_{0};
  std::atomic<bool> kicked_{false};
  std::atomic<bool> gone_{false};
  std::thread thread_;
};

}  // namespace gossamer::transport
