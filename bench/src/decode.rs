//! Decoding of bytecode.

use crate::harness::Bench;
use isa::Slot;
use std::hint::black_box;

/// Slots of the measured program; fits the first-level cache as raw bytes.
const SLOTS: usize = 2048;

pub(crate) fn register(bench: &mut Bench) {
    let bytes = program();
    bench.measure("decode/program (per slot)", SLOTS, || {
        isa::decode::program(black_box(&bytes))
    });
}

/// The instructions of a typical packet parser over and over: load, compare, mask, add, store.
fn program() -> Vec<u8> {
    let slot = |opcode, dst, src, offset, imm| Slot {
        opcode,
        dst,
        src,
        offset,
        imm,
    };
    let parser = [
        slot(0x61, 2, 1, 0, 0),
        slot(0xbf, 3, 2, 0, 0),
        slot(0x07, 3, 0, 0, 14),
        slot(0x2d, 3, 1, 2, 0),
        slot(0x71, 4, 2, 12, 0),
        slot(0x57, 4, 0, 0, 0xff),
        slot(0x18, 5, 0, 0, -1),
        slot(0x00, 0, 0, 0, 1),
        slot(0x7b, 10, 4, -8, 0),
        slot(0x16, 4, 0, 1, 6),
        slot(0xdc, 4, 0, 0, 16),
        slot(0xdb, 10, 4, -8, 1),
        slot(0xb7, 0, 0, 0, 2),
        slot(0x67, 4, 0, 0, 32),
        slot(0x77, 4, 0, 0, 32),
        slot(0x95, 0, 0, 0, 0),
    ];
    let slots = parser.iter().cycle().take(SLOTS);
    slots.flat_map(|slot| slot.to_bytes()).collect()
}
