//! What BTF says about the arguments of global functions.
//!
//! A function whose arguments are all numbers, the context or pointers to memory of a known size
//! can be judged without its callers. Others have no contract; that is no error.

use super::functions::CodeFunction;
use crate::{
    btf::{Btf, Kind, TypeId, ext::BtfExt},
    model::{Contract, Parameter},
};
use abi::ProgramType;
use isa::Slot;

/// Type information of a file.
#[derive(Clone, Copy)]
pub(super) struct Contracts<'a, 'd> {
    pub(super) btf: Option<&'a Btf<'d>>,
    pub(super) ext: &'a BtfExt<'d>,
}

/// The typedef by which probes know their context, whatever the machine.
const REGISTERS: &str = "bpf_user_pt_regs_t";
/// The structure of dynamic pointers, whose bytes are not for programs.
const DYNPTR: &str = "bpf_dynptr";
const REGISTER_ARGUMENTS: u32 = 5;

impl<'d> Contracts<'_, 'd> {
    /// The contract of a global function, for programs of a type.
    pub(super) fn of(
        &self,
        section: &str,
        function: &CodeFunction<'_>,
        program_type: &ProgramType,
    ) -> Option<Contract> {
        let btf = self.btf.filter(|_| function.global)?;
        let records = self.ext.functions.get(section)?;
        let at = function.start.checked_mul(Slot::BYTES as u32)?;
        let record = records.binary_search_by_key(&at, |record| record.at).ok()?;
        let id = records.get(record)?.ty;
        let proto = btf.ty(btf.ty(id).ok()?.size_or_type).ok()?;
        if proto.kind != Kind::FunctionProto || proto.vlen > REGISTER_ARGUMENTS {
            return None;
        }
        let returns = proto.size_or_type != 0;
        if returns && !is_number(btf, proto.size_or_type) {
            return None;
        }
        let parameters = (0..proto.vlen)
            .map(|index| {
                let tags = btf.parameter_tags(id, index).ok()?;
                parameter(btf, btf.parameter(&proto, index).ok()?, &tags, program_type)
            })
            .collect::<Option<_>>()?;
        Some(Contract {
            parameters,
            returns,
        })
    }
}

fn is_number(btf: &Btf<'_>, id: TypeId) -> bool {
    btf.strip(id).is_ok_and(|(_, ty)| {
        matches!(ty.kind, Kind::Int | Kind::Enum | Kind::Enum64) && ty.size_or_type <= 8
    })
}

fn parameter(
    btf: &Btf<'_>,
    id: TypeId,
    tags: &[&str],
    program_type: &ProgramType,
) -> Option<Parameter> {
    if is_number(btf, id) {
        return tags.is_empty().then_some(Parameter::Number);
    }
    let to = btf.pointee(id).ok()??;
    let is_context = match btf.ty(to).ok()? {
        ty if ty.kind == Kind::Typedef => btf.name(&ty).ok()? == REGISTERS,
        _ => false,
    };
    let name = btf.strip(to).and_then(|(_, ty)| btf.name(&ty)).ok()?;
    if is_context || name == program_type.context.name || tags == ["arg:ctx"] {
        return Some(Parameter::Context);
    }
    let nullable = match tags {
        [] => true,
        ["arg:nonnull"] => false,
        _ => return None,
    };
    if name == DYNPTR {
        return Some(Parameter::Dynptr);
    }
    let bytes = btf.size_of(to).ok().filter(|bytes| *bytes > 0)?;
    Some(Parameter::Memory { bytes, nullable })
}
