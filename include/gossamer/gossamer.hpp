// SPDX-License-Identifier: MIT
/// Everything that needs LibTorch and spdlog only; one line per room. Not here, since they need
/// more: <gossamer/node/signals.hpp> (Asio), <gossamer/node/checkpoint.hpp> (xxHash),
/// <gossamer/gzip.hpp> (zlib), <gossamer/topology/graphml.hpp> (TinyXML-2), graph_file.hpp there
/// (both), <gossamer/observe/record.hpp>, group_record.hpp and run_recorder.hpp there
/// (nlohmann/json), <gossamer/observe/digest.hpp> and <gossamer/transport/tcp/stream.hpp>
/// (OpenSSL); nor, since programs that train rarely need it, <gossamer/topology/spectrum.hpp>: what
/// is known of a graph before anybody trains on it, <gossamer/rule/registry.hpp>, that of
/// topologies and that of schedules, for programs that take names, and
/// <gossamer/optim/adahessian.hpp> and <gossamer/node/gradient_overlap.hpp>, whose LibTorch headers
/// take long to read.
#pragma once

// clang-format off
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/version.hpp>

// model/: the model as one flat vector
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/mix.hpp>
#include <gossamer/model/snapshot.hpp>

// rule/: how two models meet
#include <gossamer/rule/a2cid2.hpp>
#include <gossamer/rule/acco.hpp>
#include <gossamer/rule/ad_psgd.hpp>
#include <gossamer/rule/async_diloco.hpp>
#include <gossamer/rule/d_psgd.hpp>
#include <gossamer/rule/downpour.hpp>
#include <gossamer/rule/dynamic_weighting.hpp>
#include <gossamer/rule/easgd.hpp>
#include <gossamer/rule/elastic_gossip.hpp>
#include <gossamer/rule/gasloc.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/rule/gossip_pga.hpp>
#include <gossamer/rule/gossiping_sgd.hpp>
#include <gossamer/rule/leader_sgd.hpp>
#include <gossamer/rule/ledger_gossip.hpp>
#include <gossamer/rule/noloco.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/post_local.hpp>
#include <gossamer/rule/push_sum.hpp>
#include <gossamer/rule/sgp.hpp>
#include <gossamer/rule/slow_momentum.hpp>
#include <gossamer/rule/sync.hpp>
#include <gossamer/rule/switch_after.hpp>

// topology/: whom to meet
#include <gossamer/topology/complete.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/topology/permutation.hpp>
#include <gossamer/topology/preferential_attachment.hpp>
#include <gossamer/topology/random_regular.hpp>
#include <gossamer/topology/ring.hpp>
#include <gossamer/topology/sequence.hpp>
#include <gossamer/topology/small_world.hpp>
#include <gossamer/topology/torus.hpp>
#include <gossamer/topology/trees.hpp>
#include <gossamer/topology/two_choices.hpp>
#include <gossamer/topology/two_way.hpp>
#include <gossamer/topology/uniform.hpp>
#include <gossamer/topology/weighted.hpp>

// schedule/: when to meet
#include <gossamer/schedule/bandwidth.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/schedule/poisson.hpp>

// transport/: how a message travels
#include <gossamer/transport/threads.hpp>

// node/: the loop, the hooks, start and stop
#include <gossamer/node/allocator.hpp>
#include <gossamer/node/gossip.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/thread_group.hpp>

// observe/: what can be seen
#include <gossamer/observe/consensus.hpp>
#include <gossamer/observe/progress.hpp>
// clang-format on
