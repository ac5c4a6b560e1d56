// SPDX-License-Identifier: MIT
/// File descriptors of a node on TCP: how many, who inherits them, and what is said without any.
#include <gossamer/transport/tcp.hpp>
#include <gossamer/transport/tcp/descriptors.hpp>
#include <gossamer/transport/tcp/listener.hpp>

#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <fcntl.h>
#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <set>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace gossamer::transport;
using namespace std::chrono_literals;

/// Sets the soft limit, and puts it back.
class SoftLimit {
 public:
  explicit SoftLimit(rlim_t soft) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = soft;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  ~SoftLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  SoftLimit(const SoftLimit&) = delete;
  SoftLimit& operator=(const SoftLimit&) = delete;

 private:
  rlimit before_{};
};

/// The number that the next descriptor would get.
rlim_t next_descriptor() {
  const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(next);
  return static_cast<rlim_t>(next);
}

std::set<int> sockets() {
  std::set<int> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int descriptor = std::atoi(entry.path().filename().c_str());
    struct stat status {};
    if (::fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode)) all.insert(descriptor);
  }
  return all;
}

TcpDialed dial(TcpListener& listener, asio::io_context& io, const std::string& address) {
  TcpDialed result;
  asio::co_spawn(io, listener.dial(address), [&](std::exception_ptr error, TcpDialed dialed) {
    if (error) std::rethrow_exception(error);
    result = std::move(dialed);
  });
  io.restart();
  io.run();
  return result;
}

TEST_CASE("TCP raises the limit of descriptors to the hard one", "[transport][tcp][threads]") {
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const SoftLimit low(next_descriptor() + 20);
  const Tcp tcp{TcpOptions()};
  CHECK(descriptor_limit() == std::min<rlim_t>(limit.rlim_max, rlim_t{1} << 20U));
}

TEST_CASE("A node's sockets are closed in programs that it starts", "[transport][tcp][threads]") {
  const std::set<int> before = sockets();
  Tcp first{TcpOptions(0)};
  Tcp second{TcpOptions(1).contacts({first.address()})};
  REQUIRE(first.gather(1, 30s));
  REQUIRE(second.gather(1, 30s));
  std::size_t found = 0;
  for (const int socket : sockets()) {
    if (before.count(socket) != 0) continue;
    const int flags = ::fcntl(socket, F_GETFD);
    if (flags < 0) continue;  // closed meanwhile
    INFO("descriptor " << socket);
    CHECK((flags & FD_CLOEXEC) != 0);
    ++found;
  }
  CHECK(found >= 4);  // two that listen, two ends of a connection
}

TEST_CASE("A call without a descriptor blames this process and not who was called",
          "[transport][tcp]") {
  asio::io_context io;
  const TcpOptions options;
  TcpListener listener(io, options);
  // Before it is needed: Asio's resolver has a thread of its own.
  CHECK_FALSE(dial(listener, io, "localhost:1").is_local);
  const SoftLimit none(next_descriptor());
  for (const std::string& address : {listener.advertised(), std::string("localhost:1")}) {
    INFO(address);
    const TcpDialed dialed = dial(listener, io, address);
    CHECK_FALSE(dialed.socket);
    CHECK(dialed.is_local);
    CHECK_FALSE(dialed.refused);
    CHECK_THAT(dialed.why,
               tests::contains("no file descriptor left of ") && tests::contains("ulimit -n"));
  }
}

TEST_CASE("A refused connection is the other machine's word", "[transport][tcp]") {
  CHECK_FALSE(is_local_error(std::make_error_code(std::errc::connection_refused)));
  CHECK_FALSE(is_local_error({}));
  CHECK(is_local_error(std::make_error_code(std::errc::too_many_files_open)));
  CHECK(is_local_error(asio::error::make_error_code(asio::error::no_descriptors)));
  CHECK_THAT(explain(std::make_error_code(std::errc::not_enough_memory)),
             tests::contains("of this machine, not of the other one"));
}

}  // namespace
