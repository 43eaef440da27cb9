//! What a caller may choose about verification.

use crate::limits;

/// Options of [`crate::verify`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Abstract instruction steps before giving up.
    pub steps: u64,
    /// Bytes that the analysis may keep of states and of the way to them, beyond
    /// [`limits::BYTES_PER_INSN`] for each instruction of the program.
    pub memory: usize,
    /// Different problems to report before stopping.
    pub rejections: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            steps: limits::STEPS,
            memory: limits::MEMORY,
            rejections: limits::REJECTIONS,
        }
    }
}
