//! Objects of the kernel: what is read from them is made up, as far as their types allow it.

use super::step::start;
use super::{Address, Fault, Kind, Machine, ObjectId, Word};
use abi::Helper;
use isa::{Size, semantics};
use program::{Argument, KernelField};
use verifier::value::{Kernel, Trust};

/// Bytes of an argument in the context.
const ARGUMENT_BYTES: usize = 8;

impl Machine<'_, '_> {
    /// An object; only what is trusted is never NULL.
    pub(super) fn kernel_object(&mut self, ty: Kernel, trust: Trust) -> ObjectId {
        let null = trust != Trust::Trusted && self.random.below(4) == 0;
        self.add(Kind::Kernel { ty, trust, null }, 0, 0)
    }

    /// The kernel's own form of the context.
    pub(super) fn kernel_context(&mut self) -> Result<ObjectId, Fault> {
        let name = abi::helper::kernel_context(self.program().program_type.number);
        Ok(self.trusted(Some(name.ok_or("has a context that is no structure")?)))
    }

    /// The object that a helper returns.
    pub(super) fn kernel_result(&mut self, helper: &Helper) -> ObjectId {
        self.trusted(abi::helper::kernel_result(helper.name))
    }

    fn trusted(&mut self, name: Option<&'static str>) -> ObjectId {
        let types = self.verified.object().kernel.as_ref();
        let ty = match name {
            Some(name) => match types.and_then(|types| types.named(name)) {
                Some(ty) => Kernel::Typed(ty),
                None => Kernel::Named(name),
            },
            None => Kernel::Unknown,
        };
        self.kernel_object(ty, Trust::Trusted)
    }

    /// A load through a pointer to an object; `None` for other pointers. Where the pointer is NULL
    /// the load faults, and reads 0.
    pub(super) fn load_kernel(
        &mut self,
        address: Word,
        offset: i64,
        size: Size,
    ) -> Result<Option<Word>, Fault> {
        let Word::Pointer(pointer) = address else {
            return Ok(None);
        };
        let Kind::Kernel { ty, null, trust } = self.object(pointer.object).kind else {
            return Ok(None);
        };
        let (Kernel::Typed(ty), Some(types)) = (ty, &self.verified.object().kernel) else {
            return Err("looks into an object of the kernel");
        };
        let at = u32::try_from(pointer.offset.saturating_add(offset)).ok();
        let field = at.and_then(|at| types.field(ty, at, size.bytes()));
        Ok(Some(
            match field.ok_or("reads across fields of an object of the kernel")? {
                KernelField::Address if !self.may_leak() => return Err("reads an address"),
                KernelField::Number | KernelField::Address if null => Word::Number(0),
                KernelField::Number | KernelField::Address => {
                    let value = self.number();
                    Word::Number(semantics::truncate(size, value))
                }
                KernelField::Pointer(to) => {
                    let leads = abi::helper::leads_surely(types.name(ty), types.name(to));
                    if leads && trust == Trust::Trusted {
                        let object = self.kernel_object(Kernel::Typed(to), Trust::Trusted);
                        return Ok(Some(start(object)));
                    }
                    let object = self.kernel_object(Kernel::Typed(to), Trust::Found);
                    if let Kind::Kernel { null: is, .. } = &mut self.object_mut(object).kind {
                        *is |= null;
                    }
                    start(object)
                }
            },
        ))
    }

    /// An argument in the context.
    pub(super) fn argument_of_kernel(
        &mut self,
        arguments: &[Argument],
        (at, size): (usize, Size),
    ) -> Result<Word, Fault> {
        let argument = arguments.get(at / ARGUMENT_BYTES);
        let argument = argument.filter(|_| at.is_multiple_of(ARGUMENT_BYTES));
        match *argument.ok_or("reads something that is no argument")? {
            Argument::Number => {
                let value = self.number();
                Ok(Word::Number(semantics::truncate(size, value)))
            }
            Argument::Object { .. } if size != Size::Dw => Err("reads part of an address"),
            Argument::Object { nullable: true, .. } if self.random.below(3) == 0 => {
                Ok(Word::Number(0))
            }
            Argument::Object { ty, trusted, .. } => {
                let trust = if trusted {
                    Trust::Trusted
                } else {
                    Trust::Passed
                };
                Ok(start(self.kernel_object(Kernel::Typed(ty), trust)))
            }
        }
    }

    /// Is it a structure of one of these names, as sure as a helper wants it?
    pub(super) fn is_kernel_object(
        &self,
        names: &[&str],
        (ty, trust): (Kernel, Trust),
        pointer: Address,
    ) -> bool {
        if trust == Trust::Found {
            return false;
        }
        match (ty, &self.verified.object().kernel) {
            (Kernel::Unknown, _) => names.is_empty() && pointer.offset == 0,
            (Kernel::Named(name), _) => names.contains(&name) && pointer.offset == 0,
            (Kernel::Typed(ty), Some(types)) => names.iter().any(|name| {
                u32::try_from(pointer.offset).is_ok_and(|at| types.contains(ty, at, name))
            }),
            (Kernel::Typed(_), None) => false,
        }
    }
}
