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

/// An empty datagram over IPv4 from the given port.
pub(crate) fn empty_datagram(port: u16) -> Vec<u8> {
    const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    const IPV4: [u8; 20] = [
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1,
    ];
    const PORT_AND_LENGTH: [u8; 6] = [0, 53, 0, 8, 0, 0];
    [&ETHERNET[..], &IPV4, &port.to_be_bytes(), &PORT_AND_LENGTH].concat()
}
