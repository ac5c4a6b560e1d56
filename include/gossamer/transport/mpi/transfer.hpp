// SPDX-License-Identifier: MIT
/// One frame on its way through MPI, with the memory that it lies in.
#pragma once

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

  [[nodiscard]] std::size_t bytes() const { return fields.size() + payload.bytes(chunk); }

  /// Whether all is over. Each call lets MPI work.
  [[nodiscard]] bool done() {
    int all = 1;
    MPI_Testall(static_cast<int>(requests.size()), requests.data(), &all, MPI_STATUSES_IGNORE);
    return all != 0;
  }

  /// Calls `begin(bytes, count, request)` for the payload's chunk, in its place: MPI counts
  /// in `int`, so a long vector goes in several.
  template <class Begin>
  void begin_payload(Begin begin) {
    constexpr std::size_t most = std::size_t{1} << 30U;
    for (const at::Tensor& segment : payload->segments()) {
      const std::span<std::byte> bytes = wire::bytes_of(segment, chunk);
      for (std::size_t at = 0; at < bytes.size(); at += most) {
        MPI_Request& request = requests.emplace_back(MPI_REQUEST_NULL);
        begin(bytes.data() + at, static_cast<int>(std::min(most, bytes.size() - at)), &request);
      }
    }
  }
};

}  // namespace gossamer::transport
