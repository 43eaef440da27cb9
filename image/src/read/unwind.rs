//! Exception data of x64: RUNTIME_FUNCTION entries and UNWIND_INFO (Microsoft, "x64 exception
//! handling").

use super::{Malformed, Pe, directory};

const ENTRY: usize = 12;
const HAS_HANDLER: u8 = 0x1 | 0x2;
const IS_CHAINED: u8 = 0x4;

/// An entry of `.pdata`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RuntimeFunction {
    /// RVA of the first byte.
    pub begin: u32,
    /// One past the last byte.
    pub end: u32,
    /// RVA of the UNWIND_INFO.
    pub unwind: u32,
}

/// One prolog operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnwindOp {
    /// A general register was pushed.
    Push(u8),
    /// The stack pointer was lowered.
    Alloc(u32),
    /// The frame register was set.
    SetFrame,
    /// A general register was stored at an offset.
    Save(u8, u32),
    /// An XMM register was stored at an offset.
    SaveXmm(u8, u32),
    /// Version 2: where an epilog is.
    Epilog(u8),
    /// An interrupt frame, with or without error code.
    MachineFrame(u8),
}

/// A prolog operation and the prolog offset after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnwindCode {
    /// Offset of the end of the instruction.
    pub offset: u8,
    /// What it does.
    pub op: UnwindOp,
}

/// A decoded UNWIND_INFO.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unwind {
    /// 1 or 2.
    pub version: u8,
    /// UNW_FLAG_*.
    pub flags: u8,
    /// Size of the prolog.
    pub prolog: u8,
    /// Frame register and its offset from RSP in bytes.
    pub frame: Option<(u8, u32)>,
    /// Operations, last first.
    pub codes: Vec<UnwindCode>,
    /// RVA of the language-specific handler.
    pub handler: Option<u32>,
    /// The entry that this one continues.
    pub chained: Option<RuntimeFunction>,
}

impl Pe<'_> {
    /// The entries of `.pdata` in file order.
    ///
    /// # Errors
    /// The table does not lie in the file or its size is no multiple of 12.
    pub fn functions(&self) -> Result<Vec<RuntimeFunction>, Malformed> {
        let what = "exception table";
        let Some((at, bytes)) = self.directory_bytes(directory::EXCEPTION, what)? else {
            return Ok(Vec::new());
        };
        if bytes.len() % ENTRY != 0 {
            return Err(Malformed {
                what,
                at,
                problem: "its size is not a multiple of 12",
            });
        }
        Ok(bytes.chunks_exact(ENTRY).map(entry).collect())
    }

    /// Decodes the UNWIND_INFO at an RVA.
    ///
    /// # Errors
    /// It does not lie in the file or breaks the format.
    pub fn unwind(&self, rva: u32) -> Result<Unwind, Malformed> {
        let malformed = |problem| Malformed {
            what: "UNWIND_INFO",
            at: rva,
            problem,
        };
        let outside = malformed("it does not lie in the file");
        if !rva.is_multiple_of(4) {
            return Err(malformed("it is not aligned to 4 bytes"));
        }
        let tail = self.tail(rva).ok_or(outside)?;
        let (&[first, prolog, count, frame], tail) = tail.split_first_chunk().ok_or(outside)?;
        let (version, flags) = (first & 7, first >> 3);
        if !(1..=2).contains(&version) {
            return Err(malformed("unknown version"));
        }
        let slots = tail.get(..usize::from(count) * 2).ok_or(outside)?;
        let codes = codes(slots, version).map_err(malformed)?;
        check_order(&codes, prolog).map_err(malformed)?;
        let after = tail
            .get(usize::from(count).next_multiple_of(2) * 2..)
            .ok_or(outside)?;
        let (mut handler, mut chained) = (None, None);
        if flags & IS_CHAINED != 0 {
            chained = Some(entry(after.get(..ENTRY).ok_or(outside)?));
        } else if flags & HAS_HANDLER != 0 {
            let bytes = after.first_chunk::<4>().ok_or(outside)?;
            handler = Some(u32::from_le_bytes(*bytes));
        }
        let offset = u32::from(frame >> 4) * 16;
        let frame = (frame & 0xF != 0).then_some((frame & 0xF, offset));
        if frame.is_none() && codes.iter().any(|code| code.op == UnwindOp::SetFrame) {
            return Err(malformed("it sets a frame register but names none"));
        }
        Ok(Unwind {
            version,
            flags,
            prolog,
            frame,
            codes,
            handler,
            chained,
        })
    }
}

fn entry(bytes: &[u8]) -> RuntimeFunction {
    let field = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
    RuntimeFunction {
        begin: field(0),
        end: field(4),
        unwind: field(8),
    }
}

fn codes(slots: &[u8], version: u8) -> Result<Vec<UnwindCode>, &'static str> {
    let mut slots = slots.chunks_exact(2).map(|slot| [slot[0], slot[1]]);
    let mut all = Vec::new();
    while let Some([offset, op]) = slots.next() {
        let mut operand = || slots.next().ok_or("an operand is missing");
        let (op, info) = (op & 0xF, op >> 4);
        let op = match (op, info) {
            (0, register) => UnwindOp::Push(register),
            (1, 0) => UnwindOp::Alloc(u32::from(u16::from_le_bytes(operand()?)) * 8),
            (1, 1) => UnwindOp::Alloc(wide(operand()?, operand()?)),
            (2, size) => UnwindOp::Alloc(u32::from(size) * 8 + 8),
            (3, _) => UnwindOp::SetFrame,
            (4, r) => UnwindOp::Save(r, u32::from(u16::from_le_bytes(operand()?)) * 8),
            (5, r) => UnwindOp::Save(r, wide(operand()?, operand()?)),
            (6, info) if version == 2 => UnwindOp::Epilog(info),
            (8, r) => UnwindOp::SaveXmm(r, u32::from(u16::from_le_bytes(operand()?)) * 16),
            (9, r) => UnwindOp::SaveXmm(r, wide(operand()?, operand()?)),
            (10, info @ 0..=1) => UnwindOp::MachineFrame(info),
            _ => return Err("unknown operation"),
        };
        all.push(UnwindCode { offset, op });
    }
    Ok(all)
}

fn wide(low: [u8; 2], high: [u8; 2]) -> u32 {
    u32::from_le_bytes([low[0], low[1], high[0], high[1]])
}

/// Operations are listed last first and lie in the prolog.
fn check_order(codes: &[UnwindCode], prolog: u8) -> Result<(), &'static str> {
    let real = || {
        codes
            .iter()
            .filter(|code| !matches!(code.op, UnwindOp::Epilog(_)))
    };
    if real().zip(real().skip(1)).any(|(a, b)| a.offset < b.offset) {
        return Err("its operations are not in descending order");
    }
    if real().any(|code| code.offset > prolog) {
        return Err("an operation lies after the prolog");
    }
    Ok(())
}
