// SPDX-License-Identifier: MIT
/// HTTP as text: what is asked, and how an answer begins.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gossamer::observe {

/// A request's first line, and the two fields that a server for looking on needs.
/// Source: RFC 9112.
struct HttpRequest {
  std::string method;
  std::string path;           ///< without what follows a question mark; as it was sent
  std::string host;           ///< with its port, if there is one
  std::string authorization;  ///< empty: there is none

  /// Of all up to the empty line. Nothing if it is not well-formed, or says one of the fields
  /// twice.
  static std::optional<HttpRequest> parse(std::string_view text) {
    HttpRequest request;
    const std::string_view first = line_of(text);
    const std::size_t space = first.find(' ');
    const std::size_t last = first.rfind(' ');
    if (space == std::string_view::npos || space == last) return std::nullopt;
    const std::string_view target = first.substr(space + 1, last - space - 1);
    const std::string_view version = first.substr(last + 1);
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return std::nullopt;
    const auto is_plain = [](char c) { return c > ' ' && c < 0x7f; };
    if (target.empty() || target.front() != '/' ||
        !std::all_of(target.begin(), target.end(), is_plain)) {
      return std::nullopt;
    }
    request.method = first.substr(0, space);
    request.path = target.substr(0, target.find('?'));
    while (!text.empty()) {
      const std::string_view line = line_of(text);
      if (line.empty()) break;
      const std::size_t colon = line.find(':');
      if (colon == std::string_view::npos || colon == 0) return std::nullopt;
      std::string* field = nullptr;
      if (is_same(line.substr(0, colon), "host")) field = &request.host;
      if (is_same(line.substr(0, colon), "authorization")) field = &request.authorization;
      if (field == nullptr) continue;
      if (!field->empty()) return std::nullopt;
      *field = trimmed(line.substr(colon + 1));
    }
    return request;
  }

  /// The host without its port, and without brackets.
  [[nodiscard]] std::string_view host_name() const {
    const std::string_view all = host;
    if (!all.empty() && all.front() == '[') return all.substr(1, all.find(']') - 1);
    return all.substr(0, all.rfind(':'));
  }

 private:
  /// Takes the next line off, without its end.
  static std::string_view line_of(std::string_view& text) {
    const std::size_t end = std::min(text.find("\r\n"), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 2, text.size()));
    return line;
  }
  static bool is_same(std::string_view name, std::string_view lower) {
    return std::equal(name.begin(), name.end(), lower.begin(), lower.end(), [](char a, char b) {
      return std::tolower(static_cast<unsigned char>(a)) == b;
    });
  }
  static std::string_view trimmed(std::string_view text) {
    const auto first = std::min(text.find_first_not_of(" \t"), text.size());
    text.remove_prefix(first);
    return text.substr(0, text.find_last_not_of(" \t") + 1);
  }
};

/// A status in words.
constexpr const char* reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 421:
      return "Misdirected Request";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Error";
  }
}

/// Status line and fields, but for the length and the empty line. Pages may load and ask nothing
/// but this server, no other page may show or read them, and nobody keeps them.
inline std::string http_head(int status, const std::string& type) {
  std::string head = "HTTP/1.1 " + std::to_string(status) + " " + reason_of(status) + "\r\n";
  head += "Content-Type: " + type + "\r\n";
  if (status == 401) head += "WWW-Authenticate: Bearer\r\n";
  if (status == 405) head += "Allow: GET, HEAD\r\n";
  head +=
      "Connection: close\r\n"
      "Cache-Control: no-store\r\n"
      "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
      "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
      "frame-ancestors 'none'\r\n"
      "Cross-Origin-Resource-Policy: same-origin\r\n"
      "Referrer-Policy: no-referrer\r\n"
      "X-Content-Type-Options: nosniff\r\n";
  return head;
}

/// Whether two texts are the same, in a time that does not depend on where they differ.
inline bool equal_in_constant_time(std::string_view given, std::string_view wanted) {
  volatile unsigned char difference = given.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const char c = i < given.size() ? given[i] : '\0';
    difference = static_cast<unsigned char>(difference | (c ^ wanted[i]));
  }
  return difference == 0;
}

}  // namespace gossamer::observe
