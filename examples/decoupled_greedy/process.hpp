// SPDX-License-Identifier: MIT
/// One module in a process of its own, over TCP.
#pragma once

#include <cifar10/dataset.hpp>
#include <gossamer/observe/record.hpp>
#include <gossamer/transport/tcp.hpp>

#include <decoupled_greedy/options.hpp>

#include <chrono>

namespace decoupled {

/// What a module's process does over an end of TCP that knows its number, which is the module's:
///
///     batches    come from the module before (module 0 reads them) into a replay buffer, in code,
///                and go to the module after; what that has no room for is dropped
///     steps      each tells how many it has taken (the transport's counters); when all have done,
///                module 0 sends the test images through
///     end        a module has passed all test batches on
///
/// A module that dies stops nobody: those before it drop what it does not take, those after it go
/// on with what their buffers hold. Back again, with `resume` from what it has saved, it is sent
/// whole codebooks first. One that dies during the test cannot make up for it: then the others end
/// after `process.drain_seconds` without news, with an error.
///
/// Threads  the caller's alone.
/// Throws   ConfigError if the others are not there in time, or disagree on the options;
///          std::runtime_error as said.
gossamer::observe::RunRecord::Json run_module(const Options& options, const cifar10::Dataset& data,
                                              gossamer::observe::RunRecord& record,
                                              gossamer::transport::Tcp& tcp);

/// The same with an end made of the command line's options.
gossamer::observe::RunRecord::Json run_process(const Options& options, const cifar10::Dataset& data,
                                               gossamer::observe::RunRecord& record);

}  // namespace decoupled
