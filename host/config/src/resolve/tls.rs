//! `listeners.<name>.tls`.

use edgewit_model::{CertificateFiles, ClientAuth, ClientAuthMode, ListenerTls, TlsVersion};

use super::Cx;
use crate::{
    Diagnostic, code,
    pem::{Kind, Pem},
    raw::{self, At},
};

/// Certificates of one listener; all of them are read again when one changes.
const MOST_CERTIFICATES: usize = 1_000;

pub(super) fn listener_tls(
    raw: &At<raw::ListenerTls>,
    pems: &mut Vec<Pem>,
    cx: &mut Cx<'_, '_>,
) -> Option<ListenerTls> {
    let mut reader = Reader { pems, cx };
    let files = reader.certificates(raw)?;
    let client_auth = raw.value.client_auth.as_ref().map(|auth| reader.client_auth(auth));
    let min_version = match raw.value.min_version {
        Some(raw::TlsVersion::V1_3) => TlsVersion::V1_3,
        Some(raw::TlsVersion::V1_2) | None => TlsVersion::V1_2,
    };
    Some(ListenerTls { files, min_version, client_auth })
}

/// Collects the files that will be looked into.
struct Reader<'r, 'c, 's> {
    pems: &'r mut Vec<Pem>,
    cx: &'r mut Cx<'c, 's>,
}

impl Reader<'_, '_, '_> {
    fn certificates(&mut self, raw: &At<raw::ListenerTls>) -> Option<Vec<CertificateFiles>> {
        let files = raw.value.files.as_ref().filter(|files| !files.value.0.is_empty());
        let Some(files) = files else {
            self.report_no_files(raw);
            return None;
        };
        let list = &files.value.0;
        if list.len() > MOST_CERTIFICATES {
            let many = list.len();
            let message = format!("{many} certificates are too many, {MOST_CERTIFICATES} at most");
            self.cx.error(code::TOO_MANY, &files.span, message);
        }
        let read = |file: &raw::TlsFiles| CertificateFiles {
            cert: self.file(Kind::Certificates, &file.cert),
            key: self.file(Kind::PrivateKey, &file.key),
        };
        Some(list.iter().take(MOST_CERTIFICATES).map(read).collect())
    }

    /// Says it only once: what was dropped because it is wrong has been reported.
    fn report_no_files(&mut self, raw: &At<raw::ListenerTls>) {
        let files = self.cx.item.get("tls").and_then(|tls| tls.get_ref().get("files"));
        let is_missing = files
            .is_none_or(|files| files.get_ref().as_array().is_some_and(|list| list.is_empty()));
        if is_missing && self.cx.item.get("tls").is_some() {
            let diagnostic = Diagnostic::new(code::MISSING_KEY, "`tls` lacks `files`");
            let help = "tls.files = { cert = \"cert.pem\", key = \"key.pem\" }";
            self.cx.report.push(diagnostic.at(self.cx.at(&raw.span), "").help(help));
        }
    }

    fn client_auth(&mut self, raw: &raw::ClientAuth) -> ClientAuth {
        ClientAuth {
            ca: self.file(Kind::Certificates, &raw.ca),
            mode: match raw.mode {
                Some(raw::ClientAuthMode::Request) => ClientAuthMode::Request,
                Some(raw::ClientAuthMode::Require) | None => ClientAuthMode::Require,
            },
            crl: raw.crl.as_ref().map(|crl| self.file(Kind::RevocationLists, crl)),
        }
    }

    fn file(&mut self, kind: Kind, text: &At<String>) -> std::path::PathBuf {
        let path = self.cx.path(text);
        self.pems.push(Pem { kind, path: path.clone(), place: self.cx.at(&text.span) });
        path
    }
}
