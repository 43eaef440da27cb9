//! The interpreter's loop.
//!
//! One `match` over the operation codes; registers in an array, the position a pointer. The loop
//! relies on the invariants of [`Op`]: register numbers below 16, jumps that stay in the program,
//! a last operation that does not fall through. They hold because only `translate` makes programs.
//!
//! The budget is charged where loops and calls are: each jump backwards costs the number of
//! operations it goes back, each local call one. A program that never jumps back ends anyway.
#![expect(
    unsafe_code,
    reason = "fetches operations and accesses memory without bounds checks"
)]

use super::{addresses::pointer, shared::Shared};
use crate::{
    Map,
    interpreter::{
        Atomic, Callee, Memory, Op, Opcode, Translated, Trap, TrapKind, tables, unpack_atomic,
    },
};
use abi::limits::{CALL_FRAMES, STACK_BYTES};
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::sync::atomic::{Ordering, fence};
use isa::{AluOp, AtomicOp, Cond, Endian, MAY_GOTO_TURNS, Size, Width, semantics};

/// A program for the interpreter, with the maps it names.
pub struct Machine {
    code: Translated,
    maps: Vec<Shared<Map>>,
    /// Where a context says that the packet is, for the legacy packet instructions.
    packet: Option<PacketFields>,
}

/// Offsets and width of the packet pointers in a context.
#[derive(Clone, Copy, Debug)]
struct PacketFields {
    data: u32,
    end: u32,
    size: Size,
}

/// What a run starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// r1: the context.
    pub r1: u64,
    /// r2: 0, or the length of the memory at r1 in test suites.
    pub r2: u64,
    /// Operations that may be spent on loops and calls.
    pub budget: u64,
}

impl Machine {
    /// Binds a translated program to the maps it uses, which it keeps alive.
    #[must_use]
    pub fn new(code: Translated, maps: Vec<Shared<Map>>) -> Machine {
        Machine {
            code,
            maps,
            packet: None,
        }
    }

    /// The same machine for programs of a type: legacy packet loads find the packet.
    #[must_use]
    pub fn for_type(self, program_type: &abi::ProgramType) -> Machine {
        let context = program_type.context;
        let size = match program_type.platform {
            abi::Platform::Windows => Size::Dw,
            abi::Platform::Linux => Size::W,
        };
        let fields = u32::try_from(context.data)
            .ok()
            .zip(u32::try_from(context.end).ok());
        let packet = fields.map(|(data, end)| PacketFields { data, end, size });
        Machine { packet, ..self }
    }

    /// The maps it names.
    #[must_use]
    pub fn maps(&self) -> &[Shared<Map>] {
        &self.maps
    }

    /// Runs the program over a memory and gives r0.
    ///
    /// # Errors
    ///
    /// A trap when the memory refuses an access or the budget is used up.
    pub fn run<M: Memory>(&self, memory: &mut M, start: Start) -> Result<u64, Trap> {
        let mut stack = [const { MaybeUninit::<u64>::uninit() }; STACK_WORDS];
        let bottom = stack.as_mut_ptr().expose_provenance() as u64;
        let top = bottom + (STACK_WORDS * 8) as u64;
        memory.enter_stack(bottom, (STACK_WORDS * 8) as u64);
        memory.enter_frame(top);
        let mut registers = [0u64; 16];
        registers[1] = start.r1;
        registers[2] = start.r2;
        registers[10] = top;
        self.steps(memory, &mut registers, start)
            .map_err(|(at, kind)| {
                // SAFETY: both point into the operations of this program.
                let index = unsafe { at.offset_from_unsigned(self.code.ops.as_ptr()) };
                Trap {
                    at: self.code.origins.get(index).copied().unwrap_or_default(),
                    kind,
                }
            })
    }

    #[inline(always)]
    fn steps<M: Memory>(
        &self,
        memory: &mut M,
        regs: &mut [u64; 16],
        start: Start,
    ) -> Result<u64, (*const Op, TrapKind)> {
        let mut pc: *const Op = self.code.ops.as_ptr();
        let mut budget = start.budget;
        let mut frames = [const { Frame::EMPTY }; CALL_FRAMES as usize - 1];
        let mut depth = 0usize;
        let mut turns = MAY_GOTO_TURNS;
        macro_rules! reg {
            ($index:expr) => {
                // SAFETY: register numbers in operations are below 16.
                *unsafe { regs.get_unchecked_mut(usize::from($index)) }
            };
        }
        macro_rules! next {
            () => {
                // SAFETY: only operations that fall through come here, and the last does not.
                pc = unsafe { pc.add(1) }
            };
        }
        macro_rules! jump {
            ($op:expr) => {{
                // A jump to itself goes back, too.
                if $op.offset <= 0 {
                    let cost = u64::from($op.offset.unsigned_abs()) / size_of::<Op>() as u64 + 1;
                    match budget.checked_sub(cost) {
                        Some(rest) => budget = rest,
                        None => return Err((pc, TrapKind::Budget)),
                    }
                }
                // SAFETY: distances lead to operations of the same program.
                pc = unsafe { pc.byte_offset($op.offset as isize) };
            }};
        }
        macro_rules! leave {
            () => {{
                if depth == 0 {
                    return Ok(regs[0]);
                }
                depth -= 1;
                let frame = &frames[depth];
                [regs[6], regs[7], regs[8], regs[9]] = frame.saved;
                turns = frame.turns;
                regs[10] += u64::from(STACK_BYTES);
                // SAFETY: a local call falls through, so an operation follows it.
                pc = unsafe { frame.caller.add(1) };
            }};
        }
        macro_rules! set {
            ($op:expr, $value:expr) => {{
                let value = $value;
                reg!($op.dst) = value;
                next!();
            }};
        }
        macro_rules! attempt {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(kind) => return Err((pc, kind)),
                }
            };
        }
        macro_rules! address {
            ($op:expr, $register:ident) => {
                reg!($op.$register).wrapping_add($op.offset as i64 as u64)
            };
        }
        macro_rules! load {
            ($op:expr, $size:ident) => {{
                let address = address!($op, src);
                set!($op, attempt!(memory.load(address, Size::$size)))
            }};
            ($op:expr, $size:ident, signed) => {{
                let address = address!($op, src);
                let raw = attempt!(memory.load(address, Size::$size));
                set!($op, semantics::load_extend(Size::$size, true, raw))
            }};
        }
        macro_rules! store {
            ($op:expr, $size:ident, $value:expr) => {{
                let address = address!($op, dst);
                attempt!(memory.store(address, Size::$size, $value));
                next!();
            }};
        }
        macro_rules! branch {
            ($op:expr, $cond:ident, $width:ident, $right:expr) => {{
                if semantics::cond(Cond::$cond, Width::$width, reg!($op.dst), $right) {
                    jump!($op)
                } else {
                    next!()
                }
            }};
        }
        macro_rules! execute {
            (
                alu { $(($op:ident $r64:ident $i64:ident $r32:ident $i32:ident
                    $mr64:ident $mi64:ident $mr32:ident $mi32:ident))* }
                plain { $(($pop:ident $pr64:ident $pi64:ident $pr32:ident $pi32:ident))* }
                cond { $(($cond:ident $cr64:ident $ci64:ident $cr32:ident $ci32:ident))* }
            ) => {
                loop {
                    // SAFETY: `pc` is always at an operation of this program.
                    let op = unsafe { &*pc };
                    match op.code {
                        $(
                            Opcode::$r64 => set!(op, semantics::alu(
                                AluOp::$op, Width::W64, reg!(op.dst), reg!(op.src))),
                            Opcode::$i64 => set!(op, semantics::alu(
                                AluOp::$op, Width::W64, reg!(op.dst), op.imm)),
                            Opcode::$r32 => set!(op, semantics::alu(
                                AluOp::$op, Width::W32, reg!(op.dst), reg!(op.src))),
                            Opcode::$i32 => set!(op, semantics::alu(
                                AluOp::$op, Width::W32, reg!(op.dst), op.imm)),
                            Opcode::$mr64 => set!(op, semantics::alu(
                                AluOp::$op, Width::W64, reg!(op.src), reg!(op.third))),
                            Opcode::$mi64 => set!(op, semantics::alu(
                                AluOp::$op, Width::W64, reg!(op.src), op.imm)),
                            Opcode::$mr32 => set!(op, semantics::alu(
                                AluOp::$op, Width::W32, reg!(op.src), reg!(op.third))),
                            Opcode::$mi32 => set!(op, semantics::alu(
                                AluOp::$op, Width::W32, reg!(op.src), op.imm)),
                        )*
                        $(
                            Opcode::$pr64 => set!(op, semantics::alu(
                                AluOp::$pop, Width::W64, reg!(op.dst), reg!(op.src))),
                            Opcode::$pi64 => set!(op, semantics::alu(
                                AluOp::$pop, Width::W64, reg!(op.dst), op.imm)),
                            Opcode::$pr32 => set!(op, semantics::alu(
                                AluOp::$pop, Width::W32, reg!(op.dst), reg!(op.src))),
                            Opcode::$pi32 => set!(op, semantics::alu(
                                AluOp::$pop, Width::W32, reg!(op.dst), op.imm)),
                        )*
                        $(
                            Opcode::$cr64 => branch!(op, $cond, W64, reg!(op.src)),
                            Opcode::$ci64 => branch!(op, $cond, W64, op.imm),
                            Opcode::$cr32 => branch!(op, $cond, W32, reg!(op.src)),
                            Opcode::$ci32 => branch!(op, $cond, W32, op.imm),
                        )*
                        Opcode::Neg64 => set!(op, semantics::neg(Width::W64, reg!(op.dst))),
                        Opcode::Neg32 => set!(op, semantics::neg(Width::W32, reg!(op.dst))),
                        Opcode::Sx64B => {
                            set!(op, semantics::mov_sx(Width::W64, Size::B, reg!(op.src)))
                        }
                        Opcode::Sx64H => {
                            set!(op, semantics::mov_sx(Width::W64, Size::H, reg!(op.src)))
                        }
                        Opcode::Sx64W => {
                            set!(op, semantics::mov_sx(Width::W64, Size::W, reg!(op.src)))
                        }
                        Opcode::Sx32B => {
                            set!(op, semantics::mov_sx(Width::W32, Size::B, reg!(op.src)))
                        }
                        Opcode::Sx32H => {
                            set!(op, semantics::mov_sx(Width::W32, Size::H, reg!(op.src)))
                        }
                        Opcode::Le16 => set!(op, swap(Endian::ToLittle, Size::H, reg!(op.dst))),
                        Opcode::Le32 => set!(op, swap(Endian::ToLittle, Size::W, reg!(op.dst))),
                        Opcode::Le64 => set!(op, swap(Endian::ToLittle, Size::Dw, reg!(op.dst))),
                        Opcode::Swap16 => set!(op, swap(Endian::Swap, Size::H, reg!(op.dst))),
                        Opcode::Swap32 => set!(op, swap(Endian::Swap, Size::W, reg!(op.dst))),
                        Opcode::Swap64 => set!(op, swap(Endian::Swap, Size::Dw, reg!(op.dst))),
                        Opcode::LdB => load!(op, B),
                        Opcode::LdH => load!(op, H),
                        Opcode::LdW => load!(op, W),
                        Opcode::LdDw => load!(op, Dw),
                        Opcode::LdSxB => load!(op, B, signed),
                        Opcode::LdSxH => load!(op, H, signed),
                        Opcode::LdSxW => load!(op, W, signed),
                        Opcode::StB => store!(op, B, reg!(op.src)),
                        Opcode::StH => store!(op, H, reg!(op.src)),
                        Opcode::StW => store!(op, W, reg!(op.src)),
                        Opcode::StDw => store!(op, Dw, reg!(op.src)),
                        Opcode::StImmB => store!(op, B, op.imm),
                        Opcode::StImmH => store!(op, H, op.imm),
                        Opcode::StImmW => store!(op, W, op.imm),
                        Opcode::StImmDw => store!(op, Dw, op.imm),
                        Opcode::Atomic => {
                            attempt!(atomic(memory, regs, op));
                            next!();
                        }
                        Opcode::LoadAcquire => {
                            let (_, size) = unpack_atomic(op.third);
                            let address = address!(op, src);
                            let value = attempt!(memory.load(address, size));
                            fence(Ordering::Acquire);
                            set!(op, value)
                        }
                        Opcode::StoreRelease => {
                            let (_, size) = unpack_atomic(op.third);
                            let address = address!(op, dst);
                            fence(Ordering::Release);
                            attempt!(memory.store(address, size, reg!(op.src)));
                            next!();
                        }
                        Opcode::MayGoto => match turns.checked_sub(1) {
                            Some(left) => {
                                turns = left;
                                next!();
                            }
                            None => jump!(op),
                        },
                        Opcode::LoadPacket => {
                            match attempt!(self.load_packet(memory, regs, op, start.r1)) {
                                Some(value) => regs[0] = value,
                                // A load outside of the packet ends the function with 0.
                                None => {
                                    regs[0] = 0;
                                    leave!();
                                    continue;
                                }
                            }
                            next!();
                        }
                        Opcode::Jump => jump!(op),
                        Opcode::Call => {
                            // SAFETY: the immediate of a call is an index of a callee.
                            let callee = unsafe { self.code.callees.get_unchecked(op.imm as usize) };
                            let args = [regs[1], regs[2], regs[3], regs[4], regs[5]];
                            regs[0] = attempt!(memory.call(callee, args, start.r1));
                            if callee.tail_call && regs[0] == 0 {
                                return Ok(0);
                            }
                            next!();
                        }
                        Opcode::CallLocal => {
                            let Some(frame) = frames.get_mut(depth) else {
                                return Err((pc, TrapKind::Frames));
                            };
                            match budget.checked_sub(1) {
                                Some(rest) => budget = rest,
                                None => return Err((pc, TrapKind::Budget)),
                            }
                            frame.saved = [regs[6], regs[7], regs[8], regs[9]];
                            frame.caller = pc;
                            frame.turns = core::mem::replace(&mut turns, MAY_GOTO_TURNS);
                            depth += 1;
                            regs[10] -= u64::from(STACK_BYTES);
                            memory.enter_frame(regs[10]);
                            // SAFETY: distances lead to operations of the same program.
                            pc = unsafe { pc.byte_offset(op.offset as isize) };
                        }
                        Opcode::Exit => leave!(),
                    }
                }
            };
        }
        tables!(execute)
    }

    /// Loads from the packet in network byte order; `None` outside of it (Linux filter semantics).
    #[cold]
    fn load_packet<M: Memory>(
        &self,
        memory: &mut M,
        regs: &[u64; 16],
        op: &Op,
        context: u64,
    ) -> Result<Option<u64>, TrapKind> {
        let Some(fields) = self.packet else {
            return Ok(None);
        };
        let data = memory.load(context.wrapping_add(u64::from(fields.data)), fields.size)?;
        let end = memory.load(context.wrapping_add(u64::from(fields.end)), fields.size)?;
        let index = match op.offset {
            0 => 0,
            _ => regs[usize::from(op.src & 15)],
        };
        let (_, size) = unpack_atomic(op.third);
        let Some(offset) = semantics::packet_offset(index, op.imm as i32) else {
            return Ok(None);
        };
        let at = data.wrapping_add(u64::from(offset));
        let inside = at >= data
            && at
                .checked_add(u64::from(size.bytes()))
                .is_some_and(|last| last <= end);
        if !inside {
            return Ok(None);
        }
        let raw = memory.load(at, size)?;
        Ok(Some(semantics::endian(Endian::ToBig, size, raw)))
    }
}

/// Words of all stack frames.
const STACK_WORDS: usize = (CALL_FRAMES * STACK_BYTES / 8) as usize;

/// What a local call saves.
struct Frame {
    saved: [u64; 4],
    caller: *const Op,
    /// How often `may_goto` of the caller goes on yet.
    turns: u32,
}

impl Frame {
    const EMPTY: Frame = Frame {
        saved: [0; 4],
        caller: core::ptr::null(),
        turns: 0,
    };
}

#[inline(always)]
fn swap(kind: Endian, size: Size, value: u64) -> u64 {
    semantics::endian(kind, size, value)
}

#[inline(always)]
fn atomic<M: Memory>(memory: &mut M, regs: &mut [u64; 16], op: &Op) -> Result<(), TrapKind> {
    let (operation, size) = unpack_atomic(op.third);
    let source = usize::from(op.src & 15);
    let address = regs[usize::from(op.dst & 15)].wrapping_add(op.offset as i64 as u64);
    let request = Atomic {
        op: operation,
        size,
        operand: regs[source],
        expected: regs[0],
    };
    let old = memory.atomic(address, request)?;
    match operation {
        AtomicOp::CmpXchg => regs[0] = old,
        _ if op.imm != 0 => regs[source] = old,
        _ => {}
    }
    Ok(())
}

/// Memory without checks, for programs that the verifier proved.
pub struct RawMemory(());

impl RawMemory {
    /// Memory without checks.
    ///
    /// # Safety
    ///
    /// Every access and helper call of the program that runs over it is valid: the verifier proved
    /// the program, and context, packet and maps are what its type says.
    #[must_use]
    pub unsafe fn new() -> RawMemory {
        RawMemory(())
    }
}

impl Memory for RawMemory {
    #[inline(always)]
    fn load(&mut self, address: u64, size: Size) -> Result<u64, TrapKind> {
        // SAFETY: promised to `RawMemory::new`.
        Ok(unsafe { access::load(address, size) })
    }

    #[inline(always)]
    fn store(&mut self, address: u64, size: Size, value: u64) -> Result<(), TrapKind> {
        // SAFETY: promised to `RawMemory::new`.
        unsafe { access::store(address, size, value) };
        Ok(())
    }

    #[inline(always)]
    fn atomic(&mut self, address: u64, request: Atomic) -> Result<u64, TrapKind> {
        // SAFETY: promised to `RawMemory::new`.
        Ok(unsafe { access::atomic(address, request) })
    }

    #[inline(always)]
    fn call(&mut self, callee: &Callee, args: [u64; 5], context: u64) -> Result<u64, TrapKind> {
        let [a, b, c, d, e] = args;
        // SAFETY: promised to `RawMemory::new`.
        Ok(unsafe { (callee.function)(a, b, c, d, e, context) })
    }

    #[inline(always)]
    fn enter_stack(&mut self, _start: u64, _size: u64) {}

    #[inline(always)]
    fn enter_frame(&mut self, _frame_end: u64) {}
}

/// Plain accesses by address.
pub(super) mod access {
    use super::{Atomic, Size, pointer, semantics};
    use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

    /// Safety: `size` bytes are readable.
    #[inline(always)]
    pub(in super::super) unsafe fn load(address: u64, size: Size) -> u64 {
        let from = pointer(address);
        // SAFETY: the caller's obligation.
        unsafe {
            match size {
                Size::B => u64::from(from.read()),
                Size::H => u64::from(from.cast::<u16>().read_unaligned()),
                Size::W => u64::from(from.cast::<u32>().read_unaligned()),
                Size::Dw => from.cast::<u64>().read_unaligned(),
            }
        }
    }

    /// Safety: `size` bytes are writable.
    #[inline(always)]
    pub(in super::super) unsafe fn store(address: u64, size: Size, value: u64) {
        let to = pointer(address);
        // SAFETY: the caller's obligation.
        unsafe {
            match size {
                Size::B => to.write(value as u8),
                Size::H => to.cast::<u16>().write_unaligned(value as u16),
                Size::W => to.cast::<u32>().write_unaligned(value as u32),
                Size::Dw => to.cast::<u64>().write_unaligned(value),
            }
        }
    }

    /// Safety: `size` bytes are writable and aligned.
    #[inline]
    pub(in super::super) unsafe fn atomic(address: u64, request: Atomic) -> u64 {
        let Atomic {
            op,
            size,
            operand,
            expected,
        } = request;
        let new = |old| semantics::atomic(op, size, old, operand, expected);
        if size == Size::Dw {
            // SAFETY: the caller's obligation.
            let cell = unsafe { AtomicU64::from_ptr(pointer(address).cast()) };
            let mut old = cell.load(SeqCst);
            while let Err(seen) = cell.compare_exchange_weak(old, new(old), SeqCst, SeqCst) {
                old = seen;
            }
            return old;
        }
        // SAFETY: the caller's obligation.
        let cell = unsafe { AtomicU32::from_ptr(pointer(address).cast()) };
        let mut old = cell.load(SeqCst);
        loop {
            let wanted = new(u64::from(old)) as u32;
            match cell.compare_exchange_weak(old, wanted, SeqCst, SeqCst) {
                Ok(_) => return u64::from(old),
                Err(seen) => old = seen,
            }
        }
    }
}
