//! How often a program was run: a number for each processor, so that counting costs a run one
//! ordinary addition and no processor waits for another.
//!
//! Invariant: the numbers only grow. A run that is interrupted by another one of the same program on
//! its processor may count for both; nothing but statistics depends on the sum. What a tail call enters
//! is not counted, as on Linux.

use crate::Status;
use alloc::vec::Vec;
// Not those of the models: threads agree on nothing through these numbers.
use core::sync::atomic::{AtomicU64, Ordering};

/// The number of one processor, alone on its cache line.
#[repr(align(64))]
#[derive(Default)]
struct Count(AtomicU64);

/// Runs of one program.
pub(crate) struct Runs(Vec<Count>);

impl Runs {
    /// Nothing counted yet, for a number of processors.
    pub(crate) fn new(cpus: u32) -> Result<Runs, Status> {
        let mut counts = Vec::new();
        counts
            .try_reserve_exact(cpus as usize)
            .map_err(|_| Status::NoMemory)?;
        counts.resize_with(cpus as usize, Count::default);
        Ok(Runs(counts))
    }

    /// Counts a run on a processor; one that does not exist counts nothing.
    #[inline(always)]
    pub(crate) fn count(&self, cpu: u32) {
        if let Some(Count(count)) = self.0.get(cpu as usize) {
            let runs = count.load(Ordering::Relaxed);
            count.store(runs.wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Runs on all processors.
    pub(crate) fn sum(&self) -> u64 {
        let counts = self.0.iter().map(|Count(count)| count);
        counts.fold(0, |sum, count| {
            sum.wrapping_add(count.load(Ordering::Relaxed))
        })
    }
}
