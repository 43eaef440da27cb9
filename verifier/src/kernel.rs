//! Pointers to objects of the Linux kernel: where they come from, what may be read through them, and
//! which helpers take them.
//!
//! A load must lie in one field of the pointer's type. It gives a number, or a pointer that was only
//! *found*: it can be NULL or stale, so that comparing it proves nothing and helpers do not take it.
//! Loads through it are allowed all the same, because the kernel lets those that fault read 0. A few
//! objects surely lead to others that are there as long as they are.
//! Objects cannot be written. What is left out: objects that a program owns, reading them under
//! locks or RCU, which could make found pointers trusted.

use crate::argument::{Argument, Arguments};
use crate::domain::Scalar;
use crate::memory::{Base, Span};
use crate::reason::Reason;
use crate::step::Step;
use crate::value::{Kernel, Pointer, Region, Trust, Value};
use abi::Helper;
use isa::Size;
use program::{KernelField, KernelType};

/// Bytes of an argument in the context.
const ARGUMENT_BYTES: i64 = 8;

impl Step<'_, '_> {
    /// Reads an argument of a program that is called like a function of the kernel.
    pub(crate) fn load_argument(
        &mut self,
        base: &Base,
        arguments: &[program::Argument],
        span: Span,
        (size, signed): (Size, bool),
    ) -> Result<Value, Reason> {
        let inside = span.exact && span.low >= 0 && span.low % ARGUMENT_BYTES == 0;
        let index = usize::try_from(span.low / ARGUMENT_BYTES);
        let argument = index.ok().and_then(|index| arguments.get(index));
        let Some(argument) = argument.filter(|_| inside) else {
            return Err(base.refuse("reading anything but one of the arguments"));
        };
        match *argument {
            program::Argument::Number => Ok(Value::number(Scalar::load_result(size, signed))),
            program::Argument::Object { .. } if size != Size::Dw => {
                Err(base.refuse("reading part of an address"))
            }
            program::Argument::Object {
                ty,
                trusted,
                nullable,
            } => Ok(Value::Pointer(Pointer {
                // Read twice, it is the same, but that is not known here.
                null: if nullable { self.fresh() } else { 0 },
                ..Pointer::to(Region::Kernel {
                    ty: Kernel::Typed(ty),
                    trust: if trusted {
                        Trust::Trusted
                    } else {
                        Trust::Passed
                    },
                })
            })),
        }
    }

    /// Reads a field of a kernel object.
    pub(crate) fn load_kernel(
        &self,
        base: &Base,
        ty: Kernel,
        span: Span,
        (size, signed): (Size, bool),
    ) -> Result<Value, Reason> {
        let (Kernel::Typed(ty), Some(types)) = (ty, &self.env.object.kernel) else {
            let what = "reading without knowing its fields, which are in the kernel's BTF (--btf)";
            return Err(base.refuse(what));
        };
        let offset = u32::try_from(span.low).ok().filter(|_| span.exact);
        let field = offset.and_then(|offset| types.field(ty, offset, size.bytes()));
        let is_sure = base.pointer.null == 0 && !base.pointer.is_unsure();
        match field {
            Some(KernelField::Pointer(_)) if signed => {
                Err(base.refuse("a sign-extending load of a pointer"))
            }
            Some(KernelField::Pointer(to)) => Ok(Value::Pointer(Pointer::to(Region::Kernel {
                ty: Kernel::Typed(to),
                trust: match is_sure && abi::helper::leads_surely(types.name(ty), types.name(to)) {
                    true => Trust::Trusted,
                    false => Trust::Found,
                },
            }))),
            Some(KernelField::Address) if !self.may_leak() => {
                Err(base.refuse("reading an address"))
            }
            Some(KernelField::Number | KernelField::Address) => {
                Ok(Value::number(Scalar::load_result(size, signed)))
            }
            None => Err(base.refuse("reading outside of one of its fields")),
        }
    }

    /// The object that a helper returns.
    pub(crate) fn kernel_result(&self, helper: &Helper) -> Region {
        self.trusted(abi::helper::kernel_result(helper.name))
    }

    /// An object that is there, of a structure of some name.
    fn trusted(&self, name: Option<&'static str>) -> Region {
        let typed = |name| self.env.object.kernel.as_ref()?.named(name);
        Region::Kernel {
            ty: match name {
                Some(name) => typed(name).map_or(Kernel::Named(name), Kernel::Typed),
                None => Kernel::Unknown,
            },
            trust: Trust::Trusted,
        }
    }

    /// The kernel's own form of the context of this program.
    pub(crate) fn kernel_context(&self, helper: &Helper) -> Result<Value, Reason> {
        let program_type = self.env.program.program_type;
        let Some(name) = abi::helper::kernel_context(program_type.number) else {
            return Err(Reason::HelperNotAllowed {
                helper: helper.name,
                program_type: program_type.name,
            });
        };
        Ok(Value::Pointer(Pointer::to(self.trusted(Some(name)))))
    }

    /// The number of the type that an address is cast to.
    pub(crate) fn kernel_type_argument(
        &self,
        argument: Argument<'_>,
        arguments: &mut Arguments,
    ) -> Result<(), Reason> {
        let number = argument.found.scalar().and_then(Scalar::is_const);
        let ty = number.and_then(|number| u32::try_from(number).ok());
        let types = self.env.object.kernel.as_ref();
        arguments.kernel_type = ty
            .map(KernelType)
            .filter(|ty| types.is_some_and(|types| types.is_structure(*ty)));
        match arguments.kernel_type {
            Some(_) => Ok(()),
            None => Err(argument.refuse()),
        }
    }

    /// An address as that of an object of a type, with what is there left open.
    pub(crate) fn kernel_cast(&self, arguments: &Arguments) -> Region {
        Region::Kernel {
            ty: arguments.kernel_type.map_or(Kernel::Unknown, Kernel::Typed),
            trust: Trust::Found,
        }
    }

    /// Does a pointer lead to a structure of one of these names, as sure as a helper wants it?
    pub(crate) fn is_kernel_object(
        &self,
        names: &[&str],
        (ty, trust): (Kernel, Trust),
        pointer: &Pointer,
    ) -> bool {
        let Some(offset) = pointer.known_offset().filter(|_| trust != Trust::Found) else {
            return false;
        };
        match (ty, &self.env.object.kernel) {
            (Kernel::Unknown, _) => names.is_empty() && offset == 0,
            (Kernel::Named(name), _) => names.contains(&name) && offset == 0,
            (Kernel::Typed(ty), Some(types)) => u32::try_from(offset)
                .is_ok_and(|offset| names.iter().any(|name| types.contains(ty, offset, name))),
            (Kernel::Typed(_), None) => false,
        }
    }
}
