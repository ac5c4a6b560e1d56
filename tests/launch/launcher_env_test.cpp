// SPDX-License-Identifier: MIT
/// What launchers say in the environment, and what is made of it.
#include <gossamer/error.hpp>
#include <gossamer/launch/launcher_env.hpp>

#include <tests/support.hpp>

#include <map>
#include <string>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::transport::launch_from;
using gossamer::transport::LaunchInfo;
using gossamer::transport::environment::slurm_hosts;
using Map = std::map<std::string, std::string>;
using Hosts = std::vector<std::string>;

std::optional<LaunchInfo> launch(const Map& map) {
  return launch_from([&](const char* name) {
    const auto at = map.find(name);
    return at != map.end() ? at->second.c_str() : nullptr;
  });
}
std::string refused(const Map& map) {
  return tests::message_of<ConfigError>([&] { (void)launch(map); });
}

const Map& torchrun() {
  static const Map map{
      {"RANK", "3"}, {"WORLD_SIZE", "8"}, {"MASTER_ADDR", "10.0.0.1"}, {"MASTER_PORT", "29500"}};
  return map;
}
Map without(Map map, const std::string& name) {
  map.erase(name);
  return map;
}
Map with(Map map, const std::string& name, const std::string& value) {
  map[name] = value;
  return map;
}

TEST_CASE("An environment without a launcher says nothing", "[transport][tcp]") {
  CHECK_FALSE(launch({}));
  CHECK_FALSE(launch({{"WORLD_SIZE", "8"}, {"SLURM_NODELIST", "a"}}));
  CHECK_FALSE(launch({{"RANK", ""}}));
}

TEST_CASE("torchrun says rank, size, and where rank 0 listens", "[transport][tcp]") {
  const auto found = launch(torchrun());
  REQUIRE(found);
  CHECK(found->launcher == "torchrun");
  CHECK(found->rank == 3);
  CHECK(found->size == 8);
  CHECK(found->first == "10.0.0.1");
  CHECK(found->port == 29500);
}

TEST_CASE("Slurm says rank, size, and by its list of hosts where rank 0 is", "[transport][tcp]") {
  const Map slurm{
      {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_NODELIST", "gpu[07-09],login"}};
  const auto found = launch(slurm);
  REQUIRE(found);
  CHECK(found->launcher == "Slurm");
  CHECK(found->rank == 0);
  CHECK(found->size == 4);
  CHECK(found->first == "gpu07");
  CHECK(found->port == 0);
  CHECK(launch(with(slurm, "SLURM_STEP_NODELIST", "gpu09"))->first == "gpu09");
}

TEST_CASE("OpenMPI says rank and size, and goes before Slurm, which may have started it",
          "[transport][tcp]") {
  const auto found = launch({{"OMPI_COMM_WORLD_RANK", "1"},
                             {"OMPI_COMM_WORLD_SIZE", "2"},
                             {"SLURM_PROCID", "0"},
                             {"SLURM_NTASKS", "1"},
                             {"SLURM_NODELIST", "a"}});
  REQUIRE(found);
  CHECK(found->launcher == "OpenMPI");
  CHECK(found->rank == 1);
  CHECK(found->first.empty());
}

TEST_CASE("A launcher that says half of it, or nonsense, is named", "[transport][tcp]") {
  for (const char* name : {"WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) {
    CHECK_THAT(refused(without(torchrun(), name)),
               tests::contains(std::string(name) + " is not set, but RANK is"));
  }
  CHECK_THAT(refused(with(torchrun(), "RANK", "-1")), tests::contains("RANK must be a whole"));
  CHECK_THAT(refused(with(torchrun(), "RANK", "8")),
             tests::contains("RANK must be below WORLD_SIZE, got 8 of 8"));
  CHECK_THAT(refused(with(torchrun(), "MASTER_PORT", "70000")), tests::contains("MASTER_PORT"));
  CHECK_THAT(refused(with(torchrun(), "WORLD_SIZE", "1e3")), tests::contains("\"1e3\""));
  CHECK_THAT(refused({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "1"}}),
             tests::contains("SLURM_NODELIST is not set, but SLURM_PROCID is"));
}

TEST_CASE("Slurm's list of hosts is read as Slurm writes it", "[transport][tcp][parse]") {
  CHECK((slurm_hosts("a") == Hosts{"a"}));
  CHECK((slurm_hosts("a,b-1") == Hosts{"a", "b-1"}));
  CHECK((slurm_hosts("n[1-3]") == Hosts{"n1", "n2", "n3"}));
  CHECK((slurm_hosts("n[098-101,7]-x,m") ==
         Hosts{"n098-x", "n099-x", "n100-x", "n101-x", "n7-x", "m"}));
  for (const char* bad : {"", ",", "a,", "n[", "n]", "n[]", "n[3-1]", "n[1-]", "n[a]", "n[1][2]",
                          "n[0-999999999]", "n[1-2-3]"}) {
    INFO(bad);
    CHECK_THAT(tests::message_of<ConfigError>([&] { (void)slurm_hosts(bad); }),
               tests::contains("SLURM_NODELIST must be"));
  }
}

}  // namespace
