//! `bpf2native certificate`: where the test certificate is, and a copy for machines that shall
//! trust it.

use crate::report::{Outcome, Talk};
use crate::{Response, args, files, keys};

/// Prints the path; with `-o` writes the certificate as DER.
pub(crate) fn run(args: &args::CertificateArgs, talk: Talk) -> Response {
    match export(args, talk) {
        Ok(response) => response,
        Err(diagnostics) => Response::failed(diagnostics),
    }
}

fn export(args: &args::CertificateArgs, talk: Talk) -> Outcome<Response> {
    let signer = keys::test_signer(talk)?;
    if let Some(path) = &args.output {
        files::write(path, &signer.certificate_der())?;
    }
    let path = args.output.clone().or(signer.certificate_path());
    let path = path.map_or_else(String::new, |path| path.display().to_string());
    let mut response = Response {
        text: format!("{path}\n"),
        ..Response::default()
    };
    response.set("certificate", path);
    response.set("subject", signer.certificate().subject);
    response.set("thumbprint", signer.certificate().thumbprint);
    Ok(response)
}
