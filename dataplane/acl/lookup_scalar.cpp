#include "dataplane/acl/isa_scalar.hpp"
// The primitives first: the body is built with them.
#include "dataplane/acl/lookup_body.hpp"
