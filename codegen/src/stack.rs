//! The kernel stack that a program takes: the frames on its deepest chain of calls.
//!
//! A kernel stack has 24 KiB for everybody on it, and running over its end stops the machine. The
//! verifier bounds what the bytecode keeps on its own stack; the frames here also have what the
//! optimiser keeps between two uses of a value, which depends on the program. So it is measured.
//! Left out: the stack of helpers, which is the runtime's affair.

use abi::limits::CALL_FRAMES;

/// Most stack one program may take: twice the eBPF stacks of [`CALL_FRAMES`] functions.
pub(crate) const MAX_PROGRAM_BYTES: u32 = 8192;

/// Frame sizes and calls of one program's functions.
#[derive(Debug, Default)]
pub(crate) struct StackUse {
    frames: Vec<Frame>,
}

#[derive(Clone, Debug, Default)]
struct Frame {
    bytes: u32,
    callees: Vec<usize>,
}

impl StackUse {
    /// For a program of so many functions.
    pub(crate) fn new(functions: usize) -> StackUse {
        StackUse {
            frames: vec![Frame::default(); functions],
        }
    }

    /// Notes what one function takes.
    pub(crate) fn frame(&mut self, function: usize, bytes: u32) {
        if let Some(frame) = self.frames.get_mut(function) {
            frame.bytes = bytes;
        }
    }

    /// Notes that a function calls another one, or takes its address.
    pub(crate) fn call(&mut self, function: usize, callee: usize) {
        if let Some(frame) = self.frames.get_mut(function)
            && !frame.callees.contains(&callee)
        {
            frame.callees.push(callee);
        }
    }

    /// Bytes on the deepest chain of calls from the entry.
    ///
    /// Proved programs nest no deeper than [`CALL_FRAMES`], which also ends the search in others.
    pub(crate) fn deepest(&self) -> u32 {
        let mut below = vec![0u32; self.frames.len()];
        for _ in 0..CALL_FRAMES {
            let deepest = |callees: &[usize]| callees.iter().filter_map(|&c| below.get(c)).max();
            below = self
                .frames
                .iter()
                .map(|frame| {
                    frame
                        .bytes
                        .saturating_add(*deepest(&frame.callees).unwrap_or(&0))
                })
                .collect();
        }
        below.first().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_chain_counts() {
        let mut stack = StackUse::new(4);
        for (function, bytes) in [(0, 100), (1, 50), (2, 70), (3, 30)] {
            stack.frame(function, bytes);
        }
        assert_eq!(stack.deepest(), 100);
        stack.call(0, 1);
        stack.call(0, 2);
        assert_eq!(stack.deepest(), 170);
        stack.call(1, 3);
        assert_eq!(stack.deepest(), 180);
    }

    #[test]
    fn recursion_ends() {
        let mut stack = StackUse::new(1);
        stack.frame(0, 100);
        stack.call(0, 0);
        assert_eq!(stack.deepest(), 100 * CALL_FRAMES);
    }
}
