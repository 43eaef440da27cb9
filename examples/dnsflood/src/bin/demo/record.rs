//! A story that was told elsewhere, as lines of text.
//!
//! `phase SHOWN FROM TO NAME`, `sample AT RECEIVED`, `question AT passed|lost`; times are milliseconds since
//! the start. What is left out: how long an answer took, as nobody answers there.

use super::measure::Sample;
use super::probe::Question;
use super::story::{Phase, Story};
use std::path::Path;
use std::time::Duration;

pub(crate) fn read(path: &Path) -> Result<Story, String> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&text).map_err(|line| format!("{}: not a line of a record: {line}", path.display()))
}

/// The lines, or the first that is none.
fn parse(text: &str) -> Result<Story, &str> {
    let mut story = Story::default();
    for line in text.lines() {
        take(&mut story, line).ok_or(line)?;
    }
    Ok(story)
}

fn take((phases, samples, questions): &mut Story, line: &str) -> Option<()> {
    let (kind, rest) = line.split_once(' ')?;
    let (at, rest) = rest.split_once(' ')?;
    let at = time(at)?;
    match kind {
        "phase" => {
            let [from, to, name] = rest.splitn(3, ' ').collect::<Vec<&str>>()[..] else {
                return None;
            };
            phases.push(Phase {
                name: name.to_owned(),
                shown: at,
                from: time(from)?,
                to: time(to)?,
            });
        }
        "sample" => samples.push(Sample {
            at,
            received: rest.parse().ok()?,
        }),
        "question" => questions.push(Question {
            at,
            answered: match rest {
                "passed" => Some(Duration::ZERO),
                "lost" => None,
                _ => return None,
            },
        }),
        _ => return None,
    }
    Some(())
}

fn time(milliseconds: &str) -> Option<Duration> {
    milliseconds.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn a_record_is_read_and_a_wrong_line_named() {
        let text =
            "phase 0 500 2000 before it\nsample 100 7\nquestion 200 lost\nquestion 300 passed\n";
        let Ok((phases, samples, questions)) = parse(text) else {
            panic!("it is a record");
        };
        assert_eq!(phases[0].name, "before it");
        assert_eq!(phases[0].to, Duration::from_secs(2));
        assert_eq!(samples[0].received, 7);
        assert!(questions[0].answered.is_none() && questions[1].answered.is_some());
        for wrong in [
            "sample 1 x",
            "question 1 maybe",
            "phase 1 2 3",
            "else 1 2",
            "",
        ] {
            let line = format!("sample 1 2\n{wrong}\n");
            assert_eq!(parse(&line).err(), Some(wrong));
        }
    }
}
