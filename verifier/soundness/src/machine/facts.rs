//! Facts for the compiler, each against what happens.
//!
//! Whether an instruction is reached, which ways branches go and which map a helper gets is compared
//! where the machine does it; the rest is here.

use super::{Fault, Kind, Machine, ObjectId, Word};
use isa::{Insn, InsnIdx, Size};
use verifier::facts::Memory;

impl Machine<'_, '_> {
    /// What the proof says about the memory of an access must hold.
    pub(super) fn check_access(
        &self,
        at: InsnIdx,
        address: Word,
        (offset, size): (i16, Size),
    ) -> Result<(), Fault> {
        let Word::Pointer(pointer) = address else {
            return Ok(());
        };
        let actual = match self.object(pointer.object).kind {
            Kind::Context => Memory::Context,
            Kind::Stack => Memory::Stack,
            Kind::Packet { .. } => Memory::Packet,
            Kind::MapValue(_) => Memory::MapValue,
            _ => Memory::Other,
        };
        let fact = self.verified.facts().at(at);
        if fact.memory.is_some_and(|said| said != actual) {
            return Err("accesses another kind of memory than was said");
        }
        let first = pointer.offset.saturating_add(i64::from(offset));
        if let Some(said) = fact.extent {
            let end = first.saturating_add(i64::from(size.bytes()));
            if first < i64::from(said.low) || end > i64::from(said.high) {
                return Err("accesses other bytes than was said");
            }
            if first.rem_euclid(i64::from(said.align)) != 0 {
                return Err("accesses memory at another alignment than was said");
            }
        }
        if actual == Memory::Stack {
            self.check_stack(pointer.object, first)?;
        }
        Ok(())
    }

    /// A frame reaches so deep: not deeper than its function was said to, nor than all together.
    fn check_stack(&self, stack: ObjectId, first: i64) -> Result<(), Fault> {
        let facts = self.verified.facts();
        let mut above = 0;
        for frame in &self.frames {
            let functions = &self.verified.program().functions;
            let function = functions.iter().position(|f| f.start == frame.start);
            let said = function.and_then(|index| facts.stack_bytes.get(index));
            let said = said.map_or(i64::from(abi::limits::STACK_BYTES), |said| i64::from(*said));
            if frame.stack != stack {
                above += said;
                continue;
            }
            if first < -said {
                return Err("uses more stack than was said");
            }
            if above.saturating_sub(first) > i64::from(facts.worst_stack_bytes) {
                return Err("uses more stack in all frames than was said");
            }
            break;
        }
        Ok(())
    }

    /// The number that a computation left must be the one that was said.
    pub(super) fn check_result(&self, at: InsnIdx, insn: Insn) -> Result<(), Fault> {
        let Some(said) = self.verified.facts().constant(at) else {
            return Ok(());
        };
        let (Insn::Alu { dst, .. }
        | Insn::MovSx { dst, .. }
        | Insn::Neg { dst, .. }
        | Insn::Endian { dst, .. }) = insn
        else {
            return Err("was said to compute a number");
        };
        match self.get(dst)? {
            Word::Number(value) if value == said => Ok(()),
            // Privileged programs compare addresses with numbers; which address equals which
            // number is not modelled.
            Word::Pointer(_) if self.may_leak() => Ok(()),
            _ => Err("computes another number than was said"),
        }
    }
}
