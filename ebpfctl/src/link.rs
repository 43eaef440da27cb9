//! `ebpfctl link`: programs at hooks.

use crate::args::Link;
use crate::{Outcome, Response};
use ebpfapi::Client;
use serde_json::json;

pub(crate) fn run(client: &Client, command: &Link) -> Outcome {
    match command {
        Link::List => list(client),
        Link::Detach { id } => {
            client.link_by_id(*id)?.detach()?;
            Ok(Response {
                text: format!("detached {id}\n"),
                json: json!({"detached": id}),
            })
        }
    }
}

fn list(client: &Client) -> Outcome {
    let mut text = String::new();
    let mut all = Vec::new();
    for id in client.link_ids()? {
        // A link may go between listing and asking.
        let Ok(info) = client.link_by_id(id).and_then(|link| link.info()) else {
            continue;
        };
        let hook = info.row().map_or("unspec", |hook| hook.prefix);
        text += &format!("{}: {hook}  prog {}\n", info.id, info.program_id);
        all.push(json!({
            "id": info.id,
            "program": info.program_id,
            "hook": hook,
            "interface": info.interface(),
        }));
    }
    Ok(Response {
        text,
        json: json!({"links": all}),
    })
}
