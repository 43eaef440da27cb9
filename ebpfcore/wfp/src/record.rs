//! Records of the portable hooks from what the platform says.

use crate::values::Values;
use abi::context::structures::NetworkContext;
use ebpfcore::hooks::{
    Caller,
    bind::{Bind, Operation},
    flow::{Flow, Origin},
    socket::{Endpoint, Family, Socket},
};
use wdk::{
    classify::{DIRECTION_OUTBOUND, FLAG_IS_REAUTHORIZE},
    fwp::{IncomingMetadata, METADATA_PROCESS_ID, METADATA_TRANSPORT_ENDPOINT, layer},
};

/// `IPPROTO_TCP`, the protocol where the layer has no field for it: only TCP listens.
const TCP: u8 = 6;

/// The IP version of a layer of sockets.
pub(crate) fn family(layer: u16) -> Family {
    match layer {
        layer::AleResourceAssignmentV4
        | layer::AleResourceReleaseV4
        | layer::AleAuthListenV4
        | layer::AleAuthRecvAcceptV4
        | layer::AleAuthConnectV4
        | layer::AleConnectRedirectV4
        | layer::AleFlowEstablishedV4 => Family::V4,
        _ => Family::V6,
    }
}

pub(crate) fn process_id(metadata: &IncomingMetadata) -> u64 {
    match metadata.present & METADATA_PROCESS_ID {
        0 => 0,
        _ => metadata.process_id,
    }
}

pub(crate) fn socket(values: &Values<'_>, layer: u16) -> Socket {
    let fields = values.fields();
    let end = |address, port| Endpoint {
        address: values.address(address).unwrap_or_default(),
        port: values.u16(port).unwrap_or_default(),
    };
    let flags = values.u32(fields.flags()).unwrap_or_default();
    Socket {
        family: family(layer),
        local: end(fields.local_address(), fields.local_port()),
        remote: end(fields.remote_address(), fields.remote_port()),
        protocol: values.u8(fields.protocol()).unwrap_or(TCP),
        compartment: values.u32(fields.compartment()).unwrap_or_default(),
        interface_luid: values.u64(fields.interface()).unwrap_or_default(),
        is_known: flags & FLAG_IS_REAUTHORIZE != 0,
    }
}

pub(crate) fn caller<'a>(values: &Values<'_>, metadata: &IncomingMetadata) -> Caller<'a> {
    let token = values.token();
    let cookie = match metadata.present & METADATA_TRANSPORT_ENDPOINT {
        0 => 0,
        _ => metadata.transport_endpoint_handle,
    };
    Caller {
        process_id: process_id(metadata) as u32,
        logon_id: token.map_or(0, |token| token.logon_id),
        is_admin: token.map_or(-1, |token| i32::from(token.is_admin)),
        socket_cookie: cookie,
        network: network(values),
        ..Caller::default()
    }
}

/// Where a connection goes; layers before routing do not know.
fn network(values: &Values<'_>) -> Option<NetworkContext> {
    let fields = values.fields();
    Some(NetworkContext {
        version: NetworkContext::VERSION,
        interface_type: values.u32(fields.interface_type())?,
        tunnel_type: values.u32(fields.tunnel_type()).unwrap_or_default(),
        next_hop_interface_luid: values.u64(fields.next_hop_interface()).unwrap_or_default(),
        sub_interface_index: values.u32(fields.sub_interface_index()).unwrap_or_default(),
        ..NetworkContext::default()
    })
}

pub(crate) fn bind<'a>(values: &Values<'a>, metadata: &IncomingMetadata, layer: u16) -> Bind<'a> {
    let socket = socket(values, layer);
    let is_release = matches!(
        layer,
        layer::AleResourceReleaseV4 | layer::AleResourceReleaseV6
    );
    Bind {
        app_id: values.blob(values.fields().app_id()).unwrap_or_default(),
        process_id: process_id(metadata),
        family: socket.family,
        local: socket.local,
        protocol: socket.protocol,
        operation: if is_release {
            Operation::Unbind
        } else {
            Operation::Bind
        },
    }
}

pub(crate) fn flow(values: &Values<'_>, metadata: &IncomingMetadata, layer: u16) -> Flow {
    let direction = values.u32(values.fields().direction());
    let origin = match direction {
        Some(DIRECTION_OUTBOUND) => Origin::Here,
        _ => Origin::There,
    };
    let process = process_id(metadata) as u32;
    Flow::new(&socket(values, layer), origin, process, metadata.flow)
}
