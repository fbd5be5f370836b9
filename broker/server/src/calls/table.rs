//! The broker's calls: names, parameters, and who may make them. (Specification 4.)

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ave_protocol::arguments::Signature;

/// Who may make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Everybody.
    Everybody,
    /// Clients that own a session, which are those without a key.
    Clients,
    /// The holder of this account's key; everybody if the account has none.
    Account(&'static str),
}

/// A call of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    AddEquipment,
    BeginHandover,
    CloseSession,
    DropAllShares,
    DropShare,
    EndHandover,
    Get,
    GetMulti,
    GetProfile,
    GetStatus,
    GetVersion,
    ListAllocations,
    ListAllocationsAll,
    ListAllocators,
    ListAvailable,
    ListCollateral,
    ListCollateralAll,
    ListEquipment,
    ListHandsets,
    ListHolders,
    ListRelays,
    ListShares,
    ListStacks,
    Obsolete,
    ResetEquipment,
    RestartSharing,
    Serialize,
    SetEquipment,
    SetLogLevel,
    SetStacks,
    SetWorkspaceProfile,
    ShareHello,
    ShareUpdate,
    StartSharing,
    Stop,
    StopSharing,
    YieldResources,
}

impl Method {
    /// Whether only the process that rules can do anything about it.
    pub(crate) fn is_for_the_ruler(self) -> bool {
        use Method::*;
        matches!(
            self,
            AddEquipment
                | ResetEquipment
                | RestartSharing
                | SetEquipment
                | SetStacks
                | SetWorkspaceProfile
                | ShareHello
                | ShareUpdate
                | StartSharing
        )
    }
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Rpc {
    pub(crate) signature: Signature,
    pub(crate) rights: Rights,
    pub(crate) method: Method,
}

const ADMIN: Rights = Rights::Account("admin");
const SHARE: Rights = Rights::Account("share");

const ROWS: &[(&str, Rights, Method)] = &[
    // 4.1
    ("get(*profiles)", Rights::Clients, Method::Get),
    ("get_resource(*profiles)", Rights::Clients, Method::Get),
    ("get_resources(*profiles)", Rights::Clients, Method::Get),
    ("get_multi_resources(*groups)", Rights::Clients, Method::GetMulti),
    ("yield_resources(*profiles)", Rights::Clients, Method::YieldResources),
    ("list_allocations()", Rights::Clients, Method::ListAllocations),
    ("list_collateral()", Rights::Clients, Method::ListCollateral),
    // 4.2
    ("get_version()", Rights::Everybody, Method::GetVersion),
    ("get_profile()", Rights::Everybody, Method::GetProfile),
    ("get_status()", ADMIN, Method::GetStatus),
    ("set_log_level(filter)", ADMIN, Method::SetLogLevel),
    ("list_allocations_all()", ADMIN, Method::ListAllocationsAll),
    ("list_collateral_all()", ADMIN, Method::ListCollateralAll),
    ("list_equipment(profile=None, allocator=None)", ADMIN, Method::ListEquipment),
    ("list_available(profile=None)", ADMIN, Method::ListAvailable),
    ("list_holders(profile=None, available=False)", ADMIN, Method::ListHolders),
    ("list_handsets(profile=None)", ADMIN, Method::ListHandsets),
    ("list_relays(profile=None)", ADMIN, Method::ListRelays),
    ("list_stacks()", ADMIN, Method::ListStacks),
    ("list_allocators()", ADMIN, Method::ListAllocators),
    ("list_shares()", ADMIN, Method::ListShares),
    ("close_session(authkey)", ADMIN, Method::CloseSession),
    ("reset_equipment(profile)", ADMIN, Method::ResetEquipment),
    ("start_sharing()", ADMIN, Method::StartSharing),
    ("stop_sharing()", ADMIN, Method::StopSharing),
    ("restart_sharing()", ADMIN, Method::RestartSharing),
    ("drop_share(address)", ADMIN, Method::DropShare),
    ("drop_all_shares()", ADMIN, Method::DropAllShares),
    ("stop()", ADMIN, Method::Stop),
    ("serialize()", ADMIN, Method::Serialize),
    ("begin_handover(fdtx_dir=None)", ADMIN, Method::BeginHandover),
    ("end_handover(timeout)", ADMIN, Method::EndHandover),
    // 4.3
    ("add_equipment(allocator, profiles)", SHARE, Method::AddEquipment),
    ("set_equipment(allocator, equipment, allocations)", SHARE, Method::SetEquipment),
    ("set_stacks(allocator, stacks)", SHARE, Method::SetStacks),
    ("set_ws_profile(allocator, profile)", SHARE, Method::SetWorkspaceProfile),
    ("share_hello(hello)", SHARE, Method::ShareHello),
    ("share_update(allocator, update)", SHARE, Method::ShareUpdate),
    ("add_workspaces(allocator, profiles)", SHARE, Method::Obsolete),
    ("remove_workspaces(allocator, profiles)", SHARE, Method::Obsolete),
];

/// Functions of the original that can be named but not called.
pub(crate) const INTERNAL: &[&str] = &["run"];

/// Calls that exist at sessions and not at the broker. (`get_resources` exists at both.)
pub(crate) const SESSION_ONLY: &[&str] = &["get_multi_resource", "crash"];

static TABLE: LazyLock<BTreeMap<String, Rpc>> = LazyLock::new(|| {
    let row = |(notation, rights, method): &(&'static str, Rights, Method)| {
        let signature = Signature::parse(notation);
        (signature.name().to_owned(), Rpc { signature, rights: *rights, method: *method })
    };
    ROWS.iter().map(row).collect()
});

/// The call of that name.
pub(crate) fn find(name: &str) -> Option<&'static Rpc> {
    TABLE.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_once() {
        assert_eq!(TABLE.len(), ROWS.len());
        assert!(SESSION_ONLY.iter().chain(INTERNAL).all(|name| find(name).is_none()));
    }
}
