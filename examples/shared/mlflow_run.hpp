// SPDX-License-Identifier: MIT
/// A program's run among MLflow's.
#pragma once

#include <gossamer/observe/mlflow.hpp>
#include <shared/description.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

namespace examples {

/// The run in `all`, MLflow's folder; null if that is empty. It is called as its own folder, which
/// of a process of many is one in the run's.
inline std::shared_ptr<gossamer::observe::MLflow> make_mlflow(
    const std::filesystem::path& all, const std::string& program,
    const std::filesystem::path& folder, bool is_process,
    const nlohmann::ordered_json& description) {
  if (all.empty()) return nullptr;
  std::string name = folder.filename().string();
  if (is_process) name = folder.parent_path().filename().string() + "/" + name;
  return std::make_shared<gossamer::observe::MLflow>(
      gossamer::observe::MLflowOptions(all).experiment(program).name(name).parameters(
          as_text(description)));
}

/// Ends it, if there is one, and says on standard error what MLflow could not be told.
inline void end_mlflow(const std::shared_ptr<gossamer::observe::MLflow>& run,
                       const std::string& program, bool is_killed, bool has_failed) {
  using Status = gossamer::observe::MLflowRun::Status;
  if (!run) return;
  const Status end = is_killed ? Status::killed : Status::finished;
  run->end(has_failed ? Status::failed : end);
  const std::string& lacks = run->error();
  if (!lacks.empty()) std::cerr << program + ": --mlflow: " + lacks + '\n';
}

}  // namespace examples
