//! Sets of places in one frame: registers, and stack granules of four bytes.

use core::ops::{BitAnd, BitOr, Not};
use isa::Reg;

/// A set of places.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Places {
    /// Bit per register.
    pub(crate) registers: u16,
    /// Bit per four bytes of the frame, the first next to r10.
    pub(crate) stack: u128,
}

/// The registers that calls pass arguments in.
pub(crate) const ARGUMENTS: u16 = 0b11_1110;

/// Which granules an access must cover to count.
#[derive(Clone, Copy)]
pub(crate) enum Cover {
    /// Any byte of it.
    Any,
    /// All bytes of it.
    Whole,
}

impl Places {
    /// No place.
    pub(crate) const NONE: Places = Places::registers(0);
    /// Every place.
    pub(crate) const ALL: Places = Places {
        registers: u16::MAX,
        stack: u128::MAX,
    };

    /// Registers, as bits.
    pub(crate) const fn registers(registers: u16) -> Places {
        Places {
            registers,
            stack: 0,
        }
    }

    /// Granules, as bits.
    pub(crate) const fn stack(stack: u128) -> Places {
        Places {
            registers: 0,
            stack,
        }
    }

    /// Is there any place in the set?
    pub(crate) fn is_empty(self) -> bool {
        self == Places::NONE
    }
}

impl BitAnd for Places {
    type Output = Places;

    fn bitand(self, other: Places) -> Places {
        Places {
            registers: self.registers & other.registers,
            stack: self.stack & other.stack,
        }
    }
}

impl BitOr for Places {
    type Output = Places;

    fn bitor(self, other: Places) -> Places {
        Places {
            registers: self.registers | other.registers,
            stack: self.stack | other.stack,
        }
    }
}

impl Not for Places {
    type Output = Places;

    fn not(self) -> Places {
        Places {
            registers: !self.registers,
            stack: !self.stack,
        }
    }
}

/// The bit of a register.
pub(crate) const fn bit(reg: Reg) -> u16 {
    1 << reg.number()
}

/// The granules of the bytes from `low` up to `high`, offsets from r10.
pub(crate) fn granules(low: i32, high: i32, cover: Cover) -> u128 {
    let bytes = abi::limits::STACK_BYTES as i32;
    let (low, high) = (low.clamp(-bytes, 0), high.clamp(-bytes, 0));
    // Granule g covers -4 * (g + 1) up to -4 * g.
    let (first, end) = match cover {
        Cover::Any => ((-high) / 4, (-low + 3) / 4),
        Cover::Whole => ((-high + 3) / 4, (-low) / 4),
    };
    if end <= first {
        return 0;
    }
    let ones = |n: i32| {
        if n >= 128 {
            u128::MAX
        } else {
            (1u128 << n) - 1
        }
    };
    ones(end) & !ones(first)
}
