//! How much memory states take.
//!
//! States share frames and chunks of their stacks, so what several hold must be counted once. A
//! state that is put aside on the path is charged with the blocks that only it and the path hold:
//! whatever else it shares is held by something deeper on the trail, which keeps its charge until it
//! is taken off, and that is later. A finished state may outlive all that it shares with others and
//! is charged in full. Values are counted with the frame or chunk that they lie in, shared or not, so
//! that the count is rather too high.
//!
//! Left out: what there is a fixed number of (guesses and callbacks being tried), and the tables
//! that have a fixed size for each instruction.

use crate::packed::{Number, Packed};
use crate::stack::{Chunk, Half, Slot};
use crate::state::{Frame, State};
use crate::value::Pointer;
use alloc::rc::Rc;
use isa::Reg;

/// What comes to a block of memory: counts of its owners, rounding, what the allocator adds.
pub(crate) const BLOCK: usize = 32;

/// The state and the path that goes on from it.
const BOTH: usize = 2;

impl State {
    /// Bytes that only this state and the path that it was copied from hold.
    pub(crate) fn own_bytes(&self) -> usize {
        self.bytes_of_blocks(BOTH)
    }

    /// Bytes that this state holds, shared or not.
    pub(crate) fn all_bytes(&self) -> usize {
        self.bytes_of_blocks(usize::MAX)
    }

    /// Bytes in blocks with at most so many owners, and in what is never shared.
    fn bytes_of_blocks(&self, owners: usize) -> usize {
        let frames = self.frames().iter();
        let frames = frames
            .filter(|frame| Rc::strong_count(frame) <= owners)
            .map(|frame| frame_bytes(frame, owners));
        let lists = size_of_val(self.frames())
            + size_of_val(self.references.as_slice())
            + size_of_val(self.distances.as_slice());
        3 * BLOCK + lists + frames.sum::<usize>()
    }
}

fn frame_bytes(frame: &Frame, owners: usize) -> usize {
    let registers = Reg::ALL
        .into_iter()
        .map(|reg| value_bytes(frame.packed(reg)));
    let chunks = frame.stack.chunks().iter().flatten();
    let chunks = chunks.filter(|chunk| Rc::strong_count(chunk) <= owners);
    let chunks = chunks.map(|chunk| size_of::<Chunk>() + BLOCK + slot_bytes(&**chunk));
    size_of::<Frame>() + BLOCK + registers.sum::<usize>() + chunks.sum::<usize>()
}

fn slot_bytes(slots: &[Slot]) -> usize {
    let bytes = slots.iter().map(|slot| match slot {
        Slot::Bytes(_) => 0,
        Slot::Whole(value) => value_bytes(value),
        Slot::Halves(halves) => {
            let values = halves.iter().map(|half| match half {
                Half::Bytes(_) => 0,
                Half::Number(value) => value_bytes(value),
            });
            size_of::<[Half; 2]>() + BLOCK + values.sum::<usize>()
        }
    });
    bytes.sum()
}

fn value_bytes(value: &Packed) -> usize {
    match value {
        Packed::Unreadable(_) | Packed::Constant(_) | Packed::Wide { .. } => 0,
        Packed::Number { .. } => size_of::<Number>() + BLOCK,
        Packed::Pointer(_) => size_of::<Pointer>() + BLOCK,
    }
}
