//! Two network namespaces with a cable between them.
//!
//! Invariant: they are gone when [`Network`] is dropped; leftovers of a run that was killed are
//! removed first.

use super::process::run;

/// Namespace of the flood and of the client.
pub(crate) const CLIENT: &str = "dnsflood-client";
/// Namespace of the server.
pub(crate) const SERVER: &str = "dnsflood-server";
/// The server's end of the cable: frames come in here, before the drivers.
pub(crate) const OUTSIDE: &str = "cable1";
/// The server's interface, behind the drivers.
pub(crate) const INSIDE: &str = "behind";
/// The server's address, in the network for benchmarks (RFC 2544).
pub(crate) const ADDRESS: &str = "198.18.0.2";

/// The two namespaces.
pub(crate) struct Network(());

impl Network {
    pub(crate) fn new() -> Result<Network, String> {
        remove();
        let network = Network(());
        for command in [
            format!("ip netns add {CLIENT}"),
            format!("ip netns add {SERVER}"),
            format!("ip -n {CLIENT} link add cable0 type veth peer name {OUTSIDE} netns {SERVER}"),
            format!("ip -n {CLIENT} address add 198.18.0.1/24 dev cable0"),
            format!("ip -n {CLIENT} link set cable0 up"),
            // Checksums are computed here: a packet socket would see them unfinished.
            format!("ip netns exec {CLIENT} ethtool --offload cable0 tx off"),
            // The stack of the server must not answer here for the address behind the drivers:
            // frames would come to it by two ways.
            format!("ip -n {SERVER} link set {OUTSIDE} arp off promisc on up"),
            format!("ip -n {SERVER} link set lo up"),
            format!("ip -n {SERVER} tuntap add dev {INSIDE} mode tap"),
            format!("ip -n {SERVER} address add {ADDRESS}/24 dev {INSIDE}"),
            format!("ip -n {SERVER} link set {INSIDE} up"),
        ] {
            let words: Vec<&str> = command.split(' ').collect();
            run(&words)?;
        }
        Ok(network)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        remove();
    }
}

fn remove() {
    for namespace in [CLIENT, SERVER] {
        // It fails when there is none, which is fine.
        let _ = run(&["ip", "netns", "delete", namespace]);
    }
}
