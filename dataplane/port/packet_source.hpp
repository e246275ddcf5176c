/// A PacketIo that makes packets instead of receiving them, and counts: what the bench puts in a device's place.
#pragma once

#include <cstdint>

#include "dataplane/pipeline/packet.hpp"

namespace sluice::dp {

class PacketSource : public PacketIo {
public:
    virtual std::uint64_t made() const noexcept = 0;     ///< packets given to the worker
    virtual std::uint64_t sent() const noexcept = 0;     ///< packets that the worker sent
    virtual std::uint64_t starved() const noexcept = 0;  ///< receives that found no buffer
};

}  // namespace sluice::dp
