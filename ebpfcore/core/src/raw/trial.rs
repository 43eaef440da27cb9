//! Trials: a program runs on a context that nobody but the trial sees.
//!
//! The memory of a trial is one block: the words in front of the context, the context, the data.
//! Packet pointers of the context lead to the data, whatever the caller gave, and are zero in what
//! the caller gets back. Invariant: the layout follows the context descriptor of the type.
#![expect(unsafe_code, reason = "runs programs on a context by address")]

use super::{block::Block, context::CONTEXT_HEADER_BYTES};
use crate::{Core, Program, Status, interpreter::Trap, sync::Raised};
use abi::{Context, Platform};
use alloc::vec::Vec;

/// How long a batch may keep the processor to itself.
const BATCH_NS: u64 = 500_000;
/// Runs between two looks at the clock.
const RUNS_PER_LOOK: u64 = 8;
/// Bytes of a packet pointer.
const POINTER: usize = 8;

/// Memory for the runs of one program.
pub(crate) struct Trial {
    memory: Block,
    descriptor: &'static Context,
    data_bytes: usize,
}

impl Trial {
    /// Memory with a context and data for programs of a type. An empty context means zeroes.
    pub(crate) fn new(program: &Program, context: &[u8], data: &[u8]) -> Result<Trial, Status> {
        let program_type = program.program_type();
        let descriptor = program_type.context;
        let fits = context.is_empty() || context.len() == usize::from(descriptor.size);
        let takes_data = descriptor.data >= 0 && descriptor.end >= 0;
        let known = program_type.platform == Platform::Windows;
        if !fits || !known || (!takes_data && !data.is_empty()) {
            return Err(Status::InvalidArgument);
        }
        let start = data_start(descriptor);
        let bytes = start.checked_add(data.len());
        let memory = Block::try_zeroed(bytes.ok_or(Status::ArithmeticOverflow)?)?;
        let trial = Trial {
            memory,
            descriptor,
            data_bytes: data.len(),
        };
        let first = trial.memory.address() + start as u64;
        let last = first + data.len() as u64;
        let mut whole = trial.memory.write(CONTEXT_HEADER_BYTES, context);
        whole &= trial.memory.write(start, data);
        for (offset, address) in trial.pointers().zip([first, last, first]) {
            let place = offset.map(|offset| CONTEXT_HEADER_BYTES + offset);
            whole &= place.is_none_or(|place| trial.memory.write(place, &address.to_le_bytes()));
        }
        whole.then_some(trial).ok_or(Status::Failed)
    }

    /// Runs the program up to `runs` times without being preempted; gives how often it ran, which
    /// is less when that takes long, and the last result.
    pub(crate) fn batch(
        &self,
        core: &Core,
        program: &Program,
        runs: u64,
    ) -> Result<(u64, u64), Trap> {
        let platform = core.platform();
        let _raised = Raised::new(platform);
        let context = self.memory.address() + CONTEXT_HEADER_BYTES as u64;
        let until = platform.ktime_ns().saturating_add(BATCH_NS);
        let mut run = core.enter();
        let mut result = 0;
        for done in 1..=runs {
            // SAFETY: the block holds a context of the program's type with the words in front of
            // it, and its packet pointers lead into the block; the program keeps its image mapped.
            result = unsafe { run.invoke(program, context) }?;
            if done.is_multiple_of(RUNS_PER_LOOK) && platform.ktime_ns() >= until {
                return Ok((done, result));
            }
        }
        Ok((runs, result))
    }

    /// The data and behind it the context, as the runs left them.
    pub(crate) fn outcome(&self) -> Result<Vec<u8>, Status> {
        let size = usize::from(self.descriptor.size);
        let mut out = Vec::new();
        let room = out.try_reserve_exact(self.data_bytes + size);
        room.map_err(|_| Status::NoMemory)?;
        out.resize(self.data_bytes + size, 0);
        let (data, context) = out.split_at_mut(self.data_bytes);
        let whole = self.memory.read(data_start(self.descriptor), data)
            && self.memory.read(CONTEXT_HEADER_BYTES, context);
        for offset in self.pointers().flatten() {
            // Addresses of the kernel are nobody else's business.
            let field = context.get_mut(offset..offset + POINTER);
            field.map(|field| field.fill(0)).ok_or(Status::Failed)?;
        }
        whole.then_some(out).ok_or(Status::Failed)
    }

    /// Bytes of data in the outcome.
    pub(crate) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// Where the context has the start, the end and the metadata of the packet.
    fn pointers(&self) -> impl Iterator<Item = Option<usize>> {
        let Context {
            data, end, meta, ..
        } = *self.descriptor;
        [data, end, meta]
            .into_iter()
            .map(|offset| usize::try_from(offset).ok())
    }
}

fn data_start(descriptor: &Context) -> usize {
    CONTEXT_HEADER_BYTES + usize::from(descriptor.size).next_multiple_of(16)
}
