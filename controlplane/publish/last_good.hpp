/// The running generation on disk, for a dataplane that starts without anybody to ask: after a reboot, before the
/// control plane is up. The control plane writes it when a generation is adopted (and confirmed, if that was asked);
/// the dataplane only reads.
/// The layout stands in <sluice/abi/last_good.hpp>.
#pragma once

#include <string>

#include "controlplane/publish/generation_memfds.hpp"
#include "controlplane/store/durable_file.hpp"

namespace sluice::cp {

Expected<void, FileError> write_last_good(FileOps& ops, const std::string& dir, const GenerationBytes& generation);

}  // namespace sluice::cp
