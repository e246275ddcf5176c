/// `Idempotency-Key`: a request that changes something and is sent again gets the answer of the first time.
#pragma once

#include <functional>

#include "controlplane/api/http_message.hpp"
#include "controlplane/api/router.hpp"
#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api {

/// Without a key `handle` is called. With one it is called once: 422 for another request under the same key, 409 for
/// one that a crash cut, and for a commit that has been left since. Refusals and what failed on our side are not kept:
/// they have changed nothing, and may be tried again.
Response answer_once(const Request& request, PolicyService& service, const std::function<Response()>& handle);
/// A handler whose requests are all answered so. Not for answers that hold a secret: they are kept for a day.
Handler once(PolicyService& service, Handler handler);

}  // namespace sluice::cp::api
