//! Diagnostics as SARIF 2.1.0 (OASIS), for editors and annotations in CI.
//!
//! One run; its rules are the rows of the table that occur, with their pages as help. A result lies
//! in the source line when there is one, otherwise in the object; the steps of the path that leads
//! to a problem are its code flow.

use super::{Diagnostic, PathStep, Place, Severity};
use crate::commands::explain;
use abi::Code;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use verifier::Way;

/// The document for a list of diagnostics.
pub(crate) fn document(list: &[Diagnostic]) -> Value {
    let codes: BTreeSet<Code> = list.iter().map(|diagnostic| diagnostic.code).collect();
    let codes: Vec<Code> = codes.into_iter().collect();
    let results: Vec<Value> = list.iter().map(|one| result(one, &codes)).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    let row = abi::diagnostic::row(code);
    let title = row.map_or("", |row| row.title);
    let help = row.map_or("", |row| row.help);
    json!({
        "id": code.to_string(),
        "shortDescription": {"text": title},
        "fullDescription": {"text": format!("{title}. {help}")},
        "help": {"text": help, "markdown": explain::page(code).unwrap_or(help)},
        "defaultConfiguration": {"level": "error"},
    })
}

fn result(diagnostic: &Diagnostic, codes: &[Code]) -> Value {
    let mut text = diagnostic.message.clone();
    for (label, note) in &diagnostic.notes {
        text += &format!("\n{label}: {}", note.replace('\n', "; "));
    }
    if let Some(help) = &diagnostic.help {
        text += &format!("\nhelp: {help}");
    }
    let mut result = json!({
        "ruleId": diagnostic.code.to_string(),
        "ruleIndex": codes.binary_search(&diagnostic.code).unwrap_or(0),
        "level": match diagnostic.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "message": {"text": text},
        "locations": location(&diagnostic.place, None).into_iter().collect::<Vec<_>>(),
    });
    if !diagnostic.path.is_empty() {
        result["codeFlows"] = json!([{"threadFlows": [{"locations": flow(diagnostic)}]}]);
    }
    result
}

/// The steps, and the problem itself as the last.
fn flow(diagnostic: &Diagnostic) -> Vec<Value> {
    let step = |step: &PathStep| {
        let way = match step.way {
            Some(Way::Taken) => "taken: ",
            Some(Way::FallThrough) => "not taken: ",
            None => "",
        };
        location(&step.place, Some(&format!("{way}{}", step.text)))
    };
    let last = location(&diagnostic.place, Some(&diagnostic.message));
    let steps = diagnostic.path.iter().map(step).chain([last]).flatten();
    steps
        .map(|location| json!({"location": location, "importance": "essential"}))
        .collect()
}

fn location(place: &Place, message: Option<&str>) -> Option<Value> {
    let mut physical = match (&place.source, &place.file) {
        (Some(source), _) => {
            let mut region = json!({
                "startLine": source.line.max(1),
                "snippet": {"text": source.text},
            });
            if source.column > 0 {
                region["startColumn"] = json!(source.column);
            }
            json!({"artifactLocation": {"uri": uri(&source.file)}, "region": region})
        }
        (None, Some(file)) => json!({"artifactLocation": {"uri": uri(&file.to_string_lossy())}}),
        (None, None) => return None,
    };
    if physical["artifactLocation"]["uri"] == "" {
        physical["artifactLocation"]["uri"] = json!("unknown");
    }
    let mut location = json!({"physicalLocation": physical});
    if let Some(function) = &place.function {
        location["logicalLocations"] = json!([{"name": function, "kind": "function"}]);
    }
    if let Some(message) = message {
        location["message"] = json!({"text": message});
    }
    Some(location)
}

/// A path as a relative or absolute URI: what is not allowed there is escaped.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path).replace('\\', "/");
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}
