//! Injected packets: who asked, what was sent, and the handles of both.

use crate::report::lock;
use std::collections::BTreeSet;
use std::sync::Mutex;

const FIRST_HANDLE: u64 = 0xffff_9100_0000_0100;
/// Frames kept for tests to look at.
const KEPT: usize = 64;
/// Packets that wait for their completion; a driver in a loop does not fill the memory.
const WAITING: usize = 1 << 16;

/// Which way an injected packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Out through the interface.
    Send,
    /// Up to the protocols.
    Receive,
}

/// A packet whose completion function has to be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// Which way.
    pub way: Way,
    /// The interface.
    pub interface: u32,
    /// Address of the network buffer list.
    pub list: u64,
    /// The completion function and its context.
    pub completion: (u64, u64),
}

/// What is on its way and what was sent.
#[derive(Debug, Default)]
pub struct Injection {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    handles: BTreeSet<u64>,
    redirect_handles: BTreeSet<u64>,
    numbers: u64,
    waiting: Vec<Waiting>,
    sent: u64,
    kept: Vec<(u32, Vec<u8>)>,
}

impl Injection {
    /// Makes a handle for injection.
    pub fn create(&self) -> u64 {
        let mut state = lock(&self.state);
        let handle = state.number();
        state.handles.insert(handle);
        handle
    }

    /// Makes a handle for redirection.
    pub fn create_redirect(&self) -> u64 {
        let mut state = lock(&self.state);
        let handle = state.number();
        state.redirect_handles.insert(handle);
        handle
    }

    /// Takes a handle away; whether there was one.
    pub fn destroy(&self, handle: u64) -> bool {
        let mut state = lock(&self.state);
        state.handles.remove(&handle) || state.redirect_handles.remove(&handle)
    }

    /// Takes a packet; false when the handle is none, or too many wait.
    pub fn take(&self, handle: u64, waiting: Waiting) -> bool {
        let mut state = lock(&self.state);
        let is_taken = state.handles.contains(&handle) && state.waiting.len() < WAITING;
        if is_taken {
            state.waiting.push(waiting);
        }
        is_taken
    }

    /// The packets whose completion is due.
    #[must_use]
    pub fn due(&self) -> Vec<Waiting> {
        std::mem::take(&mut lock(&self.state).waiting)
    }

    /// Notes a packet that was sent.
    pub fn sent(&self, interface: u32, bytes: Vec<u8>) {
        let mut state = lock(&self.state);
        state.sent += 1;
        if state.kept.len() < KEPT {
            state.kept.push((interface, bytes));
        }
    }

    /// How many packets were sent, and the first of them with their interfaces.
    #[must_use]
    pub fn all_sent(&self) -> (u64, Vec<(u32, Vec<u8>)>) {
        let state = lock(&self.state);
        (state.sent, state.kept.clone())
    }

    /// What drivers left behind, in words.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let state = lock(&self.state);
        let handles = state
            .handles
            .iter()
            .map(|handle| format!("injection handle {handle:#x}"));
        let redirects = state.redirect_handles.iter();
        let redirects = redirects.map(|handle| format!("redirect handle {handle:#x}"));
        handles.chain(redirects).collect()
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        FIRST_HANDLE + self.numbers * 0x10
    }
}
