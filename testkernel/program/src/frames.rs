//! Frames to bring: those of a capture file, and a flood of UDP datagrams to port 53 without data.

use pcap_file::pcap::PcapReader;
use std::fs::File;
use std::path::Path;

/// Frames of a capture file (the classic format, Ethernet).
pub(crate) fn capture(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let fail = |error: String| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut reader = PcapReader::new(file).map_err(|error| fail(error.to_string()))?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(
            packet
                .map_err(|error| fail(error.to_string()))?
                .data
                .into_owned(),
        );
    }
    Ok(frames)
}

/// A datagram over IPv4 from the given port to a name server.
pub(crate) fn datagram(port: u16, data: &[u8]) -> Vec<u8> {
    const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    const IPV4: [u8; 20] = [
        0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1,
    ];
    const SERVER_PORT: [u8; 2] = [0, 53];
    const UDP_BYTES: usize = 8;
    let udp = (UDP_BYTES + data.len()) as u16;
    let mut ipv4 = IPV4;
    ipv4[2..4].copy_from_slice(&(IPV4.len() as u16 + udp).to_be_bytes());
    let ports = [port.to_be_bytes(), SERVER_PORT].concat();
    let rest = [udp.to_be_bytes(), [0, 0]].concat();
    [&ETHERNET[..], &ipv4, &ports, &rest, data].concat()
}

/// A question for the address of `example.test` (RFC 1035, section 4).
pub(crate) fn question() -> Vec<u8> {
    const HEADER: [u8; 12] = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    const NAME: &[u8] = b"\x07example\x04test\0";
    const ADDRESS_IN_INTERNET: [u8; 4] = [0, 1, 0, 1];
    datagram(5353, &[&HEADER, NAME, &ADDRESS_IN_INTERNET].concat())
}
