// SPDX-License-Identifier: MIT
/// A training program in any number of processes, on any machines, in three lines. Needs OpenSSL
/// and xxHash (the target gossamer::tcp), and includes no rule but the one of the papers.
///
/// The target gossamer::distributed compiles `join_run` once, apart, with all of TCP behind it:
/// files that include this are then compiled in about the time that torch/torch.h takes.
#pragma once

#include <gossamer/distributed/options.hpp>
#include <gossamer/node/checkpoint.hpp>
#include <gossamer/node/gossip.hpp>
#include <gossamer/node/options.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/rule.hpp>

namespace gossamer {

/// This process's place in a run, for a `Gossip`:
///
///     gossamer::Gossip gossip(gossamer::join_run(gossamer::rule::GoSgd(0.02)), model);
///     ... gossip.step(loss.item<double>());
///
/// How it begins follows from the environment, the launcher's (launch/launcher_env.hpp) and
/// GOSSAMER_* (the table is in node/README.md):
///
///     nothing is set           a group of one: the program runs as without Gossamer
///     a launcher's rank        one of those that the run begins with; waits for the others. One
///                              that is started again with its rank comes back: from a member's
///                              model, with half of its weight
///     a contact and no rank    a newcomer, which starts in the same way
///
/// GOSSAMER_TRANSPORT=mpi takes MPI in place of TCP, in a program that includes
/// distributed/mpi.hpp; GOSSAMER_WATCH serves a live page.
///
/// Throws   ConfigError, naming the variable, if one makes no sense, or lacks another one that it
///          needs; and, with the last reason, if nobody is there in time.
/// Threads  the place is for the thread that uses the `Gossip`; TCP has one thread of its own.
#ifdef GOSSAMER_SEPARATE_COMPILATION
Context join_run(const rule::AnyRule& rule, const RunOptions& options = {});
#else
inline Context join_run(const rule::AnyRule& rule, const RunOptions& options = {});
#endif

}  // namespace gossamer

#ifndef GOSSAMER_SEPARATE_COMPILATION
#include <gossamer/distributed/join_run.hpp>
#endif
