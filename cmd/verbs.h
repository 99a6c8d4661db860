// The functions behind the table in applets.cc; each lives in the file of its name and returns an exit code.
#pragma once

#include "cmd/applet.h"

namespace ctrlexec {

int dispatcher_approve(const Invocation& call);
int dispatcher_ca_info(const Invocation& call);
int dispatcher_ca_pin(const Invocation& call);
int dispatcher_cancel(const Invocation& call);
int dispatcher_config(const Invocation& call);
int dispatcher_deny(const Invocation& call);
int dispatcher_discover(const Invocation& call);
int dispatcher_edit_agent(const Invocation& call);
int dispatcher_export_ca_key(const Invocation& call);
int dispatcher_import_ca_key(const Invocation& call);
int dispatcher_join_token(const Invocation& call);
int dispatcher_list_agents(const Invocation& call);
int dispatcher_list_groups(const Invocation& call);
int dispatcher_list_locks(const Invocation& call);
int dispatcher_list_requests(const Invocation& call);
int dispatcher_maintain(const Invocation& call);
int dispatcher_pairing_mode(const Invocation& call);
int dispatcher_ping(const Invocation& call);
int dispatcher_renew_ca(const Invocation& call);
int dispatcher_revoke(const Invocation& call);
int dispatcher_rotate_cert(const Invocation& call);
int dispatcher_run(const Invocation& call);
int dispatcher_run_status(const Invocation& call);
int dispatcher_serial_status(const Invocation& call);
int dispatcher_setup_ca(const Invocation& call);
int dispatcher_setup_ctrl_exec(const Invocation& call);
int dispatcher_status(const Invocation& call);
int dispatcher_token(const Invocation& call);
int dispatcher_unpair(const Invocation& call);
int dispatcher_wait(const Invocation& call);

int api_serve(const Invocation& call);

int agent_allow(const Invocation& call);
int agent_config(const Invocation& call);
int agent_disallow(const Invocation& call);
int agent_dispatchers(const Invocation& call);
int agent_pairing_confirm(const Invocation& call);
int agent_pairing_status(const Invocation& call);
int agent_reload(const Invocation& call);
int agent_request_pairing(const Invocation& call);
int agent_self_check(const Invocation& call);
int agent_self_ping(const Invocation& call);
int agent_serve(const Invocation& call);

int container_entrypoint(const Invocation& call);
int container_healthcheck(const Invocation& call);

}  // namespace ctrlexec
