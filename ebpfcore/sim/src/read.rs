//! Inputs from files: packets of a capture, contexts in hexadecimal.
//!
//! Captures are pcap or pcapng, and only of Ethernet, because programs see whole frames. A context
//! file has one context per line, as bytes lie in memory; a second word on the line is the data that
//! the context's pointers shall point at. `#` starts a comment line. Nothing here touches the file
//! system; errors are sentences for people.

use crate::Input;
use pcap_file::{DataLink, pcap::PcapReader, pcapng::PcapNgReader};

/// A pcapng file opens with a section header block of this type (draft-ietf-opsawg-pcapng §4.1).
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Every packet of a capture.
///
/// # Errors
/// A damaged file, another link type than Ethernet, or no packet.
pub fn packets(capture: &[u8]) -> Result<Vec<Input>, String> {
    let packets = match capture.starts_with(&PCAPNG) {
        true => pcapng(capture)?,
        false => pcap(capture)?,
    };
    if packets.is_empty() {
        return Err("the capture holds no packet".to_owned());
    }
    Ok(packets)
}

fn pcap(bytes: &[u8]) -> Result<Vec<Input>, String> {
    let mut reader = PcapReader::new(bytes).map_err(|error| error.to_string())?;
    ethernet(reader.header().datalink)?;
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| error.to_string())?;
        packets.push(Input::packet(&packet.data));
    }
    Ok(packets)
}

fn pcapng(bytes: &[u8]) -> Result<Vec<Input>, String> {
    let mut reader = PcapNgReader::new(bytes).map_err(|error| error.to_string())?;
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        use pcap_file::pcapng::Block;
        match block.map_err(|error| error.to_string())? {
            Block::EnhancedPacket(packet) => packets.push(Input::packet(&packet.data)),
            Block::SimplePacket(packet) => packets.push(Input::packet(&packet.data)),
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

/// Every context of a context file.
///
/// # Errors
/// The number of the line that is wrong, and why.
pub fn contexts(text: &str) -> Result<Vec<Input>, (u32, String)> {
    let lines = text.lines().map(str::trim).zip(1..);
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(line, number)| context(line).map_err(|problem| (number, problem)))
        .collect()
}

fn context(line: &str) -> Result<Input, String> {
    let mut words = line.split_whitespace();
    let context = hex(words.next().unwrap_or_default())?;
    let data = hex(words.next().unwrap_or_default())?;
    match words.next() {
        None => Ok(Input::context_with_data(&context, &data)),
        Some(_) => Err("more than a context and its data".to_owned()),
    }
}

/// Bytes in hexadecimal: two digits a byte; white space, `,`, `:` and `0x` may stand between.
///
/// # Errors
/// The word that is wrong.
pub fn hex(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for word in text.split(|c: char| c.is_ascii_whitespace() || c == ',' || c == ':') {
        let digits = word.strip_prefix("0x").unwrap_or(word).as_bytes();
        if digits.len() % 2 != 0 {
            return Err(format!("`{word}` has an odd number of digits"));
        }
        for pair in digits.chunks_exact(2) {
            match (digit(pair[0]), digit(pair[1])) {
                (Some(high), Some(low)) => bytes.push(high << 4 | low),
                _ => return Err(format!("`{word}` is not hexadecimal")),
            }
        }
    }
    Ok(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_usual_spellings() {
        for text in [
            "0a1b2c",
            "0a 1b 2c",
            "0x0a,0x1b 2C",
            "0a:1b:2c",
            " 0a1b\n2c ",
        ] {
            assert_eq!(hex(text).unwrap(), [0x0a, 0x1b, 0x2c], "{text:?}");
        }
        assert!(hex("").unwrap().is_empty());
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["0", "0g", "abc", "é1"] {
            assert!(hex(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn context_files_have_comments_data_and_line_numbers() {
        let inputs = contexts("# a comment\n\n0102\n 0304 ff \n").unwrap();
        let expected = [
            Input::context(&[1, 2]),
            Input::context_with_data(&[3, 4], &[0xFF]),
        ];
        assert_eq!(inputs, expected);
        assert_eq!(contexts("01\n# x\n0").unwrap_err().0, 3);
        assert_eq!(contexts("01 02 03").unwrap_err().0, 1);
    }
}
