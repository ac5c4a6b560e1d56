// SPDX-License-Identifier: MIT
/// A group as rows of text: a table of its nodes, the last events, how far it is.
#pragma once

#include <gossamer/observe/progress.hpp>
#include <gossamer/observe/watch_view.hpp>
#include <gossamer/peers.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossamer::observe {

/// By what the table's rows are sorted; nodes of which it is not known come last.
enum class DashboardOrder { number, steps, speed, loss, weight, age, state };

/// Steps per second of the group's clock and mean loss of each node over the last two seconds or
/// so, of views that follow each other.
///
/// Threads  one at a time.
class DashboardRates {
 public:
  /// Not-a-number: not known yet.
  struct Rates {
    double speed = std::numeric_limits<double>::quiet_NaN();
    double loss = std::numeric_limits<double>::quiet_NaN();
  };

  void look_at(const WatchView& view) {
    if (!view.group) return;
    for (const WatchView::Node& node : view.nodes) {
      if (!node.counters) continue;
      const Counters& now = *node.counters;
      Kept& kept = nodes_[node.id];
      if (now.steps < kept.steps) kept = {};  // it has begun anew
      const double seconds = view.group->elapsed - kept.elapsed;
      const bool is_long = seconds >= window;
      if (!is_long && (!std::isnan(kept.rates.speed) || seconds <= 0)) continue;
      const auto steps = static_cast<double>(now.steps - kept.steps);
      kept.rates.speed = steps / seconds;
      if (steps > 0) kept.rates.loss = (now.loss_sum - kept.loss_sum) / steps;
      kept = {view.group->elapsed, now.steps, now.loss_sum, kept.rates};
    }
  }
  [[nodiscard]] Rates of(PeerId node) const {
    const auto found = nodes_.find(node);
    return found != nodes_.end() ? found->second.rates : Rates();
  }

 private:
  static constexpr double window = 2;  // seconds
  struct Kept {
    double elapsed = 0;
    std::uint64_t steps = 0;
    double loss_sum = 0;
    Rates rates;
  };
  std::map<PeerId, Kept> nodes_;
};

/// How a view is looked at.
struct DashboardLook {
  std::size_t width = 80;
  std::size_t height = 24;
  DashboardOrder order = DashboardOrder::number;
  std::size_t first = 0;         ///< row of the table that comes first, if there are so many
  std::string progress;          ///< a line; may be empty
  std::vector<std::string> log;  ///< the last lines that the program has said
  const DashboardRates* rates = nullptr;  ///< null: none are known
};

/// The rows to be shown, `height` of them, none longer than `width`: ASCII without control
/// characters.
struct DashboardPage {
  enum class Style { plain, strong, reverse, dim, alarm };
  /// One line.
  struct Row {
    std::string text;
    Style style = Style::plain;
  };
  std::vector<Row> rows;
  std::size_t first = 0;  ///< row of the table that comes first,
  std::size_t shown = 0;  ///< how many are there,
  std::size_t nodes = 0;  ///< of so many
};

namespace detail {

/// As ASCII that moves no cursor, cut to `width`.
inline std::string printable(std::string_view text, std::size_t width) {
  std::string shown(text.substr(0, width));
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = c == '\t' ? ' ' : '?';
  }
  return shown;
}

template <class... Numbers>
std::string formatted(const char* format, Numbers... numbers) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, numbers...);
  return text.data();
}

/// A number in at most nine characters: 1,234,567 or 12.3 G.
inline std::string short_count(std::uint64_t number) {
  if (number < 10'000'000) return grouped(number);
  auto value = static_cast<double>(number);
  const char* unit = "kMGTPE";
  for (value /= 1000; value >= 1000; value /= 1000) ++unit;
  return formatted("%.4g %c", value, *unit);
}
inline std::string short_bytes(std::uint64_t bytes) {
  if (bytes < 1000) return std::to_string(bytes) + " B";
  auto value = static_cast<double>(bytes);
  const char* unit = "kMGTPE";
  for (value /= 1000; value >= 999.5; value /= 1000) ++unit;
  return formatted("%.3g %cB", value, *unit);
}
inline std::string short_seconds(double seconds) {
  if (seconds < 0.0995) return formatted("%.3g ms", 1000 * seconds);
  if (seconds < 100) return formatted("%.3g s", seconds);
  return clock(seconds);
}
inline std::string known(double number, const char* format) {
  return std::isfinite(number) ? formatted(format, number) : "-";
}

/// A node with what is known of it, as the table shows and sorts it.
struct DashboardNode {
  const WatchView::Node* node;
  DashboardRates::Rates rates;

  [[nodiscard]] std::string count(std::uint64_t Counters::*which) const {
    return node->counters ? short_count((*node->counters).*which) : "-";
  }
  /// Small ones come first.
  [[nodiscard]] double key(DashboardOrder order) const {
    constexpr double last = std::numeric_limits<double>::infinity();
    const auto or_last = [](double number) { return std::isnan(number) ? last : number; };
    switch (order) {
      case DashboardOrder::steps:
        return node->counters ? static_cast<double>(node->counters->steps) : last;
      case DashboardOrder::speed:
        return or_last(rates.speed);
      case DashboardOrder::loss:
        return or_last(-rates.loss);
      case DashboardOrder::weight:
        return node->counters ? -node->counters->weight : last;
      case DashboardOrder::age:
        return node->age ? -*node->age : last;
      default:
        return 0;
    }
  }
};

/// A column, in the order of the table; those of a small `rank` are there in a narrow one, too.
struct DashboardColumn {
  const char* head;
  std::size_t width;
  int rank;
  std::string (*cell)(const DashboardNode&);
};

inline constexpr std::array<DashboardColumn, 14> dashboard_columns{{
    {"node", 5, 0, [](const DashboardNode& n) { return std::to_string(n.node->id); }},
    {"where", 21, 13,
     [](const DashboardNode& n) { return n.node->here ? std::string("here") : n.node->address; }},
    {"steps", 9, 2, [](const DashboardNode& n) { return n.count(&Counters::steps); }},
    {"steps/s", 7, 4, [](const DashboardNode& n) { return known(n.rates.speed, "%.4g"); }},
    {"samples", 9, 11, [](const DashboardNode& n) { return n.count(&Counters::samples); }},
    {"loss", 7, 3, [](const DashboardNode& n) { return known(n.rates.loss, "%.4g"); }},
    {"weight", 7, 5,
     [](const DashboardNode& n) {
       return n.node->counters ? known(n.node->counters->weight, "%.4g") : "-";
     }},
    {"sent", 9, 8, [](const DashboardNode& n) { return n.count(&Counters::messages_sent); }},
    {"merged", 9, 9, [](const DashboardNode& n) { return n.count(&Counters::messages_merged); }},
    {"returned", 9, 12,
     [](const DashboardNode& n) { return n.count(&Counters::messages_returned); }},
    {"bytes", 8, 7,
     [](const DashboardNode& n) {
       return n.node->counters ? short_bytes(n.node->counters->bytes_sent) : "-";
     }},
    {"trip", 8, 10,
     [](const DashboardNode& n) {
       const bool is_known = n.node->round_trip && *n.node->round_trip > 0;
       return is_known ? short_seconds(*n.node->round_trip) : "-";
     }},
    {"age", 7, 6,
     [](const DashboardNode& n) { return n.node->age ? short_seconds(*n.node->age) : "-"; }},
    {"state", 13, 1, [](const DashboardNode& n) { return n.node->state; }},
}};

/// Which columns fit, the important ones first.
inline std::array<bool, dashboard_columns.size()> columns_within(std::size_t width) {
  std::array<bool, dashboard_columns.size()> fits{};
  std::size_t used = 0;
  for (int rank = 0; rank < static_cast<int>(fits.size()); ++rank) {
    for (std::size_t i = 0; i < fits.size(); ++i) {
      const DashboardColumn& column = dashboard_columns[i];
      const std::size_t more = column.width + (used > 0 ? 1 : 0);
      if (column.rank != rank || used + more > width) continue;
      fits[i] = true;
      used += more;
    }
  }
  return fits;
}

/// One row of the table; text is on the left of its column, numbers are on the right.
template <class Cell>
std::string table_row(std::size_t width, Cell cell) {
  const auto fits = columns_within(width);
  std::string row;
  for (std::size_t i = 0; i < fits.size(); ++i) {
    const DashboardColumn& column = dashboard_columns[i];
    if (!fits[i]) continue;
    if (!row.empty()) row += ' ';
    const std::string text = printable(cell(column), column.width);
    const std::string blank(column.width - text.size(), ' ');
    const bool is_text =
        std::string_view(column.head) == "where" || std::string_view(column.head) == "state";
    row += is_text ? text + blank : blank + text;
  }
  return row;
}

inline std::vector<DashboardNode> sorted_nodes(const WatchView& view, const DashboardLook& look) {
  std::vector<DashboardNode> nodes;
  for (const WatchView::Node& node : view.nodes) {
    nodes.push_back(
        {&node, look.rates != nullptr ? look.rates->of(node.id) : DashboardRates::Rates()});
  }
  std::stable_sort(nodes.begin(), nodes.end(),
                   [&](const auto& a, const auto& b) { return a.node->id < b.node->id; });
  std::stable_sort(nodes.begin(), nodes.end(), [&](const auto& a, const auto& b) {
    if (look.order == DashboardOrder::state) return a.node->state < b.node->state;
    return a.key(look.order) < b.key(look.order);
  });
  return nodes;
}

inline bool is_alarming(const std::string& state) {
  constexpr std::array<std::string_view, 5> words{"lost", "suspected", "crashed", "failed",
                                                  "not connected"};
  return std::find(words.begin(), words.end(), state) != words.end();
}
inline bool is_over(const std::string& state) {
  return state == "left" || state == "finished" || state == "gone";
}

inline const char* name_of(DashboardOrder order) {
  constexpr std::array<const char*, 7> names{"node",   "fewest steps", "slowest", "highest loss",
                                             "weight", "oldest news",  "state"};
  return names[static_cast<std::size_t>(order)];
}

inline std::string title(const WatchView& view) {
  std::string text = "gossamer " GOSSAMER_VERSION;
  if (view.group) {
    text += std::string("  ") + (view.running ? "running " : "resting ") +
            clock(view.group->elapsed) + (view.group->is_virtual ? " of virtual time" : "");
  } else {
    text += "  not begun";
  }
  for (const auto& [name, value] : view.about) text += "  " + name + " " + value;
  return text;
}
inline std::string totals(const WatchView& view) {
  if (!view.group) return "";
  const Counters& all = view.group->totals;
  const auto curve = view.curves.find("train_loss");
  const bool has_loss = curve != view.curves.end() && !curve->second.points().empty();
  const double loss = has_loss ? curve->second.points().back().value : std::nan("");
  return "steps " + grouped(all.steps) + "  samples " + grouped(all.samples) + "  loss " +
         known(loss, "%.4g") + "  messages " + short_count(all.messages_sent) + " sent, " +
         short_count(all.messages_merged) + " merged, " + short_count(all.messages_returned) +
         " returned, " + short_bytes(all.bytes_sent);
}

}  // namespace detail

/// Draws a view: what the run is, its totals, progress, the table, the last events, the last lines
/// of the log, and the keys. A small page goes without some of these.
inline DashboardPage dashboard_page(const WatchView& view, const DashboardLook& look) {
  using Style = DashboardPage::Style;
  DashboardPage page;
  const auto add = [&](std::string_view text, Style style) {
    if (page.rows.size() >= look.height) return;
    page.rows.push_back({detail::printable(text, look.width), style});
  };
  const std::vector<detail::DashboardNode> nodes = detail::sorted_nodes(view, look);
  add(detail::title(view), Style::strong);
  add(detail::totals(view), Style::plain);
  if (!look.progress.empty()) add(look.progress, Style::plain);
  add(detail::table_row(look.width, [](const auto& column) { return std::string(column.head); }),
      Style::reverse);
  // What is left is the table's; but a fifth of the page may be events, and a fifth the log.
  const std::size_t used = std::min(look.height, page.rows.size() + 1);  // and the keys
  const std::size_t events = std::min(view.events.size(), look.height / 5);
  const std::size_t log = std::min(look.log.size(), look.height / 5);
  const std::size_t below = std::min(look.height - used, events + log);
  const std::size_t room = look.height - used - below;
  page.nodes = nodes.size();
  page.first = std::min(look.first, nodes.size() - std::min(nodes.size(), room));
  page.shown = std::min(room, nodes.size() - page.first);
  for (std::size_t i = page.first; i < page.first + page.shown; ++i) {
    const std::string& state = nodes[i].node->state;
    add(detail::table_row(look.width, [&](const auto& column) { return column.cell(nodes[i]); }),
        detail::is_alarming(state) ? Style::alarm
                                   : (detail::is_over(state) ? Style::dim : Style::plain));
  }
  while (page.rows.size() + below + 1 < look.height) add("", Style::plain);
  const std::size_t free = look.height - std::min(look.height, page.rows.size() + 1);
  const std::size_t first_event = view.events.size() - std::min(events, free);
  for (std::size_t i = first_event; i < view.events.size(); ++i) {
    const WatchView::Event& one = view.events[i];
    add(clock(one.seconds) + "  node " + std::to_string(one.node) + " " + one.what, Style::dim);
  }
  const std::size_t rest = look.height - std::min(look.height, page.rows.size() + 1);
  for (std::size_t i = look.log.size() - std::min(log, rest); i < look.log.size(); ++i) {
    add(look.log[i], Style::plain);
  }
  std::string keys = "q leave  s sort: " + std::string(detail::name_of(look.order)) + "  nodes ";
  keys += page.nodes == 0 ? "0" : std::to_string(page.first + 1);
  keys += " to " + std::to_string(page.first + page.shown) + " of " + std::to_string(page.nodes);
  add(keys + "  j/k arrows scroll", Style::reverse);
  return page;
}

}  // namespace gossamer::observe
