//! `[telemetry]`.

use edgewit_model::{AccessLog, AccessLogFormat, LogFormat, LogTarget, Telemetry};

use super::Cx;
use crate::{
    code,
    raw::{self, At, TextOr},
    suggest::did_you_mean,
};

pub(super) fn telemetry(raw: raw::Telemetry, cx: &mut Cx<'_, '_>) -> Telemetry {
    if let Some(level) = &raw.log.level {
        check_level(level, cx);
    }
    let log_format = match raw.log.format {
        Some(raw::LogFormat::Text) => LogFormat::Text,
        Some(raw::LogFormat::Json) => LogFormat::Json,
        Some(raw::LogFormat::Auto) | None => LogFormat::Auto,
    };
    Telemetry {
        log_level: raw.log.level.map(|level| level.value),
        log_format,
        access_log: access_log(raw.access_log.as_ref(), cx),
    }
}

/// Each part is a level, or something with a level behind `=`. A bare word that is no level would silently be taken for
/// the name of a part.
fn check_level(text: &At<String>, cx: &mut Cx<'_, '_>) {
    for part in text.value.split(',') {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            let message = format!("`{level}` is no level; use {}", LEVELS.join(", "));
            cx.hint(code::INVALID_VALUE, &text.span, message, did_you_mean(level, LEVELS));
        }
    }
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

fn access_log(raw: Option<&At<TextOr<raw::AccessLog>>>, cx: &mut Cx<'_, '_>) -> Option<AccessLog> {
    let default = Some(AccessLog { format: AccessLogFormat::default(), target: LogTarget::Stdout });
    let Some(at) = raw else { return default };
    let table = match &at.value {
        TextOr::Text(text) if text == "off" => return None,
        TextOr::Text(text) => {
            let message = format!("`{text}` is neither `off` nor a table");
            cx.error(code::INVALID_VALUE, &at.span, message);
            return default;
        }
        TextOr::Table(table) => table,
    };
    let format = match table.format {
        Some(raw::AccessLogFormat::Common) => AccessLogFormat::Common,
        Some(raw::AccessLogFormat::Json) | None => AccessLogFormat::Json,
    };
    let target = match &table.file {
        Some(file) if file.value != "-" => LogTarget::File(cx.path(file)),
        _ => LogTarget::Stdout,
    };
    Some(AccessLog { format, target })
}
