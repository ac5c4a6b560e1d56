// SPDX-License-Identifier: MIT
/// By what two runs are told apart.
#include <gossamer/launch/launcher_env.hpp>
#include <gossamer/launch/run_identity.hpp>

#include <tests/launch/variable_map.hpp>
#include <tests/support.hpp>

#include <string>

namespace {

using gossamer::launch::PodName;
using tests::VariableMap;
using tests::with;

std::string identity(const VariableMap& map) {
  return gossamer::launch::run_identity(tests::variables(map));
}

TEST_CASE("A run is told from another one by its launcher's number", "[launch]") {
  CHECK(identity({}).empty());
  CHECK(identity(tests::slurm()) == "SLURM_JOB_ID=1234");
  CHECK(identity(with(tests::torchrun(), "TORCHELASTIC_RUN_ID", "a7")) == "TORCHELASTIC_RUN_ID=a7");
  CHECK(identity({{"PBS_JOBID", "88.head"}}) == "PBS_JOBID=88.head");
  CHECK(identity({{"LSB_JOBID", "9"}}) == "LSB_JOBID=9");
  CHECK(identity({{"PALS_APID", "3f"}}) == "PALS_APID=3f");
  CHECK(identity({{"OMPI_COMM_WORLD_RANK", "0"}, {"PMIX_NAMESPACE", "122"}}) ==
        "PMIX_NAMESPACE=122");
  CHECK(identity({{"JOB_COMPLETION_INDEX", "1"}, {"HOSTNAME", "train-1"}}) == "HOSTNAME=train-*");
  CHECK(identity({{"HOSTNAME", "train-1"}}).empty());
}

TEST_CASE("torchrun's default name of a run tells nothing apart", "[launch][torchrun]") {
  CHECK(identity(tests::torchrun()).empty());
  CHECK(identity(with(tests::torchrun(), "SLURM_JOB_ID", "5")) == "SLURM_JOB_ID=5");
}

TEST_CASE("What a launcher says comes with the run's identity", "[launch]") {
  CHECK(gossamer::launch::launch_from(tests::variables(tests::slurm()))->identity ==
        "SLURM_JOB_ID=1234");
}

TEST_CASE("A pod's name is the set's, a dash and a number", "[launch][kubernetes][parse]") {
  const auto pod = PodName::parse("a-b-12.pods.default");
  REQUIRE(pod);
  CHECK(pod->set == "a-b");
  CHECK(pod->index == "12");
  CHECK(pod->domain == "pods.default");
  CHECK(PodName::parse("a-0")->domain.empty());
  for (const char* bad : {"", "-", "a", "a-", "-1", "a-1b", "a-01", ".a-1", "a.b-1"}) {
    INFO(bad);
    CHECK_FALSE(PodName::parse(bad));
  }
}

}  // namespace
