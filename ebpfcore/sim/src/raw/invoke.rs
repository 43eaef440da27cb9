//! Running programs over slots in memory.
#![expect(unsafe_code, reason = "runs programs on memory by address")]

use crate::input::Slot;
use crate::raw::memory::Memory;
use ebpfcore::{Core, Program, interpreter::Trap};
use std::collections::BTreeMap;

/// Results that are counted in an array; verdicts are small numbers.
const SMALL: usize = 16;

/// How often each result came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    small: [u64; SMALL],
    others: BTreeMap<u32, u64>,
}

impl Tally {
    #[inline]
    fn add(&mut self, result: u32) {
        match self.small.get_mut(result as usize) {
            Some(count) => *count += 1,
            None => *self.others.entry(result).or_default() += 1,
        }
    }

    pub(crate) fn into_counts(self) -> BTreeMap<u32, u64> {
        let small = (0..).zip(self.small).filter(|(_, count)| *count != 0);
        small.chain(self.others).collect()
    }
}

/// Runs a program on slots of one memory, in order; gives the number of the slot that trapped.
///
/// `offsets` are those of whole slots that [`Slot::image`] wrote for the type of the program.
pub(crate) fn on_slots(
    core: &Core,
    program: &Program,
    (memory, offsets): (&mut Memory, &[u32]),
    mut result: impl FnMut(u32),
) -> Result<(), (usize, Trap)> {
    let first = memory.address(Slot::context_offset());
    // Renews its epoch now and then, so that retired map entries become free again.
    let mut run = core.enter();
    for (number, offset) in offsets.iter().enumerate() {
        let context = first + u64::from(*offset);
        // SAFETY: 1. the slot holds a context of the program's type behind its header. 2. Its
        // packet pointers enclose the packet of the slot. 3. The host keeps the image mapped
        // while it has programs of it; memory is borrowed for the whole run.
        let r0 = unsafe { run.invoke(program, context) };
        match r0 {
            Ok(r0) => result(r0 as u32),
            Err(trap) => return Err((number, trap)),
        }
    }
    Ok(())
}

/// The same, counting results.
pub(crate) fn tally(
    core: &Core,
    program: &Program,
    slots: (&mut Memory, &[u32]),
    tally: &mut Tally,
) -> Result<(), (usize, Trap)> {
    on_slots(core, program, slots, |result| tally.add(result))
}
