//! The target machine, and one function from Cranelift IR to bytes.
//!
//! Settings that matter for a driver: the Windows calling convention, no stack probes (frames stay
//! far below a page), unwind information for every function. The code is position-independent
//! because all symbols are colocated, so nothing but 32-bit PC-relative references is left, which
//! is checked; Cranelift's `is_pic` would go through a global offset table instead, which Windows
//! does not have. The CPU baseline is plain x86-64: the machine that compiles need not be the
//! machine that runs.

use crate::builder::{Builder, Record};
use crate::error::Error;
use crate::module::{SectionId, SymbolId, Target};
use crate::unwind;
use cranelift_codegen::binemit::Reloc as MachineReloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{ExternalName, Function};
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{CodegenError, CompiledCode, Context, FinalizedRelocTarget};

/// Target triple: x86-64 with the Windows conventions.
const TRIPLE: &str = "x86_64-pc-windows-msvc";
/// Functions start at this alignment, as Microsoft's compiler has it.
const FUNCTION_ALIGN: usize = 16;
/// Largest frame without a stack probe: a page. Kernel stacks are 24 KiB for everybody on them.
const MAX_FRAME_BYTES: u32 = 4096;

#[rustfmt::skip] // one setting, one line
const SETTINGS: &[(&str, &str)] = &[
    ("opt_level", "speed"),
    ("is_pic", "false"),
    ("use_colocated_libcalls", "true"),
    ("unwind_info", "true"),
    ("enable_probestack", "false"),
    ("enable_verifier", "true"),
    ("regalloc_checker", "false"),
];
/// What a call and `push rbp` put above a frame.
const RETURN_AND_RBP: u32 = 16;

/// The code generator with its settings and its reusable memory.
pub(crate) struct Machine {
    isa: OwnedTargetIsa,
    context: Context,
    control: ControlPlane,
}

/// A compiled function before it is placed.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Code and what it refers to.
    code: CompiledCode,
    /// Names of user symbols, by reference number of the function.
    function: Function,
}

impl Machine {
    /// Sets the machine up.
    pub(crate) fn new() -> Result<Machine, Error> {
        let mut flags = settings::builder();
        for (name, value) in SETTINGS {
            flags
                .set(name, value)
                .map_err(|error| Error::Internal(format!("setting {name}: {error}")))?;
        }
        let isa = isa::lookup_by_name(TRIPLE)
            .map_err(|error| Error::Internal(format!("{TRIPLE}: {error}")))?
            .finish(settings::Flags::new(flags))
            .map_err(|error| Error::Internal(format!("{TRIPLE}: {error}")))?;
        Ok(Machine {
            isa,
            context: Context::new(),
            control: ControlPlane::default(),
        })
    }

    /// What the front end must know of the machine.
    pub(crate) fn isa(&self) -> &dyn isa::TargetIsa {
        &*self.isa
    }

    /// Asks for listings in [`Compiled::assembly`].
    pub(crate) fn want_assembly(&mut self) {
        self.context.set_disasm(true);
    }

    /// Compiles one function; `Ok(None)` when it is too large.
    pub(crate) fn compile(&mut self, function: Function) -> Result<Option<Compiled>, Error> {
        let want_assembly = self.context.want_disasm;
        self.context.clear();
        self.context.set_disasm(want_assembly);
        self.context.func = function;
        match self.context.compile(&*self.isa, &mut self.control) {
            Ok(_) => {}
            Err(error) => {
                return match error.inner {
                    CodegenError::CodeTooLarge | CodegenError::ImplLimitExceeded => Ok(None),
                    inner => Err(Error::Internal(format!("{inner:?}"))),
                };
            }
        }
        let code = self
            .context
            .take_compiled_code()
            .ok_or_else(|| Error::Internal("no code came out".to_owned()))?;
        let frame = code.buffer.frame_layout();
        if frame.is_some_and(|frame| frame.frame_to_fp_offset > MAX_FRAME_BYTES) {
            return Ok(None);
        }
        Ok(Some(Compiled {
            code,
            function: core::mem::replace(&mut self.context.func, Function::new()),
        }))
    }
}

impl Compiled {
    /// The machine's listing, when it was asked for.
    pub(crate) fn assembly(&self) -> &str {
        self.code.vcode.as_deref().unwrap_or_default()
    }

    /// Bytes that one call takes from the stack, return address included.
    pub(crate) fn frame_bytes(&self) -> u32 {
        let frame = self.code.buffer.frame_layout();
        frame.map_or(0, |frame| frame.frame_to_fp_offset) + RETURN_AND_RBP
    }

    /// The Windows unwind information.
    pub(crate) fn unwind(&self) -> Result<Option<Vec<u8>>, Error> {
        unwind::encode(&self.code.buffer.unwind_info)
    }

    /// Puts the function into a section. `resolve` turns its references into symbols and imports.
    pub(crate) fn place(
        &self,
        builder: &mut Builder,
        (section, symbol): (SectionId, SymbolId),
        resolve: &mut dyn FnMut(&mut Builder, Reference<'_>) -> Result<Target, Error>,
    ) -> Result<(), Error> {
        let mut record = Record::bytes(self.code.code_buffer().to_vec(), FUNCTION_ALIGN);
        for reloc in self.code.buffer.relocs() {
            if !matches!(
                reloc.kind,
                MachineReloc::X86PCRel4 | MachineReloc::X86CallPCRel4
            ) {
                return Err(Error::Internal(format!("relocation {:?}", reloc.kind)));
            }
            let FinalizedRelocTarget::ExternalName(name) = &reloc.target else {
                return Err(Error::Internal(format!("relocation to {:?}", reloc.target)));
            };
            let target = resolve(builder, self.reference(name)?)?;
            // Cranelift counts from the field, we count from its end.
            record = record.relative(reloc.offset, target, reloc.addend + 4);
        }
        builder.place_function(section, symbol, record, self.unwind()?)
    }

    fn reference<'a>(&'a self, name: &'a ExternalName) -> Result<Reference<'a>, Error> {
        match name {
            ExternalName::User(user) => {
                let names = self.function.params.user_named_funcs();
                Ok(Reference::Function(names[*user].index))
            }
            ExternalName::TestCase(name) => core::str::from_utf8(name.raw())
                .map(Reference::Name)
                .map_err(|_| Error::Internal("a symbol that is not text".to_owned())),
            other => Err(Error::Internal(format!("reference to {other:?}"))),
        }
    }
}

/// What code refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reference<'a> {
    /// Function of the program, by number.
    Function(u32),
    /// A symbol of the driver skeleton.
    Name(&'a str),
}
