#if defined(__x86_64__)
#include "dataplane/acl/isa_avx2.hpp"
// The primitives first: the body is built with them.
#include "dataplane/acl/lookup_body.hpp"
#endif
