// The routes of the HTTP API: what each path answers, and who may ask.
#pragma once

#include <asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "net/api_call.h"

namespace ctrlexec {

// The answer to any request, errors included. Logs it.
asio::awaitable<HttpAnswer> answer_api_request(std::shared_ptr<const ApiSnapshot> snapshot,
                                               std::shared_ptr<ApiState> state, std::string source_ip,
                                               HttpMessage request);

// The answer to bytes that were no request.
HttpAnswer malformed_api_request(ApiState& state, const Error& error);

// Every route as {"method","path"}, for GET / and for tests.
json::Array api_endpoints();

}  // namespace ctrlexec
