//! The pages of `bpf2native explain` tell the truth: each rejection has one, the example on it that
//! is called rejected is rejected with this very id at the marked instruction, and what is offered
//! in its place is accepted. Examples are cases as in `cases/*.bpf`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use program::ProgramId;
use std::path::Path;
use support::Case;

/// Ids whose page says why it has no example in assembler text.
const WITHOUT_EXAMPLE: [u16; 6] = [201, 228, 231, 237, 240, 250];

/// The blocks of a page with this information string.
fn blocks<'p>(page: &'p str, kind: &str) -> Vec<&'p str> {
    let mut found = Vec::new();
    for block in page.split("\n```").skip(1).step_by(2) {
        if let Some(text) = block.strip_prefix(kind) {
            found.push(text);
        }
    }
    found
}

fn verdict(name: &str, text: &str) -> (Case, Option<(u32, String)>) {
    let case = Case::parse(&format!("{name}{text}"));
    let object = case.object();
    let result = verifier::verify(&object, ProgramId(0), &case.options);
    let found = result.err().map(|rejected| {
        let first = &rejected.rejections[0];
        (first.at.0, first.code().to_string())
    });
    (case, found)
}

#[test]
fn every_rejection_has_a_page_with_a_true_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/explain");
    let mut wrong = Vec::new();
    for row in abi::diagnostic::TABLE {
        if !(200..300).contains(&row.code.0) {
            continue;
        }
        let name = row.code.to_string();
        let page = std::fs::read_to_string(folder.join(format!("{name}.md")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            page.starts_with(&format!("# {name}: {}\n", row.title)),
            "{name}"
        );
        let rejected = blocks(&page, "bpf rejected");
        let accepted = blocks(&page, "bpf accepted");
        let examples = usize::from(!WITHOUT_EXAMPLE.contains(&row.code.0));
        assert_eq!(
            (rejected.len(), accepted.len()),
            (examples, examples),
            "{name}"
        );
        for text in rejected {
            let (case, found) = verdict(&name, text);
            let states = case.expected.as_ref().map(|(_, code)| code.as_str());
            assert_eq!(states, Some(&*name), "the example marks the instruction");
            if found != case.expected {
                wrong.push(format!("{name}: {found:?} in place of {:?}", case.expected));
            }
        }
        for text in accepted {
            if let (_, Some(found)) = verdict(&name, text) {
                wrong.push(format!("{name}: the mended example: {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
