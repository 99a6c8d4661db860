#include "net/dispatcher_tls.h"

#include "core/serial_list.h"

namespace ctrlexec {

Result<std::shared_ptr<TlsContext>> dispatcher_tls(const DispatcherConfig& config, const Identity& identity) {
    TRY(SerialList revoked, SerialList::load(config.revoked_serials()));
    TlsContext::Options options;
    options.role = TlsContext::Role::client;
    options.certificate = &identity.certificate;
    options.key = &identity.key;
    options.authority = &identity.authority;
    options.revoked = std::make_shared<const SerialList>(std::move(revoked));
    options.resumption = true;
    return TlsContext::create(options);
}

}  // namespace ctrlexec
