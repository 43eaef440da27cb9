//! `ebpfctl prog`: programs.

use crate::args::{Load, Prog, Run};
use crate::{Outcome, Response, value};
use ebpfapi::{Client, CodeType, Object, ProgramInfo};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) fn run(client: &Client, command: &Prog) -> Outcome {
    match command {
        Prog::List => list(client),
        Prog::Show { program } => show(&value::program(client, program)?.info()?),
        Prog::Load(args) => load(client, args),
        Prog::Run(args) => test_run(client, args),
    }
}

fn list(client: &Client) -> Outcome {
    let mut text = String::new();
    let mut all = Vec::new();
    for id in client.program_ids()? {
        // A program may go between listing and asking.
        let Ok(info) = client.program_by_id(id).and_then(|program| program.info()) else {
            continue;
        };
        text += &line(&info);
        all.push(json(&info));
    }
    Ok(Response {
        text,
        json: json!({"programs": all}),
    })
}

fn show(info: &ProgramInfo) -> Outcome {
    let mut text = line(info);
    let ids: Vec<String> = info.map_ids.iter().map(u32::to_string).collect();
    let _ = writeln!(
        text,
        "    section {}  maps {}  map ids {}  runs {}",
        info.section,
        info.map_count,
        value::or_dash(&ids.join(",")),
        value::or_dash(&info.runs.map_or_else(String::new, |runs| runs.to_string()))
    );
    Ok(Response {
        text,
        json: json(info),
    })
}

fn type_name(info: &ProgramInfo) -> &'static str {
    info.row().map_or("unspec", |row| row.name)
}

fn mode(info: &ProgramInfo) -> &'static str {
    match info.code {
        CodeType::None => "none",
        CodeType::Jit => "jit",
        CodeType::Interpreted => "interpreted",
        CodeType::Native => "native",
    }
}

fn line(info: &ProgramInfo) -> String {
    format!(
        "{}: {}  name {}  {}  links {}  pins {}\n",
        info.id,
        type_name(info),
        info.name,
        mode(info),
        info.links,
        info.pinned_paths
    )
}

fn json(info: &ProgramInfo) -> Value {
    json!({
        "id": info.id,
        "name": info.name,
        "type": type_name(info),
        "section": info.section,
        "file": info.file,
        "mode": mode(info),
        "maps": info.map_count,
        "map_ids": info.map_ids,
        "runs": info.runs,
        "links": info.links,
        "pins": info.pinned_paths,
    })
}

/// Loads and pins; pins that were made go again when something fails.
fn load(client: &Client, args: &Load) -> Outcome {
    let loaded = Object::open(&args.file)?.load(client)?;
    let mut made: Vec<String> = Vec::new();
    let done = (|| {
        for program in loaded.programs() {
            let path = format!("{}\\{}", args.pin, program.name());
            program.pin(&path)?;
            made.push(path);
        }
        let Some(name) = &args.attach else {
            return Ok(());
        };
        let program = loaded.program(name)?;
        let link = match args.to {
            Some(number) => program.attach_to(number),
            None => program.attach(),
        };
        link?.keep()
    })();
    if let Err(error) = done {
        for path in &made {
            // What failed first is what is told.
            let _ = client.unpin(path);
        }
        return Err(error.into());
    }
    let mut text = String::new();
    let mut all = Vec::new();
    for (program, path) in loaded.programs().iter().zip(&made) {
        let info = program.info()?;
        let _ = writeln!(text, "{}: {} pinned to {path}", info.id, info.name);
        all.push(json!({"id": info.id, "name": info.name, "pin": path}));
    }
    Ok(Response {
        text,
        json: json!({"programs": all}),
    })
}

fn test_run(client: &Client, args: &Run) -> Outcome {
    let program = value::program(client, &args.program)?;
    let result = program.test_run(&ebpfapi::Run {
        data: &value::hex("--data", &args.data)?,
        context: &value::hex("--context", &args.context)?,
        repeat: args.repeat,
        ..ebpfapi::Run::default()
    })?;
    let text = format!(
        "{} returned {} ({} ns per run)\ndata {}\n",
        program.name(),
        result.value,
        result.duration_ns,
        value::digits(&result.data)
    );
    Ok(Response {
        text,
        json: json!({
            "program": program.name(),
            "value": result.value,
            "duration_ns": result.duration_ns,
            "data": value::digits(&result.data),
            "context": value::digits(&result.context),
        }),
    })
}
