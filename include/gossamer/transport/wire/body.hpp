// SPDX-License-Identifier: MIT
/// A frame of any kind, as a value.
#pragma once

#include <gossamer/transport/wire/bodies.hpp>
#include <gossamer/transport/wire/delivery.hpp>

#include <variant>

namespace gossamer::transport::wire {

/// What one frame says. Payload or code of a `DeliveryBody` hang on its offer.
using Body = std::variant<Hello, Model, DeliveryBody, Members, Refusal, Ping, Piece>;

}  // namespace gossamer::transport::wire
