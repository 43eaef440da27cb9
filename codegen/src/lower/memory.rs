//! Loads, stores, atomics (RFC 9669 §5), and the runtime's tables.

use super::Lowering;
use super::alu::size_type;
use super::control::Leave;
use crate::error::Error;
use crate::plan::{global_index, packet_fields};
use abi::native::{GlobalVariableSectionData, MapData, ProgramRuntimeContext};
use core::mem::{offset_of, size_of};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, Value};
use isa::{AtomicOp, Insn, InsnIdx, Operand, Reg, Size};
use program::MapId;
use verifier::facts::Memory;

/// The runtime's tables do not change while a program runs, and they exist when it starts.
pub(super) fn table_flags() -> MemFlagsData {
    MemFlagsData::trusted().with_readonly().with_can_move()
}

/// A byte offset into one of the runtime's tables.
pub(super) fn table_offset(index: usize, stride: usize, field: usize) -> Result<i32, Error> {
    index
        .checked_mul(stride)
        .and_then(|base| base.checked_add(field))
        .and_then(|offset| i32::try_from(offset).ok())
        .ok_or_else(|| Error::Internal(format!("entry {index} of a runtime table")))
}

impl Lowering<'_> {
    pub(super) fn load(&mut self, at: InsnIdx, insn: Insn) {
        let Insn::Load {
            size,
            signed,
            dst,
            base,
            offset,
        } = insn
        else {
            return;
        };
        let flags = self.access_flags(at);
        if self.may_be_shared(at) {
            self.builder.ins().sequence_point();
        }
        let base = self.get(base);
        let offset = i32::from(offset);
        let ins = self.builder.ins();
        let value = match (size, signed) {
            (Size::B, false) => ins.uload8(I64, flags, base, offset),
            (Size::B, true) => ins.sload8(I64, flags, base, offset),
            (Size::H, false) => ins.uload16(I64, flags, base, offset),
            (Size::H, true) => ins.sload16(I64, flags, base, offset),
            (Size::W, false) => ins.uload32(flags, base, offset),
            (Size::W, true) => ins.sload32(flags, base, offset),
            (Size::Dw, _) => ins.load(I64, flags, base, offset),
        };
        self.set(dst, value);
    }

    pub(super) fn store(&mut self, at: InsnIdx, insn: Insn) {
        let Insn::Store {
            size,
            base,
            offset,
            src,
        } = insn
        else {
            return;
        };
        let flags = self.access_flags(at);
        let base = self.get(base);
        let offset = i32::from(offset);
        let value = match src {
            Operand::Reg(reg) => self.get(reg),
            Operand::Imm(imm) => self.number(i64::from(imm)),
        };
        let ins = self.builder.ins();
        match size {
            Size::B => ins.istore8(flags, value, base, offset),
            Size::H => ins.istore16(flags, value, base, offset),
            Size::W => ins.istore32(flags, value, base, offset),
            Size::Dw => ins.store(flags, value, base, offset),
        };
    }

    pub(super) fn atomic(&mut self, at: InsnIdx, insn: Insn) {
        let Insn::Atomic {
            op,
            fetch,
            size,
            base,
            offset,
            src,
        } = insn
        else {
            return;
        };
        let flags = self.access_flags(at);
        let address = self.address((base, offset));
        let operand = self.get(src);
        let operand = self.narrowed(operand, size_type(size));
        if op == AtomicOp::CmpXchg {
            return self.compare_exchange(flags, address, operand);
        }
        let rmw = match op {
            AtomicOp::Add => AtomicRmwOp::Add,
            AtomicOp::Or => AtomicRmwOp::Or,
            AtomicOp::And => AtomicRmwOp::And,
            AtomicOp::Xor => AtomicRmwOp::Xor,
            AtomicOp::Xchg | AtomicOp::CmpXchg => AtomicRmwOp::Xchg,
        };
        let ty = size_type(size);
        let old = self
            .builder
            .ins()
            .atomic_rmw(ty, flags, rmw, address, operand);
        if fetch || op == AtomicOp::Xchg {
            self.set_extended(src, old);
        }
    }

    /// An atomic load; the code generator knows only the strongest order, which on x86-64 costs
    /// nothing for loads.
    pub(super) fn load_acquire(
        &mut self,
        at: InsnIdx,
        (size, dst): (Size, Reg),
        place: (Reg, i16),
    ) {
        let flags = self.access_flags(at);
        let address = self.address(place);
        let ins = self.builder.ins();
        let value = ins.atomic_load(size_type(size), flags, address);
        self.set_extended(dst, value);
    }

    /// An atomic store, with the strongest order.
    pub(super) fn store_release(
        &mut self,
        at: InsnIdx,
        (size, src): (Size, Reg),
        place: (Reg, i16),
    ) {
        let flags = self.access_flags(at);
        let address = self.address(place);
        let value = self.get(src);
        let value = self.narrowed(value, size_type(size));
        self.builder.ins().atomic_store(flags, value, address);
    }

    /// A legacy packet load: a number in network byte order, or the end of the function with 0 where
    /// the packet has none.
    ///
    /// The offset counts as an unsigned 32-bit number, so that a negative one lies behind any packet.
    /// Sums of 32-bit numbers do not overflow, so only what lies between the packet pointers is read,
    /// whatever they are.
    pub(super) fn load_packet(
        &mut self,
        at: InsnIdx,
        size: Size,
        (index, imm): (Option<Reg>, i32),
    ) -> Result<(), Error> {
        let fields = packet_fields(self.unit.program());
        let (Some(context), Some((data, end))) = (self.context, fields) else {
            return Err(self.unplanned(at));
        };
        let flags = MemFlagsData::new().with_notrap();
        let data = self.builder.ins().uload32(flags, context, data);
        let end = self.builder.ins().uload32(flags, context, end);
        let offset = self.packet_offset(index, imm);
        let bytes = self.number(i64::from(size.bytes()));
        let place = self.builder.ins().iadd(data, offset);
        let behind = self.builder.ins().iadd(place, bytes);
        let ins = self.builder.ins();
        let is_outside = ins.icmp(IntCC::UnsignedGreaterThan, behind, end);
        self.leave_if(is_outside, Leave::Function);
        let value = self.builder.ins().load(size_type(size), flags, place, 0);
        let value = match size {
            Size::B => value,
            Size::H | Size::W | Size::Dw => self.builder.ins().bswap(value),
        };
        self.set_extended(Reg::R0, value);
        Ok(())
    }

    /// The low halves of index and immediate, added and zero-extended.
    fn packet_offset(&mut self, index: Option<Reg>, imm: i32) -> Value {
        let imm = i64::from(imm.cast_unsigned());
        let Some(index) = index else {
            return self.number(imm);
        };
        let index = self.get(index);
        let index = self.narrowed(index, I32);
        let imm = self.builder.ins().iconst(I32, imm);
        let offset = self.builder.ins().iadd(index, imm);
        self.zero_extended(offset)
    }

    fn address(&mut self, (base, offset): (Reg, i16)) -> Value {
        let base = self.get(base);
        let offset = self.number(i64::from(offset));
        self.builder.ins().iadd(base, offset)
    }

    /// `r0 = cmpxchg(*address, r0, operand)`; a 32-bit form zero-extends the old value.
    fn compare_exchange(&mut self, flags: MemFlagsData, address: Value, operand: Value) {
        let expected = self.get(Reg::R0);
        let ty = self.builder.func.dfg.value_type(operand);
        let expected = self.narrowed(expected, ty);
        let ins = self.builder.ins();
        let old = ins.atomic_cas(flags, address, expected, operand);
        self.set_extended(Reg::R0, old);
    }

    /// Flags of a program's access: it was proved not to fault; it may be unaligned.
    fn access_flags(&self, at: InsnIdx) -> MemFlagsData {
        let is_stack = self.unit.verified.facts().at(at).memory == Some(Memory::Stack);
        let region = self.stack.filter(|_| is_stack);
        MemFlagsData::new().with_notrap().with_alias_region(region)
    }

    /// Whether other processors may write what is accessed.
    fn may_be_shared(&self, at: InsnIdx) -> bool {
        !matches!(
            self.unit.verified.facts().at(at).memory,
            Some(Memory::Stack | Memory::Context | Memory::Packet)
        )
    }

    /// A pointer in the runtime context.
    pub(super) fn runtime_pointer(&mut self, field: usize) -> Result<Value, Error> {
        let runtime = self
            .runtime
            .ok_or_else(|| Error::Internal("no runtime context".to_owned()))?;
        let offset = table_offset(0, 0, field)?;
        Ok(self.builder.ins().load(I64, table_flags(), runtime, offset))
    }

    /// The map as helpers expect it.
    pub(super) fn map_address(&mut self, at: InsnIdx, map: i32) -> Result<Value, Error> {
        self.map_field(at, map, offset_of!(MapData, address))
    }

    fn map_field(&mut self, at: InsnIdx, map: i32, field: usize) -> Result<Value, Error> {
        let index = usize::try_from(map).map_err(|_| self.unplanned(at))?;
        let offset = table_offset(index, self.unit.map_stride, field)?;
        let maps = self.runtime_pointer(offset_of!(ProgramRuntimeContext, map_data))?;
        Ok(self.builder.ins().load(I64, table_flags(), maps, offset))
    }

    /// The address of a byte in the value of a global section, or of an array map.
    pub(super) fn map_value_address(
        &mut self,
        at: InsnIdx,
        map: i32,
        offset: i32,
    ) -> Result<Value, Error> {
        let id = u16::try_from(map).map_err(|_| self.unplanned(at))?;
        let start = match global_index(self.unit.verified, MapId(id)) {
            Some(index) => self.global_address(index)?,
            None => self.map_field(at, map, offset_of!(MapData, array_data))?,
        };
        let offset = self.number(i64::from(offset));
        Ok(self.builder.ins().iadd(start, offset))
    }

    fn global_address(&mut self, index: usize) -> Result<Value, Error> {
        let field = offset_of!(ProgramRuntimeContext, global_variable_section_data);
        let table = self.runtime_pointer(field)?;
        let offset = table_offset(
            index,
            size_of::<GlobalVariableSectionData>(),
            offset_of!(GlobalVariableSectionData, address_of_map_value),
        )?;
        Ok(self.builder.ins().load(I64, table_flags(), table, offset))
    }

    /// First value of an array map.
    pub(super) fn array_data(&mut self, at: InsnIdx, map: MapId) -> Result<Value, Error> {
        self.map_field(at, i32::from(map.0), offset_of!(MapData, array_data))
    }
}
