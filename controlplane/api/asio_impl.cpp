/// The compiled parts of Asio and Beast, once: with *_SEPARATE_COMPILATION every other file includes declarations only.
#include "controlplane/api/http_session.hpp"

#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
