//! What a caller may choose about verification.

use crate::limits;

/// Options of [`crate::verify`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Abstract instruction steps before giving up.
    pub steps: u64,
    /// Different problems to report before stopping.
    pub rejections: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            steps: limits::STEPS,
            rejections: limits::REJECTIONS,
        }
    }
}
