//! Packets from a pcap or pcapng file.
//!
//! Only Ethernet captures are taken, because the programs see whole frames. Bounded: files of at
//! most [`FILE_BYTES`].

use crate::report::{Diagnostic, Outcome};
use abi::diagnostic as id;
use pcap_file::{DataLink, pcap::PcapReader, pcapng::PcapNgReader};
use std::path::Path;

/// Largest capture file read.
const FILE_BYTES: u64 = 1 << 30;

/// Reads every packet of a capture.
pub(crate) fn read(path: &Path) -> Outcome<Vec<Vec<u8>>> {
    let bytes = crate::files::read(path, FILE_BYTES)?;
    // pcapng files open with a section header block of this type (draft-ietf-opsawg-pcapng §4.1).
    let packets = match bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
        true => read_pcapng(&bytes),
        false => read_pcap(&bytes),
    };
    let fail = |text: String| vec![Diagnostic::error(id::CAPTURE_UNREADABLE, text).in_file(path)];
    let packets = packets.map_err(fail)?;
    if packets.is_empty() {
        return Err(fail("the capture holds no packet".to_owned()));
    }
    Ok(packets)
}

fn read_pcap(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut reader = PcapReader::new(bytes).map_err(|error| error.to_string())?;
    ethernet(reader.header().datalink)?;
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        packets.push(packet.map_err(|error| error.to_string())?.data.into_owned());
    }
    Ok(packets)
}

fn read_pcapng(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut reader = PcapNgReader::new(bytes).map_err(|error| error.to_string())?;
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        use pcap_file::pcapng::Block;
        match block.map_err(|error| error.to_string())? {
            Block::EnhancedPacket(packet) => packets.push(packet.data.into_owned()),
            Block::SimplePacket(packet) => packets.push(packet.data.into_owned()),
            Block::InterfaceDescription(interface) => ethernet(interface.linktype)?,
            _ => {}
        }
    }
    Ok(packets)
}

fn ethernet(link: DataLink) -> Result<(), String> {
    match link {
        DataLink::ETHERNET => Ok(()),
        other => Err(format!("link type {other:?}, expected Ethernet")),
    }
}
