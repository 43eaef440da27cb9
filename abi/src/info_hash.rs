//! The input of `program_info_hash`: what a program was verified against, as a byte stream.
//!
//! Compiler and runtime hash the same stream, so a program never meets helpers other than those it
//! was proved with. Little-endian, no padding, strings without terminator:
//!
//! ```text
//! program type name | context descriptor (size, data, end, meta: i32) | type GUID | u32 type number
//! | u8 privileged | u64 number of helpers
//! | for each helper, ascending: u32 id | name | u32 return | 5 x u32 arguments [| u8 flags]
//! ```
//!
//! Left out: platform functions resolved through BTF, whose prototypes extensions bring.

use crate::{
    Platform, ProgramType,
    helper::{self, Helper},
};

/// Feeds the stream of a program type and the helpers a program calls to `sink`; `helpers` are
/// their numbers, ascending and without repetition.
///
/// `None` when there is no such hash: for types of another platform, for numbers out of order, and
/// when a helper is unknown or has an argument kind without a number.
#[must_use]
pub fn stream(
    program_type: &ProgramType,
    helpers: &[u32],
    sink: &mut dyn FnMut(&[u8]),
) -> Option<()> {
    if program_type.platform != Platform::Windows || !helpers.is_sorted_by(|a, b| a < b) {
        return None;
    }
    let context = program_type.context;
    sink(program_type.name.as_bytes());
    sink(&i32::from(context.size).to_le_bytes());
    for offset in [context.data, context.end, context.meta] {
        sink(&offset.to_le_bytes());
    }
    sink(&program_type.guid.to_bytes());
    sink(&program_type.number.to_le_bytes());
    sink(&[u8::from(program_type.privileged)]);
    sink(&(helpers.len() as u64).to_le_bytes());
    helpers
        .iter()
        .try_for_each(|id| add(prototype(program_type, *id)?, sink))
}

/// The prototype that is hashed: of a general helper always the general one, even where the
/// program type overrides it.
fn prototype(program_type: &ProgramType, id: u32) -> Option<&'static Helper> {
    let general = helper::general(program_type.platform);
    let general = general.iter().find(|row| row.id == id);
    general.or_else(|| helper::lookup(program_type, id))
}

fn add(row: &Helper, sink: &mut dyn FnMut(&[u8])) -> Option<()> {
    sink(&row.id.to_le_bytes());
    sink(row.name.as_bytes());
    sink(&row.ret.hash_number()?.to_le_bytes());
    for argument in row.args {
        sink(&argument.hash_number()?.to_le_bytes());
    }
    if row.hashed_flags != 0 {
        sink(&[row.hashed_flags]);
    }
    Some(())
}
