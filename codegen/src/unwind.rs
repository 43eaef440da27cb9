//! Windows x64 `UNWIND_INFO` from Cranelift's description of a prolog.
//!
//! Cranelift's own encoder for this format (as of 0.135) scales the slots of saved general-purpose
//! registers by 16 where the format wants 8, and drops the frame register offset. So the bytes are
//! built here from the same neutral description. Cranelift's prolog is
//!
//! ```text
//! push rbp                 PUSH_NONVOL rbp
//! mov  rbp, rsp            SET_FPREG: frame base = rbp - C, and ALLOC C to get back to rbp
//! sub  rsp, frame          not described: rsp comes from rbp
//! mov  [rsp+..], reg       SAVE_NONVOL / SAVE_XMM128, offsets from the frame base
//! ```
//!
//! where C is the size of the area of saved registers. The frame base must lie below that area,
//! since offsets are unsigned, so SET_FPREG names `rbp - C`; the fictitious ALLOC of C bytes at the
//! same prolog offset undoes it. C is at most 7 * 8 + 10 * 16, within the 240 that the format
//! allows. Source: "x64 exception handling" in the Microsoft documentation.
//!
//! Left out: between `add rsp, frame` and `mov rsp, rbp` of Cranelift's epilogue the saved registers
//! lie below rsp. An interrupt taken exactly there overwrites them, so a stack walk from it finds
//! every return address but not the caller's rsi, rdi, rbx, r12 to r15. Nothing can fault there, so
//! the dispatch of exceptions is not concerned.

use crate::error::Error;
use cranelift_codegen::isa::unwind::UnwindInst;
use cranelift_codegen::{RealReg, RegClass};

/// Register number of rbp in unwind codes.
const RBP: u8 = 5;
/// Largest frame register offset, in bytes: 15 units of 16.
const MAX_FRAME_OFFSET: u32 = 240;
/// Largest `ALLOC_SMALL`.
const MAX_SMALL_ALLOC: u32 = 128;

/// Operations of unwind codes.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Op {
    PushNonvol = 0,
    AllocLarge = 1,
    AllocSmall = 2,
    SetFpReg = 3,
    SaveNonvol = 4,
    SaveXmm128 = 8,
}

/// One unwind code: the offset in the prolog after which it holds, operation, and its slots.
struct UnwindCode {
    offset: u8,
    op: Op,
    info: u8,
    extra: Option<u16>,
}

/// The `UNWIND_INFO` of a function, or `None` when its prolog does nothing that needs one.
pub(crate) fn encode(prolog: &[(u32, UnwindInst)]) -> Result<Option<Vec<u8>>, Error> {
    let mut codes = Vec::new();
    let mut frame_offset = 0;
    for (offset, inst) in prolog {
        let offset = u8::try_from(*offset).map_err(|_| bug("the prolog exceeds 255 bytes"))?;
        match inst {
            UnwindInst::PushFrameRegs { .. } => codes.push(code(offset, Op::PushNonvol, RBP)),
            UnwindInst::DefineNewFrame {
                offset_downward_to_clobbers,
                ..
            } => {
                frame_offset = *offset_downward_to_clobbers;
                define_frame(&mut codes, offset, frame_offset)?;
            }
            UnwindInst::SaveReg {
                clobber_offset,
                reg,
            } => codes.push(save(offset, *reg, *clobber_offset)?),
            other => return Err(bug(&format!("unexpected prolog step {other:?}"))),
        }
    }
    if codes.is_empty() {
        return Ok(None);
    }
    let prolog_size = codes.last().map_or(0, |last| last.offset);
    Ok(Some(bytes(prolog_size, frame_offset, &codes)?))
}

fn code(offset: u8, op: Op, info: u8) -> UnwindCode {
    UnwindCode {
        offset,
        op,
        info,
        extra: None,
    }
}

fn define_frame(codes: &mut Vec<UnwindCode>, offset: u8, size: u32) -> Result<(), Error> {
    if size > MAX_FRAME_OFFSET || !size.is_multiple_of(16) {
        return Err(bug(&format!("saved registers take {size} bytes")));
    }
    if size > MAX_SMALL_ALLOC {
        let extra = u16::try_from(size / 8).ok();
        codes.push(UnwindCode {
            extra,
            ..code(offset, Op::AllocLarge, 0)
        });
    } else if size > 0 {
        let units = u8::try_from(size / 8 - 1).map_err(|_| bug("frame size"))?;
        codes.push(code(offset, Op::AllocSmall, units));
    }
    codes.push(code(offset, Op::SetFpReg, 0));
    Ok(())
}

fn save(offset: u8, real: RealReg, at: u32) -> Result<UnwindCode, Error> {
    let (op, unit) = match real.class() {
        RegClass::Int => (Op::SaveNonvol, 8),
        RegClass::Float => (Op::SaveXmm128, 16),
        RegClass::Vector => return Err(bug("a saved register of an unknown class")),
    };
    if !at.is_multiple_of(unit) {
        return Err(bug(&format!("a register is saved at offset {at}")));
    }
    let slot = u16::try_from(at / unit).map_err(|_| bug("offset of a saved register"))?;
    Ok(UnwindCode {
        extra: Some(slot),
        ..code(offset, op, real.hw_enc())
    })
}

/// Header, then the codes in descending order of prolog offset, padded to whole 32-bit words.
fn bytes(prolog_size: u8, frame_offset: u32, codes: &[UnwindCode]) -> Result<Vec<u8>, Error> {
    const VERSION: u8 = 1;
    let slots: usize = codes
        .iter()
        .map(|c| 1 + usize::from(c.extra.is_some()))
        .sum();
    let count = u8::try_from(slots).map_err(|_| bug("more than 255 unwind slots"))?;
    let has_frame = codes.iter().any(|c| matches!(c.op, Op::SetFpReg));
    let frame_units = u8::try_from(frame_offset / 16).map_err(|_| bug("frame offset"))?;
    let frame = if has_frame { RBP | frame_units << 4 } else { 0 };
    let mut out = vec![VERSION, prolog_size, count, frame];
    for code in codes.iter().rev() {
        out.extend([code.offset, code.op as u8 | code.info << 4]);
        out.extend(code.extra.into_iter().flat_map(u16::to_le_bytes));
    }
    out.resize(out.len().next_multiple_of(4), 0);
    Ok(out)
}

/// Names of the general-purpose registers by number.
const REGISTERS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

/// Unwind codes as text, one line each.
pub(crate) fn listing(info: Option<&[u8]>) -> String {
    let Some([version, prolog, count, frame, codes @ ..]) = info else {
        return "  no unwind information".to_owned();
    };
    let register = |number: u8| REGISTERS[usize::from(number & 0xf)];
    let mut out = format!(
        "  version {}, prolog {prolog} bytes, frame {} offset {}",
        version & 7,
        register(*frame),
        (frame >> 4) * 16
    );
    let mut slots = codes.chunks_exact(2).take(usize::from(*count));
    while let Some([offset, op]) = slots.next() {
        let info = op >> 4;
        let mut extra = || {
            let slot = slots.next().and_then(|slot| <[u8; 2]>::try_from(slot).ok());
            u32::from(slot.map_or(0, u16::from_le_bytes))
        };
        let text = match op & 0xf {
            0 => format!("PUSH_NONVOL {}", register(info)),
            1 => format!("ALLOC_LARGE {}", extra() * 8),
            2 => format!("ALLOC_SMALL {}", u32::from(info) * 8 + 8),
            3 => "SET_FPREG".to_owned(),
            4 => format!("SAVE_NONVOL {} at {}", register(info), extra() * 8),
            8 => format!("SAVE_XMM128 xmm{info} at {}", extra() * 16),
            other => format!("code {other}"),
        };
        out.push_str(&format!("\n  {offset:#04x} {text}"));
    }
    out
}

fn bug(what: &str) -> Error {
    Error::Internal(format!("unwind data: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::skeleton;
    use core::fmt::Write;

    /// A function that keeps this many floating-point numbers over a call.
    fn keeping(numbers: usize) -> String {
        let mut body = String::new();
        for number in 0..numbers {
            writeln!(body, "v{} = load.f64 v0+{}", 10 + number, number * 8).unwrap();
        }
        body.push_str("v1 = load.i64 v0+800\ncall_indirect sig0, v1(v0)\n");
        for number in 0..numbers {
            writeln!(body, "store v{}, v0+{}", 10 + number, number * 8 + 400).unwrap();
        }
        format!(
            "function %f(i64) windows_fastcall {{\nsig0 = (i64) windows_fastcall\n\
             block0(v0: i64):\n{body}return\n}}"
        )
    }

    fn listing_of(text: &str) -> String {
        let function = skeleton::parse("test", text).unwrap().remove(0);
        let compiled = Machine::new().unwrap().compile(function).unwrap().unwrap();
        let info = compiled.unwind().unwrap().unwrap();
        assert!(info.len().is_multiple_of(4));
        listing(Some(&info))
    }

    /// eBPF has no floating point, but the format and its encoder do.
    #[test]
    fn vector_registers_are_saved_in_units_of_sixteen() {
        let expected = "  version 1, prolog 30 bytes, frame rbp offset 48\n  \
                        0x1e SAVE_XMM128 xmm7 at 32\n  \
                        0x18 SAVE_XMM128 xmm6 at 16\n  \
                        0x12 SAVE_NONVOL rdi at 8\n  \
                        0x0d SAVE_NONVOL rsi at 0\n  \
                        0x04 SET_FPREG\n  \
                        0x04 ALLOC_SMALL 48\n  \
                        0x01 PUSH_NONVOL rbp";
        assert_eq!(listing_of(&keeping(2)), expected);
    }

    #[test]
    fn all_vector_registers_need_the_large_form() {
        let listing = listing_of(&keeping(10));
        assert!(listing.contains("frame rbp offset 176"), "{listing}");
        assert!(listing.contains("ALLOC_LARGE 176"), "{listing}");
        assert!(listing.contains("SAVE_XMM128 xmm15 at 160"), "{listing}");
    }

    #[test]
    fn no_prolog_needs_no_information() {
        assert_eq!(encode(&[]).unwrap(), None);
        assert_eq!(listing(None), "  no unwind information");
    }
}
