//! Invocation: the state of a run, where helpers find it, and the chain of tail calls.
//!
//! Eight words lie in front of every context. Word 0 points at the run's state, word 1 at the
//! context descriptor; helpers, which get the context as sixth argument, reach back to them.
//! That is how helpers work without thread-local storage, which a kernel does not have.
#![expect(unsafe_code, reason = "runs programs and reaches state by address")]

use super::{
    addresses::pointer,
    checked::{CheckedMemory, Initialization, Region, RegionKind},
    execute::{Machine, RawMemory, Start, access},
    helpers::NativeFn,
    published::Published,
    shared::Shared,
};
use crate::{
    Code, Core, Guard, Hook, Link, Program,
    interpreter::{Trap, TrapKind},
};
use abi::{Context, Platform};
use alloc::vec::Vec;
use core::{cell::Cell, ops::ControlFlow};
use isa::Size;

/// Bytes in front of a context: eight words of `EBPF_CONTEXT_HEADER`.
pub const CONTEXT_HEADER_BYTES: usize = 64;

/// Operations that an interpreted program may spend on loops; a guard, not a quota, since proved
/// programs end by themselves.
const BUDGET: u64 = 1 << 32;

/// Invocations after which a batch pins the epoch anew. Without that, memory that a long batch
/// retires could never be used again.
const RENEWAL: u32 = 64;

/// What helpers know about the run they are called in. They reach it by an address derived from a
/// shared reference, hence the cells.
pub(crate) struct State {
    pub(crate) core: *const Core,
    /// CPU that the run is on.
    pub(crate) cpu: Cell<u32>,
    /// Tail calls made so far.
    pub(crate) tail_calls: Cell<u32>,
    /// Address of the program that a tail call put in place of the current one, or 0.
    pub(crate) next: Cell<u64>,
    /// Size, data, end, meta: offsets in the context.
    pub(crate) descriptor: Cell<[i32; 4]>,
    /// Whether the packet pointers in the context are 32 bits wide.
    pub(crate) narrow_pointers: Cell<bool>,
    /// Ring buffers in which the run holds records: address of the map and number of records.
    pub(crate) reserved: [Cell<(u64, u32)>; RESERVED_RINGS],
    /// How many of them are in use, from the front.
    pub(crate) reserved_used: Cell<usize>,
}

/// Ring buffers in which one invocation can hold records at the same time.
pub(crate) const RESERVED_RINGS: usize = 4;

/// An epoch in which programs run, on one CPU.
///
/// The caller must stay on that CPU until the run is dropped (kernel: at DISPATCH_LEVEL), or
/// accept that per-CPU values are shared with whoever runs there.
pub struct Run<'a> {
    core: &'a Core,
    guard: Guard<'a>,
    state: State,
    /// Invocations since the epoch was pinned.
    invocations: u32,
}

/// What an invocation has beyond a context.
#[derive(Clone, Copy, Debug)]
pub struct Extra<'a> {
    /// r2: the length of the memory at r1 in test suites; 0 otherwise.
    pub r2: u64,
    /// Memory that checked programs may use beside context, packet, stack and maps.
    pub regions: &'a [Region],
    /// Operations that interpreted programs may spend on loops and calls.
    pub budget: u64,
}

impl Default for Extra<'_> {
    fn default() -> Self {
        Extra {
            r2: 0,
            regions: &[],
            budget: BUDGET,
        }
    }
}

impl Core {
    /// Pins the epoch and notes the CPU. What a program sees stays valid until its invocation ends;
    /// a batch of invocations shares one run, which pins the epoch anew from time to time.
    #[must_use]
    pub fn enter(&self) -> Run<'_> {
        let cpu = self.platform().current_cpu();
        Run {
            core: self,
            guard: self.epoch().pin(cpu),
            invocations: 0,
            state: State {
                core: self,
                cpu: Cell::new(cpu),
                tail_calls: Cell::new(0),
                next: Cell::new(0),
                descriptor: Cell::new([-1; 4]),
                narrow_pointers: Cell::new(false),
                reserved: [const { Cell::new((0, 0)) }; RESERVED_RINGS],
                reserved_used: Cell::new(0),
            },
        }
    }
}

impl Run<'_> {
    /// Lets retired memory go in a long batch: nothing looked up before may be used any more.
    pub fn renew(&mut self) {
        let cpu = self.core.platform().current_cpu();
        self.guard = self.core.epoch().pin(cpu);
        self.invocations = 0;
        self.state.cpu.set(cpu);
    }

    /// Runs a program on a context, and what it tail-calls, and gives r0 of the last one.
    ///
    /// # Safety
    ///
    /// 1. `context` is the address of the context structure of the program's type, writable as
    ///    the type says, with [`CONTEXT_HEADER_BYTES`] writable bytes in front of it.
    /// 2. Packet pointers in it are valid and ordered.
    /// 3. The program's image is mapped; its code does what the verifier proved.
    ///
    /// # Errors
    ///
    /// A trap of the interpreter. Native code does not trap.
    #[inline(always)]
    pub unsafe fn invoke(&mut self, program: &Program, context: u64) -> Result<u64, Trap> {
        // SAFETY: the obligations of the caller, passed on.
        unsafe { self.invoke_with(program, context, Extra::default()) }
    }

    /// Like [`Run::invoke`], with what test suites need beyond a context.
    ///
    /// # Safety
    ///
    /// As for [`Run::invoke`], and the regions are valid memory during the call.
    ///
    /// # Errors
    ///
    /// As for [`Run::invoke`].
    #[inline(always)]
    pub unsafe fn invoke_with(
        &mut self,
        program: &Program,
        context: u64,
        extra: Extra<'_>,
    ) -> Result<u64, Trap> {
        self.count_invocation();
        // SAFETY: the obligations of the caller, passed on.
        unsafe { self.invoke_counted(program, context, extra) }
    }

    /// Calls the programs of a hook whose links cover an interface or compartment, in the order of
    /// the links, as long as `decide` says so.
    ///
    /// # Safety
    ///
    /// As for [`Run::invoke`], for every program of the hook.
    #[inline(always)]
    pub unsafe fn invoke_hook(
        &mut self,
        (hook, scope): (&Hook, u32),
        context: u64,
        mut decide: impl FnMut(&Link, Result<u64, Trap>) -> ControlFlow<()>,
    ) {
        self.count_invocation();
        for link in hook.links(&self.guard) {
            if !link.covers(scope) {
                continue;
            }
            let Some(program) = link.program(&self.guard) else {
                continue;
            };
            // SAFETY: the obligations of the caller, passed on.
            let result = unsafe { self.invoke_counted(program, context, Extra::default()) };
            if decide(link, result).is_break() {
                return;
            }
        }
    }

    /// Runs the program of a link that stands in a place; `None` when there is none.
    ///
    /// # Safety
    ///
    /// As for [`Run::invoke`], for the program of the link.
    pub(super) unsafe fn invoke_linked(
        &mut self,
        place: &Published<Link>,
        context: u64,
    ) -> Option<Result<u64, Trap>> {
        let program = place.get(&self.guard)?.program(&self.guard)?;
        // SAFETY: the obligations of the caller, passed on.
        Some(unsafe { self.invoke_counted(program, context, Extra::default()) })
    }

    #[inline(always)]
    fn count_invocation(&mut self) {
        self.invocations += 1;
        if self.invocations > RENEWAL {
            self.renew();
        }
    }

    /// Safety: as for [`Run::invoke`]. Keeps the epoch that is pinned.
    #[inline(always)]
    unsafe fn invoke_counted(
        &self,
        program: &Program,
        context: u64,
        extra: Extra<'_>,
    ) -> Result<u64, Trap> {
        self.state.tail_calls.set(0);
        self.state.next.set(0);
        self.state.reserved_used.set(0);
        program.count_run(self.state.cpu.get());
        // SAFETY: the obligations of the caller, passed on.
        unsafe {
            self.describe(program, context);
            // Native code by itself and inlined into the caller's loop: its result then stays in a
            // register. As a `Result` in memory it costs more than two map lookups.
            let result = match program.code() {
                Code::Native {
                    entry,
                    runtime_context,
                    ..
                } => Ok(native(*entry, *runtime_context, (context, extra.r2))),
                _ => self.interpret(program, context, extra),
            };
            if self.state.next.get() == 0 {
                return result;
            }
            self.chain(result, context, extra)
        }
    }

    /// Out of line, so that the fast path stays small.
    ///
    /// Safety: as for [`Run::invoke`].
    #[inline(never)]
    unsafe fn interpret(
        &self,
        program: &Program,
        context: u64,
        extra: Extra<'_>,
    ) -> Result<u64, Trap> {
        // SAFETY: the obligations of the caller, passed on.
        unsafe { self.execute(program, context, extra) }
    }

    /// Fills the words in front of the context.
    ///
    /// Safety: as for [`Run::invoke`].
    #[inline(always)]
    unsafe fn describe(&self, program: &Program, context: u64) {
        let program_type = program.program_type();
        let Context {
            size,
            data,
            end,
            meta,
            ..
        } = *program_type.context;
        let descriptor = [i32::from(size), data, end, meta];
        self.state.descriptor.set(descriptor);
        let narrow = program_type.platform == Platform::Linux;
        self.state.narrow_pointers.set(narrow);
        let state = (&raw const self.state).expose_provenance() as u64;
        let descriptor = self.state.descriptor.as_ptr().expose_provenance() as u64;
        let header = context - CONTEXT_HEADER_BYTES as u64;
        // SAFETY: obligation 1 of the caller.
        unsafe {
            access::store(header, Size::Dw, state);
            access::store(header + 8, Size::Dw, descriptor);
        }
    }

    #[inline]
    unsafe fn execute(
        &self,
        program: &Program,
        context: u64,
        extra: Extra<'_>,
    ) -> Result<u64, Trap> {
        match program.code() {
            Code::Native {
                entry,
                runtime_context,
                ..
            } => {
                // SAFETY: obligations of the caller.
                Ok(unsafe { native(*entry, *runtime_context, (context, extra.r2)) })
            }
            Code::Interpreted(machine) => {
                // SAFETY: interpreted code is proved; obligations 1 and 2 of the caller.
                let mut memory = unsafe { RawMemory::new() };
                machine.run(&mut memory, start(context, extra))
            }
            // SAFETY: obligations of the caller.
            Code::Checked(machine) => unsafe { self.execute_checked(machine, context, extra) },
        }
    }

    #[cold]
    unsafe fn execute_checked(
        &self,
        machine: &Machine,
        context: u64,
        extra: Extra<'_>,
    ) -> Result<u64, Trap> {
        let mut regions = Vec::new();
        let out_of_memory = |_| Trap {
            at: isa::InsnIdx(0),
            kind: TrapKind::Stopped,
        };
        regions
            .try_reserve(2 + extra.regions.len())
            .map_err(out_of_memory)?;
        regions.extend_from_slice(extra.regions);
        regions.push(Region {
            start: context,
            size: u64::from(self.state.descriptor.get()[0].unsigned_abs()),
            kind: RegionKind::ReadWrite,
        });
        // SAFETY: obligation 2 of the caller.
        if let Some((start, end)) = unsafe { packet(&self.state, context) } {
            regions.push(Region {
                start,
                size: end - start,
                kind: RegionKind::ReadWrite,
            });
        }
        // SAFETY: the regions are valid by obligations 1 and 2; the epoch is pinned.
        let mut memory =
            unsafe { CheckedMemory::new(regions, machine.maps(), Initialization::Required) };
        machine.run(&mut memory, start(context, extra))
    }

    /// Runs the programs that tail calls put in place.
    #[cold]
    unsafe fn chain(
        &self,
        first: Result<u64, Trap>,
        context: u64,
        extra: Extra<'_>,
    ) -> Result<u64, Trap> {
        let mut result = first;
        while self.state.next.get() != 0 && result.is_ok() {
            let next = self.state.next.take();
            // SAFETY: program arrays hold references, given up only after this epoch.
            let program = unsafe { Shared::<Program>::borrow_address(next) };
            // SAFETY: program arrays hold programs of one type; obligations of the caller.
            result = unsafe { self.execute(program, context, extra) };
        }
        result
    }
}

/// Calls machine code.
///
/// Safety: as for [`Run::invoke`].
#[inline(always)]
unsafe fn native(entry: u64, runtime_context: u64, (context, r2): (u64, u64)) -> u64 {
    let function = pointer(entry);
    // SAFETY: the entry was checked to lie in an executable section of the image, and native
    // modules have this signature.
    let function: NativeFn = unsafe { core::mem::transmute(function) };
    // SAFETY: obligations of the caller.
    unsafe { function(context, runtime_context, r2) }
}

fn start(context: u64, extra: Extra<'_>) -> Start {
    Start {
        r1: context,
        r2: extra.r2,
        budget: extra.budget,
    }
}

/// Packet memory (metadata included) that a context names.
///
/// Safety: the context is readable as its descriptor says.
pub(crate) unsafe fn packet(state: &State, context: u64) -> Option<(u64, u64)> {
    let [_, data, end, meta] = state.descriptor.get();
    let size = if state.narrow_pointers.get() {
        Size::W
    } else {
        Size::Dw
    };
    let read = |offset: i32| {
        let offset = u64::try_from(offset).ok()?;
        // SAFETY: a field of the context.
        Some(unsafe { access::load(context + offset, size) })
    };
    let (data, end) = (read(data)?, read(end)?);
    let start = match read(meta) {
        Some(meta) if meta != 0 && meta < data => meta,
        _ => data,
    };
    (start <= end && start != 0).then_some((start, end))
}

impl State {
    /// Notes that the run holds one more record of a ring buffer; false when it holds records of
    /// too many others.
    pub(crate) fn note_record(&self, map: u64) -> bool {
        let used = self.reserved_used.get();
        let known = self.reserved.iter().take(used);
        for place in known {
            let (other, records) = place.get();
            if other == map {
                place.set((map, records.saturating_add(1)));
                return true;
            }
        }
        // A place whose records were all given back, or a new one.
        let mut places = self.reserved.iter().take(used);
        let free = places.find(|place| place.get().1 == 0);
        let place = free.or_else(|| {
            self.reserved_used.set((used + 1).min(RESERVED_RINGS));
            self.reserved.get(used)
        });
        place.map(|place| place.set((map, 1))).is_some()
    }

    /// The run holds one record less; gives the map among the noted ones that `is_of` accepts.
    pub(crate) fn forget_record(&self, is_of: impl Fn(u64) -> bool) -> Option<u64> {
        let mut places = self.reserved.iter().take(self.reserved_used.get());
        let place = places.find(|place| {
            let (map, records) = place.get();
            records != 0 && is_of(map)
        })?;
        let (map, records) = place.get();
        place.set((map, records - 1));
        Some(map)
    }
}

/// The state of the run that a helper is called in.
///
/// Safety: `context` is a context of a running program.
#[inline(always)]
pub(crate) unsafe fn state<'a>(context: u64) -> &'a State {
    // SAFETY: `Run::invoke` put the address there; the state outlives the invocation.
    unsafe {
        let address = access::load(context - CONTEXT_HEADER_BYTES as u64, Size::Dw);
        &*pointer(address).cast::<State>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            core: core::ptr::null(),
            cpu: Cell::new(0),
            tail_calls: Cell::new(0),
            next: Cell::new(0),
            descriptor: Cell::new([-1; 4]),
            narrow_pointers: Cell::new(false),
            reserved: [const { Cell::new((0, 0)) }; RESERVED_RINGS],
            reserved_used: Cell::new(0),
        }
    }

    #[test]
    fn records_of_some_rings_are_known_until_they_are_given_back() {
        let state = state();
        for map in [10, 20, 10, 30, 40] {
            assert!(state.note_record(map));
        }
        assert!(!state.note_record(50), "a fifth ring");
        assert!(state.note_record(40), "a known one");
        assert_eq!(state.forget_record(|map| map == 20), Some(20));
        assert_eq!(state.forget_record(|map| map == 20), None);
        assert!(state.note_record(50), "there is a place again");
        for _ in 0..2 {
            assert_eq!(state.forget_record(|map| map == 10), Some(10));
        }
        assert_eq!(state.forget_record(|map| map == 10), None);
    }
}
