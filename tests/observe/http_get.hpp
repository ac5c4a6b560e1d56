// SPDX-License-Identifier: MIT
/// What a page's server on this machine answers.
#pragma once

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <system_error>

namespace tests {

/// The whole answer, with its head; empty if nobody listens there.
inline std::string http_get(std::uint16_t port, const std::string& path,
                            const std::string& fields = "") {
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  std::error_code error;
  socket.connect({asio::ip::make_address("127.0.0.1"), port}, error);
  if (error) return {};
  asio::write(socket,
              asio::buffer("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n"));
  std::string answer;
  asio::read(socket, asio::dynamic_buffer(answer), error);
  return answer;
}
/// What a live page shows; null if it shows nothing.
inline nlohmann::json watched(std::uint16_t port, const std::string& fields = "") {
  const std::string answer = http_get(port, "/state.json", fields);
  const auto head = answer.find("\r\n\r\n");
  const bool is_well = answer.starts_with("HTTP/1.1 200") && head != std::string::npos;
  return is_well ? nlohmann::json::parse(answer.substr(head + 4)) : nlohmann::json();
}
/// Whether such a page shows so many nodes, each of which has trained.
inline bool shows_all_at_work(const nlohmann::json& page, std::size_t nodes) {
  if (!page.contains("nodes") || page["nodes"].size() != nodes) return false;
  for (const auto& node : page["nodes"]) {
    if (node["steps"] == 0) return false;
  }
  return true;
}

}  // namespace tests
