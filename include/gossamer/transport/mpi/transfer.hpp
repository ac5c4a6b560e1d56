// SPDX-License-Identifier: MIT
/// One frame on its way through MPI, with the memory that it lies in.
#pragma once

#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/mpi/runtime.hpp>
#include <gossamer/transport/wire/payload.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace gossamer::transport {

/// Operations that MPI has begun, and the bytes that they read or write. It must not go before
/// `done()`, since MPI would still use them.
struct MpiTransfer {
  std::vector<MPI_Request> requests;
  std::vector<std::byte> fields;  ///< header and fields
  model::Snapshot payload;
  model::Chunk chunk;  ///< of the payload
  codec::Coded code;   ///< in place of a payload

  /// Whether anything follows the fields.
  [[nodiscard]] bool has_content() const { return static_cast<bool>(payload) || code; }
  [[nodiscard]] std::size_t content_bytes() const { return payload.bytes(chunk) + code.size(); }
  [[nodiscard]] std::size_t bytes() const { return fields.size() + content_bytes(); }

  /// Whether all is over. Each call lets MPI work.
  [[nodiscard]] bool done() {
    int all = 1;
    MPI_Testall(static_cast<int>(requests.size()), requests.data(), &all, MPI_STATUSES_IGNORE);
    return all != 0;
  }

  /// Calls `begin(bytes, count, request)` for the payload's chunk, or for the code, in its place:
  /// MPI counts in `int`, so a long vector goes in several.
  template <class Begin>
  void begin_content(Begin begin) {
    if (payload) {
      for (const at::Tensor& segment : payload->segments()) {
        begin_bytes(wire::bytes_of(segment, chunk), begin);
      }
    } else if (code) {
      begin_bytes(code.writable(), begin);
    }
  }

 private:
  template <class Begin>
  void begin_bytes(std::span<std::byte> bytes, Begin& begin) {
    constexpr std::size_t most = std::size_t{1} << 30U;
    for (std::size_t at = 0; at < bytes.size(); at += most) {
      MPI_Request& request = requests.emplace_back(MPI_REQUEST_NULL);
      begin(bytes.data() + at, static_cast<int>(std::min(most, bytes.size() - at)), &request);
    }
  }
};

}  // namespace gossamer::transport
