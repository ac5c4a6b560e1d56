// SPDX-License-Identifier: MIT
/// Writes a run's folder. Needs nlohmann/json, hence not part of gossamer.hpp.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/group_record.hpp>
#include <gossamer/observe/record.hpp>
#include <gossamer/version.hpp>

#include <torch/version.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>

namespace gossamer::observe {

/// Adds a line to a `RunRecord` at each evaluation:
///
///     auto recorder = std::make_shared<observe::RunRecorder>("runs/first");
///     ThreadGroup<MyNode> group(GroupOptions(8).callback(recorder), rule::GoSgd(0.02));
///     group.run_until(StopCondition().samples(500'000));
///     group.evaluated({{"test_accuracy", accuracy(group.mean())}});
///     recorder->record().write_summary(recorder->summary(group.state()));
///
/// A line has seconds, samples, steps, the mean loss since the line before, what the evaluation has
/// found, and what `exchange_record` and `node_record` say of the group.
///
/// Threads  the one that owns the group.
/// Throws   as `RunRecord`.
class RunRecorder final : public Callback {
 public:
  using Json = RunRecord::Json;

  /// `unit` is the key under which samples are counted: "images".
  explicit RunRecorder(std::filesystem::path folder, bool resuming = false,
                       std::string unit = "samples")
      : record_(std::move(folder), resuming), unit_(std::move(unit)) {}

  [[nodiscard]] RunRecord& record() { return record_; }
  /// The last line, or an empty object.
  [[nodiscard]] const Json& last() const { return last_; }
  /// A number of it.
  [[nodiscard]] double last(const char* key, double otherwise) const {
    const auto found = last_.find(key);
    return found != last_.end() && found->is_number() ? found->get<double>() : otherwise;
  }

  void on_evaluation(Time, const Evaluation& found, const GroupState& state) override {
    const auto steps = static_cast<double>(state.totals.steps - steps_before_);
    const double loss =
        steps > 0 ? (state.totals.loss_sum - loss_before_) / steps : last("train_loss", 0);
    steps_before_ = state.totals.steps;
    loss_before_ = state.totals.loss_sum;
    Json line = time_record(state);
    line.update(Json{{unit_, state.totals.samples}, {"steps", state.totals.steps}});
    line["train_loss"] = loss;
    for (const auto& [name, value] : found) {
      line[name] = std::visit([](auto number) { return json_of(number); }, value);
    }
    line.update(exchange_record(state));
    line.update(node_record(state));
    last_ = std::move(line);
    record_.add(last_);
  }

  /// The last line with what has changed since, speed and versions. More keys may be set.
  [[nodiscard]] Json summary(const GroupState& state) const {
    Json text = last_;
    text[unit_] = state.totals.samples;
    text["steps"] = state.totals.steps;
    text.update(time_record(state));
    const double wall = state.wall.count();
    text[unit_ + "_per_second"] = wall > 0 ? static_cast<double>(state.totals.samples) / wall : 0.0;
    text.update(exchange_record(state));
    text["version"] = GOSSAMER_VERSION;
    text["libtorch"] = TORCH_VERSION;
    return text;
  }

  /// Saves or restores what the next line depends on.
  void checkpoint(Archive& archive) {
    archive("steps_before", steps_before_);
    archive("loss_before", loss_before_);
    std::string last = last_.dump();
    archive("last", last);
    last_ = Json::parse(last);
  }
  /// After a restore: drops the lines that were written after so many samples.
  void rewind(std::uint64_t samples) {
    record_.rewind([this, samples](const Json& line) {
      return line.value(unit_, std::uint64_t{0}) <= samples;
    });
  }

 private:
  static Json json_of(std::uint64_t count) { return count; }
  static Json json_of(double number) { return std::isfinite(number) ? Json(number) : Json(); }

  RunRecord record_;
  std::string unit_;
  Json last_ = Json::object();
  std::uint64_t steps_before_ = 0;
  double loss_before_ = 0;
};

}  // namespace gossamer::observe
