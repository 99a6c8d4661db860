// The routes of the HTTP API that reach agents, and the results they left.
#pragma once

#include <asio/awaitable.hpp>
#include <memory>

#include "net/api_call.h"

namespace ctrlexec {

asio::awaitable<HttpAnswer> api_ping(std::shared_ptr<const ApiCall> call);
asio::awaitable<HttpAnswer> api_discovery(std::shared_ptr<const ApiCall> call);
// Goes on and is stored when the client goes away meanwhile.
asio::awaitable<HttpAnswer> api_run(std::shared_ptr<const ApiCall> call);

}  // namespace ctrlexec
