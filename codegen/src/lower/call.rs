//! Calls: helpers, resolved functions, functions of the program, and lookups without a call.
//!
//! A helper is called through the runtime's table with six arguments: r1 to r5 and the original
//! context. All six are always passed, whatever the prototype says: an implementation may be a
//! forwarder that owns all six slots. Registers that the prototype does not read are passed as 0,
//! so that old values need not be kept.

use super::control::Leave;
use super::memory::table_offset;
use super::{Lowering, reports_end};
use crate::error::Error;
use crate::plan::{function_starting_at, helper_row, is_tail_call};
use abi::ArgKind;
use abi::native::{BtfResolvedFunctionData, HelperFunctionData, ProgramRuntimeContext};
use core::mem::{offset_of, size_of};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I32, I64};
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, FuncRef, InstBuilder, MemFlagsData, SigRef, Signature,
    UserExternalName, Value,
};
use cranelift_codegen::isa::CallConv;
use isa::{CallTarget, InsnIdx, Reg};
use program::MapId;

/// Arguments of a helper call: r1 to r5 and the context.
const HELPER_ARGUMENTS: usize = 6;

impl Lowering<'_> {
    pub(super) fn call(&mut self, at: InsnIdx, target: CallTarget) -> Result<(), Error> {
        match target {
            CallTarget::Helper(id) => match self.unit.plan.tables.inlined_lookup(at) {
                Some(map) => self.array_lookup(at, map),
                None => self.helper_call(at, id),
            },
            CallTarget::Btf(index) => self.btf_call(at, index),
            CallTarget::Local(offset) => self.local_call(at, offset),
            CallTarget::Register(_) => Err(self.unplanned(at)),
        }
    }

    fn helper_call(&mut self, at: InsnIdx, id: i32) -> Result<(), Error> {
        let number = id.cast_unsigned();
        let tables = &self.unit.plan.tables;
        let slot = tables.helper(number).ok_or_else(|| self.unplanned(at))?;
        let row = helper_row(self.unit.verified, number);
        let stride = size_of::<HelperFunctionData>();
        let address = table_offset(slot, stride, offset_of!(HelperFunctionData, address))?;
        let field = offset_of!(ProgramRuntimeContext, helper_data);
        let helpers = self.runtime_pointer(field)?;
        let arguments = self.helper_arguments(at, row.map(|row| &row.args))?;
        let mut result = self.call_through(helpers, address, &arguments);
        if row.is_some_and(|row| row.result_32) {
            let low = self.builder.ins().ireduce(I32, result);
            result = self.builder.ins().uextend(I64, low);
        }
        self.set(Reg::R0, result);
        if is_tail_call(self.unit.program(), id) {
            let flag = table_offset(slot, stride, offset_of!(HelperFunctionData, tail_call))?;
            self.end_after_tail_call(helpers, flag, result);
        }
        Ok(())
    }

    fn btf_call(&mut self, at: InsnIdx, index: i32) -> Result<(), Error> {
        let tables = &self.unit.plan.tables;
        let known = usize::try_from(index).ok();
        let slot = known
            .and_then(|index| tables.btf_function(index))
            .ok_or_else(|| self.unplanned(at))?;
        let address = table_offset(
            slot,
            size_of::<BtfResolvedFunctionData>(),
            offset_of!(BtfResolvedFunctionData, address),
        )?;
        let field = offset_of!(ProgramRuntimeContext, btf_resolved_function_data);
        let functions = self.runtime_pointer(field)?;
        let arguments = self.helper_arguments(at, None)?;
        let result = self.call_through(functions, address, &arguments);
        self.set(Reg::R0, result);
        Ok(())
    }

    fn helper_arguments(
        &mut self,
        at: InsnIdx,
        prototype: Option<&[ArgKind; 5]>,
    ) -> Result<[Value; HELPER_ARGUMENTS], Error> {
        let context = self.context.ok_or_else(|| self.unplanned(at))?;
        let mut arguments = [context; HELPER_ARGUMENTS];
        for (number, reg) in Reg::ARGS.into_iter().enumerate() {
            let is_read = prototype.is_none_or(|args| args[number] != ArgKind::None);
            arguments[number] = if is_read {
                self.get(reg)
            } else {
                self.number(0)
            };
        }
        Ok(arguments)
    }

    /// Calls the function whose address lies at `table + offset`.
    ///
    /// The address is loaded anew for each call: the runtime replaces it when an extension
    /// restarts.
    fn call_through(
        &mut self,
        table: Value,
        offset: i32,
        arguments: &[Value; HELPER_ARGUMENTS],
    ) -> Value {
        let flags = MemFlagsData::trusted();
        let address = self.builder.ins().load(I64, flags, table, offset);
        let signature = self.helper_signature();
        let ins = self.builder.ins();
        let call = ins.call_indirect(signature, address, arguments);
        self.builder.inst_results(call)[0]
    }

    fn helper_signature(&mut self) -> SigRef {
        if let Some(known) = self.helper_signature {
            return known;
        }
        let mut signature = Signature::new(CallConv::WindowsFastcall);
        signature.params = vec![AbiParam::new(I64); HELPER_ARGUMENTS];
        signature.returns.push(AbiParam::new(I64));
        let signature = self.builder.import_signature(signature);
        self.helper_signature = Some(signature);
        signature
    }

    /// Ends the program with 0 when the helper is a tail call that succeeded.
    fn end_after_tail_call(&mut self, helpers: Value, flag: i32, result: Value) {
        let flags = MemFlagsData::trusted();
        let is_tail_call = self.builder.ins().load(I8, flags, helpers, flag);
        let zero_flag = self.builder.ins().iconst(I8, 0);
        let is_set = self
            .builder
            .ins()
            .icmp(IntCC::NotEqual, is_tail_call, zero_flag);
        let zero = self.number(0);
        let succeeded = self.builder.ins().icmp(IntCC::Equal, result, zero);
        let ends = self.builder.ins().band(is_set, succeeded);
        self.leave_if(ends, Leave::Program);
    }

    fn local_call(&mut self, at: InsnIdx, offset: i32) -> Result<(), Error> {
        let (callee, function) = self.function_at_offset(at, offset)?;
        let mut arguments: Vec<Value> = Reg::ARGS.iter().map(|&reg| self.get(reg)).collect();
        let plan = self.unit.plan.function(callee);
        let plan = plan.ok_or_else(|| self.unplanned(at))?;
        if !plan.is_callback {
            arguments.extend(self.context.filter(|_| plan.needs_context));
            arguments.extend(self.runtime.filter(|_| plan.needs_runtime));
        }
        let call = self.builder.ins().call(function, &arguments);
        let result = self.builder.inst_results(call)[0];
        self.set(Reg::R0, result);
        if reports_end(callee, plan) {
            let ended = self.builder.inst_results(call)[1];
            self.leave_if(ended, Leave::Program);
        }
        Ok(())
    }

    pub(super) fn function_address(&mut self, at: InsnIdx, offset: i32) -> Result<Value, Error> {
        let (_, function) = self.function_at_offset(at, offset)?;
        Ok(self.builder.ins().func_addr(I64, function))
    }

    fn function_at_offset(&mut self, at: InsnIdx, offset: i32) -> Result<(usize, FuncRef), Error> {
        let target = at.jump(offset);
        let callee = target
            .and_then(|target| function_starting_at(self.unit.program(), target))
            .ok_or_else(|| self.unplanned(at))?;
        if let Some(&known) = self.callees.get(&callee) {
            return Ok((callee, known));
        }
        let number = u32::try_from(callee).map_err(|_| self.unplanned(at))?;
        let name = UserExternalName::new(0, number);
        let name = self.builder.func.declare_imported_user_function(name);
        let signature = self.builder.import_signature(self.unit.signature(callee));
        let function = self.builder.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        self.callees.insert(callee, function);
        Ok((callee, function))
    }

    /// `r0 = index < max_entries ? array_data + index * stride : 0`, the index read through r2.
    ///
    /// The comparison and the choice are done without a branch that could be speculated past.
    fn array_lookup(&mut self, at: InsnIdx, map: MapId) -> Result<(), Error> {
        let Some(definition) = self.unit.verified.object().map(map) else {
            return Err(self.unplanned(at));
        };
        let stride = (i64::from(definition.value_size) + 7) & !7;
        let entries = i64::from(definition.max_entries);
        let data = self.array_data(at, map)?;
        let key = self.get(Reg::R2);
        let flags = MemFlagsData::new().with_notrap();
        self.builder.ins().sequence_point();
        let index = self.builder.ins().uload32(flags, key, 0);
        let entries = self.number(entries);
        let stride = self.number(stride);
        let ins = self.builder.ins();
        let is_inside = ins.icmp(IntCC::UnsignedLessThan, index, entries);
        let offset = self.builder.ins().imul(index, stride);
        let address = self.builder.ins().iadd(data, offset);
        let null = self.number(0);
        let ins = self.builder.ins();
        let value = ins.select_spectre_guard(is_inside, address, null);
        self.set(Reg::R0, value);
        Ok(())
    }
}
