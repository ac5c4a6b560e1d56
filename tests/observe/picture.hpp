// SPDX-License-Identifier: MIT
/// A trace that was read, for tests of what it shows.
#pragma once

#include <nlohmann/json.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace tests {

/// A time of the file in nanoseconds: whole, so sums are exact.
inline std::int64_t ns(const nlohmann::json& microseconds) {
  return std::llround(microseconds.get<double>() * 1e3);
}

struct Slice {
  std::string name;
  std::int64_t begin;
  std::int64_t end;
};

/// A trace that was read.
struct Picture {
  using json = nlohmann::json;

  explicit Picture(const std::filesystem::path& path) {
    std::ifstream file(path);
    events = json::parse(file);
    std::stable_sort(events.begin(), events.end(), [](const json& a, const json& b) {
      return a.at("ts").get<double>() < b.at("ts").get<double>();
    });
    for (const json& event : events) {
      const std::string kind = event["ph"];
      if (kind == "M" && event["name"] == "thread_name") {
        names[event["tid"]] = event["args"]["name"];
      } else if (kind == "X") {
        const std::int64_t begin = ns(event["ts"]);
        lanes[event["tid"]].push_back({event["name"], begin, begin + ns(event["dur"])});
      }
    }
  }

  /// What is on it: nothing, perhaps, if others were faster.
  [[nodiscard]] std::vector<Slice> lane(const std::string& name) const {
    for (const auto& [tid, its] : names) {
      if (its != name) continue;
      const auto found = lanes.find(tid);
      return found != lanes.end() ? found->second : std::vector<Slice>();
    }
    FAIL("no lane is named " << name);
    return {};
  }
  [[nodiscard]] bool has_lane(const std::string& name) const {
    return std::any_of(names.begin(), names.end(),
                       [&](const auto& entry) { return entry.second == name; });
  }
  /// Nanoseconds of all slices of a name on a lane.
  [[nodiscard]] std::int64_t time(const std::string& lane_name, const std::string& name) const {
    std::int64_t sum = 0;
    for (const Slice& slice : lane(lane_name))
      sum += slice.name == name ? slice.end - slice.begin : 0;
    return sum;
  }
  [[nodiscard]] std::size_t count(const std::string& name) const {
    return static_cast<std::size_t>(std::count_if(
        events.begin(), events.end(), [&](const json& e) { return e["name"] == name; }));
  }
  [[nodiscard]] json first(const std::string& name) const {
    const auto found = std::find_if(events.begin(), events.end(),
                                    [&](const json& e) { return e["name"] == name; });
    return found == events.end() ? json() : *found;
  }

  /// What is wrong with the lanes: a slice that is not on a named lane, or two that overlap and do
  /// not lie within each other.
  [[nodiscard]] std::string bad_lanes() const {
    for (const auto& [tid, unsorted] : lanes) {
      if (names.count(tid) == 0) return "lane " + std::to_string(tid) + " has no name";
      std::vector<Slice> slices = unsorted;
      std::stable_sort(slices.begin(), slices.end(),
                       [](const Slice& a, const Slice& b) { return a.begin < b.begin; });
      std::vector<Slice> around;
      for (const Slice& slice : slices) {
        if (slice.begin < 0 || slice.end < slice.begin) return slice.name + " has no time";
        while (!around.empty() && around.back().end <= slice.begin) around.pop_back();
        if (!around.empty() && around.back().end < slice.end) {
          return names.at(tid) + ": " + slice.name + " at " + std::to_string(slice.begin) +
                 " ends after " + around.back().name + ", in which it begins";
        }
        around.push_back(slice);
      }
    }
    return "";
  }
  /// What is wrong with the arrows: one ends that never began, or ends twice, or before it began,
  /// or not at a slice of that moment. `loose` gets those that have no end.
  [[nodiscard]] std::string bad_flows(std::vector<json>& loose) const {
    std::map<std::uint64_t, json> open;
    for (std::size_t i = 0; i < events.size(); ++i) {
      const json& event = events[i];
      const std::string kind = event["ph"];
      if (kind != "s" && kind != "f") continue;
      std::size_t at = i;  // the slice before it, on its lane
      while (at > 0 && !(events[at]["ph"] == "X" && events[at]["tid"] == event["tid"])) --at;
      if (events[at]["ts"] != event["ts"] || events[at]["dur"] != 0.0)
        return "an arrow hangs loose";
      const std::uint64_t id = event["id"];
      if (kind == "s") {
        if (events[at]["name"] != "send") return "an arrow begins at " + events[at]["name"].dump();
        if (!open.emplace(id, event).second) return "an arrow begins twice";
      } else {
        const auto begin = open.find(id);
        if (begin == open.end()) return "an arrow ends that does not begin";
        if (begin->second["ts"] > event["ts"]) return "an arrow goes back in time";
        if ((begin->second["tid"] == event["tid"]) != (events[at]["name"] == "returned")) {
          return "an arrow ends at the wrong node";
        }
        open.erase(begin);
      }
    }
    for (const auto& [id, event] : open) loose.push_back(event);
    return "";
  }

  json events;
  std::map<int, std::string> names;
  std::map<int, std::vector<Slice>> lanes;
};

}  // namespace tests
