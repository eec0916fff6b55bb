//! Points in time as access logs write them, in UTC.

use std::{
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};

struct Utc {
    year: u64,
    month: usize,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    millis: u32,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// RFC 3339 with milliseconds: `2026-08-21T12:03:11.042Z`.
pub(super) fn rfc3339(time: SystemTime, out: &mut Vec<u8>) {
    let t = Utc::new(time);
    padded::<4>(t.year, out);
    out.push(b'-');
    padded::<2>(t.month as u64, out);
    out.push(b'-');
    padded::<2>(t.day, out);
    out.push(b'T');
    padded::<2>(t.hour, out);
    out.push(b':');
    padded::<2>(t.minute, out);
    out.push(b':');
    padded::<2>(t.second, out);
    out.push(b'.');
    padded::<3>(t.millis.into(), out);
    out.push(b'Z');
}

/// The last `N` digits of a number, with zeros in front.
pub(super) fn padded<const N: usize>(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8; // below 10
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

/// As in the Common Log Format: `21/Aug/2026:12:03:11 +0000`.
pub(super) fn common(time: SystemTime, out: &mut Vec<u8>) {
    let t = Utc::new(time);
    let month = MONTHS.get(t.month.wrapping_sub(1)).copied().unwrap_or_default();
    let _ = write!(
        out,
        "{:02}/{month}/{:04}:{:02}:{:02}:{:02} +0000",
        t.day, t.year, t.hour, t.minute, t.second
    );
}

impl Utc {
    fn new(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        // Years here begin in March, so that the leap day is the last of one, and eras have 400 of them.
        let from_march = days + 719_468;
        let (era, day) = (from_march / 146_097, from_march % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let march_month = (5 * day + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self {
            year: year + era * 400 + u64::from(month <= 2),
            month: usize::try_from(month).unwrap_or_default(),
            day: day - (153 * march_month + 2) / 5 + 1,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
            millis: since.subsec_millis(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z", "29/Feb/2000:00:00:00 +0000"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z", "29/Feb/2024:23:59:59 +0000"),
            (1_787_313_791_042, "2026-08-21T12:03:11.042Z", "21/Aug/2026:12:03:11 +0000"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z", "01/Mar/2100:00:00:00 +0000"),
        ];
        for (millis, long, short) in cases {
            let time = UNIX_EPOCH + Duration::from_millis(millis);
            let (mut a, mut b) = (Vec::new(), Vec::new());
            rfc3339(time, &mut a);
            common(time, &mut b);
            assert_eq!(
                (&*String::from_utf8_lossy(&a), &*String::from_utf8_lossy(&b)),
                (long, short)
            );
        }
    }
}
