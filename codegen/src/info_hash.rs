//! `program_info_hash`: what a program was verified against.
//!
//! The runtime hashes what its extensions offer now and refuses a program whose hash differs, so a
//! program never meets helpers other than those it was proved with. What is hashed is defined once
//! for compiler and runtime, in [`abi::info_hash`].

use abi::ProgramType;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The hash over a program type and the helpers a program calls, by number in any order.
///
/// `None` when there is no such hash: for types of another platform, and when a helper is unknown
/// or has an argument kind without a number.
#[must_use]
pub fn program_info_hash(program_type: &ProgramType, helpers: &[u32]) -> Option<[u8; 32]> {
    let ids: BTreeSet<u32> = helpers.iter().copied().collect();
    let ids: Vec<u32> = ids.into_iter().collect();
    let mut hash = Sha256::new();
    abi::info_hash::stream(program_type, &ids, &mut |part| hash.update(part))?;
    Some(hash.finalize().into())
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
