//! What every check needs: the entry, the report, and readers for values with bounds.

use std::{
    net::SocketAddr,
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
    time::Duration,
};

use edgewit_model::ByteSize;

use crate::{
    Diagnostic, Place, Report,
    code::{self, Code},
    raw::{Amount, At, Size, Time, Unit},
    tree::Item,
};

/// One entry that is being checked.
pub(super) struct Cx<'c, 's> {
    pub(super) item: &'c Item<'s>,
    pub(super) base: &'c Path,
    pub(super) report: &'c mut Report,
}

type Span = Range<usize>;

impl Cx<'_, '_> {
    /// A place in the file of this entry.
    pub(super) fn at(&self, span: &Span) -> Place {
        self.item.at(span.clone())
    }

    /// Reports a mistake at a value.
    pub(super) fn error(&mut self, code: Code, span: &Span, message: impl Into<String>) {
        self.hint(code, span, message, "");
    }

    /// Reports a mistake at a value with a remark beside it.
    pub(super) fn hint(
        &mut self,
        code: Code,
        span: &Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) {
        let place = self.at(span);
        self.report.push(Diagnostic::new(code, message).at(place, label));
    }

    /// Reports a mistake of the entry as a whole.
    pub(super) fn entry_error(&mut self, code: Code, message: impl Into<String>) {
        self.report.push(Diagnostic::new(code, message).at(self.item.place(), ""));
    }

    /// Is there nothing at this key, not even something that was dropped because it is wrong?
    pub(super) fn lacks(&self, key: &str) -> bool {
        let value = self.item.get(key).map(|value| value.get_ref());
        value.is_none_or(|value| value.as_array().is_some_and(|list| list.is_empty()))
    }

    /// An amount, if there is one and it can be read.
    pub(super) fn amount<U: Unit>(&mut self, field: &Option<At<Amount<U>>>) -> Option<U::Value> {
        let at = field.as_ref()?;
        match at.value.read() {
            Ok(value) => Some(value),
            Err((message, fix)) => {
                let label = fix.map(|fix| format!("did you mean `{fix}`?")).unwrap_or_default();
                self.hint(code::UNIT, &at.span, message, label);
                None
            }
        }
    }

    /// A duration above zero.
    pub(super) fn time(&mut self, field: &Option<At<Amount<Time>>>, default: Duration) -> Duration {
        self.time_from(field, Duration::from_millis(1), default)
    }

    /// A duration that may be zero.
    pub(super) fn pause(
        &mut self,
        field: &Option<At<Amount<Time>>>,
        default: Duration,
    ) -> Duration {
        self.time_from(field, Duration::ZERO, default)
    }

    fn time_from(
        &mut self,
        field: &Option<At<Amount<Time>>>,
        least: Duration,
        default: Duration,
    ) -> Duration {
        match (self.amount(field), field) {
            (Some(value), Some(at)) if value < least || value > LONGEST => {
                self.error(code::INVALID_VALUE, &at.span, "a duration here is `1ms` to `8760h`");
                default
            }
            (value, _) => value.unwrap_or(default),
        }
    }

    /// A size above zero.
    pub(super) fn size(&mut self, field: &Option<At<Amount<Size>>>, default: ByteSize) -> ByteSize {
        match (self.amount(field), field) {
            (Some(value), Some(at)) if value.0 == 0 || value.0 > LARGEST => {
                self.error(code::INVALID_VALUE, &at.span, "a size here is `1B` to `1024GiB`");
                default
            }
            (value, _) => value.unwrap_or(default),
        }
    }

    /// A whole number within a range that fits the type.
    pub(super) fn count<N: TryFrom<u64>>(
        &mut self,
        field: &Option<At<u64>>,
        range: RangeInclusive<u64>,
        default: N,
    ) -> N {
        let Some(at) = field else { return default };
        let value = Some(at.value).filter(|value| range.contains(value));
        value.and_then(|value| N::try_from(value).ok()).unwrap_or_else(|| {
            let (least, most) = range.into_inner();
            self.error(
                code::INVALID_VALUE,
                &at.span,
                format!("a number here is {least} to {most}, not {}", at.value),
            );
            default
        })
    }

    /// A list within its bound; what is beyond is left out.
    pub(super) fn bounded<'l, T>(
        &mut self,
        list: &'l At<Vec<T>>,
        most: usize,
        what: &str,
    ) -> &'l [T] {
        if list.value.len() > most {
            let message = format!("{} {what} are too many, {most} at most", list.value.len());
            self.error(code::TOO_MANY, &list.span, message);
        }
        list.value.get(..most).unwrap_or(&list.value)
    }

    /// A path, relative to the main file.
    pub(super) fn path(&mut self, text: &At<String>) -> PathBuf {
        if text.value.is_empty() || text.value.contains('\0') {
            self.error(code::INVALID_VALUE, &text.span, "this is no path");
        }
        self.base.join(&text.value)
    }

    /// An address with a port.
    pub(super) fn address(&mut self, text: &At<String>) -> Option<SocketAddr> {
        let address = text.value.parse().ok();
        if address.is_none() {
            let message = format!("`{}` is no address with a port", text.value);
            self.hint(code::INVALID_VALUE, &text.span, message, address_hint(&text.value));
        }
        address
    }
}

fn address_hint(text: &str) -> String {
    let fixed = match text.rsplit_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        None if text.parse::<u16>().is_ok() => format!("0.0.0.0:{text}"),
        _ => String::new(),
    };
    match fixed.parse::<SocketAddr>() {
        Ok(address) => format!("did you mean `{address}`?"),
        Err(_) => "expected something like `0.0.0.0:8080` or `[::1]:8080`".to_owned(),
    }
}

/// A year. Sums with the present must not overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// More than the memory of any machine that this runs on.
const LARGEST: u64 = 1 << 40;
