//! Programs: code, attaching, test runs.

use crate::encode::answer;
use crate::handle::OwnedHandle;
use crate::{Cause, Client, CodeType, Error, Link, Map, ProgramInfo, Refusal, info};
use abi::ioctl::{Handle, MESSAGE_BYTES, Request};
use abi::program_type::{self, AttachType};
use abi::result::EbpfResult;
use abi::{Guid, ProgramType};
use std::sync::Arc;

/// `ebpf_code_type_t`: bytecode.
const CODE_BYTECODE: u32 = 2;
/// Offset of the names in the message that makes a program.
const NAMES: u16 = 28;

/// A program of the runtime. Clones share its handle.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) handle: Arc<OwnedHandle>,
    about: Arc<About>,
}

/// What does not change.
#[derive(Debug)]
struct About {
    name: String,
    section: String,
    program_type: Guid,
    attach_type: Option<&'static AttachType>,
}

/// A program to make of bytecode.
#[derive(Clone, Copy, Debug)]
pub struct ProgramSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// The file that it comes from, for people; may be empty.
    pub file: &'a str,
    /// The ELF section that it comes from; names the default hook.
    pub section: &'a str,
    /// Its type.
    pub program_type: &'static ProgramType,
}

/// A test run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run<'a> {
    /// The packet, for programs that have one.
    pub data: &'a [u8],
    /// The context; empty for zeroes. Its packet pointers are set by the runtime.
    pub context: &'a [u8],
    /// How often the program runs; 0 counts as 1.
    pub repeat: u64,
    /// The processor that it runs on.
    pub cpu: Option<u32>,
    /// Runs between two looks at whether it was cancelled; 0 for the runtime's own number.
    pub batch: u64,
}

/// What a test run gave.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunResult {
    /// What the last run returned.
    pub value: u32,
    /// Mean nanoseconds of a run.
    pub duration_ns: u64,
    /// The packet after the last run.
    pub data: Vec<u8>,
    /// The context after the last run; packet pointers are zero.
    pub context: Vec<u8>,
}

impl Client {
    /// Makes a program of bytecode in which maps are named by their handles. The runtime verifies it.
    ///
    /// # Errors
    /// [`Cause::RefusedByRuntime`] with the report of the verifier; the bytecode has more than 8,189
    /// instructions.
    pub fn load_program(&self, spec: &ProgramSpec<'_>, code: &[u8]) -> Result<Program, Error> {
        let names = [spec.file, spec.section, spec.name].concat();
        let offset = |bytes: usize| NAMES.saturating_add(u16::try_from(bytes).unwrap_or(u16::MAX));
        let section = offset(spec.file.len());
        let name = offset(spec.file.len().saturating_add(spec.section.len()));
        let request = Request::CreateProgram {
            program_type: spec.program_type.guid,
            section_name_offset: section,
            program_name_offset: name,
            data: names.as_bytes(),
        };
        let doing = || format!("load program {}", spec.name);
        let handle = self.ask(
            &request,
            |reply| answer!(reply, CreateProgram { program_handle } => program_handle),
        );
        let handle = self.own(handle, doing)?;
        let request = Request::LoadCode {
            program_handle: handle.get(),
            code_type: CODE_BYTECODE,
            code,
        };
        match self.tell(&request) {
            Ok(()) => {}
            Err(error) if error.is(EbpfResult::VerificationFailed) => {
                // The report lies where a loaded program has the name of its file.
                let report = info::query(&handle).map(|(_, report, _)| report);
                let cause = Cause::RefusedByRuntime(Refusal {
                    program: spec.name.to_owned(),
                    report: report.unwrap_or_default(),
                });
                return Err(Error::new(doing(), cause));
            }
            Err(error) => return Err(error.while_doing(doing())),
        }
        Ok(Program {
            handle: Arc::new(handle),
            about: Arc::new(About {
                name: spec.name.to_owned(),
                section: spec.section.to_owned(),
                program_type: spec.program_type.guid,
                attach_type: default_hook(spec.program_type.guid, spec.section, Guid::default()),
            }),
        })
    }
}

impl Program {
    pub(crate) fn of_handle(handle: OwnedHandle) -> Result<Program, Error> {
        let info = info::program(&handle)?;
        let attach_type = default_hook(info.program_type, &info.section, info.attach_type);
        Ok(Program {
            handle: Arc::new(handle),
            about: Arc::new(About {
                name: info.name,
                section: info.section,
                program_type: info.program_type,
                attach_type,
            }),
        })
    }

    /// Its name: the C function.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// The ELF section that it comes from.
    #[must_use]
    pub fn section(&self) -> &str {
        &self.about.section
    }

    /// Its type.
    #[must_use]
    pub fn program_type(&self) -> Guid {
        self.about.program_type
    }

    /// The hook that [`Program::attach`] uses.
    #[must_use]
    pub fn attach_type(&self) -> Option<&'static AttachType> {
        self.about.attach_type
    }

    /// What the runtime says about it.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn info(&self) -> Result<ProgramInfo, Error> {
        info::program(&self.handle)
    }

    /// How it runs.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn code_type(&self) -> Result<CodeType, Error> {
        info::query(&self.handle).map(|(code, _, _)| code)
    }

    /// Attaches it to the hook that its section names, on all interfaces or compartments.
    ///
    /// # Errors
    /// The section names no hook, nobody provides it, or there is no room at it.
    pub fn attach(&self) -> Result<Link, Error> {
        self.attach_with(self.hook()?, &[])
    }

    /// Attaches it to the hook that its section names, on one interface or compartment.
    ///
    /// # Errors
    /// As [`Program::attach`]; the hook does not take a number.
    pub fn attach_to(&self, number: u32) -> Result<Link, Error> {
        self.attach_with(self.hook()?, &number.to_le_bytes())
    }

    /// Attaches it to a hook with a parameter of the hook's own form.
    ///
    /// # Errors
    /// The program is of another type than the hook takes, nobody provides it, there is no room at
    /// it, or the parameter does not fit.
    pub fn attach_with(&self, attach_type: Guid, parameter: &[u8]) -> Result<Link, Error> {
        let request = Request::LinkProgram {
            program_handle: self.handle(),
            attach_type,
            data: parameter,
        };
        let handle = self.client().ask(
            &request,
            |reply| answer!(reply, LinkProgram { link_handle } => link_handle),
        );
        let handle = self.client().own(handle, || self.doing("attach"))?;
        Ok(Link::of_handle(handle))
    }

    /// Detaches it from a hook; `parameter` chooses between several links.
    ///
    /// # Errors
    /// It is not attached there.
    pub fn detach_from(&self, attach_type: Guid, parameter: Option<&[u8]>) -> Result<(), Error> {
        let request = Request::UnlinkProgram {
            link_handle: Handle::INVALID,
            program_handle: self.handle(),
            attach_type,
            attach_data_present: parameter.is_some(),
            data: parameter.unwrap_or_default(),
        };
        let told = self.client().tell(&request);
        told.map_err(|error| error.while_doing(self.doing("detach")))
    }

    fn hook(&self) -> Result<Guid, Error> {
        let hook = self.attach_type().map(|row| row.guid);
        hook.ok_or_else(|| {
            let problem = format!("its section `{}` names no hook", self.section());
            Error::input(self.doing("attach"), problem)
        })
    }

    /// Runs it on a packet and context that nobody else sees.
    ///
    /// # Errors
    /// The input does not fit the type of the program.
    pub fn test_run(&self, run: &Run<'_>) -> Result<RunResult, Error> {
        let doing = || self.doing("run");
        let context_offset = u16::try_from(run.data.len());
        let context_offset = context_offset.map_err(|_| {
            Error::new(
                doing(),
                Cause::TooLarge {
                    bytes: run.data.len(),
                },
            )
        })?;
        let request = Request::ProgramTestRun {
            program_handle: self.handle(),
            repeat_count: run.repeat,
            flags: u32::from(run.cpu.is_some()),
            cpu: run.cpu.unwrap_or(0),
            batch_size: run.batch,
            context_offset,
            data: &[run.data, run.context].concat(),
        };
        let ran = self.client().ask_for(&request, MESSAGE_BYTES, |reply| {
            let (result, split) = answer!(reply,
                ProgramTestRun { duration, return_value, context_offset, data }
                => (RunResult {
                    value: return_value as u32,
                    duration_ns: duration,
                    data: data.to_vec(),
                    context: Vec::new(),
                }, context_offset))?;
            split_context(result, split)
        });
        ran.map_err(|error| error.while_doing(doing()))
    }

    /// Keeps flags for the hooks that it is attached to.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn set_flags(&self, flags: u64) -> Result<(), Error> {
        self.client().tell(&Request::ProgramSetFlags {
            program_handle: self.handle(),
            flags,
        })
    }

    /// Lets it keep a map alive that its code does not name.
    ///
    /// # Errors
    /// It has too many.
    pub fn bind_map(&self, map: &Map) -> Result<(), Error> {
        self.client().tell(&Request::BindMap {
            program_handle: self.handle(),
            map_handle: map.handle(),
        })
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} program {}", self.name())
    }
}

/// Packet and context from what the reply has of both.
fn split_context(mut result: RunResult, at: u64) -> Result<RunResult, Cause> {
    let at = usize::try_from(at).map_err(|_| Cause::OtherReply)?;
    if at > result.data.len() {
        return Err(Cause::OtherReply);
    }
    result.context = result.data.split_off(at);
    Ok(result)
}

/// The hook that a program expects, or the one that its section names when it takes such programs.
fn default_hook(program_type: Guid, section: &str, expected: Guid) -> Option<&'static AttachType> {
    let of_section = || program_type::by_section(abi::Platform::Windows, section);
    let first = || {
        let mut rows = program_type::ATTACH_WINDOWS.iter();
        rows.find(|row| row.program_type.guid == program_type)
    };
    let takes = |row: &&'static AttachType| row.program_type.guid == program_type;
    program_type::attach_by_guid(expected)
        .or_else(|| of_section().filter(takes))
        .or_else(first)
}
