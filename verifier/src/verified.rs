//! The proof-carrying value that code generation takes.

use crate::facts::Facts;
use program::{Object, Program, ProgramId};

/// A program that passed verification, with what the proof learned.
///
/// Only this crate can make one. [`Verified::assume`] makes one without a proof, for running
/// trusted test suites; whatever is built from it knows ([`Verified::is_proved`]) and can never
/// become a driver.
#[derive(Clone, Debug)]
pub struct Verified<'a> {
    object: &'a Object,
    id: ProgramId,
    program: &'a Program,
    facts: Facts,
    proved: bool,
}

impl<'a> Verified<'a> {
    /// For this crate alone, when the analysis found nothing wrong.
    pub(crate) fn proved(
        object: &'a Object,
        id: ProgramId,
        program: &'a Program,
        facts: Facts,
    ) -> Verified<'a> {
        Verified {
            object,
            id,
            program,
            facts,
            proved: true,
        }
    }

    /// Takes a program as it is, without a proof: conformance suites and differential tests only.
    ///
    /// Returns `None` when `id` is not of this object.
    #[must_use]
    pub fn assume(object: &'a Object, id: ProgramId) -> Option<Verified<'a>> {
        let program = object.programs.get(usize::from(id.0))?;
        let reached = crate::facts::InsnFact {
            reached: true,
            taken: true,
            fallthrough: true,
            ..Default::default()
        };
        let facts = Facts {
            insns: alloc::vec![reached; program.insns.len()],
            stack_bytes: alloc::vec![abi::limits::STACK_BYTES; program.functions.len()],
            worst_stack_bytes: abi::limits::STACK_BYTES * abi::limits::CALL_FRAMES,
            ..Facts::default()
        };
        Some(Verified {
            object,
            id,
            program,
            facts,
            proved: false,
        })
    }

    /// The same program with facts that nobody proved, to test what facts do to code. The result
    /// counts as not proved.
    #[must_use]
    pub fn with_facts(self, facts: Facts) -> Verified<'a> {
        Verified {
            facts,
            proved: false,
            ..self
        }
    }

    /// The object that the program belongs to.
    #[must_use]
    pub fn object(&self) -> &'a Object {
        self.object
    }

    /// Which program of the object.
    #[must_use]
    pub fn id(&self) -> ProgramId {
        self.id
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &'a Program {
        self.program
    }

    /// What the proof learned.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// False when it was made by [`Verified::assume`].
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.proved
    }
}
