//! `program_info_hash`: what a program was verified against.
//!
//! The runtime hashes what its extensions offer now and refuses a program whose hash differs, so a
//! program never meets helpers other than those it was proved with. The input is a concatenation,
//! little-endian, without padding; strings have no terminator:
//!
//! ```text
//! program type name | context descriptor (size, data, end, meta: i32) | type GUID | u32 type number
//! | u8 privileged | u64 number of helpers
//! | for each helper, ascending: u32 id | name | u32 return | 5 x u32 arguments [| u8 flags]
//! ```

use abi::helper::{self, Helper};
use abi::{Platform, ProgramType};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The hash over a program type and the helpers a program calls, by number in any order.
///
/// `None` when there is no such hash: for types of another platform, and when a helper is unknown
/// or has an argument kind without a number.
#[must_use]
pub fn program_info_hash(program_type: &ProgramType, helpers: &[u32]) -> Option<[u8; 32]> {
    if program_type.platform != Platform::Windows {
        return None;
    }
    let ids: BTreeSet<u32> = helpers.iter().copied().collect();
    let context = program_type.context;
    let mut hash = Sha256::new();
    hash.update(program_type.name);
    for field in [
        i32::from(context.size),
        context.data,
        context.end,
        context.meta,
    ] {
        hash.update(field.to_le_bytes());
    }
    hash.update(program_type.guid.to_bytes());
    hash.update(program_type.number.to_le_bytes());
    hash.update([u8::from(program_type.privileged)]);
    hash.update(u64::try_from(ids.len()).ok()?.to_le_bytes());
    for id in ids {
        add_helper(&mut hash, prototype(program_type, id)?)?;
    }
    Some(hash.finalize().into())
}

/// The prototype that is hashed: of a general helper always the general one, even where the
/// program type overrides it.
fn prototype(program_type: &ProgramType, id: u32) -> Option<&'static Helper> {
    let general = helper::general(program_type.platform);
    let general = general.iter().find(|row| row.id == id);
    general.or_else(|| helper::lookup(program_type, id))
}

fn add_helper(hash: &mut Sha256, row: &Helper) -> Option<()> {
    hash.update(row.id.to_le_bytes());
    hash.update(row.name);
    hash.update(row.ret.hash_number()?.to_le_bytes());
    for argument in row.args {
        hash.update(argument.hash_number()?.to_le_bytes());
    }
    if row.hashed_flags != 0 {
        hash.update([row.hashed_flags]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::program_type::windows::SOCK_ADDR;

    fn hex(bytes: [u8; 32]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn reproduces_the_hash_in_a_module_of_the_reference_toolchain() {
        // Lookup, update, get_socket_cookie; twice and out of order, as programs call them.
        let hash = program_info_hash(&SOCK_ADDR, &[26, 1, 2, 1]).map(hex);
        let expected = "448044b02fbf5cba01f0537675fbb8192399e8f80a85f49a115ce721f772ebf0";
        assert_eq!(hash.as_deref(), Some(expected));
    }

    #[test]
    fn depends_on_the_helpers() {
        let one = program_info_hash(&SOCK_ADDR, &[1]);
        assert!(one.is_some());
        assert_ne!(one, program_info_hash(&SOCK_ADDR, &[1, 2]));
        assert_eq!(program_info_hash(&SOCK_ADDR, &[0xffff_fff0]), None);
    }
}
