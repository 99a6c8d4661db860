// What the HTTP API says about itself.
#pragma once

#include <asio/awaitable.hpp>
#include <memory>

#include "net/api_call.h"

namespace ctrlexec {

json::Value api_index(json::Array endpoints);
HttpAnswer api_health();
HttpAnswer one_word(int status, std::string_view word);  // text/plain

asio::awaitable<HttpAnswer> api_document(std::shared_ptr<const ApiCall> call);
// The same with the registered hosts and the script names seen so far as enums.
asio::awaitable<HttpAnswer> api_live_document(std::shared_ptr<const ApiCall> call);

// GET /docs: a page that shows the document and can try a call.
asio::awaitable<HttpAnswer> api_docs(std::shared_ptr<const ApiCall> call);

// net/docs.html, and what it may do in a browser.
extern const std::string_view docs_page;
extern const std::string_view docs_page_policy;

// The OpenAPI 3.1 document: net/openapi.json.
extern const std::string_view openapi_text;

}  // namespace ctrlexec
