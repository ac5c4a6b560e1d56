// SPDX-License-Identifier: MIT
/// Metrics as text that Prometheus reads.
#pragma once

#include <gossamer/observe/metrics.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer::observe {

/// What the text is, for the header `Content-Type`.
inline constexpr const char* prometheus_content_type = "text/plain; version=0.0.4; charset=utf-8";

namespace detail {

/// With a backslash before backslashes and, in a label's value, quotes; lines are joined.
inline std::string prometheus_escaped(std::string_view text, bool is_label) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\n') {
      escaped += "\\n";
      continue;
    }
    if (c == '\\' || (is_label && c == '"')) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

inline std::string prometheus_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 32> digits;  // the longest double has 24
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr};
}

}  // namespace detail

/// Families as text; numbers are read back to the bit. Labels must be UTF-8.
///
///     # HELP gossamer_steps_total Local steps.
///     # TYPE gossamer_steps_total counter
///     gossamer_steps_total{node="1"} 7
///
/// Source   "Exposition formats", prometheus.io: text format 0.0.4.
inline std::string prometheus_text(const std::vector<MetricFamily>& families) {
  std::string text;
  for (const MetricFamily& family : families) {
    text += "# HELP " + family.name + " " + detail::prometheus_escaped(family.help, false) + "\n";
    text += "# TYPE " + family.name + (family.is_counter ? " counter\n" : " gauge\n");
    for (const auto& [labels, value] : family.values) {
      text += family.name;
      const char* before = "{";
      for (const auto& [name, label] : labels) {
        text += before + name + "=\"" + detail::prometheus_escaped(label, true) + "\"";
        before = ",";
      }
      text += (labels.empty() ? " " : "} ") + detail::prometheus_number(value) + "\n";
    }
  }
  return text;
}

}  // namespace gossamer::observe
