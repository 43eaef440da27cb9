//! Memory whose every access is checked against a list of regions, for programs without a proof,
//! for tests and for fuzzing.
//!
//! An access must lie in one region: context, packet, stack, other memory given by the caller, or
//! one value of one of the program's maps. Stack bytes must be written before they are read when
//! that is asked for. Helper arguments are checked against the helper's prototype; records of ring
//! buffers are allowed as a whole, since reservations are not tracked here.
#![expect(unsafe_code, reason = "accesses memory by address after checking it")]

use super::{execute::access, shared::Shared};
use crate::{
    Map, Status,
    interpreter::{Atomic, Callee, Memory, TrapKind},
    map::ring::RECORD_HEADER,
};
use abi::ArgKind;
use alloc::vec::Vec;
use isa::Size;

/// What may be done with a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegionKind {
    /// Read and write.
    ReadWrite,
    /// Read only.
    ReadOnly,
}

/// A range of addresses that a program may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// What may be done with it.
    pub kind: RegionKind,
}

impl Region {
    fn holds(&self, address: u64, size: u64) -> bool {
        address
            .checked_sub(self.start)
            .and_then(|offset| offset.checked_add(size))
            .is_some_and(|end| end <= self.size)
    }
}

/// Memory with checks.
pub struct CheckedMemory<'a> {
    regions: Vec<Region>,
    maps: &'a [Shared<Map>],
    /// The interpreter's stack, all frames.
    stack: Region,
    /// Which stack bytes were written; empty when that is not checked.
    written: Vec<bool>,
    track: Initialization,
}

/// Whether reads of stack bytes that were never written stop the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Initialization {
    /// They do.
    Required,
    /// They read zero or older bytes.
    Ignored,
}

/// Which way memory is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

impl<'a> CheckedMemory<'a> {
    /// Memory of some regions and the values of some maps.
    ///
    /// # Safety
    ///
    /// 1. Each region is valid for its kind of access while the result is used.
    /// 2. The epoch of the maps is pinned meanwhile.
    #[must_use]
    pub unsafe fn new(
        regions: Vec<Region>,
        maps: &'a [Shared<Map>],
        track: Initialization,
    ) -> CheckedMemory<'a> {
        CheckedMemory {
            regions,
            maps,
            stack: Region {
                start: 0,
                size: 0,
                kind: RegionKind::ReadWrite,
            },
            written: Vec::new(),
            track,
        }
    }

    /// Adds a region, for memory that appears later.
    ///
    /// # Safety
    ///
    /// As for [`CheckedMemory::new`].
    ///
    /// # Errors
    ///
    /// [`Status::NoMemory`].
    pub unsafe fn add(&mut self, region: Region) -> Result<(), Status> {
        self.regions.try_reserve(1).map_err(|_| Status::NoMemory)?;
        self.regions.push(region);
        Ok(())
    }

    fn check(&mut self, address: u64, size: u64, usage: Use) -> Result<(), TrapKind> {
        if self.stack.holds(address, size) {
            return self.check_stack(address, size, usage);
        }
        let allowed = self.regions.iter().any(|region| {
            let kind = usage == Use::Read || region.kind == RegionKind::ReadWrite;
            kind && region.holds(address, size)
        });
        if allowed || self.in_map(address, size) {
            return Ok(());
        }
        Err(match usage {
            Use::Read => TrapKind::Read { address, size },
            Use::Write => TrapKind::Write { address, size },
        })
    }

    fn in_map(&self, address: u64, size: u64) -> bool {
        self.maps
            .iter()
            .any(|map| map.holds(address, size) || map.inner_holds(address, size))
    }

    /// Whether an address is that of the header of a record in one of the maps' rings.
    fn in_ring(&self, header: u64) -> bool {
        self.maps.iter().any(|map| {
            let ring = map.definition().kind == abi::MapKind::RingBuf;
            ring && map.holds(header, RECORD_HEADER)
        })
    }

    fn check_stack(&mut self, address: u64, size: u64, usage: Use) -> Result<(), TrapKind> {
        let from = (address - self.stack.start) as usize;
        let Some(bytes) = self.written.get_mut(from..from + size as usize) else {
            return Ok(());
        };
        if usage == Use::Write {
            bytes.fill(true);
        } else if bytes.contains(&false) {
            return Err(TrapKind::Uninitialized { address, size });
        }
        Ok(())
    }

    fn check_arguments(
        &mut self,
        helper: &abi::Helper,
        args: &[u64; 5],
        context: u64,
    ) -> Result<(), TrapKind> {
        let mut map: Option<&Map> = None;
        for (at, kind) in helper.args.iter().enumerate() {
            let value = args[at];
            let wrong = TrapKind::Argument {
                number: at as u8 + 1,
                value,
            };
            match kind {
                ArgKind::None => break,
                ArgKind::Map | ArgKind::MapOfPrograms => {
                    map = Some(self.map_at(value).ok_or(wrong)?);
                }
                ArgKind::MapKey => {
                    let size = map.map_or(0, |map| u64::from(map.definition().key_size));
                    self.check(value, size, Use::Read)?;
                }
                ArgKind::MapValue | ArgKind::MapValueOut => {
                    let size = map.map_or(0, |map| u64::from(map.definition().value_size));
                    let usage = match kind {
                        ArgKind::MapValue => Use::Read,
                        _ => Use::Write,
                    };
                    self.check(value, size, usage)?;
                }
                // The record's header lies in front of it.
                ArgKind::AllocMem => {
                    let header = value.wrapping_sub(RECORD_HEADER);
                    let aligned = value.is_multiple_of(RECORD_HEADER);
                    if !aligned || !self.in_ring(header) {
                        return Err(wrong);
                    }
                }
                ArgKind::FixedMemOut(size) => self.check(value, u64::from(*size), Use::Write)?,
                ArgKind::Context if value != context => return Err(wrong),
                ArgKind::ContextOrNull if value != context && value != 0 => return Err(wrong),
                kind if kind.is_sized_memory() => {
                    self.check_sized(*kind, value, args.get(at + 1).copied().unwrap_or(0))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_sized(&mut self, kind: ArgKind, address: u64, size: u64) -> Result<(), TrapKind> {
        let size = u64::from(size as u32);
        let nullable = matches!(
            kind,
            ArgKind::ReadableMemOrNull | ArgKind::WritableMemOrNull
        );
        if size == 0 || (nullable && address == 0) {
            return Ok(());
        }
        match kind {
            ArgKind::ReadableMem | ArgKind::ReadableMemOrNull => {
                self.check(address, size, Use::Read)
            }
            _ => self.check(address, size, Use::Write),
        }
    }

    /// The map that a program may name by an address: its own, or one found in a map of maps.
    fn map_at(&self, address: u64) -> Option<&'a Map> {
        let own = self.maps.iter().find(|map| map.address() == address);
        if let Some(own) = own {
            return Some(own);
        }
        let nested = self.maps.iter().any(|map| map.refers_to(address));
        // SAFETY: a map of maps holds the reference, and the epoch is pinned.
        nested.then(|| unsafe { Shared::<Map>::borrow_address(address) })
    }
}

impl Memory for CheckedMemory<'_> {
    fn load(&mut self, address: u64, size: Size) -> Result<u64, TrapKind> {
        self.check(address, u64::from(size.bytes()), Use::Read)?;
        // SAFETY: the bytes lie in a readable region.
        Ok(unsafe { access::load(address, size) })
    }

    fn store(&mut self, address: u64, size: Size, value: u64) -> Result<(), TrapKind> {
        self.check(address, u64::from(size.bytes()), Use::Write)?;
        // SAFETY: the bytes lie in a writable region.
        unsafe { access::store(address, size, value) };
        Ok(())
    }

    fn atomic(&mut self, address: u64, request: Atomic) -> Result<u64, TrapKind> {
        let size = u64::from(request.size.bytes());
        self.check(address, size, Use::Read)?;
        self.check(address, size, Use::Write)?;
        if !address.is_multiple_of(size) {
            return Err(TrapKind::Misaligned { address, size });
        }
        // SAFETY: the bytes lie in a writable region and are aligned.
        Ok(unsafe { access::atomic(address, request) })
    }

    fn call(&mut self, callee: &Callee, args: [u64; 5], context: u64) -> Result<u64, TrapKind> {
        if let Some(helper) = callee.helper {
            self.check_arguments(helper, &args, context)?;
        }
        let [a, b, c, d, e] = args;
        // SAFETY: the arguments are what the prototype says; without a prototype the caller of
        // the interpreter answers for the function.
        Ok(unsafe { (callee.function)(a, b, c, d, e, context) })
    }

    fn enter_stack(&mut self, start: u64, size: u64) {
        self.stack = Region {
            start,
            size,
            kind: RegionKind::ReadWrite,
        };
        self.written.clear();
        if self.track == Initialization::Required
            && self.written.try_reserve_exact(size as usize).is_ok()
        {
            self.written.resize(size as usize, false);
        }
    }

    fn enter_frame(&mut self, frame_end: u64) {
        let end = frame_end.saturating_sub(self.stack.start) as usize;
        let start = end.saturating_sub(abi::limits::STACK_BYTES as usize);
        if let Some(frame) = self.written.get_mut(start..end) {
            frame.fill(false);
        }
    }
}
