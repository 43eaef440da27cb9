//! An allocator that counts what a thread allocates, and fails where a test says so.
//!
//! Everything is per thread: tests of one file may run beside each other. What is reserved
//! ([`reserve`]) serves as the kernel's reserve does: an allocation that fails is made from it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Passes on to the system, unless the thread's plan says otherwise.
pub(crate) struct Failing;

/// What a thread's allocations did and shall do.
#[derive(Clone, Copy, Default)]
struct Thread {
    /// Bytes that are allocated and not freed.
    live: isize,
    /// The most of them since [`mark`].
    peak: isize,
    /// Allocations since the plan began.
    count: usize,
    plan: Plan,
    /// An allocation failed, or would have without the reserve.
    hit: bool,
    /// Bytes that the reserve still has.
    reserve: usize,
    /// The least that it had.
    least: usize,
}

/// Which allocations fail.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum Plan {
    /// None.
    #[default]
    None,
    /// That one alone.
    Once(usize),
    /// That one and all after it.
    From(usize),
}

thread_local! {
    static THREAD: Cell<Thread> = const { Cell::new(Thread {
        live: 0,
        peak: 0,
        count: 0,
        plan: Plan::None,
        hit: false,
        reserve: 0,
        least: usize::MAX,
    }) };
}

fn change<R>(action: impl FnOnce(&mut Thread) -> R) -> R {
    THREAD.with(|thread| {
        let mut now = thread.get();
        let result = action(&mut now);
        thread.set(now);
        result
    })
}

impl Thread {
    /// May this allocation be made?
    fn admit(&mut self, bytes: usize) -> bool {
        self.count += 1;
        let fails = match self.plan {
            Plan::None => false,
            Plan::Once(at) => self.count == at,
            Plan::From(at) => self.count >= at,
        };
        if !fails {
            return true;
        }
        self.hit = true;
        let Some(rest) = self.reserve.checked_sub(bytes) else {
            return false;
        };
        self.reserve = rest;
        self.least = self.least.min(rest);
        true
    }

    fn add(&mut self, bytes: isize) {
        self.live += bytes;
        self.peak = self.peak.max(self.live);
    }
}

// SAFETY: passes on to the system's allocator, or fails, which any allocator may.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !change(|thread| thread.admit(layout.size())) {
            return std::ptr::null_mut();
        }
        change(|thread| thread.add(layout.size() as isize));
        // SAFETY: the caller's obligations.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        change(|thread| thread.add(-(layout.size() as isize)));
        // SAFETY: the caller's obligations.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Starts a plan; counting begins anew.
pub(crate) fn plan(plan: Plan) {
    change(|thread| {
        thread.plan = plan;
        thread.count = 0;
        thread.hit = false;
    });
}

/// Pauses the plan while the test itself works: its allocations neither fail nor count.
pub(crate) fn aside<R>(action: impl FnOnce() -> R) -> R {
    let (plan, count) = change(|thread| (std::mem::take(&mut thread.plan), thread.count));
    let result = action();
    change(|thread| (thread.plan, thread.count) = (plan, count));
    result
}

/// Did the plan make an allocation fail?
pub(crate) fn was_hit() -> bool {
    change(|thread| thread.hit)
}

/// Bytes of this thread that are not freed.
pub(crate) fn live() -> isize {
    change(|thread| thread.live)
}

/// Starts to look for a peak.
pub(crate) fn mark() {
    change(|thread| thread.peak = thread.live);
}

/// The most bytes at once since [`mark`], beyond those of then.
pub(crate) fn peak_above(start: isize) -> isize {
    change(|thread| thread.peak - start)
}

/// Sets memory aside.
pub(crate) fn reserve(bytes: usize) {
    change(|thread| thread.reserve = bytes);
}
