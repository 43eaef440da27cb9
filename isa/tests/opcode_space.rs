//! The whole opcode space: every opcode byte with classes of every other field. An oracle built from
//! the bit fields of RFC 9669 §3 to §5, not from the table, says what each slot means.

use isa::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, InsnIdx, Operand, Reg, Size, Slot,
    Width,
    decode::{self, DecodeError},
    encode, opcode,
};

const DST: [u8; 5] = [0, 1, 10, 11, 15];
const OFFSETS: [i16; 11] = [0, 1, 2, 8, 16, 32, 64, -1, 256, i16::MIN, i16::MAX];
const IMMS: [i32; 26] = [
    0,
    1,
    2,
    8,
    0x10,
    0x20,
    0x40,
    0x41,
    0x50,
    0x51,
    0x80,
    0xa0,
    0xa1,
    0xe0,
    0xe1,
    0xf0,
    0xf1,
    0x100,
    0x110,
    11,
    0x1000,
    -1,
    -2,
    i32::MIN,
    i32::MAX,
    0x1234_5678,
];

fn all_slots() -> impl Iterator<Item = Slot> {
    (0..=255u8).flat_map(|opcode| {
        DST.into_iter().flat_map(move |dst| {
            (0..16u8).flat_map(move |src| {
                OFFSETS.into_iter().flat_map(move |offset| {
                    IMMS.into_iter().map(move |imm| Slot {
                        opcode,
                        dst,
                        src,
                        offset,
                        imm,
                    })
                })
            })
        })
    })
}

/// Meaning of a slot from its bit fields; `lddw` is judged by its first slot only.
fn oracle(slot: &Slot) -> Option<Insn> {
    match slot.opcode & 7 {
        0 => load_imm_class(slot),
        1 => load_class(slot),
        2 | 3 => store_class(slot),
        4 => alu_class(slot, Width::W32),
        5 => jump_class(slot, Width::W64),
        6 => jump_class(slot, Width::W32),
        _ => alu_class(slot, Width::W64),
    }
}

fn size(bits: u8) -> Size {
    [Size::W, Size::H, Size::B, Size::Dw][usize::from(bits >> 3 & 3)]
}

fn load_imm_class(slot: &Slot) -> Option<Insn> {
    let (mode, size) = (slot.opcode >> 5, size(slot.opcode));
    if slot.offset != 0 {
        return None;
    }
    if mode == 0 {
        let low = slot.imm;
        let imm = match slot.src {
            0 => Imm64::Const(u64::from(low as u32)),
            1 => Imm64::MapFd(low),
            2 => Imm64::MapValue { fd: low, offset: 0 },
            3 => Imm64::Var(low),
            4 => Imm64::Code(low),
            5 => Imm64::MapIdx(low),
            6 => Imm64::MapIdxValue {
                index: low,
                offset: 0,
            },
            _ => return None,
        };
        let dst = Reg::new(slot.dst)?;
        return (size == Size::Dw).then_some(Insn::LoadImm64 { dst, imm });
    }
    let index = match mode {
        1 if slot.src == 0 => None,
        2 => Some(Reg::new(slot.src)?),
        _ => return None,
    };
    let packet = Insn::LoadPacket {
        size,
        index,
        imm: slot.imm,
    };
    (size != Size::Dw && slot.dst == 0).then_some(packet)
}

fn load_class(slot: &Slot) -> Option<Insn> {
    let (dst, base) = (Reg::new(slot.dst)?, Reg::new(slot.src)?);
    let size = size(slot.opcode);
    let signed = match slot.opcode >> 5 {
        3 => false,
        4 if size != Size::Dw => true,
        _ => return None,
    };
    let load = Insn::Load {
        size,
        signed,
        dst,
        base,
        offset: slot.offset,
    };
    (slot.imm == 0).then_some(load)
}

fn store_class(slot: &Slot) -> Option<Insn> {
    let (size, offset, base) = (size(slot.opcode), slot.offset, Reg::new(slot.dst)?);
    match (slot.opcode & 7, slot.opcode >> 5) {
        (2, 3) if slot.src == 0 => Some(Insn::Store {
            size,
            base,
            offset,
            src: Operand::Imm(slot.imm),
        }),
        (3, 3) if slot.imm == 0 => Some(Insn::Store {
            size,
            base,
            offset,
            src: Operand::Reg(Reg::new(slot.src)?),
        }),
        (3, 6) if slot.imm == 0x100 => Some(Insn::LoadAcquire {
            size,
            dst: base,
            base: Reg::new(slot.src)?,
            offset,
        }),
        (3, 6) if slot.imm == 0x110 => Some(Insn::StoreRelease {
            size,
            base,
            offset,
            src: Reg::new(slot.src)?,
        }),
        (3, 6) if matches!(size, Size::W | Size::Dw) => {
            let op = match slot.imm & !1 {
                0 => AtomicOp::Add,
                0x40 => AtomicOp::Or,
                0x50 => AtomicOp::And,
                0xa0 => AtomicOp::Xor,
                0xe0 => AtomicOp::Xchg,
                0xf0 => AtomicOp::CmpXchg,
                _ => return None,
            };
            let fetch = slot.imm & 1 == 1;
            let src = Reg::new(slot.src)?;
            let atomic = Insn::Atomic {
                op,
                fetch,
                size,
                base,
                offset,
                src,
            };
            (fetch || slot.imm < 0xe0).then_some(atomic)
        }
        _ => None,
    }
}

/// Register or immediate; the field that is not used must be zero.
fn operand(slot: &Slot) -> Option<Operand> {
    if slot.opcode & 8 == 0 {
        (slot.src == 0).then_some(Operand::Imm(slot.imm))
    } else {
        (slot.imm == 0).then_some(Operand::Reg(Reg::new(slot.src)?))
    }
}

fn alu_class(slot: &Slot, width: Width) -> Option<Insn> {
    use AluOp::*;
    let dst = Reg::new(slot.dst)?;
    let code = slot.opcode >> 4;
    if code == 8 {
        let plain = slot.opcode & 8 == 0 && slot.src == 0 && slot.imm == 0 && slot.offset == 0;
        return plain.then_some(Insn::Neg { width, dst });
    }
    if code == 0xd {
        return byte_swap(slot, width, dst);
    }
    let src = operand(slot)?;
    let op = match (code, slot.offset) {
        (3, 1) => SDiv,
        (9, 1) => SMod,
        (0xb, bits @ (8 | 16 | 32)) => {
            let Operand::Reg(src) = src else { return None };
            let size = [Size::B, Size::H, Size::W][(bits.trailing_zeros() - 3) as usize];
            let known = size != Size::W || width == Width::W64;
            return known.then_some(Insn::MovSx {
                width,
                dst,
                src,
                size,
            });
        }
        (code, 0) => *[
            Add, Sub, Mul, Div, Or, And, Lsh, Rsh, /* neg */ Add, Mod, Xor, Mov, Arsh,
        ]
        .get(usize::from(code))?,
        _ => return None,
    };
    Some(Insn::Alu {
        op,
        width,
        dst,
        src,
    })
}

fn byte_swap(slot: &Slot, width: Width, dst: Reg) -> Option<Insn> {
    let kind = match (width, slot.opcode & 8) {
        (Width::W32, 0) => Endian::ToLittle,
        (Width::W32, _) => Endian::ToBig,
        (Width::W64, 0) => Endian::Swap,
        (Width::W64, _) => return None,
    };
    let size = match slot.imm {
        16 => Size::H,
        32 => Size::W,
        64 => Size::Dw,
        _ => return None,
    };
    (slot.src == 0 && slot.offset == 0).then_some(Insn::Endian { kind, dst, size })
}

fn jump_class(slot: &Slot, width: Width) -> Option<Insn> {
    use Cond::*;
    let code = slot.opcode >> 4;
    let register_form = slot.opcode & 8 != 0;
    let cond = match code {
        0 | 8 | 9 | 0xe => return control(slot, width, register_form),
        1..=7 => [Eq, Gt, Ge, Set, Ne, Sgt, Sge][usize::from(code) - 1],
        0xa..=0xd => [Lt, Le, Slt, Sle][usize::from(code) - 0xa],
        _ => return None,
    };
    let dst = Reg::new(slot.dst)?;
    Some(Insn::JumpIf {
        cond,
        width,
        dst,
        src: operand(slot)?,
        offset: slot.offset,
    })
}

fn control(slot: &Slot, width: Width, register_form: bool) -> Option<Insn> {
    let Slot {
        dst,
        src,
        offset,
        imm,
        ..
    } = *slot;
    match (slot.opcode >> 4, width, register_form) {
        (0, Width::W64, false) => ((dst, src, imm) == (0, 0, 0)).then_some(Insn::Jump {
            offset: i32::from(offset),
            long: false,
        }),
        (0, Width::W32, false) => ((dst, src, offset) == (0, 0, 0)).then_some(Insn::Jump {
            offset: imm,
            long: true,
        }),
        (8, Width::W64, false) if (dst, offset) == (0, 0) => match src {
            0 => Some(Insn::Call(CallTarget::Helper(imm))),
            1 => Some(Insn::Call(CallTarget::Local(imm))),
            2 => Some(Insn::Call(CallTarget::Btf(imm))),
            _ => None,
        },
        (8, Width::W64, true) if (src, offset, imm) == (0, 0, 0) => {
            Some(Insn::Call(CallTarget::Register(Reg::new(dst)?)))
        }
        (0xe, Width::W64, false) => {
            ((dst, src, imm) == (0, 0, 0)).then_some(Insn::MayGoto { offset })
        }
        (9, Width::W64, false) => ((dst, src, offset, imm) == (0, 0, 0, 0)).then_some(Insn::Exit),
        _ => None,
    }
}

#[test]
fn every_slot_decodes_as_its_bit_fields_say_and_encodes_back() {
    let mut decoded = 0u32;
    for slot in all_slots() {
        let insn = decode::insn(slot, Some(Slot::default())).ok();
        assert_eq!(insn, oracle(&slot), "{slot:?}");
        if let Some(insn) = insn {
            let encoded = encode::insn(&insn).unwrap_or_else(|error| panic!("{insn:?}: {error}"));
            assert_eq!(encoded.first, slot, "{insn:?}");
            assert_eq!(encoded.second.is_some(), insn.slots() == 2);
            assert!(insn.group().is_some());
            decoded += 1;
        }
    }
    assert!(decoded > 40_000, "{decoded}");
}

#[test]
fn every_row_is_reachable_and_unique() {
    for row in &opcode::ROWS {
        assert_eq!(opcode::row(row.form), Some(row), "form occurs twice");
        let matched = all_slots()
            .filter(|slot| slot.opcode == row.opcode)
            .any(|slot| {
                decode::insn(slot, Some(Slot::default())).is_ok_and(|insn| insn.row() == Some(row))
            });
        assert!(matched, "{row:?}");
    }
}

#[test]
fn errors_name_the_field_that_repairs_them() {
    for slot in all_slots() {
        let Err(error) = decode::insn(slot, Some(Slot::default())) else {
            continue;
        };
        match error {
            DecodeError::Opcode { slot } => assert!(opcode::rows(slot.opcode).is_empty()),
            DecodeError::Field { field, .. } => {
                let value = field.value(&slot);
                let mut allowed = error.candidates().map(|row| field.of(row)).peekable();
                assert!(allowed.peek().is_some(), "{slot:?}");
                assert!(
                    allowed.all(|allowed| !allowed.accepts(value)),
                    "{slot:?}: {error}"
                );
            }
            other => panic!("{slot:?}: {other}"),
        }
    }
}

#[test]
fn lddw_needs_a_clean_second_slot() {
    for src in 0..7u8 {
        let first = Slot {
            opcode: 0x18,
            dst: 3,
            src,
            offset: 0,
            imm: -5,
        };
        assert_eq!(
            decode::insn(first, None),
            Err(DecodeError::MissingSecondSlot)
        );
        for bit in 0..64 {
            let second = Slot::from_bytes((1u64 << bit).to_le_bytes());
            let is_used = bit >= 32 && matches!(src, 0 | 2 | 6);
            match decode::insn(first, Some(second)) {
                Ok(insn) => {
                    assert!(is_used, "src {src} bit {bit}");
                    let encoded = encode::insn(&insn).unwrap();
                    assert_eq!((encoded.first, encoded.second), (first, Some(second)));
                }
                Err(error) => {
                    assert!(!is_used && matches!(error, DecodeError::SecondSlot { .. }));
                }
            }
        }
    }
}

#[test]
fn programs_keep_slot_positions() {
    let lddw = [0x18, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
    let exit = [0x95, 0, 0, 0, 0, 0, 0, 0];
    let bytes = [&lddw[..], &exit].concat();
    let insns = decode::program(&bytes).unwrap();
    let imm = Imm64::Const(0x2_0000_0001);
    let expected = [
        Insn::LoadImm64 { dst: Reg::R1, imm },
        Insn::Imm64High,
        Insn::Exit,
    ];
    assert_eq!(insns, expected);
    assert_eq!(encode::program(&insns).unwrap(), bytes);

    let (at, error) = decode::program(&bytes[..17]).unwrap_err();
    assert_eq!((at, error), (InsnIdx(2), DecodeError::Length { bytes: 17 }));
    let (at, error) = decode::program(&bytes[..8]).unwrap_err();
    assert_eq!((at, error), (InsnIdx(0), DecodeError::MissingSecondSlot));
    let (at, _) = decode::program(&[&exit[..], &[0xff; 8]].concat()).unwrap_err();
    assert_eq!(at, InsnIdx(1));
}

#[test]
fn what_has_no_encoding_is_an_error() {
    let (base, offset, src) = (Reg::R1, 0, Reg::R2);
    let impossible = [
        Insn::Load {
            size: Size::Dw,
            signed: true,
            dst: src,
            base,
            offset,
        },
        Insn::Atomic {
            op: AtomicOp::Add,
            fetch: false,
            size: Size::B,
            base,
            offset,
            src,
        },
        Insn::Atomic {
            op: AtomicOp::Xchg,
            fetch: false,
            size: Size::W,
            base,
            offset,
            src,
        },
        Insn::MovSx {
            width: Width::W32,
            dst: base,
            src,
            size: Size::W,
        },
        Insn::Endian {
            kind: Endian::ToBig,
            dst: base,
            size: Size::B,
        },
        Insn::LoadPacket {
            size: Size::Dw,
            index: None,
            imm: 0,
        },
        Insn::Jump {
            offset: 40000,
            long: false,
        },
        Insn::Imm64High,
    ];
    for insn in impossible {
        assert!(encode::program(&[insn]).is_err(), "{insn:?}");
    }
    let lddw = Insn::LoadImm64 {
        dst: Reg::R0,
        imm: Imm64::Const(1),
    };
    assert!(encode::program(&[lddw]).is_err());
    assert!(encode::program(&[lddw, Insn::Exit]).is_err());
    assert!(encode::program(&[Insn::Exit, Insn::Imm64High]).is_err());
    assert!(encode::program(&[lddw, Insn::Imm64High, Insn::Exit]).is_ok());
}

#[test]
fn messages_say_field_value_and_choice() {
    let cases = [
        (0xff, 0, 0, 0, 0, "opcode 0xff is not an instruction"),
        (
            0xbf,
            1,
            2,
            1,
            1,
            "opcode 0xbf (addr_space_cast, for arenas) is not part of RFC 9669 and not supported",
        ),
        (
            0xe5,
            0,
            1,
            0,
            0,
            "opcode 0xe5 (may_goto): source register field is 1, must be 0",
        ),
        (
            0x37,
            1,
            0,
            2,
            9,
            "opcode 0x37 (div64): offset field is 2, must be 0 or 1",
        ),
        (
            0xbf,
            1,
            2,
            9,
            0,
            "opcode 0xbf (mov64): offset field is 9, must be 0, 8, 16 or 32",
        ),
        (
            0x07,
            12,
            0,
            0,
            1,
            "opcode 0x07 (add64): destination register field is 12, must be r0 to r10",
        ),
        (
            0x07,
            1,
            2,
            0,
            1,
            "opcode 0x07 (add64): source register field is 2, must be 0",
        ),
        (
            0x0f,
            1,
            2,
            0,
            1,
            "opcode 0x0f (add64): immediate field is 0x1, must be 0x0",
        ),
        (
            0x18,
            1,
            7,
            0,
            1,
            "opcode 0x18 (lddw): source register field is 7, must be 0, 1, 2, 3, 4, 5 or 6",
        ),
        (
            0x95,
            1,
            0,
            0,
            0,
            "opcode 0x95 (exit): destination register field is 1, must be 0",
        ),
        (
            0xdb,
            1,
            2,
            0,
            0x120,
            "opcode 0xdb (atomic_add64): immediate field is 0x120, must be 0x0, 0x1, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1, 0x100 or 0x110",
        ),
    ];
    for (opcode, dst, src, offset, imm, expected) in cases {
        let slot = Slot {
            opcode,
            dst,
            src,
            offset,
            imm,
        };
        assert_eq!(decode::insn(slot, None).unwrap_err().to_string(), expected);
    }
}
