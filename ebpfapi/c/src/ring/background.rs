//! Threads that read rings and call back.
//!
//! Each ring has one; callbacks of a reader follow each other. Giving the threads up waits until no
//! callback runs; from within a callback, which would wait for itself, it only sees to it that no other
//! begins.

use super::Callback;
use crate::error::Fault;
use client::{EbpfResult, Error, Interrupt, RingBuffer};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// The threads of a reader; dropping it gives them up.
pub(super) struct Background(Vec<(Interrupt, JoinHandle<()>)>);

impl Background {
    pub(super) fn start<C: Callback>(rings: Vec<(RingBuffer, C)>) -> Result<Background, Fault> {
        let turn = Arc::new(Mutex::new(()));
        let mut background = Background(Vec::new());
        for (ring, callback) in rings {
            let (interrupt, turn) = (ring.interrupt(), Arc::clone(&turn));
            let thread = Builder::new().name("ebpf ring".to_owned());
            let thread = thread.spawn(move || serve(ring, callback, &turn));
            let failed = |_| Error::new("start a thread", EbpfResult::NoMemory);
            background.0.push((interrupt, thread.map_err(failed)?));
        }
        Ok(background)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for (interrupt, _) in &self.0 {
            interrupt.raise();
        }
        let current = std::thread::current().id();
        if self
            .0
            .iter()
            .any(|(_, thread)| thread.thread().id() == current)
        {
            return;
        }
        for (_, thread) in self.0.drain(..) {
            // One that panicked has ended too.
            let _ = thread.join();
        }
    }
}

/// Calls back until it is interrupted or the ring is gone.
fn serve<C: Callback>(mut ring: RingBuffer, mut callback: C, turn: &Mutex<()>) {
    let interrupt = ring.interrupt();
    while !interrupt.is_raised() && ring.wait(None).is_ok() {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        // A ring that is written as fast as it is read must not keep the others waiting.
        for _ in 0..ring.view().size() / 8 {
            if interrupt.is_raised() {
                return;
            }
            callback.lost(&ring);
            match ring.read() {
                // What the callback says would end one reading, and the next begins at once.
                Ok(Some(record)) => drop(callback.record(&ring, record)),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}
