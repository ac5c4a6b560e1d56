// SPDX-License-Identifier: MIT
/// Environments as maps, for the tests of launchers.
#pragma once

#include <gossamer/launch/variables.hpp>

#include <map>
#include <string>

namespace tests {

using VariableMap = std::map<std::string, std::string>;

/// Looks into `map`, which must live as long.
inline gossamer::launch::Variables variables(const VariableMap& map) {
  return [&map](const char* name) {
    const auto at = map.find(name);
    return at != map.end() ? at->second.c_str() : nullptr;
  };
}
inline VariableMap without(VariableMap map, const std::string& name) {
  map.erase(name);
  return map;
}
inline VariableMap with(VariableMap map, const std::string& name, const std::string& value) {
  map[name] = value;
  return map;
}

/// Rank 3 of 8 on several machines.
inline const VariableMap& torchrun() {
  static const VariableMap map{{"RANK", "3"},
                               {"WORLD_SIZE", "8"},
                               {"LOCAL_WORLD_SIZE", "4"},
                               {"MASTER_ADDR", "10.0.0.1"},
                               {"MASTER_PORT", "29500"},
                               {"TORCHELASTIC_RUN_ID", "none"},
                               {"TORCHELASTIC_USE_AGENT_STORE", "False"}};
  return map;
}
/// Task 0 of 4 of a step on three machines.
inline const VariableMap& slurm() {
  static const VariableMap map{{"SLURM_JOB_ID", "1234"},
                               {"SLURM_STEP_ID", "0"},
                               {"SLURM_PROCID", "0"},
                               {"SLURM_NTASKS", "4"},
                               {"SLURM_STEP_NUM_NODES", "3"},
                               {"SLURM_NODELIST", "old1"},
                               {"SLURM_JOB_NODELIST", "gpu[07-09],login"}};
  return map;
}

}  // namespace tests
