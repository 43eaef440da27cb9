//! Requests: served, and some of them completed later.
//!
//! A request that waits has a [`Pended`] with a ticket. Three can end it: the runtime that has an
//! answer ([`finish`]), the system that cancels it, its file that goes ([`abandon`]). Who takes the
//! cancel routine out of the request owns the rest, as the kernel prescribes; while the dispatch
//! still runs, answers are only kept. What cancels runs at PASSIVE_LEVEL, so the cancel routine
//! hands over to a work item that was made when the request began to wait.

use crate::client::Caller;
use crate::device;
use crate::import as nt;
use crate::level::{Dispatch, Passive};
use crate::{deep, runtime, status};
use abi::ioctl::MESSAGE_BYTES;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use ebpfcore::Status;
use ebpfcore::control::Control;
use wdk::nt::{self as wdm, Irp, StackLocation};

/// Longest answer of a request that waited.
const ANSWER_BYTES: usize = 64;
/// Requests that wait at the same time.
const MOST: usize = 4096;

/// How serving ended.
pub(crate) enum Outcome {
    /// Complete it now, with so many bytes.
    Done(i32, usize),
    /// It was or will be completed by somebody else.
    Later,
}

/// The answer of a request that waited.
#[derive(Clone, Copy)]
struct Answer {
    status: i32,
    bytes: [u8; ANSWER_BYTES],
    length: usize,
}

/// Who is at work on a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its dispatch.
    Serving,
    /// Nobody.
    Waiting,
    /// Somebody who cancels it.
    Cancelling,
    /// The runtime: it has an answer, too late to be cancelled.
    Answering,
}

/// A request that waits.
struct Pended {
    ticket: u64,
    irp: *mut Irp,
    file: u64,
    item: u64,
    stage: Stage,
    answer: Option<Answer>,
}

/// All of them.
struct Table {
    held: AtomicBool,
    rows: UnsafeCell<Vec<Pended>>,
}

// SAFETY: `rows` is used under the lock only; requests may be completed by any thread.
unsafe impl Sync for Table {}

static TABLE: Table = Table {
    held: AtomicBool::new(false),
    rows: UnsafeCell::new(Vec::new()),
};
static TICKETS: AtomicU64 = AtomicU64::new(1);

impl Table {
    /// Runs `action` alone, at DISPATCH_LEVEL.
    fn with<T>(&self, action: impl FnOnce(&mut Vec<Pended>) -> T) -> T {
        let _dispatch = Dispatch::raise();
        while self.held.swap(true, Ordering::Acquire) {
            core::hint::spin_loop();
        }
        // SAFETY: only one thread is here.
        let result = action(unsafe { &mut *self.rows.get() });
        self.held.store(false, Ordering::Release);
        result
    }
}

fn find(rows: &mut [Pended], ticket: u64) -> Option<&mut Pended> {
    rows.iter_mut().find(|row| row.ticket == ticket)
}

fn take(rows: &mut Vec<Pended>, ticket: u64) -> Option<Pended> {
    let position = rows.iter().position(|row| row.ticket == ticket)?;
    Some(rows.swap_remove(position))
}

/// Takes the cancel routine out of a request; false when the system has it.
///
/// # Safety
/// 1. The request is not completed.
unsafe fn own(irp: *mut Irp) -> bool {
    // SAFETY: obligation 1; the field is changed by atomic exchanges only.
    unsafe { AtomicU64::from_ptr(&raw mut (*irp).cancel_routine) }.swap(0, Ordering::AcqRel) != 0
}

/// Ends a request.
///
/// # Safety
/// 1. The request was given to this driver and is not completed; the caller is the only owner.
pub(crate) unsafe fn complete(irp: *mut Irp, status: i32, bytes: usize) -> i32 {
    // SAFETY: obligation 1.
    unsafe {
        (*irp).status.status = status;
        (*irp).status.information = bytes as u64;
        nt::IofCompleteRequest(irp, 0);
    }
    status
}

/// Ends a request that waited.
///
/// # Safety
/// 1. As for [`complete`].
unsafe fn complete_with(pended: Pended, answer: Answer) {
    // SAFETY: obligation 1; the buffer has room for the output that the request asked for.
    unsafe {
        let place = (*pended.irp).stack_location as usize;
        let place = core::ptr::with_exposed_provenance::<StackLocation>(place);
        let room = (*place).output_bytes as usize;
        let length = if answer.length <= room {
            answer.length
        } else {
            0
        };
        let buffer = (*pended.irp).system_buffer as usize;
        let buffer = core::ptr::with_exposed_provenance_mut::<u8>(buffer);
        core::ptr::copy_nonoverlapping(answer.bytes.as_ptr(), buffer, length);
        nt::IoFreeWorkItem(pended.item);
        complete(pended.irp, answer.status, length);
    }
}

fn answer(reply: Result<&[u8], Status>) -> Answer {
    let mut answer = Answer {
        status: wdm::STATUS_SUCCESS,
        bytes: [0; ANSWER_BYTES],
        length: 0,
    };
    match reply {
        Ok(bytes) if bytes.len() <= ANSWER_BYTES => {
            answer.bytes[..bytes.len()].copy_from_slice(bytes);
            answer.length = bytes.len();
        }
        Ok(_) => answer.status = wdm::STATUS_INTERNAL_ERROR,
        Err(status) => answer.status = status::of(status),
    }
    answer
}

/// Answers a control request.
///
/// # Safety
/// 1. The request is being dispatched; its buffer has room for the longer of both lengths.
pub(crate) unsafe fn serve(
    control: &Control,
    caller: &Caller<'_>,
    (irp, (input_bytes, output_bytes)): (*mut Irp, (u32, u32)),
) -> Outcome {
    let (input_bytes, output_bytes) = (input_bytes as usize, output_bytes as usize);
    // SAFETY: obligation 1.
    let buffer = unsafe { (*irp).system_buffer } as usize;
    let buffer = core::ptr::with_exposed_provenance_mut::<u8>(buffer);
    if buffer.is_null() || input_bytes > MESSAGE_BYTES {
        return Outcome::Done(wdm::STATUS_INVALID_PARAMETER, 0);
    }
    let mut input = Vec::new();
    if input.try_reserve_exact(input_bytes).is_err() {
        return Outcome::Done(wdm::STATUS_INSUFFICIENT_RESOURCES, 0);
    }
    // SAFETY: obligation 1. The input is copied because the answer is written to the same place.
    let output = unsafe {
        input.extend_from_slice(core::slice::from_raw_parts(buffer, input_bytes));
        core::slice::from_raw_parts_mut(buffer, output_bytes)
    };
    let result = deep::serve(control, caller, &input, output);
    match (caller.ticket(), result) {
        (Some(ticket), result) => settle(control, caller, (ticket, result)),
        (None, Ok(length)) => Outcome::Done(wdm::STATUS_SUCCESS, length),
        (None, Err(status)) => Outcome::Done(status::of(status), 0),
    }
}

/// Makes a request wait.
pub(crate) fn pend(irp: *mut Irp, file: u64) -> Option<u64> {
    // SAFETY: the device exists while it serves.
    let item = unsafe { nt::IoAllocateWorkItem(device::object()) };
    if item == 0 {
        return None;
    }
    let ticket = TICKETS.fetch_add(1, Ordering::Relaxed);
    let row = Pended {
        ticket,
        irp,
        file,
        item,
        stage: Stage::Serving,
        answer: None,
    };
    let added = TABLE.with(|rows| {
        let fits = rows.len() < MOST && rows.try_reserve(1).is_ok();
        if fits {
            rows.push(row);
        }
        fits
    });
    if !added {
        // SAFETY: made above, never queued.
        unsafe { nt::IoFreeWorkItem(item) };
        return None;
    }
    // SAFETY: the request is being dispatched; its answer is kept until that ends.
    unsafe {
        (*irp).driver_context[0] = ticket;
        let place = (*irp).stack_location as usize;
        let place = core::ptr::with_exposed_provenance_mut::<StackLocation>(place);
        (*place).control |= wdm::PENDING_RETURNED;
    }
    Some(ticket)
}

/// What is left to do for a request whose dispatch ends.
enum Next {
    /// It has its answer.
    Complete(Pended),
    /// It was cancelled before it had a routine for that.
    Cancel,
    /// Nothing.
    Wait,
}

/// The dispatch of a request that was pended ends.
fn settle(
    control: &Control,
    caller: &Caller<'_>,
    (ticket, result): (u64, Result<usize, Status>),
) -> Outcome {
    match TABLE.with(|rows| next(rows, ticket, &result)) {
        Next::Complete(mut pended) => {
            let kept = pended.answer.take();
            // The runtime says only by `finish` how such a request ended well.
            let failure = result.err().unwrap_or(Status::Failed);
            // SAFETY: taken out of the table, so nobody else ends it.
            unsafe { complete_with(pended, kept.unwrap_or_else(|| answer(Err(failure)))) };
        }
        Next::Cancel => give_up(caller.passive(), control, ticket),
        Next::Wait => {}
    }
    Outcome::Later
}

fn next(rows: &mut Vec<Pended>, ticket: u64, result: &Result<usize, Status>) -> Next {
    let waits = *result == Err(Status::Pending);
    let Some(row) = find(rows, ticket) else {
        return Next::Wait;
    };
    if !waits || row.answer.is_some() {
        return take(rows, ticket).map_or(Next::Wait, Next::Complete);
    }
    row.stage = Stage::Waiting;
    let routine = (cancel as *const ()).expose_provenance() as u64;
    // SAFETY: the request is in the table, so it is not completed while the lock is held.
    let is_lost = unsafe {
        let place = AtomicU64::from_ptr(&raw mut (*row.irp).cancel_routine);
        place.store(routine, Ordering::SeqCst);
        let is_cancelled = (&raw const (*row.irp).cancel).read_volatile() != 0;
        is_cancelled && own(row.irp)
    };
    if !is_lost {
        return Next::Wait;
    }
    row.stage = Stage::Cancelling;
    Next::Cancel
}

/// The runtime has the answer of a request that waits. IRQL: any.
pub(crate) fn finish(ticket: u64, reply: Result<&[u8], Status>) {
    let answer = answer(reply);
    let taken = TABLE.with(|rows| {
        let row = find(rows, ticket)?;
        let is_ours = match row.stage {
            Stage::Serving | Stage::Cancelling => false,
            // SAFETY: the request is in the table, so it is not completed.
            Stage::Waiting => unsafe { own(row.irp) },
            Stage::Answering => true,
        };
        if is_ours {
            return take(rows, ticket);
        }
        row.answer = Some(answer);
        None
    });
    if let Some(pended) = taken {
        // SAFETY: taken out of the table, so nobody else ends it.
        unsafe { complete_with(pended, answer) };
    }
}

/// The system cancels a request. IRQL: DISPATCH, with the lock that cancelling takes.
extern "system" fn cancel(_device: u64, irp: *mut Irp) {
    // SAFETY: the request is not completed: whoever wants to finds its cancel routine gone and
    // leaves it to the work item.
    let ticket = unsafe {
        let (ticket, level) = ((*irp).driver_context[0], (*irp).cancel_irql);
        nt::IoReleaseCancelSpinLock(level);
        ticket
    };
    let item = TABLE.with(|rows| {
        let row = find(rows, ticket)?;
        row.stage = Stage::Cancelling;
        Some(row.item)
    });
    if let Some(item) = item {
        /// `DelayedWorkQueue`.
        const DELAYED: u32 = 1;
        // SAFETY: made for this request; queued once, because the system cancels once.
        unsafe { nt::IoQueueWorkItem(item, give_up_later, DELAYED, ticket) };
    }
}

extern "system" fn give_up_later(_device: u64, ticket: u64) {
    // SAFETY: work items run at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    if let Some(control) = runtime::control() {
        give_up(&passive, control, ticket);
    }
}

/// Gives up a request whose cancel routine the caller took out.
fn give_up(_: &Passive, control: &Control, ticket: u64) {
    let is_given_up = control.cancel(ticket);
    let taken = TABLE.with(|rows| {
        let row = find(rows, ticket)?;
        if is_given_up || row.answer.is_some() {
            return take(rows, ticket);
        }
        row.stage = Stage::Answering;
        None
    });
    if let Some(mut pended) = taken {
        let kept = pended.answer.take();
        // SAFETY: taken out of the table, so nobody else ends it.
        unsafe {
            complete_with(
                pended,
                kept.unwrap_or_else(|| answer(Err(Status::Canceled))),
            );
        }
    }
}

/// Gives up what waits for a file that nobody has open any more.
pub(crate) fn abandon(passive: &Passive, file: u64) {
    let Some(control) = runtime::control() else {
        return;
    };
    loop {
        let ticket = TABLE.with(|rows| {
            let mut rows = rows.iter_mut();
            let row = rows.find(|row| {
                let waits = row.file == file && row.stage == Stage::Waiting;
                // SAFETY: requests in the table are not completed while the lock is held.
                waits && unsafe { own(row.irp) }
            })?;
            row.stage = Stage::Cancelling;
            Some(row.ticket)
        });
        match ticket {
            Some(ticket) => give_up(passive, control, ticket),
            None => return,
        }
    }
}

/// Frees the empty table: the driver stops.
pub(crate) fn stop(_: &Passive) {
    drop(TABLE.with(core::mem::take));
}
