// SPDX-License-Identifier: MIT
/// What launchers say in the environment, and what is made of it.
#include <gossamer/error.hpp>
#include <gossamer/launch/launcher_env.hpp>

#include <tests/launch/variable_map.hpp>
#include <tests/support.hpp>

#include <optional>
#include <string>

namespace {

using gossamer::ConfigError;
using gossamer::launch::launch_from;
using gossamer::launch::LaunchInfo;
using tests::VariableMap;
using tests::with;
using tests::without;

std::optional<LaunchInfo> launch(const VariableMap& map) {
  return launch_from(tests::variables(map));
}
std::string refused(const VariableMap& map) {
  return tests::message_of<ConfigError>([&] { (void)launch(map); });
}

TEST_CASE("An environment without a launcher says nothing", "[launch]") {
  CHECK_FALSE(launch({}));
  CHECK_FALSE(launch({{"WORLD_SIZE", "8"}, {"SLURM_NODELIST", "a"}}));
  CHECK_FALSE(launch({{"RANK", ""}}));
  CHECK_FALSE(launch({{"MASTER_ADDR", "a"}, {"MASTER_PORT", "1"}}));
}

TEST_CASE("torchrun says rank, size, and where rank 0 listens", "[launch][torchrun]") {
  const auto found = launch(tests::torchrun());
  REQUIRE(found);
  CHECK(found->launcher == "torchrun");
  CHECK(found->rank == 3);
  CHECK(found->size == 8);
  CHECK(found->first == "10.0.0.1");
  CHECK(found->port == 29500);
  CHECK_FALSE(found->is_one_machine);
  CHECK(launch(with(tests::torchrun(), "LOCAL_WORLD_SIZE", "8"))->is_one_machine);
  CHECK(launch(without(tests::torchrun(), "TORCHELASTIC_RUN_ID"))->launcher ==
        "RANK and WORLD_SIZE");
}

TEST_CASE("Where torchrun's agent has MASTER_PORT, rank 0 listens on the one beside",
          "[launch][torchrun]") {
  const VariableMap agent = with(tests::torchrun(), "TORCHELASTIC_USE_AGENT_STORE", "True");
  CHECK(launch(agent)->port == 29501);
  CHECK(launch(with(agent, "RANK", "0"))->port == 29501);
  CHECK(launch(with(agent, "MASTER_PORT", "65535"))->port == 65534);
  CHECK(launch(with(agent, "TORCHELASTIC_USE_AGENT_STORE", "False"))->port == 29500);
}

TEST_CASE("Slurm says rank, size, and by its list of hosts where rank 0 is", "[launch][slurm]") {
  const auto found = launch(tests::slurm());
  REQUIRE(found);
  CHECK(found->launcher == "Slurm");
  CHECK(found->rank == 0);
  CHECK(found->size == 4);
  CHECK(found->first == "gpu07");
  CHECK(found->port == 0);
  CHECK_FALSE(found->is_one_machine);
  CHECK(launch(with(tests::slurm(), "SLURM_STEP_NUM_NODES", "1"))->is_one_machine);
  CHECK(launch(with(tests::slurm(), "SLURM_STEP_NUM_TASKS", "2"))->size == 2);
  CHECK(launch(with(tests::slurm(), "SLURM_STEP_NODELIST", "gpu09"))->first == "gpu09");
  CHECK(launch(without(tests::slurm(), "SLURM_JOB_NODELIST"))->first == "old1");
}

TEST_CASE("A shell of salloc or sbatch is no task of Slurm, since nobody starts the others",
          "[launch][slurm]") {
  const VariableMap step = tests::slurm();
  CHECK_FALSE(launch(without(step, "SLURM_STEP_ID")));                           // a batch script
  CHECK_FALSE(launch(without(without(step, "SLURM_STEP_ID"), "SLURM_PROCID")));  // salloc
  CHECK_FALSE(launch(with(step, "SLURM_STEP_ID", "4294967290")));                // interactive step
  CHECK_FALSE(launch(with(step, "SLURM_STEP_ID", "4294967291")));                // batch step
  CHECK(launch(with(step, "SLURM_STEP_ID", "17")));
}

TEST_CASE("OpenMPI says rank and size, and goes before Slurm, which may have started it",
          "[launch][mpi]") {
  const VariableMap map{{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}};
  const auto found = launch(map);
  REQUIRE(found);
  CHECK(found->launcher == "OpenMPI");
  CHECK(found->rank == 1);
  CHECK(found->size == 2);
  CHECK(found->first.empty());
  CHECK_FALSE(found->is_one_machine);
  CHECK(launch(with(map, "OMPI_COMM_WORLD_LOCAL_SIZE", "2"))->is_one_machine);
  VariableMap inside = map;
  inside.insert(tests::slurm().begin(), tests::slurm().end());
  CHECK(launch(inside)->launcher == "OpenMPI");
  CHECK(launch(inside)->first == "gpu07");
  CHECK(launch(with(inside, "MASTER_ADDR", "gpu08"))->first == "gpu08");
}

TEST_CASE("MPICH and Intel MPI say rank and size as PMI does", "[launch][mpi]") {
  const VariableMap map{{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALNRANKS", "1"}};
  const auto found = launch(map);
  REQUIRE(found);
  CHECK(found->launcher == "MPICH or Intel MPI");
  CHECK(found->rank == 1);
  CHECK(found->size == 2);
  CHECK(found->first.empty());
  CHECK_FALSE(found->is_one_machine);
  CHECK(launch(with(map, "MPI_LOCALNRANKS", "2"))->is_one_machine);
}

TEST_CASE("What srun and PMI both say is Slurm's, and what they say differently is PMI's",
          "[launch][mpi][slurm]") {
  const VariableMap both = with(with(tests::slurm(), "PMI_RANK", "0"), "PMI_SIZE", "4");
  CHECK(launch(both)->launcher == "Slurm");
  const auto proxy = launch(with(with(both, "PMI_RANK", "5"), "PMI_SIZE", "8"));
  CHECK(proxy->launcher == "MPICH or Intel MPI");
  CHECK(proxy->rank == 5);
  CHECK(proxy->first == "gpu07");
}

TEST_CASE("PALS says its own rank, and the size as PMI does", "[launch][mpi]") {
  const VariableMap map{
      {"PALS_RANKID", "2"}, {"PMI_RANK", "2"}, {"PMI_SIZE", "3"}, {"PMI_LOCAL_SIZE", "3"}};
  const auto found = launch(map);
  REQUIRE(found);
  CHECK(found->launcher == "PALS");
  CHECK(found->rank == 2);
  CHECK(found->size == 3);
  CHECK(found->is_one_machine);
  CHECK_FALSE(launch(with(map, "PMI_LOCAL_SIZE", "1"))->is_one_machine);
  CHECK_THAT(refused(without(map, "PMI_SIZE")),
             tests::contains("PMI_SIZE is not set, but PALS_RANKID is"));
}

TEST_CASE("An indexed job of Kubernetes says the rank, and WORLD_SIZE and MASTER_ADDR the rest",
          "[launch][kubernetes]") {
  const VariableMap map{{"JOB_COMPLETION_INDEX", "2"}, {"HOSTNAME", "train-2"}};
  const auto found = launch(map);
  REQUIRE(found);
  CHECK(found->launcher == "Kubernetes");
  CHECK(found->rank == 2);
  CHECK(found->size == 0);
  CHECK(found->first.empty());
  CHECK(launch(with(map, "WORLD_SIZE", "4"))->size == 4);
  CHECK(launch(with(map, "MASTER_ADDR", "train-0.pods"))->first == "train-0.pods");
  CHECK(launch(with(map, "HOSTNAME", "train-2.pods.default.svc"))->first ==
        "train-0.pods.default.svc");
  CHECK_THAT(refused(with(map, "WORLD_SIZE", "2")),
             tests::contains("JOB_COMPLETION_INDEX must be below WORLD_SIZE, got 2 of 2"));
  CHECK_THAT(
      refused(with(map, "JOB_COMPLETION_INDEX", "two")),
      tests::contains("JOB_COMPLETION_INDEX must be a whole number") && tests::contains("\"two\""));
}

TEST_CASE("A pod of a StatefulSet is numbered by its name once WORLD_SIZE is set",
          "[launch][kubernetes]") {
  const VariableMap map{{"KUBERNETES_SERVICE_HOST", "10.96.0.1"},
                        {"HOSTNAME", "gossip-mnist-3"},
                        {"WORLD_SIZE", "4"},
                        {"MASTER_ADDR", "gossip-mnist-0.pods"}};
  const auto found = launch(map);
  REQUIRE(found);
  CHECK(found->launcher == "Kubernetes");
  CHECK(found->rank == 3);
  CHECK(found->size == 4);
  CHECK(found->first == "gossip-mnist-0.pods");
  CHECK_FALSE(launch(without(map, "WORLD_SIZE")));
  CHECK_FALSE(launch(without(map, "KUBERNETES_SERVICE_HOST")));
  CHECK_FALSE(launch(with(map, "HOSTNAME", "web-5d8f7c-x7k2p")));  // a Deployment's
  CHECK_FALSE(launch(with(map, "HOSTNAME", "web-")));
  CHECK_FALSE(launch(with(map, "HOSTNAME", "web-03")));
  CHECK_THAT(refused(with(map, "WORLD_SIZE", "3")),
             tests::contains("HOSTNAME must be below WORLD_SIZE, got 3 of 3"));
}

TEST_CASE("A launcher that says half of it, or nonsense, is named", "[launch]") {
  CHECK_THAT(refused(without(tests::torchrun(), "WORLD_SIZE")),
             tests::contains("WORLD_SIZE is not set, but RANK is"));
  CHECK_THAT(refused(with(tests::torchrun(), "RANK", "-1")),
             tests::contains("RANK must be a whole"));
  CHECK_THAT(refused(with(tests::torchrun(), "RANK", "8")),
             tests::contains("RANK must be below WORLD_SIZE, got 8 of 8"));
  CHECK_THAT(refused(with(tests::torchrun(), "MASTER_PORT", "70000")),
             tests::contains("MASTER_PORT must be a whole number up to 65535, is \"70000\""));
  CHECK_THAT(refused(with(tests::torchrun(), "MASTER_PORT", "0")),
             tests::contains("MASTER_PORT must not be 0"));
  CHECK_THAT(refused(with(tests::torchrun(), "WORLD_SIZE", "1e3")), tests::contains("\"1e3\""));
  CHECK_THAT(refused({{"OMPI_COMM_WORLD_RANK", "0"}}),
             tests::contains("OMPI_COMM_WORLD_SIZE is not set, but OMPI_COMM_WORLD_RANK is"));
  CHECK_THAT(refused({{"PMI_RANK", "0"}}), tests::contains("PMI_SIZE is not set, but PMI_RANK is"));
  const VariableMap alone{{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "1"}, {"SLURM_STEP_ID", "0"}};
  CHECK_THAT(refused(alone), tests::contains("SLURM_NODELIST is not set, but SLURM_PROCID is"));
  CHECK_THAT(refused(with(alone, "SLURM_STEP_ID", "x")),
             tests::contains("SLURM_STEP_ID must be a whole number"));
}

}  // namespace
