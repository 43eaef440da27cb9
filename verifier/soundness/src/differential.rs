//! Our verdicts beside the kernel's.
//!
//! For one file, each program's two verdicts are printed. Without a file, all cases, examples and
//! the corpus are judged, and every disagreement must stand in the inventory
//! (`verifier/tests/kernel-disagreements.tsv`) with its reason. With `--fuzz`, programs that nobody
//! wrote are judged.

#[path = "kernel_fuzz.rs"]
mod fuzz;
#[path = "inventory.rs"]
mod inventory;

use inventory::{ACCEPTED, Disagreement};
use soundness::kernel::{Judge, Verdict, available};
use soundness::sources::{self, Source};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Lines of the kernel's log shown for one program.
const LOG_LINES: usize = 12;

pub(crate) fn run(words: &[&str]) -> Result<bool, String> {
    if let Err(why) = available() {
        println!("not run: {why}");
        return Ok(true);
    }
    match words {
        [] => everything(),
        ["--fuzz", programs, seed] => fuzz::run(programs, seed),
        [file] => one_file(Path::new(file), None),
        [file, section] => one_file(Path::new(file), Some(section)),
        _ => Err("too many words".into()),
    }
}

/// What we say: nothing when we accept.
fn ours(source: &Source) -> Option<String> {
    let options = verifier::Options::default();
    let rejected = verifier::verify(&source.object, source.id, &options).err()?;
    let first = rejected.rejections.first();
    Some(first.map_or_else(
        || rejected.to_string(),
        |first| format!("{} at {}", first.code(), first.at),
    ))
}

fn one_file(path: &Path, section: Option<&str>) -> Result<bool, String> {
    let sources = sources::file(path)?;
    for source in &sources {
        let program = &source.object.programs[usize::from(source.id.0)];
        if section.is_some_and(|section| section != program.section) {
            continue;
        }
        let verdict = Judge::new(&source.object).judge(source.id);
        let ours = ours(source).map_or("accepted".into(), |why| format!("refused ({why})"));
        let theirs = match &verdict {
            Verdict::Accepted => "accepted".to_owned(),
            Verdict::Refused(_) => "refused".to_owned(),
            Verdict::NotJudged(why) => format!("not judged ({why})"),
        };
        println!("{}: {ours}; kernel: {theirs}", source.name);
        for line in verdict.tail(LOG_LINES) {
            println!("    {line}");
        }
    }
    Ok(true)
}

fn everything() -> Result<bool, String> {
    let mut sources = sources::cases();
    sources.extend(sources::corpus());
    let mut judge: Option<(Arc<program::Object>, Vec<Source>)> = None;
    let mut found = Vec::new();
    let mut counts = BTreeMap::new();
    // Programs of one object stand together and share its maps.
    let mut rest = sources.into_iter().peekable();
    while let Some(source) = rest.next() {
        let group = judge.get_or_insert_with(|| (Arc::clone(&source.object), Vec::new()));
        group.1.push(source);
        let same = |next: &Source| Arc::ptr_eq(&next.object, &group.0);
        if rest.peek().is_some_and(same) {
            continue;
        }
        if let Some((object, sources)) = judge.take() {
            compare(&object, &sources, &mut found, &mut counts);
        }
    }
    for (what, count) in &counts {
        println!("{count:>6} {what}");
    }
    inventory::report(found)
}

fn compare(
    object: &program::Object,
    sources: &[Source],
    found: &mut Vec<Disagreement>,
    counts: &mut BTreeMap<&'static str, u32>,
) {
    if object.platform != abi::Platform::Linux {
        return;
    }
    let judge = Judge::new(object);
    for source in sources {
        let (ours, theirs) = (ours(source), judge.judge(source.id));
        let what = match (&ours, &theirs) {
            (None, Verdict::Accepted) => "both accept",
            (Some(_), Verdict::Refused(_)) => "both refuse",
            (None, Verdict::Refused(_)) => "we accept, the kernel refuses",
            (Some(_), Verdict::Accepted) => "we refuse, the kernel accepts",
            (_, Verdict::NotJudged(_)) => "not judged by the kernel",
        };
        *counts.entry(what).or_default() += 1;
        let differs = matches!(
            (&ours, &theirs),
            (None, Verdict::Refused(_)) | (Some(_), Verdict::Accepted)
        );
        if differs {
            found.push(Disagreement {
                program: source.name.clone(),
                ours: ours.unwrap_or_else(|| "accepted".into()),
                kernel: match theirs {
                    Verdict::Accepted => ACCEPTED.into(),
                    other => other.last_line().trim().to_owned(),
                },
            });
        }
    }
}
