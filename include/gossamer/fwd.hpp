// SPDX-License-Identifier: MIT
/// Names that every room uses, and forward declarations of the main ones.
#pragma once

#include <cstdint>

namespace gossamer {

/// The number of a node in its group: 0, 1, ...; stable for the life of the group.
using PeerId = std::uint32_t;

class Generator;

namespace model {
class Flat;
class FlatModel;
class Snapshot;
class SnapshotPool;
}  // namespace model

namespace rule {
class AnyRule;
class Rule;
class RuleContext;
}  // namespace rule

namespace transport {
class AnyTransport;
class Transport;
struct Message;
}  // namespace transport

}  // namespace gossamer
