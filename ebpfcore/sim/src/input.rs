//! Inputs of programs, and how they lie in memory.
//!
//! An input becomes one slot: eight words that the runtime and the host use, the context structure
//! behind them, then the packet. The context's packet pointers are set to the packet's place;
//! nothing else of a given context is changed. Contexts that are not given are made: zero but for
//! what every packet has (interface 1, length, EtherType).
//!
//! Invariant: packet pointers of a slot always point into the slot, whatever the caller gave, since
//! native code follows them without a check.

use crate::Error;
use crate::raw::memory::{Memory, Reach};
use abi::{Context, ProgramType};
use ebpfcore::CONTEXT_HEADER_BYTES;

/// Alignment of slots, contexts and packets.
const ALIGN: usize = 16;
/// Largest packet or other data of one input.
pub const DATA_BYTES: usize = 16 << 20;
/// Which of the header's words holds the host's state; the runtime uses the first two.
pub(crate) const HOST_WORD: usize = 2;
/// Interface that packets come in on.
const INTERFACE: u32 = 1;

/// What a program runs on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    context: Option<Vec<u8>>,
    data: Vec<u8>,
}

impl Input {
    /// A packet; the context is made.
    #[must_use]
    pub fn packet(bytes: &[u8]) -> Input {
        Input {
            context: None,
            data: bytes.to_vec(),
        }
    }

    /// A context structure as it lies in memory, with an empty packet.
    #[must_use]
    pub fn context(bytes: &[u8]) -> Input {
        Input::context_with_data(bytes, &[])
    }

    /// A context structure, and what its packet pointers shall point at.
    #[must_use]
    pub fn context_with_data(bytes: &[u8], data: &[u8]) -> Input {
        Input {
            context: Some(bytes.to_vec()),
            data: data.to_vec(),
        }
    }
}

/// The packet pointers of a context structure.
#[derive(Clone, Copy, Debug)]
struct Pointers {
    data: usize,
    end: usize,
    meta: Option<usize>,
    /// Bytes of each.
    width: usize,
}

impl Pointers {
    fn of(context: &Context) -> Option<Pointers> {
        let data = usize::try_from(context.data).ok()?;
        let field = context.field_at(u32::try_from(context.data).ok()?)?;
        Some(Pointers {
            data,
            end: usize::try_from(context.end).ok()?,
            meta: usize::try_from(context.meta).ok(),
            width: usize::from(field.size),
        })
    }

    /// Offsets and values for a packet.
    fn values(self, start: u64, end: u64) -> impl Iterator<Item = (usize, u64)> {
        let meta = self.meta.map(|at| (at, start));
        [(self.data, start), (self.end, end)]
            .into_iter()
            .chain(meta)
    }
}

/// Where memory for a program type must lie.
pub(crate) fn reach(program_type: &ProgramType) -> Reach {
    match Pointers::of(program_type.context) {
        Some(pointers) if pointers.width < 8 => Reach::Low,
        _ => Reach::Any,
    }
}

/// One input, checked and laid out, its offsets relative to the slot.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    context: Vec<u8>,
    data: Vec<u8>,
    pointers: Option<Pointers>,
}

impl Slot {
    /// Checks an input against a program type.
    pub(crate) fn new(
        input: &Input,
        number: usize,
        program_type: &ProgramType,
    ) -> Result<Slot, Error> {
        let wrong = |problem: String| Err(Error::Input { number, problem });
        let layout = program_type.context;
        let pointers = Pointers::of(layout);
        let size = usize::from(layout.size);
        if input.data.len() > DATA_BYTES {
            let found = input.data.len();
            return wrong(format!("{found} bytes of data; at most {DATA_BYTES}"));
        }
        let context = match &input.context {
            Some(bytes) if bytes.len() == size => bytes.clone(),
            Some(bytes) => {
                return wrong(format!(
                    "the context has {} bytes; `{}` of program type {} has {size}",
                    bytes.len(),
                    layout.name,
                    program_type.name
                ));
            }
            None if pointers.is_some() => made(layout, &input.data),
            None => {
                return wrong(format!(
                    "programs of type {} run on `{}` ({size} bytes), not on packets",
                    program_type.name, layout.name
                ));
            }
        };
        if pointers.is_none() && !input.data.is_empty() {
            return wrong(format!(
                "`{}` of program type {} points at no data",
                layout.name, program_type.name
            ));
        }
        Ok(Slot {
            context,
            data: input.data.clone(),
            pointers,
        })
    }

    /// Bytes in memory, a multiple of the alignment.
    pub(crate) fn len_bytes(&self) -> usize {
        // At least one byte of room, so that an empty packet has an address inside the slot.
        (self.data_offset() + self.data.len() + 1).next_multiple_of(ALIGN)
    }

    /// Offset of the context in the slot.
    pub(crate) const fn context_offset() -> usize {
        CONTEXT_HEADER_BYTES
    }

    fn data_offset(&self) -> usize {
        (CONTEXT_HEADER_BYTES + self.context.len()).next_multiple_of(ALIGN)
    }

    /// The slot as it lies at an address.
    pub(crate) fn image(&self, address: u64, host: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.len_bytes()];
        let word = HOST_WORD * 8;
        bytes[word..word + 8].copy_from_slice(&host.to_le_bytes());
        let context = Slot::context_offset();
        bytes[context..context + self.context.len()].copy_from_slice(&self.context);
        let at = self.data_offset();
        bytes[at..at + self.data.len()].copy_from_slice(&self.data);
        if let Some(pointers) = self.pointers {
            let start = address + at as u64;
            for (field, value) in pointers.values(start, start + self.data.len() as u64) {
                let field = context + field;
                let value = &value.to_le_bytes()[..pointers.width];
                bytes[field..field + pointers.width].copy_from_slice(value);
            }
        }
        bytes
    }

    /// Context and data as a program left them. Packet pointers are given as the caller gave them:
    /// addresses of this process mean nothing to it.
    pub(crate) fn after(&self, memory: &Memory, offset: usize) -> (Vec<u8>, Vec<u8>) {
        let mut context = memory.read(offset + Slot::context_offset(), self.context.len());
        if let Some(pointers) = self.pointers {
            for (field, _) in pointers.values(0, 0) {
                let field = field..field + pointers.width;
                context[field.clone()].copy_from_slice(&self.context[field]);
            }
        }
        let data = memory.read(offset + self.data_offset(), self.data.len());
        (context, data)
    }
}

/// A context for a packet.
fn made(layout: &Context, packet: &[u8]) -> Vec<u8> {
    let mut context = vec![0; usize::from(layout.size)];
    let length = packet.len() as u32;
    // The EtherType is kept as it lies in the packet: in network byte order.
    let protocol = match packet {
        [_, _, _, _, _, _, _, _, _, _, _, _, a, b, ..] => u32::from(u16::from_le_bytes([*a, *b])),
        _ => 0,
    };
    for field in layout.fields {
        let value = match field.name {
            "ingress_ifindex" | "ifindex" => INTERFACE,
            "len" | "wire_len" | "skb_len" => length,
            "protocol" if layout.name == "__sk_buff" => protocol,
            _ => continue,
        };
        let at = usize::from(field.offset);
        if let Some(bytes) = context.get_mut(at..at + 4) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }
    context
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::{Platform, program_type::by_name};

    fn xdp(platform: Platform) -> &'static ProgramType {
        by_name(platform, "xdp").unwrap()
    }

    #[test]
    fn pointers_of_a_made_context_enclose_the_packet() {
        for (platform, width) in [(Platform::Windows, 8), (Platform::Linux, 4)] {
            let slot = Slot::new(&Input::packet(&[7; 60]), 0, xdp(platform)).unwrap();
            let image = slot.image(0x1000, 0x55);
            let read = |at: usize| {
                let mut number = [0; 8];
                number[..width].copy_from_slice(&image[at..at + width]);
                u64::from_le_bytes(number) as usize
            };
            let (start, end) = (read(64), read(64 + width));
            assert_eq!(end - start, 60);
            assert_eq!(image[start - 0x1000..end - 0x1000], [7; 60]);
            assert_eq!(image[16], 0x55);
        }
    }

    #[test]
    fn pointers_that_the_caller_gives_are_replaced() {
        let slot = Slot::new(&Input::context(&[0xee; 32]), 0, xdp(Platform::Windows)).unwrap();
        let image = slot.image(0x1000, 0);
        let start = u64::from_le_bytes(image[64..72].try_into().unwrap());
        assert!((0x1000..0x1000 + image.len() as u64).contains(&start));
        assert_eq!(image[64..72], image[72..80]);
        assert_eq!(image[64 + 24..64 + 32], [0xee; 8]);
    }

    #[test]
    fn inputs_that_do_not_fit_are_refused() {
        let sock_addr = by_name(Platform::Windows, "sock_addr").unwrap();
        for (input, program_type, part) in [
            (Input::context(&[0; 31]), xdp(Platform::Windows), "31 bytes"),
            (Input::packet(&[0; 60]), sock_addr, "not on packets"),
            (
                Input::context_with_data(&[0; 64], &[1]),
                sock_addr,
                "points at no data",
            ),
        ] {
            let error = Slot::new(&input, 3, program_type).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(part) && text.contains("input 3"), "{text}");
        }
    }
}
