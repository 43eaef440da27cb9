//! The functions that programs call: six arguments (r1 to r5 and the context), one result.
//!
//! They use the Windows x64 calling convention, which native modules expect; the interpreter calls
//! the same functions. Such a function must save ten vector registers before it calls one of the
//! host's convention, so the lookups that packet programs live on (`map_lookup_elem` on arrays and
//! on hashes with keys of 4, 8 and 16 bytes) are written to compile without any call.
//!
//! Invariant: arguments are what the verifier proved against the prototype in `abi::helper`.
#![expect(unsafe_code, reason = "receives addresses from programs")]

use super::{
    addresses::pointer,
    context::{State, packet, state},
    map_ops::{Scope, read_index},
    shared::Shared,
};
use crate::atomic::AtomicU32;
use crate::{
    Core, Flags, Map, Status,
    helper::format,
    map::{
        Body,
        ring::{Fate, RECORD_HEADER, finish_header},
    },
};
use abi::{Platform, limits::TAIL_CALLS};

/// The calling convention between programs and the runtime.
macro_rules! program_abi {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident),*) $body:block)*) => {
        $(
            $(#[$meta])*
            #[cfg(target_arch = "x86_64")]
            $vis unsafe extern "win64" fn $name($($arg: u64),*) -> u64 $body
            $(#[$meta])*
            #[cfg(not(target_arch = "x86_64"))]
            $vis unsafe extern "C" fn $name($($arg: u64),*) -> u64 $body
        )*
    };
}

pub(super) use program_abi;

/// A helper as programs call it.
#[cfg(target_arch = "x86_64")]
pub type HelperFn = unsafe extern "win64" fn(u64, u64, u64, u64, u64, u64) -> u64;
/// A helper as programs call it.
#[cfg(not(target_arch = "x86_64"))]
pub type HelperFn = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64) -> u64;
/// A program's entry point: context, runtime context, and what becomes r2 in unproved programs of
/// test suites; proved programs do not look at it.
#[cfg(target_arch = "x86_64")]
pub type NativeFn = unsafe extern "win64" fn(u64, u64, u64) -> u64;
/// A program's entry point: context, runtime context, and what becomes r2 in unproved programs of
/// test suites; proved programs do not look at it.
#[cfg(not(target_arch = "x86_64"))]
pub type NativeFn = unsafe extern "C" fn(u64, u64, u64) -> u64;

/// The address of a helper, as runtime contexts carry it.
#[must_use]
pub fn address_of(function: HelperFn) -> u64 {
    (function as *const ()).expose_provenance() as u64
}

/// The function at an address; `None` for 0. Calling it is what is unsafe.
pub(crate) fn function_at(address: u64) -> Option<HelperFn> {
    // SAFETY: a pointer that may be null has the form of an optional function.
    unsafe { core::mem::transmute(pointer(address)) }
}

/// Safety: the address is that of a live map.
#[inline(always)]
unsafe fn map_at<'a>(address: u64) -> &'a Map {
    // SAFETY: the caller's obligation.
    unsafe { Shared::<Map>::borrow_address(address) }
}

/// Safety: `context` is that of a running program.
#[inline(always)]
pub(super) unsafe fn core_of<'a>(context: u64) -> &'a Core {
    // SAFETY: the run borrows the core.
    unsafe { &*state(context).core }
}

/// Safety: `size` bytes at `address` are readable and stay as they are during the call.
unsafe fn bytes<'a>(address: u64, size: u64) -> &'a [u8] {
    if size == 0 || address == 0 {
        return &[];
    }
    // SAFETY: the caller's obligation.
    unsafe { core::slice::from_raw_parts(pointer(address), size as usize) }
}

/// Safety: `size` bytes at `address` are writable.
unsafe fn bytes_mut<'a>(address: u64, size: u64) -> &'a mut [u8] {
    if size == 0 || address == 0 {
        return &mut [];
    }
    // SAFETY: the caller's obligation; the program is stopped in the helper meanwhile.
    unsafe { core::slice::from_raw_parts_mut(pointer(address), size as usize) }
}

/// A result of a helper that returns 64 bits.
fn wide(map: &Map, result: Result<(), Status>) -> u64 {
    match result {
        Ok(()) => 0,
        Err(status) => map.failure(status) as u64,
    }
}

/// A result of a helper that returns `int` on Windows: zero-extended in r0.
fn narrow(map: &Map, result: Result<(), Status>) -> u64 {
    match map.definition.platform {
        Platform::Windows => int(wide(map, result) as i32),
        Platform::Linux => wide(map, result),
    }
}

/// An `int` in r0.
fn int(value: i32) -> u64 {
    u64::from(value as u32)
}

/// `-EINVAL` of the C functions that the memory helpers are named after.
const EINVAL: i32 = -22;

program_abi! {
    /// Address of a map value, or NULL.
    pub(crate) fn map_lookup_elem(map, key, _c, _d, _e, context) {
        // SAFETY: a proved map and key; the run pins the epoch.
        unsafe {
            let target = map_at(map);
            let at = pointer(key);
            match &target.body {
                Body::Array(array) => array.element(read_index(at)),
                Body::Hash(hash) if hash.cpus == 1 => match target.definition.key_size {
                    4 => hash.table.find_fixed::<4>(at),
                    8 => hash.table.find_fixed::<8>(at),
                    16 => hash.table.find_fixed::<16>(at),
                    _ => lookup_slow(map, key, context),
                },
                _ => lookup_slow(map, key, context),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn lookup_slow(map, key, context) {
        // SAFETY: as in `map_lookup_elem`.
        unsafe { map_at(map).find(pointer(key), state(context).cpu.get()) }
    }

    pub(crate) fn map_update_elem(map, key, value, flags, _e, context) {
        // SAFETY: a proved map, key and value; the run pins the epoch.
        unsafe {
            let map = map_at(map);
            let scope = Scope::Cpu(state(context).cpu.get());
            let result = Flags::from_number(flags)
                .and_then(|flags| map.put(pointer(key), pointer(value), flags, scope));
            wide(map, result)
        }
    }

    pub(crate) fn map_delete_elem(map, key, _c, _d, _e, _context) {
        // SAFETY: a proved map and key; the run pins the epoch.
        unsafe {
            let map = map_at(map);
            wide(map, map.delete_key(pointer(key)))
        }
    }

    pub(crate) fn map_lookup_and_delete_elem(map, key, _c, _d, _e, context) {
        // SAFETY: a proved map and key; the run pins the epoch.
        unsafe { map_at(map).take(pointer(key), state(context).cpu.get()).unwrap_or(0) }
    }

    pub(crate) fn map_lookup_percpu_elem(map, key, cpu, _d, _e, _context) {
        // SAFETY: a proved map and key; the run pins the epoch.
        unsafe {
            let map = map_at(map);
            let cpu = cpu as u32;
            if cpu >= map.core.platform().cpu_count() || !map.is_per_cpu() {
                return 0;
            }
            map.find(pointer(key), cpu)
        }
    }

    /// Notes the program to run next; the calling program ends when the result is 0.
    pub(crate) fn tail_call(_ctx, map, index, _d, _e, context) {
        // SAFETY: a proved map; the run pins the epoch.
        unsafe {
            let map = map_at(map);
            let state = state(context);
            let program = match &map.body {
                Body::Slots(slots) if slots.template.is_none() => slots.load(index as u32),
                _ => None,
            };
            let result = match program {
                None | Some(0) => Err(Status::InvalidArgument),
                Some(_) if state.tail_calls.get() >= TAIL_CALLS => Err(Status::NoMoreTailCalls),
                Some(program) => {
                    state.tail_calls.set(state.tail_calls.get() + 1);
                    state.next.set(program);
                    Ok(())
                }
            };
            wide(map, result)
        }
    }

    pub(crate) fn get_prandom_u32(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        u64::from(unsafe { core_of(context) }.platform().random_u32())
    }

    pub(crate) fn ktime_get_boot_ns(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        unsafe { core_of(context) }.platform().boot_ns()
    }

    pub(crate) fn ktime_get_boot_ms(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        unsafe { core_of(context) }.platform().boot_ns() / 1_000_000
    }

    pub(crate) fn ktime_get_ns(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        unsafe { core_of(context) }.platform().ktime_ns()
    }

    pub(crate) fn ktime_get_ms(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        unsafe { core_of(context) }.platform().ktime_ns() / 1_000_000
    }

    pub(crate) fn get_smp_processor_id(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        u64::from(unsafe { state(context) }.cpu.get())
    }

    pub(crate) fn get_current_pid_tgid(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        let (pid, tid) = unsafe { core_of(context) }.platform().pid_tid();
        (u64::from(pid) << 32) | u64::from(tid)
    }

    pub(crate) fn get_current_logon_id(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        unsafe { core_of(context) }.platform().logon_id()
    }

    pub(crate) fn is_current_admin(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        int(unsafe { core_of(context) }.platform().is_admin())
    }

    pub(crate) fn get_current_process_start_key(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        unsafe { core_of(context) }.platform().process_start_key()
    }

    pub(crate) fn get_current_thread_create_time(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        unsafe { core_of(context) }.platform().thread_create_time() as u64
    }

    pub(crate) fn csum_diff(from, from_size, to, to_size, seed, _context) {
        let (from_size, to_size) = (u64::from(from_size as u32), u64::from(to_size as u32));
        if !from_size.is_multiple_of(4) || !to_size.is_multiple_of(4) {
            return int(EINVAL);
        }
        // SAFETY: proved memory of these sizes, or NULL.
        let (from, to) = unsafe { (bytes(from, from_size), bytes(to, to_size)) };
        int(crate::helper::checksum_difference(from, to, seed as u32) as i32)
    }

    pub(crate) fn ringbuf_output(map, data, size, _flags, _e, _context) {
        // SAFETY: a proved map and memory.
        unsafe {
            let map = map_at(map);
            let Body::Ring(ring) = &map.body else {
                return narrow(map, Err(Status::InvalidArgument));
            };
            let data = bytes(data, size);
            narrow(map, ring.ring.output(map.core.platform(), [data, &[]]))
        }
    }

    pub(crate) fn ringbuf_reserve(map, size, _flags, _d, _e, context) {
        // SAFETY: a proved map; a running program, or none.
        let (address, map, state) = unsafe { (map, map_at(map), state_if_any(context)) };
        let Body::Ring(ring) = &map.body else {
            return 0;
        };
        let is_noted = || state.is_none_or(|state| state.note_record(address));
        match ring.ring.reserve(map.core.platform(), size) {
            Ok(record) if is_noted() => record,
            // SAFETY: just reserved.
            Ok(record) => unsafe {
                finish(record, Fate::Discard);
                0
            },
            Err(_) => 0,
        }
    }

    pub(crate) fn ringbuf_submit(record, _flags, _c, _d, _e, context) {
        // SAFETY: the verifier proved that the record came from a reservation of this run.
        unsafe { hand_over(record, Fate::Submit, context) }
    }

    pub(crate) fn ringbuf_discard(record, _flags, _c, _d, _e, context) {
        // SAFETY: the verifier proved that the record came from a reservation of this run.
        unsafe { hand_over(record, Fate::Discard, context) }
    }

    pub(crate) fn ringbuf_query(map, what, _c, _d, _e, _context) {
        // SAFETY: a proved map.
        match &unsafe { map_at(map) }.body {
            Body::Ring(ring) => ring.ring.query(what),
            _ => 0,
        }
    }

    pub(crate) fn trace_printk2(text, size, _c, _d, _e, context) {
        // SAFETY: proved memory; a running program.
        unsafe { print(text, size, &[], context) }
    }

    pub(crate) fn trace_printk3(text, size, c, _d, _e, context) {
        // SAFETY: proved memory; a running program.
        unsafe { print(text, size, &[c], context) }
    }

    pub(crate) fn trace_printk4(text, size, c, d, _e, context) {
        // SAFETY: proved memory; a running program.
        unsafe { print(text, size, &[c, d], context) }
    }

    pub(crate) fn trace_printk5(text, size, c, d, e, context) {
        // SAFETY: proved memory; a running program.
        unsafe { print(text, size, &[c, d, e], context) }
    }

    /// Linux: takes as many of the three arguments as the text names.
    pub(crate) fn trace_printk(text, size, c, d, e, context) {
        // SAFETY: proved memory; a running program.
        unsafe {
            let text = bytes(text, u64::from(size as u32));
            let mut line = format::Line::default();
            match format::linux(text, &[c, d, e], &mut line) {
                Ok(()) => {
                    core_of(context).platform().trace(line.as_bytes());
                    line.as_bytes().len() as u64
                }
                Err(_) => i64::from(EINVAL) as u64,
            }
        }
    }

    pub(crate) fn map_push_elem(map, value, flags, _d, _e, _context) {
        // SAFETY: a proved map and value.
        unsafe {
            let map = map_at(map);
            let value = bytes(value, u64::from(map.definition.value_size));
            let result = match &map.body {
                Body::Queue(queue) => Flags::from_number(flags)
                    .and_then(|flags| queue.push(map.core.platform(), value, flags)),
                _ => Err(Status::InvalidArgument),
            };
            narrow(map, result)
        }
    }

    pub(crate) fn map_pop_elem(map, value, _c, _d, _e, _context) {
        // SAFETY: a proved map and value.
        unsafe {
            let map = map_at(map);
            let value = bytes_mut(value, u64::from(map.definition.value_size));
            let result = match &map.body {
                Body::Queue(queue) => queue.pop(map.core.platform(), value),
                _ => Err(Status::InvalidArgument),
            };
            narrow(map, result)
        }
    }

    pub(crate) fn map_peek_elem(map, value, _c, _d, _e, _context) {
        // SAFETY: a proved map and value.
        unsafe {
            let map = map_at(map);
            let value = bytes_mut(value, u64::from(map.definition.value_size));
            let result = match &map.body {
                Body::Queue(queue) => queue.peek(map.core.platform(), value),
                _ => Err(Status::InvalidArgument),
            };
            narrow(map, result)
        }
    }

    pub(crate) fn memcpy(target, target_size, source, source_size, _e, _context) {
        let (target_size, source_size) =
            (u64::from(target_size as u32), u64::from(source_size as u32));
        if source_size > target_size {
            return int(EINVAL);
        }
        // SAFETY: proved memory of these sizes; overlapping is tolerated.
        unsafe { core::ptr::copy(pointer(source), pointer(target), source_size as usize) };
        0
    }

    pub(crate) fn memcmp(left, left_size, right, right_size, _e, _context) {
        let (left_size, right_size) = (u64::from(left_size as u32), u64::from(right_size as u32));
        // SAFETY: proved memory of these sizes.
        let (left, right) = unsafe { (bytes(left, left_size), bytes(right, right_size)) };
        int(left.cmp(right) as i32)
    }

    pub(crate) fn memset(target, size, value, _d, _e, _context) {
        let size = u64::from(size as u32);
        // SAFETY: proved memory of this size.
        unsafe { core::ptr::write_bytes(pointer(target), value as u8, size as usize) };
        target
    }

    pub(crate) fn strncpy_s(target, target_size, source, count, _e, _context) {
        // SAFETY: proved memory of these sizes.
        unsafe {
            let target = bytes_mut(target, u64::from(target_size as u32));
            let source = bytes(source, u64::from(count as u32));
            int(crate::helper::string_copy(target, 0, source))
        }
    }

    pub(crate) fn strncat_s(target, target_size, source, count, _e, _context) {
        // SAFETY: proved memory of these sizes.
        unsafe {
            let target = bytes_mut(target, u64::from(target_size as u32));
            let source = bytes(source, u64::from(count as u32));
            let used = crate::helper::string_length(target);
            int(crate::helper::string_copy(target, used, source))
        }
    }

    pub(crate) fn strnlen_s(text, size, _c, _d, _e, _context) {
        // SAFETY: proved memory of this size.
        let text = unsafe { bytes(text, u64::from(size as u32)) };
        int(crate::helper::string_length(text) as i32)
    }

    pub(crate) fn perf_event_output(_ctx, map, flags, data, size, context) {
        // SAFETY: a proved map and memory; a running program.
        unsafe {
            let map = map_at(map);
            let data = bytes(data, u64::from(size as u32));
            narrow(map, output_event(map, flags, data, context))
        }
    }

    /// Linux: the low bits of the flags are the result for a key that is not in the map.
    pub(crate) fn redirect_map(map, key, flags, _d, _e, _context) {
        const XDP_REDIRECT: u64 = 4;
        let key = (key as u32).to_ne_bytes();
        // SAFETY: a proved map; the run pins the epoch.
        unsafe {
            let map = map_at(map);
            let found = map.definition.key_size == 4 && map.find(key.as_ptr(), 0) != 0;
            if found { XDP_REDIRECT } else { flags & 3 }
        }
    }

    /// Linux: user and group of the current task; there is none but the host's.
    pub(crate) fn get_current_uid_gid(_a, _b, _c, _d, _e, _context) {
        0
    }
}

/// The state of the run; none when a host calls a helper by itself, and nobody is told then.
///
/// Safety: 0, or a context of a running program.
unsafe fn state_if_any<'a>(context: u64) -> Option<&'a State> {
    // SAFETY: the caller's obligation.
    (context != 0).then(|| unsafe { state(context) })
}

/// Hands over or drops a record and tells who waits for what is behind it.
///
/// Safety: the record was reserved by this run and not finished yet; a running program, or 0.
unsafe fn hand_over(record: u64, fate: Fate, context: u64) -> u64 {
    // SAFETY: the caller's obligation.
    unsafe { finish(record, fate) };
    // SAFETY: a running program, or none.
    let Some(state) = (unsafe { state_if_any(context) }) else {
        return 0;
    };
    let ring_of = |map: u64| {
        // SAFETY: maps that the run reserved records of stay until it ends.
        match &unsafe { map_at(map) }.body {
            Body::Ring(ring) if ring.ring.holds(record, 1) => Some(&ring.ring),
            _ => None,
        }
    };
    let map = state.forget_record(|map| ring_of(map).is_some());
    if let Some(ring) = map.and_then(ring_of) {
        // SAFETY: the core outlives its runs.
        ring.wake(unsafe { &*state.core }.platform());
    }
    0
}

/// Hands over or drops a record: its header, in front of the data, says all that is needed.
///
/// Safety: the record was reserved and not finished yet.
unsafe fn finish(record: u64, fate: Fate) -> u64 {
    // SAFETY: the caller's obligation; headers are aligned to 8 and live as long as their ring.
    let header = unsafe { AtomicU32::from_ptr(pointer(record - RECORD_HEADER).cast()) };
    finish_header(header, fate);
    0
}

/// Safety: proved memory and a running program.
unsafe fn print(text: u64, size: u64, args: &[u64], context: u64) -> u64 {
    // SAFETY: the caller's obligation.
    let (text, core) = unsafe { (bytes(text, u64::from(size as u32)), core_of(context)) };
    let mut line = format::Line::default();
    match format::windows(text, args, &mut line) {
        Ok(()) => {
            core.platform().trace(line.as_bytes());
            int(line.as_bytes().len() as i32)
        }
        Err(_) => int(-1),
    }
}

/// Safety: a running program.
unsafe fn output_event(map: &Map, flags: u64, data: &[u8], context: u64) -> Result<(), Status> {
    const CURRENT_CPU: u32 = u32::MAX;
    const CAPTURE: u64 = 0xf_ffff << 32;
    let Body::Perf(perf) = &map.body else {
        return Err(Status::InvalidArgument);
    };
    // SAFETY: a running program.
    let state = unsafe { state(context) };
    let cpu = flags as u32;
    let stray = flags & !(CAPTURE | u64::from(u32::MAX)) != 0;
    if stray || (cpu != CURRENT_CPU && cpu != state.cpu.get()) {
        return Err(Status::InvalidArgument);
    }
    let capture = (flags & CAPTURE) >> 32;
    let mut captured: &[u8] = &[];
    if capture != 0 {
        // SAFETY: the context of a running program; its packet is readable.
        captured = unsafe {
            let (start, end) = packet(state, context).ok_or(Status::InvalidArgument)?;
            if capture > end - start {
                return Err(Status::InvalidArgument);
            }
            bytes(start, capture)
        };
    }
    let ring = perf.rings.get(state.cpu.get() as usize);
    let ring = ring.ok_or(Status::InvalidArgument)?;
    ring.output(map.core.platform(), [data, captured])
}
