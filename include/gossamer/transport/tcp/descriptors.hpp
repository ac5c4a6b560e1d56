// SPDX-License-Identifier: MIT
/// File descriptors: how many a process may have, who inherits them, what is said when there are no
/// more, and what a socket's queues hold.
#pragma once

#include <asio/error.hpp>
#include <c10/util/StringUtil.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace gossamer::transport {

/// How many descriptors this process may have now.
inline rlim_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

/// Raises the limit to the hard one, at most 2^20, the most that Linux gives by default: a node has
/// a connection to each other one, and the usual soft limit of 1,024 ends that. It is the whole
/// process's limit, and stays raised. Any thread. What the limit is then.
inline rlim_t raise_descriptor_limit() {
  constexpr rlim_t most = rlim_t{1} << 20U;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t wanted = std::min(limit.rlim_max, most);
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = wanted;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
  }
  return descriptor_limit();
}

/// Programs that this process starts do not inherit the socket. Asio opens it without SOCK_CLOEXEC,
/// so one that another thread starts in this very moment does.
template <class Socket>
void close_on_exec(Socket& socket) {
  const int flags = ::fcntl(socket.native_handle(), F_GETFD);
  if (flags >= 0) (void)::fcntl(socket.native_handle(), F_SETFD, flags | FD_CLOEXEC);
}

/// The kernel takes no more than it is about to send, so that what is said next need not wait for
/// what it has: on a slow network its own limit is as good as minutes. Where it cannot, it does
/// not.
template <class Socket>
void keep_queue_short(Socket& socket) {
#ifdef TCP_NOTSENT_LOWAT
  constexpr int most = 1 << 18;
  (void)::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
#endif
}
/// Bytes that were written and that the peer's machine does not have; 0 where that is not known.
template <class Socket>
std::size_t unsent_bytes(Socket& socket) {
  int bytes = 0;
#ifdef TIOCOUTQ
  if (::ioctl(socket.native_handle(), TIOCOUTQ, &bytes) != 0) bytes = 0;
#endif
  return static_cast<std::size_t>(std::max(bytes, 0));
}

/// Whether an error of a call says something of this machine, and nothing of the peer. By value,
/// since Asio's own category maps to no `std::errc`.
inline bool is_local_error(const std::error_code& error) {
  const auto& category = error.category();
  if (category != asio::error::get_system_category() && category != std::system_category() &&
      category != std::generic_category()) {
    return false;
  }
  constexpr std::array all = {EMFILE, ENFILE, ENOBUFS, ENOMEM, ENETDOWN};
  return std::find(all.begin(), all.end(), error.value()) != all.end();
}

/// The error of looking up a name, which says nothing of descriptors even if there is none left.
inline std::error_code resolve_error(const std::error_code& error) {
  const int descriptor = error ? ::open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
  if (error && descriptor < 0 && (errno == EMFILE || errno == ENFILE)) {
    return {errno, std::system_category()};
  }
  if (descriptor >= 0) ::close(descriptor);
  return error;
}

/// The error's text; of a local one it says so, and what mends it.
inline std::string explain(const std::error_code& error) {
  if (!is_local_error(error)) return error.message();
  if (error.value() == EMFILE) {
    return c10::str("this process has no file descriptor left of ", descriptor_limit(),
                    "; raise its limit (ulimit -n)");
  }
  return "an error of this machine, not of the other one: " + error.message();
}

}  // namespace gossamer::transport
