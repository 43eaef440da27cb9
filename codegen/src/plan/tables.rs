//! Slots in the runtime's tables: helpers, maps, globals, resolved functions.
//!
//! Helpers and resolved functions are numbered per program in order of first use, as the metadata
//! of the program lists them; maps and global sections have one numbering per module.

use crate::error::{Error, Place};
use crate::options::Options;
use abi::helper::{self, Helper};
use abi::native::VERSION_BTF_FUNCTIONS;
use abi::{MapKind, Platform, ReturnKind};
use isa::{CallTarget, Imm64, Insn, InsnIdx};
use program::{MapId, Program};
use std::collections::{BTreeMap, BTreeSet};
use verifier::Verified;

/// Tail call helper of Linux.
const LINUX_TAIL_CALL: u32 = 12;
/// `bpf_map_lookup_elem`, on both platforms.
const MAP_LOOKUP: u32 = 1;

/// Slots that one program uses.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Helper numbers in order of first use.
    pub(crate) helpers: Vec<u32>,
    /// Indices of [`program::Object::btf_functions`] in order of first use.
    pub(crate) btf_functions: Vec<usize>,
    /// Maps that the code refers to.
    pub(crate) maps: BTreeSet<MapId>,
    /// The code reads the address of an array map's values.
    pub(crate) uses_array_data: bool,
    /// Slot of each helper.
    helper_slots: BTreeMap<u32, usize>,
    /// Lookups done without a helper call, and their map.
    inlined: BTreeMap<InsnIdx, MapId>,
}

impl Tables {
    /// Slot of a helper.
    pub(crate) fn helper(&self, id: u32) -> Option<usize> {
        self.helper_slots.get(&id).copied()
    }

    /// Slot of a resolved function.
    pub(crate) fn btf_function(&self, index: usize) -> Option<usize> {
        self.btf_functions.iter().position(|&known| known == index)
    }

    /// The map of a lookup that needs no helper.
    pub(crate) fn inlined_lookup(&self, at: InsnIdx) -> Option<MapId> {
        self.inlined.get(&at).copied()
    }

    /// Notes what one live instruction uses.
    pub(super) fn add(
        &mut self,
        verified: &Verified<'_>,
        options: &Options,
        at: InsnIdx,
    ) -> Result<(), Error> {
        let place = || Place::new(verified.program(), at);
        let unsupported = |what| Err(Error::Unsupported { at: place(), what });
        match verified.program().insns[at.index()] {
            Insn::Call(CallTarget::Helper(id)) => self.add_helper(verified, options, at, id),
            Insn::Call(CallTarget::Btf(index)) => self.add_btf(verified, options, at, index)?,
            Insn::Call(CallTarget::Register(_)) => {
                return unsupported("calls through a register are not part of any platform");
            }
            Insn::LoadPacket { .. } if packet_fields(verified.program()).is_none() => {
                return unsupported(
                    "legacy packet loads (ld_abs, ld_ind) exist in packet programs of the Linux \
                     platform only; read the packet through the context's data pointers",
                );
            }
            Insn::LoadImm64 { imm, .. } => self.add_imm64(verified, options, at, imm)?,
            _ => {}
        }
        Ok(())
    }

    fn add_helper(&mut self, verified: &Verified<'_>, options: &Options, at: InsnIdx, id: i32) {
        let id = id.cast_unsigned();
        if options.inline_array_lookups()
            && id == MAP_LOOKUP
            && let Some(map) = lookup_in_array(verified, at)
        {
            self.inlined.insert(at, map);
            self.uses_array_data = true;
            self.maps.insert(map);
            return;
        }
        if self.helper(id).is_none() {
            self.helper_slots.insert(id, self.helpers.len());
            self.helpers.push(id);
        }
    }

    fn add_btf(
        &mut self,
        verified: &Verified<'_>,
        options: &Options,
        at: InsnIdx,
        index: i32,
    ) -> Result<(), Error> {
        let place = Place::new(verified.program(), at);
        if options.abi.is_some_and(|cap| cap < VERSION_BTF_FUNCTIONS) {
            return Err(Error::AbiTooOld {
                at: place,
                needed: VERSION_BTF_FUNCTIONS,
                cap: options.cap(),
                what: "a call of a BTF-resolved function",
            });
        }
        let known = usize::try_from(index)
            .ok()
            .filter(|&index| index < verified.object().btf_functions.len());
        let Some(index) = known else {
            return Err(Error::Malformed {
                at: place,
                what: "no such BTF-resolved function",
            });
        };
        if self.btf_function(index).is_none() {
            self.btf_functions.push(index);
        }
        Ok(())
    }

    fn add_imm64(
        &mut self,
        verified: &Verified<'_>,
        options: &Options,
        at: InsnIdx,
        imm: Imm64,
    ) -> Result<(), Error> {
        let place = || Place::new(verified.program(), at);
        let map = match imm {
            Imm64::Const(_) | Imm64::Code(_) => return Ok(()),
            Imm64::Var(_) => {
                return Err(Error::Unsupported {
                    at: place(),
                    what: "platform variables have no native form; use a map or a helper",
                });
            }
            Imm64::MapFd(map)
            | Imm64::MapIdx(map)
            | Imm64::MapValue { fd: map, .. }
            | Imm64::MapIdxValue { index: map, .. } => map,
        };
        let known = u16::try_from(map).map(MapId).ok();
        let Some(id) = known.filter(|id| verified.object().map(*id).is_some()) else {
            return Err(Error::Malformed {
                at: place(),
                what: "no such map",
            });
        };
        self.maps.insert(id);
        let is_value = matches!(imm, Imm64::MapValue { .. } | Imm64::MapIdxValue { .. });
        if !is_value || global_index(verified, id).is_some() {
            return Ok(());
        }
        self.uses_array_data = true;
        if options
            .abi
            .is_some_and(|cap| cap < abi::native::VERSION_ARRAY_DATA)
        {
            return Err(Error::AbiTooOld {
                at: place(),
                needed: abi::native::VERSION_ARRAY_DATA,
                cap: options.cap(),
                what: "the address of a value in a map that is not a global section",
            });
        }
        Ok(())
    }
}

/// Index of the global section that a map holds.
pub(crate) fn global_index(verified: &Verified<'_>, map: MapId) -> Option<usize> {
    let globals = &verified.object().globals;
    globals.iter().position(|section| section.map == map)
}

/// The prototype of a helper, when the program was checked against it.
///
/// Conformance suites give helper numbers a meaning of their own, so nothing is known of the
/// helpers of a program without a proof.
pub(crate) fn helper_row(verified: &Verified<'_>, id: u32) -> Option<&'static Helper> {
    if !verified.is_proved() {
        return None;
    }
    helper::lookup(verified.program().program_type, id)
}

/// Whether a helper may end the program in favour of another one.
pub(crate) fn is_tail_call(program: &Program, id: i32) -> bool {
    let id = id.cast_unsigned();
    let number = match program.program_type.platform {
        Platform::Windows => abi::native::HELPER_TAIL_CALL,
        Platform::Linux => LINUX_TAIL_CALL,
    };
    let row = helper::lookup(program.program_type, id);
    id == number || row.is_some_and(|row| row.ret == ReturnKind::NoReturnIfSucceed)
}

/// Offsets of the two 32-bit packet pointers in the context, for programs that may use legacy packet
/// loads.
pub(crate) fn packet_fields(program: &Program) -> Option<(i32, i32)> {
    let program_type = program.program_type;
    let (data, end) = (program_type.context.data, program_type.context.end);
    let is_linux = program_type.platform == Platform::Linux;
    (is_linux && program_type.legacy_packet && data >= 0 && end >= 0).then_some((data, end))
}

/// The map of a lookup whose map is known to be a plain array with four-byte keys.
fn lookup_in_array(verified: &Verified<'_>, at: InsnIdx) -> Option<MapId> {
    let id = verified.facts().at(at).map?;
    let map = verified.object().map(id)?;
    (map.kind == MapKind::Array && map.key_size == 4).then_some(id)
}
